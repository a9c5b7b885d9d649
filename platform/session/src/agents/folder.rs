//! A folder that an agent may write, handled so that nothing in it leads elsewhere.
//!
//! The agent of an earlier session, or of one that runs now, may have put a symbolic link where a
//! file or a folder is expected. Every step is taken from an open folder, by one name, without
//! following links (openat(2), `O_NOFOLLOW`), and files are replaced by renaming.

use rustix::fs::{self as sys, AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const PRIVATE: Mode = Mode::RWXU;
const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: FileType,
    pub(super) size: u64,
    pub(super) changed: Changed,
}

/// When a file was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Changed {
    seconds: i64,
    nanoseconds: i64,
}

impl Changed {
    /// As the file's own metadata says.
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() }
    }
}

impl Folder {
    /// Opens a folder whose path no agent can change; it is created if need be.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match sys::open(path, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => {
                crate::paths::private_dir(path)?;
                Ok(Self(sys::open(path, FOLDER, Mode::empty())?))
            }
            opened => Ok(Self(opened?)),
        }
    }

    /// A folder in this one; whatever else stands there gives way to it.
    pub(super) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        for _ in 0..3 {
            match sys::openat(&self.0, name, FOLDER, Mode::empty()) {
                Ok(folder) => return Ok(Self(folder)),
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    unless(sys::unlinkat(&self.0, name, AtFlags::empty()), Errno::NOENT)?;
                }
                Err(error) => return Err(error.into()),
            }
            unless(sys::mkdirat(&self.0, name, PRIVATE), Errno::EXIST)?;
        }
        Err(io::Error::other("the folder is being changed by somebody else"))
    }

    /// The same for a path of several names.
    pub(super) fn enter_all(&self, path: &Path) -> io::Result<Self> {
        let mut parts = path.iter();
        let first = self.enter(parts.next().unwrap_or_default())?;
        parts.try_fold(first, |folder, part| folder.enter(part))
    }

    /// What stands at a name, a link itself included.
    pub(super) fn see(&self, name: &OsStr) -> io::Result<Option<Seen>> {
        match sys::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            stat => {
                let stat = stat?;
                #[allow(clippy::unnecessary_cast, reason = "the types differ by system")]
                let changed = Changed {
                    seconds: stat.st_mtime as i64,
                    nanoseconds: stat.st_mtime_nsec as i64,
                };
                Ok(Some(Seen {
                    kind: FileType::from_raw_mode(stat.st_mode),
                    size: u64::try_from(stat.st_size).unwrap_or(0),
                    changed,
                }))
            }
        }
    }

    /// The bytes of a file; nothing if none stands there, or something that is no plain file.
    pub(super) fn read(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        // Opening a pipe that nobody writes must not wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match sys::openat(&self.0, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            opened => File::from(opened?),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(64 << 20).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces what stands at a name by a file, in one step.
    pub(super) fn write(
        &self,
        name: &OsStr,
        bytes: &[u8],
        executable: bool,
        changed: Option<Changed>,
    ) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let draft = OsString::from(format!(".chaperone-{}-{next}", std::process::id()));
        let mode = if executable { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        unless(sys::unlinkat(&self.0, &draft, AtFlags::empty()), Errno::NOENT)?;
        let mut file = File::from(sys::openat(&self.0, &draft, flags, mode)?);
        let written = file.write_all(bytes).and_then(|()| {
            if let Some(Changed { seconds, nanoseconds }) = changed {
                let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
                sys::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
            }
            self.replace(&draft, name)
        });
        if written.is_err() {
            let _ = sys::unlinkat(&self.0, &draft, AtFlags::empty());
        }
        written
    }

    fn replace(&self, draft: &OsStr, name: &OsStr) -> io::Result<()> {
        match sys::renameat(&self.0, draft, &self.0, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.remove(name)?;
                Ok(sys::renameat(&self.0, draft, &self.0, name)?)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Makes a name a link, unless it is that link already.
    pub(super) fn link(&self, name: &OsStr, target: &Path) -> io::Result<()> {
        match sys::readlinkat(&self.0, name, Vec::new()) {
            Ok(found) if found.as_bytes() == target.as_os_str().as_bytes() => return Ok(()),
            Ok(_) | Err(Errno::INVAL) => self.remove(name)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(sys::symlinkat(target, &self.0, name)?)
    }

    /// Removes whatever stands at a name, with all beneath it.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match self.see(name)? {
            None => Ok(()),
            Some(seen) if seen.kind == FileType::Directory => {
                let folder = self.enter(name)?;
                for (name, _) in folder.list()? {
                    folder.remove(&name)?;
                }
                Ok(unless(sys::unlinkat(&self.0, name, AtFlags::REMOVEDIR), Errno::NOENT)?)
            }
            Some(_) => Ok(unless(sys::unlinkat(&self.0, name, AtFlags::empty()), Errno::NOENT)?),
        }
    }

    /// The names in it with what they are.
    pub(super) fn list(&self) -> io::Result<Vec<(OsString, FileType)>> {
        let mut names = Vec::new();
        for entry in sys::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((OsString::from_vec(name.to_vec()), entry.file_type()));
            }
        }
        Ok(names)
    }
}

fn unless(result: Result<(), Errno>, harmless: Errno) -> Result<(), Errno> {
    match result {
        Err(error) if error == harmless => Ok(()),
        result => result,
    }
}
