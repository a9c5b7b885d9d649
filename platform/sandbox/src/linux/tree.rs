//! Shows what lies beneath a folder by the entries of folders alone. Every session's start looks
//! for denied names in its whole workspace this way, so a name costs no call, no path and no memory
//! of its own: only folders are opened, each from the one above it.

use super::sys::{self, Errno};
use crate::plan::{Kind, Next, Seen};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Enough for the entries of most folders at once.
const BUFFER: usize = 32 << 10;
/// In `struct linux_dirent64` (getdents64(2)): where the record's length, the kind and the name
/// stand.
const LENGTH: usize = 16;
const KIND: usize = 18;
const NAME: usize = 19;

const FOLDER: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;

/// From so many folders beside each other on, a second thread is worth its start.
const WORTH_SHARING: usize = 48;

type See<'s> = &'s (dyn Fn(Seen<'_>) -> Next + Sync);

/// Shows `see` everything beneath a folder; `false` where it has stopped the walk. A large tree is
/// gone through by two threads, of which one has ended when this returns.
pub(crate) fn walk(top: &Path, see: See<'_>) -> bool {
    // Level by level, until one is wide.
    let mut walk = Walk::new(see);
    let mut level = vec![top.to_path_buf()];
    while !level.is_empty() && level.len() < WORTH_SHARING {
        let mut next = Vec::new();
        for folder in level {
            walk.path = folder;
            if !walk.level(&mut next) {
                return false;
            }
        }
        level = next;
    }
    if level.is_empty() {
        return true;
    }
    let (next, goes_on) = (AtomicUsize::new(0), AtomicBool::new(true));
    let work = |mut walk: Walk<'_>| {
        while goes_on.load(Ordering::Relaxed)
            && let Some(folder) = level.get(next.fetch_add(1, Ordering::Relaxed))
        {
            walk.path.clone_from(folder);
            if !walk.all() {
                goes_on.store(false, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new()
            .name("walk".into())
            .spawn_scoped(scope, || work(Walk::new(see)));
        work(walk);
        // A scope's own end comes a little before the thread's. It has nothing to say.
        let _ = other.map(std::thread::ScopedJoinHandle::join);
    });
    goes_on.into_inner()
}

struct Walk<'s> {
    buffer: Vec<u8>,
    /// The names of the folders that are still to be entered, each with its NUL.
    names: Vec<u8>,
    /// Of the folder in hand.
    path: PathBuf,
    see: See<'s>,
}

impl<'s> Walk<'s> {
    fn new(see: See<'s>) -> Self {
        Self { buffer: vec![0; BUFFER], names: Vec::new(), path: PathBuf::new(), see }
    }

    fn open(&self) -> sys::Result<OwnedFd> {
        let path = CString::new(self.path.as_os_str().as_bytes());
        sys::open(&path.map_err(|_| Errno(libc::ENOENT))?, FOLDER)
    }

    /// Everything beneath the folder.
    fn all(&mut self) -> bool {
        let folder = self.open();
        self.enter(folder)
    }

    /// The folder's own entries; those to enter are added to `next`.
    fn level(&mut self, next: &mut Vec<PathBuf>) -> bool {
        let listed = self.open().and_then(|folder| self.list(&folder));
        match listed {
            Ok(goes_on) => {
                let names = std::mem::take(&mut self.names);
                let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
                next.extend(names.map(|name| self.path.join(OsStr::from_bytes(name))));
                goes_on
            }
            Err(errno) => self.unlisted(errno),
        }
    }
}

impl Walk<'_> {
    fn enter(&mut self, folder: sys::Result<OwnedFd>) -> bool {
        let first = self.names.len();
        let listed = folder.and_then(|folder| Ok((self.list(&folder)?, folder)));
        let goes_on = match listed {
            Ok((true, folder)) => self.beneath(&folder, first),
            Ok((false, _)) => false,
            Err(errno) => self.unlisted(errno),
        };
        self.names.truncate(first);
        goes_on
    }

    fn unlisted(&self, errno: Errno) -> bool {
        match errno {
            // It has gone, or is no folder any more.
            Errno(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => true,
            _ => (self.see)(Seen::Unlisted(&self.path)) != Next::Stop,
        }
    }

    /// Enters the folders whose names begin at `first`.
    fn beneath(&mut self, folder: &OwnedFd, first: usize) -> bool {
        let (mut at, end) = (first, self.names.len());
        while at < end {
            let Ok(name) = CStr::from_bytes_until_nul(&self.names[at..end]) else { break };
            at += name.count_bytes() + 1;
            let opened = sys::open_at(folder.as_raw_fd(), name, FOLDER, 0);
            self.path.push(OsStr::from_bytes(name.to_bytes()));
            let goes_on = self.enter(opened);
            self.path.pop();
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Shows the entries of a folder, and notes those to enter; whether the walk goes on.
    fn list(&mut self, folder: &OwnedFd) -> sys::Result<bool> {
        let Self { buffer, names, path, see } = self;
        loop {
            let length = entries(folder, buffer)?;
            if length == 0 {
                return Ok(true);
            }
            let mut rest = &buffer[..length];
            while let Some((record, name)) = record(rest) {
                let kind = rest[KIND];
                rest = &rest[record..];
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                let kind = match kind {
                    libc::DT_DIR => Kind::Folder,
                    libc::DT_LNK => Kind::Link,
                    libc::DT_UNKNOWN => match kind_at(folder.as_raw_fd(), name) {
                        Some(kind) => kind,
                        None => continue,
                    },
                    _ => Kind::File,
                };
                let entry =
                    Seen::Entry { folder: path, name: OsStr::from_bytes(name.to_bytes()), kind };
                match see(entry) {
                    Next::Enter => names.extend_from_slice(name.to_bytes_with_nul()),
                    Next::Pass => {}
                    Next::Stop => return Ok(false),
                }
            }
        }
    }
}

/// Reads the next entries of a folder; how many bytes they take.
fn entries(folder: &OwnedFd, buffer: &mut [u8]) -> sys::Result<usize> {
    // SAFETY: pointer and length are of one slice.
    let length = sys::check(unsafe {
        libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    })?;
    Ok(length as usize)
}

/// The length and the name of the first of these records.
fn record(records: &[u8]) -> Option<(usize, &CStr)> {
    let length = records.get(LENGTH..LENGTH + 2)?;
    let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
    let name = CStr::from_bytes_until_nul(records.get(NAME..length)?).ok()?;
    Some((length, name))
}

/// What an entry is where the file system does not say so in the folder.
fn kind_at(folder: RawFd, name: &CStr) -> Option<Kind> {
    let held = sys::open_at(folder, name, libc::O_PATH | libc::O_NOFOLLOW, 0).ok()?;
    let stat = sys::stat(held.as_raw_fd()).ok()?;
    Some(match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Folder,
        libc::S_IFLNK => Kind::Link,
        _ => Kind::File,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Disk, RealDisk};
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Mutex;

    /// What another way of listing says.
    fn plain(folder: &Path, found: &mut BTreeMap<PathBuf, bool>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let is_folder = entry.file_type().unwrap().is_dir();
            found.insert(entry.path(), is_folder);
            if is_folder {
                plain(&entry.path(), found);
            }
        }
    }

    #[test]
    fn everything_beneath_a_folder_is_shown_once() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path();
        for folder in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        // More than one thread goes through alone.
        for number in 0..2 * WORTH_SHARING {
            fs::create_dir_all(top.join(format!("e/{number}/f"))).unwrap();
            fs::write(top.join(format!("e/{number}/f/g")), "").unwrap();
        }
        // More than one buffer holds.
        for number in 0..2000 {
            fs::write(top.join(format!("a/b/a-rather-long-name-{number}")), "").unwrap();
        }
        std::os::unix::fs::symlink(top, top.join("a/link")).unwrap();
        let mut expected = BTreeMap::new();
        plain(top, &mut expected);
        let found = Mutex::new(BTreeMap::new());
        let complete = RealDisk.walk(top, &|seen| {
            let Seen::Entry { folder, name, kind } = seen else { panic!("{seen:?}") };
            let is_folder = kind == Kind::Folder;
            let before = found.lock().unwrap().insert(folder.join(name), is_folder);
            assert_eq!(before, None, "{name:?}");
            if is_folder { Next::Enter } else { Next::Pass }
        });
        assert!(complete);
        assert_eq!(found.into_inner().unwrap(), expected);
    }

    #[test]
    fn a_walk_enters_what_it_is_told_and_ends_when_it_is_told() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b")).unwrap();
        let seen = AtomicUsize::new(0);
        assert!(walk(top.path(), &|_| {
            seen.fetch_add(1, Ordering::Relaxed);
            Next::Pass
        }));
        assert!(!walk(top.path(), &|_| Next::Stop));
        assert_eq!(seen.into_inner(), 1);
        assert!(walk(&top.path().join("none"), &|seen| panic!("{seen:?}")));
    }
}
