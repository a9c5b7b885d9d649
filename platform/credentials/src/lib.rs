//! Credentials that Chaperone keeps for its user: each value stands in the operating system's own
//! keychain and nowhere else, and beside it, in the state folder, when it was set and last used.
//!
//! The keychain is first asked when a value is: a session that needs none never connects to it.

mod kept;
mod keychain;
mod name;
mod secret;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "macos.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

pub use kept::{Credentials, Entry};
pub use keychain::Keychain;
pub use name::{BadName, Name};
pub use secret::{BadSecret, LONGEST, SHORTEST, Secret};

use std::io;

/// Why there is no keychain, as far as that shows without asking one: nothing is started, unlocked or
/// prompted for.
pub fn no_keychain() -> Option<Error> {
    system::absence().map(|why| Error::NoKeychain { why })
}

/// Why a credential could not be kept, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no keychain to ask.
    #[error("this machine's keychain cannot be reached: {why}\n  {}", system::REMEDY)]
    NoKeychain {
        /// What the system says.
        why: String,
    },
    /// It is there, and locked or kept from this user.
    #[error(
        "the keychain is locked or keeps `{name}` back: {why}\n  Unlock it, as by signing in on \
         this machine's desktop, and try again."
    )]
    Locked {
        /// The credential's name.
        name: Name,
        /// What the system says.
        why: String,
    },
    /// None of this name is kept.
    #[error(
        "no credential is called `{0}`: `chaperone secret set {0}` keeps one, `chaperone secret \
         list` tells which there are"
    )]
    Unknown(Name),
    /// What is kept is no value that Chaperone would have kept.
    #[error(
        "what the keychain keeps as `{0}` is no credential of Chaperone's: set it anew with \
         `chaperone secret set {0}`"
    )]
    Spoiled(Name),
    /// The keychain failed in another way.
    #[error("the keychain failed over `{name}`: {why}")]
    Failed {
        /// The credential's name.
        name: Name,
        /// What the system says.
        why: String,
    },
    /// What is kept beside the keychain could not be read or written.
    #[error("{file}: {source}")]
    Beside {
        /// The file or folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
}
