//! What the tracing thread carries out itself: to hand a call to the confined thread and to wait for
//! it takes longer than to make a name.
//!
//! It does so in folders alone that the session may write, where the confinement would say the same;
//! and without capabilities, as the agent has none.

use super::{Call, Done, Job, Outcome, Trouble, Work};
use crate::linux::attributes::Own;
use crate::linux::cpus::Beside;
use crate::linux::paths::Place;
use crate::linux::sys::{self, Result};
use std::cell::RefCell;
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
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
    capabilities: Capabilities,
    /// Whoever asks wakes this thread where it runs, and is woken by nothing else but its death
    /// (Linux 6.6).
    wakes_here: bool,
}

impl Near {
    /// The calling thread; `None` where it cannot act for anybody.
    pub(super) fn new(own: &Own) -> Option<Self> {
        // Its umask changes with each call, and must not be the whole process's.
        sys::unshare(libc::CLONE_FS).ok()?;
        let capabilities = Capabilities::of_this_thread().ok()?;
        let umask = set_umask(0o077);
        set_umask(umask);
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
    fn act(&self, umask: u32) -> Result<Acting<'_>> {
        if self.capabilities.any() {
            Capabilities::NONE.held_by(&self.capabilities).put_on()?;
        }
        if umask != self.umask {
            set_umask(umask);
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
            set_umask(self.near.umask);
        }
        if self.near.capabilities.any() {
            // What is permitted may be put on again (capabilities(7)).
            let _ = self.near.capabilities.put_on();
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

fn set_umask(umask: u32) -> u32 {
    // SAFETY: takes a number; the mask is this thread's own.
    unsafe { libc::umask(umask) }
}

fn local_device(path: &Path) -> Option<u64> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    let file = sys::open(&name, libc::O_PATH).ok()?;
    let mut about = std::mem::MaybeUninit::uninit();
    // SAFETY: fstatfs fills the structure when it succeeds.
    let about = unsafe {
        sys::check(libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr())).ok()?;
        about.assume_init()
    };
    LOCAL.contains(&about.f_type).then_some(sys::stat(file.as_raw_fd()).ok()?.st_dev)
}

/// The three sets of a thread, in two halves of 32 (capset(2), version 3).
#[derive(Debug, Clone, Copy)]
struct Capabilities([Half; 2]);

#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

impl Capabilities {
    const NONE: Self = Self([Half { effective: 0, permitted: 0, inheritable: 0 }; 2]);

    fn of_this_thread() -> Result<Self> {
        let header: [u32; 2] = [VERSION_3, 0];
        let mut sets = Self::NONE;
        // SAFETY: the header and the two triples of masks are what version 3 reads and fills.
        sys::check(unsafe {
            libc::syscall(libc::SYS_capget, header.as_ptr(), sets.0.as_mut_ptr())
        })?;
        Ok(sets)
    }

    /// Whether any is in effect.
    fn any(&self) -> bool {
        self.0.iter().any(|half| half.effective != 0)
    }

    /// These in effect, of those that another holds.
    fn held_by(mut self, other: &Self) -> Self {
        for (half, held) in self.0.iter_mut().zip(&other.0) {
            half.permitted = held.permitted;
            half.inheritable = held.inheritable;
        }
        self
    }

    fn put_on(&self) -> Result<()> {
        let header: [u32; 2] = [VERSION_3, 0];
        // SAFETY: the header and the two triples of masks are what version 3 reads.
        sys::check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), self.0.as_ptr()) })
            .map(drop)
    }
}
