//! What a source says before anybody asks what it means: values, each with its place.

mod json;
mod names;
pub(crate) mod plist;
pub(crate) mod registry;
mod table;
mod toml;

pub(crate) use json::parse as parse_json;
pub(crate) use names::Names;
use table::Made;
pub(crate) use table::Table;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use toml::parse_slowly as parse_toml_slowly;
pub(crate) use toml::{parse as parse_toml, piece as toml_piece};

use crate::CommandRule;
use std::borrow::Cow;
use std::sync::Arc;

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
    pub(crate) places: Names,
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
    /// A table of which there may be thousands, whose header stands at the node's place in a TOML
    /// text. Where it could be read at once, what it says.
    Piece(Option<Arc<CommandRule>>),
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

impl Value<'_> {
    pub(crate) fn string(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}
