//! What the window and the command line show: view models, and the functions that build them.
//!
//! Nothing here knows Tauri or a terminal; locations come in as arguments.

mod activity;
mod agents;
mod cards;
pub(crate) mod credentials;
mod home;
mod hosts;
mod model;
mod requests;
mod rules;
mod settings;
mod start;
mod story;
mod terminal;
mod watch;
mod why;
pub mod words;

pub use credentials::*;
pub use hosts::*;
pub use model::*;
pub use watch::Change;

use crate::paths::{Paths, PathsError};
use chaperone_approvals::{Inbox, Request};
use chaperone_audit::Index;
use home::Examination;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use watch::Listeners;

/// Answers the window's and the command line's questions for one user.
#[derive(Debug)]
pub struct Desk {
    paths: Paths,
    /// The `chaperone` command.
    program: PathBuf,
    /// Where programs are looked for: the folders of `$PATH`.
    search: Vec<PathBuf>,
    /// The login name under which answers are recorded.
    user: String,
    inbox: OnceLock<Inbox>,
    listeners: Listeners,
    /// What ended within the last minute: a session that is over says no more of its own.
    ended: Arc<Mutex<Vec<Request>>>,
    /// Opened when it is first asked.
    index: Mutex<Option<Index>>,
    examined: Mutex<Option<(Instant, Examination)>>,
    memory_lock: Mutex<()>,
}

impl Desk {
    /// For the user who runs this process.
    ///
    /// # Errors
    /// When the home folder is not known.
    pub fn of_this_user() -> Result<Self, PathsError> {
        let search: Vec<PathBuf> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        let beside = std::env::current_exe().ok().map(|own| own.with_file_name("chaperone"));
        let program = beside
            .filter(|file| file.is_file())
            .or_else(|| search.iter().map(|f| f.join("chaperone")).find(|file| file.is_file()))
            .unwrap_or_else(|| PathBuf::from("chaperone"));
        Ok(Self::new(Paths::of_this_user()?, program, search, crate::user_name()))
    }

    /// With everything given.
    pub fn new(paths: Paths, program: PathBuf, search: Vec<PathBuf>, user: String) -> Self {
        Self {
            paths,
            program,
            search,
            user,
            inbox: OnceLock::new(),
            listeners: Listeners::default(),
            ended: Arc::default(),
            index: Mutex::default(),
            examined: Mutex::default(),
            memory_lock: Mutex::default(),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
