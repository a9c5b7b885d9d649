//! The signed bundle that a managed layer names: a TUF repository on any static web host, read
//! from what was fetched last and fetched anew from time to time.
//!
//! Reading needs no network and starts no thread: it verifies what is kept (`bundle`) each time.
//! Refreshing (`refresh`) brings what the host holds now (`http`, `repository`) into the cache
//! (`cache`), whole or not at all. None of it runs where no managed layer names a bundle.

mod bundle;
mod cache;
mod http;
mod refresh;
mod repository;

pub use http::{FetchError, Patience};
pub use refresh::{DUE_AFTER, RefreshError, Refreshed};

use crate::{Expect, ReadError, Stamp, Text, Trust, system};
use bundle::{Unbelievable, Verified};
use cache::{Cache, NotKept, Refreshes};
use chaperone_policy::{Layer, LayerStatus, OnExpiry, Reading, Remote, RemoteSettings, SourceKind};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use url::Url;

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

    /// What to watch for changes of it: the folder in which its file lies, which is replaced with
    /// each new version, and the root's file, where there is one.
    pub fn places(&self) -> impl Iterator<Item = PathBuf> {
        [self.cache.folder()].into_iter().chain(self.root_file()).map(Path::to_path_buf)
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
            layer = layer.with_reading(Reading::new(text.as_bytes().to_vec(), fetched));
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
