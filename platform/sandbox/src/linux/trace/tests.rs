//! Seizing who asks, in a namespace of processes where their numbers can be chosen (clone(2),
//! `set_tid`).

use super::*;
use crate::linux::agent;
use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// The number of whoever asks.
const ASKS: i32 = 9;

/// Runs this in the first process of a namespace, and takes what it complains of.
fn first(body: fn() -> sys::Result<()>) {
    let pid = sys::clone_process(libc::CLONE_NEWUSER | libc::CLONE_NEWPID).unwrap();
    if pid == 0 {
        sys::exit(body().map_or_else(|Errno(errno)| errno, |()| 0));
    }
    assert_eq!(sys::wait(pid, 0).unwrap().unwrap().status, 0);
}

/// Complains of what does not hold.
fn holds(what: bool) -> sys::Result<()> {
    if what { Ok(()) } else { Err(Errno(libc::EBADE)) }
}

/// Forks into a process of this number; 0 in there.
fn fork_as(number: i32) -> sys::Result<i32> {
    // SAFETY: all zeroes is valid for this structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.set_tid = (&raw const number) as u64;
    arguments.set_tid_size = 1;
    let (at, size) = (&raw const arguments, size_of_val(&arguments));
    // SAFETY: without CLONE_VM and with no stack given this is fork(2).
    sys::check(unsafe { libc::syscall(libc::SYS_clone3, at, size) }).map(|pid| pid as i32)
}

/// A process that asks to exec `/bin/true`.
fn ask() -> sys::Result<(Listener, Question)> {
    let (mut told, mut tells) = UnixStream::pair().map_err(|_| sys::last())?;
    if fork_as(ASKS)? == 0 {
        let step = |code: u32, jf: u8, k: u32| sock_filter { code: code as u16, jt: 0, jf, k };
        let program = [
            step(BPF_LD | BPF_W | BPF_ABS, 0, 0),
            step(BPF_JMP | BPF_JEQ | BPF_K, 1, libc::SYS_execve as u32),
            step(BPF_RET | BPF_K, 0, libc::SECCOMP_RET_USER_NOTIF),
            step(BPF_RET | BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let _ = sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0);
        if let Ok(listener) = agent::seccomp(&program) {
            let _ = tells.write_all(&listener.as_raw_fd().to_ne_bytes());
            let arguments = [c"true".as_ptr(), std::ptr::null()];
            // SAFETY: both end with a null pointer.
            unsafe { libc::execv(c"/bin/true".as_ptr(), arguments.as_ptr()) };
        }
        sys::exit(1);
    }
    let mut number = [0; size_of::<RawFd>()];
    told.read_exact(&mut number).map_err(|_| Errno(libc::EPIPE))?;
    let asks = sys::pidfd_open(ASKS)?;
    let listener = Listener::new(sys::pidfd_getfd(&asks, RawFd::from_ne_bytes(number))?);
    let question = listener.receive()?.ok_or(Errno(libc::ENOENT))?;
    holds(question.tid == ASKS)?;
    Ok((listener, question))
}

fn can_be_seized() -> bool {
    // SAFETY: seizing takes numbers.
    sys::check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, ASKS, 0, 0) }).is_ok()
}

fn stop() -> sys::Result<i32> {
    let waited = sys::wait(ASKS, libc::__WALL)?.ok_or(Errno(libc::ECHILD))?;
    Ok(waited.status >> 16)
}

#[test]
fn who_asks_is_seized_before_it_is_known_to_ask() {
    first(|| {
        let (listener, question) = ask()?;
        let mut seized = BTreeSet::new();
        let mut before = false;
        let asks = seize(ASKS, &mut seized, || {
            before = !can_be_seized();
            listener.valid(&question)
        })?;
        holds(asks && before && seized.contains(&ASKS))?;
        listener.proceed(&question);
        holds(stop()? == libc::PTRACE_EVENT_EXEC)?;
        detach(ASKS, 0);
        holds(sys::wait(ASKS, 0)?.is_some_and(|waited| waited.status == 0))
    });
}

#[test]
fn who_has_the_number_of_one_that_asked_and_died_goes_on() {
    first(|| {
        let (listener, question) = ask()?;
        sys::kill(ASKS, libc::SIGKILL)?;
        sys::wait(ASKS, 0)?;
        let (mut mine, mut theirs) = UnixStream::pair().map_err(|_| sys::last())?;
        if fork_as(ASKS)? == 0 {
            let mut word = [0];
            while theirs.read_exact(&mut word).is_ok() && theirs.write_all(&word).is_ok() {}
            sys::exit(0);
        }
        let mut seized = BTreeSet::new();
        holds(!seize(ASKS, &mut seized, || listener.valid(&question))?)?;
        holds(stop()? == libc::PTRACE_EVENT_STOP)?;
        detach(ASKS, 0);
        let mut word = [7];
        mine.write_all(&word).map_err(|_| sys::last())?;
        word = [0];
        mine.read_exact(&mut word).map_err(|_| sys::last())?;
        holds(word == [7] && can_be_seized())
    });
}
