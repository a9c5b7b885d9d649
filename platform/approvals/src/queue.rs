//! The queue of one session's requests: a pure state machine. Time comes in as an argument, what
//! has to be told or done comes out as [`Effect`]s.

use crate::answer::{Answer, AnswerMsg, AnswerOutcome, AnswerVerdict, KeptApproval, Outcome};
use crate::request::{NewRequest, Request, SessionInfo, State};
use crate::visible::clean_note;
use chaperone_policy::{Action, Scope, SessionApproval};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

/// One waiter: equal requests have one card and a ticket each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What an agent can make a queue hold. An agent can start thousands of commands at once; people
/// cannot read thousands of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Requests that wait at a time. What comes on top is denied at once.
    pub waiting: usize,
    /// Bytes of one request's command and environment. Nobody reads a longer one: denied at once.
    pub text: usize,
    /// Bytes of all waiting requests together.
    pub total_text: usize,
    /// How long an ended request stays visible.
    pub shown_for: Duration,
    /// How many ended requests are remembered, to tell a late answerer who was first.
    pub remembered: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            waiting: 200,
            text: 64 * 1024,
            total_text: 1024 * 1024,
            shown_for: Duration::from_secs(60),
            remembered: 1000,
        }
    }
}

/// What has to be told or done after a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A request has begun to wait.
    Asked(String),
    /// Another equal one joined a request or left it, or less is offered for it than before.
    Updated(String),
    /// These waiters have their outcome. Each ticket is settled exactly once, unless withdrawn.
    Settled {
        /// The waiters.
        tickets: Vec<Ticket>,
        /// What to do.
        outcome: Outcome,
    },
    /// The last waiter of a request has gone.
    Withdrawn(String),
    /// The approvals for the whole session have changed.
    Approvals,
}

/// The requests of one session.
#[derive(Debug)]
pub struct Queue {
    session: SessionInfo,
    scopes: Vec<Scope>,
    expires: SignedDuration,
    limits: QueueLimits,
    /// Waiting ones and those that ended a moment ago, in the order of asking.
    entries: Vec<Entry>,
    /// How requests ended, the latest last.
    ended: VecDeque<(String, State, Answer)>,
    approvals: Vec<KeptApproval>,
    next_request: u64,
    next_ticket: u64,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    key: Key,
    text: usize,
    tickets: Vec<Ticket>,
}

/// What makes requests equal: what would happen, and what a person is asked about it. Who in the
/// agent's process tree starts it makes no difference to what an answer permits.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    action: Action,
    sentence: String,
    rule: Option<String>,
    session_scope: Option<Vec<String>>,
}

impl Queue {
    /// An empty queue. `scopes` are those that the policy allows; once is always among them,
    /// since an ask that nobody may answer would be a deny. `expires` is the policy's as well.
    pub fn new(session: SessionInfo, scopes: &[Scope], expires: Duration) -> Self {
        Self::with_limits(session, scopes, expires, QueueLimits::default())
    }

    /// As [`Queue::new`], with other limits.
    pub fn with_limits(
        session: SessionInfo,
        scopes: &[Scope],
        expires: Duration,
        limits: QueueLimits,
    ) -> Self {
        let mut queue = Self {
            session,
            scopes: Vec::new(),
            expires: SignedDuration::ZERO,
            limits,
            entries: Vec::new(),
            ended: VecDeque::new(),
            approvals: Vec::new(),
            next_request: 1,
            next_ticket: 1,
        };
        queue.limit(scopes, expires);
        queue
    }

    /// Sets how far answers reach and how long requests wait. What waits already follows where that
    /// is tighter than it was; nothing that was shown is loosened.
    pub fn limit(&mut self, scopes: &[Scope], expires: Duration) -> Vec<Effect> {
        self.scopes = scopes.iter().copied().chain([Scope::Once]).collect();
        self.scopes.sort_unstable();
        self.scopes.dedup();
        // Longer than a year is longer than any session, and keeps the addition in range.
        let year = Duration::from_secs(365 * 24 * 3600);
        self.expires = SignedDuration::try_from(expires.min(year)).unwrap_or_default();
        let mut effects = Vec::new();
        for Entry { request, .. } in self.entries.iter_mut().filter(|e| e.request.waiting) {
            let before = (request.scopes.len(), request.expires);
            request.scopes.retain(|scope| self.scopes.contains(scope));
            let latest = request.time.checked_add(self.expires).unwrap_or(Timestamp::MAX);
            request.expires = request.expires.min(latest);
            if before != (request.scopes.len(), request.expires) {
                effects.push(Effect::Updated(request.id.clone()));
            }
        }
        effects
    }

    /// Whose requests these are.
    pub fn session(&self) -> &SessionInfo {
        &self.session
    }

    /// Asks. The ticket is settled by a later effect, or by one of this very call: when an
    /// approval for the session already covers it, or when it cannot be put before a person.
    pub fn ask(&mut self, new: NewRequest, now: Timestamp) -> (Ticket, Vec<Effect>) {
        let mut effects = self.tick(now);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;

        if let Some(outcome) = self.already_approved(&new) {
            effects.push(Effect::Settled { tickets: vec![ticket], outcome });
            return (ticket, effects);
        }
        let key = Key {
            action: new.action.clone(),
            sentence: new.sentence.clone(),
            rule: new.decision.rule.clone(),
            session_scope: new.session_scope.clone(),
        };
        if let Some(entry) = self.entries.iter_mut().find(|e| e.request.waiting && e.key == key) {
            entry.tickets.push(ticket);
            entry.request.count = entry.tickets.len().try_into().unwrap_or(u32::MAX);
            effects.push(Effect::Updated(entry.request.id.clone()));
            return (ticket, effects);
        }
        let text = text_of(&new);
        if let Err(why) = self.has_room(text) {
            let outcome = Outcome {
                request: None,
                verdict: AnswerVerdict::Deny,
                scope: Scope::Once,
                by: NOBODY.to_owned(),
                state: State::Withdrawn,
                note: Some(why),
                approval: None,
            };
            effects.push(Effect::Settled { tickets: vec![ticket], outcome });
            return (ticket, effects);
        }

        let id = format!("{}.{}", self.session.id, self.next_request);
        self.next_request += 1;
        let scopes = self.scopes_of(&new);
        let expires = now.checked_add(self.expires).unwrap_or(Timestamp::MAX);
        let request = Request::waiting(id.clone(), &self.session, new, scopes, now, expires);
        self.entries.push(Entry { request, key, text, tickets: vec![ticket] });
        effects.push(Effect::Asked(id));
        (ticket, effects)
    }

    /// Takes an answer. The first that fits wins; every later one is told who was first.
    pub fn answer(&mut self, msg: &AnswerMsg, now: Timestamp) -> (AnswerOutcome, Vec<Effect>) {
        let mut effects = self.tick(now);
        let Some(entry) =
            self.entries.iter().find(|e| e.request.id == msg.request && e.request.waiting)
        else {
            return (self.late(&msg.request), effects);
        };
        if let Some(reason) = not_offered(&entry.request, msg) {
            return (AnswerOutcome::refused(reason), effects);
        }
        let answer = Answer {
            verdict: msg.verdict,
            scope: msg.scope,
            by: msg.by.clone(),
            note: msg.note.as_deref().and_then(clean_note),
            at: now,
        };
        let prefix = entry.request.session_scope.clone().filter(|_| msg.scope == Scope::Session);
        let Some(prefix) = prefix else {
            effects.extend(self.settle(&msg.request, State::Answered, &answer, None));
            return (AnswerOutcome::Accepted, effects);
        };

        let kept = KeptApproval {
            id: msg.request.clone(),
            prefix,
            by: msg.by.clone(),
            given: now,
            expires: None,
        };
        // Whatever else waits under the same beginning is answered by the same words.
        let covered: Vec<String> = self
            .entries
            .iter()
            .filter(|e| e.request.waiting && e.request.session_scope.as_ref() == Some(&kept.prefix))
            .map(|e| e.request.id.clone())
            .collect();
        let approval = SessionApproval::from(&kept);
        self.approvals.push(kept);
        for id in covered {
            effects.extend(self.settle(&id, State::Answered, &answer, Some(approval.clone())));
        }
        effects.push(Effect::Approvals);
        (AnswerOutcome::Accepted, effects)
    }

    /// A waiter has gone: its process died, or its hook lost patience. With the last of them the
    /// request is withdrawn. A ticket that is settled already is left alone.
    pub fn withdraw(&mut self, ticket: Ticket, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.tick(now);
        let Some(entry) = self.entries.iter_mut().find(|e| e.tickets.contains(&ticket)) else {
            return effects;
        };
        entry.tickets.retain(|other| *other != ticket);
        let id = entry.request.id.clone();
        if entry.tickets.is_empty() {
            let answer = nobody(now);
            self.end_request(&id, State::Withdrawn, &answer);
            effects.push(Effect::Withdrawn(id));
        } else {
            entry.request.count = entry.tickets.len().try_into().unwrap_or(u32::MAX);
            effects.push(Effect::Updated(id));
        }
        effects
    }

    /// Lets time pass: denies what has expired and forgets what was shown long enough.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        let shown_for = SignedDuration::try_from(self.limits.shown_for).unwrap_or_default();
        self.entries.retain(|entry| {
            entry
                .request
                .answer
                .as_ref()
                .is_none_or(|answer| now.duration_since(answer.at) < shown_for)
        });
        let due: Vec<String> = self
            .entries
            .iter()
            .filter(|e| e.request.waiting && e.request.expires <= now)
            .map(|e| e.request.id.clone())
            .collect();
        due.iter().flat_map(|id| self.settle(id, State::Expired, &nobody(now), None)).collect()
    }

    /// The session ends: whoever still waits is denied.
    pub fn end(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.tick(now);
        let waiting: Vec<String> = self
            .entries
            .iter()
            .filter(|e| e.request.waiting)
            .map(|e| e.request.id.clone())
            .collect();
        for id in waiting {
            effects.extend(self.settle(&id, State::Withdrawn, &nobody(now), None));
        }
        effects
    }

    /// When [`Queue::tick`] has something to deny next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.entries.iter().filter(|e| e.request.waiting).map(|e| e.request.expires).min()
    }

    /// What waits, and what ended within the last minute, in the order of asking.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.entries.iter().map(|entry| &entry.request)
    }

    /// The request that this ticket waits for; `None` once it is settled or withdrawn.
    pub fn request_of(&self, ticket: Ticket) -> Option<&Request> {
        let entry = self.entries.iter().find(|entry| entry.tickets.contains(&ticket))?;
        Some(&entry.request)
    }

    /// One of [`Queue::requests`].
    pub fn request(&self, id: &str) -> Option<&Request> {
        self.requests().find(|request| request.id == id)
    }

    /// The approvals for the whole session that hold now.
    pub fn approvals(&self, now: Timestamp) -> impl Iterator<Item = &KeptApproval> {
        self.approvals.iter().filter(move |kept| kept.expires.is_none_or(|until| now < until))
    }

    /// Takes an approval for the session back. `None`: there is none of that name.
    pub fn revoke(&mut self, id: &str) -> Option<(KeptApproval, Vec<Effect>)> {
        let index = self.approvals.iter().position(|kept| kept.id == id)?;
        Some((self.approvals.remove(index), vec![Effect::Approvals]))
    }

    fn scopes_of(&self, new: &NewRequest) -> Vec<Scope> {
        let has_prefix = new.session_scope.as_ref().is_some_and(|prefix| !prefix.is_empty());
        self.scopes.iter().copied().filter(|s| *s == Scope::Once || has_prefix).collect()
    }

    /// An approval may have come between the decision to ask and the asking.
    fn already_approved(&self, new: &NewRequest) -> Option<Outcome> {
        let prefix = new.session_scope.as_ref()?;
        let kept = self.approvals.iter().find(|kept| kept.prefix == *prefix)?;
        Some(Outcome {
            request: Some(kept.id.clone()),
            verdict: AnswerVerdict::Allow,
            scope: Scope::Session,
            by: kept.by.clone(),
            state: State::Answered,
            note: None,
            approval: Some(kept.into()),
        })
    }

    fn has_room(&self, text: usize) -> Result<(), String> {
        if text > self.limits.text {
            return Err(format!(
                "A person would have to read this first, and it is {text} bytes long (at most {} \
                 are shown). Put the long part into a file and try again.",
                self.limits.text
            ));
        }
        let waiting = self.entries.iter().filter(|e| e.request.waiting);
        let (count, total) = waiting.fold((0, 0), |(n, sum), e| (n + 1, sum + e.text));
        if count >= self.limits.waiting || total + text > self.limits.total_text {
            return Err(format!(
                "{count} requests of this session wait for an answer already. Wait for those first."
            ));
        }
        Ok(())
    }

    fn late(&self, id: &str) -> AnswerOutcome {
        match self.ended.iter().find(|(ended, ..)| ended == id) {
            Some((_, state, answer)) => AnswerOutcome::Late {
                state: *state,
                by: answer.by.clone(),
                verdict: answer.verdict,
                at: answer.at,
            },
            None => AnswerOutcome::refused(format!("There is no request {id} in this session.")),
        }
    }

    /// Ends a waiting request and settles its waiters. Nothing when it does not wait.
    fn settle(
        &mut self,
        id: &str,
        state: State,
        answer: &Answer,
        approval: Option<SessionApproval>,
    ) -> Option<Effect> {
        let tickets = self.end_request(id, state, answer)?;
        let outcome = Outcome {
            request: Some(id.to_owned()),
            verdict: answer.verdict,
            scope: answer.scope,
            by: answer.by.clone(),
            state,
            note: answer.note.clone(),
            approval,
        };
        Some(Effect::Settled { tickets, outcome })
    }

    /// The one place where a request leaves `waiting`; it never comes back.
    fn end_request(&mut self, id: &str, state: State, answer: &Answer) -> Option<Vec<Ticket>> {
        let entry = self.entries.iter_mut().find(|e| e.request.id == id && e.request.waiting)?;
        entry.request.waiting = false;
        entry.request.state = state;
        entry.request.answer = Some(answer.clone());
        if self.ended.len() >= self.limits.remembered {
            self.ended.pop_front();
        }
        self.ended.push_back((id.to_owned(), state, answer.clone()));
        Some(std::mem::take(&mut entry.tickets))
    }
}

const NOBODY: &str = "nobody";

fn nobody(at: Timestamp) -> Answer {
    Answer {
        verdict: AnswerVerdict::Deny,
        scope: Scope::Once,
        by: NOBODY.to_owned(),
        note: None,
        at,
    }
}

/// Why this answer cannot be taken for this request, if so.
fn not_offered(request: &Request, msg: &AnswerMsg) -> Option<String> {
    match (msg.verdict, msg.scope) {
        (AnswerVerdict::Deny, Scope::Session) => Some(
            "A denial is for once: nothing would remember it for the session. Deny it once, with \
             a note if the agent shall not try again."
                .to_owned(),
        ),
        (_, scope) if request.scopes.contains(&scope) => None,
        (_, scope) => {
            let offered: Vec<String> = request.scopes.iter().map(Scope::to_string).collect();
            Some(format!(
                "The scope {scope} is not offered for this request. Offered: {}.",
                offered.join(", ")
            ))
        }
    }
}

/// Bytes that the agent chose.
fn text_of(new: &NewRequest) -> usize {
    let action = match &new.action {
        Action::Run(command) => {
            let argv: usize = command.argv.iter().map(|word| word.len() + 1).sum();
            let environment: usize =
                command.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
            argv + environment
                + command.cwd.as_os_str().len()
                + command.executable.as_os_str().len()
        }
        Action::Read { path } | Action::Write { path } => path.as_os_str().len(),
        Action::Connect { host, .. } => host.len(),
        Action::Http(request) => request.to_string().len(),
    };
    let chain: usize = new.chain.iter().map(String::len).sum();
    action + chain + new.reported.as_ref().map_or(0, String::len)
}
