//! Operating systems for which there is no enforcement yet: every call says so, and nothing runs.

use crate::carried::{Carried, Names};
use crate::enforce::{
    ActionId, Ancestor, Answer, Descriptor, Judge, LaunchError, Outcome, Stdio, TerminalSize,
    TraceError,
};
use crate::machine::{Machine, Status};
use crate::plan::{Plan, Relay};
use crate::refusal::{FileRefusal, Unreported};
use std::ffi::OsString;
use std::sync::Arc;

/// A session that sets itself up: there is none here.
#[derive(Debug)]
pub enum Starting {}

/// A session: there is none here.
#[derive(Debug)]
pub enum Session {}

/// The way into a running session: there is none here.
#[derive(Debug, Clone)]
pub enum Control {}

/// A first process ahead of its plan: there is none here.
#[derive(Debug)]
pub enum Ahead {}

/// What the kernel refuses is told nowhere here.
#[derive(Debug)]
pub enum Refusals {}

impl Refusals {
    /// Always refuses.
    ///
    /// # Errors
    /// [`Unreported::OldKernel`].
    pub fn watch() -> Result<Self, Unreported> {
        Err(Unreported::OldKernel)
    }

    /// There are none.
    pub fn of(self, _: &[i32]) -> (Vec<FileRefusal>, bool) {
        match self {}
    }
}

/// Starts none.
pub fn ahead() -> Option<Ahead> {
    None
}

/// Always refuses.
///
/// # Errors
/// [`LaunchError::Unsupported`].
pub fn launch(
    _: Option<Ahead>,
    _: &Plan,
    _: &[OsString],
    _: Stdio,
) -> Result<Starting, LaunchError> {
    Err(LaunchError::Unsupported("the sandbox for it is not built".into()))
}

/// A machine that gives nothing.
pub fn probe() -> Machine {
    Machine {
        landlock_abi: 0,
        seccomp_notify: Status::Untried,
        exec_trace: Status::Untried,
        user_namespaces: Status::Untried,
        mounts: Status::Untried,
        processes: Status::Untried,
        network: Status::Untried,
        terminals: Status::Untried,
        apparmor_restricts_namespaces: false,
        yama: None,
        exempt_from_process_limits: false,
        memory_limit: Status::Untried,
        process_limit: Status::Untried,
    }
}

/// A machine that gives nothing.
pub fn assume() -> Machine {
    probe()
}

/// Nothing is known of processes here.
pub fn argv0(_: i32) -> String {
    String::new()
}

/// When a process started.
pub fn started(_: i32) -> Option<u64> {
    None
}

pub(crate) fn ancestors(_: i32) -> Vec<Ancestor> {
    Vec::new()
}

impl Starting {
    /// Waits until everything stands.
    ///
    /// # Errors
    /// Never: there is no session.
    pub fn settle(self) -> Result<Session, LaunchError> {
        match self {}
    }
}

impl Session {
    /// The way into the running session, for other threads.
    pub fn control(&self) -> Control {
        match *self {}
    }

    /// The supervisor's end of the session's terminal.
    pub fn take_terminal(&mut self) -> Option<Descriptor> {
        match *self {}
    }

    /// The sockets that the session's relays listen on.
    pub fn take_listeners(&mut self) -> Vec<(Relay, Descriptor)> {
        match *self {}
    }

    /// The socket that the session's proxy listens on, inside.
    pub fn take_proxy(&mut self) -> Option<Descriptor> {
        match *self {}
    }

    /// The sockets by which names are answered inside.
    pub fn take_names(&mut self) -> Option<Names> {
        match *self {}
    }

    /// Where sockets for datagrams are accepted that look names up.
    pub fn take_lookups(&mut self) -> Option<Descriptor> {
        match *self {}
    }

    /// Where what was carried wanted to go.
    pub fn carried(&self) -> Arc<Carried> {
        match *self {}
    }

    /// Watches over the session until nothing of it is left.
    ///
    /// # Errors
    /// Never: there is no session.
    pub fn run(self, _: &mut dyn Judge) -> Result<Outcome, TraceError> {
        match self {}
    }
}

impl Control {
    /// Answers what waits.
    pub fn answer(&self, _: ActionId, _: Answer) {
        match *self {}
    }

    /// Sends a signal to the agent's main process and its group.
    pub fn signal(&self, _: i32) {
        match *self {}
    }

    /// Lets a stopped agent run on, in the foreground.
    pub fn resume(&self) {
        match *self {}
    }

    /// Connects to a port of the session's own loopback.
    ///
    /// # Errors
    /// Never: there is no session.
    pub fn dial(&self, _: u16) -> std::io::Result<std::net::TcpStream> {
        match *self {}
    }

    /// Who in the session holds this end of a connection.
    pub fn holder(&self, _: std::net::SocketAddr) -> Option<crate::enforce::Holder> {
        match *self {}
    }

    /// The same of a thread of the session, by its number.
    pub fn asker(&self, _: i32) -> Option<crate::enforce::Holder> {
        match *self {}
    }

    /// Changes the size of the session's terminal.
    pub fn resize(&self, _: TerminalSize) {
        match *self {}
    }

    /// Ends everything in the session at once.
    pub fn terminate(&self) {
        match *self {}
    }
}
