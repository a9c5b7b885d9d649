//! The program run as the kernel would run it, call by call.

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
            AT_LEAST => at += jump(loaded >= step.k),
            ANY_BIT => at += jump(loaded & step.k != 0),
            JUMP => at += step.k as usize,
            RETURN => return step.k,
            other => panic!("the kernel's checker refuses {other:#x}"),
        }
    }
}

const FULL: Conditions = Conditions {
    namespaces: true,
    own_network: true,
    direct_network: false,
    datagrams: false,
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

#[test]
fn every_call_in_the_tables_has_its_answer_and_its_neighbours_have_theirs() {
    let conditions = [FULL, REDUCED, Conditions { guarding: Guarding::Names, ..FULL }];
    for conditions in conditions {
        for number in REFUSED {
            assert_eq!(answer(conditions, *number, NONE), EPERM, "{number}");
        }
        assert_eq!(answer(conditions, libc::SYS_execve, NONE), NOTIFY);
        assert_eq!(answer(conditions, libc::SYS_clone3, NONE), refuse(libc::ENOSYS));
        let refused = |number: c_long| answer(conditions, number, NONE) != ALLOW;
        let count = (0..600).filter(|number| refused(*number)).count();
        assert!((REFUSED.len()..200).contains(&count), "{count}");
    }
    for number in SIGNALS {
        assert_eq!(answer(FULL, *number, NONE), ALLOW, "{number}");
        assert_eq!(answer(REDUCED, *number, NONE), NOTIFY, "{number}");
    }
}

#[test]
fn how_others_are_scheduled_is_judged_where_no_namespace_hides_them() {
    let prio = |which: i32, who: u64| [which as u64, who, 0, 0, 0, 0];
    for (number, target) in SCHEDULING {
        let mut other = NONE;
        other[*target as usize] = 7;
        assert_eq!(answer(REDUCED, *number, NONE), ALLOW, "{number}: itself");
        assert_eq!(answer(REDUCED, *number, other), NOTIFY, "{number}: another");
        assert_eq!(answer(FULL, *number, other), ALLOW, "{number}: another of the namespace");
    }
    let whole_user = prio(libc::PRIO_USER as i32, 0);
    assert_eq!(answer(REDUCED, libc::SYS_setpriority, whole_user), EPERM);
    assert_eq!(answer(REDUCED, libc::SYS_ioprio_set, prio(3, 0)), EPERM);
}

#[test]
fn an_owner_of_a_descriptor_is_judged_where_nothing_else_confines_signals() {
    let own = |command: u64, who: i32| [5, command, who as u64, 0, 0, 0];
    let set = libc::F_SETOWN as u64;
    let confined = Conditions { signals_confined: true, ..REDUCED };
    assert_eq!(answer(REDUCED, libc::SYS_fcntl, own(set, 7)), NOTIFY);
    assert_eq!(answer(REDUCED, libc::SYS_fcntl, own(set, 0)), ALLOW);
    assert_eq!(answer(REDUCED, libc::SYS_fcntl, own(libc::F_GETFL as u64, 7)), ALLOW);
    assert_eq!(answer(REDUCED, libc::SYS_fcntl, own(F_SETOWN_EX.into(), 7)), EPERM);
    assert_eq!(answer(confined, libc::SYS_fcntl, own(set, 7)), ALLOW);
    for command in OWNERS {
        let control = [5, u64::from(*command), 0, 0, 0, 0];
        assert_eq!(answer(REDUCED, libc::SYS_ioctl, control), EPERM);
        assert_eq!(answer(confined, libc::SYS_ioctl, control), ALLOW);
    }
}

#[test]
fn flags_of_files_are_left_to_mounts_and_refused_without() {
    for command in FILE_FLAGS {
        let control = [5, u64::from(*command), 0, 0, 0, 0];
        assert_eq!(answer(REDUCED, libc::SYS_ioctl, control), refuse(libc::ENOTTY));
        assert_eq!(answer(FULL, libc::SYS_ioctl, control), ALLOW);
    }
}

#[test]
fn a_socket_for_datagrams_is_asked_for_only_where_something_stands_in_for_it() {
    let named = Conditions { datagrams: true, ..REDUCED };
    let socket = |family: i32, kind: i32, protocol: i32| {
        [family as u64, kind as u64, protocol as u64, 0, 0, 0]
    };
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [0, libc::IPPROTO_UDP] {
            for kind in [libc::SOCK_DGRAM, libc::SOCK_DGRAM | flags] {
                let asked = socket(family, kind, protocol);
                assert_eq!(answer(named, libc::SYS_socket, asked), NOTIFY);
                assert_eq!(answer(REDUCED, libc::SYS_socket, asked), EPERM);
                assert_eq!(answer(FULL, libc::SYS_socket, asked), ALLOW);
                assert_eq!(answer(named, libc::SYS_socketpair, asked), EPERM);
            }
        }
        for (kind, protocol) in [
            (libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
            (libc::SOCK_RAW, libc::IPPROTO_UDP),
        ] {
            assert_eq!(answer(named, libc::SYS_socket, socket(family, kind, protocol)), EPERM);
        }
        let stream = socket(family, libc::SOCK_STREAM | flags, 0);
        assert_eq!(answer(named, libc::SYS_socket, stream), ALLOW);
    }
    let bind = |conditions| answer(conditions, libc::SYS_bind, NONE);
    assert_eq!((bind(named), bind(REDUCED), bind(FULL)), (NOTIFY, ALLOW, ALLOW));
    let send = |conditions, flags: i32, to: u64| {
        answer(conditions, libc::SYS_sendto, [3, 0, 0, flags as u64, to, 16])
    };
    assert_eq!((send(named, 0, 0), send(named, 0, 0x7fff_0000)), (ALLOW, NOTIFY));
    assert_eq!(send(named, libc::MSG_FASTOPEN, 0x7fff_0000), EPERM);
    assert_eq!(send(REDUCED, 0, 0x7fff_0000), ALLOW);
}
