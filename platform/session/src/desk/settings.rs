//! What the window remembers from one start to the next: one small file in the state folder.

use super::watch::locked;
use super::{Change, Desk, Failure, Settings, Theme};
use crate::paths::private_dir;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's content. A file that cannot be read counts as one that was never written: nothing in
/// it protects anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Remembered {
    theme: Theme,
    paused_until: Option<Timestamp>,
    pub(super) looked_away: Option<Timestamp>,
}

impl Desk {
    /// How the window looks and whether it is silent.
    ///
    /// # Errors
    /// None today.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let Remembered { theme, paused_until, looked_away: _ } = self.remembered();
        let asking_paused_until = paused_until.filter(|until| *until > Timestamp::now());
        Ok(Settings { theme, asking_paused_until })
    }

    /// Light, dark, or as the system.
    ///
    /// # Errors
    /// When the choice cannot be kept.
    pub fn set_theme(&self, theme: Theme) -> Result<(), Failure> {
        self.remember(|remembered| remembered.theme = theme)
    }

    /// No notifications for an hour. Requests still wait, and still expire.
    ///
    /// # Errors
    /// When the choice cannot be kept.
    pub fn pause_asking(&self) -> Result<(), Failure> {
        let until = Timestamp::now() + 1.hour();
        self.remember(|remembered| remembered.paused_until = Some(until))?;
        self.listeners.tell(&[Change::Requests]);
        Ok(())
    }

    /// Notifications again.
    ///
    /// # Errors
    /// When the choice cannot be kept.
    pub fn resume_asking(&self) -> Result<(), Failure> {
        self.remember(|remembered| remembered.paused_until = None)?;
        self.listeners.tell(&[Change::Requests]);
        Ok(())
    }

    /// Whether no notification shall be shown now.
    pub fn asking_is_paused(&self) -> bool {
        self.remembered().paused_until.is_some_and(|until| until > Timestamp::now())
    }

    /// The window is no longer in front: what is decided from now on was decided while away.
    ///
    /// # Errors
    /// When the time cannot be kept.
    pub fn looked_away(&self) -> Result<(), Failure> {
        self.remember(|remembered| remembered.looked_away = Some(Timestamp::now()))
    }

    pub(super) fn remembered(&self) -> Remembered {
        fs::read(self.memory())
            .ok()
            .and_then(|b| serde_json::from_slice(&b).ok())
            .unwrap_or_default()
    }

    fn remember(&self, change: impl FnOnce(&mut Remembered)) -> Result<(), Failure> {
        let _one_at_a_time = locked(&self.memory_lock);
        let mut remembered = self.remembered();
        change(&mut remembered);
        let file = self.memory();
        write(&file, &remembered).map_err(|error| {
            Failure::new(
                format!("{} cannot be written: {error}.", file.display()),
                "Check that the folder is yours and that the disk has room.",
            )
        })
    }

    fn memory(&self) -> PathBuf {
        self.paths.state.join("window.json")
    }
}

fn write(file: &Path, remembered: &Remembered) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        private_dir(folder)?;
    }
    // Whole or not at all: a second window or a crash never leaves half a file.
    let draft = file.with_extension("json.draft");
    fs::write(&draft, serde_json::to_vec_pretty(remembered)?)?;
    fs::rename(draft, file)
}
