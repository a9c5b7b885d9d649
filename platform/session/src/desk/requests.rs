//! What waits for an answer, in all sessions at once, and the approvals that were given.

use super::watch::locked;
use super::{
    Answer, AnswerOutcome, AnswerVerdict, Change, Desk, Failure, Grant, RequestGroup, Requests,
    Scope, cards,
};
use crate::grants::Grants;
use crate::load::{Question, load};
use chaperone_approvals::{
    self as wire, AnswerMsg, Inbox, KeptApproval, Listing, Role, SessionInfo, SessionRequests,
};
use chaperone_policy::{ANY_HOST, Origin};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::time::Duration;

/// How long a session has to say what it has, before it counts as one that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a request stays visible after its end.
const SHOWN_FOR: SignedDuration = SignedDuration::from_secs(60);

impl Desk {
    /// What waits, by the oldest request of each session, and what was just answered.
    ///
    /// # Errors
    /// When the folder of the sessions' sockets cannot be trusted or read.
    pub fn requests(&self) -> Result<Requests, Failure> {
        let listing = self.listing()?;
        let user = &self.user;
        let mut groups = Vec::new();
        let mut answered = Vec::new();
        for SessionRequests { info, requests, approvals: _ } in &listing.sessions {
            let (open, ended): (Vec<_>, Vec<_>) =
                requests.iter().partition(|request| request.state == wire::State::Waiting);
            answered.extend(ended.into_iter().filter_map(|request| cards::settled(request, user)));
            if !open.is_empty() {
                let requests = open.iter().map(|r| cards::card(r, self.scope_limit(r))).collect();
                groups.push(RequestGroup { session: self.session(info, open.len()), requests });
            }
        }
        for request in self.just_ended() {
            let known = |a: &super::AnsweredRequest| a.request.id == request.id;
            if !answered.iter().any(known) {
                answered.extend(cards::settled(&request, user));
            }
        }
        groups.sort_by_key(|group| group.requests.iter().map(|request| request.asked_at).min());
        answered.sort_by_key(|request| std::cmp::Reverse(request.at));
        Ok(Requests { groups, answered })
    }

    /// Answers a request. The first answer wins; a late one is told who won.
    ///
    /// # Errors
    /// When the sessions cannot be looked at. A session that refuses says so in the outcome.
    pub fn answer(&self, answer: &Answer) -> Result<AnswerOutcome, Failure> {
        let message = AnswerMsg {
            request: answer.request.clone(),
            verdict: match answer.verdict {
                AnswerVerdict::Allow => wire::AnswerVerdict::Allow,
                AnswerVerdict::Deny => wire::AnswerVerdict::Deny,
            },
            scope: answer.scope,
            hosts: answer.hosts.clone(),
            denied: answer.denied.clone(),
            further: answer.further,
            note: answer.note.clone(),
            by: String::new(), // The session says who, from the peer.
        };
        Ok(cards::outcome(self.with_inbox(|inbox| inbox.answer(&message))?, &self.user))
    }

    /// The approvals that outlive their requests, newest first.
    ///
    /// # Errors
    /// As [`Desk::requests`].
    pub fn grants(&self) -> Result<Vec<Grant>, Failure> {
        let mut grants: Vec<Grant> = self
            .listing()?
            .sessions
            .iter()
            .flat_map(|known| known.approvals.iter().map(|kept| self.grant(&known.info, kept)))
            .collect();
        grants.extend(Grants::new(&self.paths).list(Timestamp::now()).into_iter().map(|kept| {
            let (uses, last_used) = self.uses(None, kept.given, &kept.id);
            Grant {
                sentence: granted(&kept.prefix),
                prefix: kept.prefix,
                scope: Scope::Workspace,
                command: None,
                workspace: kept.workspace.to_string_lossy().into_owned(),
                by: cards::by(&kept.by, &self.user),
                given: kept.given,
                uses,
                last_used,
                expires: Some(kept.expires),
                session: kept.session,
                id: kept.id,
            }
        }));
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.given));
        Ok(grants)
    }

    /// Takes an approval back.
    ///
    /// # Errors
    /// When it does not hold any more, or the session does not take it back.
    pub fn revoke(&self, grant: &str) -> Result<(), Failure> {
        let grants = self.grants()?;
        let Some(found) = grants.iter().find(|one| one.id == grant) else {
            return Err(Failure::plain("This approval does not hold any more."));
        };
        if found.scope == Scope::Workspace {
            return match Grants::new(&self.paths).revoke(grant) {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::plain(format!("It could not be taken back: {error}."))),
            };
        }
        match self.with_inbox(|inbox| inbox.revoke(&found.session, grant))? {
            wire::AnswerOutcome::Accepted => Ok(()),
            refused => Err(Failure::plain(refused.to_string())),
        }
    }

    /// The session that works in a folder now, if one does.
    pub(super) fn running_in(&self, workspace: &Path) -> Option<String> {
        let sessions = self.listing().ok()?.sessions;
        let found =
            sessions.into_iter().find(|known| Path::new(&known.info.workspace) == workspace);
        Some(found?.info.id)
    }

    /// What all sessions have to say now.
    pub(super) fn listing(&self) -> Result<Listing, Failure> {
        match self.inbox.get() {
            Some(inbox) => Ok(inbox.ready(PATIENCE)),
            None => Inbox::list(&self.paths.runtime, PATIENCE).map_err(unreachable),
        }
    }

    /// The window's own inbox, or one for this question alone.
    fn with_inbox<T>(&self, ask: impl FnOnce(&Inbox) -> T) -> Result<T, Failure> {
        match self.inbox.get() {
            Some(inbox) => Ok(ask(inbox)),
            None => {
                let inbox =
                    Inbox::start(&self.paths.runtime, Role::List, |_| {}).map_err(unreachable)?;
                inbox.ready(PATIENCE);
                Ok(ask(&inbox))
            }
        }
    }

    /// Looks at all sessions from now on, as the window that a person sits in front of.
    pub(super) fn start_inbox(&self) -> Result<(), Failure> {
        let (listeners, ended) = (self.listeners.clone(), self.ended.clone());
        let hear = move |change: wire::Change| {
            let told = match change {
                wire::Change::Request(request) => {
                    if request.state != wire::State::Waiting {
                        locked(&ended).push(*request);
                    }
                    &[Change::Requests, Change::Activity][..]
                }
                wire::Change::Forgotten { .. } | wire::Change::Refused { .. } => {
                    &[Change::Requests]
                }
                wire::Change::Approvals { .. } => &[Change::Rules],
                wire::Change::Event { .. } => &[Change::Activity],
                wire::Change::Started(_) | wire::Change::Ended { .. } => {
                    &[Change::Requests, Change::Sessions, Change::Activity]
                }
            };
            listeners.tell(told);
        };
        let inbox = Inbox::start(&self.paths.runtime, Role::Window, hear).map_err(unreachable)?;
        // A second call keeps the first one's inbox; this one closes.
        let _ = self.inbox.set(inbox);
        Ok(())
    }

    /// What ended within the last minute, also in sessions that are over.
    fn just_ended(&self) -> Vec<wire::Request> {
        let now = Timestamp::now();
        let mut ended = locked(&self.ended);
        ended.retain(|r| r.answer.as_ref().is_some_and(|a| now.duration_since(a.at) < SHOWN_FOR));
        ended.clone()
    }

    /// Who took the scope of the session away, where a card does not offer it.
    fn scope_limit(&self, request: &wire::Request) -> Option<Origin> {
        if request.scopes.contains(&Scope::Session) {
            return None;
        }
        let question =
            Question { workspace: Some(request.workspace.clone().into()), ..Question::default() };
        let scopes = load(&question, &self.paths).ok()?.policy.explain("approvals.scopes").ok()?;
        scopes.origins.into_iter().next()
    }

    fn grant(&self, info: &SessionInfo, kept: &KeptApproval) -> Grant {
        let (uses, last_used) = self.uses(Some(&info.id), kept.given, &kept.id);
        Grant {
            id: kept.id.clone(),
            sentence: granted(&kept.prefix),
            prefix: kept.prefix.clone(),
            scope: kept.scope,
            command: kept.command.as_ref().map(|command| command.line.clone()),
            workspace: info.workspace.clone(),
            by: cards::by(&kept.by, &self.user),
            given: kept.given,
            uses,
            last_used,
            expires: kept.expires,
            session: info.id.clone(),
        }
    }
}

/// What an approval covers, in words.
fn granted(prefix: &[String]) -> String {
    match prefix {
        [any] if any == ANY_HOST => "Connect to hosts that nothing speaks against".to_owned(),
        [host] if let Some(host) = host.strip_prefix("tcp://") => {
            format!("Connect to {host} without asking")
        }
        [method, host] if let Some(host) = host.strip_prefix("http://") => {
            format!("Send {host} {method} requests without asking")
        }
        words => format!("Run {} … without asking", wire::shell_words(words)),
    }
}

fn unreachable(error: wire::Error) -> Failure {
    Failure::plain(format!("The running sessions cannot be looked at: {error}."))
}
