//! What a client knows of all sessions at once: their messages come in, changes go out. Pure.

use crate::answer::KeptApproval;
use crate::protocol::ServerMessage;
use crate::request::{Request, SessionInfo};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long a request stays visible after its end.
const SHOWN_FOR: SignedDuration = SignedDuration::from_secs(60);

/// One session as an inbox knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRequests {
    /// The session.
    pub info: SessionInfo,
    /// What waits, and what ended within the last minute, in the order of asking.
    pub requests: Vec<Request>,
    /// The approvals that hold for the rest of the session.
    pub approvals: Vec<KeptApproval>,
}

/// Everything that an inbox could reach, and what it could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// By start.
    pub sessions: Vec<SessionRequests>,
    /// Sessions that are there and did not answer or did not want to.
    pub unreachable: Vec<Unreachable>,
}

/// A session that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// The session.
    pub session: String,
    /// Why, in plain words.
    pub reason: String,
}

/// What has changed in an inbox.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A session is there, or there again; its requests follow.
    Started(SessionInfo),
    /// A request is new, or any part of it has changed.
    Request(Box<Request>),
    /// A request that ended a minute ago is shown no longer.
    Forgotten {
        /// Its session.
        session: String,
        /// Its id.
        request: String,
    },
    /// All approvals of a session, after a change.
    Approvals {
        /// The session.
        session: String,
        /// All of them.
        approvals: Vec<KeptApproval>,
    },
    /// Something happened in a session that a live view may show.
    Event {
        /// The session.
        session: String,
        /// What, as the session says it.
        data: Value,
    },
    /// A session is over, and its requests with it.
    Ended {
        /// The session.
        session: String,
        /// Whether it went without a word, as a killed one does.
        silent: bool,
    },
    /// A session does not talk to this client.
    Refused {
        /// The session.
        session: String,
        /// In the session's words.
        reason: String,
    },
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    sessions: BTreeMap<String, SessionRequests>,
}

impl Merged {
    /// By the start of the session.
    pub(crate) fn sessions(&self) -> Vec<SessionRequests> {
        let mut sessions: Vec<_> = self.sessions.values().cloned().collect();
        sessions.sort_by(|a, b| (a.info.started, &a.info.id).cmp(&(b.info.started, &b.info.id)));
        sessions
    }

    pub(crate) fn has(&self, session: &str) -> bool {
        self.sessions.contains_key(session)
    }

    /// Takes a message of the session whose socket has this name.
    pub(crate) fn apply(&mut self, session: &str, message: ServerMessage) -> Vec<Change> {
        match message {
            ServerMessage::Welcome { session: info, requests, approvals, .. } => {
                let mut changes = vec![Change::Started(info.clone())];
                changes.extend(requests.iter().map(|r| Change::Request(Box::new(r.clone()))));
                changes.push(Change::Approvals {
                    session: session.to_owned(),
                    approvals: approvals.clone(),
                });
                let known = SessionRequests { info, requests, approvals };
                self.sessions.insert(session.to_owned(), known);
                changes
            }
            ServerMessage::Request { request }
            | ServerMessage::Updated { request }
            | ServerMessage::Answered { request }
            | ServerMessage::Withdrawn { request } => {
                let Some(known) = self.sessions.get_mut(session) else { return Vec::new() };
                match known.requests.iter_mut().find(|r| r.id == request.id) {
                    Some(old) => old.clone_from(&request),
                    None => known.requests.push(request.as_ref().clone()),
                }
                vec![Change::Request(request)]
            }
            ServerMessage::Approvals { approvals } => {
                let Some(known) = self.sessions.get_mut(session) else { return Vec::new() };
                known.approvals.clone_from(&approvals);
                vec![Change::Approvals { session: session.to_owned(), approvals }]
            }
            ServerMessage::Event { data } => {
                vec![Change::Event { session: session.to_owned(), data }]
            }
            ServerMessage::Ended => self.gone(session, false),
            ServerMessage::Goodbye { reason } => {
                vec![Change::Refused { session: session.to_owned(), reason }]
            }
            ServerMessage::Reply { .. }
            | ServerMessage::Problem { .. }
            | ServerMessage::Unknown { .. }
            | ServerMessage::Newer(_) => Vec::new(),
        }
    }

    /// The connection to a session has ended.
    pub(crate) fn gone(&mut self, session: &str, silent: bool) -> Vec<Change> {
        match self.sessions.remove(session) {
            Some(_) => vec![Change::Ended { session: session.to_owned(), silent }],
            None => Vec::new(),
        }
    }

    /// Drops what ended a minute ago.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for (session, known) in &mut self.sessions {
            known.requests.retain(|request| {
                let keep =
                    request.answer.as_ref().is_none_or(|a| now.duration_since(a.at) < SHOWN_FOR);
                if !keep {
                    changes.push(Change::Forgotten {
                        session: session.clone(),
                        request: request.id.clone(),
                    });
                }
                keep
            });
        }
        changes
    }

    /// When [`Merged::tick`] has something to drop next.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let ends = self.sessions.values().flat_map(|known| &known.requests);
        ends.filter_map(|r| r.answer.as_ref()?.at.checked_add(SHOWN_FOR).ok()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::parse_server;
    use serde_json::json;

    fn request(id: &str, state: &str) -> Value {
        let answered = json!({
            "verdict": "allow", "scope": "once", "by": "ada", "at": "2026-11-22T09:00:00Z"
        });
        json!({
            "id": id, "session": "s1", "agent": "aider", "workspace": "/w",
            "time": "2026-11-22T08:59:00Z", "expires": "2026-11-22T09:09:00Z",
            "sentence": "Push.", "display": "git push",
            "facts": {
                "undoable": {"answer": "no", "text": ""},
                "leaves_laptop": {"answer": "yes", "text": ""},
                "new_compared": {"answer": "perhaps", "text": ""},
            },
            "origin": {"kind": "remote-bundle", "locator": "https://acme.example/policy"},
            "reason": "Publishes work.", "enforced": "hypervisor",
            "scopes": ["once", "forever"], "state": state, "waiting": state == "waiting",
            "answer": if state == "waiting" { Value::Null } else { answered },
            "colour": "of a newer version",
        })
    }

    fn take(merged: &mut Merged, message: &Value) -> Vec<Change> {
        let message = parse_server(message.to_string().as_bytes()).unwrap();
        merged.apply("s1", message)
    }

    fn welcome(requests: &[Value]) -> Value {
        json!({
            "type": "welcome", "version": 1, "requests": requests, "mood": "of a newer version",
            "session": {
                "id": "s1", "agent": "aider", "workspace": "/w", "pid": 1,
                "started": "2026-11-22T08:00:00Z", "user": "ada",
            },
        })
    }

    #[test]
    fn a_request_of_a_newer_session_is_shown_with_the_more_careful_meaning() {
        let mut merged = Merged::default();
        take(&mut merged, &welcome(&[request("s1.1", "waiting")]));
        let known = merged.sessions().remove(0).requests.remove(0);
        assert_eq!(known.scopes, [crate::Scope::Once]);
        assert_eq!(known.enforced, crate::Enforced::Cooperative);
        assert_eq!(known.facts.new_compared.answer, crate::FactAnswer::Unknown);
        assert_eq!(known.origin.to_string(), "remote-bundle https://acme.example/policy");
        take(&mut merged, &json!({"type": "updated", "request": request("s1.1", "escalated")}));
        assert_eq!(merged.sessions()[0].requests[0].state, crate::State::Withdrawn);
    }

    #[test]
    fn messages_of_a_newer_session_change_nothing() {
        let mut merged = Merged::default();
        take(&mut merged, &welcome(&[]));
        assert_eq!(take(&mut merged, &json!({"type": "weather", "rain": true})), []);
        assert_eq!(take(&mut merged, &json!({"type": "request", "request": 7})), []);
        assert!(parse_server(b"{").is_none());
    }

    #[test]
    fn a_second_welcome_replaces_what_was_known() {
        let mut merged = Merged::default();
        take(&mut merged, &welcome(&[request("s1.1", "waiting")]));
        take(&mut merged, &welcome(&[request("s1.2", "waiting")]));
        let ids: Vec<String> =
            merged.sessions().remove(0).requests.into_iter().map(|r| r.id).collect();
        assert_eq!(ids, ["s1.2"]);
    }

    #[test]
    fn what_ended_a_minute_ago_is_forgotten_and_what_waits_is_not() {
        let mut merged = Merged::default();
        take(&mut merged, &welcome(&[request("s1.1", "answered"), request("s1.2", "waiting")]));
        let minute: Timestamp = "2026-11-22T09:01:00Z".parse().unwrap();
        assert_eq!(merged.next_deadline(), Some(minute));
        assert_eq!(merged.tick(minute - SignedDuration::from_secs(1)), []);
        let forgotten = Change::Forgotten { session: "s1".into(), request: "s1.1".into() };
        assert_eq!(merged.tick(minute), [forgotten]);
        assert_eq!(merged.sessions()[0].requests.len(), 1);
        assert_eq!(merged.next_deadline(), None);
    }
}
