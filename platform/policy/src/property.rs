//! What property lists and preferences domains are made of, before anybody asks what it means.

use crate::document::plist;
use jiff::Timestamp;

/// A value of a property list (plist(5)) or of a preferences domain.
#[derive(Debug, Clone, PartialEq)]
pub enum Property {
    /// `<string>`
    Text(String),
    /// `<integer>`
    Integer(i128),
    /// `<real>`
    Real(f64),
    /// `<true/>` or `<false/>`
    Boolean(bool),
    /// `<date>`
    Date(Timestamp),
    /// `<data>`
    Data(Vec<u8>),
    /// `<array>`
    Array(Vec<Self>),
    /// `<dict>`; no key stands twice.
    Dictionary(Vec<(String, Self)>),
    /// Anything else, in words.
    Other(String),
}

/// Why bytes are no property list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid property list: {found}, {place}")]
pub struct PlistError {
    /// Line and column, or in the binary form the byte.
    pub place: String,
    /// What is there.
    pub found: String,
}

impl Property {
    /// Reads a property list, XML or binary. How deep, how many and how large its values may be is
    /// bounded.
    ///
    /// # Errors
    /// Where it is none, or more than is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlistError> {
        plist::parse(bytes)
            .map_err(|error| PlistError { place: place(bytes, error.at), found: error.message })
    }

    /// Bytes that are the same for the same value and different for any other, whatever the order
    /// of a dictionary's keys: what a digest of it is taken over.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// A letter for the type, how long it is, and what it holds.
    fn write(&self, out: &mut Vec<u8>) {
        let mut plain = |letter: u8, bytes: &[u8]| {
            out.push(letter);
            out.extend((bytes.len() as u64).to_be_bytes());
            out.extend(bytes);
        };
        match self {
            Self::Text(text) => plain(b's', text.as_bytes()),
            Self::Integer(number) => plain(b'i', &number.to_be_bytes()),
            Self::Real(number) => plain(b'r', &number.to_bits().to_be_bytes()),
            Self::Boolean(value) => plain(b'b', &[u8::from(*value)]),
            Self::Date(time) => plain(b't', &time.as_nanosecond().to_be_bytes()),
            Self::Data(bytes) => plain(b'd', bytes),
            Self::Other(words) => plain(b'o', words.as_bytes()),
            Self::Array(items) => {
                out.push(b'a');
                out.extend((items.len() as u64).to_be_bytes());
                items.iter().for_each(|item| item.write(out));
            }
            Self::Dictionary(entries) => {
                out.push(b'm');
                out.extend((entries.len() as u64).to_be_bytes());
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by_key(|(name, _)| name);
                for (name, value) in sorted {
                    out.extend((name.len() as u64).to_be_bytes());
                    out.extend(name.as_bytes());
                    value.write(out);
                }
            }
        }
    }
}

fn place(bytes: &[u8], at: usize) -> String {
    let before = bytes.get(..at).unwrap_or(bytes);
    match std::str::from_utf8(before) {
        Ok(text) if !plist::is_binary(bytes) => {
            let line = text.matches('\n').count() + 1;
            let last = text.rsplit('\n').next().unwrap_or_default();
            format!("line {line}, column {}", last.chars().count() + 1)
        }
        _ => format!("at byte {at}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: Property) -> (String, Property) {
        (name.to_owned(), value)
    }

    #[test]
    fn the_canonical_form_knows_every_difference_but_the_order_of_keys() {
        let text = |text: &str| Property::Text(text.to_owned());
        let values = [
            text(""),
            text("1"),
            Property::Integer(1),
            Property::Real(1.0),
            Property::Boolean(true),
            Property::Boolean(false),
            Property::Data(b"1".to_vec()),
            Property::Other("1".to_owned()),
            Property::Date(Timestamp::UNIX_EPOCH),
            Property::Array(vec![]),
            Property::Array(vec![text("a"), text("b")]),
            Property::Array(vec![text("b"), text("a")]),
            Property::Array(vec![text("ab")]),
            Property::Array(vec![Property::Array(vec![text("a")]), text("b")]),
            Property::Dictionary(vec![]),
            Property::Dictionary(vec![entry("a", text("b"))]),
            Property::Dictionary(vec![entry("ab", text(""))]),
        ];
        for (at, one) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                let same = one.canonical() == other.canonical();
                assert_eq!(same, at == other_at, "{one:?} {other:?}");
            }
        }
        let (a, b) = (entry("a", text("1")), entry("b", text("2")));
        assert_eq!(
            Property::Dictionary(vec![a.clone(), b.clone()]).canonical(),
            Property::Dictionary(vec![b, a]).canonical()
        );
    }
}
