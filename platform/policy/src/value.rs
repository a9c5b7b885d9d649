//! The policy as people and programs read it: every key with its value, origins and losers.

use crate::effective::Blocked;
use crate::nearest::nearest;
use crate::schema::{KEYS, Shape};
use crate::{Class, Finding, LayerSummary, Origin, Said};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// One key as `policy explain --json` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type), serde(rename = "PolicyValue"))]
pub struct Value {
    /// In full: `network.mode`.
    pub key: &'static str,
    /// What holds; `null` where nothing does. A list stands in one array.
    #[cfg_attr(feature = "bindings", specta(type = serde_json::Value))]
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
    /// The strongest class among its origins; `None` where no layer says anything.
    pub level: Option<Class>,
    /// The status in plain words, as a sentence.
    pub detail: String,
    /// Sessions that run with another value, because it is carried out when one starts.
    pub running: Vec<Running>,
}

impl Value {
    /// Notes that a session runs with another value.
    pub fn runs_with(&mut self, running: Running) {
        self.running.push(running);
        if self.status <= ValueStatus::Restart {
            self.status = ValueStatus::Restart;
            let sessions: Vec<&str> = self.running.iter().map(|one| one.session.as_str()).collect();
            let (noun, verb) =
                if sessions.len() == 1 { ("session", "runs") } else { ("sessions", "run") };
            self.detail = format!(
                "Needs restart: {noun} {} {verb} with the old value to the end.",
                sessions.join(", ")
            );
        }
    }
}

/// What a running session has for a key that is carried out when a session starts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Running {
    /// The session's id.
    pub session: String,
    /// Its value.
    #[cfg_attr(feature = "bindings", specta(type = serde_json::Value))]
    pub value: Said,
}

/// Whether the value of a key holds, and whether every value for it could be read; from good to
/// bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum ValueStatus {
    /// Every value was read, and one holds.
    Applied,
    /// No layer says anything.
    Unset,
    /// It holds for sessions that start from now on; one that runs has another value.
    Restart,
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
    /// The word for it, as JSON and `policy show` print it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unset => "unset",
            Self::Restart => "restart",
            Self::Unsupported => "unsupported",
            Self::Dropped => "dropped",
            Self::Partly => "partly",
            Self::Strictest => "strictest",
            Self::Refused => "refused",
        }
    }

    /// What it means, as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Applied => "It holds.",
            Self::Unset => "No layer says anything.",
            Self::Restart => "Needs restart: a running session has the old value.",
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
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Loser {
    /// What it said.
    #[cfg_attr(feature = "bindings", specta(type = serde_json::Value))]
    pub value: Said,
    /// Where it stands.
    #[serde(flatten)]
    pub origin: Origin,
    /// Why it lost, in plain words.
    #[cfg_attr(feature = "bindings", specta(type = String))]
    pub reason: Arc<str>,
}

impl Loser {
    pub(crate) fn new(value: impl Into<Said>, origin: Origin, reason: impl Into<Arc<str>>) -> Self {
        Self { value: value.into(), origin, reason: reason.into() }
    }
}

/// The whole policy as `policy show --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Show {
    /// Every source that was looked at, from the weakest.
    pub layers: Vec<LayerSummary>,
    /// Every key.
    pub values: Vec<Value>,
    /// What could not be taken as written, unknown keys among it.
    pub findings: Vec<Finding>,
    /// The layers for which no session starts; empty is good.
    pub blocked: Vec<Blocked>,
}

impl Show {
    /// Only the sources, keys and findings that have this word in what is shown of them, in capitals
    /// or not. That no session starts is never left out.
    #[must_use]
    pub fn with_word(self, word: &str) -> Self {
        let word = word.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&word);
        let Self { mut layers, mut values, mut findings, blocked } = self;
        layers.retain(|layer| {
            has(layer.kind.word()) || has(&layer.locator) || has(layer.status.word())
        });
        values.retain(|value| {
            has(value.key)
                || has(value.status.word())
                || has(&value.value.json().to_string())
                || value.origins.iter().any(|origin| has(&origin.to_string()))
                || value.losers.iter().any(|lost| {
                    has(&lost.value.json().to_string()) || has(&lost.origin.to_string())
                })
        });
        findings.retain(|finding| has(&finding.to_string()));
        Self { layers, values, findings, blocked }
    }
}

/// There is no key of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// What was asked for.
    pub key: String,
    /// The known key that is nearest to it.
    pub nearest: Option<&'static str>,
    /// Where a layer says it all the same.
    pub said: Vec<Finding>,
}

impl UnknownKey {
    pub(crate) fn new(key: &str, findings: Vec<Finding>) -> Self {
        let names = || KEYS.iter().map(|key| key.name);
        // People also ask for the last word alone: `mode`.
        let by_end = || names().find(|name| name.rsplit('.').next() == Some(key));
        let nearest = nearest(key, names()).or_else(by_end);
        let said = findings.into_iter().filter(|finding| finding.key == key).collect();
        Self { key: key.to_owned(), nearest, said }
    }
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no key `{}`", self.key)?;
        match self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?")?,
            None => f.write_str("; `chaperone policy show --all` lists them all")?,
        }
        for finding in &self.said {
            write!(f, " {} says it: {}.", finding.place(), finding.status.consequence())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownKey {}
