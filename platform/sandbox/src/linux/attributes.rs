//! Modes, owners and times of files: what Landlock says nothing of. Where no mount namespace makes
//! the rest read-only, these calls are carried out by the broker, on the session's own files
//! alone.

use super::sys::{self, Errno, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is changed of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute {
    Mode(u32),
    Owner {
        user: u32,
        group: u32,
    },
    /// Last access and last change, as for utimensat; now, where nothing is given.
    Times(Option<[libc::timespec; 2]>),
}

/// The folders and files that a session may write, and so change in other ways, too.
#[derive(Debug)]
pub(super) struct Own(pub(super) Vec<PathBuf>);

impl Own {
    /// Whether a file with this path is the session's own. What has no name, such as a pipe, is.
    pub(super) fn holds(&self, path: &Path) -> bool {
        !path.is_absolute()
            || path.starts_with("/memfd:")
            || self.0.iter().any(|own| path.starts_with(own))
    }
}

/// Changes what a descriptor holds, also one that only names it (`O_PATH`).
pub(super) fn change(file: &OwnedFd, attribute: Attribute) -> Result<()> {
    let (fd, flags) = (file.as_raw_fd(), libc::AT_EMPTY_PATH);
    let nothing = c"".as_ptr();
    // SAFETY: paths end with NUL, and the times are two or none.
    let changed = unsafe {
        match attribute {
            Attribute::Mode(mode) => libc::chmod(super::paths::by_descriptor(file).as_ptr(), mode),
            Attribute::Owner { user, group } => libc::fchownat(fd, nothing, user, group, flags),
            Attribute::Times(times) => {
                let times = times.as_ref().map_or(std::ptr::null(), |times| times.as_ptr());
                libc::utimensat(fd, nothing, times, flags)
            }
        }
    };
    sys::check(changed).map(drop)
}

/// Two times from the caller's memory, where it gave some.
pub(super) fn times(tid: i32, address: u64) -> Result<Option<[libc::timespec; 2]>> {
    if address == 0 {
        return Ok(None);
    }
    let mut bytes = [0u8; 2 * size_of::<libc::timespec>()];
    if super::image::read_memory(tid, address, &mut bytes)? != bytes.len() {
        return Err(Errno(libc::EFAULT));
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[8 * at..8 * at + 8]);
        i64::from_ne_bytes(word)
    };
    let time = |at: usize| libc::timespec { tv_sec: word(at), tv_nsec: word(at + 1) };
    Ok(Some([time(0), time(2)]))
}
