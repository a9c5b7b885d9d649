//! The filter of system calls, as the classic BPF program that seccomp(2) takes.
//!
//! Built before the fork, as plain data. Calls with no entry here are allowed and, having no
//! condition on arguments, are answered from the kernel's bitmap at no cost (Linux 5.11). The
//! crate `seccompiler` knows neither user notification nor several error numbers in one filter.

use libc::{c_long, sock_filter};

/// What the filter depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    /// The session has namespaces of its own.
    pub(super) namespaces: bool,
    /// The session has a network of its own (with relays at most), so that sockets reach nothing.
    pub(super) own_network: bool,
    /// The machine's network is open to the session.
    pub(super) direct_network: bool,
    /// Landlock decides on truncation (its version 3).
    pub(super) truncation_confined: bool,
    /// Landlock keeps signals within the session (its version 6), or a namespace does.
    pub(super) signals_confined: bool,
    /// Which calls are put to the broker.
    pub(super) guarding: Guarding,
}

/// What the broker carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarding {
    /// Nothing: no path is guarded.
    Nothing,
    /// What makes a name. What was there before is protected by mounts.
    Names,
    /// That, and what removes a name or opens for writing.
    Changes,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7; // AUDIT_ARCH_AARCH64

/// Numbers from here up are the x32 calls, which share the x86_64 architecture value.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

const fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

const EPERM: u32 = refuse(libc::EPERM);
/// Answered as a success that does nothing.
const IGNORE: u32 = refuse(0);

/// Offsets in `struct seccomp_data`; arguments are compared by their lower halves, since the
/// kernel takes `int` flags, commands and families from 32 bits.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index + if cfg!(target_endian = "little") { 0 } else { 4 }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
#[cfg(target_arch = "x86_64")]
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A program in the making.
#[derive(Debug, Default)]
struct Program(Vec<sock_filter>);

impl Program {
    fn step(&mut self, code: u16, k: u32, jt: u8, jf: u8) {
        self.0.push(sock_filter { code, jt, jf, k });
    }

    fn load(&mut self, offset: u32) {
        self.step(LOAD, offset, 0, 0);
    }

    fn give(&mut self, result: u32) {
        self.step(RETURN, result, 0, 0);
    }

    /// Returns `result` if what is loaded equals `value`, else goes on.
    fn give_if(&mut self, value: u32, result: u32) {
        self.step(EQUAL, value, 0, 1);
        self.give(result);
    }

    /// Returns `result` if what is loaded has any of these bits, else goes on.
    fn give_if_any(&mut self, bits: u32, result: u32) {
        self.step(ANY_BIT, bits, 0, 1);
        self.give(result);
    }

    /// What `body` does if what is loaded equals `value`, else goes on; the body returns, or loads
    /// the same again.
    fn when(&mut self, value: u32, body: impl FnOnce(&mut Self)) {
        let jump = self.0.len();
        self.step(EQUAL, value, 0, 0);
        body(self);
        // A body is some dozens of steps at most. Were it longer than a jump reaches, the jump
        // would lead into it; the tests of each call would show that.
        self.0[jump].jf = u8::try_from(self.0.len() - jump - 1).unwrap_or(u8::MAX);
    }

    /// What `body` does for one system call, whose number is loaded; the body must return.
    fn call(&mut self, number: c_long, body: impl FnOnce(&mut Self)) {
        self.when(number as u32, body);
    }

    fn always(&mut self, numbers: &[c_long], result: u32) {
        for number in numbers {
            self.step(EQUAL, *number as u32, 0, 1);
            self.give(result);
        }
    }
}

/// The whole program.
pub(super) fn build(conditions: Conditions) -> Vec<sock_filter> {
    let mut p = Program::default();
    p.load(ARCH);
    p.step(EQUAL, ARCHITECTURE, 1, 0);
    p.give(KILL);
    p.load(NUMBER);
    #[cfg(target_arch = "x86_64")]
    {
        p.step(AT_LEAST, X32, 0, 1);
        p.give(refuse(libc::ENOSYS));
    }
    // The calls with conditions first: they are the ones that the bitmap cannot answer.
    if !conditions.truncation_confined {
        truncation(&mut p);
    }
    match conditions.guarding {
        Guarding::Nothing => {}
        Guarding::Names => names(&mut p, libc::O_CREAT),
        Guarding::Changes => {
            names(&mut p, libc::O_CREAT | libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC);
            p.always(&[libc::SYS_unlinkat, libc::SYS_truncate], NOTIFY);
            #[cfg(target_arch = "x86_64")]
            p.always(&[libc::SYS_unlink, libc::SYS_rmdir], NOTIFY);
        }
    }
    processes(&mut p);
    terminals(&mut p);
    sockets(&mut p, conditions);
    p.always(&[libc::SYS_execve, libc::SYS_execveat, libc::SYS_connect], NOTIFY);
    // glibc and others fall back from these; their arguments lie in memory, out of our sight.
    p.always(&[libc::SYS_clone3, libc::SYS_openat2], refuse(libc::ENOSYS));
    p.always(REFUSED, EPERM);
    if !conditions.signals_confined {
        p.always(SIGNALS, NOTIFY);
        p.always(&[libc::SYS_pidfd_send_signal], EPERM);
    }
    if !conditions.namespaces {
        attributes(&mut p);
        // Without an IPC namespace these reach the memory of the user's other processes.
        p.always(SYSTEM_V, refuse(libc::ENOSYS));
        p.call(libc::SYS_prlimit64, |p| {
            p.load(argument(0));
            p.give_if(0, ALLOW);
            // No new limit: both halves of the pointer are zero.
            p.load(argument(2));
            p.step(EQUAL, 0, 1, 0);
            p.give(EPERM);
            p.load(argument(2) ^ 4);
            p.give_if(0, ALLOW);
            p.give(EPERM);
        });
    }
    p.give(ALLOW);
    p.0
}

/// Truncation without opening for writing, which needs no right that an older Landlock knows.
fn truncation(p: &mut Program) {
    let mut opens = |number, flags| {
        p.call(number, |p| {
            p.load(argument(flags));
            p.step(AND, (libc::O_TRUNC | libc::O_ACCMODE) as u32, 0, 0);
            p.step(EQUAL, (libc::O_TRUNC | libc::O_RDONLY) as u32, 0, 1);
            p.give(EPERM);
            // On to the other rules about this call.
            p.load(NUMBER);
        });
    };
    opens(libc::SYS_openat, 2);
    #[cfg(target_arch = "x86_64")]
    opens(libc::SYS_open, 1);
    p.always(&[libc::SYS_truncate], EPERM);
}

/// What makes, renames or links a name, and what opens with any of `flags`, which are in a
/// register: plain opens for reading never leave the kernel.
fn names(p: &mut Program, flags: i32) {
    p.call(libc::SYS_openat, |p| {
        p.load(argument(2));
        p.give_if_any(flags as u32, NOTIFY);
        p.give(ALLOW);
    });
    p.always(
        &[
            libc::SYS_mkdirat,
            libc::SYS_mknodat,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            // Only to know when it changes; the call itself proceeds.
            libc::SYS_umask,
        ],
        NOTIFY,
    );
    #[cfg(target_arch = "x86_64")]
    {
        p.call(libc::SYS_open, |p| {
            p.load(argument(1));
            p.give_if_any(flags as u32, NOTIFY);
            p.give(ALLOW);
        });
        p.always(
            &[
                libc::SYS_creat,
                libc::SYS_mkdir,
                libc::SYS_mknod,
                libc::SYS_rename,
                libc::SYS_link,
                libc::SYS_symlink,
            ],
            NOTIFY,
        );
    }
}

/// What Landlock says nothing of, and a mount namespace would. Extended attributes are answered as
/// if the file system had none, which programs expect; old ways to set times as if the kernel
/// had only the new.
fn attributes(p: &mut Program) {
    p.always(
        &[
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            SYS_FCHMODAT2,
            libc::SYS_fchown,
            libc::SYS_fchownat,
            libc::SYS_utimensat,
        ],
        NOTIFY,
    );
    #[cfg(target_arch = "x86_64")]
    {
        p.always(&[libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown], NOTIFY);
        let old = [libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat];
        p.always(&old, refuse(libc::ENOSYS));
    }
    p.always(
        &[
            libc::SYS_setxattr,
            libc::SYS_lsetxattr,
            libc::SYS_fsetxattr,
            libc::SYS_removexattr,
            libc::SYS_lremovexattr,
            libc::SYS_fremovexattr,
        ],
        refuse(libc::EOPNOTSUPP),
    );
    let newer = [SYS_SETXATTRAT, SYS_REMOVEXATTRAT, SYS_FILE_SETATTR];
    p.always(&newer, refuse(libc::ENOSYS));
}

fn processes(p: &mut Program) {
    const NAMESPACES: i32 = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    p.call(libc::SYS_clone, |p| {
        p.load(argument(0));
        // CLONE_PTRACE would make a child that the supervisor does not expect its own tracee.
        p.give_if_any((NAMESPACES | libc::CLONE_PTRACE) as u32, EPERM);
        p.give(ALLOW);
    });
    p.call(libc::SYS_prctl, |p| {
        p.load(argument(0));
        // A process that is not dumpable could not be examined at its next exec.
        p.give_if(libc::PR_SET_DUMPABLE as u32, IGNORE);
        p.give_if(libc::PR_SET_MM as u32, EPERM);
        p.give(ALLOW);
    });
    p.call(libc::SYS_personality, |p| {
        p.load(argument(0));
        // Asking; Linux as it is; without address randomisation, as debuggers want it.
        for allowed in [0xffff_ffff, 0, libc::ADDR_NO_RANDOMIZE as u32] {
            p.give_if(allowed, ALLOW);
        }
        p.give(EPERM);
    });
}

fn terminals(p: &mut Program) {
    p.call(libc::SYS_ioctl, |p| {
        p.load(argument(1));
        for command in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD, libc::TIOCCONS] {
            p.give_if(command as u32, EPERM);
        }
        p.give(ALLOW);
    });
}

fn sockets(p: &mut Program, conditions: Conditions) {
    const FAMILY: u32 = argument(0);
    const KIND: u32 = argument(1);
    const PROTOCOL: u32 = argument(2);
    /// The kind without `SOCK_NONBLOCK` and `SOCK_CLOEXEC`.
    const KIND_MASK: u32 = 0xf;
    let own_inet = conditions.own_network || conditions.direct_network;
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        p.call(call, |p| {
            p.load(FAMILY);
            // A datagram socket sends to socket files and abstract names without connecting.
            p.when(libc::AF_UNIX as u32, |p| {
                p.load(KIND);
                p.step(AND, KIND_MASK, 0, 0);
                p.give_if(libc::SOCK_STREAM as u32, ALLOW);
                p.give_if(libc::SOCK_SEQPACKET as u32, ALLOW);
                p.give(EPERM);
            });
            // getifaddrs(3) asks the kernel over this, and Node asks getifaddrs.
            p.when(libc::AF_NETLINK as u32, |p| {
                p.load(PROTOCOL);
                p.give_if(libc::NETLINK_ROUTE as u32, ALLOW);
                p.give(refuse(libc::EPROTONOSUPPORT));
            });
            for family in [libc::AF_INET, libc::AF_INET6] {
                if own_inet {
                    p.give_if(family as u32, ALLOW);
                    continue;
                }
                // Everything but a TCP stream sends without a connect that could be judged.
                p.when(family as u32, |p| {
                    p.load(KIND);
                    p.step(AND, KIND_MASK, 0, 0);
                    p.step(EQUAL, libc::SOCK_STREAM as u32, 1, 0);
                    p.give(EPERM);
                    p.load(PROTOCOL);
                    p.give_if(0, ALLOW);
                    p.give_if(libc::IPPROTO_TCP as u32, ALLOW);
                    p.give(refuse(libc::EPROTONOSUPPORT));
                });
            }
            p.give(refuse(libc::EAFNOSUPPORT));
        });
    }
    if !own_inet {
        // Fast open connects while sending, past the judged connect.
        for (call, flags) in
            [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)]
        {
            p.call(call, |p| {
                p.load(argument(flags));
                p.give_if_any(libc::MSG_FASTOPEN as u32, EPERM);
                p.give(ALLOW);
            });
        }
    }
}

/// Refused to everyone: what reaches other processes' memory, keys, the kernel's insides, mounts
/// and new namespaces.
const REFUSED: &[c_long] = &[
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    SYS_QUOTACTL_FD,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_syslog,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// What sends signals by number; the number is in a register, and so can be judged. Of these the
/// first argument names a process or, for the first, a group or everybody.
pub(super) const SIGNALS: &[c_long] = &[
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
];

/// The same on both architectures (asm-generic/unistd.h, and the x86_64 table follows it from
/// 424 on); libc does not have them everywhere.
const SYS_QUOTACTL_FD: c_long = 443;
pub(super) const SYS_FCHMODAT2: c_long = 452;
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;
const SYS_OPEN_TREE_ATTR: c_long = 467;
const SYS_FILE_SETATTR: c_long = 469;

const SYSTEM_V: &[c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer to a call with these arguments.
    fn answer(conditions: Conditions, number: c_long, arguments: [u64; 6]) -> u32 {
        answer_as(ARCHITECTURE, conditions, number as u32, arguments)
    }

    fn answer_as(arch: u32, conditions: Conditions, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend(0u64.to_ne_bytes());
        arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
        let program = build(conditions);
        let (mut at, mut loaded) = (0, 0u32);
        loop {
            let step = program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            match step.code {
                LOAD => {
                    let from = step.k as usize;
                    loaded = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
                }
                AND => loaded &= step.k,
                EQUAL => at += jump(loaded == step.k),
                #[cfg(target_arch = "x86_64")]
                AT_LEAST => at += jump(loaded >= step.k),
                ANY_BIT => at += jump(loaded & step.k != 0),
                RETURN => return step.k,
                other => panic!("the kernel's checker refuses {other:#x}"),
            }
        }
    }

    const FULL: Conditions = Conditions {
        namespaces: true,
        own_network: true,
        direct_network: false,
        truncation_confined: true,
        signals_confined: true,
        guarding: Guarding::Nothing,
    };
    const REDUCED: Conditions = Conditions {
        namespaces: false,
        own_network: false,
        truncation_confined: false,
        signals_confined: false,
        guarding: Guarding::Changes,
        ..FULL
    };
    const NONE: [u64; 6] = [0; 6];

    fn first(argument: i32) -> [u64; 6] {
        [argument as u64, 0, 0, 0, 0, 0]
    }

    fn open(flags: i32) -> [u64; 6] {
        [0, 0, flags as u64, 0, 0, 0]
    }

    #[test]
    fn ordinary_calls_are_allowed() {
        for conditions in [FULL, REDUCED] {
            for number in [libc::SYS_read, libc::SYS_write, libc::SYS_mmap, libc::SYS_futex] {
                assert_eq!(answer(conditions, number, NONE), ALLOW);
            }
            assert_eq!(answer(conditions, libc::SYS_openat, open(libc::O_RDONLY)), ALLOW);
            assert_eq!(answer(conditions, libc::SYS_clone, first(libc::CLONE_VM)), ALLOW);
            assert_eq!(answer(conditions, libc::SYS_ioctl, [0, libc::TCGETS, 0, 0, 0, 0]), ALLOW);
        }
    }

    #[test]
    fn foreign_calls_kill() {
        const I386: u32 = 0x4000_0003;
        assert_eq!(answer_as(I386, FULL, 1, NONE), KILL);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(answer_as(ARCHITECTURE, FULL, X32 | 1, NONE), refuse(libc::ENOSYS));
    }

    #[test]
    fn upper_halves_of_arguments_hide_nothing() {
        let above = 1u64 << 32;
        let typed = [0, libc::TIOCSTI | above, 0, 0, 0, 0];
        assert_eq!(answer(FULL, libc::SYS_ioctl, typed), EPERM);
        let family = [libc::AF_VSOCK as u64 | above, 1, 0, 0, 0, 0];
        assert_eq!(answer(FULL, libc::SYS_socket, family), refuse(libc::EAFNOSUPPORT));
        let limit = |new: u64| answer(REDUCED, libc::SYS_prlimit64, [7, 0, new, 0, 0, 0]);
        assert_eq!((limit(0), limit(above), limit(8)), (ALLOW, EPERM, EPERM));
    }

    #[test]
    fn exec_and_connect_are_asked_about() {
        for conditions in [FULL, REDUCED] {
            for number in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_connect] {
                assert_eq!(answer(conditions, number, NONE), NOTIFY);
            }
        }
    }

    #[test]
    fn every_new_namespace_is_refused() {
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET] {
            let flags = flag | libc::SIGCHLD;
            assert_eq!(answer(FULL, libc::SYS_clone, first(flags)), EPERM);
        }
        assert_eq!(answer(FULL, libc::SYS_unshare, NONE), EPERM);
        assert_eq!(answer(FULL, libc::SYS_clone3, NONE), refuse(libc::ENOSYS));
    }

    #[test]
    fn opens_are_asked_about_as_far_as_names_or_changes_are_guarded() {
        let names = Conditions { guarding: Guarding::Names, ..FULL };
        let opened = |conditions, flags| answer(conditions, libc::SYS_openat, open(flags));
        let (create, write) = (libc::O_CREAT | libc::O_WRONLY, libc::O_RDWR);
        assert_eq!((opened(FULL, create), opened(FULL, write)), (ALLOW, ALLOW));
        assert_eq!((opened(names, create), opened(names, write)), (NOTIFY, ALLOW));
        assert_eq!((opened(REDUCED, create), opened(REDUCED, write)), (NOTIFY, NOTIFY));
        assert_eq!(answer(names, libc::SYS_renameat2, NONE), NOTIFY);
        assert_eq!(answer(names, libc::SYS_unlinkat, NONE), ALLOW);
        assert_eq!(answer(REDUCED, libc::SYS_unlinkat, NONE), NOTIFY);
    }

    #[test]
    fn an_older_landlock_is_helped_out() {
        let truncating = open(libc::O_TRUNC | libc::O_RDONLY);
        assert_eq!(answer(REDUCED, libc::SYS_openat, truncating), EPERM);
        assert_eq!(answer(REDUCED, libc::SYS_openat, open(libc::O_RDONLY)), ALLOW);
        assert_eq!(answer(REDUCED, libc::SYS_truncate, NONE), EPERM);
        assert_eq!(answer(REDUCED, libc::SYS_kill, NONE), NOTIFY);
        assert_eq!(answer(REDUCED, libc::SYS_pidfd_send_signal, NONE), EPERM);
        assert_eq!(answer(FULL, libc::SYS_truncate, NONE), ALLOW);
        assert_eq!(answer(FULL, libc::SYS_kill, NONE), ALLOW);
    }
}
