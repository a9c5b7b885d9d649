//! A session's side: its queue, and what the supervisor may ask of it. `serve` carries it to
//! those who answer.

use super::folder::{Folder, Registration};
use super::kernel;
use super::serve::Server;
use super::wire::Wake;
use crate::answer::{AnswerMsg, AnswerOutcome, KeptApproval, Outcome};
use crate::error::Error;
use crate::hub::{Hub, Output};
use crate::queue::{Queue, Ticket};
use crate::request::{NewRequest, Request, SessionInfo};
use chaperone_policy::Scope;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

type Waiter = Box<dyn FnOnce(Outcome) + Send>;
type Attendance = Box<dyn FnMut(bool) + Send>;
type BeforeLines = Box<dyn FnMut() + Send>;

/// A session's requests, and the socket on which they are answered.
///
/// Nothing here waits for a client. Outcomes are delivered on a thread of its own.
pub struct Approvals {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approvals").finish_non_exhaustive()
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) wake: Wake,
}

pub(super) struct State {
    pub(super) hub: Hub,
    /// What the serving thread has to do next.
    pub(super) outputs: Vec<Output>,
    pub(super) waiters: HashMap<Ticket, Waiter>,
    pub(super) attendance: Option<Attendance>,
    pub(super) before_lines: Option<BeforeLines>,
    pub(super) ended: bool,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Approvals {
    /// Listens on `<runtime>/sessions/<id>.sock`, for the user's own processes outside of every
    /// session. `scopes` and `expires` are the policy's.
    ///
    /// Starts one thread, so what forks without an exec does so before, or keeps off the heap.
    ///
    /// # Errors
    /// When the folder is not the user's alone, the path too long, or the system refuses.
    pub fn start(
        info: SessionInfo,
        runtime: &Path,
        scopes: &[Scope],
        expires: Duration,
    ) -> Result<Self, Error> {
        let folder = Folder::open(runtime)?;
        let path = folder.socket(&info.id)?;
        let pid = std::process::id();
        let start = kernel::start_of(pid).unwrap_or_default();
        let registered = folder.register(&Registration { id: info.id.clone(), pid, start })?;
        let io = |what| {
            let path = path.clone();
            move |error| Error::Io { path, what, error }
        };
        // It gets its name when it listens, so that whoever sees the name can connect.
        let unborn = registered.folder().unborn(&info.id);
        let listener = UnixListener::bind(&unborn).map_err(io("cannot listen"))?;
        // The folder keeps others out already, and before this line too.
        rustix::fs::chmod(&unborn, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .map_err(|error| io("cannot be closed to others")(error.into()))?;
        listener.set_nonblocking(true).map_err(io("cannot listen"))?;
        registered.folder().publish(&info.id).map_err(io("cannot be named"))?;

        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                hub: Hub::new(Queue::new(info, scopes, expires)),
                outputs: Vec::new(),
                waiters: HashMap::new(),
                attendance: None,
                before_lines: None,
                ended: false,
            }),
            wake: Wake::new().map_err(io("has no pipe"))?,
        });
        let server = Server::new(Arc::clone(&shared), registered, listener);
        let thread = thread::Builder::new()
            .name("approvals".into())
            .spawn(move || server.run())
            .map_err(io("has no thread"))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Calls back whenever somebody has begun to see requests as they come, or nobody does any
    /// more. Not called for the state at the time of this call: see [`Approvals::attended`].
    pub fn on_attendance(&self, callback: impl FnMut(bool) + Send + 'static) {
        self.shared.state().attendance = Some(Box::new(callback));
    }

    /// Calls back before anything that a client says is taken while a request waits, on the thread
    /// that takes it: what must be settled before an answer counts is settled there.
    pub fn before_answers(&self, callback: impl FnMut() + Send + 'static) {
        self.shared.state().before_lines = Some(Box::new(callback));
    }

    /// Asks, without waiting. `outcome` is called exactly once, always on another thread and
    /// perhaps before this returns, unless the ticket is withdrawn first.
    pub fn ask(&self, new: NewRequest, outcome: impl FnOnce(Outcome) + Send + 'static) -> Ticket {
        let mut state = self.shared.state();
        let (ticket, outputs) = state.hub.ask(new, Timestamp::now());
        state.waiters.insert(ticket, Box::new(outcome));
        state.outputs.extend(outputs);
        if state.ended {
            // Nobody will answer any more, and the thread that would say so may have gone.
            let waiter = state.waiters.remove(&ticket);
            drop(state);
            let told = thread::Builder::new()
                .name("approvals ended".into())
                .spawn(|| waiter.map(|waiter| waiter(Outcome::ended())));
            drop(told); // Without a thread nobody is told, and the session is over anyway.
            return ticket;
        }
        drop(state);
        self.shared.wake.wake();
        ticket
    }

    /// Sets how far answers reach and how long requests wait. What waits already follows where that
    /// is tighter than it was.
    pub fn limit(&self, scopes: &[Scope], expires: Duration) {
        let mut state = self.shared.state();
        let outputs = state.hub.limit(scopes, expires, Timestamp::now());
        state.outputs.extend(outputs);
        drop(state);
        self.shared.wake.wake();
    }

    /// Answers from this very process, such as from the session's own terminal.
    pub fn answer(&self, msg: &AnswerMsg) -> AnswerOutcome {
        let mut state = self.shared.state();
        let (outcome, outputs) = state.hub.answer(msg, Timestamp::now());
        state.outputs.extend(outputs);
        drop(state);
        self.shared.wake.wake();
        outcome
    }

    /// The asker has gone: its outcome is not wanted any more.
    pub fn withdraw(&self, ticket: Ticket) {
        let mut state = self.shared.state();
        // What is dropped here may hold anything, so it goes after the lock.
        let waiter = state.waiters.remove(&ticket);
        let outputs = state.hub.withdraw(ticket, Timestamp::now());
        state.outputs.extend(outputs);
        drop(state);
        drop(waiter);
        self.shared.wake.wake();
    }

    /// Whether somebody sees requests as they come: a window or a terminal is connected.
    pub fn attended(&self) -> bool {
        self.shared.state().hub.attended()
    }

    /// The name of the request that this ticket waits for; `None` once it is settled or withdrawn.
    pub fn request_of(&self, ticket: Ticket) -> Option<String> {
        Some(self.shared.state().hub.queue().request_of(ticket)?.id.clone())
    }

    /// What waits, and what ended within the last minute, in the order of asking.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().hub.queue().requests().cloned().collect()
    }

    /// The approvals for the whole session that hold now.
    pub fn approvals(&self) -> Vec<KeptApproval> {
        self.shared.state().hub.queue().approvals(Timestamp::now()).cloned().collect()
    }

    /// Takes an approval for the session back.
    pub fn revoke(&self, id: &str) -> AnswerOutcome {
        let mut state = self.shared.state();
        let mut outputs = Vec::new();
        let outcome = state.hub.revoke(id, Timestamp::now(), &mut outputs);
        state.outputs.extend(outputs);
        drop(state);
        self.shared.wake.wake();
        outcome
    }

    /// Tells live views that something happened; `data` is small.
    pub fn event(&self, data: Value) {
        let mut state = self.shared.state();
        if !state.hub.has_clients() {
            return;
        }
        state.outputs.push(Hub::event(data));
        drop(state);
        self.shared.wake.wake();
    }

    /// Ends: whoever still waits is denied, clients are told, and the socket goes. Waits until
    /// that is done, a fraction of a second at most. Dropping does the same.
    pub fn end(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let mut state = self.shared.state();
        state.ended = true;
        let outputs = state.hub.end(Timestamp::now());
        state.outputs.extend(outputs);
        drop(state);
        self.shared.wake.wake();
        // An outcome's callback may be what drops us: that thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Drop for Approvals {
    fn drop(&mut self) {
        self.end();
    }
}
