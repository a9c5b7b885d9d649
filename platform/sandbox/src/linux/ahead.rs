//! A session's first process, started ahead of its plan: it makes its namespaces, which takes the
//! kernel longer than all else of a start, while the supervisor reads policies and plans.

use super::channel::{self, Message};
use super::cpus::Cpus;
use super::init::{self, on};
use super::prepare::{self, Prepared};
use super::sys::{self, Errno};
use crate::enforce::{Stage, TerminalSize};
use crate::plan::{Plan, Tier};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// What a process is told that was started ahead.
#[derive(Serialize, Deserialize)]
struct Order<P, C> {
    plan: P,
    command: C,
    /// Which of the standard streams come along; the others are the session's terminal.
    streams: [bool; 3],
    /// Rows and columns.
    terminal: Option<(u16, u16)>,
}

/// A first process that makes its namespaces and then waits for a plan. Dropping it ends it.
#[derive(Debug)]
pub struct Ahead {
    init: First,
    socket: OwnedFd,
}

/// A process that ends with this value.
#[derive(Debug)]
struct First(i32);

/// Starts a first process for a session of the full tier without the machine's network, as most
/// are; [`launch`](crate::launch) starts another one where the plan is of another kind. `None`
/// where the machine refuses, which `launch` finds out anew.
///
/// The process is a plain clone that goes on in this program, so no other thread may be at work.
pub fn ahead() -> Option<Ahead> {
    let (uid_map, gid_map) = prepare::identity_maps();
    let (ours, theirs) = channel::pair().ok()?;
    let cpus = Cpus::of_this_thread();
    let signals = sys::block_signals();
    match sys::clone_process(init::NAMESPACES) {
        Ok(0) => run(theirs, &uid_map, &gid_map, cpus),
        Ok(init) => {
            drop(signals);
            if let Some(cpus) = &cpus {
                cpus.keep_from_this_one(init);
            }
            Some(Ahead { init: First(init), socket: ours })
        }
        Err(_) => None,
    }
}

impl Ahead {
    /// Hands over what to do, if it is what this process can do: its id and the way to it.
    pub(super) fn order(
        self,
        plan: &Plan,
        prepared: &Prepared,
        command: &[OsString],
        streams: init::Streams,
        size: Option<TerminalSize>,
    ) -> Option<(i32, OwnedFd)> {
        if plan.tier != Tier::Full || !prepared.own_network {
            return None;
        }
        let order = Order {
            plan,
            command: command.iter().map(|word| word.to_str()).collect::<Option<Vec<_>>>()?,
            streams: streams.map(|stream| stream.is_some()),
            terminal: size.map(|size| (size.rows, size.columns)),
        };
        // Paths need not be text, but JSON is.
        let bytes = serde_json::to_vec(&order).ok()?;
        let file = sys::memory_file(c"plan").ok()?;
        sys::write(file.as_raw_fd(), &bytes).ok()?;
        let mut passed: Vec<RawFd> = vec![file.as_raw_fd()];
        passed.extend(streams.into_iter().flatten());
        channel::send(self.socket.as_fd(), Message::Order, &passed).ok()?;
        let Self { init, socket } = self;
        let First(pid) = init;
        // It is the session's now.
        std::mem::forget(init);
        Some((pid, socket))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // It is a child that has not been waited for, so it is there.
        let _ = sys::kill(self.0, libc::SIGKILL);
        let _ = sys::wait(self.0, libc::__WALL);
    }
}

/// Everything this process does. All signals are blocked. Its parent had no other thread, so it
/// may allocate.
fn run(control: OwnedFd, uid_map: &[u8], gid_map: &[u8], cpus: Option<Cpus>) -> ! {
    if let Err(failure) = init::world(true, uid_map, gid_map) {
        init::give_up(control.as_fd(), failure);
    }
    let told = channel::receive(control.as_fd());
    let Ok(Some((Message::Order, fds))) = told else { sys::exit(0) };
    if let Some(cpus) = cpus {
        cpus.use_all();
    }
    let Some((order, streams)) = read(fds) else {
        let failed = on::<()>(Stage::Process, Err(Errno(libc::EBADMSG)));
        failed.map_or_else(|failure| init::give_up(control.as_fd(), failure), |()| sys::exit(1))
    };
    let command: Vec<OsString> = order.command.into_iter().map(OsString::from).collect();
    let size = order.terminal.map(|(rows, columns)| TerminalSize { rows, columns });
    match prepare::prepare(&order.plan, &command) {
        Ok(prepared) => {
            let fds = [&streams[0], &streams[1], &streams[2]]
                .map(|stream| stream.as_ref().map(AsRawFd::as_raw_fd));
            init::go(&prepared, control, fds, size)
        }
        // The supervisor has prepared the same a moment ago, and would have said so.
        Err(_) => sys::exit(1),
    }
}

type Held = [Option<OwnedFd>; 3];

fn read(fds: Vec<OwnedFd>) -> Option<(Order<Plan, Vec<String>>, Held)> {
    let mut fds = fds.into_iter();
    let mut file = File::from(fds.next()?);
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.read_to_end(&mut bytes).ok()?;
    let order: Order<Plan, Vec<String>> = serde_json::from_slice(&bytes).ok()?;
    let streams = order.streams.map(|comes| if comes { fds.next() } else { None });
    Some((order, streams))
}
