//! Where a user's bundles are kept: for each repository a folder with the bundle, what became of
//! the last refresh, and a lock that one refresh at a time holds.

use super::bundle::{Stored, Unbelievable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The largest bundle that is read, in bytes: as many of the largest files as there may be, and as
/// much again for what JSON needs to hold them.
const LARGEST_BUNDLE: u64 = 2 * super::bundle::MOST_FILES as u64 * crate::LARGEST;

/// How often somebody who waits for the lock looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The folder of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cache {
    folder: PathBuf,
    url: String,
}

/// What became of refreshing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refreshes {
    /// When it was last tried.
    pub(crate) tried: Option<Timestamp>,
    /// When it last worked.
    pub(crate) worked: Option<Timestamp>,
    /// The latest time that is known to have been, since it last worked: a clock that is set back
    /// behind it does not bring back what has expired.
    pub(crate) latest: Option<Timestamp>,
    /// Why it did not work the last time; `None` where it did.
    pub(crate) failed: Option<String>,
}

/// Why nothing is kept that could be read.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// Nothing was ever fetched.
    Never,
    Unreadable(io::Error),
    Damaged(Unbelievable),
}

/// Held while a refresh goes on.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

impl Cache {
    /// Of the repository at `url`, among the bundles that are kept in `bundles`.
    pub(crate) fn new(bundles: &Path, url: &str) -> Self {
        let mut name = hex::encode(Sha256::digest(url));
        name.truncate(32);
        Self { folder: bundles.join(name), url: url.to_owned() }
    }

    /// Of this repository.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bundle's file. It is replaced whole, and only when it changes.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.join("bundle.json")
    }

    /// The bundle as it is kept.
    pub(crate) fn load(&self) -> Result<Stored, NotKept> {
        let text = read(&self.bundle(), LARGEST_BUNDLE).map_err(|error| match error.kind() {
            ErrorKind::NotFound => NotKept::Never,
            _ => NotKept::Unreadable(error),
        })?;
        let stored = Stored::parse(&text).map_err(NotKept::Damaged)?;
        if stored.url != self.url {
            let url = &stored.url;
            return Err(NotKept::Damaged(Unbelievable(format!("it is the bundle of {url}"))));
        }
        Ok(stored)
    }

    /// What is known of refreshing; nothing where that cannot be read.
    pub(crate) fn refreshes(&self) -> Refreshes {
        let text = read(&self.folder.join("refreshes.json"), crate::LARGEST).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Waits at most `patience` for other refreshes of the same bundle to end. `None`: one still
    /// goes on.
    pub(crate) fn hold(&self, patience: Duration) -> io::Result<Option<Held>> {
        private_folder(&self.folder)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))?;
        let until = Instant::now() + patience;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Held { _lock: lock })),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Replaces the bundle.
    pub(crate) fn store(&self, _: &Held, stored: &Stored) -> io::Result<()> {
        self.replace("bundle.json", &serde_json::to_vec(stored)?)
    }

    /// Replaces what is known of refreshing.
    pub(crate) fn note(&self, _: &Held, refreshes: &Refreshes) -> io::Result<()> {
        self.replace("refreshes.json", &serde_json::to_vec(refreshes)?)
    }

    /// An empty folder for as long as the lock is held.
    pub(crate) fn scratch(&self, _: &Held) -> io::Result<Scratch> {
        let scratch = Scratch(self.folder.join("scratch"));
        scratch.clear()?;
        private_folder(&scratch.0)?;
        Ok(scratch)
    }

    /// Whoever reads meanwhile sees the old file or the new one, also after a loss of power.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(format!("{name}.new"));
        let mut options = File::options();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, self.folder.join(name))
    }
}

/// A folder that is gone when this is.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn clear(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.clear(); // the next refresh clears it too
    }
}

fn read(path: &Path, largest: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(largest).read_to_string(&mut text)?;
    Ok(text)
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}
