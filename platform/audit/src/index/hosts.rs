//! The hosts of a session: what was decided about each, and what went there and came back.

use super::query::first_id;
use crate::Result;
use crate::event::{Event, EventKind};
use chaperone_policy::Verdict;
use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One host of one session, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostReport {
    /// `host:port`; none for hosts that were too many to be told apart.
    pub host: Option<String>,
    /// How often a connection or a request to it was allowed, by a rule or by somebody.
    pub allowed: u64,
    /// How often somebody was asked.
    pub asked: u64,
    /// How often it was refused.
    pub refused: u64,
    /// How many connections were made; none while the session runs, or where it was killed.
    pub connections: Option<u64>,
    /// Bytes that went there, known as the connections are.
    pub sent: Option<u64>,
    /// Bytes that came from there.
    pub received: Option<u64>,
    /// When it was first heard of.
    #[serde(with = "crate::record::milliseconds")]
    pub first: Timestamp,
    /// When last, before the sums at the end.
    #[serde(with = "crate::record::milliseconds")]
    pub last: Timestamp,
    /// In how many sessions.
    pub sessions: u64,
}

/// The hosts of a session, or of all since then, in the order in which they were first heard of.
pub(super) fn hosts(
    db: &Connection,
    session: Option<&str>,
    since: Option<Timestamp>,
) -> Result<Vec<HostReport>> {
    let mut query = db.prepare_cached(
        "SELECT line FROM events
         WHERE kind IN ('connect', 'http', 'request', 'answer', 'traffic') AND id >= ?1
           AND (?2 IS NULL OR session = (SELECT number FROM sessions WHERE sessions.id = ?2))
         ORDER BY id",
    )?;
    let mut rows = query.query((since.map_or(0, first_id), session))?;
    let mut known: BTreeMap<Option<String>, Gathered> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let event: Event = serde_json::from_str(&row.get::<_, String>(0)?)?;
        let Some(host) = host(&event) else { continue };
        let gathered = known.entry(host.clone()).or_insert_with(|| Gathered::new(host, &event));
        gathered.add(&event);
    }
    let mut reports: Vec<_> = known.into_values().map(|gathered| gathered.report).collect();
    reports.sort_by_key(|report| report.first);
    Ok(reports)
}

struct Gathered {
    report: HostReport,
    sessions: BTreeSet<String>,
}

impl Gathered {
    fn new(host: Option<String>, event: &Event) -> Self {
        let report = HostReport {
            host,
            allowed: 0,
            asked: 0,
            refused: 0,
            connections: None,
            sent: None,
            received: None,
            first: event.time,
            last: event.time,
            sessions: 0,
        };
        Self { report, sessions: BTreeSet::new() }
    }

    fn add(&mut self, event: &Event) {
        let Self { report, sessions } = self;
        if !sessions.contains(&event.session) {
            sessions.insert(event.session.clone());
            report.sessions += 1;
        }
        if event.kind == EventKind::Traffic {
            let number = |name: &str| event.detail.get(name).and_then(|value| value.as_u64());
            for (sum, name) in [
                (&mut report.connections, "connections"),
                (&mut report.sent, "sent"),
                (&mut report.received, "received"),
            ] {
                *sum = Some(sum.unwrap_or_default() + number(name).unwrap_or_default());
            }
            return;
        }
        report.last = event.time;
        match (&event.kind, event.decision) {
            (EventKind::Request, _) => report.asked += 1,
            (_, Some(Verdict::Allow)) => report.allowed += 1,
            (_, Some(Verdict::Deny)) => report.refused += 1,
            (_, Some(Verdict::Ask) | None) => {}
        }
    }
}

/// The host that an event is about; `None` where it is about none.
#[allow(clippy::option_option, reason = "an event about many hosts names none")]
fn host(event: &Event) -> Option<Option<String>> {
    let action = event.action.as_deref();
    match &event.kind {
        EventKind::Traffic => Some(action.map(str::to_owned)),
        EventKind::Connect => Some(Some(action?.to_owned())),
        EventKind::Http => of_request(action?).map(Some),
        // What else is asked about is no connection and no request.
        _ => {
            let request = event.detail.get("request")?.as_str()?;
            let (_, number) = request.rsplit_once('.')?;
            number.strip_prefix('c')?;
            let action = action?;
            if action.contains(' ') {
                of_request(action).map(Some)
            } else {
                Some(Some(action.to_owned()))
            }
        }
    }
}

/// The host of `POST api.acme.example:443/repos`.
fn of_request(action: &str) -> Option<String> {
    let (_, target) = action.split_once(' ')?;
    target.split('/').next().map(str::to_owned)
}
