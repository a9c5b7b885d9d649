//! Attempts without a session: the proof that each would succeed on this machine.
//!
//! They are made away from the terminal, and as root away from the machine's mounts and its name,
//! so that nothing but their own world is touched. What they leave running falls to this process.

use super::linux::{Run, SESSION, VARIABLE as NAME, world};
use super::{PART, SelfTestError};
use chaperone_escape::stage::VARIABLE;
use chaperone_escape::{Attempt, Outcome};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A race may take more than one proof.
const RACES: usize = 5;

/// Makes attempts one after another in one world.
pub(super) fn prove_together(
    run: &Run<'_>,
    attempts: Vec<&'static Attempt>,
) -> Result<Vec<(&'static Attempt, Outcome)>, SelfTestError> {
    let stage = run.stage(attempts)?;
    let mut command = Command::new(&run.program);
    command.arg(PART).args(stage.arguments()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    command.env("LANG", "C.UTF-8").env("HOME", stage.home()).env(NAME, SESSION);
    command.env(VARIABLE, stage.secret());
    command.current_dir(stage.workspace()).stdin(Stdio::null()).stderr(Stdio::null());
    let is_root = run.is_root;
    // SAFETY: between fork and exec it only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(move || apart(is_root)) };
    let made = command.output().map_err(world("the suite's program cannot be started"));
    let outcomes = made.map(|made| stage.outcomes(&String::from_utf8_lossy(&made.stdout)));
    drop(stage);
    run.ended.end_all();
    run.ended.check()?;
    outcomes
}

/// Makes an attempt in a world of its own.
pub(super) fn prove(run: &Run<'_>, attempt: &'static Attempt) -> Result<Outcome, SelfTestError> {
    let rounds = if attempt.name.starts_with("race-") { RACES } else { 1 };
    let mut last = Outcome::Held("it was not made".into());
    for _ in 0..rounds {
        if let Some((_, outcome)) = prove_together(run, vec![attempt])?.into_iter().next() {
            last = outcome;
        }
        if last == Outcome::Out {
            break;
        }
    }
    Ok(last)
}

/// Leaves the terminal, ends with whoever started it, and as root takes mounts and names of its own.
fn apart(is_root: bool) -> io::Result<()> {
    // SAFETY: all of these take numbers, and strings that end with NUL.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if !is_root {
            return Ok(());
        }
        if libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUTS) != 0 {
            let error = io::Error::last_os_error();
            // A root that may not do this may not mount either.
            return if error.raw_os_error() == Some(libc::EPERM) { Ok(()) } else { Err(error) };
        }
        let none = std::ptr::null();
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        match libc::mount(none, c"/".as_ptr(), none, flags, std::ptr::null()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Whether somebody ended the self-test, and the end of whatever is below this process.
#[derive(Debug)]
pub(super) struct Ended(Arc<AtomicBool>);

impl Ended {
    /// Takes the signals that end a program, and makes whatever loses its parent fall to this
    /// process. Once one has come, everything below ends at once, and again until this process does.
    pub(super) fn watch() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
            set.add(signal);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        nix::sys::prctl::set_child_subreaper(true)?;
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        thread::Builder::new().name("signals".into()).spawn(move || {
            if set.wait().is_err() {
                return;
            }
            told.store(true, Ordering::SeqCst);
            loop {
                for pid in below(std::process::id()) {
                    // It may have ended already.
                    let _ = kill(pid, Signal::SIGKILL);
                }
                thread::sleep(Duration::from_millis(20));
            }
        })?;
        Ok(Self(ended))
    }

    pub(super) fn check(&self) -> Result<(), SelfTestError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(SelfTestError::Interrupted),
            false => Ok(()),
        }
    }

    /// Ends and reaps everything below this process. Only where nothing below it is wanted.
    pub(super) fn end_all(&self) {
        loop {
            let below = below(std::process::id());
            if below.is_empty() {
                return;
            }
            for pid in &below {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            for pid in below {
                // Only its own parent's business, where that is not this process.
                let _ = nix::sys::wait::waitpid(pid, None);
            }
        }
    }
}

/// Every process below one, by what each says of its parent.
fn below(pid: u32) -> Vec<Pid> {
    let mut all: Vec<(i32, i32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc_pid_stat(5): the name in parentheses, then the state and the parent.
        let parent =
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        all.extend(parent.map(|parent| (pid, parent)));
    }
    let mut found = vec![pid.cast_signed()];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}
