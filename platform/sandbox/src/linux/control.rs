//! The way into a running session from other threads of the supervisor.

use super::broker::Word;
use super::channel::{self, Message};
use super::terminal;
use crate::enforce::{ActionId, Answer, TerminalSize};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What the tracing thread shares with the others.
#[derive(Debug)]
pub(super) struct Shared {
    /// To the session's first process.
    pub(super) socket: OwnedFd,
    /// Wakes the tracing thread.
    pub(super) wake: OwnedFd,
    /// Once it is there.
    pub(super) terminal: OnceLock<OwnedFd>,
    pub(super) answers: Mutex<Vec<(ActionId, Answer)>>,
    /// From the broker.
    pub(super) words: Mutex<Vec<Word>>,
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

    fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: an eventfd takes eight bytes. It fails only if it is full, and then it wakes.
        unsafe { libc::write(self.wake.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
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
