//! Telling whoever shows something that it has changed.

use super::{Desk, Failure};
use notify::{RecursiveMode, Watcher};
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long changes of files are collected before they are told: a busy session writes hundreds
/// of events a second, and nobody reads that fast.
const COLLECT: Duration = Duration::from_millis(120);

/// What there is to ask for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// `requests()`.
    Requests,
    /// `events()`, `story()` and `hosts()`.
    Activity,
    /// `home()` and `sessions()`.
    Sessions,
    /// `rules()`, `explain()`, `why()` and `grants()`.
    Rules,
}

type Listener = Box<dyn Fn(Change) -> bool + Send>;

/// Whoever wants to hear of changes.
#[derive(Clone, Default)]
pub(super) struct Listeners(Arc<Mutex<Vec<Listener>>>);

impl Listeners {
    /// Tells everyone, and forgets those who do not want to hear any more.
    pub(super) fn tell(&self, changes: &[Change]) {
        locked(&self.0).retain(|listener| changes.iter().all(|change| listener(*change)));
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", locked(&self.0).len())
    }
}

impl Desk {
    /// Looks at sessions, history and policy from now on, and tells of every change until the
    /// listener returns `false`. From then on this is the window that a person sits in front of.
    ///
    /// # Errors
    /// When the sessions cannot be looked at.
    pub fn watch(&self, listener: impl Fn(Change) -> bool + Send + 'static) -> Result<(), Failure> {
        locked(&self.listeners.0).push(Box::new(listener));
        self.start_inbox()?;
        self.watch_files()
    }

    fn watch_files(&self) -> Result<(), Failure> {
        let segments = self.paths.history().join("segments");
        let policy = self.policy_folders();
        // What is not there yet is looked for through the folder above it.
        crate::paths::private_dir(&segments).map_err(|error| {
            Failure::plain(format!("{} cannot be made: {error}.", segments.display()))
        })?;
        let (sender, heard) = channel();
        let history = segments.clone();
        let hear = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            let change = match event.paths.iter().any(|path| path.starts_with(&history)) {
                true => Change::Activity,
                false => Change::Rules,
            };
            // Nobody listens any more when the window is going down.
            let _ = sender.send(change);
        };
        let mut watcher = notify::recommended_watcher(hear).map_err(unwatched)?;
        watcher.watch(&segments, RecursiveMode::NonRecursive).map_err(unwatched)?;
        for folder in policy {
            // A folder that may not be read is shown as such on the page of the rules.
            let _ = watcher.watch(&folder, RecursiveMode::NonRecursive);
        }
        let listeners = self.listeners.clone();
        let collect = move || {
            let _alive = watcher;
            tell_collected(&heard, &listeners);
        };
        thread::Builder::new()
            .name("watch".into())
            .spawn(collect)
            .map_err(|error| Failure::plain(format!("Files cannot be watched: {error}.")))?;
        Ok(())
    }

    /// The folders whose files are layers, or the nearest that exists above them.
    fn policy_folders(&self) -> Vec<PathBuf> {
        let machine =
            ["/etc/chaperone/policy.d", "/etc/chaperone/recommended.d"].map(PathBuf::from);
        let mut folders: Vec<PathBuf> = machine
            .into_iter()
            .chain([self.paths.config.clone()])
            .filter_map(|folder| folder.ancestors().find(|f| f.is_dir()).map(PathBuf::from))
            .filter(|folder| folder.parent().is_some())
            .collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

fn tell_collected(heard: &Receiver<Change>, listeners: &Listeners) {
    while let Ok(first) = heard.recv() {
        thread::sleep(COLLECT);
        let mut changes: Vec<Change> = std::iter::once(first).chain(heard.try_iter()).collect();
        changes.sort_unstable();
        changes.dedup();
        listeners.tell(&changes);
    }
}

fn unwatched(error: notify::Error) -> Failure {
    Failure::plain(format!("Files cannot be watched: {error}."))
}

/// Plain data behind a lock stays valid when a thread that held it panicked.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
