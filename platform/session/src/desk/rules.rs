//! The policy in force: every layer, every key, who set it, and what lost.

use super::{Desk, Failure, Finding, Layer, LayerStatus, Loser, PolicyValue, Rules};
use crate::load::{LoadError, Loaded, Question, load};
use chaperone_policy::{self as policy, LayerSummary, Policy, ValueStatus};
use serde::Serialize;
use std::collections::HashSet;
use std::path::PathBuf;

impl Desk {
    /// Every layer and every key, with a workspace's own file or without.
    ///
    /// # Errors
    /// When the workspace is no folder.
    pub fn rules(&self, workspace: Option<&str>) -> Result<Rules, Failure> {
        let shown = self.policy(workspace)?.policy.show();
        Ok(Rules {
            layers: shown.layers.into_iter().map(layer).collect(),
            values: shown.values.into_iter().map(value).collect(),
        })
    }

    /// One key.
    ///
    /// # Errors
    /// When there is no such key, with the nearest one, or the workspace is no folder.
    pub fn explain(&self, key: &str, workspace: Option<&str>) -> Result<PolicyValue, Failure> {
        let found = self.policy(workspace)?.policy.explain(key);
        found.map(value).map_err(|unknown| Failure::plain(format!("{unknown}.")))
    }

    /// The policy for a workspace; without one, for a folder that has no file of its own.
    pub(super) fn policy(&self, workspace: Option<&str>) -> Result<Loaded, Failure> {
        let workspace = match workspace {
            Some(given) => self.expand(given),
            None => self.no_workspace(),
        };
        load(&Question { workspace: Some(workspace), ..Question::default() }, &self.paths)
            .map_err(failure)
    }

    /// The policy for a folder that has no file of its own; `for_others` as in [`Question`].
    ///
    /// # Errors
    /// When the home folder cannot be opened.
    pub fn policy_for(&self, for_others: bool) -> Result<Loaded, Failure> {
        let workspace = Some(self.no_workspace());
        load(&Question { workspace, for_others, ..Question::default() }, &self.paths)
            .map_err(failure)
    }

    /// Home: a session refuses to work there, and so nobody keeps a workspace file in it.
    fn no_workspace(&self) -> PathBuf {
        self.paths.home.clone()
    }
}

/// What could not be taken as written, for the first page.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let all = policy.layers().iter().flat_map(|layer| layer.findings());
    all.map(|finding| Finding {
        place: match (finding.line, finding.column) {
            (0, _) => finding.file.clone(),
            (line, column) => format!("{}:{line}:{column}", finding.file),
        },
        key: Some(finding.key.clone()).filter(|key| !key.is_empty()),
        expected: finding.expected.clone(),
        found: finding.found.clone(),
        effect: sentence(finding.status.consequence()),
    })
    .collect()
}

pub(super) fn failure(error: LoadError) -> Failure {
    Failure::plain(sentence(&error.to_string()))
}

/// With a capital letter and a full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.trim_end_matches('.').chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn layer(summary: LayerSummary) -> Layer {
    let LayerSummary { kind, locator, class, status, detail, .. } = summary;
    let status = match status {
        policy::LayerStatus::Present => LayerStatus::Present,
        policy::LayerStatus::Absent => LayerStatus::Absent,
        policy::LayerStatus::Unreadable => LayerStatus::Unreadable,
        policy::LayerStatus::Untrusted => LayerStatus::Untrusted,
        policy::LayerStatus::Invalid => LayerStatus::Invalid,
        policy::LayerStatus::Expired => LayerStatus::Expired,
    };
    Layer { kind, locator, class, status, detail }
}

fn value(value: policy::Value) -> PolicyValue {
    let policy::Value { key, value, origins: each, merge, status, losers, findings: _ } = value;
    // A list has one for each of its entries; a person wants to know who has a say.
    let mut seen = HashSet::new();
    let origins = each.into_iter().filter(|origin| seen.insert(origin.clone())).collect();
    PolicyValue {
        key: key.to_owned(),
        value: value.json(),
        origins,
        merge: word(&merge),
        status: match status {
            // That nothing is set is no fault.
            ValueStatus::Applied | ValueStatus::Unset => "ok",
            status => status.sentence(),
        }
        .to_owned(),
        losers: losers
            .into_iter()
            .map(|policy::Loser { value, origin, reason }| Loser {
                value: value.json(),
                kind: origin.kind,
                locator: origin.locator,
                reason: reason.to_string(),
            })
            .collect(),
    }
}

/// The word that an enumeration serialises as.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // No enumeration of the policy is anything but a word.
        Ok(_) | Err(_) => String::new(),
    }
}
