//! Property lists to values, from XML and from the binary form. The place of each value is its key
//! path after a `:`, as in `:filesystem.deny[2]`.
//!
//! Both forms are read here rather than by the `plist` crate: what that one passes over in silence
//! (CDATA, entities that nobody defined, a `<string>` where a `<key>` belongs) could be a
//! restriction, and it counts nothing. A property test holds the two to each other.

mod binary;
mod xml;

use super::{Key, Made, Named, Names, Node, SyntaxError, Table, Value};
use crate::Property;

/// Arrays and dictionaries in each other, at most. A policy needs 6, a profile around it 14.
const DEPTH: usize = 64;

/// The values of one document, at most. The largest honest policy has a tenth of them.
const VALUES: usize = 200_000;

/// The bytes of all its texts and data, at most. In the binary form one text can stand for many.
const BYTES: usize = 16 << 20;

/// What may still be read of a document.
struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn new() -> Self {
        Self { values: VALUES, bytes: BYTES }
    }

    /// Takes one value at this depth.
    fn value(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!("values that stand more than {DEPTH} deep in each other"));
        }
        self.values = self
            .values
            .checked_sub(1)
            .ok_or_else(|| format!("more than {VALUES} values in one property list"))?;
        Ok(())
    }

    /// Takes this many bytes of text or data.
    fn bytes(&mut self, count: usize) -> Result<(), String> {
        self.bytes = self
            .bytes
            .checked_sub(count)
            .ok_or_else(|| format!("more than {} MiB of text and data", BYTES >> 20))?;
        Ok(())
    }
}

/// Whether these bytes are the binary form, whose errors stand on no line.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(b"bplist")
}

/// Reads a property list of either form. Of what is none nothing is read.
pub(crate) fn parse(bytes: &[u8]) -> Result<Property, SyntaxError> {
    if is_binary(bytes) {
        return binary::parse(bytes, &mut Budget::new());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => xml::parse(text, &mut Budget::new()),
        Err(error) => {
            let at = error.valid_up_to();
            let message = "neither a binary property list nor UTF-8 text".to_owned();
            Err(SyntaxError { at, message })
        }
    }
}

/// The entries of a dictionary as a document.
pub(crate) fn named(entries: &[(String, Property)]) -> Named {
    let mut places = Names::default();
    let top = places.add(None, ":");
    let root = table(entries, top, "", &mut places);
    Named { root, places }
}

/// The entries of the dictionary at a place, whose names stand behind `dot`.
fn table(
    entries: &[(String, Property)],
    at: usize,
    dot: &str,
    places: &mut Names,
) -> Table<'static> {
    let mut table = Table::new(Made::Inline);
    for (name, value) in entries {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let step = if !name.is_empty() && name.bytes().all(plain) {
            format!("{dot}{name}")
        } else {
            format!("{dot}{name:?}")
        };
        let node = node(value, at, step, places);
        table.push(Key { at: node.at, name: name.clone().into() }, node);
    }
    table
}

fn node(property: &Property, above: usize, step: String, places: &mut Names) -> Node<'static> {
    let at = places.add(Some(above), step);
    let value = match property {
        Property::Text(text) => Value::String(text.clone().into()),
        Property::Integer(number) => i64::try_from(*number)
            .map_or_else(|_| Value::Other(number.to_string().into()), Value::Integer),
        Property::Real(number) => Value::Other(format!("{number:?}").into()),
        Property::Boolean(value) => Value::Boolean(*value),
        Property::Date(time) => Value::Other(time.to_string().into()),
        Property::Data(bytes) => Value::Unread(format!("data of {} bytes", bytes.len()).into()),
        Property::Other(words) => Value::Unread(words.clone().into()),
        Property::Array(items) => {
            let item = |(number, item)| node(item, at, format!("[{number}]"), places);
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        Property::Dictionary(entries) => Value::Table(table(entries, at, ".", places)),
    };
    Node { at, value }
}

#[cfg(test)]
mod tests;
