//! Refreshing a bundle: what the host holds now takes the place of what is kept, if it is right.

use super::bundle::{Chain, Stored, Unbelievable, Verified, chain};
use super::cache::{Held, Refreshes};
use super::http::{Client, FetchError};
use super::repository::{self, Fetched, RepositoryError};
use super::{Bundle, shown};
use chaperone_policy::{Layer, LayerStatus, RemoteSettings, SourceKind};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A bundle is fetched anew where the last attempt is older than this.
pub const DUE_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long a refresh waits for another one of the same bundle.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(90);

/// What a refresh brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// The repository.
    pub url: String,
    /// The version that was kept before, if one was and could be believed.
    pub before: Option<u64>,
    /// The version that is kept now.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// How many policy files it has.
    pub files: usize,
    /// Policy files that were not there before.
    pub added: Vec<String>,
    /// Policy files that say something else than before.
    pub changed: Vec<String>,
    /// Policy files that are gone.
    pub removed: Vec<String>,
}

/// Why a bundle was not refreshed. What was kept before is kept.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// What the managed layer says of it cannot be right.
    #[error("{0}")]
    Settings(String),
    /// The host, or the way there.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What the host holds is not what it must be.
    #[error("the bundle at {url} is refused: {why}")]
    Refused {
        /// The repository.
        url: String,
        /// What is wrong with it, as the end of a sentence.
        why: String,
    },
    /// Somebody else has been refreshing it all the while.
    #[error("another process is still refreshing the bundle at {0}")]
    Busy(String),
    /// The cache.
    #[error("the bundle cannot be kept in {folder}: {error}")]
    Own {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl Bundle {
    /// Fetches what the host holds now, and keeps it if it is right. Waits for another process that
    /// does the same.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not right. What was kept before is kept then.
    pub fn refresh(&self, now: Timestamp) -> Result<Refreshed, RefreshError> {
        let held = self.cache.hold(WAIT_FOR_OTHERS).map_err(|error| self.own(error))?;
        let held = held.ok_or_else(|| RefreshError::Busy(self.remote.url.value.clone()))?;
        self.refresh_held(&held, now)
    }

    /// The same where the last attempt is older than [`DUE_AFTER`] and nobody else is at it; `None`
    /// otherwise.
    pub fn refresh_if_due(&self, now: Timestamp) -> Option<Result<Refreshed, RefreshError>> {
        if !self.is_due(now) {
            return None;
        }
        let held = match self.cache.hold(Duration::ZERO) {
            Ok(held) => held?,
            Err(error) => return Some(Err(self.own(error))),
        };
        // Whoever held it until now may have done it.
        self.is_due(now).then(|| self.refresh_held(&held, now))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let Some(tried) = self.cache.refreshes().tried else { return true };
        // An attempt in the future is one of a clock that was wrong.
        now < tried || now.duration_since(tried).unsigned_abs() >= DUE_AFTER
    }

    fn refresh_held(&self, held: &Held, now: Timestamp) -> Result<Refreshed, RefreshError> {
        let refreshed = self.fetch(held, now);
        let refreshes = match &refreshed {
            Ok(_) => {
                let worked = Some(now);
                Refreshes { tried: worked, worked, latest: worked, failed: None }
            }
            Err(error) => {
                let before = self.cache.refreshes();
                let latest = before.latest.max(Some(now));
                let failed = Some(error.to_string().trim_end_matches('.').to_owned());
                Refreshes { tried: Some(now), worked: before.worked, latest, failed }
            }
        };
        match self.cache.note(held, &refreshes) {
            Err(error) if refreshed.is_ok() => Err(self.own(error)),
            _ => refreshed,
        }
    }

    fn fetch(&self, held: &Held, now: Timestamp) -> Result<Refreshed, RefreshError> {
        let base = self.address().map_err(RefreshError::Settings)?;
        let root = self.root().map_err(RefreshError::Settings)?.text;
        let refused =
            |why: String| RefreshError::Refused { url: self.remote.url.value.clone(), why };
        let unbelievable = |Unbelievable(why)| refused(why);

        let before = self.cache.load().ok();
        let later = before.as_ref().map_or(&[][..], |before| &before.roots);
        let chain = chain(&root, later).map_err(unbelievable)?;
        let client = Client::new(&base, self.patience, |name| std::env::var(name).ok())?;
        let scratch = self.cache.scratch(held).map_err(|error| self.own(error))?;
        let fetched = repository::fetch(&base, client, &chain, before.as_ref(), scratch.path());
        let fetched = fetched.map_err(|error| match error {
            RepositoryError::Fetch(error) => error.into(),
            RepositoryError::Refused(why) => refused(why),
            RepositoryError::Own(error) => self.own(error),
        })?;
        let stored = self.stored(chain, fetched, now);
        let verified = stored.verify(&root).map_err(unbelievable)?;
        if now > verified.expires {
            let (first, end) = (verified.first, shown(verified.expires));
            return Err(refused(format!("its {first} metadata expired on {end}; sign it anew")));
        }
        for (name, text) in &stored.files {
            self.is_policy(name, text).map_err(refused)?;
        }

        let changes = self.changes(&root, before.as_ref(), &stored, &verified);
        if before.as_ref().is_none_or(|before| !before.is_same(&stored)) {
            self.cache.store(held, &stored).map_err(|error| self.own(error))?;
        }
        Ok(changes)
    }

    fn stored(&self, chain: Chain, fetched: Fetched, now: Timestamp) -> Stored {
        let Fetched { roots, timestamp, snapshot, targets, files } = fetched;
        let roots = chain.after.into_iter().chain(roots).collect();
        let url = self.remote.url.value.clone();
        Stored::new(url, now, roots, [timestamp, snapshot, targets], files)
    }

    /// What no session could start with is not taken in: the version before it holds until then.
    fn is_policy(&self, name: &str, text: &str) -> Result<(), String> {
        let layer = Layer::from_file(SourceKind::ManagedBundle, &self.locator(name), text);
        if layer.status == LayerStatus::Invalid {
            return Err(format!("{name} cannot be read. {}", layer.detail.trim_end_matches('.')));
        }
        if layer.settings.remote != RemoteSettings::default() {
            return Err(format!("{name} holds `remote`, and a bundle cannot name another"));
        }
        Ok(())
    }

    fn changes(
        &self,
        root: &str,
        before: Option<&Stored>,
        now: &Stored,
        verified: &Verified,
    ) -> Refreshed {
        let known = before.and_then(|before| Some((before, before.verify(root).ok()?)));
        let none = BTreeMap::new();
        let old = known.as_ref().map_or(&none, |(before, _)| &before.files);
        let names = |from: &BTreeMap<String, String>, keep: &dyn Fn(&str, &str) -> bool| {
            from.iter()
                .filter(|(name, text)| keep(name, text))
                .map(|(name, _)| name.clone())
                .collect()
        };
        Refreshed {
            url: self.remote.url.value.clone(),
            before: known.as_ref().map(|(_, verified)| verified.version),
            version: verified.version,
            expires: verified.expires,
            files: now.files.len(),
            added: names(&now.files, &|name, _| !old.contains_key(name)),
            changed: names(&now.files, &|name, text| old.get(name).is_some_and(|old| old != text)),
            removed: names(old, &|name, _| !now.files.contains_key(name)),
        }
    }

    fn own(&self, error: io::Error) -> RefreshError {
        RefreshError::Own { folder: self.cache.folder().to_path_buf(), error }
    }
}
