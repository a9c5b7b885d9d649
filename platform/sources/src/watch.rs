//! Tells that a source may have changed: as soon as the system says so, and every quarter of an hour
//! all the same. What changed is for the reader to find out.

#[cfg(unix)]
mod files;

#[cfg(windows)]
use crate::windows::watch as system;
#[cfg(unix)]
use files as system;

use crate::{Locations, WORKSPACE_FILE};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long it must be quiet before a change is told: whoever writes a policy writes more than one
/// file or value.
const QUIET: Duration = Duration::from_millis(100);

/// How long a change is kept back where it does not become quiet.
const LONGEST: Duration = Duration::from_millis(500);

/// How often sources are looked at of which the system says nothing.
const POLL: Duration = Duration::from_secs(15 * 60);

/// How often a folder is looked for anew that others make while it is being watched.
pub(crate) const ATTEMPTS: usize = 8;

/// Why sources cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("the system does not tell of changes: {0}")]
pub struct WatchError(#[from] io::Error);

/// Hears of changes from its making on.
#[derive(Debug)]
pub struct Watcher {
    heard: Receiver<()>,
    told: Instant,
    poll: Duration,
    system: system::Watching,
}

impl Watcher {
    /// Watches the sources, and other files and folders beside them. None needs to exist.
    ///
    /// # Errors
    /// When the system tells of nothing. Single folders that may not be watched are polled.
    pub fn new(
        locations: &Locations,
        others: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Self, WatchError> {
        let (tell, heard) = channel();
        let system = system::Watching::new(locations, others.into_iter().collect(), tell)?;
        Ok(Self { heard, told: Instant::now(), poll: POLL, system })
    }

    /// Waits until a source may have changed and it has become quiet, but not longer than this;
    /// whether it may have.
    pub fn wait(&mut self, longest: Duration) -> bool {
        let poll = self.told.checked_add(self.poll);
        let left = poll.map(|poll| poll.saturating_duration_since(Instant::now()));
        match self.heard.recv_timeout(left.unwrap_or(longest).min(longest)) {
            Ok(()) => collect(&self.heard, QUIET, LONGEST),
            Err(_) if poll.is_none_or(|poll| Instant::now() < poll) => return false,
            Err(_) => {}
        }
        self.system.follow();
        self.told = Instant::now();
        true
    }
}

/// Hears on until it is quiet for so long, but not longer than this.
fn collect(heard: &Receiver<()>, quiet: Duration, longest: Duration) {
    let until = Instant::now() + longest;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || heard.recv_timeout(quiet.min(left)).is_err() {
            return;
        }
    }
}

/// The files and folders that are read of these locations.
pub(crate) fn paths(locations: &Locations) -> Vec<PathBuf> {
    let Locations { managed, recommended, user, workspace, command_line, trust: _, store: _ } =
        locations;
    let mut paths = vec![managed.clone(), recommended.clone(), user.clone()];
    paths.extend(workspace.iter().map(|folder| folder.join(WORKSPACE_FILE)));
    paths.extend(command_line.iter().cloned());
    paths
}

/// The folders in which a file or folder would be made, changed or replaced: its nearest that
/// exists, and the one above it.
pub(crate) fn around(path: &Path) -> impl Iterator<Item = &Path> {
    let nearest = path.ancestors().find(|folder| folder.is_dir());
    nearest.into_iter().flat_map(|nearest| nearest.ancestors().take(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trust;
    use std::sync::mpsc::Sender;
    use tempfile::TempDir;

    /// Waiting for longer than any machine is busy.
    const SOON: Duration = Duration::from_secs(60);

    /// A watcher of a folder in which nothing happens, and what it is told by.
    fn idle(poll: Duration) -> (Watcher, Sender<()>, TempDir) {
        let folder = TempDir::new().unwrap();
        let at = |path: &str| folder.path().join(path);
        let locations = Locations {
            managed: at("policy.d"),
            recommended: at("recommended.d"),
            user: at("config.toml"),
            workspace: None,
            command_line: Vec::new(),
            trust: Trust { owner: 0, user: 1, top: at(""), home: at("home") },
            store: None,
        };
        let (tell, heard) = channel();
        let system = system::Watching::new(&locations, Vec::new(), tell.clone()).unwrap();
        (Watcher { heard, told: Instant::now(), poll, system }, tell, folder)
    }

    #[test]
    fn sources_of_which_nothing_is_told_are_looked_at_when_the_poll_is_due_and_not_before() {
        let (mut watcher, _tell, _folder) = idle(Duration::ZERO);
        assert!(watcher.wait(SOON), "it is due");
        assert!(watcher.wait(Duration::ZERO), "and again, counted from then");
        for far in [Duration::from_secs(3600), Duration::MAX] {
            let (mut watcher, _tell, _folder) = idle(far);
            assert!(!watcher.wait(Duration::from_millis(1)), "nothing is due and nothing changed");
        }
        let locations = Locations::system(Path::new("/nowhere"), None, None, Vec::new());
        let watcher = Watcher::new(&locations, []).unwrap();
        assert_eq!(watcher.poll, Duration::from_secs(15 * 60));
    }

    #[test]
    fn a_change_that_is_told_puts_the_poll_off() {
        let (mut watcher, tell, _folder) = idle(Duration::from_secs(3600));
        let before = watcher.told;
        tell.send(()).unwrap();
        assert!(watcher.wait(SOON));
        assert!(watcher.told > before);
    }

    #[test]
    fn changes_that_follow_each_other_are_told_once() {
        let (mut watcher, tell, _folder) = idle(POLL);
        for _ in 0..1000 {
            tell.send(()).unwrap();
        }
        assert!(watcher.wait(SOON));
        assert!(!watcher.wait(Duration::ZERO));
    }

    #[test]
    fn changes_without_end_are_told_all_the_same() {
        let (tell, heard) = channel();
        (0..3).for_each(|_| tell.send(()).unwrap());
        collect(&heard, SOON, Duration::ZERO);
        assert_eq!(heard.try_iter().count(), 3, "there was no time left for them");
        (0..3).for_each(|_| tell.send(()).unwrap());
        collect(&heard, Duration::ZERO, SOON);
        assert_eq!(heard.try_iter().count(), 0, "they came without a pause");
    }
}
