//! What can go wrong with the history, told so that a person can act on it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the history could not be written or read. What cannot be recorded does not happen:
/// a caller that gets one of these from a write refuses what it was about to allow.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is not this user's alone, so what it holds proves nothing.
    #[error("{} {problem}; the history needs a folder that only its owner can enter", path.display())]
    NotPrivate {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A session's name becomes a file name.
    #[error(
        "`{0}` cannot name a session: use 1 to 64 ASCII letters, digits, hyphens and underscores"
    )]
    SessionName(String),
    /// There is a segment of that name already.
    #[error("session `{0}` has a segment already")]
    SessionExists(String),
    /// The session has ended; nothing more can be added to it.
    #[error("session `{0}` has ended, so nothing more can be recorded in it")]
    Ended(String),
    /// An earlier write failed in a way that leaves the state of the disk unknown.
    #[error("nothing more can be recorded in this session, because an earlier write failed: {0}")]
    Failed(String),
    /// There is no such session or event.
    #[error("there is no {0} in the history")]
    NotFound(String),
    /// A line is not what this version writes.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The device's key, or one that was named.
    #[error("{0}")]
    Key(String),
    /// Something could not be turned into JSON, or back.
    #[error("not JSON as it should be: {0}")]
    Encode(#[from] serde_json::Error),
    /// The index failed. It can be deleted: it is built anew from the segments.
    #[error("the index of the history failed: {0}")]
    Index(#[from] rusqlite::Error),
    /// The index was written by another version.
    #[error("the index of the history is of version {0}, which this program does not know")]
    OtherIndex(i64),
    /// The system gave no random bytes for a salt.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
}

/// Adds to an I/O error what was being done, and to what.
pub(crate) trait During<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing, path: path.to_owned(), source })
    }
}
