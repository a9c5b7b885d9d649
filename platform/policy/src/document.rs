//! What a source says before anybody asks what it means: values, each with its place.

mod json;
pub(crate) mod plist;
pub(crate) mod registry;
mod toml;

pub(crate) use json::parse as parse_json;
pub(crate) use toml::parse as parse_toml;

use std::borrow::Cow;

/// Where a text is not what its format wants, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The offset in bytes.
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// A document whose places are not lines but have names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) root: Table<'static>,
    /// Where each node stands, as what follows the layer's locator: `#/network/mode` in JSON.
    pub(crate) places: Vec<String>,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<'t> {
    /// In TOML the offset in the text, in bytes; else the position in [`Named::places`].
    pub(crate) at: usize,
    pub(crate) value: Value<'t>,
}

/// A value of one of the types that policies are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'t> {
    String(Cow<'t, str>),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Node<'t>>),
    Table(Table<'t>),
    /// What no key wants, as it is written: a float, a date, a number that is too large.
    Other(Cow<'t, str>),
    /// What cannot be written as text at all, in words: nothing can be read of it.
    Unread(Cow<'t, str>),
}

/// A key and where it stands, as a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key<'t> {
    pub(crate) at: usize,
    pub(crate) name: Cow<'t, str>,
}

/// Keys with values, in the order of the source; no key stands twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table<'t> {
    pub(crate) entries: Vec<(Key<'t>, Node<'t>)>,
    made: Made,
}

/// How a table came to be, which says what may still be added to it (TOML 1.1, "Table").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// By the header of a table in it.
    Implied,
    /// By a header of its own.
    Header,
    /// By a dotted key.
    Dotted,
    /// Between braces.
    Inline,
}

impl<'t> Table<'t> {
    fn new(made: Made) -> Self {
        Self { entries: Vec::new(), made }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'t>> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|(key, _)| key.name == name)
    }
}

impl Value<'_> {
    pub(crate) fn string(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}
