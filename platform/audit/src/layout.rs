//! Where things lie in a history folder, and which names a session may have.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The paths of one history folder.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn open(&self) -> PathBuf {
        self.root.join("open")
    }

    pub(crate) fn segment(&self, session: &str) -> PathBuf {
        self.segments().join(format!("{session}{SEGMENT}"))
    }

    /// The session whose segment has this file name.
    pub(crate) fn session_of(name: &str) -> Option<&str> {
        name.strip_suffix(SEGMENT).filter(|session| check_name(session).is_ok())
    }

    pub(crate) fn content(&self, session: &str) -> PathBuf {
        self.segments().join(format!("{session}{CONTENT}"))
    }

    pub(crate) fn marker(&self, session: &str) -> PathBuf {
        self.open().join(session)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("device.log")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("device.key")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("device.lock")
    }
}

const SEGMENT: &str = ".jsonl";
const CONTENT: &str = ".content.jsonl";

/// Checks that a name can be a file name everywhere, and has no dot (which would let one
/// session's segment be taken for another's content).
pub(crate) fn check_name(session: &str) -> Result<()> {
    let fits = (1..=64).contains(&session.len())
        && session.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits { Ok(()) } else { Err(Error::SessionName(session.into())) }
}
