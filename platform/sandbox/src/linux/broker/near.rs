//! What the tracing thread carries out itself: to hand a call to the confined thread and to wait for
//! it takes longer than to make a name.
//!
//! It does so in folders alone that the session may write, where the confinement would say the same;
//! and without capabilities, as the agent has none.

use super::{Call, Done, Job, Outcome, Trouble, Work};
use crate::linux::attributes::Own;
use crate::linux::cpus::Beside;
use crate::linux::paths::Place;
use crate::linux::sys;
use rustix::fs::{stat, statfs};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::cell::RefCell;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// File systems that answer at once, by their magic numbers (statfs(2), linux/magic.h). One that
/// lies elsewhere may keep its caller waiting, and this thread has others to serve.
const LOCAL: [i64; 7] = [
    libc::EXT4_SUPER_MAGIC,
    libc::XFS_SUPER_MAGIC,
    libc::BTRFS_SUPER_MAGIC,
    libc::F2FS_SUPER_MAGIC,
    libc::TMPFS_MAGIC,
    libc::OVERLAYFS_SUPER_MAGIC,
    0x2fc1_2fc1, // ZFS
];

/// The tracing thread, ready to act for the agent.
#[derive(Debug)]
pub(super) struct Near {
    /// The devices that the session's own folders lie on, where they are local.
    devices: Vec<u64>,
    /// The folder that it last acted in: names are made in one folder after the other.
    last: RefCell<PathBuf>,
    /// What this thread takes away from modes when it does not act for somebody.
    umask: u32,
    /// What it may do then.
    capabilities: CapabilitySets,
    /// Whoever asks wakes this thread where it runs, and is woken by nothing else but its death
    /// (Linux 6.6).
    wakes_here: bool,
}

impl Near {
    /// The calling thread; `None` where it cannot act for anybody.
    pub(super) fn new(own: &Own) -> Option<Self> {
        // Its umask changes with each call, and must not be the whole process's.
        sys::unshare(libc::CLONE_FS).ok()?;
        let capabilities = capabilities(None).ok()?;
        let umask = sys::set_umask(0o077);
        sys::set_umask(umask);
        let mut devices: Vec<_> = own.0.iter().filter_map(|path| local_device(path)).collect();
        devices.dedup();
        let wakes_here = sys::kernel_is_at_least(6, 6);
        Some(Self { devices, last: RefCell::default(), umask, capabilities, wakes_here })
    }

    /// Whether this thread may act in a folder.
    pub(super) fn covers(&self, own: &Own, place: &Place) -> bool {
        if *self.last.borrow() == place.real {
            return true;
        }
        let stat = sys::stat(place.folder.as_raw_fd());
        let covers =
            own.holds(&place.real) && stat.is_ok_and(|stat| self.devices.contains(&stat.st_dev));
        if covers {
            self.last.borrow_mut().clone_from(&place.real);
        }
        covers
    }

    /// Keeps whoever asks on this thread's processor, while the two wake each other to pass a file on.
    pub(super) fn beside(&self, tid: i32) -> Option<Beside> {
        self.wakes_here.then(|| Beside::keep(tid)).flatten()
    }

    /// Acts as somebody with this umask, until what is returned is dropped.
    fn act(&self, umask: u32) -> rustix::io::Result<Acting<'_>> {
        if !self.capabilities.effective.is_empty() {
            let none = CapabilitySets { effective: CapabilitySet::empty(), ..self.capabilities };
            set_capabilities(None, none)?;
        }
        if umask != self.umask {
            sys::set_umask(umask);
        }
        Ok(Acting { near: self, umask })
    }
}

struct Acting<'n> {
    near: &'n Near,
    umask: u32,
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        if self.umask != self.near.umask {
            sys::set_umask(self.near.umask);
        }
        if !self.near.capabilities.effective.is_empty() {
            // What is permitted may be put on again (capabilities(7)).
            let _ = set_capabilities(None, self.near.capabilities);
        }
    }
}

impl Work {
    /// Carries a call out on the tracing thread; `None`, with nothing done, where it is for the
    /// confined one.
    pub(super) fn carry_out_near(&self, near: &Near, job: &Job) -> Option<Outcome<Done>> {
        let short = match &job.call {
            Call::Open { flags, .. } => flags & libc::O_TMPFILE != libc::O_TMPFILE,
            Call::MakeFolder { .. }
            | Call::Remove { .. }
            | Call::Rename { .. }
            | Call::Symlink { .. } => true,
            _ => false,
        };
        if !short {
            return None;
        }
        let acting = near.act(job.umask).ok()?;
        let outcome = self.carry_out(job, Some(near));
        drop(acting);
        match outcome {
            Err(Trouble::NotNear | Trouble::Elsewhere(_)) => None,
            outcome => Some(outcome),
        }
    }
}

/// The device that a path lies on, if that is local.
fn local_device(path: &Path) -> Option<u64> {
    LOCAL.contains(&statfs(path).ok()?.f_type).then_some(stat(path).ok()?.st_dev)
}
