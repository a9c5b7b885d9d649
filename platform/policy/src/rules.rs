//! Command rules, and the index that finds the few that can match among thousands.

use crate::{Identity, Verdict, When};
use std::collections::HashMap;

/// One entry of `[[commands.rule]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRule {
    /// The tokens a command begins with. The first is a program's name, or its whole path.
    pub prefix: Vec<String>,
    /// What becomes of a command that matches.
    pub decision: Verdict,
    /// Why, in plain words.
    pub reason: Option<String>,
    /// Where the rule holds.
    pub when: Option<When>,
    /// The rule was broken and this is what could be read of it.
    pub repaired: bool,
}

impl CommandRule {
    /// The rule in the policy's own words: `commands.rule git push`.
    pub fn name(&self) -> String {
        format!("commands.rule {}", self.prefix.join(" "))
    }

    /// The rule as the list of values shows it.
    pub(crate) fn show(&self) -> serde_json::Value {
        let Self { prefix, decision, reason, when: _, repaired: _ } = self;
        serde_json::json!({"prefix": prefix, "decision": decision, "reason": reason})
    }

    /// Whether a command of this identity begins with the rule's tokens. An empty prefix, which
    /// only a broken rule has, matches every command.
    pub fn matches(&self, identity: &Identity) -> bool {
        let Some((first, rest)) = self.prefix.split_first() else { return true };
        let Identity { tokens, path, proven: _ } = identity;
        let Some((name, arguments)) = tokens.split_first() else { return false };
        (first == name || path.as_deref() == Some(first.as_str()))
            && arguments.len() >= rest.len()
            && rest.iter().zip(arguments).all(|(wanted, token)| wanted == token)
    }

    /// As [`matches`](Self::matches), and also where a tool would take a shorter spelling for the
    /// rule's word (`npm pub`). For restrictions.
    pub(crate) fn restricts(&self, identity: &Identity) -> bool {
        if self.matches(identity) {
            return true;
        }
        let ([tool, wanted, rest @ ..], [name, short, more @ ..]) =
            (self.prefix.as_slice(), identity.tokens.as_slice())
        else {
            return false;
        };
        tool == name
            && crate::tools::takes_abbreviations(tool)
            && short.len() >= 2
            && wanted.starts_with(short.as_str())
            && more.len() >= rest.len()
            && rest.iter().zip(more).all(|(wanted, token)| wanted == token)
    }
}

/// Where rules are found by the first token that they want.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleIndex {
    by_first: HashMap<String, Vec<usize>>,
    /// Rules with an empty prefix.
    always: Vec<usize>,
}

impl RuleIndex {
    pub(crate) fn new<'a>(rules: impl Iterator<Item = &'a CommandRule>) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.enumerate() {
            match rule.prefix.first() {
                None => index.always.push(at),
                Some(first) => match index.by_first.get_mut(first) {
                    Some(list) => list.push(at),
                    None => {
                        index.by_first.insert(first.clone(), vec![at]);
                    }
                },
            }
        }
        index
    }

    /// The positions of the rules that could match a command of this identity.
    pub(crate) fn candidates(&self, identity: &Identity) -> impl Iterator<Item = usize> {
        let by_name = identity.tokens.first().and_then(|name| self.by_first.get(name));
        let by_path = identity.path.as_ref().and_then(|path| self.by_first.get(path));
        [by_name, by_path].into_iter().flatten().chain([&self.always]).flatten().copied()
    }
}
