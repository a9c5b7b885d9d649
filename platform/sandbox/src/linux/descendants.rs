//! Ending everything below this process without a process namespace: the reduced tier's first
//! process is a subreaper, so whatever loses its parent becomes its child. Allocates nothing.

use super::sys::{self, Errno};
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::AsFd;

/// Trees deeper than this are ended a part at a time.
const DEEPEST: u32 = 64;

/// Ends every process below this one, and reaps until none is left.
pub(super) fn end_all() {
    loop {
        end_below(sys::pid(), DEEPEST);
        // What is reaped leaves its children to this process, for the next round.
        if sys::wait(-1, libc::__WALL) == Err(Errno(libc::ECHILD)) {
            return;
        }
    }
}

/// Stops children before looking below them, so that they make no more, and then kills them.
fn end_below(pid: i32, depth: u32) {
    let mut list = [0u8; 4096];
    let length = children(pid, &mut list);
    let pids = || {
        list.get(..length)
            .unwrap_or_default()
            .split(|byte| *byte == b' ')
            .filter_map(|word| std::str::from_utf8(word).ok()?.parse::<i32>().ok())
    };
    for child in pids() {
        let _ = sys::kill(child, libc::SIGSTOP);
    }
    for child in pids() {
        if depth > 0 {
            end_below(child, depth - 1);
        }
        // It may have ended already.
        let _ = sys::kill(child, libc::SIGKILL);
    }
}

/// Reads the children of a process's main thread as words; those of its other threads fall to
/// this process when it ends.
fn children(pid: i32, list: &mut [u8]) -> usize {
    let mut name = [0u8; 64];
    // The array is longer than the longest such name, and its rest is NUL.
    let _ = write!(&mut name[..63], "/proc/{pid}/task/{pid}/children");
    let Ok(path) = CStr::from_bytes_until_nul(&name) else { return 0 };
    let Ok(file) = sys::open(path, libc::O_RDONLY) else { return 0 };
    sys::read(file.as_fd(), list).unwrap_or(0)
}
