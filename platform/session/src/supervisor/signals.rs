//! Signals that people and systems send to the supervisor, passed on to the agent.
//!
//! They are blocked in every thread from the start and taken by one thread with `sigwait`, so that
//! nothing is interrupted halfway and no handler runs between two locks.

use super::terminal::Terminal;
use chaperone_sandbox::Control;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::Pid;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;

/// What the agent would have had from its terminal or its parent.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Blocks what [`serve`] takes. Call it before any other thread starts.
///
/// # Errors
/// Never, on a kernel that works.
pub(crate) fn block() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&taken()), None)?;
    Ok(())
}

/// Does something that signals end, together with this process. Only before [`serve`].
pub(crate) fn unblocked<T>(what: impl FnOnce() -> T) -> T {
    // Neither fails on a kernel that works; left open, a signal would end this process and with it
    // the session, as SIGKILL does.
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&taken()), None);
    let done = what();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&taken()), None);
    done
}

fn taken() -> SigSet {
    let mut set = SigSet::empty();
    for signal in PASSED_ON {
        set.add(signal);
    }
    set.add(Signal::SIGTSTP);
    set.add(Signal::SIGWINCH);
    set
}

/// Takes signals on a thread of its own until the process ends. A second SIGTERM ends the session
/// whatever the agent does with the first.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn serve(control: Control, terminal: Weak<Terminal>) -> io::Result<()> {
    thread::Builder::new().name("signals".into()).spawn(move || {
        let set = taken();
        let mut asked_to_end = false;
        while let Ok(signal) = set.wait() {
            match signal {
                Signal::SIGWINCH => {
                    if let Some(terminal) = terminal.upgrade() {
                        terminal.resize();
                    }
                }
                // On the session's own terminal Ctrl-Z reaches the agent there, and the agent's
                // stop comes back through the tracer; from outside it stops both.
                Signal::SIGTSTP => {
                    control.signal(libc::SIGTSTP);
                    stop_with(terminal.upgrade().as_ref());
                    control.resume();
                }
                Signal::SIGTERM if asked_to_end => control.terminate(),
                signal => {
                    asked_to_end |= signal == Signal::SIGTERM;
                    control.signal(signal as i32);
                }
            }
        }
    })?;
    Ok(())
}

/// Stops this whole process group, as Ctrl-Z does to a job, and returns when it is continued.
pub(crate) fn stop_with(terminal: Option<&Arc<Terminal>>) {
    if let Some(terminal) = terminal {
        terminal.restore();
    }
    // SIGSTOP, not SIGTSTP: the latter is blocked here and taken by `serve`.
    let _ = kill(Pid::from_raw(0), Signal::SIGSTOP);
    if let Some(terminal) = terminal {
        terminal.raw();
        terminal.resize();
    }
}
