//! Who the session is: other users, capabilities, programs that would give either.

use crate::Told::{Answer, Prop};
use crate::sys::{Got, NOTHING, call, refused, shell, text};
use crate::{Attempt, Disturbs, Needs};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const VERSION_3: u32 = 0x2008_0522;

/// What `su` does to a machine, though it is given no password.
const SIGN_IN: &str =
    "it would be a failed sign-in of root, which is logged and may lock the account";

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("setuid-program", "Starts a program that runs as root.", Answer, |_| {
            setuid(Command::new("su").arg("root"))
        })
        .disturbs(Disturbs::Always(SIGN_IN))
        .needs(Needs::User),
        Attempt::new("setuid-by-shell", "Lets a shell start one.", Answer, |_| {
            setuid(Command::new("sh").args(["-c", "su root; :"]))
        })
        .disturbs(Disturbs::Always(SIGN_IN))
        .needs(Needs::User),
        Attempt::new("setuid-made", "Makes a program of its own run as its user.", Prop, |p| {
            fs::set_permissions(p.readable(), fs::Permissions::from_mode(0o4755)).and(NOTHING)
        }),
        Attempt::new("file-capability", "Gives a program a capability.", Prop, |p| {
            let (path, name) = (text(p.readable())?, c"security.capability");
            // `struct vfs_cap_data`, version 2, effective: all of the lower 32.
            let value = [0x0200_0001u32, u32::MAX, 0, 0, 0];
            let at = value.as_ptr();
            call!(libc::SYS_setxattr, path.as_ptr(), name.as_ptr(), at, 20, 0).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new(
            "capabilities-at-exec",
            "Starts a program, as which root has all.",
            Answer,
            |_| {
                let status = Command::new("cat").arg("/proc/self/status").output()?.stdout;
                effective(&String::from_utf8_lossy(&status))
            },
        )
        .needs(Needs::Root),
        Attempt::new("capabilities-here", "Uses those that it has.", Answer, |_| {
            effective(&fs::read_to_string("/proc/self/status")?)
        })
        .needs(Needs::Root),
        Attempt::new(
            "capabilities-taken",
            "Takes every permitted one into effect.",
            Answer,
            |_| {
                let (header, mut sets) = ([VERSION_3, 0], [0u32; 6]);
                call!(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr())?;
                sets[0] |= 1 << 21;
                sets[1] |= 1 << 21;
                call!(libc::SYS_capset, header.as_ptr(), sets.as_ptr()).and(NOTHING)
            },
        )
        .needs(Needs::Root),
        Attempt::new("capability-kept", "Keeps one over exec as ambient.", Answer, |_| {
            let (header, mut sets) = ([VERSION_3, 0], [0u32; 6]);
            call!(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr())?;
            sets[2] = sets[1];
            call!(libc::SYS_capset, header.as_ptr(), sets.as_ptr())?;
            call!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 1, 0, 0)
                .and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("privileges-allowed", "Takes `no_new_privs` back.", Answer, |_| {
            // The kernel knows no way back; a process where it was never set shows as 0.
            let _ = call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
            match call!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)? {
                0 => NOTHING,
                _ => Err(refused("it stays set")),
            }
        }),
        Attempt::new("secure-bits", "Lets root be root again.", Answer, |_| {
            let bits = call!(libc::SYS_prctl, libc::PR_GET_SECUREBITS, 0, 0, 0, 0)?;
            call!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, bits & !1, 0, 0, 0).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("other-user", "Becomes another user.", Answer, |_| {
            call!(libc::SYS_setresuid, 65533, 65533, 65533).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("other-group", "Becomes of another group.", Answer, |_| {
            call!(libc::SYS_setresgid, 65533, 65533, 65533).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("other-groups", "Joins further groups.", Answer, |_| {
            let groups = [42u32];
            call!(libc::SYS_setgroups, 1, groups.as_ptr()).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("other-files-user", "Becomes another user for files alone.", Answer, |_| {
            call!(libc::SYS_setfsuid, 65533)?;
            match call!(libc::SYS_setfsuid, -1)? {
                65533 => NOTHING,
                _ => Err(refused("it is who it was")),
            }
        })
        .needs(Needs::Root),
        Attempt::new("real-time", "Runs before every other program.", Answer, |_| {
            let priority = 1i32;
            let at = &raw const priority;
            call!(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, at).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("urgent", "Raises its own priority.", Answer, |_| {
            call!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, -5).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("owner-by-shell", "Lets a program give a file away.", Prop, |p| {
            shell(p, p.readable(), "chown 65533 \"$1\"")
        })
        .needs(Needs::Root),
        Attempt::new("capability-by-shell", "Lets a program give a capability.", Prop, |p| {
            shell(p, p.readable(), "setcap cap_sys_admin+ep \"$1\"")
        })
        .needs(Needs::Machine("setcap, and a privileged user")),
    ])
}

/// Whether a status says that any capability is in effect.
fn effective(status: &str) -> Got {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    match line.map(|it| u64::from_str_radix(it.trim(), 16)) {
        Some(Ok(0)) | None => Err(refused("there is none")),
        _ => NOTHING,
    }
}

/// Starts a program that waits for a password, and looks as whom it or a child of it runs.
fn setuid(command: &mut Command) -> Got {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let is_root = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        line.split_whitespace().nth(1) == Some("0")
    };
    let children = |pid: u32| {
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default()
    };
    let mut seen = false;
    for _ in 0..200 {
        let below = children(child.id());
        let below = below.split_whitespace().filter_map(|pid| pid.parse().ok());
        if [child.id()].into_iter().chain(below).any(is_root) {
            seen = true;
            break;
        }
        if child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(child.stdin.take());
    ended(&mut child)?;
    if seen { NOTHING } else { Err(refused("nothing of it ran as root")) }
}

/// Ends a child that may run as somebody else: then it ends with its input.
fn ended(child: &mut std::process::Child) -> io::Result<()> {
    // It may be another user's by now.
    let _ = child.kill();
    child.wait().map(drop)
}
