//! The session's first process: a fork with no exec. It makes the session's world, starts the
//! agent, reaps, and takes everything with it when the supervisor goes. It allocates nothing: it may
//! have been cloned from a process with other threads.
//!
//! In the full tier it is process 1 of its namespace, so its end is the end of all others. In the
//! reduced tier it is the subreaper that every orphan falls to, and ends them one by one.

use super::agent;
use super::channel::{self, Message};
use super::group::Held;
use super::mounts;
use super::prepare::Prepared;
use super::sys::{self, Errno};
use super::terminal::{self, Pty};
use crate::enforce::{Stage, TerminalSize};
use crate::plan::Tier;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What failed and on which item of its stage (-1: none).
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    stage: Stage,
    pub(super) errno: Errno,
    item: i32,
}

/// Says at which stage a call failed.
pub(super) fn on<T>(stage: Stage, result: sys::Result<T>) -> Result<T, Failure> {
    result.map_err(|errno| Failure { stage, errno, item: -1 })
}

/// Says at which stage and on which of its items a call failed.
pub(super) fn at(stage: Stage, item: usize, errno: Errno) -> Failure {
    Failure { stage, errno, item: i32::try_from(item).unwrap_or(-1) }
}

/// Tells the supervisor, and ends this process.
pub(super) fn give_up(control: BorrowedFd<'_>, failure: Failure) -> ! {
    let Failure { stage, errno: Errno(errno), item } = failure;
    let message = Message::Failed { stage: stage as i32, errno, item };
    // With nobody to tell there is nobody to wait.
    let _ = channel::send(control, message, &[]);
    sys::exit(1)
}

/// Where the agent's standard streams lead; `None` is the session's terminal.
pub(super) type Streams = [Option<RawFd>; 3];

/// The namespaces that this process begins in, in the full tier.
pub(super) const NAMESPACES: i32 = libc::CLONE_NEWUSER | libc::CLONE_NEWPID;

/// Everything this process does, from clone to its end. All signals are blocked.
pub(super) fn run(
    p: &Prepared,
    control: OwnedFd,
    streams: Streams,
    size: Option<TerminalSize>,
) -> ! {
    if p.tier == Tier::Full
        && let Err(failure) = world(p.own_network, &p.uid_map, &p.gid_map)
    {
        give_up(control.as_fd(), failure);
    }
    go(p, control, streams, size)
}

/// What this process makes in the full tier whatever else the plan says.
pub(super) fn world(own_network: bool, uid_map: &[u8], gid_map: &[u8]) -> Result<(), Failure> {
    on(Stage::Process, sys::prctl(libc::PR_SET_DUMPABLE, 1, 0))?;
    on(Stage::Process, sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0))?;
    // They take the kernel longer than all the rest of a clone, for which the supervisor would
    // wait.
    let network = if own_network { libc::CLONE_NEWNET } else { 0 };
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network;
    on(Stage::Namespaces, sys::unshare(namespaces))?;
    on(Stage::Identity, identity(uid_map, gid_map))?;
    on(Stage::Mounts, sys::make_private())?;
    if own_network {
        on(Stage::Network, loopback())?;
    }
    Ok(())
}

/// What follows.
pub(super) fn go(
    p: &Prepared,
    control: OwnedFd,
    streams: Streams,
    size: Option<TerminalSize>,
) -> ! {
    let started = start(p, control.as_fd(), streams, size);
    let Started { main, terminal, scratch } = match started {
        Ok(started) => started,
        Err(failure) => give_up(control.as_fd(), failure),
    };
    let number = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let mut kept = [control.as_raw_fd(), number(&terminal), number(&scratch)];
    sys::close_all_but(&mut kept);
    for standard in 0..3 {
        // SAFETY: closing; nothing in this process uses its standard streams.
        unsafe { libc::close(standard) };
    }
    watch(p, main, control.as_fd(), terminal.as_ref(), scratch.as_ref())
}

/// The agent's process, and what is kept open for as long as it runs.
struct Started {
    main: i32,
    terminal: Option<OwnedFd>,
    /// Where what covers others is made, in the full tier.
    scratch: Option<OwnedFd>,
}

fn start(
    p: &Prepared,
    control: BorrowedFd<'_>,
    streams: Streams,
    size: Option<TerminalSize>,
) -> Result<Started, Failure> {
    let mut listeners = [-1; channel::MOST_DESCRIPTORS];
    let mut scratch = None;
    if p.tier == Tier::Full {
        scratch = Some(mounts::set_up(p)?);
        mounts::processes()?;
        mounts::terminals()?;
        if p.own_network {
            listen(p, &mut listeners)?;
        }
    } else {
        on(Stage::Process, sys::prctl(libc::PR_SET_DUMPABLE, 1, 0))?;
        on(Stage::Process, sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0))?;
    }
    // SAFETY: takes nothing.
    on(Stage::Process, sys::check(unsafe { libc::setsid() }))?;
    let pty = match size {
        Some(size) => Some(on(Stage::Terminals, terminal::open(size))?),
        None => None,
    };
    let group = on(Stage::Process, group(control))?;
    let (main, held) = on(Stage::Process, main_process(group.as_ref()))?;
    if main == 0 {
        agent::run(p, control, streams, pty.as_ref().map(|pty| pty.slave.as_fd()), held);
    }
    if let Some(most) = p.limits.processes.filter(|_| p.tier == Tier::Full && !held.processes) {
        mounts::bound_processes(most);
    }
    if p.tier == Tier::Full {
        mounts::bound_watches();
    }
    ready(p, control, pty.as_ref(), &listeners, held != Held::default())?;
    Ok(Started { main, terminal: pty.map(|pty| pty.slave), scratch })
}

/// Waits for the session's control group, which the supervisor has made meanwhile if it can.
fn group(control: BorrowedFd<'_>) -> sys::Result<Option<(OwnedFd, Held)>> {
    match channel::receive(control)? {
        Some((Message::Group { memory, processes }, fds)) => {
            Ok(fds.into_iter().next().map(|folder| (folder, Held { memory, processes })))
        }
        _ => Err(Errno(libc::ECHILD)),
    }
}

/// Clones the agent's process, into the group if there is one, and what the group then holds. Where
/// the kernel or a container refuses that, the rest holds and watches.
fn main_process(group: Option<&(OwnedFd, Held)>) -> sys::Result<(i32, Held)> {
    if let Some((folder, held)) = group
        && let Ok(main) = sys::clone_into(folder.as_fd())
    {
        return Ok((main, *held));
    }
    Ok((sys::clone_process(0)?, Held::default()))
}

/// Passes the terminal and the sockets of the relays and the proxy to the supervisor.
fn ready(
    p: &Prepared,
    control: BorrowedFd<'_>,
    pty: Option<&Pty>,
    listeners: &[RawFd],
    grouped: bool,
) -> Result<(), Failure> {
    let mut passed = [-1; channel::MOST_DESCRIPTORS + 1];
    let mut count = 0;
    if let Some(pty) = pty {
        passed[0] = pty.master.as_raw_fd();
        count = 1;
    }
    let sockets = p.listeners.len() + usize::from(p.resolver.is_some());
    for listener in &listeners[..sockets] {
        passed[count] = *listener;
        count += 1;
    }
    on(Stage::Relays, channel::send(control, Message::Ready { grouped }, &passed[..count]))
}

/// The same ids inside as outside (user_namespaces(7)). Group membership beyond the first cannot
/// be mapped and cannot be dropped; Landlock confines what it would open.
pub(super) fn identity(uid_map: &[u8], gid_map: &[u8]) -> sys::Result<()> {
    sys::write_file(c"/proc/self/setgroups", b"deny")?;
    sys::write_file(c"/proc/self/uid_map", uid_map)?;
    sys::write_file(c"/proc/self/gid_map", gid_map)
}

/// Raises `lo`, which gives the session 127.0.0.0/8 and ::1 of its own.
pub(super) fn loopback() -> sys::Result<()> {
    // SAFETY: the structure is zeroed, which is valid for it, and outlives the calls; the
    // descriptor is ours alone.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let socket = sys::check(libc::socket(libc::AF_INET, kind, 0))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        sys::check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request))?;
    }
    Ok(())
}

/// Binds the sockets of the relays, of the proxy and of what belongs to it. They are left open: they
/// are passed on and then closed with the rest.
fn listen(p: &Prepared, sockets: &mut [RawFd]) -> Result<(), Failure> {
    let streams = p.listeners.iter().map(|address| (libc::SOCK_STREAM, address));
    let datagrams = p.resolver.iter().map(|address| (libc::SOCK_DGRAM, address));
    for (index, (kind, address)) in streams.chain(datagrams).enumerate() {
        let Some(slot) = sockets.get_mut(index) else {
            return Err(at(Stage::Relays, index, Errno(libc::E2BIG)));
        };
        *slot = bound(kind, address).map_err(|errno| at(Stage::Relays, index, errno))?;
    }
    Ok(())
}

fn bound(kind: i32, address: &libc::sockaddr_in) -> sys::Result<RawFd> {
    // SAFETY: every pointer is to a live value of the length given.
    unsafe {
        let socket = sys::check(libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, 0))?;
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        sys::check(libc::bind(socket, (&raw const *address).cast(), length))?;
        if kind == libc::SOCK_STREAM {
            sys::check(libc::listen(socket, 128))?;
        }
        Ok(socket)
    }
}

/// Reaps, reports, and obeys, until the end.
fn watch(
    p: &Prepared,
    main: i32,
    control: BorrowedFd<'_>,
    terminal: Option<&OwnedFd>,
    scratch: Option<&OwnedFd>,
) -> ! {
    let tier = p.tier;
    let Ok(children) = sys::child_signals() else { end(tier) };
    let mut covers = p.mounts.len();
    let mut running = Some(main);
    loop {
        let mut fds = [sys::readable(control), sys::readable(children.as_fd())];
        if sys::poll(&mut fds, -1).is_err() {
            end(tier);
        }
        if fds[1].revents != 0 {
            sys::drain(children.as_fd());
            reap(&mut running, control);
        }
        if fds[0].revents != 0 {
            match (channel::receive(control), running) {
                (Ok(Some((Message::Resume, _))), Some(main)) => resume(main, terminal),
                (Ok(Some((Message::Signal { signal }, _))), Some(main)) => {
                    // It may have ended in this moment.
                    let _ = sys::kill(-main, signal);
                }
                (Ok(Some((Message::Resume | Message::Signal { .. }, _))), None) => {}
                (Ok(Some((Message::Dial { port, version }, _))), _) => {
                    dialled(dial(port, version), control);
                }
                (Ok(Some((Message::Cover, fds))), _) => {
                    covers += 1;
                    let (errno, done) = match cover(scratch, &fds, covers) {
                        Ok(done) => (0, done),
                        Err(Errno(errno)) => (errno, false),
                    };
                    let _ = channel::send(control, Message::Covered { errno, done }, &[]);
                }
                // The supervisor says so, or has gone.
                _ => end(tier),
            }
        }
    }
}

/// Covers the path that a file holds; whether there was something to cover.
fn cover(scratch: Option<&OwnedFd>, fds: &[OwnedFd], number: usize) -> sys::Result<bool> {
    let (Some(scratch), [file]) = (scratch, fds) else { return Err(Errno(libc::EBADF)) };
    let mut path = [0u8; libc::PATH_MAX as usize + 1];
    let longest = path.len() - 1;
    // SAFETY: the buffer is as long as is said, and one byte longer.
    let got = unsafe { libc::pread(file.as_raw_fd(), path.as_mut_ptr().cast(), longest, 0) };
    sys::check(got as libc::c_long)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno(libc::ENAMETOOLONG))?;
    match mounts::cover(scratch, path, number) {
        // It was replaced in between.
        Err(Errno(libc::EINVAL | libc::ELOOP | libc::ESTALE | libc::EEXIST)) => {
            mounts::cover(scratch, path, number)
        }
        covered => covered,
    }
}

fn reap(running: &mut Option<i32>, control: BorrowedFd<'_>) {
    while let Ok(Some(waited)) = sys::wait(-1, libc::WNOHANG | libc::WUNTRACED | libc::__WALL) {
        if Some(waited.pid) != *running {
            continue;
        }
        let message = if libc::WIFSTOPPED(waited.status) {
            Message::Stopped { signal: libc::WSTOPSIG(waited.status) }
        } else {
            *running = None;
            Message::Ended { status: waited.status }
        };
        // Should the supervisor be gone, the poll says so next.
        let _ = channel::send(control, message, &[]);
    }
}

/// Puts the main process's group in the foreground again and lets it run.
fn resume(main: i32, terminal: Option<&OwnedFd>) {
    if let Some(terminal) = terminal {
        terminal::foreground(terminal.as_fd(), main);
    }
    // It may have ended in this moment.
    let _ = sys::kill(-main, libc::SIGCONT);
}

/// Dials a port of the loopback that this process is in, and does not wait for it.
fn dial(port: i32, version: i32) -> sys::Result<OwnedFd> {
    let port = u16::try_from(port).map_err(|_| Errno(libc::EINVAL))?.to_be();
    let family = if version == 6 { libc::AF_INET6 } else { libc::AF_INET };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the addresses are zeroed, which is valid for them, outlive the calls, and have the
    // length given; the descriptor is ours alone.
    unsafe {
        let socket = OwnedFd::from_raw_fd(sys::check(libc::socket(family, kind, 0))?);
        let to = |address: *const libc::sockaddr, length: usize| {
            let length = length as libc::socklen_t;
            match sys::check(libc::connect(socket.as_raw_fd(), address, length)) {
                Ok(_) | Err(Errno(libc::EINPROGRESS)) => Ok(()),
                Err(errno) => Err(errno),
            }
        };
        if version == 6 {
            let mut address: libc::sockaddr_in6 = std::mem::zeroed();
            address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            address.sin6_port = port;
            address.sin6_addr.s6_addr[15] = 1;
            to((&raw const address).cast(), size_of_val(&address))?;
        } else {
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = port;
            address.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
            to((&raw const address).cast(), size_of_val(&address))?;
        }
        Ok(socket)
    }
}

fn dialled(dialled: sys::Result<OwnedFd>, control: BorrowedFd<'_>) {
    // Should the supervisor be gone, the poll says so next.
    let _ = match dialled {
        Ok(socket) => channel::send(control, Message::Dialled { errno: 0 }, &[socket.as_raw_fd()]),
        Err(Errno(errno)) => channel::send(control, Message::Dialled { errno }, &[]),
    };
}

/// Ends every other process of the session, and this one.
fn end(tier: Tier) -> ! {
    if tier == Tier::Full {
        // From process 1 this reaches all others of the namespace at once.
        let _ = sys::kill(-1, libc::SIGKILL);
    } else {
        super::descendants::end_all();
    }
    sys::exit(0)
}
