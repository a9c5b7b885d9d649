//! Asks, and makes the answers come true: recorded first, then given to the program that waits.

use super::announce::Announcer;
use super::exit::wait_for_exit;
use super::live::Live;
use super::refusals::Refusals;
use super::words;
use crate::grants::{Grants, KeptGrant};
use crate::known::Known;
use crate::shell::programs;
use chaperone_approvals::terminal::time;
use chaperone_approvals::{
    AnswerMsg, AnswerVerdict, Approvals, AskingCommand, Enforced, Fact, FactAnswer, Facts,
    KeptApproval, NewHost, NewRequest, Outcome, Scope, SessionInfo, Ticket, shell_words,
};
use chaperone_audit::{EventKind, NewEvent, Segment};
use chaperone_policy::{
    Action, Approval, Asker, Command, CommandFact, Decision, Facts as Moment, Familiarity,
    HttpRequest, Policy, Process, Verdict, command_scope, connection_scope, decide, decide_http,
    facts, http_scope, observed, sentence, widest_scope,
};
use chaperone_sandbox::{ActionId, Answer, Control, Holder, ObservedExec};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// After the last window has gone, how long a request still waits for another one to open, where
/// no terminal could bring a person.
const GRACE: Duration = Duration::from_secs(5);

/// How long after its start a session counts on a window that has yet to notice its socket: an
/// agent may ask within the first hundredth of a second.
const ARRIVAL: Duration = Duration::from_secs(2);

/// So much before an agent gives a command up, its request is refused: the agent then reads why,
/// where it would else only know that the command took too long.
const BEFORE_GIVING_UP: Duration = Duration::from_secs(5);

/// Who denies what was asked about and is denied by now.
const THE_POLICY: &str = "the policy";

/// Opens a session's socket.
///
/// # Errors
/// When nobody could be asked: the socket cannot be made.
pub(crate) fn open(
    info: SessionInfo,
    runtime: &Path,
    policy: &Policy,
    patience: Option<u64>,
) -> Result<Approvals, chaperone_approvals::Error> {
    Approvals::start(info, runtime, &scopes(policy), expiry(policy, patience))
}

/// How far an answer may reach.
fn scopes(policy: &Policy) -> Vec<Scope> {
    policy.approvals().scopes.value.list()
}

/// How long a request waits: no longer than the policy says, and than the agent does (in seconds).
fn expiry(policy: &Policy, patience: Option<u64>) -> Duration {
    before_giving_up(policy.approvals().expires.value, patience)
}

/// The same in words.
pub(crate) fn long(policy: &Policy, patience: Option<u64>) -> String {
    time(expiry(policy, patience).as_secs())
}

fn before_giving_up(policy: Duration, patience: Option<u64>) -> Duration {
    let patience = patience.map_or(Duration::MAX, Duration::from_secs);
    policy.min(patience.saturating_sub(BEFORE_GIVING_UP))
}

/// What becomes of what waits when nobody is there.
fn for_nobody(policy: &Policy) -> Verdict {
    let limits = policy.approvals();
    limits.unattended.value.max(limits.unattended_restricted.value)
}

/// What a session's requests stand on.
pub(crate) struct Ground {
    pub(crate) live: Arc<Live>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) control: Control,
    pub(crate) announcer: Announcer,
    /// What every program of the session starts with.
    pub(crate) environment: BTreeMap<String, String>,
    /// `--unattended`: nobody is asked, whoever may be there.
    pub(crate) unattended: bool,
    /// After so many seconds the agent gives a command up.
    pub(crate) patience: Option<u64>,
    /// How well hosts are known.
    pub(crate) known: Known,
    /// What was allowed in workspaces before.
    pub(crate) grants: Grants,
    /// The session's own.
    pub(crate) workspace: PathBuf,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Waiter {
    /// A program that is about to start.
    Program(ActionId),
    /// A connection, by its number in this session.
    Connection(u64),
}

impl Waiter {
    /// What the history calls the request.
    fn name(self, session: &str) -> String {
        match self {
            Self::Program(id) => format!("{session}.{id}"),
            Self::Connection(number) => format!("{session}.c{number}"),
        }
    }
}

/// What came of a request, recorded.
enum Settled<'a> {
    Allowed,
    Denied(&'a Outcome),
    /// The policy denies it by now.
    Overruled(&'a Decision),
    /// It could not be recorded, so it does not happen.
    Unrecorded(String),
}

/// One program or connection that waits for an answer.
struct Waiting {
    ticket: Ticket,
    action: Action,
    /// What the policy says by now, where that is no.
    overruled: Option<Decision>,
}

/// What is asked, and for whom.
struct Wish {
    waiter: Waiter,
    action: Action,
    /// On one line.
    shown: String,
    /// The command that asks for a connection, where that is known.
    by: Vec<String>,
    new: NewRequest,
}

/// A session's requests.
pub(crate) struct Asking {
    approvals: Approvals,
    live: Arc<Live>,
    segment: Arc<Segment>,
    control: Control,
    announcer: Announcer,
    session: String,
    environment: BTreeMap<String, String>,
    unattended: bool,
    /// What becomes of what waits when nobody is there: a request of either kind may, so the
    /// stricter holds for both.
    for_nobody: Mutex<Verdict>,
    /// After so many seconds the agent gives a command up.
    patience: Option<u64>,
    /// How well hosts are known.
    known: Known,
    grants: Grants,
    workspace: PathBuf,
    /// The commands whose approvals end with them.
    watched: Mutex<HashSet<Process>>,
    /// The requests that the terminal was told of, and those of which it was told the answer.
    told: Mutex<HashSet<(String, bool)>>,
    opened: Instant,
    waiting: Mutex<HashMap<Waiter, Waiting>>,
    /// What was allowed in this session so far, by what an answer for the session would cover.
    allowed: Mutex<HashMap<Vec<String>, u32>>,
    refusals: Refusals,
}

impl Asking {
    /// Asks over the session's socket.
    pub(crate) fn new(
        approvals: Approvals,
        session: &str,
        policy: &Policy,
        ground: Ground,
    ) -> Arc<Self> {
        let Ground {
            live,
            segment,
            control,
            announcer,
            environment,
            unattended,
            patience,
            known,
            grants,
            workspace,
        } = ground;
        let asking = Arc::new(Self {
            approvals,
            live,
            segment,
            control,
            announcer,
            session: session.to_owned(),
            environment,
            unattended,
            for_nobody: Mutex::new(for_nobody(policy)),
            patience,
            known,
            grants,
            workspace,
            watched: Mutex::default(),
            told: Mutex::default(),
            opened: Instant::now(),
            waiting: Mutex::default(),
            allowed: Mutex::default(),
            refusals: Refusals::default(),
        });
        let weak = Arc::downgrade(&asking);
        asking.approvals.on_attendance(move |somebody| {
            if let (false, Some(asking)) = (somebody, weak.upgrade()) {
                asking.unless_somebody_comes(GRACE);
            }
        });
        let weak = Arc::downgrade(&asking);
        asking.approvals.before_answers(move || {
            if let Some(asking) = weak.upgrade() {
                // An answer to what is denied by now comes too late.
                asking.live.policy_now();
            }
        });
        asking
    }

    /// Follows a policy that has changed: in what is asked from now on, and in what waits. Whatever
    /// is denied by now is denied; everything else still waits for its answer.
    pub(crate) fn follow(&self, policy: &Policy) {
        *self.for_nobody.lock().unwrap_or_else(PoisonError::into_inner) = for_nobody(policy);
        self.approvals.limit(&scopes(policy), expiry(policy, self.patience));
        let now = Timestamp::now();
        let mut denied = Vec::new();
        for Waiting { ticket, action, overruled } in self.waiting().values_mut() {
            let decision = decide(policy, &Moment::at(now), action);
            let denies = decision.verdict == Verdict::Deny
                && observed(policy, now, action, &decision).is_none();
            *overruled = denies.then_some(decision);
            denied.extend(
                overruled
                    .as_ref()
                    .map(|decision| (*ticket, host_name(action), decision.reason.clone())),
            );
        }
        for (ticket, host, reason) in denied {
            // One answer is for all that wait for the same.
            let Some(request) = self.approvals.request_of(ticket) else { continue };
            self.approvals.answer(&AnswerMsg {
                request,
                verdict: AnswerVerdict::Deny,
                scope: Scope::Once,
                hosts: Vec::new(),
                denied: host.into_iter().collect(),
                further: false,
                note: Some(format!("{} {reason}", words::CHANGED)),
                by: THE_POLICY.into(),
            });
        }
    }

    /// Whether a person could answer: a window or `chaperone approvals` is connected, or the
    /// session was started on a terminal, so that somebody sits there.
    pub(crate) fn somebody_is_there(&self) -> bool {
        !self.unattended && (self.announcer.has_terminal() || self.approvals.attended())
    }

    /// After so many seconds the agent gives a command up.
    pub(crate) fn patience(&self) -> Option<u64> {
        self.patience
    }

    /// Whether a window may still be on its way to a session that has only just begun.
    pub(crate) fn somebody_may_come(&self) -> bool {
        !self.unattended && self.opened.elapsed() < ARRIVAL
    }

    /// Answers what waits as the policy says for unattended sessions, if nobody is there by then.
    fn unless_somebody_comes(self: &Arc<Self>, wait: Duration) {
        let weak = Arc::downgrade(self);
        let left = thread::Builder::new().name("unattended".into()).spawn(move || {
            thread::sleep(wait);
            if let Some(asking) = weak.upgrade()
                && !asking.somebody_is_there()
            {
                asking.answer_for_nobody();
            }
        });
        // Without a thread the requests expire instead, as they would have.
        drop(left);
    }

    /// What is known when something is decided: the answers that hold in this session and in its
    /// workspace, and which command asks.
    fn moment(&self, now: Timestamp, holder: Option<&Holder>) -> Moment {
        let mut approvals: Vec<Approval> =
            self.approvals.approvals().iter().map(Approval::from).collect();
        approvals.extend(self.grants.of(&self.workspace, now));
        Moment { approvals, command: holder.and_then(|holder| holder.process), ..Moment::at(now) }
    }

    /// What is decided by the policy, by the answers that hold, and by how well a host is known, which
    /// is told beside it.
    pub(crate) fn decide(
        &self,
        policy: &Policy,
        now: Timestamp,
        action: &Action,
        holder: Option<&Holder>,
    ) -> (Decision, Option<Familiarity>) {
        let facts = self.moment(now, holder);
        let decision = decide(policy, &facts, action);
        self.known.decide(policy, facts, action, holder.map(asker), decision)
    }

    /// The same without looking at how well a host is known.
    pub(crate) fn decide_at_once(
        &self,
        policy: &Policy,
        now: Timestamp,
        action: &Action,
    ) -> Decision {
        let decision = decide(policy, &Moment::at(now), action);
        if decision.verdict != Verdict::Ask {
            return decision;
        }
        decide(policy, &self.moment(now, None), action)
    }

    /// The same of a request inside a connection that may be made.
    pub(crate) fn decide_http(
        &self,
        policy: &Policy,
        now: Timestamp,
        request: &HttpRequest,
        holder: Option<&Holder>,
    ) -> Decision {
        let decision = decide_http(policy, &Moment::at(now), request);
        if decision.verdict != Verdict::Ask {
            return decision;
        }
        decide_http(policy, &self.moment(now, holder), request)
    }

    /// Who in the session holds this end of a connection, where that can be told.
    pub(crate) fn holder(&self, end: SocketAddr) -> Option<Holder> {
        self.control.holder(end)
    }

    /// What the agent reads of a refusal, which counts as one more of the same.
    pub(crate) fn refused(&self, command: &Command, message: &str) -> String {
        self.refusals.count(&command.argv, message.to_owned())
    }

    /// The same of what was to go out, in words.
    pub(crate) fn refused_outward(&self, what: &str, message: String) -> String {
        self.refusals.count(&[String::new(), what.to_owned()], message)
    }

    /// Records a request and asks it; the program waits.
    ///
    /// # Errors
    /// The answer for what cannot be recorded.
    pub(crate) fn ask(
        self: &Arc<Self>,
        id: ActionId,
        exec: &ObservedExec,
        decision: &Decision,
        policy: &Arc<Policy>,
    ) -> Result<(), Answer> {
        let action = Action::Run(exec.command.clone());
        let covered = command_scope(policy, &exec.command);
        let new = NewRequest {
            action: Action::Run(self.as_shown(&exec.command)),
            sentence: sentence(&exec.command),
            chain: chain(exec),
            programs: programs(&exec.command.argv),
            facts: self.facts(exec, covered.as_deref()),
            reported: None,
            decision: decision.clone(),
            enforced: Enforced::Kernel,
            widest: widest_scope(policy, &decision.origin),
            session_scope: covered.clone(),
            host: None,
            command: None,
        };
        let (command, asked) = (exec.command.clone(), decision.clone());
        let wish = Wish {
            waiter: Waiter::Program(id),
            action,
            shown: shell_words(&exec.command.argv),
            by: Vec::new(),
            new,
        };
        let put = self.put(wish, policy, move |this, settled| {
            let answer = match settled {
                Settled::Unrecorded(message) => Answer::Deny { message },
                Settled::Overruled(decision) => {
                    let message = words::overruled(&words::command(&command), decision);
                    Answer::Deny { message: this.refused(&command, &message) }
                }
                Settled::Allowed => {
                    this.count_allowed(covered);
                    Answer::Allow
                }
                Settled::Denied(outcome) => {
                    let what = words::command(&command);
                    let message = words::answered(&what, &asked, &outcome.words());
                    Answer::Deny { message: this.refused(&command, &message) }
                }
            };
            this.control.answer(id, answer);
        });
        put.map_err(|message| Answer::Deny { message })
    }

    /// Records a request for a connection, or for an HTTP request over one, and asks it.
    pub(crate) fn ask_outward(
        self: &Arc<Self>,
        number: u64,
        Outward { action, holder, familiarity }: Outward,
        decision: &Decision,
        policy: &Arc<Policy>,
        answer: impl FnOnce(Result<(), String>) + Send + 'static,
    ) {
        let unknown = |text: &str| Fact::new(FactAnswer::Unknown, text);
        let (covered, sentence) = match &action {
            Action::Connect { host, port } => (
                connection_scope(policy, host, *port),
                format!("It connects to {host} on port {port}."),
            ),
            Action::Http(request) => (
                http_scope(policy, request),
                format!("It sends {} a {} request.", request.host, request.method),
            ),
            // No other action leaves.
            Action::Run(_) | Action::Read { .. } | Action::Write { .. } => (None, String::new()),
        };
        let new = NewRequest {
            action: action.clone(),
            sentence,
            chain: holder.as_ref().map(|holder| holder.chain.clone()).unwrap_or_default(),
            programs: Vec::new(),
            facts: Facts {
                undoable: Fact::new(FactAnswer::No, "What was sent cannot be called back."),
                leaves_laptop: Fact::new(
                    FactAnswer::Yes,
                    "Whatever the session can read can be sent there.",
                ),
                new_compared: unknown(&match &holder {
                    Some(holder) => format!("`{}` asks for it.", shell_words(&holder.command)),
                    None => "Which program asks is not known.".to_owned(),
                }),
            },
            reported: None,
            decision: decision.clone(),
            enforced: Enforced::Kernel,
            widest: widest_scope(policy, &decision.origin),
            session_scope: covered,
            host: host_name(&action).map(|name| NewHost {
                name,
                known: familiarity.as_ref().map(Familiarity::words).unwrap_or_default(),
                chosen: !familiarity.is_some_and(|known| known.is_doubtful()),
            }),
            command: holder.as_ref().and_then(|Holder { command, process, .. }| {
                Some(AskingCommand { process: (*process)?, line: shell_words(command) })
            }),
        };
        let what = words::outward(&action);
        let (asked, waiter) = (decision.clone(), Waiter::Connection(number));
        let shown = what.clone();
        let by = holder.map(|holder| holder.told().to_vec()).unwrap_or_default();
        let wish = Wish { waiter, action, shown, by, new };
        let answer = Arc::new(Mutex::new(Some(answer)));
        let once = Arc::clone(&answer);
        let give = move |ruling| {
            let answer = once.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(answer) = answer {
                answer(ruling);
            }
        };
        let refuse = give.clone();
        let put = self.put(wish, policy, move |this, settled| {
            let refused = |message| Err(this.refused_outward(&what, message));
            give(match settled {
                Settled::Allowed => Ok(()),
                Settled::Unrecorded(message) => Err(message),
                Settled::Overruled(decision) => refused(words::overruled(&what, decision)),
                Settled::Denied(outcome) => {
                    refused(words::answered(&what, &asked, &outcome.words()))
                }
            });
        });
        if let Err(message) = put {
            refuse(Err(message));
        }
    }

    /// Records a request, asks it, and does this with what comes of it.
    ///
    /// # Errors
    /// What the agent reads where it cannot be recorded.
    fn put(
        self: &Arc<Self>,
        wish: Wish,
        policy: &Arc<Policy>,
        settle: impl FnOnce(&Self, Settled<'_>) + Send + 'static,
    ) -> Result<(), String> {
        self.live.watch();
        let Wish { waiter, action, shown, by, new } = wish;
        let name = waiter.name(&self.session);
        self.segment
            .append(NewEvent::request(&name, &action, &new.decision).asked_by(&by))
            .map_err(|error| words::not_recorded(&error))?;
        let this = Arc::clone(self);
        let about = action.clone();
        // An answer may come before this returns; it waits for the entry that it takes away.
        let mut waiting = self.waiting();
        let ticket = self.approvals.ask(new, move |outcome| {
            let overruled = this.waiting().remove(&waiter).and_then(|waited| waited.overruled);
            let recorded = this.record(&name, &about, &outcome, overruled.as_ref());
            if recorded.is_ok() && overruled.is_none() {
                this.keep(&outcome);
            }
            let settled = match (recorded, &overruled) {
                (Err(message), _) => Settled::Unrecorded(message),
                (Ok(()), Some(decision)) => Settled::Overruled(decision),
                (Ok(()), None) if outcome.verdict == AnswerVerdict::Allow => Settled::Allowed,
                (Ok(()), None) => Settled::Denied(&outcome),
            };
            settle(&this, settled);
            if let Some(request) = &outcome.request
                && this.is_news(request, true)
            {
                this.announcer.settled(&outcome);
            }
        });
        waiting.insert(waiter, Waiting { ticket, action, overruled: None });
        drop(waiting);
        // It may have changed since this was decided.
        let latest = self.live.policy();
        if !Arc::ptr_eq(&latest, policy) {
            self.follow(&latest);
        }
        if !self.somebody_is_there() {
            self.unless_somebody_comes(ARRIVAL.saturating_sub(self.opened.elapsed()));
        }
        // One more host of a request that is open already is shown where that is shown.
        let is_new =
            self.approvals.request_of(ticket).is_some_and(|request| self.is_news(&request, false));
        self.announcer.asked(&self.approvals, &shown, is_new);
        Ok(())
    }

    /// Whether the terminal has not been told of this yet.
    fn is_news(&self, request: &str, answered: bool) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert((request.to_owned(), answered))
    }

    /// Keeps an approval that holds for longer than its request, as far as the queue does not.
    fn keep(self: &Arc<Self>, outcome: &Outcome) {
        let Some(Approval { id, prefix, scope, command, by, expires }) = &outcome.approval else {
            return;
        };
        match (scope, command, expires) {
            (Scope::Workspace, _, Some(expires)) => {
                let kept = self.grants.keep(&KeptGrant {
                    id: id.clone(),
                    workspace: self.workspace.clone(),
                    prefix: prefix.clone(),
                    by: by.clone(),
                    session: self.session.clone(),
                    given: Timestamp::now(),
                    expires: *expires,
                });
                if let Err(error) = kept {
                    // It counts this once, and is asked again.
                    let text =
                        format!("The approval for the workspace could not be kept: {error}.");
                    let _ = self.segment.append(NewEvent::new(EventKind::Finding).reason(text));
                }
            }
            (Scope::Command, Some(process), _) => self.until_exit(*process),
            _ => {}
        }
    }

    /// Takes the approvals of a command back when it has exited.
    fn until_exit(self: &Arc<Self>, process: Process) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if !watched.insert(process) {
            return;
        }
        let weak = Arc::downgrade(self);
        // Without a thread they end with the session; no other process is taken for this one.
        let _ = thread::Builder::new().name("command".into()).spawn(move || {
            wait_for_exit(process);
            let Some(asking) = weak.upgrade() else { return };
            let ended = |kept: &KeptApproval| {
                kept.command.as_ref().is_some_and(|command| command.process == process)
            };
            for kept in asking.approvals.approvals().into_iter().filter(ended) {
                asking.approvals.revoke(&kept.id);
            }
        });
    }

    /// Without the variables that the whole session has: they tell nothing about this command.
    fn as_shown(&self, command: &Command) -> Command {
        let mut command = command.clone();
        command.environment.retain(|(name, value)| self.environment.get(name) != Some(value));
        command
    }

    fn record(
        &self,
        name: &str,
        action: &Action,
        outcome: &Outcome,
        overruled: Option<&Decision>,
    ) -> Result<(), String> {
        let answer = |verdict, by: &str, scope: &str, note: Option<&str>| {
            NewEvent::answer(name, action, verdict, by, scope, note)
        };
        let event = match overruled {
            Some(decision) => {
                let once = Scope::Once.to_string();
                answer(Verdict::Deny, THE_POLICY, &once, Some(words::CHANGED)).with(decision)
            }
            None => {
                let scope = outcome.scope.to_string();
                answer(outcome.verdict.into(), &outcome.by, &scope, outcome.note.as_deref())
            }
        };
        match self.segment.append(event) {
            Ok(_) => Ok(()),
            Err(error) => Err(words::not_recorded(&error)),
        }
    }

    /// Who asked was interrupted or has gone.
    pub(crate) fn withdraw(&self, waiter: Waiter) {
        let Some(Waiting { ticket, .. }) = self.waiting().remove(&waiter) else { return };
        self.approvals.withdraw(ticket);
        let name = waiter.name(&self.session);
        let _ = self.segment.append(NewEvent::withdrawn(&name, "The agent has moved on."));
    }

    /// Answers from the session's own terminal.
    pub(crate) fn answer(&self, message: &AnswerMsg) -> chaperone_approvals::AnswerOutcome {
        self.live.policy_now();
        self.approvals.answer(message)
    }

    /// What waits and what ended a moment ago.
    pub(crate) fn requests(&self) -> Vec<chaperone_approvals::Request> {
        self.approvals.requests()
    }

    /// Tells everybody that the session is over, if nothing waits for them: what does is about to
    /// be withdrawn.
    pub(crate) fn end_unless_waiting(&self) {
        if self.waiting().is_empty() {
            self.approvals.end();
        }
    }

    /// Tells everybody that the session is over.
    pub(crate) fn end(&self) {
        self.approvals.end();
    }

    fn answer_for_nobody(&self) {
        self.live.policy_now();
        let verdict = match *self.for_nobody.lock().unwrap_or_else(PoisonError::into_inner) {
            Verdict::Allow => AnswerVerdict::Allow,
            Verdict::Ask | Verdict::Deny => AnswerVerdict::Deny,
        };
        for request in self.approvals.requests().into_iter().filter(|request| request.waiting) {
            let waits = request.hosts.into_iter().filter(|host| host.verdict.is_none());
            self.approvals.answer(&AnswerMsg {
                request: request.id,
                verdict,
                scope: Scope::Once,
                hosts: waits.map(|host| host.name).collect(),
                denied: Vec::new(),
                further: false,
                note: Some("Nobody is there to answer.".into()),
                by: "the policy for unattended sessions".into(),
            });
        }
    }

    fn facts(&self, exec: &ObservedExec, covered: Option<&[String]>) -> Facts {
        let known = facts(&exec.command);
        let before =
            covered.and_then(|prefix| self.allowed().get(prefix).copied()).unwrap_or_default();
        let new_compared = match (covered, before) {
            (Some(prefix), 0) => Fact::new(
                FactAnswer::Yes,
                format!("`{}` has not been allowed in this session before.", prefix.join(" ")),
            ),
            (Some(prefix), times) => Fact::new(
                FactAnswer::No,
                format!(
                    "`{}` was allowed {} in this session before.",
                    prefix.join(" "),
                    if times == 1 { "once".to_owned() } else { format!("{times} times") }
                ),
            ),
            (None, _) => Fact::new(FactAnswer::Unknown, "Nothing comparable was allowed before."),
        };
        Facts {
            undoable: fact(known.undoable),
            leaves_laptop: fact(known.leaves_laptop),
            new_compared,
        }
    }

    fn count_allowed(&self, covered: Option<Vec<String>>) {
        if let Some(prefix) = covered {
            *self.allowed().entry(prefix).or_default() += 1;
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Waiter, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allowed(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<String>, u32>> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What leaves the session, as it is asked about.
pub(crate) struct Outward {
    pub(crate) action: Action,
    pub(crate) holder: Option<Holder>,
    /// How well its host is known, where somebody has looked.
    pub(crate) familiarity: Option<Familiarity>,
}

/// How a request names the host of a connection.
fn host_name(action: &Action) -> Option<String> {
    match action {
        Action::Connect { host, port } if host.contains(':') => Some(format!("[{host}]:{port}")),
        Action::Connect { host, port } => Some(format!("{host}:{port}")),
        Action::Http(_) | Action::Run(_) | Action::Read { .. } | Action::Write { .. } => None,
    }
}

/// Who asks, as familiarity takes it.
fn asker(holder: &Holder) -> Asker {
    let Holder { chain: _, command, process: _, is_install_script } = holder;
    Asker { command: shell_words(command), is_install_script: *is_install_script }
}

fn fact(known: CommandFact) -> Fact {
    let answer = match known.holds {
        Some(true) => FactAnswer::Yes,
        Some(false) => FactAnswer::No,
        None => FactAnswer::Unknown,
    };
    Fact::new(answer, format!("{}.", known.text))
}

/// From the agent down to the program that waits.
fn chain(exec: &ObservedExec) -> Vec<String> {
    let mut chain: Vec<String> =
        exec.ancestors().into_iter().rev().map(|ancestor| ancestor.argv0).collect();
    chain.extend(exec.command.argv.first().cloned());
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_before_its_agent_gives_up_and_when_the_policy_says() {
        let seconds = Duration::from_secs;
        assert_eq!(before_giving_up(seconds(600), None), seconds(600));
        assert_eq!(before_giving_up(seconds(600), Some(120)), seconds(115));
        assert_eq!(before_giving_up(seconds(60), Some(120)), seconds(60));
    }
}
