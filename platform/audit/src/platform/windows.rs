//! Windows: the history lies in the user's profile, whose access list already keeps others out
//! and is inherited; links are opened as themselves; NTFS journals its folders on its own.

use crate::error::During;
use crate::{Error, Result};
use std::fs::{self, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a symbolic link is opened as itself, and so is no regular file.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Options that never follow a symbolic link.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OPEN_REPARSE_POINT);
    options
}

/// Makes sure that a folder is there and is a folder.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).during("create", path)?;
    let found = fs::symlink_metadata(path).during("inspect", path)?;
    if found.is_dir() {
        return Ok(());
    }
    Err(Error::NotPrivate { path: path.to_owned(), problem: "is not a folder".into() })
}

/// Windows has no such call for folders; see above.
pub(crate) fn sync_folder(_path: &Path) -> Result<()> {
    Ok(())
}
