//! The socket between the supervisor and the session's first process: small fixed messages,
//! some with descriptors. Neither end allocates to send.

use super::sys::{self, Errno, Result};
use crate::enforce::Stage;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What one end tells the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// Namespaces, mounts and sockets stand. Descriptors: the terminal's master if there is one,
    /// then the sockets of the relays and the proxy. Whether the agent's process is in the group.
    Ready { grouped: bool },
    /// The agent's process stands before its exec. Descriptors: the filter's listener, and the
    /// Landlock rules that confine it.
    Listening,
    /// A stage failed; `item` is the index of what it concerned, or -1.
    Failed { stage: i32, errno: i32, item: i32 },
    /// The main process was stopped by this signal.
    Stopped { signal: i32 },
    /// The main process ended; the status is as `wait(2)` packs it.
    Ended { status: i32 },
    /// Put the main process in the foreground and let it run.
    Resume,
    /// Send this signal to the main process's group.
    Signal { signal: i32 },
    /// End everything and then yourself.
    End,
    /// Dial this port of the session's own loopback, by this version of IP.
    Dial { port: i32, version: i32 },
    /// What came of it: a socket whose connection is on its way, or why there is none.
    Dialled { errno: i32 },
    /// What to do, to a process that was started ahead. Descriptors: a file that says it, then
    /// the agent's standard streams that are not the terminal.
    Order,
    /// Cover what is denied and has appeared. Descriptor: a file that holds its path.
    Cover,
    /// What came of it: whether something was there that was not covered yet, or why it is not covered.
    Covered { errno: i32, done: bool },
    /// Which limits the session's control group holds. Descriptor: the group's folder, if there is
    /// one.
    Group { memory: bool, processes: bool },
}

type Raw = [i32; 4];

impl Message {
    fn to_raw(self) -> Raw {
        match self {
            Self::Ready { grouped } => [1, grouped.into(), 0, 0],
            Self::Listening => [2, 0, 0, 0],
            Self::Failed { stage, errno, item } => [3, stage, errno, item],
            Self::Stopped { signal } => [4, signal, 0, 0],
            Self::Ended { status } => [5, status, 0, 0],
            Self::Resume => [6, 0, 0, 0],
            Self::Signal { signal } => [7, signal, 0, 0],
            Self::End => [8, 0, 0, 0],
            Self::Order => [9, 0, 0, 0],
            Self::Dial { port, version } => [10, port, version, 0],
            Self::Dialled { errno } => [11, errno, 0, 0],
            Self::Cover => [13, 0, 0, 0],
            Self::Covered { errno, done } => [14, errno, done.into(), 0],
            Self::Group { memory, processes } => [12, memory.into(), processes.into(), 0],
        }
    }

    fn from_raw(raw: Raw) -> Option<Self> {
        Some(match raw {
            [1, grouped, ..] => Self::Ready { grouped: grouped != 0 },
            [2, ..] => Self::Listening,
            [3, stage, errno, item] => Self::Failed { stage, errno, item },
            [4, signal, ..] => Self::Stopped { signal },
            [5, status, ..] => Self::Ended { status },
            [6, ..] => Self::Resume,
            [7, signal, ..] => Self::Signal { signal },
            [8, ..] => Self::End,
            [9, ..] => Self::Order,
            [10, port, version, _] => Self::Dial { port, version },
            [11, errno, ..] => Self::Dialled { errno },
            [12, memory, processes, _] => {
                Self::Group { memory: memory != 0, processes: processes != 0 }
            }
            [13, ..] => Self::Cover,
            [14, errno, done, _] => Self::Covered { errno, done: done != 0 },
            _ => return None,
        })
    }
}

/// The stage that a message numbers.
pub(super) fn stage(number: i32) -> Stage {
    const ALL: [Stage; 12] = [
        Stage::Namespaces,
        Stage::Identity,
        Stage::Mounts,
        Stage::Processes,
        Stage::Terminals,
        Stage::Network,
        Stage::Paths,
        Stage::Relays,
        Stage::Process,
        Stage::Landlock,
        Stage::Seccomp,
        Stage::Broker,
    ];
    usize::try_from(number).ok().and_then(|at| ALL.get(at).copied()).unwrap_or(Stage::Process)
}

/// As many descriptors as one message carries at most (the kernel's own bound is 253).
pub(super) const MOST_DESCRIPTORS: usize = 200;

const SPACE: usize =
    // SAFETY: computes a size from a number.
    unsafe { libc::CMSG_SPACE((MOST_DESCRIPTORS * size_of::<RawFd>()) as u32) } as usize;

/// Room for descriptors in a message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Room([u8; SPACE]);

/// A pair of ends that keep messages apart and tell when the other has gone.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the array holds the two descriptors that the kernel stores.
    sys::check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: both are new and ours alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Sends a message, with descriptors where it has some.
pub(super) fn send(socket: BorrowedFd<'_>, message: Message, fds: &[RawFd]) -> Result<()> {
    if fds.len() > MOST_DESCRIPTORS {
        return Err(Errno(libc::E2BIG));
    }
    let mut raw = message.to_raw();
    let mut room = Room([0; SPACE]);
    let mut part = libc::iovec { iov_base: raw.as_mut_ptr().cast(), iov_len: size_of::<Raw>() };
    // SAFETY: every pointer stays valid for the call, and the lengths are those of what they
    // point at; the descriptors fit the room as checked above.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        if !fds.is_empty() {
            let bytes = size_of_val(fds) as u32;
            header.msg_control = room.0.as_mut_ptr().cast();
            header.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let control = libc::CMSG_FIRSTHDR(&raw const header);
            (*control).cmsg_level = libc::SOL_SOCKET;
            (*control).cmsg_type = libc::SCM_RIGHTS;
            (*control).cmsg_len = libc::CMSG_LEN(bytes) as _;
            std::ptr::copy_nonoverlapping(
                fds.as_ptr().cast::<u8>(),
                libc::CMSG_DATA(control),
                size_of_val(fds),
            );
        }
        sys::check(libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL))?;
    }
    Ok(())
}

/// Receives one message and its descriptors; `None` when the other end has gone.
pub(super) fn receive(socket: BorrowedFd<'_>) -> Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut raw: Raw = [0; 4];
    let mut room = Room([0; SPACE]);
    let mut part = libc::iovec { iov_base: raw.as_mut_ptr().cast(), iov_len: size_of::<Raw>() };
    let mut fds = Vec::new();
    // SAFETY: every pointer stays valid for the call, and the lengths are those of what they
    // point at; the descriptors found in it are new and ours alone.
    let count = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = room.0.as_mut_ptr().cast();
        header.msg_controllen = SPACE as _;
        let count = loop {
            let flags = libc::MSG_CMSG_CLOEXEC;
            match sys::check(libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags)) {
                Err(Errno(libc::EINTR)) => {}
                other => break other?,
            }
        };
        let control = libc::CMSG_FIRSTHDR(&raw const header);
        if !control.is_null() && (*control).cmsg_type == libc::SCM_RIGHTS {
            let bytes = (*control).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            let first = libc::CMSG_DATA(control).cast::<RawFd>();
            for at in 0..bytes / size_of::<RawFd>() {
                fds.push(OwnedFd::from_raw_fd(first.add(at).read_unaligned()));
            }
        }
        count
    };
    match count {
        0 => Ok(None),
        _ => Message::from_raw(raw).map(|m| Some((m, fds))).ok_or(Errno(libc::EPROTO)),
    }
}
