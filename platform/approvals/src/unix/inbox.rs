//! All sessions of this user at once: finds their sockets, talks to each, and tells of changes.
//! One thread that never waits for any session, since any of them may be stopped.

use super::folder::Folder;
use super::kernel;
use super::wire::{Closed, Wake, Wire};
use crate::answer::{AnswerMsg, AnswerOutcome};
use crate::error::Error;
use crate::merged::{Change, Listing, Merged, SessionRequests, Unreachable};
use crate::protocol::{
    ClientMessage, PROTOCOL_VERSION, Role, SERVER_LINE, ServerMessage, WireAnswer, line,
    parse_server,
};
use jiff::Timestamp;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The folder is looked at this often where the system tells of changes in it, and where not.
const RESCAN_WATCHED: Duration = Duration::from_secs(5);
const RESCAN_UNWATCHED: Duration = Duration::from_millis(500);
/// A session that was there a moment ago may be there again.
const RESCAN_SOON: Duration = Duration::from_millis(200);
/// Bytes held for a session that does not read: answers are small.
const UNREAD: usize = 1024 * 1024;
/// How long a session may take to confirm an answer.
const CONFIRM: Duration = Duration::from_secs(5);

/// All sessions of this user at once.
pub struct Inbox {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

struct Shared {
    state: Mutex<State>,
    /// Signalled when a session has answered, or when all have been looked for.
    settled: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct State {
    merged: Merged,
    /// Sessions that have not said anything yet, or did not want to.
    silent: BTreeMap<String, Option<String>>,
    scanned: bool,
    /// The folder has changed.
    rescan: bool,
    outgoing: Vec<(String, Vec<u8>)>,
    /// Who waits for the reply with this tag of this session.
    replies: HashMap<u64, (String, Sender<AnswerOutcome>)>,
    next_tag: u64,
    stop: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Looks at `<runtime>/sessions` and tells of every change, on a thread of its own, which
    /// must not wait for this inbox in turn. What is there already is told as changes, too.
    ///
    /// # Errors
    /// When the folder is not the user's alone, or the system refuses.
    pub fn start(
        runtime: &Path,
        role: Role,
        changes: impl FnMut(Change) + Send + 'static,
    ) -> Result<Self, Error> {
        let folder = Folder::open(runtime)?;
        let io = |what| {
            let path = folder.path().to_owned();
            move |error| Error::Io { path, what, error }
        };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            settled: Condvar::new(),
            wake: Wake::new().map_err(io("has no pipe"))?,
        });
        // Somebody who only looks is gone before anything changes.
        let watcher = if role.attends() { watch(&folder, &shared) } else { None };
        let failed = io("has no thread");
        let client = Client {
            shared: Arc::clone(&shared),
            rescan: if watcher.is_some() { RESCAN_WATCHED } else { RESCAN_UNWATCHED },
            _watcher: watcher,
            folder,
            role,
            changes: Box::new(changes),
            conns: BTreeMap::new(),
            next_scan: Instant::now(),
        };
        let thread = thread::Builder::new()
            .name("inbox".into())
            .spawn(move || client.run())
            .map_err(failed)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Everything once, for a command that looks and goes.
    ///
    /// # Errors
    /// As [`Inbox::start`].
    pub fn list(runtime: &Path, patience: Duration) -> Result<Listing, Error> {
        Ok(Self::start(runtime, Role::List, |_| {})?.ready(patience))
    }

    /// Waits until every session that is there has said what it has, at most as long as
    /// `patience`: a stopped one says nothing.
    pub fn ready(&self, patience: Duration) -> Listing {
        let waiting =
            |state: &mut State| !state.scanned || state.silent.values().any(Option::is_none);
        let state = self.shared.state();
        let state = match self.shared.settled.wait_timeout_while(state, patience, waiting) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
        let unreachable = state.silent.iter().map(|(session, reason)| Unreachable {
            session: session.clone(),
            reason: reason.clone().unwrap_or_else(|| {
                "It does not answer. It may be stopped (Ctrl-Z): `fg` lets it go on.".to_owned()
            }),
        });
        Listing { sessions: state.merged.sessions(), unreachable: unreachable.collect() }
    }

    /// What is known now, by the start of the session.
    pub fn sessions(&self) -> Vec<SessionRequests> {
        self.shared.state().merged.sessions()
    }

    /// Answers a request of whichever session it is of, and waits until that session confirms,
    /// five seconds at most. `by` is for the session to say.
    pub fn answer(&self, msg: &AnswerMsg) -> AnswerOutcome {
        // A request's id begins with its session's.
        let session = msg.request.rsplit_once('.').map_or("", |(session, _)| session);
        self.call(session, |tag| {
            ClientMessage::Answer(WireAnswer {
                request: msg.request.clone(),
                verdict: msg.verdict.to_string(),
                scope: msg.scope.to_string(),
                hosts: msg.hosts.clone(),
                denied: msg.denied.clone(),
                further: msg.further,
                note: msg.note.clone(),
                tag,
            })
        })
    }

    /// Takes an approval for a session back.
    pub fn revoke(&self, session: &str, approval: &str) -> AnswerOutcome {
        self.call(session, |tag| ClientMessage::Revoke { approval: approval.to_owned(), tag })
    }

    fn call(&self, session: &str, message: impl FnOnce(u64) -> ClientMessage) -> AnswerOutcome {
        let (sender, receiver) = channel();
        let mut state = self.shared.state();
        if !state.merged.has(session) {
            return AnswerOutcome::refused(
                "There is no such request: its session has ended, or never was.",
            );
        }
        state.next_tag += 1;
        let tag = state.next_tag;
        state.replies.insert(tag, (session.to_owned(), sender));
        state.outgoing.push((session.to_owned(), line(&message(tag))));
        drop(state);
        self.shared.wake.wake();

        let reply = receiver.recv_timeout(CONFIRM);
        self.shared.state().replies.remove(&tag);
        reply.unwrap_or_else(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => AnswerOutcome::refused(
                "The session has not confirmed this. It may be stopped (Ctrl-Z): then it takes \
                 the answer when it goes on, if that is still in time.",
            ),
            std::sync::mpsc::RecvTimeoutError::Disconnected => {
                AnswerOutcome::refused("The session ended before it confirmed this.")
            }
        })
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.wake.wake();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// `None`: the system has no watches left, or none at all. Then the folder is looked at more often.
fn watch(folder: &Folder, shared: &Arc<Shared>) -> Option<RecommendedWatcher> {
    let told = Arc::clone(shared);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Looking at the folder opens it, which is told as well and must not wake us again.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        told.state().rescan = true;
        told.wake.wake();
    })
    .ok()?;
    watcher.watch(folder.path(), RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

/// The thread's own.
struct Client {
    shared: Arc<Shared>,
    folder: Folder,
    role: Role,
    changes: Box<dyn FnMut(Change) + Send>,
    rescan: Duration,
    _watcher: Option<RecommendedWatcher>,
    conns: BTreeMap<String, Wire>,
    next_scan: Instant,
}

impl Client {
    fn run(mut self) {
        loop {
            let changed = std::mem::take(&mut self.shared.state().rescan);
            if changed || self.next_scan <= Instant::now() {
                self.scan();
            }
            if !self.send() {
                return;
            }
            let changes = self.shared.state().merged.tick(Timestamp::now());
            self.tell(changes);
            for session in self.wait() {
                self.receive(&session);
            }
        }
    }

    /// Connects to sessions that are new.
    fn scan(&mut self) {
        self.next_scan = Instant::now() + self.rescan;
        let ids = self.folder.ids().unwrap_or_default();
        self.shared.state().silent.retain(|id, _| ids.contains(id));
        let mut dead = false;
        for id in ids {
            if self.conns.contains_key(&id) {
                continue;
            }
            match self.connect(&id) {
                Ok(wire) => {
                    self.shared.state().silent.entry(id.clone()).or_default();
                    self.conns.insert(id, wire);
                }
                Err(Connect::Dead) => dead = true,
                Err(Connect::Failed(reason)) => self.refused(&id, reason),
            }
        }
        if dead {
            self.folder.sweep();
        }
        self.shared.state().scanned = true;
        self.shared.settled.notify_all();
    }

    fn connect(&self, id: &str) -> Result<Wire, Connect> {
        let failed = |error: Errno| Connect::Failed(format!("It cannot be reached: {error}."));
        let path = self.folder.socket(id).map_err(|error| Connect::Failed(error.to_string()))?;
        let address = SocketAddrUnix::new(&path).map_err(failed)?;
        let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).map_err(failed)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).map_err(failed)?;
        // Without waiting: a stopped session with a full backlog would hold everybody up.
        rustix::io::ioctl_fionbio(&socket, true).map_err(failed)?;
        match connect(&socket, &address) {
            Ok(()) => {}
            // Nobody listens: it was killed, or it ends.
            Err(Errno::CONNREFUSED | Errno::NOENT) => return Err(Connect::Dead),
            Err(error) => return Err(failed(error)),
        }
        kernel::is_ours(&socket).map_err(Connect::Failed)?;
        let mut wire = Wire::new(socket, SERVER_LINE, UNREAD)
            .map_err(|error| Connect::Failed(format!("It cannot be reached: {error}.")))?;
        let hello = ClientMessage::Hello { version: PROTOCOL_VERSION, role: self.role };
        // A session that does not want to talk has perhaps said so and closed already: then this
        // fails, and its words are there to be read.
        let _ = wire.send(&line(&hello));
        Ok(wire)
    }

    /// Sends what others want sent. `false`: it is time to stop.
    fn send(&mut self) -> bool {
        let mut state = self.shared.state();
        let outgoing = std::mem::take(&mut state.outgoing);
        let stop = state.stop;
        drop(state);
        for (session, bytes) in outgoing {
            if let Some(wire) = self.conns.get_mut(&session)
                && !wire.send(&bytes)
            {
                self.lost(&session);
            }
        }
        !stop
    }

    /// The sessions that have something to say.
    fn wait(&mut self) -> Vec<String> {
        let now = Instant::now();
        let mut timeout = self.next_scan.saturating_duration_since(now);
        if let Some(at) = self.shared.state().merged.next_deadline() {
            let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            timeout = timeout.min(left);
        }
        let timeout = Timespec::try_from(timeout + Duration::from_millis(1)).ok();
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        for wire in self.conns.values() {
            let sending = if wire.is_sending() { PollFlags::OUT } else { PollFlags::empty() };
            fds.push(PollFd::new(wire, PollFlags::IN | sending));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Vec::new(),
            Err(_) => {
                // Out of memory: nothing is lost by trying again a little later.
                thread::sleep(Duration::from_millis(100));
                return Vec::new();
            }
        }
        if !fds[0].revents().is_empty() {
            self.shared.wake.clear();
        }
        let ready = self.conns.keys().zip(&fds[1..]).filter(|(_, fd)| !fd.revents().is_empty());
        ready.map(|(session, _)| session.clone()).collect()
    }

    fn receive(&mut self, session: &str) {
        let Some(wire) = self.conns.get_mut(session) else { return };
        let flushed = wire.flush();
        let (lines, end) = wire.receive();
        for bytes in lines {
            if let Some(message) = parse_server(&bytes) {
                self.take(session, message);
            }
        }
        if !flushed || matches!(end, Err(Closed::Gone | Closed::LineTooLong)) {
            self.lost(session);
        }
    }

    fn take(&mut self, session: &str, message: ServerMessage) {
        match message {
            ServerMessage::Reply { tag, outcome } => {
                // Only from the session that was asked.
                let mut state = self.shared.state();
                if let Some((asked, waiter)) = state.replies.remove(&tag) {
                    if asked == session {
                        let _ = waiter.send(outcome);
                    } else {
                        state.replies.insert(tag, (asked, waiter));
                    }
                }
            }
            ServerMessage::Goodbye { reason } => self.refused(session, reason),
            message => {
                let mut state = self.shared.state();
                if matches!(message, ServerMessage::Welcome { .. }) {
                    state.silent.remove(session);
                }
                let changes = state.merged.apply(session, message);
                drop(state);
                self.shared.settled.notify_all();
                self.tell(changes);
            }
        }
    }

    /// A session does not want to talk, or cannot be talked to.
    fn refused(&mut self, session: &str, reason: String) {
        let mut state = self.shared.state();
        let known = state.silent.insert(session.to_owned(), Some(reason.clone()));
        drop(state);
        self.shared.settled.notify_all();
        if known.flatten().as_ref() != Some(&reason) {
            self.tell(vec![Change::Refused { session: session.to_owned(), reason }]);
        }
    }

    /// A connection has ended.
    fn lost(&mut self, session: &str) {
        self.conns.remove(session);
        self.next_scan = self.next_scan.min(Instant::now() + RESCAN_SOON);
        let mut state = self.shared.state();
        // Dropping the senders tells those who wait.
        state.replies.retain(|_, (asked, _)| asked != session);
        if state.silent.get(session).is_some_and(Option::is_none) {
            state.silent.remove(session);
        }
        let changes = state.merged.gone(session, true);
        drop(state);
        self.shared.settled.notify_all();
        self.tell(changes);
    }

    fn tell(&mut self, changes: Vec<Change>) {
        for change in changes {
            (self.changes)(change);
        }
    }
}

/// Why a socket could not be connected to.
enum Connect {
    Dead,
    Failed(String),
}
