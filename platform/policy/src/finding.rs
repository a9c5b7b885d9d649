//! What is wrong with a layer: where, what was expected, what was found, and what follows.

use serde::Serialize;
use std::fmt;

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingStatus {
    /// The value stands as it is; the finding is for its author.
    Noted,
    /// The value is ignored.
    Dropped,
    /// What can be read of it still restricts; nothing of it grants.
    Partly,
    /// The strictest value of its key holds instead.
    Strictest,
    /// No session starts until it is repaired.
    Refused,
}

impl FindingStatus {
    /// The consequence in plain words, as the end of a sentence.
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Noted => "the value stands",
            Self::Dropped => "it is ignored",
            Self::Partly => "what can be read of it still restricts, nothing of it grants",
            Self::Strictest => "the strictest value of the key holds instead",
            Self::Refused => "no session starts until it is repaired",
        }
    }
}

/// One thing that is wrong with a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The layer's locator.
    pub file: String,
    /// From 1; 0 where the finding is about the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 where the finding is about the file as a whole.
    pub column: usize,
    /// The key, in full (`network.mode`); empty where the finding is about the file as a whole.
    pub key: String,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What follows from it.
    pub status: FindingStatus,
}

impl Finding {
    /// Whether the finding is about this key or a part of it.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        self.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}
