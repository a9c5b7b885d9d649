//! What the files of an agent do not say, or say otherwise, with its origin and the reason.

use chaperone_policy::{Origin, Policy, Said, Value, ValueStatus, Verdict};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// How the files differ from the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing of it is in the files.
    Missing,
    /// The files hold a part of it.
    Narrower,
    /// The files are stricter than the policy.
    Wider,
    /// The files leave it to Chaperone, which holds it around the agent.
    Held,
}

/// One thing that the files do not say as the policy does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lost {
    /// The policy's key.
    pub key: &'static str,
    /// What the policy says: the whole value, or the entries of a list in one array.
    pub value: Json,
    /// Where it stands; for entries of a list, one origin for each.
    pub origins: Vec<Origin>,
    /// How the files differ.
    pub effect: Effect,
    /// Something that the policy restricts is not held by the files.
    pub loosens: bool,
    /// The reason, in words.
    pub why: String,
}

/// Collects what is lost.
#[derive(Debug)]
pub(crate) struct Losses {
    entries: Vec<Lost>,
    values: Vec<Value>,
    /// The keys about which everything has been said.
    done: Vec<&'static str>,
    /// Chaperone holds what is not in the files, also what it holds elsewhere only.
    held: bool,
}

/// Keys that grant, or that say nothing about agents: the loss of one loosens nothing.
const HARMLESS: [&str; 11] = [
    "revision",
    "organisation",
    "min_version",
    "mode",
    "until",
    "filesystem.read",
    "filesystem.write",
    "network.allow",
    "remote.url",
    "remote.root",
    "remote.on_expiry",
];

impl Losses {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self { entries: Vec::new(), values: policy.values(), done: Vec::new(), held: false }
    }

    /// Everything about these keys is in the files or in an entry here.
    pub(crate) fn done(&mut self, keys: &[&'static str]) {
        self.done.extend_from_slice(keys);
    }

    /// Chaperone holds what is not in the files.
    pub(crate) fn held(&mut self) {
        self.held = true;
    }

    /// An entry about one part of a key. Entries that differ in the value alone become one.
    pub(crate) fn part(
        &mut self,
        key: &'static str,
        value: impl Into<Json>,
        origin: &Origin,
        effect: Effect,
        why: impl Into<String>,
    ) {
        let loosens =
            matches!(effect, Effect::Missing | Effect::Narrower) && !HARMLESS.contains(&key);
        self.push(key, value.into(), origin, effect, loosens, why.into());
    }

    /// An entry about a command rule that allows, which loosens nothing where it is left out.
    pub(crate) fn allow(&mut self, words: &[String], origin: &Origin, why: impl Into<String>) {
        let value = json!(words.join(" "));
        self.push("commands.rule", value, origin, Effect::Missing, false, why.into());
    }

    /// What Chaperone's sandbox does of itself, which no key of the policy says.
    pub(crate) fn defaults(&mut self, why: &str) {
        let (value, origin) = (json!("(by default)"), Origin::built_in());
        self.push("filesystem.read", value, &origin, Effect::Missing, true, why.to_owned());
    }

    fn push(
        &mut self,
        key: &'static str,
        value: Json,
        origin: &Origin,
        effect: Effect,
        loosens: bool,
        why: String,
    ) {
        let same = |known: &&mut Lost| {
            (known.key, known.effect, known.loosens) == (key, effect, loosens) && known.why == why
        };
        match self.entries.iter_mut().find(same) {
            Some(Lost { value: Json::Array(values), origins, .. }) => {
                values.push(value);
                origins.push(origin.clone());
            }
            Some(_) | None => {
                let (value, origins) = (json!([value]), vec![origin.clone()]);
                self.entries.push(Lost { key, value, origins, effect, loosens, why });
            }
        }
    }

    /// An entry about a whole key; none where no layer says anything.
    pub(crate) fn whole(&mut self, key: &'static str, effect: Effect, why: impl Into<String>) {
        self.done.push(key);
        let Some(value) = self.values.iter().find(|value| value.key == key) else { return };
        let empty = value.value.entries() == Some(0);
        if value.status == ValueStatus::Unset || value.value.is_null() || empty {
            return;
        }
        let loosens =
            matches!(effect, Effect::Missing | Effect::Narrower) && !HARMLESS.contains(&key);
        let (value, origins) = (value.value.json(), value.origins.clone());
        self.entries.push(Lost { key, value, origins, effect, loosens, why: why.into() });
    }

    /// Every entry, in the schema's order of keys; what nobody spoke of is missing.
    pub(crate) fn finish(mut self) -> Vec<Lost> {
        let keys: Vec<&'static str> = self.values.iter().map(|value| value.key).collect();
        for key in &keys {
            if self.done.contains(key) {
                continue;
            }
            let open = key.ends_with(".closed");
            let unset = |value: &Value| value.key == *key && value.value == json!(false);
            if open && self.values.iter().any(unset) {
                continue;
            }
            let why = match *key {
                "mode" | "until" => {
                    "The files know no trial: what Chaperone would only record takes effect."
                }
                "revision" | "organisation" | "min_version" | "remote.url" | "remote.root"
                | "remote.on_expiry" => "It is about Chaperone itself.",
                _ => "The agent has no setting for it.",
            };
            let effect = if *key == "mode" { Effect::Wider } else { Effect::Missing };
            if *key == "mode" && !self.observes() {
                continue;
            }
            self.whole(key, effect, why);
        }
        if !self.held {
            self.conditioned();
        }
        let place = |lost: &Lost| keys.iter().position(|key| *key == lost.key);
        self.entries.sort_by_key(|lost| (place(lost), lost.effect));
        self.entries
    }

    fn observes(&self) -> bool {
        self.values.iter().any(|value| value.key == "mode" && value.value == json!("observe"))
    }

    /// What holds under another condition than the one that the policy was merged for.
    fn conditioned(&mut self) {
        let mut elsewhere = Vec::new();
        for value in &self.values {
            for loser in &value.losers {
                if loser.reason.starts_with("it holds when") {
                    elsewhere.push((value.key, loser.clone()));
                }
            }
        }
        for (key, loser) in elsewhere {
            let why = format!("The files know no conditions, and {}.", loser.reason);
            let (value, allows) = match &loser.value {
                Said::Rule(rule) => (json!(rule.prefix.join(" ")), rule.decision == Verdict::Allow),
                said => (said.json(), false),
            };
            let loosens = !allows && !HARMLESS.contains(&key);
            self.push(key, value, &loser.origin, Effect::Missing, loosens, why);
        }
    }
}
