//! The folder of the sockets: `<runtime>/sessions`, the user's alone.
//!
//! Each session has `ID.sock` and, made before it, `ID.json`: the registry entry, on which the
//! supervisor holds a lock for as long as it lives. The kernel drops the lock with the process,
//! so an entry whose lock can be had belongs to nobody, whatever its process id means by now.

use crate::error::Error;
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, flock, fstat, linkat, mkdirat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// `sun_path` holds 108 bytes on Linux (unix(7)) and 104 on macOS, the ending zero included.
const SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A registry entry: who supervises a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) pid: u32,
    /// When that process started, in clock ticks since boot: tells it from a later process with
    /// the same id.
    pub(super) start: u64,
}

/// The folder, held open.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    fd: OwnedFd,
}

/// A session's entry and socket in the folder. Dropping it removes both.
#[derive(Debug)]
pub(super) struct Registered {
    folder: Folder,
    id: String,
    /// Holds the lock.
    _entry: File,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // The entry goes last: a socket without one would look like an orphan, not like a session
        // that ends. What cannot be removed is swept later.
        let _ = unlinkat(&self.folder.fd, socket_name(&self.id), AtFlags::empty());
        let _ = unlinkat(&self.folder.fd, entry_name(&self.id), AtFlags::empty());
    }
}

impl Registered {
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Folder {
    /// Opens the folder and creates it where it is missing.
    pub(super) fn open(runtime: &Path) -> Result<Self, Error> {
        let outer = open_private(CWD, runtime, runtime)?;
        let path = runtime.join("sessions");
        let fd = open_private(&outer, Path::new("sessions"), &path)?;
        Ok(Self { path, fd })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a session's socket is before it listens.
    pub(super) fn unborn(&self, id: &str) -> PathBuf {
        self.path.join(unborn_name(id))
    }

    /// Where a session's socket is.
    pub(super) fn socket(&self, id: &str) -> Result<PathBuf, Error> {
        check_name(id)?;
        let path = self.path.join(socket_name(id));
        let length = path.as_os_str().len();
        if length > SOCKET_PATH {
            return Err(Error::PathTooLong { path, length, limit: SOCKET_PATH });
        }
        Ok(path)
    }

    /// Enters a session. The entry appears complete and locked, or not at all.
    pub(super) fn register(self, entry: &Registration) -> Result<Registered, Error> {
        check_name(&entry.id)?;
        let name = entry_name(&entry.id);
        let failed = |what| {
            let path = self.path.join(&name);
            move |error: Errno| Error::Io { path, what, error: error.into() }
        };
        let temporary = format!(".{}.{}", entry.id, entry.pid);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let create = || openat(&self.fd, &temporary, flags, Mode::RUSR | Mode::WUSR);
        let file = match create() {
            Err(Errno::EXIST) => {
                // Left by a process of the same id that was killed in the lines below.
                let _ = unlinkat(&self.fd, &temporary, AtFlags::empty());
                create()
            }
            created => created,
        };
        let file = file.map_err(failed("cannot be created"))?;
        let mut file = File::from(file);
        let entered = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(&serde_json::to_vec(entry).map_err(io::Error::from)?))
            // A link, unlike a rename, refuses a name that is taken.
            .and_then(|()| {
                linkat(&self.fd, &temporary, &self.fd, &name, AtFlags::empty())
                    .map_err(io::Error::from)
            });
        let _ = unlinkat(&self.fd, &temporary, AtFlags::empty());
        entered.map_err(|error| Error::Io {
            path: self.path.join(&name),
            what: "the session cannot be entered here",
            error,
        })?;
        Ok(Registered { folder: self, id: entry.id.clone(), _entry: file })
    }

    /// The sessions that have a socket. Some of them may be dead.
    pub(super) fn ids(&self) -> io::Result<Vec<String>> {
        let mut ids: Vec<String> = self
            .names()?
            .iter()
            .filter_map(|n| n.strip_suffix(".sock"))
            .map(str::to_owned)
            .collect();
        ids.retain(|id| check_name(id).is_ok());
        ids.sort_unstable();
        Ok(ids)
    }

    /// The entries of all sessions, dead ones included. One that cannot be read is an error:
    /// whoever is judged by them must not slip through for that.
    pub(super) fn registrations(&self) -> io::Result<Vec<Registration>> {
        let mut entries = Vec::new();
        for name in self.names()?.iter().filter(|n| n.ends_with(".json")) {
            match self.entry(name) {
                Ok(entry) => entries.push(entry),
                // It ended while we looked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// Removes what killed supervisors left behind.
    pub(super) fn sweep(&self) {
        for name in self.names().unwrap_or_default() {
            if name.starts_with('.') {
                self.sweep_unfinished(&name);
            } else if let Some(id) = name.strip_suffix(".json") {
                self.sweep_entry(id, &name);
            } else if let Some((id, "sock" | "new")) = name.rsplit_once('.') {
                // A live session's entry is made before its socket and removed after it.
                let entry = statat(&self.fd, entry_name(id), AtFlags::SYMLINK_NOFOLLOW);
                if entry.is_err_and(|error| error == Errno::NOENT) {
                    let _ = unlinkat(&self.fd, &name, AtFlags::empty());
                }
            }
        }
    }

    /// Gives a socket that listens its name. Whoever sees the name can connect.
    pub(super) fn publish(&self, id: &str) -> io::Result<()> {
        Ok(renameat(&self.fd, unborn_name(id), &self.fd, socket_name(id))?)
    }

    /// An entry that was never finished: finishing takes microseconds.
    fn sweep_unfinished(&self, name: &str) {
        let Ok(status) = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let age = jiff::Timestamp::now().as_second() - status.st_mtime;
        if age > 60 {
            let _ = unlinkat(&self.fd, name, AtFlags::empty());
        }
    }

    fn sweep_entry(&self, id: &str, name: &str) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(&self.fd, name, flags, Mode::empty()) else { return };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = unlinkat(&self.fd, unborn_name(id), AtFlags::empty());
            let _ = unlinkat(&self.fd, socket_name(id), AtFlags::empty());
            let _ = unlinkat(&self.fd, name, AtFlags::empty());
        }
    }

    fn entry(&self, name: &str) -> io::Result<Registration> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty())?);
        let mut text = Vec::new();
        file.take(64 * 1024).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }
}

fn socket_name(id: &str) -> String {
    format!("{id}.sock")
}

/// A socket that does not listen yet.
fn unborn_name(id: &str) -> String {
    format!("{id}.new")
}

fn entry_name(id: &str) -> String {
    format!("{id}.json")
}

fn check_name(id: &str) -> Result<(), Error> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::SessionName(id.to_owned()))
    }
}

/// Opens a folder that must be this user's alone, and creates it where it is missing. What is
/// checked is the folder that was opened, so nobody can exchange it in between.
fn open_private<Fd: std::os::fd::AsFd>(at: Fd, name: &Path, path: &Path) -> Result<OwnedFd, Error> {
    let io = |what| move |error: Errno| Error::Io { path: path.into(), what, error: error.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat(&at, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            match mkdirat(&at, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => {
                    // The runtime folder in a state folder that nothing has created yet.
                    if let Some(parent) = name.parent() {
                        std::fs::create_dir_all(parent).map_err(|error| Error::Io {
                            path: parent.into(),
                            what: "cannot be created",
                            error,
                        })?;
                    }
                    match mkdirat(&at, name, Mode::RWXU) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(io("cannot be created")(error)),
                    }
                }
                Err(error) => return Err(io("cannot be created")(error)),
            }
            openat(&at, name, flags, Mode::empty())
        }
        opened => opened,
    };
    let refused = |problem: String, remedy: &str| Error::Folder {
        path: path.into(),
        problem,
        remedy: remedy.to_owned(),
    };
    let fd = match fd {
        Ok(fd) => fd,
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return Err(refused(
                "this has to be a folder, and is a symbolic link or a file".into(),
                "remove it and try again",
            ));
        }
        Err(error) => return Err(io("cannot be opened")(error)),
    };
    let status = fstat(&fd).map_err(io("cannot be examined"))?;
    let user = rustix::process::geteuid().as_raw();
    if status.st_uid != user {
        return Err(refused(
            format!("this folder belongs to user {}, not to you (user {user})", status.st_uid),
            "remove it, or set XDG_RUNTIME_DIR to a folder of your own",
        ));
    }
    let mode = Mode::from_raw_mode(status.st_mode);
    if FileType::from_raw_mode(status.st_mode) != FileType::Directory
        || mode.intersects(Mode::WGRP | Mode::WOTH)
    {
        return Err(refused(
            "others can write in this folder".into(),
            "whatever is in it cannot be trusted: remove it and try again",
        ));
    }
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        rustix::fs::fchmod(&fd, Mode::RWXU).map_err(io("cannot be closed to others"))?;
    }
    Ok(fd)
}
