//! Why the transport could not be had.

use std::io;
use std::path::PathBuf;

/// Why a session could not listen for answers, or an inbox could not look for sessions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of the sockets is not this user's alone.
    #[error("{path}: {problem}; {remedy}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// The path does not fit the kernel's `sun_path` (unix(7)).
    #[error(
        "{path}: the path of a socket has at most {limit} bytes and this one has {length}; \
         set XDG_RUNTIME_DIR to a shorter folder of your own, such as /run/user/UID",
        path = path.display()
    )]
    PathTooLong {
        /// The socket.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest that fits, in bytes.
        limit: usize,
    },
    /// The session's name cannot be a file name.
    #[error("`{0}` cannot name a session: letters, digits, `-` and `_` only, at most 64")]
    SessionName(String),
    /// The operating system refused.
    #[error("{path}: {what}: {error}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// The session did not accept this client.
    #[error("session {session}: {reason}")]
    Refused {
        /// The session.
        session: String,
        /// In the session's own words.
        reason: String,
    },
    /// There is no local transport for this system yet.
    #[error("requests cannot be answered on this system yet: the local transport needs Unix")]
    Unsupported,
}
