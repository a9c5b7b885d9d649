//! Hosts in the history: what was decided about each, how much went there, which command asked, and
//! in which sessions.

use super::activity::{small, title};
use super::{Desk, Failure};
use chaperone_audit::HostReport;
use jiff::Timestamp;
use serde::Serialize;
use std::cmp::Reverse;

/// A host that sessions reached, asked for or were kept from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct HostRow {
    /// As the history has it, `HOST:PORT`; `None` for hosts that were too many to be told apart.
    pub place: Option<String>,
    /// A name or an address; `None` as above.
    pub host: Option<String>,
    /// TCP; `None` as above.
    pub port: Option<u16>,
    /// What was decided and sent there in all of these sessions.
    #[serde(flatten)]
    pub counts: HostCounts,
    /// In how many sessions.
    pub sessions: u32,
}

/// What one session had to do with a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct HostSession {
    /// The session's id.
    pub session: String,
    /// As in `Session`.
    pub agent: String,
    /// As in `Session`.
    pub workspace: String,
    /// What was decided and sent there in it.
    #[serde(flatten)]
    pub counts: HostCounts,
}

/// What was decided about a host, and what went there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct HostCounts {
    /// Connections and requests that a rule or a person allowed.
    pub allowed: u32,
    /// Those that somebody was asked about.
    pub asked: u32,
    /// Those that were refused.
    pub denied: u32,
    /// Bytes that went there; `None` while the session runs, and where its supervisor was killed.
    pub sent: Option<u64>,
    /// Bytes that came back, known as those are.
    pub received: Option<u64>,
    /// When it was first heard of.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// The command lines that asked for it, as far as they are known: the first first, at most five.
    pub commands: Vec<String>,
}

impl Desk {
    /// The hosts of one session, or of all of them; busiest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn hosts(&self, session: Option<&str>) -> Result<Vec<HostRow>, Failure> {
        let reports = self.with_index(Vec::new(), |index| index.hosts(session, None))?;
        let mut rows: Vec<HostRow> = reports.into_iter().map(row).collect();
        rows.sort_by_key(|HostRow { counts, .. }| {
            let decided = u64::from(counts.allowed) + u64::from(counts.denied);
            (Reverse(decided + u64::from(counts.asked)), Reverse(counts.last))
        });
        Ok(rows)
    }

    /// What each session had to do with a host, as `hosts` names it; the latest session first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn host_sessions(&self, place: Option<&str>) -> Result<Vec<HostSession>, Failure> {
        let reports = self.with_index(Vec::new(), |index| index.host(place))?;
        let sessions = self.summaries()?;
        let told = reports.into_iter().map(|(session, report)| {
            let known = sessions.iter().find(|own| own.id == session);
            HostSession {
                agent: title(known.and_then(|own| own.agent.as_deref())),
                workspace: known.and_then(|own| own.workspace.clone()).unwrap_or_default(),
                session,
                counts: counts(report),
            }
        });
        Ok(told.collect())
    }
}

fn row(mut report: HostReport) -> HostRow {
    let place = report.host.take();
    let parts = place.as_deref().and_then(host_and_port);
    let (host, port) = parts.map_or_else(|| (place.clone(), None), |(h, p)| (Some(h), Some(p)));
    let sessions = small(report.sessions);
    HostRow { place, host, port, counts: counts(report), sessions }
}

fn counts(report: HostReport) -> HostCounts {
    let HostReport {
        host: _,
        allowed,
        asked,
        refused,
        connections: _,
        sent,
        received,
        first,
        last,
        sessions: _,
        commands,
    } = report;
    let (allowed, asked, denied) = (small(allowed), small(asked), small(refused));
    HostCounts { allowed, asked, denied, sent, received, first, last, commands }
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = place.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}
