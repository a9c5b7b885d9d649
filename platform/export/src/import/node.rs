//! A settings file as a tree in which everything knows its place.

use super::ImportError;
use toml::de::{DeTable, DeValue};

/// A value with its place in the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// `FILE:LINE`, or `FILE#POINTER` in JSON.
    pub(super) place: String,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Text(String),
    /// A number or a time, as it is written.
    Other(String),
    List(Vec<Node>),
    /// In the file's order.
    Table(Vec<(String, Node)>),
}

/// Deeper than any settings file; what is deeper is made to exhaust a parser.
const DEEPEST: usize = 64;

impl Node {
    pub(super) fn json(file: &str, text: &str) -> Result<Self, ImportError> {
        // A byte order mark is no part of the text, and Windows programs like to write one.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            ImportError::Syntax {
                file: file.to_owned(),
                line,
                format: "JSON",
                found: format!("{error} (column {column})"),
            }
        })?;
        Self::of_json(file, "", value, 0)
    }

    fn of_json(
        file: &str,
        pointer: &str,
        value: serde_json::Value,
        depth: usize,
    ) -> Result<Self, ImportError> {
        use serde_json::Value as Json;
        if depth > DEEPEST {
            return Err(ImportError::TooDeep { file: file.to_owned() });
        }
        let place = if pointer.is_empty() { file.to_owned() } else { format!("{file}#{pointer}") };
        let beneath = |key: &str, value| {
            let key = key.replace('~', "~0").replace('/', "~1");
            Self::of_json(file, &format!("{pointer}/{key}"), value, depth + 1)
        };
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Boolean(value),
            Json::String(text) => Value::Text(text),
            Json::Number(number) => Value::Other(number.to_string()),
            Json::Array(items) => Value::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(at, item)| beneath(&at.to_string(), item))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(map) => Value::Table(
                map.into_iter()
                    .map(|(key, value)| {
                        let node = beneath(&key, value)?;
                        Ok((key, node))
                    })
                    .collect::<Result<_, ImportError>>()?,
            ),
        };
        Ok(Self { place, value })
    }

    pub(super) fn toml(file: &str, text: &str) -> Result<Self, ImportError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table = DeTable::parse(text).map_err(|error| ImportError::Syntax {
            file: file.to_owned(),
            line: line(text, error.span().map_or(0, |span| span.start)),
            format: "TOML",
            found: error.message().to_owned(),
        })?;
        let span = table.span();
        let value = DeValue::Table(table.into_inner());
        Self::of_toml(file, text, span.start, value, 0)
    }

    fn of_toml(
        file: &str,
        text: &str,
        at: usize,
        value: DeValue<'_>,
        depth: usize,
    ) -> Result<Self, ImportError> {
        if depth > DEEPEST {
            return Err(ImportError::TooDeep { file: file.to_owned() });
        }
        let place = format!("{file}:{}", line(text, at));
        let value = match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Integer(number) => Value::Other(number.to_string()),
            DeValue::Float(number) => Value::Other(number.to_string()),
            DeValue::Datetime(time) => Value::Other(time.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| {
                        let at = item.span().start;
                        Self::of_toml(file, text, at, item.into_inner(), depth + 1)
                    })
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Value::Table(
                table
                    .into_iter()
                    .map(|(key, value)| {
                        let at = key.span().start;
                        let key = key.into_inner().into_owned();
                        Ok((key, Self::of_toml(file, text, at, value.into_inner(), depth + 1)?))
                    })
                    .collect::<Result<_, ImportError>>()?,
            ),
        };
        Ok(Self { place, value })
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Boolean(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[(String, Self)]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.table()?.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// One text, or a list of them; nothing of what is neither.
    pub(super) fn texts(&self) -> Vec<&Self> {
        match &self.value {
            Value::Text(_) => vec![self],
            Value::List(items) => items.iter().filter(|item| item.text().is_some()).collect(),
            _ => Vec::new(),
        }
    }

    /// The value as a person would recognise it, on one line and not too long.
    pub(super) fn shown(&self) -> String {
        const MOST: usize = 120;
        let text = match &self.value {
            Value::Null => "null".to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::Text(text) | Value::Other(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Self::shown).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Table(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", value.shown()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        };
        let short: String = text.chars().take(MOST).collect();
        if short.len() < text.len() { format!("{short}…") } else { text }
    }
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
