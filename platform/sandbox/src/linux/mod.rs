//! Enforcement on Linux: starting a session under its plan, and watching over it.
//!
//! `launch` forks the session's first process ([`init`]), which makes its namespaces and mounts
//! ([`mounts`]) and forks the agent's ([`agent`]), which confines itself ([`landlock`],
//! [`filter`]) and execs. [`trace`] then watches over them.

mod agent;
mod ahead;
mod appearing;
mod attributes;
mod broker;
mod calls;
mod channel;
mod connect;
mod control;
mod cpus;
mod descendants;
mod filter;
mod group;
mod guard;
mod image;
mod init;
mod landlock;
mod local;
mod lookups;
mod mounts;
mod notify;
mod paths;
mod prepare;
mod probe;
mod proc;
mod refusals;
mod sys;
mod terminal;
mod trace;
mod tree;
mod watch;

pub use ahead::{Ahead, ahead};
pub use control::Control;
pub use probe::{assume, probe};
pub(crate) use proc::ancestors;
pub use proc::{argv0, started};
pub use refusals::Refusals;
pub(crate) use tree::walk;

use crate::carried::{Carried, Names};
use crate::enforce::{Judge, LaunchError, Outcome, Stage, Stdio, Stream, TraceError};
use crate::plan::{Limits, Network, Plan, Relay, Tier};
use appearing::Appearing;
use attributes::Own;
use broker::{Broker, Work};
use channel::Message;
use connect::Reach;
use control::Shared;
use group::{Group, Held};
use guard::Guard;
use lookups::Lookups;
use notify::Listener;
use prepare::Prepared;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use sys::Errno;
use watch::Watch;

/// A session whose first process sets itself up. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Starting {
    session: Session,
    prepared: Prepared,
    /// What the broker judges by, until it has it.
    brokered: (Guard, Own, bool, AtomicBool),
    has_terminal: bool,
    network: Network,
}

/// A session that has been set up. Its agent waits for [`Session::run`]; dropping it instead ends
/// everything in it.
#[derive(Debug)]
pub struct Session {
    tier: Tier,
    limits: Limits,
    group: Option<Group>,
    init: i32,
    shared: Arc<Shared>,
    listener: Option<Listener>,
    reach: Option<Reach>,
    broker: Option<Broker>,
    appearing: Option<Appearing>,
    terminal: Option<OwnedFd>,
    listeners: Vec<(Relay, OwnedFd)>,
    proxy: Option<OwnedFd>,
    names: Option<Names>,
    lookups: Option<OwnedFd>,
    carried: Arc<Carried>,
    /// Tracing belongs to a thread, so a session does not move to another.
    _thread: PhantomData<*const ()>,
}

/// Starts a session. Its first process sets itself up while the caller does something else; see
/// [`Starting::settle`]. One that was started [`ahead`] has begun with that already.
///
/// The calling thread becomes the tracing thread: tracing, and the signal that ends a session
/// when its supervisor dies, belong to threads. `Session` is therefore used on this thread only.
/// Other threads of this process must not be in the middle of anything that holds a lock of the
/// memory allocator (parked, or not started yet, is best): the child is a plain clone.
/// One session at a time for each process.
///
/// # Errors
/// [`LaunchError`]; nothing is left running.
pub fn launch(
    ahead: Option<Ahead>,
    plan: &Plan,
    command: &[OsString],
    stdio: Stdio,
) -> Result<Starting, LaunchError> {
    if plan.tier == Tier::None {
        return Err(LaunchError::Invalid("the plan has no sandbox, so nothing may run".into()));
    }
    let prepared = prepare::prepare(plan, command)?;
    let own = prepare::writable_paths(plan).into_iter().map(Into::into).collect();
    let guard = Guard::new(&plan.guarded, &plan.guarded_but)?;
    let repositories = AtomicBool::new(!plan.repositories.is_empty());
    let brokered = (guard, Own(own), plan.tells_refusals, repositories);
    let appearing = Appearing::of(plan)?;
    let listens = lookups::has_to_stand_in(plan).then(Lookups::listen).transpose();
    let (lookups, asked) = listens.map_err(|e| failed(Stage::Process, e))?.unzip();
    let streams = Streams::new(stdio)?;
    let wake = sys::event_fd().map_err(|e| failed(Stage::Process, e))?;
    wake_by_children(&wake)?;
    if plan.tier == Tier::Reduced {
        // Should the first process be killed, its orphans fall to this one.
        sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map_err(|e| failed(Stage::Process, e))?;
    }
    let ordered =
        ahead.and_then(|ahead| ahead.order(plan, &prepared, command, streams.fds(), streams.size));
    let first = ordered.map_or_else(|| first_process(&prepared, &streams), Ok);
    let (init, socket) = first.inspect_err(|_| WAKE.store(NOBODY, Ordering::SeqCst))?;
    // The first process sets itself up meanwhile, and waits for this at the end.
    let group = Group::make(&plan.limits).ok();
    let Held { memory, processes } = group.as_ref().map(Group::held).unwrap_or_default();
    let folder: Vec<i32> = group.iter().map(|group| group.folder().as_raw_fd()).collect();
    // Should it have ended, settling says so.
    let _ = channel::send(socket.as_fd(), Message::Group { memory, processes }, &folder);
    let shared = Shared {
        init,
        socket,
        wake,
        terminal: OnceLock::new(),
        answers: Default::default(),
        words: Default::default(),
        dialling: Default::default(),
    };
    let carried = Arc::default();
    let session = Session {
        tier: plan.tier,
        limits: plan.limits.clone(),
        group,
        init,
        shared: Arc::new(shared),
        listener: None,
        // Name resolution, where it is needed, goes on while the child sets things up.
        reach: Some(Reach::new(plan, init, &carried, lookups)),
        broker: None,
        appearing,
        terminal: None,
        listeners: Vec::new(),
        proxy: None,
        names: None,
        lookups: asked,
        carried,
        _thread: PhantomData,
    };
    let network = plan.network.clone();
    let has_terminal = streams.size.is_some();
    Ok(Starting { session, prepared, brokered, has_terminal, network })
}

/// Clones the first process into what the plan says: its id and the way to it.
fn first_process(prepared: &Prepared, streams: &Streams) -> Result<(i32, OwnedFd), LaunchError> {
    let (ours, theirs) = channel::pair().map_err(|e| failed(Stage::Process, e))?;
    let namespaces = if prepared.tier == Tier::Full { init::NAMESPACES } else { 0 };
    let _signals = sys::block_signals();
    match sys::clone_process(namespaces) {
        Ok(0) => init::run(prepared, theirs, streams.fds(), streams.size),
        Ok(init) => Ok((init, ours)),
        Err(Errno(errno)) => Err(LaunchError::Capability { stage: Stage::Namespaces, errno }),
    }
}

impl Starting {
    /// Waits until everything stands: the agent confined before its first program, which is
    /// judged like every other once [`Session::run`] is called.
    ///
    /// # Errors
    /// [`LaunchError`]; nothing is left running.
    pub fn settle(self) -> Result<Session, LaunchError> {
        let Self { mut session, prepared, brokered, has_terminal, network } = self;
        let mut ready = false;
        let mut ruleset = None;
        while !(ready && session.listener.is_some()) {
            let received = channel::receive(session.shared.socket.as_fd());
            match received.map_err(|e| failed(Stage::Process, e))? {
                Some((Message::Ready { grouped }, fds)) => {
                    ready = true;
                    session.group = session.group.take().filter(|_| grouped);
                    let mut fds = fds.into_iter();
                    if has_terminal {
                        session.terminal = fds.next();
                    }
                    let relays = network.relays().iter().cloned();
                    session.listeners = relays.zip(fds.by_ref()).collect();
                    session.proxy = fds.next();
                    session.names = fds
                        .next()
                        .zip(fds.next())
                        .map(|(arrivals, resolver)| Names { arrivals, resolver });
                }
                Some((Message::Listening, fds)) => {
                    let mut fds = fds.into_iter();
                    session.listener = fds.next().map(Listener::new);
                    ruleset = fds.next();
                }
                Some((Message::Failed { stage, errno, item }, _)) => {
                    return Err(explained(&prepared, channel::stage(stage), errno, item));
                }
                Some((Message::Ended { .. }, _)) => return Err(ended_early(&session)),
                Some(_) => {}
                None => return Err(failed(Stage::Process, Errno(libc::ECHILD))),
            }
        }
        if let Some(master) = &session.terminal {
            let copy = master.try_clone().map_err(|_| failed(Stage::Terminals, sys::last()))?;
            // Set once: a session settles once.
            let _ = session.shared.terminal.set(copy);
        }
        if let (Some(ruleset), Some(listener)) = (ruleset, &session.listener) {
            let (guard, own, tells, repositories) = brokered;
            let listener = listener.share().map_err(|e| failed(Stage::Broker, e))?;
            let root = connect::root_of(session.init).map_err(|e| failed(Stage::Broker, e))?;
            let shared = Arc::clone(&session.shared);
            let waiting = Default::default();
            let work = Work {
                guard,
                own,
                root,
                ruleset,
                listener,
                shared,
                tells,
                waiting,
                opening: Arc::default(),
                repositories,
            };
            session.broker = Some(Broker::new(work));
        }
        Ok(session)
    }
}

impl Session {
    /// The way into the running session, for other threads.
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// The supervisor's end of the session's terminal.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// The sockets that the session's relays listen on, inside; accepting on them gives
    /// connections of the agent. None in the reduced tier, where the agent dials for itself.
    pub fn take_listeners(&mut self) -> Vec<(Relay, OwnedFd)> {
        std::mem::take(&mut self.listeners)
    }

    /// The socket that the session's proxy listens on, inside. None in the reduced tier, where it
    /// listens outside.
    pub fn take_proxy(&mut self) -> Option<OwnedFd> {
        self.proxy.take()
    }

    /// The sockets by which names are answered inside. None without a proxy, and in the reduced
    /// tier, where what was carried arrives outside.
    pub fn take_names(&mut self) -> Option<Names> {
        self.names.take()
    }

    /// Where sockets for datagrams are accepted that look names up, each of which sends its queries
    /// whole (`SOCK_SEQPACKET`, unix(7)). They are connected by this process, and nobody else is to be
    /// answered. In the reduced tier only, where there is a proxy.
    pub fn take_lookups(&mut self) -> Option<OwnedFd> {
        self.lookups.take()
    }

    /// Where what was carried wanted to go.
    pub fn carried(&self) -> Arc<Carried> {
        Arc::clone(&self.carried)
    }

    /// Watches over the session until nothing of it is left.
    ///
    /// # Errors
    /// If its events can no longer be had from the kernel; everything in it has been ended then.
    pub fn run(mut self, judge: &mut dyn Judge) -> Result<Outcome, TraceError> {
        let (Some(listener), Some(reach)) = (self.listener.take(), self.reach.take()) else {
            let source = Errno(libc::EBADF).into();
            return Err(TraceError { what: "it has no filter", source });
        };
        let rest = self.group.as_ref().map(Group::held).unwrap_or_default().rest(&self.limits);
        let tracer = trace::Tracer {
            tier: self.tier,
            init: self.init,
            shared: Arc::clone(&self.shared),
            listener,
            reach,
            broker: self.broker.take(),
            appearing: self.appearing.take(),
            umasks: calls::Umasks::new(),
            judge,
            watch: Watch::new(&rest, self.init),
            group: self.group.as_ref(),
            seized: BTreeSet::new(),
            waiting: BTreeMap::new(),
            next: 1,
            here: None,
            stack: Vec::new(),
            exit: None,
            ended: Vec::new(),
        };
        let outcome = tracer.run();
        if outcome.is_ok() {
            self.init = NOBODY;
        }
        outcome
    }
}

impl Drop for Session {
    /// Ends what is left, and waits until it is gone.
    fn drop(&mut self) {
        if self.init != NOBODY {
            match self.tier {
                Tier::Full => drop(sys::kill(self.init, libc::SIGKILL)),
                Tier::Reduced | Tier::None => self.shared.send(Message::End),
            }
            // Tracees are reaped on the way; without that the first process could not end.
            while let Ok(Some(waited)) = sys::wait(-1, libc::__WALL | libc::__WNOTHREAD) {
                if waited.pid == self.init {
                    break;
                }
            }
        }
        WAKE.store(NOBODY, Ordering::SeqCst);
    }
}

const NOBODY: i32 = -1;

/// The eventfd that SIGCHLD writes to. The signal may be taken by any thread of the process, so
/// only a handler reaches the tracing thread for certain.
static WAKE: AtomicI32 = AtomicI32::new(NOBODY);

extern "C" fn child_changed(_: libc::c_int) {
    let one = 1u64;
    // SAFETY: write(2) may be called in a handler, and `errno` is put back as it was. The
    // descriptor belongs to the running session or is -1.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(WAKE.load(Ordering::SeqCst), (&raw const one).cast(), size_of::<u64>());
        *libc::__errno_location() = errno;
    }
}

fn wake_by_children(wake: &OwnedFd) -> Result<(), LaunchError> {
    let free = WAKE.compare_exchange(NOBODY, wake.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst);
    if free.is_err() {
        return Err(LaunchError::Invalid("this process has a session already".into()));
    }
    // SAFETY: the handler only does what a handler may, and the structure is filled before use.
    sys::check(unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = child_changed as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut())
    })
    .map(drop)
    .map_err(|e| failed(Stage::Process, e))
}

/// The agent's streams at numbers that do not collide with the standard ones.
struct Streams {
    held: [Option<OwnedFd>; 3],
    size: Option<crate::enforce::TerminalSize>,
}

impl Streams {
    fn new(stdio: Stdio) -> Result<Self, LaunchError> {
        let Stdio { terminal, stdin, stdout, stderr } = stdio;
        let hold = |stream| match stream {
            Stream::Terminal if terminal.is_none() => Err(LaunchError::Invalid(
                "a stream leads to the session's terminal, and it has none".into(),
            )),
            Stream::Terminal => Ok(None),
            Stream::To(fd) if fd.as_raw_fd() > 2 => Ok(Some(fd)),
            Stream::To(fd) => {
                // SAFETY: takes numbers, and the new descriptor is ours alone.
                let copy = unsafe {
                    sys::check(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3))
                        .map(|copy| OwnedFd::from_raw_fd(copy))
                };
                copy.map(Some).map_err(|e| failed(Stage::Process, e))
            }
        };
        Ok(Self { held: [hold(stdin)?, hold(stdout)?, hold(stderr)?], size: terminal })
    }

    fn fds(&self) -> init::Streams {
        [&self.held[0], &self.held[1], &self.held[2]]
            .map(|held| held.as_ref().map(AsRawFd::as_raw_fd))
    }
}

fn failed(stage: Stage, errno: Errno) -> LaunchError {
    LaunchError::Setup { stage, what: "the session".into(), source: errno.into() }
}

/// The agent's process was ended before its first program.
fn ended_early(session: &Session) -> LaunchError {
    let excess = session.group.as_ref().and_then(Group::excess);
    excess.map_or_else(
        || failed(Stage::Process, Errno(libc::ECHILD)),
        |excess| LaunchError::Invalid(format!("{} is too low: {excess}", excess.key())),
    )
}

/// A failure of the child in words: the machine's, unless it is about something that was named.
fn explained(prepared: &Prepared, stage: Stage, errno: i32, item: i32) -> LaunchError {
    match (stage, prepare::explain(prepared, stage, item)) {
        (Stage::Mounts, _) | (_, None) => LaunchError::Capability { stage, errno },
        (_, Some(what)) => LaunchError::Setup { stage, what, source: Errno(errno).into() },
    }
}
