//! The history as people browse it: sessions, stories and events.

use super::rules::sentence;
use super::watch::locked;
use super::{
    Counts, Desk, EventDetail, EventFilter, EventKind, EventPage, EventRow, Failure, Governed,
    Session, SessionPage, Story, Tier, cards, story,
};
use crate::agents;
use chaperone_approvals::SessionInfo;
use chaperone_audit::{self as audit, Cursor, Event, Filter, Index, SessionState, SessionSummary};
use chaperone_policy::{SourceKind, Verdict};
use jiff::Timestamp;
use std::collections::HashMap;

/// Rows of one page.
const PAGE: usize = 200;

/// How far back questions over many events look.
const FAR: usize = 20_000;

impl Desk {
    /// All sessions, the latest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn sessions(&self, cursor: Option<&str>) -> Result<SessionPage, Failure> {
        let all = self.summaries()?;
        let from = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0usize);
        let waiting = self.waiting();
        let rows = all.iter().skip(from).take(PAGE);
        let rows: Vec<Session> = rows.map(|one| known(one, &waiting)).collect();
        let next = from + rows.len();
        Ok(SessionPage {
            next: (next < all.len()).then(|| next.to_string()),
            total: small(all.len()),
            rows,
        })
    }

    /// One session, told.
    ///
    /// # Errors
    /// When there is no such session, or the history cannot be read.
    pub fn story(&self, session: &str) -> Result<Story, Failure> {
        let (summary, mut events) = self.with_index((None, Vec::new()), |index| {
            Ok((index.session(session)?, index.story(session)?))
        })?;
        let summary = summary.ok_or_else(|| missing(&format!("session {session}")))?;
        for event in &mut events {
            event.by = event.by.take().map(|by| cards::by(&by, &self.user));
        }
        Ok(story::tell(known(&summary, &self.waiting()), &events))
    }

    /// Events that a filter lets through, the newest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn events(&self, filter: &EventFilter, cursor: Option<&str>) -> Result<EventPage, Failure> {
        let EventFilter { session, kinds, decision, text } = filter;
        let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let mut wanted = Filter {
            session: session.clone(),
            decision: *decision,
            limit: PAGE,
            before: cursor.map(cursor_of).transpose()?,
            ..Filter::default()
        };
        let sessions = self.summaries()?;
        let of_session = |one: &&SessionSummary| session.as_ref().is_none_or(|id| one.id == *id);
        let mut total: u64 =
            sessions.iter().filter(of_session).map(|one| count_of(one, *decision)).sum();
        let titles = by_id(&sessions);
        let (rows, next) = self.with_index((Vec::new(), None), |index| {
            if let Some(text) = text {
                total = index.count(text, &wanted)?;
            }
            let mut rows = Vec::new();
            loop {
                let page = match text {
                    Some(text) => index.search(text, &wanted)?,
                    None => index.list(&wanted)?,
                };
                rows.extend(
                    page.events
                        .into_iter()
                        .map(|event| row(event, &titles, &self.user))
                        .filter(|row| kinds.is_empty() || kinds.contains(&row.kind)),
                );
                wanted.before = page.next;
                if wanted.before.is_none() || rows.len() >= PAGE {
                    return Ok((rows, wanted.before.take()));
                }
            }
        })?;
        Ok(EventPage { rows, next: next.as_ref().and_then(text_of), total: small(total) })
    }

    /// One event, whole.
    ///
    /// # Errors
    /// When there is no such event, or the history cannot be read.
    pub fn event(&self, session: &str, seq: u64) -> Result<EventDetail, Failure> {
        let event = self.with_index(None, |index| index.show(session, seq))?;
        let event = event.ok_or_else(|| missing(&format!("event {seq} of session {session}")))?;
        let record = serde_json::to_string_pretty(&event)
            .map_err(|error| Failure::plain(format!("The event cannot be shown: {error}.")))?;
        let sessions = self.summaries()?;
        Ok(EventDetail { row: row(event, &by_id(&sessions), &self.user), record })
    }

    /// How often an approval has answered, and when it last did.
    pub(super) fn uses(
        &self,
        session: Option<&str>,
        since: Timestamp,
        approval: &str,
    ) -> (u32, Option<Timestamp>) {
        let filter = Filter {
            session: session.map(str::to_owned),
            since: Some(since),
            decision: Some(Verdict::Allow),
            limit: FAR,
            ..Filter::default()
        };
        // A history that cannot be read says so on its own page.
        let events = self.with_index(Vec::new(), |index| Ok(index.list(&filter)?.events));
        let by_it = |event: &&Event| {
            event.origin.as_ref().is_some_and(|origin| {
                origin.kind == SourceKind::Grant && origin.locator == approval
            })
        };
        let times: Vec<Timestamp> =
            events.iter().flatten().filter(by_it).map(|event| event.time).collect();
        (small(times.len()), times.into_iter().max())
    }

    /// What was decided since a moment, and the latest that was not a plain allow.
    pub(super) fn since(&self, since: Timestamp) -> Result<(Counts, Vec<EventRow>), Failure> {
        let filter = Filter { since: Some(since), limit: FAR, ..Filter::default() };
        let events = self.with_index(Vec::new(), |index| Ok(index.list(&filter)?.events))?;
        let sessions = self.summaries()?;
        let titles = by_id(&sessions);
        let counts = story::count(&events);
        let rows = events
            .into_iter()
            .filter(|event| {
                event.kind == audit::EventKind::Answer || event.decision == Some(Verdict::Deny)
            })
            .take(5)
            .map(|event| row(event, &titles, &self.user))
            .collect();
        Ok((counts, rows))
    }

    /// Every session in the history, the latest first.
    pub(super) fn summaries(&self) -> Result<Vec<SessionSummary>, Failure> {
        self.with_index(Vec::new(), Index::sessions)
    }

    /// A session that runs, as its supervisor describes it, with what the history counts.
    pub(super) fn session(&self, info: &SessionInfo, waiting: usize) -> Session {
        let found = self.with_index(None, |index| index.session(&info.id)).ok().flatten();
        Session {
            id: info.id.clone(),
            agent: info.agent.clone(),
            workspace: info.workspace.clone(),
            branch: info.branch.clone(),
            started: info.started,
            ended: None,
            exit: None,
            governed: Governed::Sandboxed,
            tier: tier(info.tier.as_deref()),
            waiting: small(waiting),
            counts: found.as_ref().map(counts).unwrap_or_default(),
        }
    }

    /// How many requests wait in each session. Sessions that cannot be asked count as none.
    fn waiting(&self) -> HashMap<String, u32> {
        let sessions = self.listing().map(|listing| listing.sessions).unwrap_or_default();
        sessions
            .into_iter()
            .map(|known| {
                let waiting = known.requests.iter().filter(|request| request.waiting).count();
                (known.info.id, small(waiting))
            })
            .collect()
    }

    /// Asks the index, brought up to date. `none` is the answer where there is no history yet.
    pub(super) fn with_index<T>(
        &self,
        none: T,
        ask: impl FnOnce(&mut Index) -> audit::Result<T>,
    ) -> Result<T, Failure> {
        let folder = self.paths.history();
        if !folder.is_dir() {
            return Ok(none);
        }
        let mut slot = locked(&self.index);
        let answer = || -> audit::Result<T> {
            let index = match &mut *slot {
                Some(index) => index,
                empty => empty.insert(Index::open(&folder)?),
            };
            index.refresh()?;
            ask(index)
        };
        answer().map_err(|error| {
            Failure::new(
                format!("The history cannot be read: {}", sentence(&error.to_string())),
                format!("Make {} yours alone: chmod -R go= on it.", folder.display()),
            )
        })
    }
}

/// A session as the history knows it.
fn known(summary: &SessionSummary, waiting: &HashMap<String, u32>) -> Session {
    Session {
        id: summary.id.clone(),
        agent: title(summary.agent.as_deref()),
        workspace: summary.workspace.clone().unwrap_or_default(),
        branch: summary.branch.clone(),
        started: summary.started,
        ended: summary.ended,
        exit: match (summary.state, summary.exit) {
            (SessionState::Running, _) => None,
            (SessionState::Killed, _) => Some("supervisor killed".to_owned()),
            (SessionState::Ended, Some(code)) => Some(format!("exit {code}")),
            (SessionState::Ended, None) => Some("no status recorded".to_owned()),
        },
        governed: Governed::Sandboxed,
        tier: tier(summary.tier.as_deref()),
        waiting: waiting.get(&summary.id).copied().unwrap_or_default(),
        counts: counts(summary),
    }
}

fn counts(summary: &SessionSummary) -> Counts {
    Counts {
        allowed: small(summary.allowed),
        asked: small(summary.asked),
        denied: small(summary.denied),
    }
}

fn count_of(summary: &SessionSummary, decision: Option<Verdict>) -> u64 {
    match decision {
        None => summary.events,
        Some(Verdict::Allow) => summary.allowed,
        Some(Verdict::Ask) => summary.asked,
        Some(Verdict::Deny) => summary.denied,
    }
}

fn by_id(sessions: &[SessionSummary]) -> HashMap<&str, &SessionSummary> {
    sessions.iter().map(|one| (one.id.as_str(), one)).collect()
}

fn row(event: Event, sessions: &HashMap<&str, &SessionSummary>, user: &str) -> EventRow {
    let session = sessions.get(event.session.as_str());
    let note = event.detail.get("note").and_then(|note| note.as_str());
    EventRow {
        agent: title(session.and_then(|one| one.agent.as_deref())),
        workspace: session.and_then(|one| one.workspace.clone()).unwrap_or_default(),
        what: match (&event.action, &event.reason) {
            (Some(action), _) => action.clone(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => event.kind.as_str().replace('-', " "),
        },
        kind: kind(&event.kind),
        // An answer's reason is what the person wrote.
        reason: Some(story::observed(&event))
            .filter(|reason| !reason.is_empty())
            .or_else(|| note.map(|note| format!("“{note}”"))),
        seq: event.seq,
        time: event.time,
        session: event.session,
        decision: event.decision,
        rule: event.rule,
        origin: event.origin,
        by: event.by.map(|by| cards::by(&by, user)),
    }
}

fn kind(kind: &audit::EventKind) -> EventKind {
    match kind {
        audit::EventKind::SessionStart => EventKind::SessionStart,
        audit::EventKind::SessionEnd => EventKind::SessionEnd,
        audit::EventKind::Command => EventKind::Command,
        audit::EventKind::Read => EventKind::Read,
        audit::EventKind::Write => EventKind::Write,
        audit::EventKind::Connect => EventKind::Connect,
        audit::EventKind::Http => EventKind::Http,
        audit::EventKind::Traffic => EventKind::Traffic,
        audit::EventKind::Sign => EventKind::Sign,
        audit::EventKind::Credential => EventKind::Credential,
        audit::EventKind::Request => EventKind::Request,
        audit::EventKind::Answer => EventKind::Answer,
        audit::EventKind::Withdrawn => EventKind::Withdrawn,
        audit::EventKind::Stopped => EventKind::Stop,
        audit::EventKind::Continued => EventKind::Continue,
        audit::EventKind::Ended => EventKind::LeftOver,
        // Of a newer version: something that a person should look at.
        audit::EventKind::Finding | audit::EventKind::Other(_) => EventKind::Finding,
    }
}

/// The agent's title where an agent file knows it, else its own name.
pub(super) fn title(agent: Option<&str>) -> String {
    let Some(agent) = agent else { return "an agent since erased".to_owned() };
    let known = agents::all().find(|one| one.name == agent);
    known.map_or(agent, |one| &one.title).to_owned()
}

fn tier(word: Option<&str>) -> Tier {
    match word {
        Some("full") => Tier::Full,
        Some("reduced") => Tier::Reduced,
        Some(_) | None => Tier::None,
    }
}

/// A cursor goes to the window and back as text.
fn text_of(cursor: &Cursor) -> Option<String> {
    match serde_json::to_value(cursor) {
        Ok(serde_json::Value::String(text)) => Some(text),
        Ok(_) | Err(_) => None,
    }
}

fn cursor_of(text: &str) -> Result<Cursor, Failure> {
    serde_json::from_value(text.into())
        .map_err(|_| Failure::plain(format!("There is no page `{text}`.")))
}

/// More than four thousand million of anything is shown as that many.
pub(super) fn small(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

fn missing(what: &str) -> Failure {
    Failure::plain(format!("There is no {what} in the history."))
}
