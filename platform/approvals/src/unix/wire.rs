//! Lines over a non-blocking socket, with a limit on how much either direction may hold.

use super::kernel::SEND;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, send};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Read at most this much before others have their turn.
const TURN: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    line_limit: usize,
    output_limit: usize,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The other side has closed, or failed. A line without its end is dropped.
    Gone,
    /// A line was longer than agreed.
    LineTooLong,
}

impl Wire {
    /// Both limits in bytes.
    pub(super) fn new(socket: OwnedFd, line_limit: usize, output_limit: usize) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            line_limit,
            output_limit,
        })
    }

    /// Queues bytes and sends what goes without waiting. `false`: the other side is gone, or has
    /// left more unread than may be held for it.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        if self.unsent() + bytes.len() > self.output_limit {
            return false;
        }
        self.output.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends what goes without waiting. `false`: the other side is gone.
    pub(super) fn flush(&mut self) -> bool {
        while self.sent < self.output.len() {
            match send(&self.socket, &self.output[self.sent..], SEND) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.output.shrink_to(TURN);
        self.sent = 0;
        true
    }

    /// Bytes that wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Whether something waits to be sent.
    pub(super) fn is_sending(&self) -> bool {
        self.sent < self.output.len()
    }

    /// The complete lines that have come, without their ends, and whether more can come.
    pub(super) fn receive(&mut self) -> (Vec<Vec<u8>>, Result<(), Closed>) {
        let mut lines = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        let mut taken = 0;
        while taken < TURN {
            let count = match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((0, _)) => return (lines, Err(Closed::Gone)),
                Ok((count, _)) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return (lines, Ok(())),
                Err(_) => return (lines, Err(Closed::Gone)),
            };
            taken += count;
            let mut rest = &buffer[..count];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.input.extend_from_slice(&rest[..end]);
                if self.input.len() > self.line_limit {
                    return (lines, Err(Closed::LineTooLong));
                }
                let line = std::mem::take(&mut self.input);
                if !line.trim_ascii().is_empty() {
                    lines.push(line);
                }
                rest = &rest[end + 1..];
            }
            self.input.extend_from_slice(rest);
            if self.input.len() > self.line_limit {
                return (lines, Err(Closed::LineTooLong));
            }
        }
        (lines, Ok(()))
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Ends another thread's poll.
#[derive(Debug)]
pub(super) struct Wake {
    ours: UnixStream,
    theirs: UnixStream,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok(Self { ours, theirs })
    }

    pub(super) fn wake(&self) {
        // Full means that a wake-up is on its way already.
        let _ = send(&self.ours, &[0], SEND);
    }

    pub(super) fn clear(&self) {
        let mut buffer = [0u8; 256];
        while matches!(recv(&self.theirs, &mut buffer, RecvFlags::empty()), Ok((1.., _))) {}
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.theirs.as_fd()
    }
}
