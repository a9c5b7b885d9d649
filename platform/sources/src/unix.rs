//! Files on Unix: opened one folder at a time without following links, and judged by what was
//! opened, so that nobody can swap a file between the check and the reading.

use crate::{Expect, Folder, LARGEST, ReadError, Text, Trust, is_policy_file, store, text};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// An open folder.
pub(crate) type Open = OwnedFd;

/// A folder may be passed through that may not be listed. `O_PATH` is Linux's: open(2).
#[cfg(any(target_os = "linux", target_os = "android"))]
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PASS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Without `NONBLOCK` a named pipe would wait for a writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The user id that this process acts as.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// When the file or anything about it was changed last, which nobody can set.
pub(crate) fn changed(metadata: &std::fs::Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Opens a folder and lists its policy files in name order.
pub(crate) fn open_folder(path: &Path, expect: Expect<'_>) -> Result<Folder, ReadError> {
    let failed = |errno: Errno| error(path, errno);
    let Passed { folder, problem, .. } = pass(path, expect)?;
    let open = openat(&folder, ".", LIST, Mode::empty()).map_err(failed)?;
    let mut names: Vec<OsString> = Vec::new();
    for entry in Dir::read_from(&open).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if is_policy_file(name) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(Folder { names, open, problem })
}

/// Reads a file by its whole path.
pub(crate) fn read_at(path: &Path, expect: Expect<'_>) -> Result<Text, ReadError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ReadError::NotAFile(path.to_path_buf()));
    };
    match expect {
        Expect::Named | Expect::Workspace => {
            let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            let open =
                openat(CWD, folder, PASS, Mode::empty()).map_err(|errno| error(path, errno))?;
            read_in(&open, name, path, expect)
        }
        Expect::Managed(_) | Expect::User(_) => {
            let Passed { folder, problem, .. } = pass(parent, expect)?;
            let Text { text, problem: own } = read_in(&folder, name, path, expect)?;
            Ok(Text { text, problem: problem.or(own) })
        }
    }
}

/// Reads a file of an open folder. `path` is for messages.
pub(crate) fn read_in(
    folder: &Open,
    name: &OsStr,
    path: &Path,
    expect: Expect<'_>,
) -> Result<Text, ReadError> {
    let failed = |errno: Errno| error(path, errno);
    let mut problem = None;
    let fd = match openat(folder, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
        // ELOOP is what O_NOFOLLOW says of a link; a socket cannot be opened at all.
        Err(Errno::LOOP) => {
            match expect {
                Expect::Workspace => return Err(ReadError::Link(path.to_path_buf())),
                Expect::Managed(_) => problem = Some(link(path)),
                Expect::User(trust) => problem = foreign_link(folder, name, path, trust),
                Expect::Named => {}
            }
            openat(folder, name, READ, Mode::empty()).map_err(failed)?
        }
        Err(Errno::NXIO) => return Err(ReadError::NotAFile(path.to_path_buf())),
        other => other.map_err(failed)?,
    };
    let stat = fstat(&fd).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ReadError::NotAFile(path.to_path_buf()));
    }
    let problem = problem.or_else(|| distrust(&stat, path, expect));
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(1 << 20));
    File::from(fd)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ReadError::Io { path: path.to_path_buf(), error })?;
    Ok(Text { text: text(bytes, path)?, problem })
}

struct Passed {
    folder: OwnedFd,
    problem: Option<String>,
}

/// Opens a folder one component at a time, and says why what lies in it does not count.
fn pass(path: &Path, expect: Expect<'_>) -> Result<Passed, ReadError> {
    let top = match expect {
        Expect::Managed(trust) | Expect::User(trust) => trust.top.as_path(),
        Expect::Named | Expect::Workspace => Path::new("/"),
    };
    // A path outside the checked part of the tree is walked from the root, all of it checked.
    let (top, rest) = match path.strip_prefix(top) {
        Ok(rest) => (top, rest),
        Err(_) => (Path::new("/"), path),
    };
    let mut problem = match expect {
        Expect::Managed(trust) if trust.user == trust.owner => {
            Some(format!("this user is {} and so could have written it", who(trust.owner)))
        }
        _ => None,
    };
    let mut walked = PathBuf::from(top);
    let mut folder = openat(CWD, top, PASS, Mode::empty()).map_err(|errno| error(path, errno))?;
    problem = problem.or(check(&folder, &walked, expect)?);
    for component in rest.components() {
        let name = match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            Component::ParentDir => OsStr::new(".."),
            Component::Normal(name) => name,
        };
        walked.push(name);
        let next = match openat(&folder, name, PASS | OFlags::NOFOLLOW, Mode::empty()) {
            // Which of the two it is for a link depends on O_PATH: open(2).
            Err(Errno::LOOP | Errno::NOTDIR) if is_link(&folder, name) => {
                let found = match expect {
                    Expect::Managed(_) => Some(link(&walked)),
                    Expect::User(trust) => foreign_link(&folder, name, &walked, trust),
                    Expect::Named | Expect::Workspace => None,
                };
                problem = problem.or(found);
                openat(&folder, name, PASS, Mode::empty())
            }
            other => other,
        };
        folder = next.map_err(|errno| error(&walked, errno))?;
        problem = problem.or(check(&folder, &walked, expect)?);
    }
    Ok(Passed { folder, problem })
}

fn check(folder: &OwnedFd, path: &Path, expect: Expect<'_>) -> Result<Option<String>, ReadError> {
    let stat = fstat(folder).map_err(|errno| error(path, errno))?;
    Ok(distrust(&stat, path, expect))
}

/// Who else than the rightful owner could write this file or folder, if anybody could. A POSIX
/// access list shows in the group's bits: acl(5).
fn distrust(stat: &Stat, path: &Path, expect: Expect<'_>) -> Option<String> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let (whole, path) = (path, path.display());
    match expect {
        Expect::Named | Expect::Workspace => None,
        Expect::Managed(trust) => {
            if stat.st_uid != trust.owner {
                let (is, should) = (who(stat.st_uid), who(trust.owner));
                Some(format!("{path} belongs to {is}, not to {should}"))
            } else if mode.contains(Mode::WOTH) {
                Some(format!("everybody can write {path}"))
            } else if mode.contains(Mode::WGRP) {
                Some(format!("its group can write {path}"))
            } else {
                None
            }
        }
        Expect::User(trust) => {
            let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            // In a sticky folder others cannot replace what is the user's own: unlink(2).
            let sticky = folder && mode.contains(Mode::SVTX);
            // A group with the user's own number is the user's private group.
            let private = stat.st_gid == trust.user && trust.user != 0;
            let above_home = trust.home != whole && trust.home.starts_with(whole);
            let is_system = stat.st_uid == 0 || above_home && store::hides_root(stat.st_uid);
            if stat.st_uid != trust.user && !is_system {
                Some(format!("{path} belongs to {}", who(stat.st_uid)))
            } else if sticky {
                None
            } else if mode.contains(Mode::WOTH) {
                Some(format!("everybody can write {path}"))
            } else if mode.contains(Mode::WGRP) && !private {
                Some(format!("its group can write {path}"))
            } else {
                None
            }
        }
    }
}

fn link(path: &Path) -> String {
    format!("{} is a symbolic link", path.display())
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// People keep their settings elsewhere and link to them; somebody else's link leads astray.
fn foreign_link(folder: &OwnedFd, name: &OsStr, path: &Path, trust: &Trust) -> Option<String> {
    let own = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| stat.st_uid == trust.user || stat.st_uid == 0);
    (!own).then(|| format!("{} is somebody else's symbolic link", path.display()))
}

fn who(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { format!("user {uid}") }
}

fn error(path: &Path, errno: Errno) -> ReadError {
    match errno {
        Errno::NOENT => ReadError::Absent,
        errno => ReadError::Io { path: path.to_path_buf(), error: errno.into() },
    }
}
