//! The policy as people and programs read it: every key with its value, origins and losers.

use crate::nearest::nearest;
use crate::schema::{KEYS, Shape};
use crate::{Finding, LayerSummary, Origin, Said};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// One key as `policy explain --json` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// In full: `network.mode`.
    pub key: &'static str,
    /// What holds; `null` where nothing does. A list stands in one array.
    pub value: Said,
    /// Where it came from: for a list, one origin for each entry, in the list's order.
    pub origins: Vec<Origin>,
    /// How the values of several layers combine.
    pub merge: Shape,
    /// Whether every value for the key could be read.
    pub status: ValueStatus,
    /// What was said elsewhere and does not hold, with the reason.
    pub losers: Vec<Loser>,
    /// What was said and could not be taken as written.
    pub findings: Vec<Finding>,
}

/// Whether the value of a key holds, and whether every value for it could be read; from good to
/// bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueStatus {
    /// Every value was read, and one holds.
    Applied,
    /// No layer says anything.
    Unset,
    /// It is set, and has no effect on this system.
    Unsupported,
    /// A value could not be read and is ignored.
    Dropped,
    /// What could be read of a broken value restricts.
    Partly,
    /// A broken managed value fell to the strictest of its key.
    Strictest,
    /// A layer could not be read at all, so no session starts.
    Refused,
}

impl ValueStatus {
    /// What it means, as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Applied => "It holds.",
            Self::Unset => "No layer says anything.",
            Self::Unsupported => "It has no effect on this system.",
            Self::Dropped => "A value could not be read and is ignored.",
            Self::Partly => "Of a broken value, what could be read restricts.",
            Self::Strictest => "A broken managed value fell to the strictest of its key.",
            Self::Refused => "A layer could not be read at all, so no session starts.",
        }
    }
}

/// A value that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loser {
    /// What it said.
    pub value: Said,
    /// Where it stands.
    #[serde(flatten)]
    pub origin: Origin,
    /// Why it lost, in plain words.
    pub reason: Arc<str>,
}

impl Loser {
    pub(crate) fn new(value: impl Into<Said>, origin: Origin, reason: impl Into<Arc<str>>) -> Self {
        Self { value: value.into(), origin, reason: reason.into() }
    }
}

/// The whole policy as `policy show --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Show {
    /// Every source that was looked at, from the weakest.
    pub layers: Vec<LayerSummary>,
    /// Every key.
    pub values: Vec<Value>,
    /// What could not be taken as written, unknown keys among it.
    pub findings: Vec<Finding>,
}

/// There is no key of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// What was asked for.
    pub key: String,
    /// The known key that is nearest to it.
    pub nearest: Option<&'static str>,
}

impl UnknownKey {
    pub(crate) fn new(key: &str) -> Self {
        let names = || KEYS.iter().map(|key| key.name);
        // People also ask for the last word alone: `mode`.
        let by_end = || names().find(|name| name.rsplit('.').next() == Some(key));
        Self { key: key.to_owned(), nearest: nearest(key, names()).or_else(by_end) }
    }
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no key `{}`", self.key)?;
        match self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => f.write_str("; `chaperone policy show` lists them all"),
        }
    }
}

impl std::error::Error for UnknownKey {}
