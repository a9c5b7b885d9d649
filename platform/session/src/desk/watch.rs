//! Telling whoever shows something that it has changed.

use super::{Desk, Failure};
use crate::load::{Question, load};
use crate::paths::Paths;
use chaperone_sources::remote::{Bundle, DUE_AFTER};
use chaperone_sources::{Locations, Watcher as Sources};
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::mpsc::channel;
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
    /// `rules()`, `explain()`, `why()`, `grants()` and `credentials()`.
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
        self.watch_files()?;
        self.keep_bundle_fresh()
    }

    /// Fetches the signed bundle anew whenever that is due, where the policy names one.
    fn keep_bundle_fresh(&self) -> Result<(), Failure> {
        let (paths, listeners) = (self.paths.clone(), self.listeners.clone());
        let serve = move || loop {
            // Why it failed stands with the bundle's layers, on the page of the rules.
            let refreshed =
                bundle(&paths).and_then(|bundle| bundle.refresh_if_due(Timestamp::now()));
            if refreshed.is_some() {
                listeners.tell(&[Change::Rules]);
            }
            thread::sleep(DUE_AFTER);
        };
        thread::Builder::new().name("bundle".into()).spawn(serve).map_err(|error| {
            Failure::plain(format!("The policy cannot be kept fresh: {error}."))
        })?;
        Ok(())
    }

    fn watch_files(&self) -> Result<(), Failure> {
        let segments = self.paths.history().join("segments");
        crate::paths::private_dir(&segments).map_err(|error| {
            Failure::plain(format!("{} cannot be made: {error}.", segments.display()))
        })?;
        let machine = Locations::system(&self.paths.home, None, None, Vec::new());
        let mut others =
            vec![self.paths.config.clone(), self.paths.bundles(), self.paths.credentials()];
        others.extend(bundle(&self.paths).iter().flat_map(Bundle::places));
        let mut policy = Sources::new(&machine, others)
            .map_err(|error| Failure::plain(format!("The policy cannot be watched: {error}.")))?;
        let (sender, heard) = channel();
        let tell = sender.clone();
        let hear = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Nobody listens any more when the window is going down.
                let _ = tell.send(Change::Activity);
            }
        };
        let mut history = notify::recommended_watcher(hear).map_err(unwatched)?;
        history.watch(&segments, RecursiveMode::NonRecursive).map_err(unwatched)?;
        spawn("policy", move || {
            loop {
                if policy.wait(Duration::MAX) && sender.send(Change::Rules).is_err() {
                    return;
                }
            }
        })?;
        let listeners = self.listeners.clone();
        spawn("watch", move || {
            let _watching = history;
            while let Ok(first) = heard.recv() {
                thread::sleep(COLLECT);
                let changes: BTreeSet<Change> =
                    std::iter::once(first).chain(heard.try_iter()).collect();
                listeners.tell(&Vec::from_iter(changes));
            }
        })
    }
}

/// The signed bundle that the policy names for a folder that has no file of its own.
fn bundle(paths: &Paths) -> Option<Bundle> {
    let workspace = Some(paths.home.clone());
    load(&Question { workspace, ..Question::default() }, paths).ok()?.bundle()
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = thread::Builder::new().name(name.into()).spawn(run);
    thread.map(|_| ()).map_err(unwatched)
}

fn unwatched(error: impl fmt::Display) -> Failure {
    Failure::plain(format!("Files cannot be watched: {error}."))
}

/// Plain data behind a lock stays valid when a thread that held it panicked.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
