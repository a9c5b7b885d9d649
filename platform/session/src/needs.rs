//! Programs that are for what no session has: what is said of them beside the policy's decision. The
//! kernel refuses the calls themselves, with `EPERM` and no reason.

use chaperone_policy::{Action, subject};

/// Names of programs, and what they ask for that is refused.
const NEEDS: &[(&[&str], &str)] = &[
    (
        &["strace", "ltrace", "gdb", "gdbserver", "lldb", "rr", "gcore", "proot"],
        "No program of a session traces another or reads its memory (`ptrace`), not even its own \
         children.",
    ),
    (
        &[
            "unshare",
            "nsenter",
            "bwrap",
            "firejail",
            "chroot",
            "podman",
            "buildah",
            "systemd-nspawn",
        ],
        "No program of a session makes namespaces, or another root for itself (`unshare`, `setns`, \
         `chroot`).",
    ),
    (
        &["mount", "umount", "losetup", "fusermount", "fusermount3", "sshfs"],
        "No program of a session mounts anything.",
    ),
    (
        &["sudo", "su", "doas", "pkexec", "newgrp", "sg"],
        "No program of a session gains rights by being started, set-uid or not (`no_new_privs`).",
    ),
    (
        &["perf", "bpftrace", "bpftool"],
        "No program of a session measures others through the kernel, or gives it programs to run \
         (`perf_event_open`, `bpf`).",
    ),
    (
        &["modprobe", "insmod", "rmmod", "kexec", "swapon", "swapoff", "reboot", "dmesg", "sysctl"],
        "No program of a session changes the running kernel, or reads its log.",
    ),
    (&["keyctl"], "No program of a session reaches the kernel's keyrings (`keyctl`)."),
    (&["ping", "tcpdump", "traceroute"], "No program of a session has raw sockets."),
    (
        &["docker", "docker-compose", "nerdctl", "ctr"],
        "The socket of the containers' service is out of a session's reach: who has it, has the \
         machine. `filesystem.sockets` would name it.",
    ),
    (
        &["systemctl", "systemd-run", "busctl", "gdbus", "dbus-send", "notify-send", "loginctl"],
        "D-Bus is out of a session's reach. `filesystem.sockets` would name its socket.",
    ),
    (
        &["xclip", "xsel", "xdotool", "wl-copy", "wl-paste"],
        "The display is out of a session's reach. `filesystem.sockets` would name its socket.",
    ),
];

/// What the kernel will refuse a program although the policy lets it start; empty for most.
pub(crate) fn refused_anyway(action: &Action) -> String {
    let Action::Run(command) = action else { return String::new() };
    let words = subject(command);
    let Some(program) = words.first().and_then(|first| first.rsplit('/').next()) else {
        return String::new();
    };
    let needs = NEEDS.iter().find(|(names, _)| names.contains(&program));
    needs.map(|(_, what)| format!(" {what} Do it outside of a session.")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::Command;

    #[test]
    fn a_program_that_is_for_what_no_session_has_is_told_so() {
        let said = |words: &[&str]| refused_anyway(&Action::Run(Command::from_tokens(words)));
        assert!(said(&["strace", "-f", "make"]).contains("`ptrace`"));
        assert!(said(&["/usr/bin/unshare", "-r", "true"]).contains("makes namespaces"));
        assert_eq!(said(&["make", "strace"]), "");
        let names: Vec<_> = NEEDS.iter().flat_map(|(names, _)| *names).collect();
        let once: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), once.len());
    }
}
