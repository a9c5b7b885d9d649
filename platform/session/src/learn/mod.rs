//! `chaperone learn`: what was refused in a session, and the smallest change to the user's own
//! policy under which it would not be. Nothing is changed here unless a person says so.
//!
//! `propose` makes the proposal of what was refused, `change` puts it into the user's file.

mod change;
mod propose;

pub(crate) use propose::propose;

use chaperone_policy::{Command, Decision};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What was refused in one session, as it happened.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// Commands that were denied or asked about.
    pub(crate) commands: Vec<(Command, Decision)>,
    /// Addresses that were not reached: host and port.
    pub(crate) addresses: BTreeSet<(String, u16)>,
    /// Sockets of other programs.
    pub(crate) sockets: BTreeSet<String>,
    /// Names that run later outside of the sandbox, or govern it.
    pub(crate) protected: BTreeSet<PathBuf>,
    /// What no grant covers, to be written.
    pub(crate) writes: BTreeSet<PathBuf>,
    /// What no grant covers, to be read.
    pub(crate) reads: BTreeSet<PathBuf>,
    /// What cannot be told here of what was refused.
    pub(crate) unseen: Vec<String>,
}

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
