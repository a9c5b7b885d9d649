//! The calls that take more than one step: opening, renaming, linking, and changing attributes.

use super::{Done, Near, Outcome, Trouble, Word, Work};
use super::{Job, attributes, paths, sys};
use crate::linux::attributes::Attribute;
use crate::linux::paths::Place;
use crate::linux::sys::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// So many threads wait for the other end of a pipe: each holds descriptors of the supervisor's.
const MOST_OPENING: usize = 256;

impl Work {
    pub(super) fn open(
        &self,
        job: &Job,
        path: &Path,
        flags: i32,
        mode: u32,
        near: Option<&Near>,
    ) -> Outcome<Done> {
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            // It has no name yet; linkat gives it one.
            let folder = self.find(path, libc::O_PATH | libc::O_DIRECTORY)?;
            self.free(paths::real(&folder)?)?;
            return Ok(Done::File(sys::open_at(folder.as_raw_fd(), c".", flags, mode)?));
        }
        let mut path = path.to_owned();
        let exclusive = flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0;
        let follows = flags & libc::O_NOFOLLOW == 0 && !exclusive;
        for _ in 0..MOST_LINKS {
            if path == Path::new("/dev/tty") {
                return Err(Trouble::Elsewhere(path));
            }
            let place = match self.place(&path, near) {
                Err(Trouble::Error(Errno(libc::EEXIST))) => Err(Errno(libc::EISDIR).into()),
                other => other,
            }?;
            let guarded = self.guard.covers(&place.path());
            // What has to be new is opened or not, whatever stands there.
            let there = if exclusive && !guarded { Err(Errno(libc::ENOENT)) } else { place.stat() };
            let kind = there.map(|stat| stat.st_mode & libc::S_IFMT).unwrap_or(0);
            match kind {
                libc::S_IFLNK if follows => {
                    path = place.real.join(paths::read_link(&place)?);
                    continue;
                }
                libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO if !exclusive => {
                    if near.is_some() {
                        return Err(Trouble::NotNear);
                    }
                    let flags_held = libc::O_PATH | libc::O_NOFOLLOW;
                    let held = sys::open_at(place.folder.as_raw_fd(), &place.name, flags_held, 0)?;
                    return self.reopen(job, &Arc::new(held), flags);
                }
                _ => {}
            }
            if guarded && (there.is_err() || writes(flags) && !exclusive) {
                return Err(Trouble::Guarded(place.path()));
            }
            // Not becoming the supervisor's terminal, whatever it is.
            let mut held = flags | libc::O_NOFOLLOW | libc::O_NOCTTY;
            // Nor does the tracing thread wait until somebody gives a lease back (fcntl(2)).
            let hurried = near.is_some() && !exclusive && flags & libc::O_NONBLOCK == 0;
            if hurried {
                held |= libc::O_NONBLOCK;
            }
            match sys::open_at(place.folder.as_raw_fd(), &place.opened_name(), held, mode) {
                Ok(file) => {
                    if hurried {
                        paths::wait_from_now_on(&file)?;
                    }
                    if kind == 0 {
                        self.made(&place);
                    }
                    return Ok(Done::File(file));
                }
                Err(Errno(libc::EWOULDBLOCK)) if hurried => return Err(Trouble::NotNear),
                // Something outside the session made a link of it in between.
                Err(Errno(libc::ELOOP)) if follows => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno(libc::ELOOP).into())
    }

    /// Opens what is held; a pipe from a thread, because its other end may take its time.
    pub(super) fn reopen(&self, job: &Job, file: &Arc<OwnedFd>, flags: i32) -> Outcome<Done> {
        if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
            return Err(Errno(libc::EEXIST).into());
        }
        let stat = sys::stat(file.as_raw_fd())?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFREG && writes(flags) {
            self.free(paths::real(file)?)?;
        }
        let flags = flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW) | libc::O_NOCTTY;
        if stat.st_mode & libc::S_IFMT != libc::S_IFIFO || flags & libc::O_NONBLOCK != 0 {
            return Ok(Done::File(paths::reopen(file, flags)?));
        }
        let (file, question, listener) = (Arc::clone(file), job.question, self.listener.share()?);
        let cloexec = flags & libc::O_CLOEXEC != 0;
        // Also whose asker has died waits on.
        let place = Arc::clone(&self.opening);
        if place.fetch_add(1, Ordering::AcqRel) >= MOST_OPENING {
            place.fetch_sub(1, Ordering::AcqRel);
            return Err(Errno(libc::EAGAIN).into());
        }
        let opener = move || {
            match paths::reopen(&file, flags) {
                Ok(opened) => listener.answer_with(&question, opened.as_raw_fd(), cloexec),
                Err(errno) => listener.answer(&question, Err(errno)),
            }
            place.fetch_sub(1, Ordering::AcqRel);
        };
        // The thread inherits this one's confinement.
        if std::thread::Builder::new().spawn(opener).is_err() {
            self.opening.fetch_sub(1, Ordering::AcqRel);
            return Err(Errno(libc::EAGAIN).into());
        }
        Err(Trouble::Later)
    }

    pub(super) fn rename(
        &self,
        from: &Path,
        to: &Path,
        flags: u32,
        near: Option<&Near>,
    ) -> Outcome<Done> {
        let (from, to) = (self.place(from, near)?, self.place(to, near)?);
        // What lies in a folder that moves may have to be looked through.
        let is_folder = |place: &Place| place.stat().is_ok_and(|stat| sys::is_dir(&stat));
        if near.is_some() && (is_folder(&from) || is_folder(&to)) {
            return Err(Trouble::NotNear);
        }
        self.free(to.path())?;
        self.free(from.path())?;
        self.keeps_nothing_guarded(&from)?;
        self.becomes_nothing_guarded(&from, &to)?;
        if flags & libc::RENAME_EXCHANGE != 0 {
            self.keeps_nothing_guarded(&to)?;
            self.becomes_nothing_guarded(&to, &from)?;
        }
        paths::rename(&from, &to, flags)?;
        let exchanged = flags & libc::RENAME_EXCHANGE != 0;
        if self.repositories.load(Ordering::Acquire) {
            self.shared.hear(Word::Moved { from: from.path(), to: to.path(), exchanged });
        }
        self.made(&to);
        if exchanged {
            self.made(&from);
        }
        Ok(Done::Nothing)
    }

    /// Refuses a new name for something that would bring a guarded path into being.
    fn becomes_nothing_guarded(&self, from: &Place, to: &Place) -> Outcome<()> {
        // What is not there is for the call itself to say.
        let Ok(stat) = from.stat() else { return Ok(()) };
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFLNK => self.is_no_way_to_guarded(to),
            libc::S_IFDIR => {
                let target = to.path();
                if let Some(below) = self.guard.beneath(&target).find(|below| from.holds(below)) {
                    return Err(Trouble::Guarded(target.join(below)));
                }
                if self.guard.has_patterns() {
                    self.no_pattern_matches(from, &target)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Looks through a folder that is about to become `target`, for what is guarded there, and for
    /// what is guarded where it is now: that stays where it will be looked for. One that is too large is answered
    /// as if it were on another file system, so that programs copy it name by name.
    fn no_pattern_matches(&self, from: &Place, target: &Path) -> Outcome<()> {
        let source = from.path();
        let mut left = paths::MOST_ENTRIES;
        let mut guarded = None;
        let complete = paths::walk(from, &mut left, &mut |below| {
            let mut ends = [target, source.as_path()].into_iter().map(|top| top.join(below));
            guarded = ends.find(|path| self.guard.covers(path));
            guarded.is_none()
        })?;
        match (guarded, complete) {
            (Some(path), _) => Err(Trouble::Guarded(path)),
            (None, false) => Err(Errno(libc::EXDEV).into()),
            (None, true) => Ok(()),
        }
    }

    pub(super) fn change(&self, file: &OwnedFd, attribute: Attribute) -> Outcome<Done> {
        let path = paths::real(file)?;
        if !self.own.holds(&path) {
            return Err(Errno(libc::EROFS).into());
        }
        self.free(path)?;
        attributes::change(file, attribute)?;
        Ok(Done::Nothing)
    }

    /// Watches what may be read, and nothing else: this thread opens it as the agent would.
    pub(super) fn watch(&self, queue: &OwnedFd, file: &OwnedFd, events: u32) -> Outcome<Done> {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        let kind = sys::stat(file.as_raw_fd())?.st_mode & libc::S_IFMT;
        // To open anything else may do something; a link cannot be opened at all.
        if matches!(kind, libc::S_IFREG | libc::S_IFDIR) {
            paths::reopen(file, flags)?;
        } else if !self.own.holds(&paths::real(file)?) {
            return Err(Errno(libc::EACCES).into());
        }
        let events = events & !libc::IN_DONT_FOLLOW;
        Ok(Done::Number(paths::watch(queue, file, events)?))
    }

    pub(super) fn link(&self, from: &Path, to: &Path, follow: bool) -> Outcome<Done> {
        let to = self.new_name(to, None)?;
        if follow {
            let file = self.find(from, libc::O_PATH)?;
            self.free(paths::real(&file)?)?;
            paths::link_file(&file, &to)?;
        } else {
            let from = self.place(from, None)?;
            self.free(from.path())?;
            if from.stat()?.st_mode & libc::S_IFMT == libc::S_IFLNK {
                self.is_no_way_to_guarded(&to)?;
            }
            paths::link(&from, &to)?;
        }
        self.made(&to);
        Ok(Done::Nothing)
    }
}

/// Whether an open with these flags changes what is there.
fn writes(flags: i32) -> bool {
    flags & libc::O_PATH == 0
        && (flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0)
}
