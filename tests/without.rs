//! What a machine has less of than this one, for a program under test alone.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Leaves this process and what it starts no namespaces: the reduced tier.
pub fn without_namespaces(command: &mut Command) {
    with_none(command, "max_user_namespaces");
}

/// The same for another limit in `/proc/sys/user` (namespaces(7), inotify(7)): a user namespace in
/// which it is 0.
pub fn with_none(command: &mut Command, limit: &'static str) {
    let [user, group] = [rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()];
    let leave = move || {
        // SAFETY: it changes this process alone, which has one thread.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUSER)? };
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        fs::write(format!("/proc/sys/user/{limit}"), "0")
    };
    // SAFETY: between fork and exec; what it allocates, no other thread of this process holds.
    unsafe { command.pre_exec(leave) };
}
