//! How the session's own terminal learns of a request.
//!
//! An agent that holds the terminal's input owns its keys and could imitate a prompt, so there the
//! terminal only says where to answer. It asks itself only when the agent has none of its input.

use super::asking::Asking;
use super::terminal::Terminal;
use crate::prompt::ask_on;
use chaperone_approvals::{Approvals, Outcome};
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

/// Who sits before this session.
pub(crate) enum Announcer {
    /// Nobody: there is no terminal.
    Silent,
    /// The agent has the terminal.
    Beside(Arc<Terminal>),
    /// The terminal is there, and its input is not the agent's.
    Prompting(Mutex<Sender<()>>),
}

impl Announcer {
    /// For a session whose agent does not read the terminal. The receiver is for [`serve`].
    pub(crate) fn prompting() -> (Self, Receiver<()>) {
        let (sender, receiver) = channel();
        (Self::Prompting(Mutex::new(sender)), receiver)
    }

    pub(crate) fn has_terminal(&self) -> bool {
        !matches!(self, Self::Silent)
    }

    /// A request has been asked, or one that is open has got another host.
    pub(crate) fn asked(&self, approvals: &Approvals, what: &str, is_new: bool) {
        match self {
            Self::Silent => {}
            Self::Prompting(wake) => {
                // The thread lives as long as the session: see `serve`.
                let _ = wake.lock().unwrap_or_else(PoisonError::into_inner).send(());
            }
            Self::Beside(_) if approvals.attended() || !is_new => {}
            Self::Beside(terminal) if terminal.reads_lines() => say(&format!(
                "`{what}` waits for your answer: run `chaperone approvals` in another terminal, or \
                 open the window."
            )),
            // A full-screen interface: a line of ours would spoil it, the bell does not.
            Self::Beside(_) => {
                let _ = io::stderr().write_all(b"\x07");
            }
        }
    }

    /// A request has been answered, or will not be any more.
    pub(crate) fn settled(&self, outcome: &Outcome) {
        if let Self::Beside(terminal) = self
            && terminal.reads_lines()
        {
            let done = match outcome.verdict {
                chaperone_approvals::AnswerVerdict::Allow => "allowed",
                chaperone_approvals::AnswerVerdict::Deny => "denied",
            };
            say(&format!("{done} by {}.", outcome.by));
        }
    }
}

/// A line between those of the agent, on a terminal in raw mode.
fn say(words: &str) {
    let _ = write!(io::stderr(), "\r\n\x1b[2mchaperone: {words}\x1b[0m\r\n");
}

/// Asks on the terminal, one request after the other, on a thread of its own.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn serve(mut tty: File, wake: Receiver<()>, asking: Weak<Asking>) -> io::Result<()> {
    thread::Builder::new().name("prompt".into()).spawn(move || {
        while wake.recv().is_ok() {
            let Some(asking) = asking.upgrade() else { return };
            let Some(request) = asking.requests().into_iter().find(|request| request.waiting)
            else {
                continue;
            };
            let still_waits =
                || asking.requests().iter().any(|other| other.id == request.id && other.waiting);
            let Ok(answer) = ask_on(&mut tty, &request, &still_waits) else { return };
            if let Some(mut message) = answer {
                message.by = format!("{} at the session's terminal", crate::user_name());
                let outcome = asking.answer(&message);
                let _ = writeln!(tty, "{outcome}");
            }
        }
    })?;
    Ok(())
}
