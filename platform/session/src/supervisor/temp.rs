//! A session's private temporary folder: made at the start, gone at the end, and if its supervisor
//! was killed, gone with the end of a later session.

use crate::paths::private_dir;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folder. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Temp {
    path: PathBuf,
    parent: PathBuf,
    /// Locked for as long as the session lives.
    lock: File,
}

/// What a session's folder is called: short, for programs make sockets in it, whose paths may have 107
/// bytes (unix(7)).
fn name(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(_, tail)| tail)
}

/// Whether the session of this name has no folder in `parent` any more.
pub(crate) fn is_over(parent: &Path, id: &str) -> bool {
    [name(id), id].iter().all(|name| !parent.join(name).exists())
}

impl Temp {
    /// Creates the folder of the session `id` in `parent`.
    ///
    /// # Errors
    /// When a folder cannot be made or locked.
    pub(crate) fn create(parent: &Path, id: &str) -> io::Result<Self> {
        private_dir(parent)?;
        // Nobody tidies up between the making of the folder and its lock.
        let tidying = File::open(parent)?;
        tidying.lock()?;
        let real = parent.canonicalize()?;
        let short = real.join(name(id));
        // Another session's name may end alike.
        let path = if short.exists() { real.join(id) } else { short };
        private_dir(&path)?;
        let lock = File::open(&path)?;
        lock.lock()?;
        Ok(Self { path, parent: parent.to_owned(), lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = self.lock.unlock();
        let _ = remove(&self.path);
        let tidying = File::open(&self.parent);
        if !tidying.as_ref().is_ok_and(|parent| parent.try_lock().is_ok()) {
            return; // Somebody begins or tidies up; the next to end does it.
        }
        let Ok(others) = fs::read_dir(&self.parent) else { return };
        for other in others.flatten().map(|entry| entry.path()) {
            let abandoned = File::open(&other).is_ok_and(|folder| folder.try_lock().is_ok());
            if abandoned {
                let _ = remove(&other);
            }
        }
    }
}

/// Also removes folders that their maker has made unwritable, as package caches like to.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path);
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn make_writable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_private_and_goes_with_its_session_even_if_parts_are_unwritable() {
        let cache = tempfile::tempdir().unwrap();
        let temp = Temp::create(cache.path(), "s1").unwrap();
        let path = temp.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(path.join("kept")).unwrap();
        fs::write(path.join("kept/file"), "x").unwrap();
        fs::set_permissions(path.join("kept"), fs::Permissions::from_mode(0o500)).unwrap();
        drop(temp);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_has_a_short_name_unless_another_has_it() {
        let cache = tempfile::tempdir().unwrap();
        let (one, other) = ("20261122-090225-abcd", "20261123-101112-abcd");
        let first = Temp::create(cache.path(), one).unwrap();
        let second = Temp::create(cache.path(), other).unwrap();
        assert!(first.path().ends_with("abcd"), "{first:?}");
        assert!(second.path().ends_with(other), "{second:?}");
        drop(first);
        assert!(is_over(cache.path(), one) && !is_over(cache.path(), other));
        drop(second);
        assert!(is_over(cache.path(), other));
    }

    #[test]
    fn an_abandoned_folder_goes_and_a_live_one_stays() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(cache.path().join("dead")).unwrap();
        let live = Temp::create(cache.path(), "live").unwrap();
        drop(Temp::create(cache.path(), "mine").unwrap());
        assert!(!cache.path().join("dead").exists());
        assert!(live.path().exists());
    }
}
