//! Unix: modes, `O_NOFOLLOW`, and `fsync` on folders.

use crate::error::During;
use crate::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Options that never follow a symbolic link and make files that only their owner can read.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// Makes sure that a folder is there, is a folder, is this user's, and lets nobody else in.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match DirBuilder::new().recursive(true).mode(0o700).create(path) {
                Ok(()) => sync_folder(path.parent().unwrap_or(path))?,
                Err(error) => return Err(error).during("create", path),
            }
            fs::symlink_metadata(path).during("inspect", path)?
        }
        Err(error) => return Err(error).during("inspect", path),
    };
    let problem = |problem: String| Error::NotPrivate { path: path.to_owned(), problem };
    if !found.is_dir() {
        return Err(problem("is not a folder".into()));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(problem(format!("belongs to user {}, not to user {user}", found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        // A careless umask or copy, not yet a reason to refuse: the owner may close it again.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).during("close", path)?;
    }
    Ok(())
}

/// Makes the creation and removal of the folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).during("sync", path)
}
