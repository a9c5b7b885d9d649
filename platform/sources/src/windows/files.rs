//! Files on Windows, where ownership is not checked yet: read by path, and whatever must be somebody's
//! own is untrusted, so that it restricts and grants nothing.

use crate::{Expect, Folder, LARGEST, ReadError, Text, is_policy_file, text};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A folder, by its path.
pub(crate) type Open = PathBuf;

/// There is no number for a user here.
pub(crate) fn user() -> u32 {
    u32::MAX
}

/// There is no such time.
pub(crate) fn changed(_: &std::fs::Metadata) -> (i64, i64) {
    (0, 0)
}

/// Lists a folder's policy files in name order.
pub(crate) fn open_folder(path: &Path, expect: Expect<'_>) -> Result<Folder, ReadError> {
    let failed = |error| error_at(path, error);
    let mut names: Vec<OsString> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if is_policy_file(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(Folder { names, open: path.to_path_buf(), problem: problem(expect) })
}

/// Reads a file by its whole path.
pub(crate) fn read_at(path: &Path, expect: Expect<'_>) -> Result<Text, ReadError> {
    let failed = |error| error_at(path, error);
    let about = std::fs::symlink_metadata(path).map_err(failed)?;
    if about.is_symlink() && matches!(expect, Expect::Workspace) {
        return Err(ReadError::Link(path.to_path_buf()));
    }
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(ReadError::NotAFile(path.to_path_buf()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Text { text: text(bytes, path)?, problem: problem(expect) })
}

/// Reads a file of a folder. `path` is the whole path.
pub(crate) fn read_in(
    _folder: &Open,
    _name: &OsStr,
    path: &Path,
    expect: Expect<'_>,
) -> Result<Text, ReadError> {
    read_at(path, expect)
}

fn problem(expect: Expect<'_>) -> Option<String> {
    match expect {
        Expect::Managed(_) => Some("who can write it is not checked on this system".to_owned()),
        // The user's folder is the user's on this system unless it was given away.
        Expect::User(_) | Expect::Named | Expect::Workspace => None,
    }
}

fn error_at(path: &Path, error: std::io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::NotFound => ReadError::Absent,
        _ => ReadError::Io { path: path.to_path_buf(), error },
    }
}
