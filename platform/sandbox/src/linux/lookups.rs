//! What stands in for sockets for datagrams where the network is the machine's.
//!
//! Such a socket could send anywhere without a connect that could be judged. In its place a program
//! gets a socket of packets (`SOCK_SEQPACKET`, unix(7)): it sends nothing before it is connected, and
//! then to its peer alone, whatever address a send names. Where it is connected to a resolver, the
//! peer is the supervisor, which answers names; it is connected to nothing else.

use super::connect::{Refused, option, thread_group};
use super::image;
use super::notify::{Listener, Question};
use super::sys::{self, Errno, Result};
use crate::carried::Carried;
use crate::plan::{Plan, Tier};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// So many wait to be accepted before another is told to try again.
const BACKLOG: i32 = 128;

/// Whether sessions of this plan get such sockets.
pub(super) fn has_to_stand_in(plan: &Plan) -> bool {
    plan.tier == Tier::Reduced && plan.network.carried().is_some()
}

/// Where the supervisor waits for those that are connected.
#[derive(Debug)]
pub(super) struct Lookups {
    address: Vec<u8>,
}

impl Lookups {
    /// Listens, by an abstract name that the kernel chooses (unix(7), "Autobind feature"). A session
    /// does not reach it by itself, and whoever else does is told by the credentials of the peer.
    pub(super) fn listen() -> Result<(Self, OwnedFd)> {
        let socket = packets(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?;
        let family = libc::AF_UNIX as libc::sa_family_t;
        let mut bytes = [0u8; size_of::<libc::sockaddr_un>()];
        let mut length = bytes.len() as libc::socklen_t;
        let fd = socket.as_raw_fd();
        // SAFETY: each pointer comes with the length of what it points to.
        unsafe {
            let size = size_of_val(&family) as libc::socklen_t;
            sys::check(libc::bind(fd, (&raw const family).cast(), size))?;
            sys::check(libc::getsockname(fd, bytes.as_mut_ptr().cast(), &raw mut length))?;
            sys::check(libc::listen(fd, BACKLOG))?;
        }
        let address = bytes.get(..length as usize).ok_or(Errno(libc::EINVAL))?.to_vec();
        Ok((Self { address }, socket))
    }

    /// Gives a program what it gets in place of a socket for datagrams.
    pub(super) fn give(listener: &Listener, question: &Question) {
        let kind = question.arguments[1] as i32;
        match packets(libc::SOCK_CLOEXEC | kind & libc::SOCK_NONBLOCK) {
            Ok(socket) => {
                let close_on_exec = kind & libc::SOCK_CLOEXEC != 0;
                listener.answer_with(question, socket.as_raw_fd(), close_on_exec);
            }
            Err(errno) => listener.answer(question, Err(errno)),
        }
    }

    /// What a socket of packets is connected to that wants to go there.
    pub(super) fn towards(&self, to: SocketAddr) -> std::result::Result<Vec<u8>, Refused> {
        match to.port() == Carried::RESOLVER.port() {
            true => Ok(self.address.clone()),
            false => Err(Errno(libc::EACCES).into()),
        }
    }
}

/// Answers a bind, or a send that names an address; `at` is the argument that does. What stands in for
/// a socket for datagrams does neither with an address of the Internet, and the kernel would say so
/// less clearly, or drop the address. All else is the kernel's to carry out: nothing rests on what is
/// read here.
pub(super) fn addressed(listener: &Listener, question: &Question, at: usize) {
    let is_refused = || -> Result<bool> {
        let mut family = [0u8; size_of::<libc::sa_family_t>()];
        image::read_memory(question.tid, question.arguments[at], &mut family)?;
        let family = i32::from(libc::sa_family_t::from_ne_bytes(family));
        if ![libc::AF_INET, libc::AF_INET6].contains(&family) {
            return Ok(false);
        }
        let process = sys::pidfd_open(thread_group(question.tid)?)?;
        let socket = sys::pidfd_getfd(&process, question.arguments[0] as i32)?;
        Ok(option(&socket, libc::SO_TYPE)? == libc::SOCK_SEQPACKET)
    };
    if matches!(is_refused(), Ok(true)) {
        listener.answer(question, Err(Errno(libc::EPERM)));
    } else {
        listener.proceed(question);
    }
}

fn packets(flags: i32) -> Result<OwnedFd> {
    // SAFETY: takes numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | flags, 0) };
    // SAFETY: the descriptor is new, and nobody else's.
    sys::check(fd).map(|fd| unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}
