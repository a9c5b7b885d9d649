//! The session's own terminal: a pty whose master the supervisor holds.

use super::sys::{self, Result};
use crate::enforce::TerminalSize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Both ends of a terminal.
#[derive(Debug)]
pub(super) struct Pty {
    pub(super) master: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// Opens a new terminal of this size from whatever `/dev/ptmx` is here, and makes it the
/// controlling one of the calling session leader.
pub(super) fn open(size: TerminalSize) -> Result<Pty> {
    let master = sys::open(c"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
    let unlocked = 0;
    // SAFETY: this ioctl reads an int.
    sys::check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) })?;
    let slave = slave(master.as_fd())?;
    resize(master.as_fd(), size)?;
    // SAFETY: takes a number.
    sys::check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) })?;
    Ok(Pty { master, slave })
}

/// The other end of a terminal, also where no name here leads to it.
pub(super) fn slave(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: this ioctl takes flags and gives a new descriptor, which is ours alone.
    unsafe {
        let slave = sys::check(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags))?;
        Ok(OwnedFd::from_raw_fd(slave))
    }
}

/// Sets the size; the foreground group is told by SIGWINCH.
pub(super) fn resize(terminal: BorrowedFd<'_>, size: TerminalSize) -> Result<()> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure is the one that this ioctl reads.
    sys::check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
        .map(drop)
}

/// Puts a process group in the foreground. The caller has SIGTTOU blocked.
pub(super) fn foreground(terminal: BorrowedFd<'_>, group: i32) {
    // SAFETY: takes two numbers. It fails if the group has ended, and then nothing is lost.
    unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) };
}
