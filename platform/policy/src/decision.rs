//! The answer to an action.

use crate::Origin;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The three answers, from the weakest to the strictest: the stricter of two is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It goes ahead, inside the sandbox.
    Allow,
    /// A reviewer answers first.
    Ask,
    /// It does not happen.
    Deny,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        })
    }
}

/// What was decided, by which rule, from where and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Decision {
    /// The answer.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// The rule that gave it, in the policy's own words (`commands.rule git push`), if one did.
    pub rule: Option<String>,
    /// Where that rule, or the default, came from.
    pub origin: Origin,
    /// Why, in plain words that end with a full stop.
    pub reason: String,
}
