//! Makes attempts, each in a process of its own, and says what each brought back. This is what
//! runs inside a session; the same program runs outside for the proof, and stands for victims.

use crate::place::Place;
use crate::sys::{check, refused};
use crate::{Attempt, attempts};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// No attempt takes longer than this, in seconds.
const PATIENCE: u32 = 10;

/// What an attempt says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What it brought back.
    Got(Vec<u8>),
    /// Why it could not.
    Failed(String),
}

/// Runs as the arguments say: `attempts PLACE NAME…`, or `victims NUMBER SECRET FILE`.
///
/// # Errors
/// When the arguments make no sense, or nothing can be written.
pub fn main(arguments: &[String]) -> io::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["attempts", place, names @ ..] => make(&Place::read(Path::new(place))?, names),
        ["victims", count, secret, file] => {
            victims(count.parse().map_err(|_| refused("a number"))?, secret, file)
        }
        _ => Err(refused("say `attempts PLACE NAME…` or `victims NUMBER SECRET FILE`")),
    }
}

/// Makes the attempts of these names, in order.
fn make(place: &Place, names: &[&str]) -> io::Result<()> {
    for (_, attempt) in attempts().filter(|(_, attempt)| names.contains(&attempt.name)) {
        let line = match apart(attempt, place) {
            Said::Got(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{}\tgot\t{hex}\n", attempt.name)
            }
            Said::Failed(why) => format!("{}\tfailed\t{}\n", attempt.name, why.escape_debug()),
        };
        io::stdout().write_all(line.as_bytes())?;
    }
    Ok(())
}

/// What [`make`] wrote, by name.
pub(crate) fn said(text: &str) -> impl Iterator<Item = (&str, Said)> {
    text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (name, kind, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = rest.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        match kind {
            "got" => Some((name, Said::Got(digits.map(byte).collect::<Option<_>>()?))),
            "failed" => Some((name, Said::Failed(rest.to_owned()))),
            _ => None,
        }
    })
}

/// Makes one attempt in a process of its own, which is ended after a while.
fn apart(attempt: &Attempt, place: &Place) -> Said {
    let told = || -> io::Result<Said> {
        let (mut reader, mut writer) = io::pipe()?;
        // SAFETY: this process has one thread, so that its child may do what it could.
        let child = check(unsafe { libc::fork() })? as i32;
        if child == 0 {
            drop(reader);
            // SAFETY: both take numbers.
            unsafe {
                libc::setpgid(0, 0);
                libc::alarm(PATIENCE);
            }
            let (kind, bytes) = match (attempt.make)(&place.named(attempt.name)) {
                Ok(bytes) => (b'+', bytes),
                Err(error) => (b'-', error.to_string().into_bytes()),
            };
            // Should nobody read, the parent says that nothing came.
            let _ = writer.write_all(&[&[kind], bytes.as_slice()].concat());
            // SAFETY: ends this process without running what the parent's end would.
            unsafe { libc::_exit(0) };
        }
        drop(writer);
        let mut status = 0;
        // SAFETY: waits for our own child, then ends what is left of its group.
        unsafe {
            check(libc::waitpid(child, &raw mut status, 0))?;
            libc::kill(-child, libc::SIGKILL);
        }
        let mut bytes = available(&mut reader)?;
        Ok(match bytes.first() {
            Some(b'+') => Said::Got(bytes.split_off(1)),
            Some(_) => Said::Failed(String::from_utf8_lossy(&bytes[1..]).into_owned()),
            None if libc::WIFSIGNALED(status) => {
                Said::Failed(format!("ended by signal {}", libc::WTERMSIG(status)))
            }
            None => Said::Failed("it said nothing".into()),
        })
    };
    told().unwrap_or_else(|error| Said::Failed(error.to_string()))
}

/// What lies in a pipe whose other end somebody may still hold.
fn available(reader: &mut io::PipeReader) -> io::Result<Vec<u8>> {
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(bytes),
    }
}

/// What lies in a victim's memory: a word to be changed, and the secret to be read.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) word: u64,
    pub(crate) secret: [u8; 64],
}

/// The word as it is before anybody changes it.
pub(crate) const WORD: u64 = 0x0102_0304_0506_0708;

/// Starts this many processes that wait, says the number and the address of each and a descriptor
/// that they hold open on a file, and ends them when standard input ends.
fn victims(count: usize, secret: &str, file: &str) -> io::Result<()> {
    let mut memory = Memory { word: WORD, secret: [0; 64] };
    for (to, from) in memory.secret.iter_mut().zip(secret.bytes()) {
        *to = from;
    }
    let memory: &'static Memory = Box::leak(Box::new(memory));
    let held = File::open(file)?;
    let mut children = Vec::new();
    for _ in 0..count {
        // SAFETY: this process has one thread; the child only waits.
        let child = check(unsafe { libc::fork() })? as i32;
        if child == 0 {
            // SAFETY: takes numbers and nothing.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::setpgid(0, 0);
                libc::close(0);
                loop {
                    libc::pause();
                }
            }
        }
        // SAFETY: takes numbers; the child may have done it already.
        unsafe { libc::setpgid(child, child) };
        children.push(child);
        let (word, held) = ((&raw const *memory) as usize, held.as_raw_fd());
        say(&format!("{child} {word} {held}\n"))?;
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    for child in children {
        // SAFETY: our own children, not yet waited for, so that the number is theirs.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
