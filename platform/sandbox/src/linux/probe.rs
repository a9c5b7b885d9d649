//! What this machine gives, found by setting each thing up once in children that end at once.

use super::agent;
use super::filter::{self, Conditions, Guarding};
use super::group;
use super::init;
use super::landlock;
use super::mounts;
use super::prepare;
use super::sys::{self, Errno, Result};
use crate::machine::{Machine, Status};
use std::fs;
use std::os::fd::{AsFd, AsRawFd};

/// What a machine is taken to give before anything has been tried: asks the kernel for its
/// Landlock interface (a microsecond), looks where control groups can be made and at Yama, and
/// assumes the rest. A launch that fails for want of one of these says so
/// ([`crate::LaunchError::Capability`]); then [`probe`] tells what there is.
pub fn assume() -> Machine {
    let assumed = Status::Assumed;
    let [memory_limit, process_limit] = group::assumed();
    let yama = setting("/proc/sys/kernel/yama/ptrace_scope");
    Machine {
        landlock_abi: landlock::abi(),
        seccomp_notify: assumed,
        exec_trace: assumed_trace(yama),
        user_namespaces: assumed,
        mounts: assumed,
        processes: assumed,
        network: assumed,
        terminals: assumed,
        apparmor_restricts_namespaces: apparmor_restricts_namespaces(),
        yama,
        exempt_from_process_limits: rustix::process::geteuid().is_root()
            && !sys::kernel_is_at_least(6, 14),
        memory_limit,
        process_limit,
    }
}

/// What this machine gives, found by doing all of it once in children. Takes some milliseconds.
/// What cannot be tried because a child cannot even be made counts as untried.
pub fn probe() -> Machine {
    let namespaces = namespaces();
    let exec_trace = match exec_trace(0) {
        // Yama at 2 lets whoever made a user namespace trace what is in it, which in the full tier
        // is every process of a session.
        Status::Fails { .. } if namespaces.into_iter().all(Status::usable) => {
            exec_trace(libc::CLONE_NEWUSER)
        }
        found => found,
    };
    let [user_namespaces, mounts, processes, network, terminals] = namespaces;
    let [memory_limit, process_limit] = group::tried();
    Machine {
        seccomp_notify: seccomp_notify(),
        exec_trace,
        user_namespaces,
        mounts,
        processes,
        network,
        terminals,
        memory_limit,
        process_limit,
        ..assume()
    }
}

/// Yama at 3 lets nobody trace anything (Documentation/admin-guide/LSM/Yama.rst), so that a session
/// would be started only to be ended.
fn assumed_trace(yama: Option<u32>) -> Status {
    match yama {
        Some(3..) => Status::Fails { errno: libc::EPERM },
        _ => Status::Assumed,
    }
}

fn setting(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn apparmor_restricts_namespaces() -> bool {
    setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value > 0)
}

/// What children report, one place for each thing tried.
const TRIED: usize = 5;
const UNTRIED: i32 = -1;

fn status(code: i32) -> Status {
    match code {
        UNTRIED => Status::Untried,
        0 => Status::Works,
        errno => Status::Fails { errno },
    }
}

fn code<T>(result: Result<T>) -> i32 {
    result.err().map_or(0, |Errno(errno)| errno)
}

/// Tries each namespace in a child and its children.
fn namespaces() -> [Status; TRIED] {
    let (uid_map, gid_map) = prepare::identity_maps();
    let mut codes = [UNTRIED; TRIED];
    let Ok((reader, writer)) = sys::pipe() else { return codes.map(status) };
    let signals = sys::block_signals();
    match sys::clone_process(libc::CLONE_NEWUSER) {
        Ok(0) => {
            let codes = try_namespaces(&uid_map, &gid_map);
            // Nobody else hears of it if the reader has gone.
            let _ = sys::write(writer.as_raw_fd(), codes.map(i32::to_ne_bytes).as_flattened());
            sys::exit(0);
        }
        Ok(child) => {
            drop((signals, writer));
            let mut bytes = [0u8; TRIED * size_of::<i32>()];
            if sys::read(reader.as_fd(), &mut bytes) == Ok(bytes.len()) {
                for (code, bytes) in codes.iter_mut().zip(bytes.as_chunks().0) {
                    *code = i32::from_ne_bytes(*bytes);
                }
            }
            // It has reported, or will not any more.
            let _ = sys::wait(child, libc::__WALL);
        }
        Err(Errno(errno)) => codes[0] = errno,
    }
    codes.map(status)
}

/// In a child in a user namespace: each in turn, as far as it builds on what works.
fn try_namespaces(uid_map: &[u8], gid_map: &[u8]) -> [i32; TRIED] {
    let mut codes = [UNTRIED; TRIED];
    let dumpable = sys::prctl(libc::PR_SET_DUMPABLE, 1, 0).map(drop);
    codes[0] = code(dumpable.and_then(|()| init::identity(uid_map, gid_map)));
    if codes[0] != 0 {
        return codes;
    }
    codes[3] = code(sys::unshare(libc::CLONE_NEWNET).and_then(|()| init::loopback()));
    let others = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    codes[1] = code(sys::unshare(others).and_then(|()| mounts::rehearse()));
    if codes[1] != 0 {
        return codes;
    }
    codes[4] = code(mounts::terminals().map_err(|failure| failure.errno));
    codes[2] =
        code(sys::unshare(libc::CLONE_NEWPID).and_then(|()| {
            in_child(|| code(mounts::processes().map_err(|failure| failure.errno)))
        }));
    codes
}

/// Runs this in a child; what it returns (an error number, or 0) is the result.
fn in_child(work: impl FnOnce() -> i32) -> Result<()> {
    match sys::clone_process(0)? {
        0 => sys::exit(work()),
        child => match sys::wait(child, libc::__WALL)? {
            Some(waited) if libc::WIFEXITED(waited.status) => {
                match libc::WEXITSTATUS(waited.status) {
                    0 => Ok(()),
                    errno => Err(Errno(errno)),
                }
            }
            _ => Err(Errno(libc::EINTR)),
        },
    }
}

fn seccomp_notify() -> Status {
    let filter = filter::build(Conditions {
        namespaces: false,
        own_network: false,
        direct_network: false,
        datagrams: true,
        truncation_confined: false,
        signals_confined: false,
        guarding: Guarding::Changes,
    });
    let signals = sys::block_signals();
    let result = in_child(|| {
        let privileges = sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0);
        code(privileges.and_then(|_| agent::seccomp(&filter)))
    });
    drop(signals);
    status(code(result))
}

/// Seizes a grandchild, as the agent is one, which is in these new namespaces.
fn exec_trace(namespaces: i32) -> Status {
    let Ok((reader, writer)) = sys::pipe() else { return Status::Untried };
    let signals = sys::block_signals();
    match sys::clone_process(namespaces) {
        Ok(0) => {
            // It waits until its parent has gone, which ends it with the rest.
            let waiter = sys::clone_process(0);
            if waiter == Ok(0) {
                let _ = sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0);
                let _ = sys::write(writer.as_raw_fd(), &sys::pid().to_ne_bytes());
                loop {
                    // SAFETY: takes nothing.
                    unsafe { libc::pause() };
                }
            }
            if let Ok(waiter) = waiter {
                let _ = sys::wait(waiter, libc::__WALL);
            }
            sys::exit(0)
        }
        Ok(child) => {
            drop((signals, writer));
            let mut pid = [0u8; 4];
            let result = sys::read(reader.as_fd(), &mut pid).and_then(|_| {
                let pid = i32::from_ne_bytes(pid);
                let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
                // SAFETY: seizing takes numbers.
                let seized =
                    sys::check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, options) });
                sys::kill(pid, libc::SIGKILL)?;
                if seized.is_ok() {
                    sys::wait(pid, libc::__WALL)?;
                }
                seized
            });
            // The grandchild has ended, and so does its parent.
            let _ = sys::wait(child, libc::__WALL);
            status(code(result))
        }
        Err(_) => Status::Untried,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yama_forbids_everybody_is_known_before_a_session_starts() {
        for (yama, usable) in
            [(None, true), (Some(0), true), (Some(1), true), (Some(2), true), (Some(3), false)]
        {
            assert_eq!(assumed_trace(yama).usable(), usable, "{yama:?}");
        }
    }

    #[test]
    fn what_is_in_a_namespace_of_its_own_is_traced_where_there_are_such() {
        let [user_namespaces, ..] = namespaces();
        let beside = exec_trace(0);
        if user_namespaces == Status::Works {
            assert_eq!(exec_trace(libc::CLONE_NEWUSER), beside);
        }
        assert_eq!(beside, Status::Works);
    }
}
