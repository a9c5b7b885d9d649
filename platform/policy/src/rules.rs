//! Command rules, and the index that finds the few that can match among thousands.

use crate::effective::EffectiveRule;
use crate::{Identity, Verdict, When};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use serde::Serialize;
use std::hash::BuildHasher;

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
    pub(crate) fn shown(&self) -> Shown<'_> {
        let Self { prefix, decision, reason, when: _, repaired: _ } = self;
        Shown { prefix, decision: *decision, reason: reason.as_deref() }
    }

    /// The same, written out.
    pub(crate) fn show(&self) -> serde_json::Value {
        let Shown { prefix, decision, reason } = self.shown();
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

/// What the list of values shows of a rule.
#[derive(Serialize)]
pub(crate) struct Shown<'r> {
    prefix: &'r [String],
    decision: Verdict,
    reason: Option<&'r str>,
}

/// Where rules are found by the first token that they want.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleIndex {
    hasher: DefaultHashBuilder,
    by_first: HashTable<Chain>,
    /// For each rule, the next one of its token.
    next: Vec<Option<usize>>,
    /// Rules with an empty prefix.
    always: Vec<usize>,
}

/// The rules of one token. Its hash stands here, so that a table that grows need not look up the
/// rules.
#[derive(Debug, Clone)]
struct Chain {
    hash: u64,
    first: usize,
    last: usize,
}

impl RuleIndex {
    /// Adds the rule at the end of `rules`; each is added before the next one is there.
    pub(crate) fn add(&mut self, rules: &[EffectiveRule]) {
        let Self { hasher, by_first, next, always } = self;
        let at = next.len();
        next.push(None);
        let Some(token) = rules.get(at).and_then(token) else {
            always.push(at);
            return;
        };
        let hash = hasher.hash_one(token);
        let same = |chain: &Chain| chain.hash == hash && begins(rules, chain, token);
        match by_first.entry(hash, same, |chain| chain.hash) {
            Entry::Occupied(mut known) => {
                let Chain { last, .. } = known.get_mut();
                if let Some(before) = next.get_mut(*last) {
                    *before = Some(at);
                }
                *last = at;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Chain { hash, first: at, last: at });
            }
        }
    }

    /// The positions of the rules that could match a command of this identity.
    pub(crate) fn candidates(
        &self,
        rules: &[EffectiveRule],
        identity: &Identity,
    ) -> impl Iterator<Item = usize> {
        let chain = |token: &String| {
            let hash = self.hasher.hash_one(token.as_str());
            self.by_first.find(hash, |chain| begins(rules, chain, token))
        };
        let by_name = identity.tokens.first().and_then(chain);
        let by_path = identity.path.as_ref().and_then(chain);
        let following = |at: &usize| self.next.get(*at).copied().flatten();
        let all = move |chain: &Chain| std::iter::successors(Some(chain.first), following);
        [by_name, by_path].into_iter().flatten().flat_map(all).chain(self.always.iter().copied())
    }
}

fn token(own: &EffectiveRule) -> Option<&str> {
    own.rule.prefix.first().map(String::as_str)
}

fn begins(rules: &[EffectiveRule], chain: &Chain, with: &str) -> bool {
    rules.get(chain.first).and_then(token) == Some(with)
}
