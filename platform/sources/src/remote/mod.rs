//! The signed bundle that a managed layer names: a TUF repository on any static web host, read
//! from what was fetched last and fetched anew from time to time.
//!
//! Reading needs no network and starts no thread: it verifies what is kept (`bundle`) each time.
//! Refreshing brings what the host holds now (`http`, `repository`) into the cache (`cache`),
//! whole or not at all. None of it runs where no managed layer names a bundle.

mod bundle;
mod cache;
mod http;
mod repository;

pub use http::{FetchError, Patience};

use crate::{Expect, ReadError, Stamp, Text, Trust, system};
use bundle::{Chain, Stored, Unbelievable, Verified, chain};
use cache::{Cache, Held, NotKept, Refreshes};
use chaperone_policy::{Layer, LayerStatus, OnExpiry, Remote, RemoteSettings, SourceKind};
use http::Client;
use jiff::Timestamp;
use repository::{Fetched, RepositoryError};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use url::Url;

/// A bundle is fetched anew where the last attempt is older than this.
pub const DUE_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long a refresh waits for another one of the same bundle.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(90);

/// The remedy in all words about a bundle.
const REMEDY: &str = "fetch it with `chaperone policy refresh`";

/// The bundle that the policy names, as one user keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    remote: Remote,
    trust: Trust,
    cache: Cache,
    patience: Patience,
}

/// What is kept of a bundle, as layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// One for each policy file in name order; one that says why where there is none.
    pub layers: Vec<Layer>,
    /// When it expires, if it has not yet.
    pub expires: Option<Timestamp>,
}

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
    /// The bundle that the policy names. `bundles` is the user's folder for all of them; `trust`
    /// says whose a root's file must be.
    pub fn new(remote: &Remote, bundles: &Path, trust: &Trust) -> Self {
        let cache = Cache::new(bundles, &remote.url.value);
        Self { remote: remote.clone(), trust: trust.clone(), cache, patience: Patience::default() }
    }

    /// The same with other limits in time.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Where it lies, as the policy says it.
    pub fn url(&self) -> &str {
        &self.remote.url.value
    }

    /// The folder in which the bundle's file lies, which is replaced with each new version.
    pub fn folder(&self) -> &Path {
        self.cache.folder()
    }

    /// A stamp that is outdated, too, once this bundle changes. Take it before reading the bundle.
    pub fn stamp(&self, stamp: Stamp) -> Stamp {
        let root = self.root_file().map(Path::to_path_buf);
        stamp.with([self.cache.bundle()].into_iter().chain(root))
    }

    /// The layers that were fetched last. It never fails: what cannot be had or believed is a
    /// layer that says so, and `merge` starts no session then.
    pub fn read(&self, now: Timestamp) -> Kept {
        let refreshes = self.cache.refreshes();
        let mut kept = self.try_read(now, &refreshes).unwrap_or_else(|(status, detail)| {
            let mut layer =
                Layer::unreadable(SourceKind::ManagedBundle, &self.remote.url.value, &detail);
            layer.status = status;
            Kept { layers: vec![layer], expires: None }
        });
        if let (Some(failed), Some(tried)) = (&refreshes.failed, refreshes.tried) {
            for layer in &mut kept.layers {
                let detail = &layer.detail;
                layer.detail =
                    format!("{detail} The refresh of {} failed: {failed}.", shown(tried));
            }
        }
        kept
    }

    fn try_read(
        &self,
        now: Timestamp,
        refreshes: &Refreshes,
    ) -> Result<Kept, (LayerStatus, String)> {
        let unreadable = |detail: String| (LayerStatus::Unreadable, detail);
        self.address().map_err(unreadable)?;
        let Text { text: root, problem } = self.root().map_err(unreadable)?;
        let invalid = |Unbelievable(why)| {
            (
                LayerStatus::Invalid,
                format!("The bundle that is kept is not believed: {why}; {REMEDY}."),
            )
        };
        let stored = self.cache.load().map_err(|error| match error {
            NotKept::Never => unreadable(format!("The bundle was never fetched; {REMEDY}.")),
            NotKept::Unreadable(error) => {
                let file = self.cache.bundle();
                unreadable(format!("{} cannot be read: {error}; {REMEDY}.", file.display()))
            }
            NotKept::Damaged(why) => invalid(why),
        })?;
        let Verified { version, expires, first } = stored.verify(&root).map_err(invalid)?;

        let now = refreshes.latest.map_or(now, |latest| latest.max(now));
        let expired = now > expires;
        let untrusted = problem.or_else(|| {
            let by = &self.remote.url.origin;
            (!self.remote.trusted).then(|| format!("{by} is untrusted and names it"))
        });
        let end = shown(expires);
        // It is as fresh as the last time that the host said the same.
        let fetched = refreshes.worked.map_or(stored.fetched, |worked| worked.max(stored.fetched));
        let about = if expired {
            format!(
                "Version {version} of the bundle expired on {end}, by its {first} metadata; {REMEDY}."
            )
        } else {
            format!("Version {version} of the bundle, good until {end}.")
        };
        let finish = |mut layer: Layer, text: &str| {
            // Whoever signs bundles does not thereby say whose bundles are read.
            layer.settings.remote = RemoteSettings::default();
            layer = layer.with_reading(crate::reading(text.as_bytes(), fetched));
            if let Some(problem) = &untrusted {
                layer = layer.untrusted(&format!(
                    "{problem}, so its restrictions apply and its grants do not."
                ));
            }
            if expired {
                return layer.expired(&about, self.remote.on_expiry.value == OnExpiry::Refuse);
            }
            layer.detail = format!("{about} {}", layer.detail).trim_end().to_owned();
            layer
        };
        let mut layers: Vec<Layer> = stored
            .files
            .iter()
            .map(|(name, text)| {
                let locator = self.locator(name);
                finish(Layer::from_file(SourceKind::ManagedBundle, &locator, text), text)
            })
            .collect();
        if layers.is_empty() {
            let mut empty = Layer::from_toml(SourceKind::ManagedBundle, &self.locator(""), "");
            empty.detail = "It has no policy file.".to_owned();
            layers.push(finish(empty, ""));
        }
        Ok(Kept { layers, expires: (!expired).then_some(expires) })
    }

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
                let failed = Some(error.to_string());
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

    /// Where the repository lies; why that cannot be, as a sentence.
    fn address(&self) -> Result<Url, String> {
        let url = &self.remote.url;
        http::address(&url.value).map_err(|why| format!("`remote.url` {why} ({}).", url.origin))
    }

    /// The root's file, if it stands in one.
    fn root_file(&self) -> Option<&Path> {
        let root = self.remote.root.as_ref()?.value.as_str();
        (!root.trim_start().starts_with('{')).then(|| Path::new(root))
    }

    /// The root that the managed layer trusts, and why grants under it do not count, if they do
    /// not; why there is none, as a sentence.
    fn root(&self) -> Result<Text, String> {
        let Some(root) = &self.remote.root else {
            return Err(
                "`remote.root` is not set, so nobody can know who may sign the bundle.".into()
            );
        };
        let Some(path) = self.root_file() else {
            return Ok(Text { text: root.value.clone(), problem: None });
        };
        let whose = &root.origin;
        if !path.is_absolute() {
            return Err(format!(
                "`remote.root` must be an absolute path or the root's JSON itself ({whose})."
            ));
        }
        system::read_at(path, Expect::Managed(&self.trust)).map_err(|error| match error {
            ReadError::Absent => {
                format!("{}, the bundle's root, does not exist ({whose}).", path.display())
            }
            error => format!("The bundle's root: {error} ({whose})."),
        })
    }

    fn locator(&self, name: &str) -> String {
        format!("{}/{name}", self.remote.url.value.trim_end_matches('/'))
    }

    fn own(&self, error: io::Error) -> RefreshError {
        RefreshError::Own { folder: self.cache.folder().to_path_buf(), error }
    }
}

impl Kept {
    /// A stamp that is outdated, too, once the bundle has expired.
    pub fn stamp(&self, stamp: Stamp) -> Stamp {
        match self.expires {
            Some(expires) => stamp.until(SystemTime::from(expires)),
            None => stamp,
        }
    }
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
