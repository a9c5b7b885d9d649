//! What was let pass because a policy only observed, put together by rule.

use super::query::first_id;
use crate::Result;
use crate::event::{Event, OBSERVED};
use chaperone_policy::{Origin, Verdict};
use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// How many different actions stand as examples of one rule.
const EXAMPLES: usize = 3;

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
    /// Some of the actions, each once, the latest first.
    pub examples: Vec<String>,
}

struct Gathered {
    report: Observed,
    sessions: BTreeSet<String>,
    agents: BTreeSet<String>,
}

type Key = (Option<String>, Option<Origin>, Verdict);

pub(super) fn report(db: &Connection, since: Option<Timestamp>) -> Result<Vec<Observed>> {
    let mut query = db.prepare_cached(
        "SELECT events.line, json_extract(sessions.start, '$.agent')
         FROM events JOIN sessions ON sessions.number = events.session
         WHERE events.decision = 'allow' AND events.id >= ?1 AND instr(events.line, ?2)
         ORDER BY events.id DESC",
    )?;
    let from = since.map_or(0, first_id);
    let mut rows = query.query((from, format!("\"{OBSERVED}\":")))?;
    let mut rules: HashMap<Key, Gathered> = HashMap::new();
    while let Some(row) = rows.next()? {
        let event: Event = serde_json::from_str(&row.get::<_, String>(0)?)?;
        let Some(would) = event.observed() else { continue };
        let agent: Option<String> = row.get(1)?;
        let key = (event.rule.clone(), event.origin.clone(), would);
        let gathered = rules.entry(key).or_insert_with(|| Gathered {
            report: Observed {
                rule: event.rule.clone(),
                origin: event.origin.clone(),
                would,
                times: 0,
                sessions: 0,
                agents: Vec::new(),
                first: event.time,
                last: event.time,
                examples: Vec::new(),
            },
            sessions: BTreeSet::new(),
            agents: BTreeSet::new(),
        });
        let report = &mut gathered.report;
        report.times += 1;
        report.first = report.first.min(event.time);
        report.last = report.last.max(event.time);
        gathered.sessions.insert(event.session);
        gathered.agents.extend(agent);
        if let Some(action) = event.action
            && report.examples.len() < EXAMPLES
            && !report.examples.contains(&action)
        {
            report.examples.push(action);
        }
    }
    let mut reports: Vec<Observed> = rules
        .into_values()
        .map(|Gathered { report, sessions, agents }| Observed {
            sessions: sessions.len(),
            agents: agents.into_iter().collect(),
            ..report
        })
        .collect();
    reports.sort_by(|a, b| {
        let key =
            |own: &Observed| (std::cmp::Reverse(own.times), own.rule.clone(), own.origin.clone());
        key(a).cmp(&key(b))
    });
    Ok(reports)
}
