//! What is said of a command beside the policy's decision: that it is for what no session has, where
//! the kernel refuses the calls themselves, with `EPERM` and no reason; and what no rule reads of it.

use chaperone_policy::{Action, Command, given_text, subject};

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

/// What is to be known of an action that the policy lets happen; empty for most.
pub(crate) fn beside(action: &Action) -> String {
    let Action::Run(command) = action else { return String::new() };
    [refused_anyway(command), unread(command)].concat()
}

/// What no rule reads.
fn unread(command: &Command) -> String {
    let said = |name| {
        format!(
            " No rule reads the code that `{name}` is given: each program that it starts is judged \
             when it starts."
        )
    };
    given_text(command).map(said).unwrap_or_default()
}

/// What the kernel will refuse a program although the policy lets it start.
fn refused_anyway(command: &Command) -> String {
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
    #[test]
    fn a_program_that_is_for_what_no_session_has_is_told_so() {
        let said = |words: &[&str]| beside(&Action::Run(Command::from_tokens(words)));
        assert!(said(&["strace", "-f", "make"]).contains("`ptrace`"));
        assert!(said(&["/usr/bin/unshare", "-r", "true"]).contains("makes namespaces"));
        assert_eq!(said(&["make", "strace"]), "");
        assert!(said(&["python3", "-c", "1"]).contains("No rule reads the code that `python3`"));
        let names: Vec<_> = NEEDS.iter().flat_map(|(names, _)| *names).collect();
        let once: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), once.len());
    }
}
