//! What is denied and appears while a session runs, because somebody outside of it makes or replaces
//! it (as editors do when they save): it is covered at once, in the full tier.
//!
//! Looked at are the workspace's own folder, and those that hold something hidden. The session makes
//! no such name itself: the broker refuses that.

use super::channel::{self, Message};
use super::control::Shared;
use super::guard::Guard;
use super::sys;
use crate::enforce::LaunchError;
use crate::plan::{Plan, Tier};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Room for some hundred events at a time (inotify(7)).
const ROOM: usize = 16 << 10;

/// The folders in which something may appear that is denied.
#[derive(Debug)]
pub(super) struct Appearing {
    queue: OwnedFd,
    /// By the numbers of their watches.
    folders: BTreeMap<i32, PathBuf>,
    hidden: BTreeSet<PathBuf>,
    denied: Guard,
}

impl Appearing {
    /// `None` where nothing is hidden; an error where the kernel watches no more for this user
    /// (`fs.inotify`, inotify(7)).
    pub(super) fn watch(plan: &Plan) -> Result<Option<rustix::io::Result<Self>>, LaunchError> {
        if plan.tier != Tier::Full || plan.hidden.is_empty() && plan.denied.is_empty() {
            return Ok(None);
        }
        let denied = Guard::new(&[], &plan.denied)?;
        Ok(Some(Self::of(plan, denied)))
    }

    fn of(plan: &Plan, denied: Guard) -> rustix::io::Result<Self> {
        let hidden: BTreeSet<PathBuf> = plan.hidden.iter().cloned().collect();
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let above = hidden.iter().filter_map(|path| path.parent());
        let all: BTreeSet<&Path> = above.chain([plan.workspace.as_path()]).collect();
        let mut folders = BTreeMap::new();
        for folder in all {
            match inotify::add_watch(&queue, folder, events) {
                Ok(number) => drop(folders.insert(number, folder.to_owned())),
                // It has gone, or whoever makes something there is no one of this user's.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Self { queue, folders, hidden, denied })
    }

    /// Has what appeared covered by the session's first process.
    pub(super) fn cover(&self, shared: &Shared) {
        for path in self.appeared() {
            let Ok(file) = sys::memory_file(c"path") else { continue };
            if sys::write(file.as_raw_fd(), path.as_os_str().as_bytes()).is_ok() {
                // Should it have ended, there is nobody to cover it for.
                let told = [file.as_raw_fd()];
                let _ = channel::send(shared.socket.as_fd(), Message::Cover, &told);
            }
        }
    }

    /// What is denied and has a name now that it had not before.
    fn appeared(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut events = inotify::Reader::new(&self.queue, &mut room);
        while let Ok(event) = events.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                found.extend(self.folders.values().flat_map(|folder| self.denied_in(folder)));
            }
            let folder = self.folders.get(&event.wd());
            if let (Some(folder), Some(name)) = (folder, event.file_name()) {
                found.extend(self.if_denied(folder.join(OsStr::from_bytes(name.to_bytes()))));
            }
        }
        found
    }

    fn denied_in(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.filter_map(|entry| self.if_denied(entry.path())).collect()
    }

    fn if_denied(&self, path: PathBuf) -> Option<PathBuf> {
        (self.hidden.contains(&path) || self.denied.covers(&path)).then_some(path)
    }
}

impl AsFd for Appearing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
