//! The hosts of a session: what was decided about each, and what went there and came back. They are
//! summed up while events are read, so that nobody who looks at them reads a million.

use crate::Result;
use crate::event::{ASKED_BY, Event, EventKind};
use crate::record::join;
use chaperone_policy::Verdict;
use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many commands are named of one host.
const MOST_COMMANDS: usize = 5;

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
    /// The first command of each session that asked for it, and those that were asked about, as far
    /// as they are known: the first first, each once, at most five.
    pub commands: Vec<String>,
}

/// Whether events of this kind may be about a host.
pub(super) fn is_about(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Connect
            | EventKind::Http
            | EventKind::Request
            | EventKind::Answer
            | EventKind::Traffic
    )
}

/// Adds what an event says of a host to what is known of its session.
pub(super) fn add(change: &Transaction<'_>, session: i64, event: &Event) -> Result<()> {
    let Some(host) = host(event) else { return Ok(()) };
    let host = host.unwrap_or_default();
    let number = |name: &str| event.detail.get(name).and_then(|value| value.as_u64());
    let is_sum = event.kind == EventKind::Traffic;
    let sum = |name: &str| is_sum.then(|| number(name).unwrap_or_default());
    let decided = |verdict: Verdict| {
        let counts = !is_sum && event.kind != EventKind::Request;
        u64::from(counts && event.decision == Some(verdict))
    };
    change
        .prepare_cached(
            "INSERT INTO hosts (session, host, allowed, asked, refused, connections, sent,
                 received, first, last)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
             ON CONFLICT DO UPDATE SET
                 allowed = allowed + ?3, asked = asked + ?4, refused = refused + ?5,
                 connections = ifnull(connections + ?6, ifnull(?6, connections)),
                 sent = ifnull(sent + ?7, ifnull(?7, sent)),
                 received = ifnull(received + ?8, ifnull(?8, received)),
                 last = iif(?6 IS NULL, ?9, last)",
        )?
        .execute((
            session,
            &host,
            decided(Verdict::Allow),
            u64::from(event.kind == EventKind::Request),
            decided(Verdict::Deny),
            sum("connections"),
            sum("sent"),
            sum("received"),
            event.time.as_millisecond(),
        ))?;
    let Some(by) = event.detail.get(ASKED_BY) else { return Ok(()) };
    let Ok(command) = Vec::<String>::deserialize(by) else { return Ok(()) };
    let place = (session, &host);
    let mut query =
        change.prepare_cached("SELECT commands FROM hosts WHERE session = ? AND host = ?")?;
    let known: String = query.query_row(place, |row| row.get(0))?;
    let mut known: Vec<String> = serde_json::from_str(&known)?;
    note(&mut known, join(&command));
    change
        .prepare_cached("UPDATE hosts SET commands = ?3 WHERE session = ?1 AND host = ?2")?
        .execute((session, &host, serde_json::to_string(&known)?))?;
    Ok(())
}

/// Puts together anew what is known of a session's hosts: something of it was erased.
pub(super) fn renew(change: &Transaction<'_>, session: i64) -> Result<()> {
    change.execute("DELETE FROM hosts WHERE session = ?", [session])?;
    let mut query = change.prepare("SELECT line FROM events WHERE session = ? ORDER BY seq")?;
    let mut rows = query.query([session])?;
    while let Some(row) = rows.next()? {
        add(change, session, &serde_json::from_str(&row.get::<_, String>(0)?)?)?;
    }
    Ok(())
}

/// The hosts of a session, or of all that heard of one since then, in the order in which they were
/// first heard of.
pub(super) fn hosts(
    db: &Connection,
    session: Option<&str>,
    since: Option<Timestamp>,
) -> Result<Vec<HostReport>> {
    let mut query = db.prepare_cached(
        "SELECT hosts.*, sessions.id FROM hosts JOIN sessions ON sessions.number = hosts.session
         WHERE (?1 IS NULL OR sessions.id = ?1) AND hosts.last >= ?2 ORDER BY hosts.first",
    )?;
    let since = since.map_or(0, Timestamp::as_millisecond);
    let mut rows = query.query((session, since))?;
    let mut known: BTreeMap<Option<String>, HostReport> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (_, one) = report(row)?;
        match known.get_mut(&one.host) {
            Some(all) => join_to(all, one),
            None => drop(known.insert(one.host.clone(), one)),
        }
    }
    let mut reports: Vec<_> = known.into_values().collect();
    reports.sort_by_key(|report| report.first);
    Ok(reports)
}

/// What each session had to do with one host, the latest session first.
pub(super) fn sessions(db: &Connection, host: Option<&str>) -> Result<Vec<(String, HostReport)>> {
    let mut query = db.prepare_cached(
        "SELECT hosts.*, sessions.id FROM hosts JOIN sessions ON sessions.number = hosts.session
         WHERE host = ? ORDER BY started DESC, number DESC",
    )?;
    let mut rows = query.query([host.unwrap_or_default()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(report(row)?);
    }
    Ok(all)
}

/// One row, with its session's id.
fn report(row: &Row<'_>) -> Result<(String, HostReport)> {
    let time = |name: &str| -> rusqlite::Result<Timestamp> {
        Ok(Timestamp::from_millisecond(row.get(name)?).unwrap_or_default())
    };
    let report = HostReport {
        host: Some(row.get("host")?).filter(|host: &String| !host.is_empty()),
        allowed: row.get("allowed")?,
        asked: row.get("asked")?,
        refused: row.get("refused")?,
        connections: row.get("connections")?,
        sent: row.get("sent")?,
        received: row.get("received")?,
        first: time("first")?,
        last: time("last")?,
        sessions: 1,
        commands: serde_json::from_str(&row.get::<_, String>("commands")?)?,
    };
    Ok((row.get("id")?, report))
}

/// Adds what another session had to do with the same host.
fn join_to(all: &mut HostReport, one: HostReport) {
    let HostReport {
        host: _,
        allowed,
        asked,
        refused,
        connections,
        sent,
        received,
        first,
        last,
        sessions,
        commands,
    } = one;
    all.allowed += allowed;
    all.asked += asked;
    all.refused += refused;
    for (sum, more) in
        [(&mut all.connections, connections), (&mut all.sent, sent), (&mut all.received, received)]
    {
        *sum = more.map_or(*sum, |more| Some(sum.unwrap_or_default() + more));
    }
    all.first = all.first.min(first);
    all.last = all.last.max(last);
    all.sessions += sessions;
    for command in commands {
        note(&mut all.commands, command);
    }
}

fn note(known: &mut Vec<String>, command: String) {
    if known.len() < MOST_COMMANDS && !known.contains(&command) {
        known.push(command);
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
        kind if !is_about(kind) => None,
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
