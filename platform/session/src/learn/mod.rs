//! `chaperone learn`: what was refused in a session, and the smallest change to the user's own
//! policy under which it would not be. Nothing is changed here unless a person says so.
//!
//! `propose` makes the proposal of what was refused, with `files` for files, and `change` puts it into
//! the user's file.

#[cfg_attr(
    not(any(target_os = "linux", test)),
    expect(dead_code, reason = "no session runs there")
)]
mod change;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod propose;

#[cfg(target_os = "linux")]
pub(crate) use propose::{Refused, propose};

use serde::Serialize;
use std::path::PathBuf;

/// A proposal: what to change, and what was refused and is not for this user to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The user's own policy file.
    pub file: PathBuf,
    /// The change as a unified diff of that file; empty where none is proposed.
    pub diff: String,
    /// Each part of the change.
    pub changes: Vec<Change>,
    /// What the organisation, or the workspace's own file, denies: no change of the user's would
    /// lift that.
    pub denied: Vec<Left>,
    /// What holds keys or private data. It is not proposed.
    pub secrets: Vec<Left>,
    /// What no policy grants, or would grant too much.
    pub kept: Vec<Left>,
    /// What of the session's refusals cannot be seen on this machine, and why.
    pub unseen: Vec<String>,
    /// The file as it would be.
    #[serde(skip)]
    pub(crate) after: String,
    /// The file as it was when this was proposed.
    #[serde(skip)]
    pub(crate) before: String,
}

/// One part of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The policy's key.
    pub key: &'static str,
    /// What is added to it: a path, a `HOST:PORT`, or a command's first words.
    pub value: String,
    /// What it would allow, in plain words.
    pub why: String,
}

/// Something that was refused and is not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// A path, an address or a command.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl Proposal {
    /// Whether there is anything to be applied.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Writes the change into the user's file.
    ///
    /// # Errors
    /// When the file is not what it was when this was proposed, or cannot be written.
    pub fn apply(&self) -> std::io::Result<()> {
        change::write(&self.file, &self.before, &self.after)
    }
}
