//! The kernel's own doors: namespaces, mounts, keys, rings, modules, and its settings.
//!
//! A call that would change the machine is given arguments that the kernel finds wanting once it
//! has let the caller in; then that answer is the success.

use crate::Told::{Answer, Secret};
use crate::attempts::processes::perf;
use crate::sys::{
    Got, NOTHING, call, in_child, open, owned, read_all, refused, taken_up, text, with_child,
};
use crate::{Attempt, Disturbs, Needs};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

const NAMESPACES: Needs = Needs::Machine("namespaces for this user");

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("user-namespace", "Enters a user namespace by `unshare`.", Answer, |_| {
            call!(libc::SYS_unshare, libc::CLONE_NEWUSER).and(NOTHING)
        })
        .needs(NAMESPACES),
        Attempt::new("user-namespace-clone", "Enters one by `clone`.", Answer, |_| {
            cloned(call!(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0))
        })
        .needs(NAMESPACES),
        Attempt::new(
            "user-namespace-clone3",
            "Enters one by `clone3`, in memory; no session has it.",
            Answer,
            |_| {
                let mut arguments = [0u64; 11];
                arguments[0] = libc::CLONE_NEWUSER as u64;
                arguments[4] = libc::SIGCHLD as u64;
                cloned(call!(libc::SYS_clone3, arguments.as_ptr(), 88))
            },
        )
        .needs(NAMESPACES),
        Attempt::new("user-namespace-root", "Becomes root in a user namespace.", Answer, |_| {
            // SAFETY: takes nothing.
            let user = unsafe { libc::geteuid() };
            call!(libc::SYS_unshare, libc::CLONE_NEWUSER)?;
            fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
            call!(libc::SYS_unshare, libc::CLONE_NEWNET | libc::CLONE_NEWNS).and(NOTHING)
        })
        .needs(NAMESPACES),
        Attempt::new("mount-namespace", "Enters a mount namespace as it is.", Answer, |_| {
            call!(libc::SYS_unshare, libc::CLONE_NEWNS).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("network-namespace", "Enters a network namespace as it is.", Answer, |_| {
            call!(libc::SYS_unshare, libc::CLONE_NEWNET).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("namespace-by-file", "Joins a namespace by its file.", Answer, |_| {
            let file = open("/proc/self/ns/uts", libc::O_RDONLY)?;
            call!(libc::SYS_setns, file.as_raw_fd(), libc::CLONE_NEWUTS).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("namespace-of-parent", "Joins its parent's user namespace.", Answer, |_| {
            let child = call!(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0)?;
            if child == 0 {
                loop {
                    // SAFETY: takes nothing.
                    unsafe { libc::pause() };
                }
            }
            let joined = open(format!("/proc/{child}/ns/user"), libc::O_RDONLY)
                .and_then(|file| call!(libc::SYS_setns, file.as_raw_fd(), libc::CLONE_NEWUSER));
            call!(libc::SYS_kill, child, libc::SIGKILL)?;
            joined.and(NOTHING)
        })
        .needs(NAMESPACES),
        Attempt::new("mount-new", "Mounts a file system.", Answer, |p| {
            let (at, kind, none) = (text(p.scratch()?)?, c"tmpfs", std::ptr::null::<u8>());
            call!(libc::SYS_mount, kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, none)?;
            call!(libc::SYS_umount2, at.as_ptr(), libc::MNT_DETACH).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new(
            "mount-over-itself",
            "Mounts a folder over itself and changes it.",
            Answer,
            |p| {
                let (at, none) = (text(p.scratch()?)?, std::ptr::null::<u8>());
                let change = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
                call!(libc::SYS_mount, at.as_ptr(), at.as_ptr(), none, libc::MS_BIND, none)?;
                let changed = call!(libc::SYS_mount, none, at.as_ptr(), none, change, none);
                call!(libc::SYS_umount2, at.as_ptr(), libc::MNT_DETACH)?;
                changed.and(NOTHING)
            },
        )
        .needs(Needs::Root),
        Attempt::new("mount-in-steps", "Makes a mount by the newer calls.", Answer, |p| {
            let at = text(p.scratch()?)?;
            let made = new_mount()?;
            let (here, nowhere) = (libc::AT_FDCWD, c"");
            // `MOVE_MOUNT_F_EMPTY_PATH`
            let (fd, empty) = (made.as_raw_fd(), nowhere.as_ptr());
            call!(libc::SYS_move_mount, fd, empty, here, at.as_ptr(), 4)?;
            call!(libc::SYS_umount2, at.as_ptr(), libc::MNT_DETACH).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("mount-settings", "Changes a mount by `mount_setattr`.", Answer, |_| {
            let made = new_mount()?;
            // `struct mount_attr`: set read-only.
            let attributes = [1u64, 0, 0, 0];
            let (fd, empty) = (made.as_raw_fd(), c"".as_ptr());
            let flags = libc::AT_EMPTY_PATH;
            call!(libc::SYS_mount_setattr, fd, empty, flags, attributes.as_ptr(), 32).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("mount-picked", "Reconfigures a mounted file system.", Answer, |_| {
            let root = c"/proc".as_ptr();
            owned(call!(libc::SYS_fspick, libc::AT_FDCWD, root, 0)).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("mount-taken-away", "Unmounts what covers something.", Answer, |p| {
            let at = text(p.scratch()?)?;
            taken_up(call!(libc::SYS_umount2, at.as_ptr(), libc::MNT_DETACH), &[libc::EINVAL])
        })
        .needs(Needs::Root),
        Attempt::new("root-exchanged", "Exchanges its root by `pivot_root`.", Answer, |p| {
            let at = text(p.scratch()?)?;
            taken_up(
                call!(libc::SYS_pivot_root, at.as_ptr(), at.as_ptr()),
                &[libc::EINVAL, libc::EBUSY],
            )
        })
        .needs(Needs::Root),
        Attempt::new("root-changed", "Changes its root by `chroot`.", Answer, |_| {
            call!(libc::SYS_chroot, c"/".as_ptr()).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("ring", "Makes an `io_uring`.", Answer, |_| ring().and(NOTHING))
            .needs(Needs::Machine("io_uring")),
        Attempt::new("ring-entered", "Enters an `io_uring` that it is given.", Answer, |_| {
            taken_up(call!(libc::SYS_io_uring_enter, -1, 1, 0, 0, 0, 0), &[libc::EBADF])
        })
        .needs(Needs::Machine("io_uring")),
        Attempt::new("ring-registered", "Registers with an `io_uring`.", Answer, |_| {
            taken_up(call!(libc::SYS_io_uring_register, -1, 0, 0, 0), &[libc::EBADF, libc::EINVAL])
        })
        .needs(Needs::Machine("io_uring")),
        Attempt::new("ring-reads", "Lets a ring open and read a file.", Secret, |p| {
            read_by_ring(&p.secret())
        })
        .needs(Needs::Machine("io_uring")),
        Attempt::new(
            "programs",
            "Loads into the kernel's virtual machine (`bpf`).",
            Answer,
            |_| {
                // `BPF_MAP_CREATE` of an array of one.
                let attributes = [2u32, 4, 4, 1, 0, 0, 0, 0];
                owned(call!(libc::SYS_bpf, 0, attributes.as_ptr(), 32)).and(NOTHING)
            },
        )
        .needs(Needs::Machine("bpf for this user")),
        Attempt::new("counters", "Counts its own events (`perf_event_open`).", Answer, |_| perf(0))
            .needs(Needs::Machine("performance counters for this user")),
        Attempt::new(
            "page-faults",
            "Answers page faults by itself (`userfaultfd`).",
            Answer,
            |_| {
                // `UFFD_USER_MODE_ONLY`, which every user may have.
                owned(call!(libc::SYS_userfaultfd, 1)).and(NOTHING)
            },
        )
        .needs(Needs::Machine("userfaultfd")),
        Attempt::new("key-ring", "Asks for its session's key ring.", Answer, |_| {
            call!(libc::SYS_keyctl, 0, -3, 1).and(NOTHING)
        })
        .needs(Needs::Machine("key rings")),
        Attempt::new("key-added", "Adds a key to the user's key ring.", Answer, |p| {
            let (kind, name) = (c"user", text(p.mark())?);
            // The process's own ring, which ends with it.
            let id = call!(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), c"x".as_ptr(), 1, -2)?;
            call!(libc::SYS_keyctl, 3, id).and(NOTHING)
        })
        .needs(Needs::Machine("key rings")),
        Attempt::new("key-requested", "Requests a key of the machine.", Answer, |_| {
            let (kind, name, none) = (c"user", c"chaperone-escape", std::ptr::null::<u8>());
            let asked = call!(libc::SYS_request_key, kind.as_ptr(), name.as_ptr(), none, 0);
            taken_up(asked, &[libc::ENOKEY])
        })
        .needs(Needs::Machine("key rings")),
        Attempt::new("module", "Loads a module from memory.", Answer, |_| {
            let loaded = call!(libc::SYS_init_module, c"".as_ptr(), 0, c"".as_ptr());
            taken_up(loaded, &[libc::ENOEXEC, libc::EINVAL])
        })
        .needs(Needs::Machine("modules, and a privileged user")),
        Attempt::new("module-file", "Loads a module from a file.", Answer, |p| {
            let file = open(p.scratch_file("x")?, libc::O_RDONLY)?;
            let loaded = call!(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0);
            taken_up(loaded, &[libc::ENOEXEC, libc::EINVAL])
        })
        .needs(Needs::Machine("modules, and a privileged user")),
        Attempt::new("module-removed", "Removes a module.", Answer, |_| {
            let name = c"chaperone_escape_none";
            let flags = libc::O_NONBLOCK;
            taken_up(call!(libc::SYS_delete_module, name.as_ptr(), flags), &[libc::ENOENT])
        })
        .needs(Needs::Machine("modules, and a privileged user")),
        Attempt::new("next-kernel", "Loads a kernel to be started next.", Answer, |_| {
            // More segments than there may be.
            let none = std::ptr::null::<u8>();
            taken_up(call!(libc::SYS_kexec_load, 0, 99, none, 0), &[libc::EINVAL])
        })
        .needs(Needs::Machine("kexec, and a privileged user")),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("next-kernel-file", "Loads one from a file.", Answer, |_| {
            let none = std::ptr::null::<u8>();
            let loaded = call!(libc::SYS_kexec_file_load, -1, -1, 0, none, 0xff00);
            taken_up(loaded, &[libc::EINVAL, libc::EBADF])
        })
        .needs(Needs::Machine("kexec, and a privileged user")),
        Attempt::new(
            "restart",
            "Restarts the machine, by numbers that mean nothing.",
            Answer,
            |_| taken_up(call!(libc::SYS_reboot, 0, 0, 0, 0), &[libc::EINVAL]),
        )
        .needs(Needs::Root),
        Attempt::new("swap", "Swaps to a file of its own.", Answer, |p| {
            let file = text(p.scratch_file("no swap")?)?;
            let swapped = call!(libc::SYS_swapon, file.as_ptr(), 0);
            taken_up(swapped, &[libc::EINVAL, libc::EIO])
        })
        .needs(Needs::Machine("swapping, and a privileged user")),
        Attempt::new("swap-off", "Stops swapping to a file.", Answer, |p| {
            let file = text(p.scratch_file("no swap")?)?;
            taken_up(call!(libc::SYS_swapoff, file.as_ptr()), &[libc::EINVAL])
        })
        .needs(Needs::Machine("swapping, and a privileged user")),
        Attempt::new("accounting", "Writes down every process's end in a file.", Answer, |_| {
            let kept = call!(libc::SYS_acct, c"/proc/none".as_ptr());
            taken_up(kept, &[libc::ENOENT])
        })
        .needs(Needs::Machine("accounting, and a privileged user")),
        Attempt::new("quota", "Asks for disk quotas.", Answer, |_| {
            let (device, none) = (c"/dev/null", std::ptr::null::<u8>());
            let asked = call!(libc::SYS_quotactl, 0x80_0004 << 8, device.as_ptr(), 0, none);
            taken_up(asked, &[libc::ENOTBLK, libc::EINVAL, libc::ENODEV])
        })
        .needs(Needs::Machine("quotas")),
        Attempt::new("clock", "Sets the clock, to no time that there is.", Answer, |_| {
            let time = [0i64, -1];
            taken_up(call!(libc::SYS_clock_settime, 0, time.as_ptr()), &[libc::EINVAL])
        }),
        Attempt::new(
            "clock-of-day",
            "Sets the time of day, to none that there is.",
            Answer,
            |_| {
                let time = [0i64, -1];
                let none = std::ptr::null::<u8>();
                taken_up(call!(libc::SYS_settimeofday, time.as_ptr(), none), &[libc::EINVAL])
            },
        ),
        Attempt::new("host-name", "Sets the machine's name, to what it is.", Answer, |_| {
            let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
            let name = name.trim_end();
            call!(libc::SYS_sethostname, name.as_ptr(), name.len()).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("domain-name", "Sets the machine's domain, to what it is.", Answer, |_| {
            let name = fs::read_to_string("/proc/sys/kernel/domainname")?;
            let name = name.trim_end();
            call!(libc::SYS_setdomainname, name.as_ptr(), name.len()).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("kernel-log", "Reads the kernel's log.", Answer, |_| {
            let mut text = vec![0u8; 4096];
            call!(libc::SYS_syslog, 3, text.as_mut_ptr(), text.len()).and(NOTHING)
        })
        .needs(Needs::Machine("a kernel log that this user may read")),
        Attempt::new("kernel-log-device", "Opens the kernel's log for writing.", Answer, |_| {
            open("/dev/kmsg", libc::O_WRONLY).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("kernel-memory", "Opens the kernel's memory.", Answer, |_| {
            open("/proc/kcore", libc::O_RDONLY).and(NOTHING)
        })
        .needs(Needs::Machine("/proc/kcore, and a privileged user")),
        Attempt::new("kernel-symbols", "Reads where the kernel's functions lie.", Answer, |_| {
            use std::io::BufRead;
            let symbols = io::BufReader::new(fs::File::open("/proc/kallsyms")?);
            match symbols.lines().next() {
                Some(Ok(line)) if !line.starts_with("0000000000000000") => NOTHING,
                _ => Err(refused("its addresses are hidden")),
            }
        })
        .needs(Needs::Machine("a kernel that shows them to this user")),
        Attempt::new("machine-memory", "Opens the machine's memory.", Answer, |_| {
            open("/dev/mem", libc::O_RDONLY).and(NOTHING)
        })
        .needs(Needs::Machine("/dev/mem, and a privileged user")),
        Attempt::new("disk", "Opens a disk beneath its file systems.", Answer, |_| {
            let disks = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda"];
            let disk = disks.iter().find(|disk| fs::exists(disk).unwrap_or(false));
            open(disk.ok_or_else(|| refused("no disk"))?, libc::O_RDONLY).and(NOTHING)
        })
        .needs(Needs::Machine("a disk, and a user who may open it")),
        Attempt::new("device-made", "Makes a device file, and opens it.", Answer, |p| {
            let path = p.scratch()?.join("device");
            let made = text(&path)?;
            let (here, kind) = (libc::AT_FDCWD, libc::S_IFCHR | 0o600);
            // The device that /dev/full is.
            call!(libc::SYS_mknodat, here, made.as_ptr(), kind, libc::makedev(1, 7))?;
            open(path, libc::O_RDWR).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("setting-core", "Opens what runs at a crash, for writing.", Answer, |_| {
            open("/proc/sys/kernel/core_pattern", libc::O_WRONLY).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("setting-helper", "Opens what loads modules, for writing.", Answer, |_| {
            open("/proc/sys/kernel/modprobe", libc::O_WRONLY)
                .or_else(|_| open("/proc/sys/vm/overcommit_memory", libc::O_WRONLY))
                .and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("setting-of-process", "Opens a setting by a process's root.", Answer, |_| {
            open("/proc/self/root/proc/sys/kernel/hostname", libc::O_WRONLY).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("request-key", "Opens the machine's emergency keys.", Answer, |_| {
            open("/proc/sysrq-trigger", libc::O_WRONLY).and(NOTHING)
        })
        .needs(Needs::Machine("emergency keys, and a privileged user")),
        Attempt::new("tracing", "Opens the kernel's tracing, for writing.", Answer, |_| {
            open("/sys/kernel/tracing/trace_marker", libc::O_WRONLY).and(NOTHING)
        })
        .needs(Needs::Machine("tracing, and a privileged user")),
        Attempt::new("tracing-read", "Reads the kernel's tracing.", Answer, |_| {
            fs::read("/sys/kernel/tracing/available_tracers")
        })
        .needs(Needs::Machine("tracing, and a privileged user")),
        Attempt::new("device-settings", "Opens a device's settings, for writing.", Answer, |_| {
            open("/sys/kernel/uevent_helper", libc::O_WRONLY)
                .or_else(|_| open("/sys/power/state", libc::O_WRONLY))
                .or_else(|_| open("/sys/block/vda/queue/read_ahead_kb", libc::O_WRONLY))
                .and(NOTHING)
        })
        .needs(Needs::Machine("such a file, and a privileged user")),
        Attempt::new("control-group", "Makes a control group.", Answer, |p| {
            let group = super::limits::groups()?.join(p.mark());
            fs::create_dir(&group)?;
            fs::remove_dir(group).and(NOTHING)
        })
        .disturbs(Disturbs::Always("it would make a control group beside those of the machine"))
        .needs(Needs::Machine("control groups, and a privileged user")),
        Attempt::new("second-listener", "Answers its own system calls.", Answer, |_| {
            // `SECCOMP_SET_MODE_FILTER` with `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
            filter(8)
        }),
        Attempt::new(
            "filter-over-filter",
            "Allows by a filter of its own what one refuses.",
            Answer,
            |_| {
                filter(0)?;
                call!(libc::SYS_unshare, libc::CLONE_NEWUSER).and(NOTHING)
            },
        )
        .needs(NAMESPACES),
        Attempt::new("undumpable", "Hides from who examines it.", Answer, |_| {
            call!(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0)?;
            match call!(libc::SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0)? {
                0 => NOTHING,
                _ => Err(refused("it can be examined still")),
            }
        }),
        Attempt::new(
            "own-memory-map",
            "Moves where its arguments are said to lie.",
            Answer,
            |_| {
                // `PR_SET_MM_MAP_SIZE`, which asks, and which every user may.
                let mut size = 0u32;
                call!(libc::SYS_prctl, libc::PR_SET_MM, 15, &raw mut size, 0, 0).and(NOTHING)
            },
        )
        .needs(Needs::Machine("a kernel with checkpoints")),
        Attempt::new(
            "personality",
            "Becomes a kind of program that loads elsewhere.",
            Answer,
            |_| {
                // `READ_IMPLIES_EXEC`
                call!(libc::SYS_personality, 0x40_0000).and(NOTHING)
            },
        ),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("descriptor-table", "Changes its segments by `modify_ldt`.", Answer, |_| {
            let mut table = [0u8; 64];
            call!(libc::SYS_modify_ldt, 0, table.as_mut_ptr(), table.len()).and(NOTHING)
        })
        .needs(Needs::Machine("a kernel with modify_ldt")),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("ports", "Reaches the machine's ports by `ioperm`.", Answer, |_| {
            call!(libc::SYS_ioperm, 0x80, 1, 1).and(NOTHING)
        })
        .needs(Needs::Machine("ports, and a privileged user")),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("port-level", "Reaches all of them by `iopl`.", Answer, |_| {
            call!(libc::SYS_iopl, 3).and(NOTHING)
        })
        .needs(Needs::Machine("ports, and a privileged user")),
        #[cfg(target_arch = "x86_64")]
        Attempt::new(
            "old-numbers",
            "Calls by the numbers of 32 bits (`int 0x80`).",
            Answer,
            |_| {
                in_child(|| {
                    let result: i64;
                    // SAFETY: number 20 of that table is `getpid`, which takes nothing.
                    unsafe {
                        std::arch::asm!("int 0x80", inlateout("rax") 20i64 => result,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _);
                    }
                    crate::sys::check(result).and(NOTHING)
                })
            },
        )
        .needs(Needs::Machine("a kernel that runs programs of 32 bits")),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("other-numbers", "Calls by the numbers of x32.", Answer, |_| {
            call!(0x4000_0000 + libc::SYS_getpid).and(NOTHING)
        })
        .needs(Needs::Machine("a kernel with x32")),
        Attempt::new(
            "tracer-of-child",
            "Makes a child that its own tracer traces.",
            Answer,
            |_| cloned(call!(libc::SYS_clone, libc::CLONE_PTRACE | libc::SIGCHLD, 0, 0, 0, 0)),
        ),
        Attempt::new("descriptor-of-child", "Takes a descriptor out of a child.", Answer, |_| {
            with_child(|child| {
                let process = owned(call!(libc::SYS_pidfd_open, child, 0))?;
                call!(libc::SYS_pidfd_getfd, process.as_raw_fd(), 0, 0)
            })
            .and(NOTHING)
        }),
    ])
}

/// The parent goes on; the child of a clone ends at once.
fn cloned(result: io::Result<i64>) -> Got {
    match result? {
        // SAFETY: ends the new process alone.
        0 => unsafe { libc::_exit(0) },
        _ => NOTHING,
    }
}

/// A mount of an empty file system that is attached nowhere.
fn new_mount() -> io::Result<OwnedFd> {
    let context = owned(call!(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0))?;
    let none = std::ptr::null::<u8>();
    // `FSCONFIG_CMD_CREATE`
    call!(libc::SYS_fsconfig, context.as_raw_fd(), 6, none, none, 0)?;
    owned(call!(libc::SYS_fsmount, context.as_raw_fd(), 0, 0))
}

/// Installs a filter that allows everything.
fn filter(flags: u64) -> Got {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    let allow = libc::sock_filter { code, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: (&raw const allow).cast_mut() };
    call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    let at = &raw const program;
    call!(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, at).and(NOTHING)
}

/// A ring with two entries, and what the kernel said of it.
fn ring() -> io::Result<(OwnedFd, [u32; 30])> {
    let mut parameters = [0u32; 30];
    let ring = owned(call!(libc::SYS_io_uring_setup, 2, parameters.as_mut_ptr()))?;
    Ok((ring, parameters))
}

/// Opens and reads a file without calling `openat` or `read`.
fn read_by_ring(path: &Path) -> Got {
    let (ring, p) = ring()?;
    // `struct io_uring_params`: the offsets of the submission ring begin at word 10, those of the
    // completion ring at word 20.
    let fd = ring.as_raw_fd();
    let (both, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    let map = |length: usize, offset: i64| {
        call!(libc::SYS_mmap, 0, length, both, shared, fd, offset).map(|at| at as usize)
    };
    let (sub, com, entries) = (map(4096, 0)?, map(4096, 0x800_0000)?, map(4096, 0x1000_0000)?);
    let name = text(path)?;
    let mut bytes = vec![0u8; 64];
    let submit = |index: u32, entry: [u64; 8]| -> io::Result<i64> {
        // SAFETY: the offsets are the kernel's own for these mapped pages, and nobody else uses
        // this ring; an entry is 64 bytes, a completion 16 with its result at the eighth.
        unsafe {
            (entries as *mut [u64; 8]).add(index as usize).write(entry);
            ((sub + p[16] as usize) as *mut u32).add(index as usize).write_volatile(index);
            ((sub + p[11] as usize) as *mut u32).write_volatile(index + 1);
        }
        call!(libc::SYS_io_uring_enter, fd, 1, 1, 1, 0, 0)?;
        // SAFETY: as above; the kernel has filled this completion in.
        unsafe {
            let result = (com + p[25] as usize) as *const i32;
            match result.add(4 * index as usize + 2).read_volatile() {
                error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
                done => Ok(done.into()),
            }
        }
    };
    // Operation, flags and descriptor; then offset, address, length and flags.
    let here = u64::from(libc::AT_FDCWD as u32) << 32;
    let opened = submit(0, [18 | here, 0, name.as_ptr() as u64, 0, 0, 0, 0, 0])?;
    let opened = owned(Ok(opened))?;
    let file = (opened.as_raw_fd() as u64) << 32;
    submit(1, [22 | file, 0, bytes.as_mut_ptr() as u64, 64, 0, 0, 0, 0])
        .map(|_| bytes)
        .or_else(|_| read_all(&opened))
}
