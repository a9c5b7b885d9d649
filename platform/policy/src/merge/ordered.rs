//! Keys with ordered values: the base chooses, the strictest of the ceilings bounds it.

use super::{Merged, Part, Parts};
use crate::{Class, Layer, Located, Loser, Origin, Settings, Sourced};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::sync::Arc;

/// One layer's value for a key.
struct Candidate<'a, T> {
    part: &'a Part<'a>,
    value: &'a T,
    origin: Origin,
    /// It may take part in the choice of the base.
    chooses: bool,
}

/// The effective value, and the key's entry in the list of values. `strictness` is `Greater`
/// where its first argument is the stricter.
pub(super) fn choose<T: Clone + PartialEq>(
    key: &'static str,
    parts: &Parts<'_>,
    merged: &mut Merged,
    get: impl Fn(&Settings) -> Option<&Located<T>>,
    strictness: impl Fn(&T, &T) -> Ordering,
    show: impl Fn(&T) -> Json,
) -> Option<Sourced<T>> {
    let candidates: Vec<Candidate<'_, T>> = parts
        .active
        .iter()
        .filter_map(|part| {
            let Located { value, line, restricts_only } = get(part.settings())?;
            let origin = part.layer.origin(*line);
            let chooses = part.no_grants.is_none() && !restricts_only;
            Some(Candidate { part, value, origin, chooses })
        })
        .collect();
    let base = base(&candidates, &strictness);
    let mut winner = base;
    for (at, candidate) in candidates.iter().enumerate() {
        let stricter =
            |than: usize| strictness(candidate.value, candidates[than].value) == Ordering::Greater;
        // Of equal ones the managed layer is named, since it is the one that nobody can change.
        let names = |than: usize| {
            strictness(candidate.value, candidates[than].value) == Ordering::Equal
                && candidate.part.managed()
                && !candidates[than].part.managed()
        };
        if candidate.part.ceiling && winner.is_none_or(|than| stricter(than) || names(than)) {
            winner = Some(at);
        }
    }
    let lose = |(layer, reason): &(&Layer, Arc<str>)| {
        let Located { value, line, restricts_only: _ } = get(&layer.settings)?;
        let (value, origin) = (show(value), layer.origin(*line));
        Some(Loser::new(value, origin, reason.clone()))
    };
    let mut losers: Vec<Loser> = parts.elsewhere.iter().filter_map(lose).collect();
    let Some(winner) = winner else {
        merged.add(key, Json::Null, Vec::new(), losers);
        return None;
    };
    let won = &candidates[winner];
    let mut origins = vec![won.origin.clone()];
    for (at, candidate) in candidates.iter().enumerate() {
        if at == winner {
            continue;
        }
        if candidate.value == won.value && candidate.part.managed() && won.part.managed() {
            origins.push(candidate.origin.clone());
            continue;
        }
        let reason = reason(candidate, won, base == Some(at), candidate.value == won.value);
        losers.push(Loser::new(show(candidate.value), candidate.origin.clone(), reason));
    }
    merged.add(key, show(won.value), origins, losers);
    Some(Sourced { value: won.value.clone(), origin: won.origin.clone() })
}

/// The last of the base, in which all managed layers are one: the strictest of them.
fn base<T>(
    candidates: &[Candidate<'_, T>],
    strictness: &impl Fn(&T, &T) -> Ordering,
) -> Option<usize> {
    let mut chosen: Option<usize> = None;
    for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.chooses) {
        let replaces = chosen.is_none_or(|before| {
            let before = &candidates[before];
            before.part.rank < candidate.part.rank
                || strictness(candidate.value, before.value) == Ordering::Greater
        });
        if replaces {
            chosen = Some(at);
        }
    }
    chosen
}

fn reason<T>(loser: &Candidate<'_, T>, won: &Candidate<'_, T>, last: bool, equal: bool) -> String {
    match (loser.part.no_grants, loser.part.layer.class()) {
        _ if equal => format!("{} says the same", won.origin),
        (Some(why), _) => why.to_owned(),
        (None, Class::Managed) => format!("{} is stricter", won.origin),
        (None, _) if last => format!("restricted by {}", won.origin),
        (None, _) => format!("overridden by {}", won.origin),
    }
}

/// The strictest value that these layers set with full force.
pub(super) fn bounded<T: Clone>(
    parts: &[&Part<'_>],
    get: impl Fn(&Settings) -> Option<&Located<T>>,
    strictness: impl Fn(&T, &T) -> Ordering,
) -> Option<Sourced<T>> {
    let mut out: Option<Sourced<T>> = None;
    let granting = parts.iter().filter(|part| part.no_grants.is_none());
    for part in granting {
        let Some(own) = get(part.settings()).filter(|own| !own.restricts_only) else { continue };
        let stricter =
            out.as_ref().is_none_or(|out| strictness(&own.value, &out.value) == Ordering::Greater);
        if stricter {
            out = Some(Sourced { value: own.value.clone(), origin: part.layer.origin(own.line) });
        }
    }
    out
}
