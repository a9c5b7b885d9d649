//! Calls that make, rename, link, remove or open for writing a name, carried out on the agent's
//! behalf while some names are guarded.
//!
//! The agent's own call never runs: between a look at its path and the kernel's, another thread
//! could change the path, a link or a folder's name. Here the folder is resolved to a descriptor,
//! its real path and the last name are judged, and the call is made relative to that descriptor
//! without following a link. All such calls of a session are carried out one after the other, so
//! nothing in the session renames a folder between judgement and call.
//!
//! What makes, renames or removes a name in a folder of the session's own, the tracing thread does
//! itself, while the other has nothing to do ([`near`]). That one does the rest, confined as the
//! agent is: no capabilities, and a Landlock domain of the same rules on the same files. Both see the
//! agent's files through its root.

mod acts;
mod near;

use super::agent;
use super::attributes::{self, Attribute, Own};
use super::control::Shared;
use super::cpus::Helper;
use super::guard::Guard;
use super::landlock;
use super::notify::{Listener, Question};
use super::paths::{self, Place};
use super::sys::{self, Errno, Result};
use near::Near;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A call to carry out. Paths are absolute as the agent sees them, and may hold links and dots.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Open {
        path: PathBuf,
        flags: i32,
        mode: u32,
    },
    /// What a descriptor of the agent leads to, opened anew.
    Reopen {
        file: Arc<OwnedFd>,
        flags: i32,
    },
    MakeFolder {
        path: PathBuf,
        mode: u32,
    },
    MakeNode {
        path: PathBuf,
        mode: u32,
        device: u64,
    },
    Remove {
        path: PathBuf,
        flags: i32,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        flags: u32,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
        follow: bool,
    },
    LinkFile {
        file: Arc<OwnedFd>,
        to: PathBuf,
    },
    Symlink {
        content: CString,
        at: PathBuf,
    },
    Truncate {
        path: PathBuf,
        length: i64,
    },
    /// Changes what a path leads to, or the link itself.
    Change {
        path: PathBuf,
        follow: bool,
        attribute: Attribute,
    },
    ChangeFile {
        file: Arc<OwnedFd>,
        attribute: Attribute,
    },
    /// Watches what a path leads to, by a queue of the agent (inotify(7)).
    Watch {
        queue: Arc<OwnedFd>,
        path: PathBuf,
        events: u32,
    },
    WatchFile {
        queue: Arc<OwnedFd>,
        file: Arc<OwnedFd>,
        events: u32,
    },
}

impl Call {
    /// The name that it would make, change or remove, where it has one.
    fn changes(&self) -> Option<&Path> {
        match self {
            Self::Open { path, .. }
            | Self::MakeFolder { path, .. }
            | Self::MakeNode { path, .. }
            | Self::Remove { path, .. }
            | Self::Truncate { path, .. }
            | Self::Change { path, .. } => Some(path),
            Self::Rename { to, .. } | Self::Link { to, .. } | Self::LinkFile { to, .. } => Some(to),
            Self::Symlink { at, .. } => Some(at),
            Self::Reopen { .. }
            | Self::ChangeFile { .. }
            | Self::Watch { .. }
            | Self::WatchFile { .. } => None,
        }
    }
}

/// A call and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) call: Call,
    /// What the caller takes away from the modes of what it makes.
    pub(super) umask: u32,
}

/// What the tracing thread hears back, if anything.
#[derive(Debug)]
pub(super) enum Word {
    /// A name was guarded; the call was answered.
    Refused { tid: i32, path: PathBuf },
    /// No grant covers a name; the call was answered.
    Ungranted { tid: i32, path: PathBuf },
    /// Something was made that git takes orders from ([`Judge::repository`](crate::Judge::repository)).
    Repository { path: PathBuf },
    /// A folder was renamed that may hold such a thing, or two changed places.
    Moved { from: PathBuf, to: PathBuf, exchanged: bool },
    /// The path led here, which means something else to each process; not answered.
    Elsewhere { job: Job, path: PathBuf },
}

/// Who carries calls out.
#[derive(Debug)]
pub(super) struct Broker {
    work: Arc<Work>,
    /// What the tracing thread does itself; none before the first call, and none where it cannot.
    near: Option<Option<Near>>,
    thread: Confined,
}

/// The way to the thread, which the first call for it starts: most sessions of one command make none.
#[derive(Debug)]
enum Confined {
    Waiting,
    Working(Working),
    /// The thread could not be started, or not be confined: it takes no call.
    Failed(Errno),
}

/// The thread at work. Dropping this waits until it has ended: the process that a later session
/// begins with is a plain clone, in which whatever another thread holds stays held.
#[derive(Debug)]
struct Working {
    jobs: Option<Sender<Job>>,
    /// Whoever hands a job over is about to wait for the next call.
    helper: Helper,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Working {
    fn drop(&mut self) {
        // It ends when no more jobs can come.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it does not panic, and nothing is left to be done if it did
        }
    }
}

/// What calls are carried out with.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) guard: Guard,
    pub(super) own: Own,
    /// The agent's root folder.
    pub(super) root: OwnedFd,
    /// What confines the agent.
    pub(super) ruleset: OwnedFd,
    /// Where calls are answered.
    pub(super) listener: Listener,
    /// Where the tracing thread hears of them.
    pub(super) shared: Arc<Shared>,
    /// Whether it hears also of what no grant covers.
    pub(super) tells: bool,
    /// Calls that the thread has yet to carry out.
    pub(super) waiting: AtomicUsize,
    /// Threads that open a pipe and wait for its other end.
    pub(super) opening: Arc<AtomicUsize>,
    /// Whether there is something that git takes orders from and the session may change: what it has
    /// made, and what the plan names.
    pub(super) repositories: AtomicBool,
}

impl Broker {
    pub(super) fn new(work: Work) -> Self {
        Self { work: Arc::new(work), near: None, thread: Confined::Waiting }
    }

    /// Carries a call out, or has the thread do so, which then comes after those that it has
    /// already. What neither can fails.
    pub(super) fn take(&mut self, job: Job) -> Result<()> {
        if self.work.waiting.load(Ordering::Acquire) == 0
            && let Some(near) = self.near.get_or_insert_with(|| Near::new(&self.work.own))
            && let Some(outcome) = self.work.carry_out_near(near, &job)
        {
            self.work.answer(job, outcome, Some(near));
            return Ok(());
        }
        if matches!(self.thread, Confined::Waiting) {
            let started = start(Arc::clone(&self.work));
            self.thread = started.map_or_else(Confined::Failed, Confined::Working);
        }
        match &mut self.thread {
            Confined::Working(Working { jobs, helper, thread: _ }) => {
                helper.bring_here();
                self.work.waiting.fetch_add(1, Ordering::AcqRel);
                let sent = jobs.as_ref().and_then(|jobs| jobs.send(job).ok());
                sent.ok_or(Errno(libc::EIO))
            }
            Confined::Failed(errno) => Err(*errno),
            Confined::Waiting => Err(Errno(libc::EIO)),
        }
    }
}

/// Starts the thread, and waits until it has confined itself as the agent is.
fn start(work: Arc<Work>) -> Result<Working> {
    let (sender, jobs) = channel();
    let (report, confined) = channel();
    let run = move || {
        let result = confine(&work.ruleset).map(|()| Helper::this_thread());
        let failed = result.is_err();
        // Whoever started it waits for this.
        let told = report.send(result);
        if !failed && told.is_ok() {
            work.run(&jobs);
        }
    };
    let _signals = sys::block_signals();
    let started = std::thread::Builder::new().name("broker".into()).spawn(run);
    let thread = started.map_err(|_| Errno(libc::EAGAIN))?;
    let helper = confined.recv().unwrap_or(Err(Errno(libc::EIO)));
    match helper {
        Ok(helper) => Ok(Working { jobs: Some(sender), helper, thread: Some(thread) }),
        Err(errno) => {
            let _ = thread.join(); // it has nothing more to do
            Err(errno)
        }
    }
}

/// Confines the calling thread as the agent is confined.
fn confine(ruleset: &OwnedFd) -> Result<()> {
    // Its umask changes with each call, and must not be the whole process's.
    sys::unshare(libc::CLONE_FS)?;
    agent::drop_capabilities()?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    landlock::enforce(ruleset)
}

/// Why a call was not carried out.
enum Trouble {
    Error(Errno),
    Guarded(PathBuf),
    Elsewhere(PathBuf),
    /// A thread answers when it is done.
    Later,
    /// The tracing thread leaves it to the confined one, with nothing done.
    NotNear,
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

type Outcome<T> = std::result::Result<T, Trouble>;

/// What a call gives back.
enum Done {
    Nothing,
    Number(i64),
    File(OwnedFd),
}

impl Work {
    fn run(&self, jobs: &Receiver<Job>) {
        for job in jobs {
            sys::set_umask(job.umask);
            let outcome = self.carry_out(&job, None);
            self.answer(job, outcome, None);
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn answer(&self, job: Job, outcome: Outcome<Done>, near: Option<&Near>) {
        let question = job.question;
        if let Err(Trouble::Elsewhere(path)) = outcome {
            self.shared.hear(Word::Elsewhere { job, path });
            return;
        }
        if self.tells
            && let Err(Trouble::Error(Errno(libc::EACCES | libc::EROFS))) = outcome
            && let Some(path) = job.call.changes()
        {
            let word = Word::Ungranted { tid: question.tid, path: path.to_owned() };
            self.shared.hear(word);
        }
        let opened = match job.call {
            Call::Open { flags, .. } | Call::Reopen { flags, .. } => flags,
            _ => 0,
        };
        // Whoever asked may start the program that it has just written: while a copy of its
        // descriptor is open here, that is refused (ETXTBSY).
        drop(job);
        match outcome {
            Ok(Done::Nothing) => self.listener.answer(&question, Ok(0)),
            Ok(Done::Number(number)) => self.listener.answer(&question, Ok(number)),
            Ok(Done::File(file)) => self.give(&question, file, opened, near),
            Err(Trouble::Error(errno)) => self.listener.answer(&question, Err(errno)),
            Err(Trouble::Guarded(path)) => {
                self.shared.hear(Word::Refused { tid: question.tid, path });
                self.listener.answer(&question, Err(Errno(libc::EACCES)));
            }
            Err(Trouble::Elsewhere(_) | Trouble::Later | Trouble::NotNear) => {}
        }
    }

    /// Answers with a file. What is open for writing is closed here before the caller goes on.
    fn give(&self, question: &Question, file: OwnedFd, flags: i32, near: Option<&Near>) {
        let cloexec = flags & libc::O_CLOEXEC != 0;
        if near.is_none() && flags & libc::O_ACCMODE == libc::O_RDONLY {
            return self.listener.answer_with(question, file.as_raw_fd(), cloexec);
        }
        let beside = near.and_then(|near| near.beside(question.tid));
        let number = self.listener.install(question, file.as_raw_fd(), cloexec);
        // What the caller starts once it goes on may run wherever it may itself.
        drop(beside);
        drop(file);
        self.listener.answer(question, number);
    }

    /// Carries a call out; where `near` is given, on the tracing thread.
    fn carry_out(&self, job: &Job, near: Option<&Near>) -> Outcome<Done> {
        match &job.call {
            Call::Open { path, flags, mode } => self.open(job, path, *flags, *mode, near),
            Call::Reopen { file, flags } => self.reopen(job, file, *flags),
            Call::MakeFolder { path, mode } => {
                let place = self.new_name(path, near)?;
                sys::mkdir(place.folder.as_raw_fd(), &place.name, *mode)?;
                self.made(&place);
                Ok(Done::Nothing)
            }
            Call::MakeNode { path, mode, device } => {
                let place = self.new_name(path, near)?;
                paths::make_node(&place, *mode, *device)?;
                Ok(Done::Nothing)
            }
            Call::Remove { path, flags } => {
                let place = self.place(path, near)?;
                self.free(place.path())?;
                self.keeps_nothing_guarded(&place)?;
                paths::remove(&place, *flags)?;
                Ok(Done::Nothing)
            }
            Call::Rename { from, to, flags } => self.rename(from, to, *flags, near),
            Call::Link { from, to, follow } => self.link(from, to, *follow),
            Call::LinkFile { file, to } => {
                self.free(paths::real(file)?)?;
                let to = self.new_name(to, near)?;
                paths::link_file(file, &to)?;
                self.made(&to);
                Ok(Done::Nothing)
            }
            Call::Symlink { content, at } => {
                let place = self.new_name(at, near)?;
                self.is_no_way_to_guarded(&place)?;
                paths::make_link(content, &place)?;
                self.made(&place);
                Ok(Done::Nothing)
            }
            Call::Change { path, follow: true, attribute } => {
                let file = self.find(path, libc::O_PATH)?;
                self.change(&file, *attribute)
            }
            Call::Change { path, follow: false, attribute } => {
                let place = self.place(path, near)?;
                let flags = libc::O_PATH | libc::O_NOFOLLOW;
                let file = sys::open_at(place.folder.as_raw_fd(), &place.name, flags, 0)?;
                self.change(&file, *attribute)
            }
            Call::ChangeFile { file, attribute } => self.change(file, *attribute),
            Call::Watch { queue, path, events } => {
                let flags = match events & libc::IN_DONT_FOLLOW {
                    0 => libc::O_PATH,
                    _ => libc::O_PATH | libc::O_NOFOLLOW,
                };
                let file = self.find(path, flags)?;
                self.watch(queue, &file, *events)
            }
            Call::WatchFile { queue, file, events } => self.watch(queue, file, *events),
            Call::Truncate { path, length } => {
                let file = self.find(path, libc::O_PATH)?;
                self.free(paths::real(&file)?)?;
                paths::truncate(&file, *length)?;
                Ok(Done::Nothing)
            }
        }
    }

    /// Refuses a guarded path.
    fn free(&self, path: PathBuf) -> Outcome<()> {
        if self.guard.covers(&path) { Err(Trouble::Guarded(path)) } else { Ok(()) }
    }

    /// Resolves all of a path but its last name.
    fn place(&self, path: &Path, near: Option<&Near>) -> Outcome<Place> {
        if path.starts_with("/proc") {
            return Err(Trouble::Elsewhere(path.to_owned()));
        }
        let place = Place::find(&self.root, path)?;
        match near {
            Some(near) if !near.covers(&self.own, &place) => Err(Trouble::NotNear),
            _ => Ok(place),
        }
    }

    /// Resolves a path, with a link at its end.
    fn find(&self, path: &Path, flags: i32) -> Outcome<OwnedFd> {
        if path.starts_with("/proc") {
            return Err(Trouble::Elsewhere(path.to_owned()));
        }
        Ok(paths::open_in(&self.root, path, flags)?)
    }

    /// The place of a name that is about to be made.
    fn new_name(&self, path: &Path, near: Option<&Near>) -> Outcome<Place> {
        let place = self.place(path, near)?;
        // What is there is not made again, and programs ask for folders to be sure of them.
        if self.guard.covers(&place.path()) && place.stat().is_ok() {
            return Err(Errno(libc::EEXIST).into());
        }
        self.free(place.path())?;
        Ok(place)
    }

    /// Tells of a new name where git takes orders from what has it: a repository's own folder, the file
    /// that stands for one in a worktree, what any other folder has that is a repository, and the list
    /// of a rebase.
    fn made(&self, place: &Place) {
        let is_told = match place.name.to_bytes() {
            b".git" | b"rebase-merge" | b"rebase-apply" => true,
            // That of a `.git` comes with it, and is made anew by every checkout.
            b"HEAD" => !place.path().iter().any(|part| part == ".git"),
            _ => false,
        };
        if is_told {
            self.repositories.store(true, Ordering::Release);
            self.shared.hear(Word::Repository { path: place.path() });
        }
    }

    /// Refuses to make a link where a folder would hold something guarded: who looks for that
    /// would be led elsewhere.
    fn is_no_way_to_guarded(&self, place: &Place) -> Outcome<()> {
        let path = place.path();
        let leads_there = self.guard.beneath(&path).next().is_some();
        if leads_there { Err(Trouble::Guarded(path)) } else { Ok(()) }
    }

    /// Refuses to move or remove a folder that holds something guarded.
    fn keeps_nothing_guarded(&self, place: &Place) -> Outcome<()> {
        let path = place.path();
        match self.guard.beneath(&path).find(|below| place.holds(below)) {
            Some(below) => Err(Trouble::Guarded(path.join(below))),
            None => Ok(()),
        }
    }
}
