//! The questions of the seccomp filter and their answers (seccomp_unotify(2)).

use super::sys::{self, Errno, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    id: u64,
    /// The thread that asks, as the supervisor sees it.
    pub(super) tid: i32,
    pub(super) call: libc::c_long,
    pub(super) arguments: [u64; 6],
}

/// Where questions arrive.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

impl Listener {
    /// Takes the descriptor that installing the filter gave.
    pub(super) fn new(fd: OwnedFd) -> Self {
        const SYNCHRONOUS_WAKE_UP: u64 = 1; // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6
        // SAFETY: takes a number. Where the kernel does not know it, waking up costs more.
        unsafe {
            libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNCHRONOUS_WAKE_UP)
        };
        Self(fd)
    }

    /// The next question; `None` if whoever asked has gone again. Blocks if there is none.
    pub(super) fn receive(&self) -> Result<Option<Question>> {
        // SAFETY: all zeroes is what the kernel wants of this structure before the call.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is the one that this ioctl fills.
        match self.control(libc::SECCOMP_IOCTL_NOTIF_RECV, (&raw mut raw).cast()) {
            Ok(_) => Ok(Some(Question {
                id: raw.id,
                tid: raw.pid as i32,
                call: raw.data.nr.into(),
                arguments: raw.data.args,
            })),
            Err(Errno(libc::ENOENT | libc::EINTR | libc::EAGAIN)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether that thread still waits for that answer, and so is still that thread.
    pub(super) fn valid(&self, question: &Question) -> bool {
        let mut id = question.id;
        self.control(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, (&raw mut id).cast()).is_ok()
    }

    /// Lets the kernel carry the call out. Nothing of it that lies in memory can be relied on.
    pub(super) fn proceed(&self, question: &Question) {
        self.send(question, 0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32);
    }

    /// Answers with what was done on the caller's behalf.
    pub(super) fn answer(&self, question: &Question, result: Result<i64>) {
        match result {
            Ok(value) => self.send(question, value, 0, 0),
            Err(Errno(errno)) => self.send(question, 0, -errno, 0),
        }
    }

    fn send(&self, question: &Question, val: i64, error: i32, flags: u32) {
        let mut raw = libc::seccomp_notif_resp { id: question.id, val, error, flags };
        // Whoever died meanwhile needs no answer.
        let _ = self.control(libc::SECCOMP_IOCTL_NOTIF_SEND, (&raw mut raw).cast());
    }

    /// Answers with a descriptor: a copy of `fd` in the process that asks.
    pub(super) fn answer_with(&self, question: &Question, fd: RawFd, close_on_exec: bool) {
        let send = libc::SECCOMP_ADDFD_FLAG_SEND as u32;
        if let Err(errno) = self.add(question, fd, close_on_exec, send) {
            self.answer(question, Err(errno));
        }
    }

    /// Makes a copy of `fd` in the process that asks, which goes on waiting; returns its number.
    pub(super) fn install(&self, question: &Question, fd: RawFd, cloexec: bool) -> Result<i64> {
        self.add(question, fd, cloexec, 0).map(i64::from)
    }

    fn add(&self, question: &Question, fd: RawFd, cloexec: bool, flags: u32) -> Result<i32> {
        let mut raw = libc::seccomp_notif_addfd {
            id: question.id,
            flags,
            srcfd: fd as u32,
            newfd: 0,
            newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        self.control(libc::SECCOMP_IOCTL_NOTIF_ADDFD, (&raw mut raw).cast())
    }

    fn control(&self, request: libc::Ioctl, argument: *mut libc::c_void) -> Result<i32> {
        // SAFETY: each caller passes the structure that its request takes.
        sys::check(unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) })
    }

    /// Another handle on the same listener, for a thread that answers later.
    pub(super) fn share(&self) -> Result<Self> {
        self.0.try_clone().map(Self).map_err(|_| sys::last())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
