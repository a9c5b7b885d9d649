//! What is denied and appears while a session runs, because somebody outside of it makes or replaces
//! it (as editors do when they save): it is covered at once, in the full tier.
//!
//! Watched are the workspace's own folder, and every folder on the way to something hidden or denied by
//! its own name; all else is looked through now and then. The session makes no such file itself: the
//! broker refuses that.

mod search;

use super::channel::{self, Message};
use super::control::Shared;
use super::guard::{self, Guard};
use super::sys;
use crate::enforce::{Judge, LaunchError};
use crate::plan::walk::Patterns;
use crate::plan::{Denied, Plan, Tier};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::statfs;
use rustix::io::Errno;
use search::Search;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Room for some hundred events, which are taken at a time (inotify(7)): whoever makes names faster
/// than they are looked at keeps this thread from nothing else.
const ROOM: usize = 16 << 10;

/// How long after the start it is looked for what has appeared. To let go of the last watch takes the
/// kernel as long as a short session takes (`fsnotify_destroy_group`), so that has none.
const LATER: Duration = Duration::from_millis(250);

/// How long it takes at least until all folders are looked through again, where more happened than the
/// kernel told, or where it tells nothing.
const AGAIN: Duration = Duration::from_secs(1);

/// Looking through all folders takes no more than this part of this thread's time.
const SHARE: u32 = 10;

/// So many paths are handed on before their answers are awaited: more could fill the channel both ways.
const AT_ONCE: usize = 32;

/// File systems whose files others change elsewhere, which nothing here hears of, by their magic
/// numbers (statfs(2), linux/magic.h).
const REMOTE: [u32; 9] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB 2
    0x0102_1997, // 9p, as of Windows' drives under WSL
    0x6573_5546, // FUSE and virtiofs
    0x00c3_6400, // Ceph
    0x5346_414f, // AFS
    0x786f_4256, // shared folders of VirtualBox
];

/// What could not be covered, and why: the session must not see it.
pub(super) type Uncovered = (PathBuf, io::Error);

/// The folders in which something may appear that is denied.
#[derive(Debug)]
pub(super) struct Appearing {
    workspace: PathBuf,
    granted: HashSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    hidden: BTreeSet<PathBuf>,
    /// What is seen within folders that are denied.
    shown: BTreeSet<PathBuf>,
    denied: Guard,
    /// What is looked for in all else, until that is being done.
    sought: Vec<Denied>,
    search: Option<Search>,
    /// Without watches until the session has run for a moment; the error once it is told.
    watches: Result<Watches, Option<Errno>>,
    /// When all folders are to be looked through.
    due: Option<Instant>,
    /// When they may be at the soonest.
    soonest: Instant,
    /// Why the kernel does not tell everything, until the judge knows.
    trouble: Option<io::Error>,
    troubled: bool,
    /// What is to be covered.
    found: BTreeSet<PathBuf>,
    /// What the first process has been told to cover, in the order of its answers.
    covering: VecDeque<PathBuf>,
}

impl Appearing {
    /// `None` where nothing is hidden.
    pub(super) fn of(plan: &Plan) -> Result<Option<Self>, LaunchError> {
        if plan.tier != Tier::Full || plan.hidden.is_empty() && plan.denied.is_empty() {
            return Ok(None);
        }
        let due = Instant::now() + LATER;
        let granted = plan.grants.iter().map(|grant| grant.path.clone()).collect();
        let (mut by_name, mut sought) = (Vec::new(), Vec::new());
        for denied in &plan.denied {
            match guard::literal(&denied.what.glob) {
                Some(path) => by_name.push(PathBuf::from(path)),
                None => sought.push(denied.clone()),
            }
        }
        Ok(Some(Self {
            workspace: plan.workspace.clone(),
            folders: folders(plan, &by_name, &granted),
            granted,
            hidden: plan.hidden.iter().cloned().collect(),
            shown: plan.shown.iter().cloned().collect(),
            denied: Guard::new(&[], plan.denied.iter().map(|denied| &denied.what))?,
            sought,
            search: None,
            // Before the session can use up what its user has of them.
            watches: Watches::new().map_err(Some),
            due: Some(due),
            soonest: due,
            trouble: None,
            troubled: false,
            found: BTreeSet::new(),
            covering: VecDeque::new(),
        }))
    }

    /// How long until all folders are looked through, in milliseconds.
    pub(super) fn wait(&self) -> i32 {
        self.due.map_or(i32::MAX, |due| {
            1 + due.saturating_duration_since(Instant::now()).as_millis() as i32
        })
    }

    /// Readable once something has appeared.
    pub(super) fn polled(appearing: Option<&Self>) -> libc::pollfd {
        let watches = appearing.and_then(|appearing| appearing.watches.as_ref().ok());
        watches.map_or(sys::NOTHING, |watches| sys::readable(watches.queue.as_fd()))
    }

    /// Has what appeared covered by the session's first process; `told` where the kernel says that
    /// something has.
    pub(super) fn go_on(
        &mut self,
        told: bool,
        shared: &Shared,
        judge: &mut dyn Judge,
    ) -> Result<(), Uncovered> {
        if told {
            self.take();
        }
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.look_through();
            self.search(shared);
        }
        for path in self.search.as_ref().map(Search::take).unwrap_or_default() {
            self.learn(path);
        }
        if let Some(error) = self.trouble.take()
            && !std::mem::replace(&mut self.troubled, true)
        {
            judge.unwatched(&error);
        }
        self.hand_on(shared)
    }

    /// Takes the first process's answer; the path, where something was covered.
    pub(super) fn covered(&mut self, errno: i32, done: bool) -> Result<Option<PathBuf>, Uncovered> {
        match (self.covering.pop_front(), errno) {
            (Some(path), 0) => Ok(done.then_some(path)),
            (Some(path), errno) => Err((path, io::Error::from_raw_os_error(errno))),
            (None, _) => Ok(None),
        }
    }

    fn hand_on(&mut self, shared: &Shared) -> Result<(), Uncovered> {
        while self.covering.len() < AT_ONCE
            && let Some(path) = self.found.pop_first()
        {
            let told = sys::memory_file(c"path").and_then(|file| {
                sys::write(file.as_raw_fd(), path.as_os_str().as_bytes())?;
                channel::send(shared.socket.as_fd(), Message::Cover, &[file.as_raw_fd()])
            });
            match told {
                Ok(()) => self.covering.push_back(path),
                // The first process has ended, and with it the session.
                Err(sys::Errno(libc::EPIPE | libc::ECONNRESET)) => {}
                Err(errno) => return Err((path, errno.into())),
            }
        }
        Ok(())
    }

    /// Takes what the kernel has to say, as much as there is room for.
    fn take(&mut self) {
        let Ok(watches) = &mut self.watches else { return };
        let mut names = BTreeSet::new();
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut events = inotify::Reader::new(&watches.queue, &mut room);
        while let Ok(event) = events.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                self.due = Some(self.soonest);
            }
            if let (Some(name), Some(folders)) =
                (event.file_name(), watches.folders.get(&event.wd()))
            {
                let name = OsStr::from_bytes(name.to_bytes());
                names.extend(folders.iter().map(|folder| folder.join(name)));
            }
            if event.events().contains(ReadFlags::IGNORED) {
                watches.folders.remove(&event.wd());
            }
            if events.is_buffer_empty() {
                break;
            }
        }
        for name in names {
            // A folder on the way to something hidden may have been made anew, or put back.
            let folders: Vec<_> = beneath(&self.folders, &name).cloned().collect();
            let looked = folders.iter().try_for_each(|folder| self.look_into(folder));
            if let Err(error) = looked.and_then(|()| self.find(name)) {
                self.cannot_tell(error);
            }
        }
    }

    /// Looks at everything that is there, and watches from then on.
    fn look_through(&mut self) {
        let began = Instant::now();
        self.due = None;
        let mut result = match &mut self.watches {
            Ok(_) => Ok(()),
            Err(error) => Err(error.take().map_or(ErrorKind::Other.into(), io::Error::from)),
        };
        for folder in self.folders.clone() {
            let looked = self.look_into(&folder).and_then(|()| tells(&folder));
            result = result.and(looked);
        }
        let now = Instant::now();
        self.soonest = now + AGAIN.max((now - began) * SHARE);
        if let Err(error) = result {
            self.cannot_tell(error);
        }
    }

    /// Has all else looked through from now on.
    fn search(&mut self, shared: &Shared) {
        if self.sought.is_empty() {
            return;
        }
        let sought = std::mem::take(&mut self.sought);
        let patterns = Patterns::denied(sought.iter()).map_err(io::Error::other);
        let folders = self.granted.iter().cloned().collect();
        let known = self.hidden.iter().cloned().collect();
        let wake = shared.wake.try_clone();
        match wake.and_then(|wake| Search::start(patterns?, folders, known, wake)) {
            Ok(search) => self.search = Some(search),
            Err(error) => self.cannot_tell(error),
        }
    }

    /// Hides what the search has found, and watches where it is from then on.
    fn learn(&mut self, path: PathBuf) {
        // A folder that cannot be listed is found, too, and what lies beneath a hidden one.
        if !self.denied.covers(&path) || path.ancestors().any(|above| self.hidden.contains(above)) {
            return;
        }
        let mut result = Ok(());
        for folder in on_the_way(&path, &self.granted) {
            if self.folders.insert(folder.clone()) {
                result = result.and(self.look_into(&folder)).and(tells(&folder));
            }
        }
        result = result.and(self.find(path.clone()));
        self.hidden.insert(path);
        if let Err(error) = result {
            self.cannot_tell(error);
        }
    }

    /// Looks again and again, where it is not told of everything.
    fn cannot_tell(&mut self, error: io::Error) {
        self.trouble.get_or_insert(error);
        self.due = Some(self.soonest);
    }

    /// Watches a folder, and finds what is in it.
    fn look_into(&mut self, folder: &Path) -> io::Result<()> {
        let watched = match &mut self.watches {
            Ok(watches) => watches.add(folder).map_err(io::Error::from),
            Err(_) => Ok(()),
        };
        self.find_in(folder).and(watched).map_err(|error| about(folder, &error))
    }

    fn find_in(&mut self, folder: &Path) -> io::Result<()> {
        let Some(entries) = there(fs::read_dir(folder))? else { return Ok(()) };
        for entry in entries {
            self.find(entry?.path())?;
        }
        Ok(())
    }

    /// Notes what is to be covered where a name is.
    fn find(&mut self, path: PathBuf) -> io::Result<()> {
        if !self.hidden.contains(&path) && !self.denied.covers(&path) {
            return Ok(());
        }
        let Some(stat) = there(fs::symlink_metadata(&path))? else { return Ok(()) };
        if stat.is_symlink() {
            // The name of a link is denied for what it leads to, where a grant shows that.
            let target = there(fs::canonicalize(&path))?.filter(|target| {
                let shown = target.ancestors().skip(1).any(|above| self.granted.contains(above));
                shown && !self.workspace.starts_with(target)
            });
            self.found.extend(target);
            return Ok(());
        }
        if stat.is_dir() && beneath(&self.shown, &path).next().is_some() {
            return self.find_in(&path);
        }
        self.found.insert(path);
        Ok(())
    }
}

/// The folders of a session that are watched, and where the kernel tells of them (inotify(7)).
#[derive(Debug)]
struct Watches {
    queue: OwnedFd,
    /// By the numbers of their watches. Where one folder is seen under several names, they share one.
    folders: BTreeMap<i32, BTreeSet<PathBuf>>,
    numbers: BTreeMap<PathBuf, i32>,
}

impl Watches {
    fn new() -> rustix::io::Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { queue, folders: BTreeMap::new(), numbers: BTreeMap::new() })
    }

    /// Watches the folder that has this name now, and no other that had it before.
    fn add(&mut self, folder: &Path) -> rustix::io::Result<()> {
        let place = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        let events = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let number = match inotify::add_watch(&self.queue, folder, place | events) {
            // It has gone; or nobody but others has a way there, and the session has none either.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => None,
            number => Some(number?),
        };
        let former = match number {
            Some(number) => self.numbers.insert(folder.to_owned(), number),
            None => self.numbers.remove(folder),
        };
        if let Some(former) = former.filter(|former| Some(*former) != number)
            && let Some(names) = self.folders.get_mut(&former)
            && names.remove(folder)
            && names.is_empty()
        {
            self.folders.remove(&former);
            // It may have gone by itself.
            let _ = inotify::remove_watch(&self.queue, former);
        }
        if let Some(number) = number {
            self.folders.entry(number).or_default().insert(folder.to_owned());
        }
        Ok(())
    }
}

/// The workspace, and the folders on the way to what is hidden, is seen within what is, or is denied by
/// its own name.
fn folders(plan: &Plan, by_name: &[PathBuf], granted: &HashSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::from([plan.workspace.clone()]);
    for path in plan.hidden.iter().chain(&plan.shown).chain(by_name) {
        folders.extend(on_the_way(path, granted));
    }
    folders
}

/// The folders above a path, from the outermost grant on; above that, nothing is seen.
fn on_the_way(path: &Path, granted: &HashSet<PathBuf>) -> Vec<PathBuf> {
    let above: Vec<_> = path.ancestors().skip(1).collect();
    let within = above.iter().rposition(|path| granted.contains(*path));
    above[..within.map_or(0, |at| at + 1)].iter().map(|path| path.to_path_buf()).collect()
}

/// A path of these, and those beneath it.
fn beneath<'s>(paths: &'s BTreeSet<PathBuf>, path: &'s Path) -> impl Iterator<Item = &'s PathBuf> {
    paths.range(path.to_owned()..).take_while(move |other| other.starts_with(path))
}

/// `None` where nothing is there any more, a link that leads nowhere, or nothing that this user sees.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    use ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match result {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => {
            Ok(None)
        }
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        result => result.map(Some),
    }
}

/// Whether the kernel tells of everything that happens in a folder.
fn tells(folder: &Path) -> io::Result<()> {
    let Some(stat) = there(statfs(folder).map_err(io::Error::from))? else { return Ok(()) };
    if REMOTE.contains(&(stat.f_type as u32)) {
        let error = "its file system does not tell what others change";
        return Err(about(folder, &io::Error::new(ErrorKind::Unsupported, error)));
    }
    Ok(())
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
