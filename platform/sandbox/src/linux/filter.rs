//! The filter of system calls, as the classic BPF program that seccomp(2) takes.
//!
//! Built before the fork, as plain data. Calls with no entry here are allowed and, having no
//! condition on arguments, are answered from the kernel's bitmap at no cost (Linux 5.11). The
//! crate `seccompiler` knows neither user notification nor several error numbers in one filter.

mod tables;

use libc::{c_long, sock_filter};
use tables::{
    FILE_FLAGS, OWNERS, REFUSED, SYS_FILE_SETATTR, SYS_REMOVEXATTRAT, SYS_SETXATTRAT, SYSTEM_V,
};
pub(super) use tables::{SCHEDULING, SIGNALS, SYS_FCHMODAT2};

/// What the filter depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    /// The session has namespaces of its own.
    pub(super) namespaces: bool,
    /// The session has a network of its own (with relays at most), so that sockets reach nothing.
    pub(super) own_network: bool,
    /// The machine's network is open to the session.
    pub(super) direct_network: bool,
    /// Names are looked up in the machine's network: a socket for datagrams is asked for, and the
    /// supervisor gives one that leads to its own answers alone.
    pub(super) datagrams: bool,
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

/// fcntl(2), asm-generic/fcntl.h: an owner that is named in memory.
const F_SETOWN_EX: u32 = 15;

/// Offsets in `struct seccomp_data`; arguments are compared by their lower halves, since the
/// kernel takes `int` flags, commands and families from 32 bits.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index + if cfg!(target_endian = "little") { 0 } else { 4 }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A program in the making.
#[derive(Debug, Default)]
struct Program {
    steps: Vec<sock_filter>,
    /// Calls with one answer whatever their arguments are, in the order of their naming: the first
    /// answer holds.
    answers: Vec<(u32, u32)>,
}

impl Program {
    fn step(&mut self, code: u16, k: u32, jt: u8, jf: u8) {
        self.steps.push(sock_filter { code, jt, jf, k });
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
        let jump = self.steps.len();
        self.step(EQUAL, value, 0, 0);
        body(self);
        // A body is some dozens of steps at most. Were it longer than a jump reaches, the jump
        // would lead into it; the tests of each call would show that.
        self.steps[jump].jf = u8::try_from(self.steps.len() - jump - 1).unwrap_or(u8::MAX);
    }

    /// What `body` does for one system call, whose number is loaded; the body must return.
    fn call(&mut self, number: c_long, body: impl FnOnce(&mut Self)) {
        self.when(number as u32, body);
    }

    fn always(&mut self, numbers: &[c_long], result: u32) {
        self.answers.extend(numbers.iter().map(|number| (*number as u32, result)));
    }

    /// The program: what was added step by step, then the answers, found by halving. The kernel
    /// runs it for every number there is when it is installed, to know which calls never need it.
    fn finish(mut self) -> Vec<sock_filter> {
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|(number, _)| *number);
        answers.dedup_by_key(|(number, _)| *number);
        self.halve(&answers);
        self.steps
    }

    fn halve(&mut self, answers: &[(u32, u32)]) {
        if answers.len() <= 4 {
            for (number, result) in answers {
                self.give_if(*number, *result);
            }
            return self.give(ALLOW);
        }
        let (low, high) = answers.split_at(answers.len() / 2);
        let jump = self.steps.len();
        self.step(AT_LEAST, high[0].0, 0, 0);
        self.halve(low);
        // The upper half begins farther away than a conditional jump reaches.
        let distance = self.steps.len() - jump - 1;
        match u8::try_from(distance) {
            Ok(distance) => self.steps[jump].jt = distance,
            Err(_) => {
                // Two steps more: past the way up when it is not taken.
                self.steps[jump].jf = 1;
                let way = sock_filter { code: JUMP, jt: 0, jf: 0, k: distance as u32 };
                self.steps.insert(jump + 1, way);
            }
        }
        self.halve(high);
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
    // The calls with conditions come first: they are the ones that the bitmap cannot answer.
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
    controls(&mut p, conditions);
    sockets(&mut p, conditions);
    p.always(&[libc::SYS_execve, libc::SYS_execveat, libc::SYS_connect], NOTIFY);
    if conditions.datagrams {
        // What stands for such a socket would say something else to it than the kernel does.
        p.always(&[libc::SYS_bind], NOTIFY);
    }
    // Landlock has no say in it, and what is watched tells the names of files.
    p.always(&[libc::SYS_inotify_add_watch], NOTIFY);
    // glibc and others fall back from these; their arguments lie in memory, out of our sight.
    p.always(&[libc::SYS_clone3, libc::SYS_openat2], refuse(libc::ENOSYS));
    p.always(REFUSED, EPERM);
    if !conditions.signals_confined {
        p.always(SIGNALS, NOTIFY);
        p.always(&[libc::SYS_pidfd_send_signal], EPERM);
        // Whoever owns a descriptor is signalled by what happens on it.
        p.call(libc::SYS_fcntl, |p| {
            p.load(argument(1));
            p.when(libc::F_SETOWN as u32, |p| {
                p.load(argument(2));
                p.give_if(0, ALLOW);
                p.give(NOTIFY);
            });
            p.give_if(F_SETOWN_EX, EPERM);
            p.give(ALLOW);
        });
    }
    if !conditions.namespaces {
        attributes(&mut p);
        scheduling(&mut p);
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
    p.finish()
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

/// Who is scheduled how: of itself a process may say so, of another that is judged. No scope of
/// Landlock covers it.
fn scheduling(p: &mut Program) {
    /// All of a user's processes (linux/resource.h, linux/ioprio.h).
    const PRIO_USER: u32 = 2;
    const IOPRIO_WHO_USER: u32 = 3;
    for (call, target) in SCHEDULING {
        p.call(*call, |p| {
            if *target == 1 {
                p.load(argument(0));
                let priority = *call == libc::SYS_setpriority;
                p.give_if(if priority { PRIO_USER } else { IOPRIO_WHO_USER }, EPERM);
            }
            p.load(argument(*target));
            p.give_if(0, ALLOW);
            p.give(NOTIFY);
        });
    }
}

/// Commands on descriptors.
fn controls(p: &mut Program, conditions: Conditions) {
    p.call(libc::SYS_ioctl, |p| {
        p.load(argument(1));
        for command in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD, libc::TIOCCONS] {
            p.give_if(command as u32, EPERM);
        }
        if !conditions.signals_confined {
            // The process is named in memory, out of our sight.
            OWNERS.iter().for_each(|command| p.give_if(*command, EPERM));
        }
        if !conditions.namespaces {
            // They need no more than a descriptor for reading; answered as if the file system had
            // none. A read-only mount refuses them.
            FILE_FLAGS.iter().for_each(|command| p.give_if(*command, refuse(libc::ENOTTY)));
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
                    if conditions.datagrams && call == libc::SYS_socket {
                        p.when(libc::SOCK_DGRAM as u32, |p| {
                            p.load(PROTOCOL);
                            p.give_if(0, NOTIFY);
                            p.give_if(libc::IPPROTO_UDP as u32, NOTIFY);
                            p.give(EPERM);
                        });
                    }
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
                if conditions.datagrams && call == libc::SYS_sendto {
                    // With an address; one whose lower half is 0 is the kernel's to answer, too.
                    p.load(argument(4));
                    p.give_if_any(u32::MAX, NOTIFY);
                }
                p.give(ALLOW);
            });
        }
    }
}

#[cfg(test)]
mod tests;
