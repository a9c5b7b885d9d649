//! What a key's value is, or was said to be: JSON that is written out only where somebody reads it.

use crate::CommandRule;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::Value as Json;
use std::sync::Arc;

/// What holds or was said, as JSON. Rules come by the thousand, and so are shared with the policy
/// and written out only where somebody reads them.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A value of any key but `commands.rule`.
    Json(Box<Json>),
    /// One rule.
    Rule(Arc<CommandRule>),
    /// The rules that hold.
    Rules(Vec<Arc<CommandRule>>),
}

impl Said {
    /// Whether nothing is said.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Json(value) if value.is_null())
    }

    /// How many entries a list has; `None` where it is no list.
    pub fn entries(&self) -> Option<usize> {
        match self {
            Self::Json(value) => value.as_array().map(Vec::len),
            Self::Rule(_) => None,
            Self::Rules(rules) => Some(rules.len()),
        }
    }

    /// Written out.
    pub fn json(&self) -> Json {
        match self {
            Self::Json(value) => (**value).clone(),
            Self::Rule(rule) => rule.show(),
            Self::Rules(rules) => rules.iter().map(|rule| rule.show()).collect(),
        }
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(value) => value.serialize(serializer),
            Self::Rule(rule) => rule.shown().serialize(serializer),
            Self::Rules(rules) => {
                let mut list = serializer.serialize_seq(Some(rules.len()))?;
                for rule in rules {
                    list.serialize_element(&rule.shown())?;
                }
                list.end()
            }
        }
    }
}

impl From<Json> for Said {
    fn from(value: Json) -> Self {
        Self::Json(Box::new(value))
    }
}

impl PartialEq<Json> for Said {
    fn eq(&self, other: &Json) -> bool {
        match self {
            Self::Json(value) => **value == *other,
            Self::Rule(_) | Self::Rules(_) => self.json() == *other,
        }
    }
}

impl PartialEq<&str> for Said {
    fn eq(&self, other: &&str) -> bool {
        matches!(self, Self::Json(value) if **value == **other)
    }
}
