//! What `/proc` says about a process, for people to see and for looking after descendants.

use crate::enforce::{Ancestor, LeftOver};
use std::fs;
use std::str::FromStr;

/// The parent of a process.
pub(super) fn parent(pid: i32) -> Option<i32> {
    stat_field(pid, 1)
}

/// When a process started, in clock ticks since the machine did.
pub fn started(pid: i32) -> Option<u64> {
    stat_field(pid, 19)
}

/// One of the fields of `/proc/PID/stat` after the name, counted from its state (0); the name may
/// hold spaces and brackets, so the last closing bracket ends it (proc_pid_stat(5)).
pub(super) fn stat_field<T: FromStr>(pid: i32, index: usize) -> Option<T> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// The first argument of a process as it stands in its memory, which the process may have rewritten;
/// its name where it has none. Empty where there is no such process.
pub fn argv0(pid: i32) -> String {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    if first.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return name.trim_end().to_owned();
    }
    String::from_utf8_lossy(first).into_owned()
}

/// The processes above `pid`, nearest first, until this one; the session's first process, which
/// is ours, is left out.
pub(crate) fn ancestors(pid: i32) -> Vec<Ancestor> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut pids = Vec::new();
    let mut at = pid;
    while let Some(above) = parent(at) {
        if above == own || above <= 1 || pids.len() == DEEPEST {
            break;
        }
        pids.push(above);
        at = above;
    }
    if parent(at) == Some(own) {
        pids.pop();
    }
    pids.into_iter().map(|pid| Ancestor { pid, argv0: argv0(pid) }).collect()
}

/// Whether one process descends from another.
pub(super) fn is_below(pid: i32, top: i32) -> bool {
    std::iter::successors(parent(pid), |above| parent(*above)).take(DEEPEST).any(|p| p == top)
}

/// A chain longer than this is cut: it is for people to read.
const DEEPEST: usize = 64;

/// Everything below `pid`, parents before their children.
pub(super) fn descendants(pid: i32) -> Vec<LeftOver> {
    let mut found = Vec::new();
    let mut next = children(pid);
    while let Some(child) = next.pop() {
        if found.iter().any(|known: &LeftOver| known.pid == child) {
            continue;
        }
        found.push(LeftOver { pid: child, argv0: argv0(child) });
        next.extend(children(child));
    }
    found
}

/// The children of every thread of a process (`CONFIG_PROC_CHILDREN`; where the kernel has not
/// got it, the parents of all processes are read instead).
pub(super) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().flat_map(str::parse::<i32>)),
            Err(_) => return children_by_scan(pid),
        }
    }
    found
}

fn children_by_scan(pid: i32) -> Vec<i32> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|candidate| parent(*candidate) == Some(pid))
        .collect()
}
