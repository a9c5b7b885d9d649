//! The person's terminal while an agent runs on the session's own: raw mode, bytes both ways,
//! resizing, and giving it back when the session stops or ends.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Whether this process is in the foreground of a terminal.
pub(crate) fn is_foreground_of(terminal: impl AsFd) -> bool {
    // 0 where the group's leader is outside of this namespace of processes (pid_namespaces(7)), for
    // which rustix has no value.
    // SAFETY: takes nothing and cannot fail.
    let own = unsafe { libc::getpgrp() };
    tcgetpgrp(terminal).is_ok_and(|group| group.as_raw_nonzero().get() == own)
}

/// Which of the three standard streams are a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

impl Streams {
    pub(crate) fn of_this_process() -> Self {
        Self {
            stdin: isatty(stdin()),
            stdout: isatty(stdout()),
            stderr: isatty(rustix::stdio::stderr()),
        }
    }

    pub(crate) fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }

    /// The size of whichever stream is a terminal.
    pub(crate) fn size(self) -> Option<Winsize> {
        if self.stdin {
            tcgetwinsize(stdin()).ok()
        } else if self.stdout {
            tcgetwinsize(stdout()).ok()
        } else {
            tcgetwinsize(rustix::stdio::stderr()).ok()
        }
    }
}

/// Carries a terminal session. Dropping it gives the terminal back.
#[derive(Debug)]
pub(crate) struct Terminal {
    streams: Streams,
    master: Arc<OwnedFd>,
    cooked: Mutex<Option<Termios>>,
    output: Mutex<Option<JoinHandle<()>>>,
    /// Writing to or closing this end makes the input thread stop reading the keyboard.
    stop_input: Mutex<Option<OwnedFd>>,
}

impl Terminal {
    /// Starts carrying bytes between the person's terminal and the session's.
    ///
    /// # Errors
    /// When a thread or a pipe cannot be had.
    pub(crate) fn start(streams: Streams, master: OwnedFd) -> io::Result<Arc<Self>> {
        let master = Arc::new(master);
        let (stop_reader, stop_writer) = rustix::pipe::pipe()?;
        let output = {
            let master = Arc::clone(&master);
            thread::Builder::new().name("terminal output".into()).spawn(move || {
                let out = if streams.stdout { stdout() } else { rustix::stdio::stderr() };
                carry_output(&master, out);
            })?
        };
        let terminal = Arc::new(Self {
            streams,
            master: Arc::clone(&master),
            cooked: Mutex::new(None),
            output: Mutex::new(Some(output)),
            stop_input: Mutex::new(Some(stop_writer)),
        });
        if streams.stdin {
            terminal.raw();
            thread::Builder::new()
                .name("terminal input".into())
                .spawn(move || carry_input(&master, &stop_reader))?;
        }
        Ok(terminal)
    }

    /// Whether this process is in the foreground of the person's terminal.
    pub(crate) fn is_in_foreground(&self) -> bool {
        match self.streams {
            Streams { stdin: true, .. } => is_foreground_of(stdin()),
            Streams { stdout: true, .. } => is_foreground_of(stdout()),
            _ => is_foreground_of(rustix::stdio::stderr()),
        }
    }

    /// Takes the terminal: every key goes to the agent's terminal, which makes signals of them.
    pub(crate) fn raw(&self) {
        if !self.streams.stdin || !is_foreground_of(stdin()) {
            return; // In the background: the terminal is somebody else's.
        }
        let Ok(current) = tcgetattr(stdin()) else { return };
        let mut raw = current.clone();
        raw.make_raw();
        if tcsetattr(stdin(), OptionalActions::Drain, &raw).is_ok() {
            self.cooked.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(current);
        }
    }

    /// Gives the terminal back as it was.
    pub(crate) fn restore(&self) {
        if let Some(cooked) = self.cooked.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, &cooked);
        }
    }

    /// Passes the size on; the kernel tells the agent with SIGWINCH.
    pub(crate) fn resize(&self) {
        if let Some(size) = self.streams.size() {
            let _ = tcsetwinsize(self.master.as_fd(), size);
        }
    }

    /// Whether the agent reads whole lines, so that a line of ours between them spoils no screen.
    pub(crate) fn reads_lines(&self) -> bool {
        tcgetattr(self.master.as_fd())
            .is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON))
    }

    /// Waits until everything that the agent wrote has been shown, then gives the terminal back.
    pub(crate) fn finish(&self) {
        self.stop_input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(output) = output {
            let _ = output.join();
        }
        self.restore();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Until the last holder of the other side is gone, which reads as EIO (tty_ioctl(4), pty(7)).
fn carry_output(master: &OwnedFd, out: BorrowedFd<'_>) {
    let mut buffer = [0u8; 16 * 1024];
    loop {
        match read(master, &mut buffer) {
            Ok(0) | Err(Errno::IO) => return,
            Ok(count) => {
                if write_all(out, &buffer[..count]).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

fn carry_input(master: &OwnedFd, stop: &OwnedFd) {
    let keyboard = stdin();
    let mut buffer = [0u8; 4096];
    loop {
        let mut ready = [PollFd::new(&keyboard, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        if ready[0].revents().is_empty() {
            continue;
        }
        match read(keyboard, &mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if write_all(master.as_fd(), &buffer[..count]).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&to, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
