//! What is wrong with a layer: where, what was expected, what was found, and what follows.

use serde::Serialize;
use std::fmt;

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
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

    /// The consequence as a sentence.
    pub fn sentence(self) -> String {
        let words = self.consequence();
        let first: String = words.chars().take(1).flat_map(char::to_uppercase).collect();
        format!("{first}{}.", words.get(1..).unwrap_or_default())
    }
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// No key of this name is known.
    UnknownKey,
    /// The value is not of the key's type, or not one that it takes.
    WrongValue,
    /// The key is for a newer Chaperone.
    Unsupported,
    /// It is about the source as a whole: whose it is, or that it cannot be read.
    Source,
}

/// One thing that is wrong with a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Finding {
    /// The layer's locator.
    pub file: String,
    /// From 1; 0 where the finding is about the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 where the finding is about the file as a whole.
    pub column: usize,
    /// The key, in full (`network.mode`); empty where the finding is about the file as a whole.
    pub key: String,
    /// What kind of thing is wrong.
    pub problem: Problem,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What follows from it.
    pub status: FindingStatus,
}

impl Finding {
    /// Where it stands: `FILE:LINE:COLUMN`, or the place's name where places are not lines.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }

    /// Whether the finding is about this key, a part of it, or the section that it stands in.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        let within = |whole: &str, part: &str| {
            whole.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !self.key.is_empty() && (within(&self.key, key) || within(key, &self.key))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}
