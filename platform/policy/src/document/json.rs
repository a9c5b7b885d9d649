//! JSON to values. The place of each is its JSON pointer (RFC 6901) after a `#`. A key that stands twice, of which other
//! readers take the first or the last, is an error.

use super::{Key, Made, Named, Names, Node, SyntaxError, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::fmt;

/// Reads a text whose value is an object. The place of an error is an offset in the text. Of what
/// is no JSON nothing is read.
pub(crate) fn parse(text: &str) -> (Named, Vec<SyntaxError>) {
    let nothing =
        |error| (Named { root: Table::new(Made::Header), places: Names::default() }, vec![error]);
    match value(text) {
        Ok((Node { value: Value::Table(root), .. }, places)) => {
            (Named { root, places }, Vec::new())
        }
        Ok(_) => nothing(SyntaxError { at: 0, message: "a value that is no object".into() }),
        Err(error) => nothing(error),
    }
}

/// Reads any one value, and the places that its nodes stand for.
pub(super) fn value(text: &str) -> Result<(Node<'static>, Names), SyntaxError> {
    let pointers = RefCell::new(Names::default());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Seed { pointers: &pointers, above: None, token: "#".to_owned() };
    let read = seed.deserialize(&mut deserializer).and_then(|node| {
        deserializer.end()?;
        Ok(node)
    });
    match read {
        Ok(node) => Ok((node, pointers.into_inner())),
        Err(problem) => {
            let at = offset(text, problem.line(), problem.column());
            let mut message = problem.to_string();
            if let Some(end) = message.rfind(" at line ") {
                message.truncate(end);
            }
            Err(SyntaxError { at, message })
        }
    }
}

/// Where a line and a column in bytes, both from 1, are in the text.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Reads one value, whose pointer is known.
struct Seed<'a> {
    pointers: &'a RefCell<Names>,
    above: Option<usize>,
    /// What its pointer adds to the one above.
    token: String,
}

impl<'a> Seed<'a> {
    /// Names the value's place, for it and for what stands below it.
    fn name(self) -> Place<'a> {
        let Self { pointers, above, token } = self;
        Place { pointers, at: pointers.borrow_mut().add(above, token) }
    }

    fn node(self, value: Value<'static>) -> Node<'static> {
        Node { at: self.name().at, value }
    }
}

/// A place that has its name.
struct Place<'a> {
    pointers: &'a RefCell<Names>,
    at: usize,
}

impl<'a> Place<'a> {
    fn below(&self, token: &str) -> Seed<'a> {
        let token = format!("/{}", token.replace('~', "~0").replace('/', "~1"));
        Seed { pointers: self.pointers, above: Some(self.at), token }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'static>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.node(Value::String(text.to_owned().into())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.node(Value::Boolean(value)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.node(Value::Integer(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let value = i64::try_from(number).map(Value::Integer);
        Ok(self.node(value.unwrap_or_else(|_| Value::Other(number.to_string().into()))))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(self.node(Value::Other(number.to_string().into())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(self.node(Value::Other("null".into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let place = self.name();
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(place.below(&read.len().to_string()))? {
            read.push(item);
        }
        Ok(Node { at: place.at, value: Value::Array(read) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let place = self.name();
        let mut table = Table::new(Made::Inline);
        while let Some(name) = entries.next_key::<String>()? {
            if table.contains(&name) {
                return Err(A::Error::custom(format!("the key {name:?} a second time")));
            }
            let node = entries.next_value_seed(place.below(&name))?;
            table.push(Key { at: node.at, name: name.into() }, node);
        }
        Ok(Node { at: place.at, value: Value::Table(table) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_pointer() {
        let (Named { root: table, places: pointers }, errors) =
            parse(r#"{"network": {"allow": ["a", "b"]}, "a/b~c": 1, "big": 1e99, "none": null}"#);
        assert_eq!(errors, []);
        let Value::Table(network) = &table.get("network").unwrap().value else { panic!() };
        let allow = network.get("allow").unwrap();
        assert_eq!(pointers.name(allow.at), "#/network/allow");
        let Value::Array(items) = &allow.value else { panic!() };
        assert_eq!(pointers.name(items[1].at), "#/network/allow/1");
        assert_eq!(pointers.name(table.get("a/b~c").unwrap().at), "#/a~1b~0c");
        assert!(matches!(table.get("big").unwrap().value, Value::Other(_)));
        assert!(matches!(table.get("none").unwrap().value, Value::Other(_)));
    }

    #[test]
    fn what_is_no_json_says_where_and_nothing_of_it_is_read() {
        for (text, at) in [
            ("", 0),
            ("[]", 0),
            ("{\n  \"a\": 1,\n}", 13),
            ("{\"a\": 1, \"a\": 2}", 11),
            ("{\"a\": 1} x", 9),
            ("{\"ö\": tru}", 10),
        ] {
            let (Named { root: table, .. }, errors) = parse(text);
            assert_eq!(table.entries(), [], "{text}");
            assert_eq!(errors.len(), 1, "{text}");
            assert!(errors[0].at.abs_diff(at) <= 1, "{text}: {errors:?}");
        }
        assert_eq!(parse(&"[".repeat(100_000)).1.len(), 1);
    }
}
