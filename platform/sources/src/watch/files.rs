//! Hears of changes of files: inotify on Linux, FSEvents on macOS.

use super::{ATTEMPTS, around, paths};
use crate::{Locations, store};
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    watcher: RecommendedWatcher,
    /// What is watched, as it was given.
    given: Vec<PathBuf>,
    /// The same, and where it really lies.
    sources: Arc<Mutex<Vec<PathBuf>>>,
    /// The folders in which it is heard of, each with its device's and its own number: what is put
    /// in its place is another.
    folders: BTreeMap<PathBuf, (u64, u64)>,
}

impl Watching {
    pub(crate) fn new(
        locations: &Locations,
        others: Vec<PathBuf>,
        tell: Sender<()>,
    ) -> io::Result<Self> {
        let mut given = paths(locations);
        given.extend(store::files());
        given.extend(others);
        let sources = Arc::new(Mutex::new(Vec::new()));
        let watcher = notify::recommended_watcher(hear(Arc::clone(&sources), tell))
            .map_err(io::Error::other)?;
        let mut watching = Self { watcher, given, sources, folders: BTreeMap::new() };
        watching.follow();
        Ok(watching)
    }

    /// Watches the folders that are there now.
    pub(crate) fn follow(&mut self) {
        for _ in 0..ATTEMPTS {
            let real = self.given.iter().filter_map(|path| path.canonicalize().ok());
            let mut sources: Vec<PathBuf> = self.given.iter().cloned().chain(real).collect();
            sources.sort_unstable();
            sources.dedup();
            let found = sources.iter().flat_map(|source| around(source)).filter_map(|folder| {
                let metadata = folder.metadata().ok()?;
                Some((folder.to_path_buf(), (metadata.dev(), metadata.ino())))
            });
            let found: BTreeMap<PathBuf, (u64, u64)> = found.collect();
            *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
            if found == self.folders {
                return;
            }
            for (folder, _) in missing(&self.folders, &found) {
                // One that was removed is not watched any more.
                let _ = self.watcher.unwatch(folder);
            }
            for (folder, _) in missing(&found, &self.folders) {
                // One that may not be watched is polled.
                let _ = self.watcher.watch(folder, mode(folder));
            }
            // What others made meanwhile is found the next time around.
            self.folders = found;
        }
    }
}

/// The entries that the other has not.
fn missing<'m, K: Ord, V: PartialEq>(
    from: &'m BTreeMap<K, V>,
    other: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = (&'m K, &'m V)> {
    from.iter().filter(|(key, value)| other.get(key) != Some(value))
}

/// Where the system keeps its own store of policies, there are folders for users within.
fn mode(folder: &Path) -> RecursiveMode {
    if store::files().iter().any(|own| own == folder) {
        RecursiveMode::Recursive
    } else {
        RecursiveMode::NonRecursive
    }
}

fn hear(
    sources: Arc<Mutex<Vec<PathBuf>>>,
    tell: Sender<()>,
) -> impl Fn(notify::Result<Event>) + Send + 'static {
    move |event| {
        let sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        // What the system could not tell may have been about anything.
        let matters = event.map_or(true, |event| {
            event.need_rescan() || event.paths.iter().any(|path| concerns(&event, path, &sources))
        });
        if matters {
            // Nobody listens any more when the watcher is being dropped.
            let _ = tell.send(());
        }
    }
}

/// Whether an event is about one of the sources, or about a folder above it that came, went or has
/// other rights now.
fn concerns(event: &Event, path: &Path, sources: &[PathBuf]) -> bool {
    let kind = &event.kind;
    let content = matches!(kind, EventKind::Modify(ModifyKind::Any | ModifyKind::Data(_)));
    let within = |source: &PathBuf| path.starts_with(source);
    let above = |source: &PathBuf| source.starts_with(path) && !content;
    !kind.is_access() && sources.iter().any(|source| within(source) || above(source))
}
