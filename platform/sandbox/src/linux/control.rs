//! The way into a running session from other threads of the supervisor.

use super::broker::Word;
use super::channel::{self, Message};
use super::connect::thread_group;
use super::{local, sys, terminal};
use crate::enforce::{ActionId, Answer, Holder, TerminalSize};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long a connection to the session's loopback may take.
const DIALLING: Duration = Duration::from_secs(5);

/// What the tracing thread shares with the others.
#[derive(Debug)]
pub(super) struct Shared {
    /// The session's first process.
    pub(super) init: i32,
    /// To the session's first process.
    pub(super) socket: OwnedFd,
    /// Wakes the tracing thread.
    pub(super) wake: OwnedFd,
    /// Once it is there.
    pub(super) terminal: OnceLock<OwnedFd>,
    pub(super) answers: Mutex<Vec<(ActionId, Answer)>>,
    /// From the broker.
    pub(super) words: Mutex<Vec<Word>>,
    /// Who waits for a connection to the session's loopback, in the order of asking.
    pub(super) dialling: Mutex<VecDeque<Sender<io::Result<OwnedFd>>>>,
}

impl Shared {
    pub(super) fn send(&self, message: Message) {
        // The first process may have ended; the tracing thread sees that by itself.
        let _ = channel::send(self.socket.as_fd(), message, &[]);
    }

    pub(super) fn take_answers(&self) -> Vec<(ActionId, Answer)> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_words(&self) -> Vec<Word> {
        std::mem::take(&mut *self.words.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the tracing thread what the broker has to say.
    pub(super) fn hear(&self, word: Word) {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).push(word);
        self.wake();
    }

    /// Hands what was dialled to whoever asked first.
    pub(super) fn dialled(&self, socket: io::Result<OwnedFd>) {
        let first = self.dialling.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        // Who asked may have given up.
        let _ = first.map(|asked| asked.send(socket));
    }

    fn wake(&self) {
        wake(&self.wake);
    }
}

/// Wakes whoever polls an eventfd (eventfd(2)).
pub(super) fn wake(fd: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: an eventfd takes eight bytes. It fails only if it is full, and then it wakes.
    unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// The way into a running session, for any thread. Once the session has ended, every call does
/// nothing.
#[derive(Debug, Clone)]
pub struct Control(pub(super) Arc<Shared>);

impl Control {
    /// Answers what waits. An answer to what has been withdrawn or answered is dropped.
    pub fn answer(&self, id: ActionId, answer: Answer) {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).push((id, answer));
        self.0.wake();
    }

    /// Sends a signal to the agent's main process and its group.
    pub fn signal(&self, signal: i32) {
        self.0.send(Message::Signal { signal });
    }

    /// Lets a stopped agent run on, in the foreground.
    pub fn resume(&self) {
        self.0.send(Message::Resume);
    }

    /// Connects to a port of the session's own loopback, `127.0.0.1` or else `::1`: in the full tier
    /// that is not the machine's.
    ///
    /// # Errors
    /// When nothing listens there, or the session has ended.
    pub fn dial(&self, port: u16) -> io::Result<TcpStream> {
        self.dial_by(port, 4).or_else(|_| self.dial_by(port, 6))
    }

    /// Who in the session holds this end of a connection; `None` where that cannot be told, as of a
    /// process that has gone.
    pub fn holder(&self, end: SocketAddr) -> Option<Holder> {
        local::holder(self.0.init, end)
    }

    /// The same of a thread of the session, by its number.
    pub fn asker(&self, tid: i32) -> Option<Holder> {
        thread_group(tid).ok().map(local::asker)
    }

    fn dial_by(&self, port: u16, version: i32) -> io::Result<TcpStream> {
        let (asked, answer) = mpsc::channel();
        {
            // Answers come in the order of the messages.
            let mut dialling = self.0.dialling.lock().unwrap_or_else(PoisonError::into_inner);
            dialling.push_back(asked);
            self.0.send(Message::Dial { port: port.into(), version });
        }
        let socket = answer.recv_timeout(DIALLING).map_err(|_| ErrorKind::TimedOut)??;
        let stream = TcpStream::from(socket);
        let mut fds = [libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
        sys::poll(&mut fds, DIALLING.as_millis() as i32)?;
        match (stream.take_error()?, fds[0].revents) {
            (Some(error), _) => return Err(error),
            (None, 0) => return Err(ErrorKind::TimedOut.into()),
            (None, _) => {}
        }
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Changes the size of the session's terminal; its programs get SIGWINCH.
    pub fn resize(&self, size: TerminalSize) {
        if let Some(terminal) = self.0.terminal.get() {
            // A terminal that has hung up has no size.
            let _ = terminal::resize(terminal.as_fd(), size);
        }
    }

    /// Ends everything in the session at once.
    pub fn terminate(&self) {
        self.0.send(Message::End);
    }
}
