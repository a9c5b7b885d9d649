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
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Room for some hundred events at a time (inotify(7)).
const ROOM: usize = 16 << 10;

/// How long after the start it is looked for what has appeared. To let go of the last watch takes the
/// kernel as long as a short session takes (`fsnotify_destroy_group`), so that has none.
const LATER: Duration = Duration::from_millis(250);

/// The folders in which something may appear that is denied.
#[derive(Debug)]
pub(super) struct Appearing {
    folders: BTreeSet<PathBuf>,
    hidden: BTreeSet<PathBuf>,
    denied: Guard,
    due: Instant,
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    queue: OwnedFd,
    /// By the numbers of their watches.
    folders: BTreeMap<i32, PathBuf>,
}

impl Watched {
    fn new(folders: &BTreeSet<PathBuf>) -> rustix::io::Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let mut watched = BTreeMap::new();
        for folder in folders {
            match inotify::add_watch(&queue, folder, events) {
                Ok(number) => drop(watched.insert(number, folder.clone())),
                // It has gone, or whoever makes something there is no one of this user's.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Self { queue, folders: watched })
    }
}

impl Appearing {
    /// `None` where nothing is hidden.
    pub(super) fn of(plan: &Plan) -> Result<Option<Self>, LaunchError> {
        if plan.tier != Tier::Full || plan.hidden.is_empty() && plan.denied.is_empty() {
            return Ok(None);
        }
        let hidden: BTreeSet<PathBuf> = plan.hidden.iter().cloned().collect();
        let above = hidden.iter().filter_map(|path| path.parent()).map(Path::to_owned);
        Ok(Some(Self {
            folders: above.chain([plan.workspace.clone()]).collect(),
            hidden,
            denied: Guard::new(&[], &plan.denied)?,
            due: Instant::now() + LATER,
            watched: None,
        }))
    }

    /// How long until it begins, in milliseconds.
    pub(super) fn wait(&self) -> i32 {
        match &self.watched {
            Some(_) => i32::MAX,
            None => 1 + self.due.saturating_duration_since(Instant::now()).as_millis() as i32,
        }
    }

    /// Begins with it where it is time to, and with what is there already.
    ///
    /// # Errors
    /// Where the kernel watches no more for this user (`fs.inotify`, inotify(7)).
    pub(super) fn begin(&mut self, shared: &Shared) -> rustix::io::Result<()> {
        if self.watched.is_some() || Instant::now() < self.due {
            return Ok(());
        }
        self.watched = Some(Watched::new(&self.folders)?);
        let there = self.folders.iter().flat_map(|folder| self.denied_in(folder)).collect();
        cover(shared, there);
        Ok(())
    }

    /// Has what appeared covered by the session's first process.
    pub(super) fn cover(&self, shared: &Shared) {
        if let Some(watched) = &self.watched {
            cover(shared, self.appeared(watched));
        }
    }

    /// What is denied and has a name now that it had not before.
    fn appeared(&self, watched: &Watched) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut events = inotify::Reader::new(&watched.queue, &mut room);
        while let Ok(event) = events.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                found.extend(self.folders.iter().flat_map(|folder| self.denied_in(folder)));
            }
            let folder = watched.folders.get(&event.wd());
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

    /// Readable once something has appeared.
    pub(super) fn polled(appearing: Option<&Self>) -> libc::pollfd {
        let watched = appearing.and_then(|appearing| appearing.watched.as_ref());
        watched.map_or(sys::NOTHING, |watched| sys::readable(watched.queue.as_fd()))
    }

    fn if_denied(&self, path: PathBuf) -> Option<PathBuf> {
        (self.hidden.contains(&path) || self.denied.covers(&path)).then_some(path)
    }
}

/// Has the session's first process cover these.
fn cover(shared: &Shared, paths: BTreeSet<PathBuf>) {
    for path in paths {
        let Ok(file) = sys::memory_file(c"path") else { continue };
        if sys::write(file.as_raw_fd(), path.as_os_str().as_bytes()).is_ok() {
            // Should it have ended, there is nobody to cover it for.
            let told = [file.as_raw_fd()];
            let _ = channel::send(shared.socket.as_fd(), Message::Cover, &told);
        }
    }
}
