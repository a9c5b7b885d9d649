//! Looks through everything that a session sees for what is denied, again and again. What others make
//! in folders that hold nothing hidden is told by nobody: to have the kernel tell of all folders would
//! cost every name that the session itself makes.

use super::super::{control, sys};
use super::AGAIN;
use crate::plan::RealDisk;
use crate::plan::walk::Patterns;
use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Instant;

/// Looking takes no more than this part of the time.
const SHARE: u32 = 100;

/// Runs until it is dropped.
#[derive(Debug)]
pub(super) struct Search {
    found: Receiver<Vec<PathBuf>>,
    /// Hangs up when it is dropped.
    _stop: Sender<()>,
}

impl Search {
    /// Looks for what the patterns name beneath these folders, but for what is `known`; `wake` is told
    /// of it.
    pub(super) fn start(
        patterns: Patterns,
        folders: Vec<PathBuf>,
        mut known: HashSet<PathBuf>,
        wake: OwnedFd,
    ) -> io::Result<Self> {
        let (news, found) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let look = move || {
            sys::give_way();
            let mut wait = AGAIN;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let began = Instant::now();
                let mut new = patterns.all_existing(&folders, &RealDisk);
                wait = AGAIN.max(began.elapsed() * SHARE);
                new.retain(|path| known.insert(path.clone()));
                if !new.is_empty() && news.send(new).is_ok() {
                    control::wake(&wake);
                }
            }
        };
        // Nobody waits for its end: it may be in the midst of a large tree.
        std::thread::Builder::new().name("search".into()).spawn(look)?;
        Ok(Self { found, _stop: stop })
    }

    /// What was found since the last time.
    pub(super) fn take(&self) -> Vec<PathBuf> {
        self.found.try_iter().flatten().collect()
    }
}
