//! The queue of one session's requests: a pure state machine. Time comes in as an argument, what
//! has to be told or done comes out as [`Effect`]s.

use crate::answer::{Answer, AnswerMsg, AnswerOutcome, AnswerVerdict, KeptApproval, Outcome};
use crate::entry::{Entry, not_offered, text_of};
use crate::part::{Key, Part, describe};
use crate::request::{NewHost, NewRequest, Request, SessionInfo, State};
use crate::visible::clean_note;
use chaperone_policy::{ANY_HOST, Approval, Scope};
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
    /// Another one joined a request or left it, some of its hosts were answered, or less is offered for
    /// it than before.
    Updated(String),
    /// The last that waited in a request have their outcome.
    Answered(String),
    /// These waiters have their outcome. Each ticket is settled exactly once, unless withdrawn.
    Settled {
        /// The waiters.
        tickets: Vec<Ticket>,
        /// What to do.
        outcome: Box<Outcome>,
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
            effects.push(Effect::Settled { tickets: vec![ticket], outcome: Box::new(outcome) });
            return (ticket, effects);
        }
        let (key, text) = (Key::of(&new), text_of(&new));
        let known = self.entries.iter().position(|e| e.request.waiting && e.key == key);
        let host = new.host.as_ref().map(|host| &host.name);
        let is_more = known.is_none_or(|at| {
            !self.entries[at].parts.iter().any(|part| part.host.as_ref() == host && part.waits())
        });
        if let Err(why) = if is_more { self.has_room(text) } else { Ok(()) } {
            let outcome = Outcome {
                request: None,
                verdict: AnswerVerdict::Deny,
                scope: Scope::Once,
                by: NOBODY.to_owned(),
                state: State::Withdrawn,
                note: Some(why),
                approval: None,
            };
            effects.push(Effect::Settled { tickets: vec![ticket], outcome: Box::new(outcome) });
            return (ticket, effects);
        }
        if let Some(at) = known {
            effects.push(self.join(at, new, text, ticket));
            return (ticket, effects);
        }

        let id = format!("{}.{}", self.session.id, self.next_request);
        self.next_request += 1;
        let scopes = self.scopes_of(&new);
        let expires = now.checked_add(self.expires).unwrap_or(Timestamp::MAX);
        let (parts, command) = (vec![Part::of(&new, ticket)], new.command.clone());
        let request = Request::waiting(id.clone(), &self.session, new, scopes, now, expires);
        self.entries.push(Entry { request, key, text, parts, command, said: None });
        effects.push(Effect::Asked(id));
        (ticket, effects)
    }

    /// One more that waits for the same, or another host for the same command.
    fn join(&mut self, at: usize, new: NewRequest, text: usize, ticket: Ticket) -> Effect {
        let scopes = self.scopes_of(&new);
        let entry = &mut self.entries[at];
        let part = Part::of(&new, ticket);
        match entry.parts.iter_mut().find(|own| own.host == part.host) {
            Some(own) => own.tickets.push(ticket),
            None => {
                entry.parts.push(part);
                entry.text += text;
            }
        }
        // What every host of it may have is offered for all.
        entry.request.scopes.retain(|scope| scopes.contains(scope));
        if let Some(mut asked) = new.host.map(NewHost::asked) {
            let hosts = &mut entry.request.hosts;
            match hosts.iter_mut().find(|own| own.name == asked.name) {
                Some(own) => {
                    asked.chosen &= own.chosen;
                    *own = asked;
                }
                None => hosts.push(asked),
            }
        }
        describe(&mut entry.request, &entry.parts);
        Effect::Updated(entry.request.id.clone())
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
        if msg.further && (msg.scope != Scope::Command || entry.request.hosts.is_empty()) {
            let reason = "Further hosts are allowed until a command exits, and with hosts of it.";
            return (AnswerOutcome::refused(reason), effects);
        }
        let (allowed, denied) = match entry.chosen(msg) {
            Ok((allowed, denied)) if allowed.is_empty() && denied.is_empty() => {
                let reason = "None of these hosts waits for an answer any more.";
                return (AnswerOutcome::refused(reason), effects);
            }
            Ok(chosen) => chosen,
            Err(reason) => return (AnswerOutcome::refused(reason), effects),
        };
        let answer = |verdict, scope| Answer {
            verdict,
            scope,
            by: msg.by.clone(),
            note: msg.note.as_deref().and_then(clean_note),
            at: now,
        };
        let no = answer(AnswerVerdict::Deny, Scope::Once);
        effects.extend(self.settle(&msg.request, &denied, State::Answered, &no, None));
        let yes = answer(AnswerVerdict::Allow, msg.scope);
        if msg.scope == Scope::Once {
            effects.extend(self.settle(&msg.request, &allowed, State::Answered, &yes, None));
        } else {
            effects.extend(self.keep(&msg.request, &allowed, &yes));
            if msg.further {
                effects.extend(self.keep_further(&msg.request, &yes));
            }
        }
        effects.extend(self.told(&msg.request));
        if matches!(msg.scope, Scope::Command | Scope::Session) {
            effects.push(Effect::Approvals);
        }
        (AnswerOutcome::Accepted, effects)
    }

    /// Allows the command of a request further hosts, and those that have come in the meantime.
    fn keep_further(&mut self, id: &str, answer: &Answer) -> Option<Effect> {
        let entry = self.entries.iter().find(|entry| entry.request.id == id)?;
        let command = entry.command.clone()?;
        let is_plain = |at: &usize| {
            let name = entry.parts[*at].host.as_ref();
            entry.request.hosts.iter().any(|host| Some(&host.name) == name && host.chosen)
        };
        let plain: Vec<usize> = entry.open().into_iter().filter(is_plain).collect();
        let kept = KeptApproval {
            id: format!("{id}/*"),
            prefix: vec![ANY_HOST.to_owned()],
            scope: answer.scope,
            command: Some(command),
            by: answer.by.clone(),
            given: answer.at,
            expires: None,
        };
        let approval = Approval::from(&kept);
        self.approvals.push(kept);
        self.settle(id, &plain, State::Answered, answer, Some(approval))
    }

    /// Allows parts of a request for longer than this once, and whatever else waits for the same.
    fn keep(&mut self, id: &str, allowed: &[usize], answer: &Answer) -> Vec<Effect> {
        let Some(entry) = self.entries.iter().find(|entry| entry.request.id == id) else {
            return Vec::new();
        };
        let is_one = entry.request.hosts.len() < 2;
        let command = entry.command.clone().filter(|_| answer.scope == Scope::Command);
        let kept = allowed.iter().filter_map(|at| entry.parts.get(*at)).filter_map(|part| {
            let host = part.host.as_deref().filter(|_| !is_one);
            Some(KeptApproval {
                id: host.map_or_else(|| id.to_owned(), |host| format!("{id}/{host}")),
                prefix: part.covers.clone()?,
                scope: answer.scope,
                command: command.clone(),
                by: answer.by.clone(),
                given: answer.at,
                expires: (answer.scope == Scope::Workspace)
                    .then(|| answer.at.checked_add(FOR_THE_WORKSPACE).unwrap_or(Timestamp::MAX)),
            })
        });
        let mut effects = Vec::new();
        let mut others = Vec::new();
        for kept in kept.collect::<Vec<_>>() {
            let approval = Approval::from(&kept);
            // Whatever else waits for the same is answered by the same words.
            let covered: Vec<(String, Vec<usize>)> = self
                .entries
                .iter()
                .filter(|e| e.request.waiting && e.request.scopes.contains(&kept.scope))
                .filter(|e| kept.command.is_none() || e.command == kept.command)
                .map(|e| {
                    let is_covered =
                        |at: &usize| e.parts[*at].covers.as_ref() == Some(&kept.prefix);
                    (e.request.id.clone(), e.open().into_iter().filter(is_covered).collect())
                })
                .collect();
            for (other, parts) in covered {
                let approval = Some(approval.clone());
                let settled = self.settle(&other, &parts, State::Answered, answer, approval);
                if settled.is_some() && other != id {
                    others.push(other);
                }
                effects.extend(settled);
            }
            // What holds for the workspace is kept beyond this session, by whoever carries it out.
            if kept.scope != Scope::Workspace {
                self.approvals.push(kept);
            }
        }
        others.dedup();
        effects.extend(others.iter().filter_map(|other| self.told(other)));
        effects
    }

    /// A waiter has gone: its process died, or its hook lost patience. With the last of them the
    /// request is withdrawn. A ticket that is settled already is left alone.
    pub fn withdraw(&mut self, ticket: Ticket, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.tick(now);
        let waits = |part: &Part| part.tickets.contains(&ticket);
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.parts.iter().any(waits))
        else {
            return effects;
        };
        for part in &mut entry.parts {
            part.tickets.retain(|other| *other != ticket);
        }
        // A host that nobody waits for any more, and nobody spoke of, is asked about no longer.
        let (parts, request) = (&mut entry.parts, &mut entry.request);
        if parts.iter().any(Part::waits) {
            let gone =
                |part: &Part, name: &str| part.host.as_deref() == Some(name) && !part.waits();
            request.hosts.retain(|host| {
                host.verdict.is_some() || !parts.iter().any(|part| gone(part, &host.name))
            });
            parts.retain(|part| {
                part.waits() || request.hosts.iter().any(|h| Some(&h.name) == part.host.as_ref())
            });
        }
        let id = entry.request.id.clone();
        describe(&mut entry.request, &entry.parts);
        if entry.parts.iter().any(Part::waits) {
            effects.push(Effect::Updated(id));
        } else if entry.said.is_some() {
            effects.extend(self.told(&id));
        } else {
            self.end_request(&id, State::Withdrawn, &nobody(now));
            effects.push(Effect::Withdrawn(id));
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
        due.iter().flat_map(|id| self.deny(id, State::Expired, now)).collect()
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
            effects.extend(self.deny(&id, State::Withdrawn, now));
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
        let waits = |part: &Part| part.tickets.contains(&ticket);
        let entry = self.entries.iter().find(|entry| entry.parts.iter().any(waits))?;
        Some(&entry.request)
    }

    /// One of [`Queue::requests`].
    pub fn request(&self, id: &str) -> Option<&Request> {
        self.requests().find(|request| request.id == id)
    }

    /// The approvals for a command or the whole session that hold now.
    pub fn approvals(&self, now: Timestamp) -> impl Iterator<Item = &KeptApproval> {
        self.approvals.iter().filter(move |kept| kept.expires.is_none_or(|until| now < until))
    }

    /// Takes such an approval back. `None`: there is none of that name.
    pub fn revoke(&mut self, id: &str) -> Option<(KeptApproval, Vec<Effect>)> {
        let index = self.approvals.iter().position(|kept| kept.id == id)?;
        Some((self.approvals.remove(index), vec![Effect::Approvals]))
    }

    fn scopes_of(&self, new: &NewRequest) -> Vec<Scope> {
        let has_prefix = new.session_scope.as_ref().is_some_and(|prefix| !prefix.is_empty());
        let is_offered = |scope: &Scope| match scope {
            Scope::Once => true,
            Scope::Command => has_prefix && new.command.is_some(),
            Scope::Session | Scope::Workspace => has_prefix,
        };
        self.scopes.iter().copied().filter(|s| *s <= new.widest && is_offered(s)).collect()
    }

    /// An approval may have come between the decision to ask and the asking.
    fn already_approved(&self, new: &NewRequest) -> Option<Outcome> {
        let prefix = new.session_scope.as_ref()?;
        let is_plain = new.host.as_ref().is_some_and(|host| host.chosen);
        let kept = self.approvals.iter().find(|kept| {
            let is_its = kept.command.is_none() || kept.command == new.command;
            let any = is_plain && kept.command.is_some() && kept.prefix == [ANY_HOST];
            (kept.prefix == *prefix || any) && is_its && self.scopes.contains(&kept.scope)
        })?;
        Some(Outcome {
            request: Some(kept.id.clone()),
            verdict: AnswerVerdict::Allow,
            scope: kept.scope,
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
        let (count, total) = waiting.fold((0, 0), |(n, sum), e| (n + e.open().len(), sum + e.text));
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

    /// Settles who waits for these parts of a request. Nothing when nobody does.
    fn settle(
        &mut self,
        id: &str,
        parts: &[usize],
        state: State,
        answer: &Answer,
        approval: Option<Approval>,
    ) -> Option<Effect> {
        let entry = self.entries.iter_mut().find(|e| e.request.id == id && e.request.waiting)?;
        let mut tickets = Vec::new();
        for at in parts {
            let Some(part) = entry.parts.get_mut(*at).filter(|part| part.waits()) else { continue };
            tickets.append(&mut part.tickets);
            let hosts = entry.request.hosts.iter_mut();
            for host in hosts.filter(|host| Some(&host.name) == part.host.as_ref()) {
                host.verdict = Some(answer.verdict);
            }
        }
        if tickets.is_empty() {
            return None;
        }
        if answer.verdict == AnswerVerdict::Allow || entry.said.is_none() {
            entry.said = Some(answer.clone());
        }
        let outcome = Outcome {
            request: Some(id.to_owned()),
            verdict: answer.verdict,
            scope: answer.scope,
            by: answer.by.clone(),
            state,
            note: answer.note.clone(),
            approval,
        };
        Some(Effect::Settled { tickets, outcome: Box::new(outcome) })
    }

    /// What is told of a request of which parts were answered: it waits on, or is over.
    fn told(&mut self, id: &str) -> Option<Effect> {
        let entry = self.entries.iter_mut().find(|e| e.request.id == id && e.request.waiting)?;
        if entry.parts.iter().any(Part::waits) {
            describe(&mut entry.request, &entry.parts);
            return Some(Effect::Updated(id.to_owned()));
        }
        let said = entry.said.clone()?;
        self.end_request(id, State::Answered, &said);
        Some(Effect::Answered(id.to_owned()))
    }

    /// Denies whatever waits in a request, and ends it.
    fn deny(&mut self, id: &str, state: State, now: Timestamp) -> Vec<Effect> {
        let Some(entry) = self.entries.iter().find(|entry| entry.request.id == id) else {
            return Vec::new();
        };
        let (open, said) = (entry.open(), entry.said.clone());
        let settled = self.settle(id, &open, state, &nobody(now), None);
        match said {
            Some(said) => self.end_request(id, State::Answered, &said),
            None => self.end_request(id, state, &nobody(now)),
        }
        settled.into_iter().chain([Effect::Answered(id.to_owned())]).collect()
    }

    /// The one place where a request leaves `waiting`; it never comes back.
    fn end_request(&mut self, id: &str, state: State, answer: &Answer) {
        let waiting = |entry: &&mut Entry| entry.request.id == id && entry.request.waiting;
        let Some(entry) = self.entries.iter_mut().find(waiting) else { return };
        entry.request.waiting = false;
        entry.request.state = state;
        entry.request.answer = Some(answer.clone());
        if self.ended.len() >= self.limits.remembered {
            self.ended.pop_front();
        }
        self.ended.push_back((id.to_owned(), state, answer.clone()));
    }
}

const NOBODY: &str = "nobody";

/// How long an approval for the workspace holds.
const FOR_THE_WORKSPACE: SignedDuration = SignedDuration::from_hours(30 * 24);

fn nobody(at: Timestamp) -> Answer {
    Answer {
        verdict: AnswerVerdict::Deny,
        scope: Scope::Once,
        by: NOBODY.to_owned(),
        note: None,
        at,
    }
}
