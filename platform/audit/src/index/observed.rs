//! What was let pass because a policy only observed, put together by rule.

use super::SHIFT;
use super::query::first_id;
use crate::Result;
use crate::event::Event;
use chaperone_policy::{Origin, Verdict};
use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many different actions stand as examples of one rule.
const EXAMPLES: usize = 3;

/// Among how many events of a rule, the latest, they are looked for.
const LOOKED_AT: usize = 200;

/// One rule, and what it would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observed {
    /// The rule, in the policy's own words.
    pub rule: Option<String>,
    /// Where it came from.
    pub origin: Option<Origin>,
    /// What enforcement would have said: `ask` or `deny`.
    pub would: Verdict,
    /// How often.
    pub times: u64,
    /// In how many sessions.
    pub sessions: usize,
    /// Of which agents.
    pub agents: Vec<String>,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// Some of the latest actions, each once, the latest first.
    pub examples: Vec<String>,
}

/// What a report puts together: the rule, where it came from and what it would have decided.
pub(super) type Rule = (Option<String>, Option<Origin>, Verdict);

/// The rule that would have stopped what was let pass because the policy only observed.
pub(super) fn rule_of(event: &Event) -> Option<Rule> {
    let would = event.observed().filter(|_| event.decision == Some(Verdict::Allow))?;
    Some((event.rule.clone(), event.origin.clone(), would))
}

#[derive(Default)]
struct Gathered {
    times: u64,
    sessions: BTreeSet<i64>,
    first: i64,
    /// The latest first.
    latest: Vec<i64>,
}

pub(super) fn report(db: &Connection, since: Option<Timestamp>) -> Result<Vec<Observed>> {
    let mut rules: BTreeMap<i64, Gathered> = BTreeMap::new();
    // Answered from an index alone, in its order.
    let mut query = db.prepare_cached(
        "SELECT observed, id, session FROM events
         WHERE observed IS NOT NULL AND id >= ? ORDER BY observed, id DESC",
    )?;
    let mut rows = query.query([since.map_or(0, first_id)])?;
    while let Some(row) = rows.next()? {
        let (rule, id): (i64, i64) = (row.get(0)?, row.get(1)?);
        let gathered = rules.entry(rule).or_default();
        gathered.times += 1;
        gathered.sessions.insert(row.get(2)?);
        gathered.first = id;
        if gathered.latest.len() < LOOKED_AT {
            gathered.latest.push(id);
        }
    }
    let agents: HashMap<i64, String> = db
        .prepare_cached(
            "SELECT number, json_extract(start, '$.agent') AS agent FROM sessions
             WHERE agent IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut reports = rules
        .into_iter()
        .map(|(number, gathered)| observed(db, number, &gathered, &agents))
        .collect::<Result<Vec<Observed>>>()?;
    reports.sort_by(|a, b| {
        let key =
            |own: &Observed| (std::cmp::Reverse(own.times), own.rule.clone(), own.origin.clone());
        key(a).cmp(&key(b))
    });
    Ok(reports)
}

fn observed(
    db: &Connection,
    number: i64,
    gathered: &Gathered,
    agents: &HashMap<i64, String>,
) -> Result<Observed> {
    let Gathered { times, sessions, first, latest } = gathered;
    let rule: String = db
        .prepare_cached("SELECT rule FROM observed WHERE number = ?")?
        .query_row([number], |row| row.get(0))?;
    let (rule, origin, would): Rule = serde_json::from_str(&rule)?;
    let agents: BTreeSet<&String> = sessions.iter().filter_map(|own| agents.get(own)).collect();
    Ok(Observed {
        rule,
        origin,
        would,
        times: *times,
        sessions: sessions.len(),
        agents: agents.into_iter().cloned().collect(),
        first: moment(*first),
        last: moment(latest.first().copied().unwrap_or(*first)),
        examples: examples(db, latest)?,
    })
}

/// When an event was recorded, from its id.
fn moment(id: i64) -> Timestamp {
    Timestamp::from_millisecond(id >> SHIFT).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn examples(db: &Connection, latest: &[i64]) -> Result<Vec<String>> {
    let mut query = db.prepare_cached("SELECT line FROM events WHERE id = ?")?;
    let mut examples = Vec::new();
    for id in latest {
        let line: String = query.query_row([id], |row| row.get(0))?;
        let event: Event = serde_json::from_str(&line)?;
        examples.extend(event.action.filter(|action| !examples.contains(action)));
        if examples.len() == EXAMPLES {
            break;
        }
    }
    Ok(examples)
}
