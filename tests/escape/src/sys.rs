//! The few system calls that many attempts share.

use crate::Place;
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What every attempt gives.
pub(crate) type Got = io::Result<Vec<u8>>;

/// Nothing was brought back: what came of it is seen elsewhere.
pub(crate) const NOTHING: Got = Ok(Vec::new());

/// A system call by its number, with its arguments as they are.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        // Each argument fills its register: the kernel looks at all of it.
        // SAFETY: every pointer among the arguments is to a value that outlives the call, of the
        // kind that this call takes. What it would do to this process is the point.
        $crate::sys::check(unsafe { libc::syscall($number as i64 $(, $argument as i64)*) })
    };
}
pub(crate) use call;

pub(crate) fn check(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        result if result < 0 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

pub(crate) fn text(path: impl AsRef<OsStr>) -> io::Result<CString> {
    Ok(CString::new(path.as_ref().as_bytes())?)
}

pub(crate) fn open(path: impl AsRef<OsStr>, flags: i32) -> io::Result<OwnedFd> {
    open_at(libc::AT_FDCWD, path, flags)
}

pub(crate) fn open_at(folder: i32, path: impl AsRef<OsStr>, flags: i32) -> io::Result<OwnedFd> {
    let path = text(path)?;
    let flags = flags | libc::O_CLOEXEC;
    owned(call!(libc::SYS_openat, folder, path.as_ptr(), flags, 0o644))
}

/// A descriptor that a call has just returned.
pub(crate) fn owned(fd: io::Result<i64>) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just given it to us alone.
    fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

pub(crate) fn read_all(fd: &OwnedFd) -> Got {
    let mut bytes = vec![0u8; 4096];
    let got = call!(libc::SYS_read, fd.as_raw_fd(), bytes.as_mut_ptr(), bytes.len())?;
    bytes.truncate(got as usize);
    Ok(bytes)
}

pub(crate) fn write_all(fd: &OwnedFd, text: &str) -> Got {
    call!(libc::SYS_write, fd.as_raw_fd(), text.as_ptr(), text.len())?;
    NOTHING
}

/// The same file under its name in `/proc`.
pub(crate) fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Writes this attempt's mark.
pub(crate) fn write_mark(place: &Place, path: impl AsRef<Path>) -> Got {
    fs::write(path, place.mark())?;
    NOTHING
}

/// What a line of shell prints, in the workspace; `$MARK` and `$1` are the mark and the argument.
pub(crate) fn shell(place: &Place, argument: impl AsRef<OsStr>, script: &str) -> Got {
    run(place, Command::new("sh").args(["-c", script, "sh"]).arg(argument))
}

/// What a command prints.
pub(crate) fn run(place: &Place, command: &mut Command) -> Got {
    let done = command
        .env("MARK", place.mark())
        .env("LC_ALL", "C")
        .current_dir(place.work())
        .stdin(Stdio::null())
        .output()?;
    match done.status.success() {
        true => Ok(done.stdout),
        false => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
    }
}

/// Runs `work` beside a child that waits.
pub(crate) fn with_child<T>(work: impl FnOnce(i32) -> io::Result<T>) -> io::Result<T> {
    // SAFETY: this process has one thread, and the child only waits and is ended below.
    unsafe {
        let child = check(libc::fork())? as i32;
        if child == 0 {
            loop {
                libc::pause();
            }
        }
        let result = work(child);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        result
    }
}

/// Runs `work` in a child, whose end tells how it went.
pub(crate) fn in_child(work: impl FnOnce() -> Got) -> Got {
    // SAFETY: this process has one thread, so that its child may do what it could.
    unsafe {
        let child = check(libc::fork())? as i32;
        if child == 0 {
            let errno = match work() {
                Ok(_) => 0,
                Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
            };
            libc::_exit(errno & 0x7f);
        }
        let mut status = 0;
        check(libc::waitpid(child, &raw mut status, 0))?;
        match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
            (true, 0) => NOTHING,
            (true, errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => Err(io::Error::other(format!("ended by signal {}", libc::WTERMSIG(status)))),
        }
    }
}

/// The kernel took the call up on its merits: it did it, or found these arguments wanting.
pub(crate) fn taken_up(result: io::Result<i64>, wanting: &[i32]) -> Got {
    match result {
        Err(error) if error.raw_os_error().is_none_or(|errno| !wanting.contains(&errno)) => {
            Err(error)
        }
        _ => NOTHING,
    }
}

pub(crate) fn refused(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}
