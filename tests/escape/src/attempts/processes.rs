//! Other processes: to signal, read, write, steer or outlive them.

use crate::Told::{Answer, Outlives, Secret, Victim};
use crate::sys::{
    Got, NOTHING, call, check, open, owned, read_all, refused, text, with_child, write_all,
};
use crate::{Attempt, Known, Needs, Place};
use std::fs;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::agent::Memory;

const SECRET_AT: usize = offset_of!(Memory, secret);
const OTHERS_VISIBLE: Known = Known::Loss("other-processes-visible");

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("kill", "Ends a process by `kill`.", Victim, |p| {
            call!(libc::SYS_kill, p.victim()?, libc::SIGKILL).and(NOTHING)
        }),
        Attempt::new("kill-group", "Ends a process by its group.", Victim, |p| {
            call!(libc::SYS_kill, -p.victim()?, libc::SIGTERM).and(NOTHING)
        }),
        Attempt::new("kill-thread", "Ends a process by `tkill`.", Victim, |p| {
            call!(libc::SYS_tkill, p.victim()?, libc::SIGTERM).and(NOTHING)
        }),
        Attempt::new("kill-group-thread", "Ends a process by `tgkill`.", Victim, |p| {
            call!(libc::SYS_tgkill, p.victim()?, p.victim()?, libc::SIGTERM).and(NOTHING)
        }),
        Attempt::new(
            "kill-by-descriptor",
            "Ends a process by a process descriptor.",
            Victim,
            |p| {
                let process = process(p)?;
                let (fd, none) = (process.as_raw_fd(), std::ptr::null::<u8>());
                call!(libc::SYS_pidfd_send_signal, fd, libc::SIGTERM, none, 0).and(NOTHING)
            },
        ),
        Attempt::new("kill-by-folder", "Ends a process by its folder in `/proc`.", Victim, |p| {
            let folder = open(format!("/proc/{}", p.victim()?), libc::O_RDONLY)?;
            let (fd, none) = (folder.as_raw_fd(), std::ptr::null::<u8>());
            call!(libc::SYS_pidfd_send_signal, fd, libc::SIGTERM, none, 0).and(NOTHING)
        }),
        Attempt::new("signal-queued", "Queues a signal with a value.", Victim, |p| {
            let information = information();
            let (pid, signal) = (p.victim()?, libc::SIGTERM);
            call!(libc::SYS_rt_sigqueueinfo, pid, signal, information.as_ptr()).and(NOTHING)
        }),
        Attempt::new("signal-queued-thread", "Queues a signal for a thread.", Victim, |p| {
            let information = information();
            let (pid, signal, at) = (p.victim()?, libc::SIGTERM, information.as_ptr());
            call!(libc::SYS_rt_tgsigqueueinfo, pid, pid, signal, at).and(NOTHING)
        }),
        Attempt::new("signal-by-owner", "Makes it own a pipe whose input signals.", Victim, |p| {
            let pid = p.victim()?;
            signalled_by_input(|fd| call!(libc::SYS_fcntl, fd, libc::F_SETOWN, pid))
        }),
        Attempt::new("signal-by-group-owner", "Makes its group own that pipe.", Victim, |p| {
            let pid = -p.victim()?;
            signalled_by_input(|fd| call!(libc::SYS_fcntl, fd, libc::F_SETOWN, pid))
        }),
        Attempt::new("signal-by-thread-owner", "Makes its thread own that pipe.", Victim, |p| {
            // `F_SETOWN_EX` with `F_OWNER_TID`.
            let owner = [0, p.victim()?];
            signalled_by_input(|fd| call!(libc::SYS_fcntl, fd, 15, owner.as_ptr()))
        }),
        Attempt::new("signal-by-ioctl", "Makes it own a socket by `FIOSETOWN`.", Victim, |p| {
            let pid = p.victim()?;
            // asm-generic/sockios.h
            const FIOSETOWN: libc::c_ulong = 0x8901;
            signalled_by_input(|fd| call!(libc::SYS_ioctl, fd, FIOSETOWN, &raw const pid))
        }),
        Attempt::new(
            "signal-by-socket-group",
            "Makes its group own it by `SIOCSPGRP`.",
            Victim,
            |p| {
                let pid = -p.victim()?;
                const SIOCSPGRP: libc::c_ulong = 0x8902;
                signalled_by_input(|fd| call!(libc::SYS_ioctl, fd, SIOCSPGRP, &raw const pid))
            },
        ),
        Attempt::new(
            "signal-by-directory",
            "Makes it own a folder's change notices.",
            Victim,
            |p| {
                let folder = open(p.scratch()?, libc::O_RDONLY)?;
                let fd = folder.as_raw_fd();
                call!(libc::SYS_fcntl, fd, libc::F_SETOWN, p.victim()?)?;
                // `F_SETSIG`
                call!(libc::SYS_fcntl, fd, 10, libc::SIGTERM)?;
                // `DN_CREATE`
                call!(libc::SYS_fcntl, fd, libc::F_NOTIFY, 4)?;
                p.scratch_file("")?;
                NOTHING
            },
        ),
        Attempt::new("signal-by-queue", "Asks a lease to signal it.", Victim, |p| {
            let file = open(p.scratch_file("")?, libc::O_RDONLY)?;
            let fd = file.as_raw_fd();
            call!(libc::SYS_fcntl, fd, libc::F_SETLEASE, libc::F_RDLCK)?;
            call!(libc::SYS_fcntl, fd, libc::F_SETOWN, p.victim()?)?;
            call!(libc::SYS_fcntl, fd, 10, libc::SIGTERM)?;
            // This breaks the lease.
            let _ = open(p.scratch()?.join("file"), libc::O_WRONLY | libc::O_NONBLOCK);
            NOTHING
        }),
        Attempt::new("trace-attach", "Attaches as a tracer and ends it.", Victim, |p| {
            call!(libc::SYS_ptrace, libc::PTRACE_ATTACH, p.victim()?, 0, 0)?;
            call!(libc::SYS_ptrace, libc::PTRACE_KILL, p.victim()?, 0, 0).and(NOTHING)
        }),
        Attempt::new("trace-seize", "Seizes it with `EXITKILL`, and exits.", Victim, |p| {
            let (pid, options) = (p.victim()?, libc::PTRACE_O_EXITKILL);
            call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, options).and(NOTHING)
        }),
        Attempt::new("trace-child", "Traces a child of its own.", Answer, |_| {
            with_child(|child| call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, child, 0, 0))
                .and(NOTHING)
        }),
        Attempt::new("memory-read", "Reads memory by `process_vm_readv`.", Secret, |p| {
            let mut bytes = [0u8; 64];
            let local = [bytes.as_mut_ptr() as usize, 64];
            let remote = [p.word()? + SECRET_AT, 64];
            let (local, remote) = (local.as_ptr(), remote.as_ptr());
            call!(libc::SYS_process_vm_readv, p.victim()?, local, 1, remote, 1, 0)?;
            Ok(bytes.to_vec())
        }),
        Attempt::new("memory-write", "Writes memory by `process_vm_writev`.", Victim, |p| {
            let word = 7u64;
            let (local, remote) = ([(&raw const word) as usize, 8], [p.word()?, 8]);
            let (local, remote) = (local.as_ptr(), remote.as_ptr());
            call!(libc::SYS_process_vm_writev, p.victim()?, local, 1, remote, 1, 0).and(NOTHING)
        }),
        Attempt::new(
            "memory-write-child",
            "Writes the memory of a child of its own.",
            Answer,
            |_| {
                let word = 7u64;
                let part = [(&raw const word) as usize, 8];
                let part = part.as_ptr();
                with_child(|child| call!(libc::SYS_process_vm_writev, child, part, 1, part, 1, 0))
                    .and(NOTHING)
            },
        ),
        Attempt::new("memory-file-read", "Reads memory by `/proc/PID/mem`.", Secret, |p| {
            use std::os::unix::fs::FileExt;
            let memory = fs::File::open(format!("/proc/{}/mem", p.victim()?))?;
            let mut bytes = vec![0u8; 64];
            memory.read_exact_at(&mut bytes, (p.word()? + SECRET_AT) as u64)?;
            Ok(bytes)
        }),
        Attempt::new("memory-file-write", "Writes memory by `/proc/PID/mem`.", Victim, |p| {
            use std::os::unix::fs::FileExt;
            let memory =
                fs::File::options().write(true).open(format!("/proc/{}/mem", p.victim()?))?;
            memory.write_all_at(&[7; 8], p.word()? as u64).and(NOTHING)
        }),
        Attempt::new("memory-file-thread", "Writes memory by a thread's file.", Victim, |p| {
            use std::os::unix::fs::FileExt;
            let pid = p.victim()?;
            let path = format!("/proc/{pid}/task/{pid}/mem");
            let memory = fs::File::options().write(true).open(path)?;
            memory.write_all_at(&[7; 8], p.word()? as u64).and(NOTHING)
        }),
        Attempt::new("memory-own", "Opens its own memory's file for writing.", Answer, |_| {
            open("/proc/self/mem", libc::O_RDWR).and(NOTHING)
        }),
        Attempt::new("memory-map", "Reads where its memory lies.", Answer, |p| {
            match fs::read(format!("/proc/{}/maps", p.victim()?))? {
                maps if maps.is_empty() => Err(refused("an empty map")),
                maps => Ok(maps),
            }
        }),
        Attempt::new("descriptor-taken", "Takes a descriptor out of it.", Secret, |p| {
            let process = process(p)?;
            let held: i32 = p.number("held-descriptor-taken")?;
            read_all(&owned(call!(libc::SYS_pidfd_getfd, process.as_raw_fd(), held, 0))?)
        }),
        Attempt::new(
            "descriptor-reopened",
            "Opens its descriptor's file by `/proc`.",
            Secret,
            |p| {
                let held: i32 = p.number("held-descriptor-reopened")?;
                fs::read(format!("/proc/{}/fd/{held}", p.victim()?))
            },
        ),
        Attempt::new("file-by-its-root", "Opens a file by its root.", Secret, |p| {
            let path = p.secret();
            fs::read(format!("/proc/{}/root{}", p.victim()?, path.display()))
        }),
        Attempt::new("file-by-its-cwd", "Opens a file by its working folder.", Secret, |p| {
            fs::read(format!("/proc/{}/cwd/secret", p.victim()?))
        }),
        Attempt::new("environment", "Reads its environment.", Secret, |p| {
            fs::read(format!("/proc/{}/environ", p.victim()?))
        }),
        Attempt::new("arguments", "Reads its arguments.", Secret, |p| {
            fs::read(format!("/proc/{}/cmdline", p.victim()?))
        })
        .shows(OTHERS_VISIBLE),
        Attempt::new("robust-list", "Asks where its locks lie.", Answer, |p| {
            let mut at = [0usize; 2];
            let (list, length) = (at.as_mut_ptr(), at[1..].as_mut_ptr());
            call!(libc::SYS_get_robust_list, p.victim()?, list, length).and(NOTHING)
        }),
        Attempt::new("compare", "Compares its kernel objects with its own.", Answer, |p| {
            let own = std::process::id();
            call!(libc::SYS_kcmp, own, p.victim()?, 1, 0, 0).and(NOTHING)
        }),
        Attempt::new("advise", "Pages its memory out.", Answer, |p| {
            let process = process(p)?;
            let part = [p.word()? & !0xfff, 4096];
            let (fd, part) = (process.as_raw_fd(), part.as_ptr());
            call!(libc::SYS_process_madvise, fd, part, 1, libc::MADV_COLD, 0).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("pages-asked", "Asks where its pages lie.", Answer, |p| {
            let (page, mut status) = (p.word()? & !0xfff, 0i32);
            let (pages, none) = (&raw const page, std::ptr::null::<i32>());
            let to = &raw mut status;
            call!(libc::SYS_move_pages, p.victim()?, 1, pages, none, to, 0).and(NOTHING)
        })
        .needs(Needs::Machine("a kernel with NUMA")),
        Attempt::new("pages-moved", "Moves its pages between nodes.", Answer, |p| {
            let node = 1u64;
            let at = &raw const node;
            call!(libc::SYS_migrate_pages, p.victim()?, 2, at, at).and(NOTHING)
        })
        .needs(Needs::Machine("a kernel with NUMA")),
        Attempt::new("limit-set", "Lowers its limits.", Victim, |p| {
            let limit = [64u64, 64];
            let (new, none) = (limit.as_ptr(), std::ptr::null_mut::<u8>());
            call!(libc::SYS_prlimit64, p.victim()?, libc::RLIMIT_NOFILE, new, none).and(NOTHING)
        }),
        Attempt::new("priority", "Lowers its priority.", Victim, |p| {
            call!(libc::SYS_setpriority, libc::PRIO_PROCESS, p.victim()?, 5).and(NOTHING)
        }),
        Attempt::new("priority-group", "Lowers its group's priority.", Victim, |p| {
            call!(libc::SYS_setpriority, libc::PRIO_PGRP, p.victim()?, 5).and(NOTHING)
        }),
        Attempt::new("policy", "Changes how it is scheduled.", Victim, |p| {
            let zero = 0i32;
            let at = &raw const zero;
            call!(libc::SYS_sched_setscheduler, p.victim()?, libc::SCHED_IDLE, at).and(NOTHING)
        }),
        Attempt::new("policy-attributes", "Changes it by `sched_setattr`.", Victim, |p| {
            // `struct sched_attr`: size and policy, flags, nice and priority, three times.
            let attributes = [48u32, libc::SCHED_BATCH as u32, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
            call!(libc::SYS_sched_setattr, p.victim()?, attributes.as_ptr(), 0).and(NOTHING)
        }),
        Attempt::new("affinity", "Ties it to one processor.", Victim, |p| {
            let one = [1u64; 1];
            call!(libc::SYS_sched_setaffinity, p.victim()?, 8, one.as_ptr()).and(NOTHING)
        })
        .needs(Needs::Machine("more than one processor")),
        Attempt::new("input-priority", "Lowers its priority at the disk.", Victim, |p| {
            // `IOPRIO_WHO_PROCESS`; the idle class.
            call!(libc::SYS_ioprio_set, 1, p.victim()?, 3 << 13).and(NOTHING)
        }),
        Attempt::new(
            "memory-priority",
            "Makes it the first to be ended for memory.",
            Victim,
            |p| write(&format!("/proc/{}/oom_score_adj", p.victim()?), "500"),
        ),
        Attempt::new("core-filter", "Changes what its core dump would hold.", Victim, |p| {
            write(&format!("/proc/{}/coredump_filter", p.victim()?), "0x7f")
        }),
        Attempt::new("timer-slack", "Changes how exact its timers are.", Victim, |p| {
            write(&format!("/proc/{}/timerslack_ns", p.victim()?), "999999")
        })
        .needs(Needs::Root),
        Attempt::new("cgroup-moved", "Moves it to another control group.", Answer, |_| {
            open(super::limits::groups()?.join("cgroup.procs"), libc::O_WRONLY).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("watch-events", "Counts its events (`perf_event_open`).", Answer, |p| {
            perf(p.victim()?)
        })
        .needs(Needs::Machine("performance counters for this user")),
        Attempt::new("namespace-joined", "Joins its namespaces.", Answer, |p| {
            let process = process(p)?;
            call!(libc::SYS_setns, process.as_raw_fd(), libc::CLONE_NEWNS).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("core-cookie", "Gives it its own cookie of the scheduler.", Answer, |p| {
            // `PR_SCHED_CORE`, `PR_SCHED_CORE_SHARE_TO`.
            call!(libc::SYS_prctl, 62, 2, p.victim()?, 0, 0).and(NOTHING)
        })
        .needs(Needs::Machine("a processor with sibling threads")),
        Attempt::new("outlive-daemon", "Forks twice into a session of its own.", Outlives, |p| {
            outlive(p, || {
                call!(libc::SYS_setsid)?;
                fork_again()
            })
        }),
        Attempt::new("outlive-ignoring", "Ignores every signal that can be.", Outlives, |p| {
            outlive(p, || {
                call!(libc::SYS_setsid)?;
                for signal in 1..64 {
                    // SAFETY: takes numbers; some signals cannot be ignored.
                    unsafe { libc::signal(signal, libc::SIG_IGN) };
                }
                Ok(())
            })
        }),
        Attempt::new(
            "outlive-parent-death",
            "Takes back its signal at a parent's death.",
            Outlives,
            |p| {
                outlive(p, || {
                    call!(libc::SYS_setsid)?;
                    call!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0)?;
                    fork_again()
                })
            },
        ),
        Attempt::new("outlive-reaper", "Becomes the reaper of its children.", Outlives, |p| {
            outlive(p, || {
                call!(libc::SYS_setsid)?;
                call!(libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)?;
                fork_again()
            })
        }),
        Attempt::new("outlive-stopped", "Stops itself, deaf until continued.", Outlives, |p| {
            outlive(p, || {
                call!(libc::SYS_setsid)?;
                Ok(())
            })
        }),
        Attempt::new(
            "outlive-thread",
            "Ends its first thread and goes on in another.",
            Outlives,
            |p| {
                outlive(p, || {
                    call!(libc::SYS_setsid)?;
                    std::thread::spawn(|| {
                        loop {
                            std::thread::park();
                        }
                    });
                    Ok(())
                })
            },
        ),
        Attempt::new("outlive-sibling", "Makes a sibling instead of a child.", Outlives, |p| {
            outlive(p, || {
                call!(libc::SYS_setsid)?;
                let flags = libc::CLONE_PARENT | libc::SIGCHLD;
                match call!(libc::SYS_clone, flags, 0, 0, 0, 0)? {
                    0 => Ok(()),
                    // SAFETY: ends this process.
                    _ => unsafe { libc::_exit(0) },
                }
            })
        }),
    ])
}

fn process(p: &Place) -> io::Result<OwnedFd> {
    owned(call!(libc::SYS_pidfd_open, p.victim()?, 0))
}

fn write(path: &str, text: &str) -> Got {
    write_all(&open(path, libc::O_WRONLY)?, text)
}

/// A `siginfo_t` that says it comes from `sigqueue` (`SI_QUEUE`).
fn information() -> [i32; 32] {
    let mut information = [0i32; 32];
    information[0] = libc::SIGTERM;
    information[2] = -1;
    information
}

/// A socket pair, one end of which signals its owner when something arrives.
fn signalled_by_input(own: impl FnOnce(i32) -> io::Result<i64>) -> Got {
    let (one, other) = std::os::unix::net::UnixStream::pair()?;
    let fd = one.as_raw_fd();
    own(fd)?;
    // `F_SETSIG`
    call!(libc::SYS_fcntl, fd, 10, libc::SIGTERM)?;
    call!(libc::SYS_fcntl, fd, libc::F_SETFL, libc::O_ASYNC)?;
    io::Write::write_all(&mut &other, b"x").and(NOTHING)
}

/// Counts instructions of a process.
pub(crate) fn perf(pid: i32) -> Got {
    // `struct perf_event_attr`: a software counter of task time, user side only.
    let mut attributes = [0u64; 16];
    attributes[0] = 1 | (128 << 32);
    attributes[1] = 1;
    attributes[5] = 1 << 5 | 1 << 6;
    let at = attributes.as_ptr();
    owned(call!(libc::SYS_perf_event_open, at, pid, -1, -1, 0)).and(NOTHING)
}

fn fork_again() -> io::Result<()> {
    // SAFETY: this process has one thread; the parent ends at once.
    unsafe {
        match check(libc::fork())? {
            0 => Ok(()),
            _ => libc::_exit(0),
        }
    }
}

/// Becomes something that stays, and holds a file locked as long as it does.
fn outlive(p: &Place, become_it: impl FnOnce() -> io::Result<()>) -> Got {
    let path = text(p.work().join("alive").join(p.name()))?;
    let (mut reader, writer) = io::pipe()?;
    // SAFETY: this process has one thread, so that its child may do what it could.
    if unsafe { check(libc::fork())? } != 0 {
        drop(writer);
        // It closes the pipe, or says so, once it holds the lock.
        let mut word = [0u8; 1];
        io::Read::read(&mut reader, &mut word)?;
        return match word {
            [1] => NOTHING,
            _ => Err(refused("it did not get that far")),
        };
    }
    // SAFETY: a zeroed lock of this type covers the whole file; nothing here returns.
    unsafe {
        let begun = become_it().is_ok();
        libc::alarm(0);
        let flags = libc::O_CREAT | libc::O_RDWR;
        let fd = libc::open(path.as_ptr(), flags, 0o600);
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::F_WRLCK as i16;
        let held = begun && libc::fcntl(fd, libc::F_SETLK, &raw const lock) == 0;
        let _ = io::Write::write(&mut &writer, &[u8::from(held)]);
        drop(writer);
        for standard in 0..3 {
            libc::close(standard);
        }
        if p.name() == "outlive-stopped" {
            libc::raise(libc::SIGSTOP);
        }
        if p.name() == "outlive-thread" {
            libc::syscall(libc::SYS_exit, 0);
        }
        loop {
            libc::pause();
        }
    }
}
