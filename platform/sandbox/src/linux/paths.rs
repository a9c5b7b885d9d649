//! Names in the agent's file system, reached through its root and held by descriptors.

use super::sys::{self, Errno, Result};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// A folder that is held, and a name in it that may or may not exist.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    /// The folder's path without links, as the agent sees it.
    pub(super) real: PathBuf,
    pub(super) name: CString,
    /// The path ended with a slash, and so names a folder or nothing.
    slash: bool,
}

impl Place {
    /// Resolves all of an absolute path but its last name.
    pub(super) fn find(root: &OwnedFd, path: &Path) -> Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let (whole, slash) = (&bytes[..end], end < bytes.len());
        let start = whole.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = whole.split_at(start);
        // The root, or a folder by its own or its parent's name: it exists and is no new name.
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno(libc::EEXIST));
        }
        let folder = Path::new(OsStr::from_bytes(folder));
        let name = CString::new(name).map_err(|_| Errno(libc::EINVAL))?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        // Most paths have no link in them, and are what they say.
        if let Some(real) = plain(folder)
            && let Ok(folder) = resolve(root, &real, flags, libc::RESOLVE_NO_SYMLINKS)
        {
            return Ok(Self { folder, real, name, slash });
        }
        let folder = open_in(root, folder, flags)?;
        let real = real(&folder)?;
        Ok(Self { folder, real, name, slash })
    }

    /// The whole path without links, but for the last name, which may be one.
    pub(super) fn path(&self) -> PathBuf {
        self.real.join(OsStr::from_bytes(self.name.as_bytes()))
    }

    /// The last name as the call gave it, for calls that mind a slash after it.
    pub(super) fn opened_name(&self) -> CString {
        let mut name = self.name.as_bytes().to_vec();
        if self.slash {
            name.push(b'/');
        }
        // A name holds no NUL.
        CString::new(name).unwrap_or_default()
    }

    /// What stands there, without following a link.
    pub(super) fn stat(&self) -> Result<libc::stat> {
        stat_at(&self.folder, &self.name)
    }

    /// Whether something stands at this path beneath.
    pub(super) fn holds(&self, below: &Path) -> bool {
        let path = Path::new(OsStr::from_bytes(self.name.as_bytes())).join(below);
        CString::new(path.into_os_string().into_vec())
            .is_ok_and(|path| stat_at(&self.folder, &path).is_ok())
    }
}

fn stat_at(folder: &OwnedFd, name: &CStr) -> Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::uninit();
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the name ends with NUL; fstatat fills the structure when it succeeds.
    unsafe {
        sys::check(libc::fstatat(folder.as_raw_fd(), name.as_ptr(), stat.as_mut_ptr(), flags))?;
        Ok(stat.assume_init())
    }
}

/// The path that this one is where it has no link in it; `None` where it goes up on its way.
fn plain(path: &Path) -> Option<PathBuf> {
    let up = path.components().any(|part| part == Component::ParentDir);
    (!up).then(|| path.components().collect())
}

/// Opens an absolute path as a process with that root would, but for the magic links of `/proc`,
/// which would lead to files of this process.
pub(super) fn open_in(root: &OwnedFd, path: &Path, flags: i32) -> Result<OwnedFd> {
    resolve(root, path, flags, libc::RESOLVE_NO_MAGICLINKS)
}

fn resolve(root: &OwnedFd, path: &Path, flags: i32, how_not: u64) -> Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno(libc::ENOENT))?;
    // SAFETY: all zeroes is valid for this structure.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | how_not;
    // SAFETY: the path ends with NUL, the structure and its size belong together.
    let fd = sys::check(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    })?;
    // SAFETY: the kernel just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The name of a descriptor of this process, as a path that leads to what it holds.
pub(super) fn by_descriptor(file: &OwnedFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

/// The path without links of what a descriptor holds, as the agent sees it.
pub(super) fn real(file: &OwnedFd) -> Result<PathBuf> {
    link_target(libc::AT_FDCWD, &by_descriptor(file))
}

/// What a symbolic link says.
pub(super) fn read_link(place: &Place) -> Result<PathBuf> {
    link_target(place.folder.as_raw_fd(), &place.name)
}

fn link_target(folder: i32, name: &CStr) -> Result<PathBuf> {
    let mut bytes = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the name ends with NUL; pointer and length are of one vector.
    let length = sys::check(unsafe {
        libc::readlinkat(folder, name.as_ptr(), bytes.as_mut_ptr().cast(), bytes.len())
    })?;
    bytes.truncate(length as usize);
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

/// Opens anew what a descriptor holds.
pub(super) fn reopen(file: &OwnedFd, flags: i32) -> Result<OwnedFd> {
    sys::open(&by_descriptor(file), flags)
}

/// Adds a watch on what a descriptor holds, and returns its number.
pub(super) fn watch(queue: &OwnedFd, file: &OwnedFd, events: u32) -> Result<i64> {
    // SAFETY: the path ends with NUL.
    let watch =
        unsafe { libc::inotify_add_watch(queue.as_raw_fd(), by_descriptor(file).as_ptr(), events) };
    sys::check(watch).map(i64::from)
}

pub(super) fn truncate(file: &OwnedFd, length: i64) -> Result<()> {
    // SAFETY: the path ends with NUL.
    sys::check(unsafe { libc::truncate(by_descriptor(file).as_ptr(), length) }).map(drop)
}

/// Has whoever holds this open file wait in its calls where there is something to wait for.
pub(super) fn wait_from_now_on(file: &OwnedFd) -> Result<()> {
    let wait = fcntl_getfl(file).and_then(|flags| fcntl_setfl(file, flags - OFlags::NONBLOCK));
    wait.map_err(|errno| Errno(errno.raw_os_error()))
}

pub(super) fn make_node(place: &Place, mode: u32, device: u64) -> Result<()> {
    // SAFETY: the name ends with NUL.
    let made = unsafe {
        libc::mknodat(place.folder.as_raw_fd(), place.opened_name().as_ptr(), mode, device)
    };
    sys::check(made).map(drop)
}

/// Removes a name; `flags` as for unlinkat.
pub(super) fn remove(place: &Place, flags: i32) -> Result<()> {
    // SAFETY: the name ends with NUL.
    let removed =
        unsafe { libc::unlinkat(place.folder.as_raw_fd(), place.opened_name().as_ptr(), flags) };
    sys::check(removed).map(drop)
}

pub(super) fn rename(from: &Place, to: &Place, flags: u32) -> Result<()> {
    // SAFETY: both names end with NUL.
    sys::check(unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            from.folder.as_raw_fd(),
            from.opened_name().as_ptr(),
            to.folder.as_raw_fd(),
            to.opened_name().as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Another name for a file, or for a link itself.
pub(super) fn link(from: &Place, to: &Place) -> Result<()> {
    link_at(from.folder.as_raw_fd(), &from.opened_name(), to, 0)
}

/// A name for what a descriptor holds.
pub(super) fn link_file(file: &OwnedFd, to: &Place) -> Result<()> {
    link_at(libc::AT_FDCWD, &by_descriptor(file), to, libc::AT_SYMLINK_FOLLOW)
}

fn link_at(folder: i32, name: &CStr, to: &Place, flags: i32) -> Result<()> {
    let (to_folder, to_name) = (to.folder.as_raw_fd(), to.opened_name());
    // SAFETY: both names end with NUL.
    let linked = unsafe { libc::linkat(folder, name.as_ptr(), to_folder, to_name.as_ptr(), flags) };
    sys::check(linked).map(drop)
}

/// A symbolic link that says this.
pub(super) fn make_link(content: &CStr, place: &Place) -> Result<()> {
    let (folder, name) = (place.folder.as_raw_fd(), place.opened_name());
    // SAFETY: both strings end with NUL.
    sys::check(unsafe { libc::symlinkat(content.as_ptr(), folder, name.as_ptr()) }).map(drop)
}

/// More names than this in a folder that moves are not looked through.
pub(super) const MOST_ENTRIES: usize = 200_000;

/// Calls `see` for every path beneath a folder, until it says `false` or `left` names have been
/// seen; whether everything was seen. Links are not followed.
pub(super) fn walk(
    place: &Place,
    left: &mut usize,
    see: &mut dyn FnMut(&Path) -> bool,
) -> Result<bool> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let top = sys::open_at(place.folder.as_raw_fd(), &place.name, flags, 0)?;
    let mut next = vec![PathBuf::new()];
    while let Some(folder) = next.pop() {
        // By way of the descriptor, since this thread has another root.
        let at = Path::new(OsStr::from_bytes(by_descriptor(&top).as_bytes())).join(&folder);
        let entries = std::fs::read_dir(at)
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            if *left == 0 || !see(&path) {
                return Ok(false);
            }
            *left -= 1;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                next.push(path);
            }
        }
    }
    Ok(true)
}
