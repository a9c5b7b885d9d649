//! Property lists: values as elements, for files that people edit, and whole documents.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::xml::Element;

const DOCTYPE: &str = concat!(
    "plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" ",
    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\"",
);

/// A whole property list.
pub(super) fn document(root: Element) -> Result<String> {
    Element::new("plist").with("version", "1.0").child(root).document(Some(DOCTYPE))
}

/// A key of a dictionary; its value follows.
pub(super) fn key(name: &str) -> Element {
    Element::text("key", name)
}

/// A text.
pub(super) fn string(text: &str) -> Element {
    Element::text("string", text)
}

/// A value as an element of a property list.
pub(super) fn value(value: &Value) -> Result<Element> {
    Ok(match value {
        Value::String(text) => string(text),
        Value::Bool(true) => Element::new("true"),
        Value::Bool(false) => Element::new("false"),
        Value::Number(number) => {
            let number = number.as_i64().context("a property list of ours holds whole numbers")?;
            Element::text("integer", number.to_string())
        }
        Value::Array(items) => {
            let items = items.iter().map(self::value).collect::<Result<Vec<_>>>()?;
            Element::new("array").children(items)
        }
        Value::Object(entries) => {
            let mut dictionary = Element::new("dict");
            for (name, entry) in entries {
                dictionary = dictionary.child(key(name)).child(self::value(entry)?);
            }
            dictionary
        }
        Value::Null => bail!("a property list has no null"),
    })
}
