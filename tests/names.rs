//! Names that lead to this machine, for a program under test alone.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Lets these names lead to an address of this machine, for this process and what it starts.
pub fn with_names(command: &mut Command, hosts: &Path) {
    let ids = [rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()];
    let hosts = hosts.to_owned();
    let mount = move || {
        use rustix::thread::UnshareFlags;
        let [user, group] = ids;
        // SAFETY: it changes this process alone, which has one thread.
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        }
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        rustix::mount::mount_bind(&hosts, "/etc/hosts")?;
        Ok(())
    };
    // SAFETY: between fork and exec; what it allocates, no other thread of this process holds.
    unsafe { command.pre_exec(mount) };
}
