//! What `policy explain commands.rule` tells: the rules that can decide anything, and those that
//! never do, because they do not hold here or another rule answers whatever they match.

use crate::effective::{CommandsPolicy, EffectiveRule, LostRule, RulePlace};
use crate::{CommandPrefix, CommandRule, Loser, Origin, Said, Verdict};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The rules of one prefix.
struct Group<'p> {
    prefix: &'p CommandPrefix,
    /// The last one of the base, which overrides the others of the base.
    last: Option<&'p EffectiveRule>,
    /// The strictest one that bounds the base.
    ceiling: Option<&'p EffectiveRule>,
    /// The group whose ceiling restricts a rule of the base, by the rule's decision: that of the
    /// shortest prefix that does.
    bounds: [Option<usize>; 3],
    /// What is said of rules that `last` overrides: one text for all of them.
    overridden: Option<Arc<str>>,
    /// What is said of rules that `ceiling` restricts.
    restricted: Option<Arc<str>>,
}

/// What holds, the origin of each, and what does not.
pub(crate) fn rules(commands: &CommandsPolicy) -> (Said, Vec<Origin>, Vec<Loser>) {
    let CommandsPolicy { rules, lost, index: _, closed: _ } = commands;
    let (numbers, mut groups) = groups(rules);

    let mut losers = Vec::with_capacity(lost.len() + rules.len().saturating_sub(groups.len()));
    losers.extend(
        lost.iter().map(|LostRule { rule, place, reason }| lose(rule, place, Arc::clone(reason))),
    );
    let mut holding = Vec::with_capacity(rules.len());
    let mut origins = Vec::with_capacity(rules.len());
    for (own, number) in rules.iter().zip(numbers) {
        match answered_by(&mut groups, number, own) {
            Some(reason) => losers.push(lose(&own.rule, &own.place, reason)),
            None => {
                holding.push(Arc::clone(&own.rule));
                origins.push(own.place.origin());
            }
        }
    }
    (Said::Rules(holding), origins, losers)
}

fn lose(rule: &Arc<CommandRule>, place: &RulePlace, reason: Arc<str>) -> Loser {
    Loser { value: Said::Rule(Arc::clone(rule)), origin: place.origin(), reason }
}

/// Why a rule of the group of this number never decides; `None` where it can.
fn answered_by(groups: &mut [Group<'_>], number: usize, own: &EffectiveRule) -> Option<Arc<str>> {
    if own.is_ceiling() {
        return None;
    }
    let group = groups.get_mut(number)?;
    if let Some(bound) = group.bounds[own.rule.decision as usize] {
        let Group { ceiling, restricted, .. } = groups.get_mut(bound)?;
        let by = &(*ceiling)?.place;
        return Some(Arc::clone(restricted.get_or_insert_with(|| by.behind("restricted by"))));
    }
    let Group { last, overridden, .. } = group;
    let by = last.filter(|last| !std::ptr::eq(*last, own))?;
    Some(Arc::clone(overridden.get_or_insert_with(|| by.place.behind("overridden by"))))
}

/// The group of each rule by number, and the groups.
fn groups(rules: &[EffectiveRule]) -> (Vec<usize>, Vec<Group<'_>>) {
    let hasher = DefaultHashBuilder::default();
    // Positions among the groups, each beside the hash of its prefix.
    let mut known: HashTable<(u64, usize)> = HashTable::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut numbers = Vec::with_capacity(rules.len());
    // Of the prefixes that a rule bounds the base with, the lengths.
    let mut lengths: Vec<usize> = Vec::new();
    for own in rules {
        let prefix = &own.rule.prefix;
        let hash = hasher.hash_one(prefix.whole());
        let number = match known.entry(hash, is(&groups, hash, prefix.whole()), |own| own.0) {
            Entry::Occupied(known) => known.get().1,
            Entry::Vacant(vacant) => vacant.insert((hash, groups.len())).get().1,
        };
        if number == groups.len() {
            let (last, ceiling, bounds) = (None, None, [None; 3]);
            let (overridden, restricted) = (None, None);
            groups.push(Group { prefix, last, ceiling, bounds, overridden, restricted });
        }
        numbers.push(number);
        let Some(group) = groups.get_mut(number) else { continue };
        if !own.is_ceiling() {
            group.last = Some(own);
        } else if group.ceiling.is_none_or(|known| own.rule.decision > known.rule.decision) {
            group.ceiling = Some(own);
            if let Err(at) = lengths.binary_search(&prefix.len()) {
                lengths.insert(at, prefix.len());
            }
        }
    }
    for number in 0..groups.len() {
        let Some(Group { prefix, .. }) = groups.get(number) else { continue };
        let mut bounds = [None; 3];
        for length in &lengths {
            let Some(shorter) = prefix.beginning(*length) else { break };
            let at = if shorter.len() == prefix.whole().len() {
                Some(number)
            } else {
                let hash = hasher.hash_one(shorter);
                known.find(hash, is(&groups, hash, shorter)).map(|own| own.1)
            };
            let ceiling = at.and_then(|at| Some((at, groups.get(at)?.ceiling?)));
            let Some((at, ceiling)) = ceiling else { continue };
            for decision in [Verdict::Allow, Verdict::Ask, Verdict::Deny] {
                if decision <= ceiling.rule.decision {
                    bounds[decision as usize].get_or_insert(at);
                }
            }
        }
        if let Some(group) = groups.get_mut(number) {
            group.bounds = bounds;
        }
    }
    (numbers, groups)
}

/// Whether an entry of the table stands for this prefix.
fn is(groups: &[Group<'_>], hash: u64, prefix: &str) -> impl Fn(&(u64, usize)) -> bool {
    let same = move |own: &Group<'_>| own.prefix.whole() == prefix;
    move |(known, at)| *known == hash && groups.get(*at).is_some_and(same)
}
