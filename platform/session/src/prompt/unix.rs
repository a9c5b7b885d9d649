//! The terminals of Unix, line by line.

use chaperone_approvals::terminal::{Prompt, Step, render};
use chaperone_approvals::{AnswerMsg, Request};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};
use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Instant;

/// How often it is looked whether the request still waits while nobody types.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Shows a request on `tty` and reads the answer, line by line. `None`: it no longer waits, or the
/// terminal is gone. What was typed before the request appeared is discarded: it was meant for
/// something else.
///
/// # Errors
/// When the terminal cannot be written or read.
pub fn ask_on(
    tty: &mut File,
    request: &Request,
    still_waits: &dyn Fn() -> bool,
) -> io::Result<Option<AnswerMsg>> {
    let mut prompt = Prompt::new(request);
    show(tty, &render(request, Timestamp::now()))?;
    let mut shown = Instant::now();
    let mut line = Vec::new();
    loop {
        let ready = poll(&mut [PollFd::new(tty, PollFlags::IN)], Some(&LOOK));
        if !still_waits() {
            tty.write_all(b"\nIt no longer waits for an answer.\n")?;
            return Ok(None);
        }
        match ready {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut byte = [0u8; 256];
        let count = tty.read(&mut byte)?;
        if count == 0 {
            return Ok(None);
        }
        line.extend_from_slice(&byte[..count]);
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else { continue };
        let text = String::from_utf8_lossy(&line[..end]).into_owned();
        line.drain(..=end);
        match prompt.line(&text, shown.elapsed()) {
            Step::Answer(message) => return Ok(Some(message)),
            Step::Nothing => {}
            Step::Say(words) => {
                show(tty, &words)?;
                shown = Instant::now();
                line.clear();
            }
        }
    }
}

fn show(tty: &mut File, text: &str) -> io::Result<()> {
    tty.write_all(text.as_bytes())?;
    tty.flush()?;
    tcflush(&*tty, QueueSelector::IFlush)?;
    Ok(())
}
