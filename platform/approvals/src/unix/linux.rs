//! What Linux says of a peer: `SO_PEERCRED`, `SO_PEERPIDFD` and `/proc`.

use super::folder::Registration;
use super::peer::{Peer, Process, Processes, may_talk};
use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

/// A peer that closes must not end us with SIGPIPE.
pub(super) const SEND: SendFlags = SendFlags::NOSIGNAL;

/// When a process started, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
pub(super) fn start_of(pid: u32) -> Option<u64> {
    // One read: the line is shorter than this, and a session's start waits for it.
    let mut line = [0u8; 1024];
    let length = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    let stat = String::from_utf8_lossy(&line[..length]);
    // The second field is the name in parentheses, which may hold spaces and parentheses.
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// `Err`: why the process at the other end may not talk to this session.
pub(super) fn admit<Fd: AsFd>(socket: &Fd, supervisors: &[Registration]) -> Result<(), String> {
    let peer = peer_of(socket)?;
    let pinned = pin(socket, peer.pid);
    let own = Peer { uid: rustix::process::geteuid().as_raw(), pid: std::process::id() };
    may_talk(peer, own, supervisors, &Proc)?;
    // Everything above was about the process that connected only if that has not ended since:
    // its id could be another's by now.
    match pinned {
        Some(process) if !has_ended(&process) => Ok(()),
        _ => Err("Your process has ended before this session could tell who you are.".into()),
    }
}

/// `Err`: the session at the other end is another user's.
pub(super) fn is_ours<Fd: AsFd>(socket: &Fd) -> Result<(), String> {
    let uid = peer_of(socket)?.uid;
    if uid == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(format!("The socket is served by user {uid}."))
    }
}

fn peer_of<Fd: AsFd>(socket: &Fd) -> Result<Peer, String> {
    let credentials = getsockopt(socket, sockopt::PeerCredentials)
        .map_err(|error| format!("This session cannot tell who you are: {error}."))?;
    // A peer outside of our process namespace has the id 0 (pid_namespaces(7)).
    Ok(Peer { uid: credentials.uid(), pid: u32::try_from(credentials.pid()).unwrap_or(0) })
}

/// The process that connected, or before Linux 6.5 the one that has its id now.
fn pin<Fd: AsFd>(socket: &Fd, pid: u32) -> Option<OwnedFd> {
    if let Ok(process) = getsockopt(socket, sockopt::PeerPidfd) {
        return Some(process);
    }
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// A pidfd is readable once its process has ended (pidfd_open(2)).
fn has_ended(process: &OwnedFd) -> bool {
    let mut poll_fd = [PollFd::new(process, PollFlags::IN)];
    !matches!(poll(&mut poll_fd, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

struct Proc;

impl Processes for Proc {
    fn process(&self, pid: u32) -> Option<Process> {
        parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn start(&self, pid: u32) -> Option<u64> {
        start_of(pid)
    }
}

/// `/proc/PID/status`, as far as it matters here.
fn parse(status: &str) -> Option<Process> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':').map(str::trim)
    };
    Some(Process {
        parent: field("PPid")?.parse().ok()?,
        // Missing without CONFIG_PID_NS: then there is one namespace.
        namespaces: field("NSpid").map_or(1, |ids| ids.split_ascii_whitespace().count()),
        filters: match field("Seccomp_filters") {
            Some(count) => count.parse().ok()?,
            // Before Linux 5.9 only whether there are any: mode 2 (proc(5)).
            None => u32::from(field("Seccomp").is_some_and(|mode| mode == "2")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_this_process() {
        let own = Proc.process(std::process::id()).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert_eq!(own.namespaces, 1);
        assert!(Proc.start(std::process::id()).unwrap() > 0);
        assert_eq!(Proc.process(u32::MAX), None);
    }

    #[test]
    fn a_status_is_read_with_and_without_newer_fields() {
        let newer = "Name:\tPPid: 3\nPPid:\t12\nNSpid:\t7\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        assert_eq!(parse(newer), Some(Process { parent: 12, namespaces: 2, filters: 3 }));
        let older = "Name:\tsh\nPPid:\t12\nSeccomp:\t2\n";
        assert_eq!(parse(older), Some(Process { parent: 12, namespaces: 1, filters: 1 }));
        assert_eq!(parse("Name:\tsh\n"), None);
    }
}
