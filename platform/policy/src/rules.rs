//! Command rules, and the index that finds the few that can match among thousands.

use crate::effective::EffectiveRule;
use crate::{CommandPrefix, Identity, Verdict, When};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use serde::Serialize;
use std::hash::BuildHasher;
use std::num::NonZeroU32;

/// One entry of `[[commands.rule]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRule {
    /// The tokens a command begins with. The first is a program's name, or its whole path.
    pub prefix: CommandPrefix,
    /// What becomes of a command that matches.
    pub decision: Verdict,
    /// Why, in plain words.
    pub reason: Option<Box<str>>,
    /// Where the rule holds.
    pub when: Option<Box<When>>,
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
        let mut words = self.prefix.iter();
        let Some(first) = words.next() else { return true };
        let Identity { tokens, path, proven: _ } = identity;
        let Some((name, arguments)) = tokens.split_first() else { return false };
        (first == name || path.as_deref() == Some(first)) && begin(arguments, words)
    }

    /// As [`matches`](Self::matches), and also where a tool would take a shorter spelling for the
    /// rule's word (`npm pub`). For restrictions.
    pub(crate) fn restricts(&self, identity: &Identity) -> bool {
        if self.matches(identity) {
            return true;
        }
        let mut words = self.prefix.iter();
        let (Some(tool), Some(wanted), [name, short, more @ ..]) =
            (words.next(), words.next(), identity.tokens.as_slice())
        else {
            return false;
        };
        tool == name
            && crate::tools::takes_abbreviations(tool)
            && short.len() >= 2
            && wanted.starts_with(short.as_str())
            && begin(more, words)
    }
}

/// Whether the arguments begin with these words.
fn begin<'w>(arguments: &[String], mut words: impl Iterator<Item = &'w str>) -> bool {
    let mut arguments = arguments.iter();
    words.all(|word| arguments.next().is_some_and(|argument| argument == word))
}

/// What the list of values shows of a rule.
#[derive(Serialize)]
pub(crate) struct Shown<'r> {
    prefix: &'r CommandPrefix,
    decision: Verdict,
    reason: Option<&'r str>,
}

/// Where rules are found by the first token that they want. Rules are told by position, which four
/// bytes hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleIndex {
    hasher: DefaultHashBuilder,
    by_first: HashTable<Chain>,
    /// For each rule, the next one of its token; it is never the first of all.
    next: Vec<Option<NonZeroU32>>,
    /// Rules with an empty prefix.
    always: Vec<u32>,
}

/// The rules of one token. Its hash stands here, so that a table that grows need not look up the
/// rules.
#[derive(Debug, Clone)]
struct Chain {
    hash: u64,
    first: u32,
    last: u32,
}

impl RuleIndex {
    pub(crate) fn with_capacity(rules: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            by_first: HashTable::with_capacity(rules),
            next: Vec::with_capacity(rules),
            always: Vec::new(),
        }
    }

    /// Adds the rule at the end of `rules`; each is added before the next one is there.
    pub(crate) fn add(&mut self, rules: &[EffectiveRule]) {
        let Self { hasher, by_first, next, always } = self;
        // More rules than four bytes can count do not fit into any memory.
        let Ok(at) = u32::try_from(next.len()) else { return };
        next.push(None);
        let Some(token) = token(rules, at) else {
            always.push(at);
            return;
        };
        let hash = hasher.hash_one(token);
        let same =
            |chain: &Chain| chain.hash == hash && self::token(rules, chain.first) == Some(token);
        match by_first.entry(hash, same, |chain| chain.hash) {
            Entry::Occupied(mut known) => {
                let Chain { last, .. } = known.get_mut();
                if let Some(before) = next.get_mut(*last as usize) {
                    *before = NonZeroU32::new(at);
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
        let chain = |name: &String| {
            let hash = self.hasher.hash_one(name.as_str());
            self.by_first.find(hash, |chain| token(rules, chain.first) == Some(name))
        };
        let by_name = identity.tokens.first().and_then(chain);
        let by_path = identity.path.as_ref().and_then(chain);
        let next = |at: &u32| self.next.get(*at as usize).copied().flatten().map(NonZeroU32::get);
        let all = move |chain: &Chain| std::iter::successors(Some(chain.first), next);
        let chains = [by_name, by_path].into_iter().flatten().flat_map(all);
        chains.chain(self.always.iter().copied()).map(|at| at as usize)
    }
}

fn token(rules: &[EffectiveRule], at: u32) -> Option<&str> {
    rules.get(at as usize)?.rule.prefix.first()
}
