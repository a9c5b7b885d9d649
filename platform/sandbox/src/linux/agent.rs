//! The agent's own process, from fork to exec: streams, limits, capabilities, Landlock, seccomp.
//! It allocates nothing.

use super::channel::{self, Message};
use super::group::Held;
use super::init::{Failure, Streams, at, give_up, on};
use super::landlock::Ruleset;
use super::prepare::Prepared;
use super::sys::{self, Errno};
use super::terminal;
use crate::enforce::Stage;
use crate::plan::{Access, Tier};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a shell answers for a command that is not there, and for one it cannot execute.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Everything between fork and exec. All signals are blocked.
pub(super) fn run(
    p: &Prepared,
    control: BorrowedFd<'_>,
    streams: Streams,
    terminal: Option<BorrowedFd<'_>>,
    held: Held,
) -> ! {
    if let Err(failure) = confine(p, control, streams, terminal, held) {
        give_up(control, failure);
    }
    sys::close_all_but(&mut []);
    sys::reset_signals();
    execute(p)
}

fn confine(
    p: &Prepared,
    control: BorrowedFd<'_>,
    streams: Streams,
    terminal: Option<BorrowedFd<'_>>,
    held: Held,
) -> Result<(), Failure> {
    on(Stage::Process, sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0))?;
    // SAFETY: takes two numbers. A group of its own, so that it can be stopped and resumed: its
    // parent is in the same session and another group.
    on(Stage::Process, sys::check(unsafe { libc::setpgid(0, 0) }))?;
    if let Some(terminal) = terminal {
        terminal::foreground(terminal, sys::pid());
    }
    on(Stage::Process, standard_streams(streams, terminal))?;
    on(Stage::Process, limits(p, held))?;
    // SAFETY: the path ends with NUL.
    let entered = sys::check(unsafe { libc::chdir(p.workspace.as_ptr()) });
    entered.map_err(|errno| at(Stage::Process, 0, errno))?;
    bound_capabilities();
    on(Stage::Process, drop_capabilities())?;
    on(Stage::Process, sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0))?;
    let ruleset = landlock(p, terminal)?;
    let listener = on(Stage::Seccomp, seccomp(&p.filter))?;
    let passed = [listener.as_raw_fd(), ruleset.as_fd().as_raw_fd()];
    on(Stage::Seccomp, channel::send(control, Message::Listening, &passed))
}

fn standard_streams(streams: Streams, terminal: Option<BorrowedFd<'_>>) -> sys::Result<()> {
    for (number, stream) in (0..).zip(streams) {
        let source = match (stream, terminal) {
            (Some(fd), _) => fd,
            (None, Some(terminal)) => terminal.as_raw_fd(),
            (None, None) => return Err(Errno(libc::EBADF)),
        };
        // SAFETY: takes two numbers. The sources are 3 or above, as the supervisor saw to.
        sys::check(unsafe { libc::dup2(source, number) })?;
    }
    Ok(())
}

/// What the session's control group does not hold.
fn limits(p: &Prepared, held: Held) -> sys::Result<()> {
    sys::set_limit(libc::RLIMIT_CORE, 0)?;
    // Counted for this user in this user namespace alone (Linux 5.14); root is exempt. Without one
    // it would count this user's other processes, too.
    let processes = p.limits.processes.filter(|_| p.tier == Tier::Full && !held.processes);
    if let Some(processes) = processes {
        sys::set_limit(libc::RLIMIT_NPROC, processes)?;
    }
    if let Some(files) = p.limits.open_files {
        sys::lower_limit(libc::RLIMIT_NOFILE, files)?;
    }
    if let Some(memory) = p.limits.memory.filter(|_| !held.memory) {
        // What a process has written or could write, unlike its address space, of which Node
        // and Go reserve far more than they use. Twice as much: what fills more than its share is
        // to be seen, and the session to be ended with the reason, before the process fails by itself.
        sys::set_limit(libc::RLIMIT_DATA, memory.saturating_mul(2))?;
    }
    Ok(())
}

/// Keeps what this process starts from gaining a capability. What cannot be dropped (an ordinary
/// user may not) is no loss: with no_new_privs nothing is gained at exec.
fn bound_capabilities() {
    for capability in 0..64 {
        if sys::prctl(libc::PR_CAPBSET_DROP, capability, 0).is_err() {
            break;
        }
    }
}

/// Takes every capability from this thread: nothing in the session has one, root least of all.
pub(super) fn drop_capabilities() -> sys::Result<()> {
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as u64;
    sys::prctl(libc::PR_CAP_AMBIENT, clear, 0)?;
    let locked = libc::SECBIT_NOROOT | libc::SECBIT_NOROOT_LOCKED;
    // Needs a capability, and means nothing to whoever has none.
    let _ = sys::prctl(libc::PR_SET_SECUREBITS, locked as u64, 0);
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let none = [0u32; 6];
    // SAFETY: the header and the two triples of masks are what version 3 of capset(2) reads.
    sys::check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) }).map(drop)
}

fn landlock(p: &Prepared, terminal: Option<BorrowedFd<'_>>) -> Result<Ruleset, Failure> {
    let ruleset = on(Stage::Landlock, Ruleset::new(p.landlock_abi))?;
    for (index, rule) in p.rules.iter().enumerate() {
        ruleset.grant(rule).map_err(|errno| at(Stage::Landlock, index, errno))?;
    }
    if let Some(terminal) = terminal {
        on(Stage::Landlock, ruleset.grant_fd(terminal.as_raw_fd(), Access::Device))?;
    }
    on(Stage::Landlock, ruleset.enforce(p.audited))?;
    Ok(ruleset)
}

/// Installs the filter, and returns the descriptor on which its questions arrive.
pub(super) fn seccomp(filter: &[libc::sock_filter]) -> sys::Result<OwnedFd> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let install = |flags: u64| {
        // SAFETY: the program is only read, and its length is its own.
        sys::check(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        })
    };
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Once a question is taken up, only a deadly signal interrupts the call that asks; without
    // this (before 5.19) any signal would, and the call would start again.
    let fd = install(listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
        .or_else(|_| install(listener))?;
    // SAFETY: the kernel just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Tries the candidates in order, as a shell does.
fn execute(p: &Prepared) -> ! {
    let program = &p.program;
    let mut status = NOT_FOUND;
    for candidate in &program.candidates {
        if !executable(candidate) {
            if exists(candidate) {
                status = NOT_EXECUTABLE;
            }
            continue;
        }
        let environment = program.environment.pointers.as_ptr().cast();
        // SAFETY: the arrays end with a null pointer and their strings with NUL.
        unsafe {
            libc::execve(candidate.as_ptr(), program.argv.pointers.as_ptr().cast(), environment);
        }
        if sys::last() == Errno(libc::ENOEXEC) {
            // POSIX has the shell run a script that does not say what runs it.
            let argv = &program.shell_argv.pointers;
            if let Some(script) = argv.get(1) {
                script.set(candidate.as_ptr());
            }
            // SAFETY: as above.
            unsafe { libc::execve(c"/bin/sh".as_ptr(), argv.as_ptr().cast(), environment) };
        }
        status = match sys::last() {
            Errno(libc::ENOENT | libc::ENOTDIR) => status,
            _ => NOT_EXECUTABLE,
        };
    }
    let message = if status == NOT_FOUND { &program.not_found } else { &program.not_executable };
    // The status says the same.
    let _ = sys::write(2, message);
    sys::exit(status)
}

fn executable(path: &CStr) -> bool {
    // SAFETY: the path ends with NUL.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

fn exists(path: &CStr) -> bool {
    // SAFETY: the path ends with NUL.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}
