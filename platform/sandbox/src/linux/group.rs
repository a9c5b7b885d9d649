//! A control group of a session's own, where this user may make one: in it the kernel holds at every
//! moment what the watch would look at a few times a second, and tells when it had to.
//!
//! The group is made beside the one that the supervisor is in. The agent's process begins in it;
//! nobody else is moved, and no other group is changed. Without it everything is watched.

mod place;

use super::sys::{self, Errno};
use crate::enforce::Excess;
use crate::machine::Status;
use crate::plan::Limits;
use place::{Chosen, Controllers, Nowhere, Seen, choose};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, mkdirat, openat, unlinkat};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What groups of sessions are called, before the supervisor's id.
const NAME: &str = "chaperone-";

/// How long what was killed may take to leave its group. The kernel does it meanwhile.
const LEAVING: Duration = Duration::from_secs(2);

/// Which of a session's limits its group holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) memory: bool,
    pub(super) processes: bool,
}

impl Held {
    /// What is left for rlimits and the watch.
    pub(super) fn rest(self, limits: &Limits) -> Limits {
        Limits {
            memory: limits.memory.filter(|_| !self.memory),
            processes: limits.processes.filter(|_| !self.processes),
            ..limits.clone()
        }
    }
}

/// A group of a session's own. Dropping it ends what is left in it, and removes it.
#[derive(Debug)]
pub(super) struct Group {
    parent: OwnedFd,
    name: String,
    folder: OwnedFd,
    /// Each where the group holds it: the limit, and where the kernel tells of it.
    memory: Option<Bound>,
    processes: Option<Bound>,
}

/// A limit that the kernel holds.
#[derive(Debug)]
struct Bound {
    most: u64,
    events: OwnedFd,
}

/// Which of the limits a group could hold here, untried.
pub(super) fn assumed() -> [Status; 2] {
    match place() {
        Ok(Chosen { controllers, .. }) => told(*controllers, Status::Assumed),
        Err(nowhere) => [Status::Fails { errno: errno(*nowhere) }; 2],
    }
}

/// The same, found by doing it once.
pub(super) fn tried() -> [Status; 2] {
    let limits = Limits { memory: Some(1 << 30), processes: Some(64), ..Limits::default() };
    let tried = Group::make(&limits).and_then(|group| {
        let signals = sys::block_signals();
        let child = sys::clone_into(group.folder())?;
        if child == 0 {
            sys::exit(0);
        }
        drop(signals);
        // It has ended, or does at once.
        sys::wait(child, libc::__WALL)?;
        Ok(group.held())
    });
    match tried {
        Ok(Held { memory, processes }) => {
            told(Controllers { memory, pids: processes }, Status::Works)
        }
        Err(Errno(errno)) => [Status::Fails { errno }; 2],
    }
}

fn told(controllers: Controllers, there: Status) -> [Status; 2] {
    let status = |has| if has { there } else { Status::Fails { errno: libc::EOPNOTSUPP } };
    [status(controllers.memory), status(controllers.pids)]
}

fn errno(nowhere: Nowhere) -> i32 {
    match nowhere {
        Nowhere::NoHierarchy => libc::ENODEV,
        Nowhere::NotDelegated => libc::EACCES,
        Nowhere::NoControllers => libc::EOPNOTSUPP,
    }
}

/// Where groups are made: one process asks once, since it stays in its own group.
fn place() -> &'static Result<Chosen, Nowhere> {
    static PLACE: OnceLock<Result<Chosen, Nowhere>> = OnceLock::new();
    PLACE.get_or_init(|| {
        let read = |name| fs::read_to_string(name).unwrap_or_default();
        choose(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), see)
    })
}

fn see(folder: &Path) -> Option<Seen> {
    let may = |path: &Path, access| accessat(CWD, path, access, AtFlags::EACCESS).is_ok();
    let writable = may(folder, Access::WRITE_OK | Access::EXEC_OK)
        && may(&folder.join("cgroup.procs"), Access::WRITE_OK);
    if !writable {
        return Some(Seen { writable, is_root: false, controllers: Controllers::default() });
    }
    let controllers = fs::read_to_string(folder.join("cgroup.subtree_control")).ok()?;
    // Every group has a type but the machine's root.
    let is_root = !folder.join("cgroup.type").exists();
    Some(Seen { writable, is_root, controllers: Controllers::read(&controllers) })
}

impl Group {
    /// Makes a group that holds what of these limits it can; `ENOENT` where that is nothing.
    pub(super) fn make(limits: &Limits) -> sys::Result<Self> {
        if (limits.memory, limits.processes) == (None, None) {
            return Err(Errno(libc::ENOENT));
        }
        let Chosen { folder, controllers } = place().as_ref().map_err(|n| Errno(errno(*n)))?;
        let memory = limits.memory.filter(|_| controllers.memory);
        let processes = limits.processes.filter(|_| controllers.pids);
        // More than one at a time where one is planned anew.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{number}", std::process::id());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, folder, flags, Mode::empty()).map_err(known)?;
        mkdirat(&parent, &name, Mode::from(0o755)).map_err(known)?;
        let folder = openat(&parent, &name, flags - OFlags::PATH, Mode::empty());
        let folder = match folder {
            Ok(folder) => folder,
            Err(errno) => {
                // It has just been made, and is empty.
                let _ = unlinkat(&parent, &name, AtFlags::REMOVEDIR);
                return Err(known(errno));
            }
        };
        let mut group = Self { parent, name, folder, memory: None, processes: None };
        group.memory = memory.and_then(|most| group.bound_memory(most));
        group.processes = processes.and_then(|most| group.bound_processes(most));
        match group.held() {
            Held { memory: false, processes: false } => Err(Errno(libc::ENOENT)),
            _ => Ok(group),
        }
    }

    /// In memory, and nothing in swap: what swaps for ever is held by no limit. All of the session
    /// is ended together when there is no more.
    fn bound_memory(&self, most: u64) -> Option<Bound> {
        self.write("memory.swap.max", "0").ok()?;
        self.write("memory.oom.group", "1").ok()?;
        self.write("memory.max", &most.to_string()).ok()?;
        Some(Bound { most, events: self.events("memory.events")? })
    }

    /// Processes and threads but for the session's first, which stays outside.
    fn bound_processes(&self, most: u64) -> Option<Bound> {
        self.write("pids.max", &most.saturating_sub(1).to_string()).ok()?;
        Some(Bound { most, events: self.events("pids.events")? })
    }

    /// Opens a file that tells by `POLLPRI` that it has changed since it was read.
    fn events(&self, name: &str) -> Option<OwnedFd> {
        let file = self.open(name, OFlags::RDONLY).ok()?;
        counted(file.as_fd(), "max").map(|_| file)
    }

    pub(super) fn held(&self) -> Held {
        Held { memory: self.memory.is_some(), processes: self.processes.is_some() }
    }

    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// What the session wanted more of than it may have, as far as the kernel has told by now.
    pub(super) fn excess(&self) -> Option<Excess> {
        if let Some(Bound { most, events }) = &self.memory {
            // Its processes may also be ended because the machine has no memory.
            let count = |name| counted(events.as_fd(), name).unwrap_or(0);
            if count("oom") > 0 && count("oom_kill") > 0 {
                return Some(Excess::Memory { used: *most, most: *most });
            }
        }
        let Bound { most, events } = self.processes.as_ref()?;
        // Before Linux 6.11 a refusal counts here also where a group above has no more to give.
        let own = self.number("pids.current").map_or(0, |current| current + 1);
        let near = own >= most - most / 8;
        let refused = counted(events.as_fd(), "max").unwrap_or(0) > 0;
        (refused && near).then_some(Excess::Processes { most: *most })
    }

    /// Time on processors, of everything that was ever in it.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let file = self.open("cpu.stat", OFlags::RDONLY).ok()?;
        counted(file.as_fd(), "usage_usec").map(Duration::from_micros)
    }

    fn number(&self, name: &str) -> Option<u64> {
        let file = self.open(name, OFlags::RDONLY).ok()?;
        let mut text = [0u8; 32];
        let length = sys::read(file.as_fd(), &mut text).ok()?;
        std::str::from_utf8(text.get(..length)?).ok()?.trim_ascii().parse().ok()
    }

    fn open(&self, name: &str, flags: OFlags) -> sys::Result<OwnedFd> {
        openat(&self.folder, name, flags | OFlags::CLOEXEC, Mode::empty()).map_err(known)
    }

    fn write(&self, name: &str, text: &str) -> sys::Result<()> {
        sys::write(self.open(name, OFlags::WRONLY)?.as_raw_fd(), text.as_bytes())
    }

    fn remove(&self) -> sys::Result<()> {
        unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR).map_err(known)
    }

    /// Ends everything that is still in it (Linux 5.14), and waits until it has gone.
    fn empty(&self) {
        let Ok(events) = self.open("cgroup.events", OFlags::RDONLY) else { return };
        // Where there is no such file, what ends a session has ended it.
        let _ = self.write("cgroup.kill", "1");
        let end = Instant::now() + LEAVING;
        while counted(events.as_fd(), "populated") == Some(1) {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            if left == 0 {
                return;
            }
            let mut fds =
                [libc::pollfd { fd: events.as_raw_fd(), events: libc::POLLPRI, revents: 0 }];
            if sys::poll(&mut fds, i32::try_from(left).unwrap_or(i32::MAX)).is_err() {
                return;
            }
        }
    }

    /// Removes what supervisors left that were killed: empty groups whose supervisor has gone. The
    /// kernel removes no group that has a process.
    fn sweep(&self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(parent) = openat(&self.parent, ".", flags, Mode::empty()) else { return };
        let Ok(entries) = rustix::fs::Dir::new(parent) else { return };
        for entry in entries.flatten() {
            let left = entry.file_name().to_str().ok().filter(|name| is_left(name));
            if let Some(left) = left {
                // It may be somebody else's to remove.
                let _ = unlinkat(&self.parent, left, AtFlags::REMOVEDIR);
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.remove().is_err() {
            self.empty();
            // What cannot be removed now is by a later session.
            let _ = self.remove();
        }
        self.sweep();
    }
}

/// What to wait for: each is -1 where there is nothing to come.
pub(super) fn polled(group: Option<&Group>) -> [libc::pollfd; 2] {
    let bounds = group.map_or([None, None], |it| [it.memory.as_ref(), it.processes.as_ref()]);
    bounds.map(|bound| libc::pollfd {
        fd: bound.map_or(-1, |bound| bound.events.as_raw_fd()),
        events: libc::POLLPRI,
        revents: 0,
    })
}

/// Whether a group is called as those of sessions are, of a supervisor that is not there any more.
fn is_left(name: &str) -> bool {
    let supervisor = name.strip_prefix(NAME).and_then(|rest| rest.split('-').next());
    let supervisor = supervisor.and_then(|pid| pid.parse::<i32>().ok()).filter(|pid| *pid > 0);
    supervisor.is_some_and(|pid| sys::kill(pid, 0) == Err(Errno(libc::ESRCH)))
}

/// A number of a file that has one behind a name on each line. Reading it is what a later poll
/// compares with.
fn counted(file: BorrowedFd<'_>, name: &str) -> Option<u64> {
    let mut text = [0u8; 2048];
    let length = rustix::io::pread(file, &mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn known(errno: rustix::io::Errno) -> Errno {
    Errno(errno.raw_os_error())
}
