//! A repository as tough reads it: what the network brings, judged against what was trusted before.

use super::bundle::{Chain, Stored, Unbelievable, policy_files};
use super::http::{Client, FetchError};
use futures_core::Stream;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tough::error::Error as TufError;
use tough::{
    Bytes, ExpirationEnforcement, IntoVec, Limits, RepositoryLoader, TargetName, Transport,
    TransportError, TransportErrorKind, TransportStream, async_trait,
};
use url::Url;

/// The largest metadata of one role, in bytes.
const LIMITS: Limits = Limits {
    max_root_size: super::http::LARGEST_BODY,
    max_targets_size: super::http::LARGEST_BODY,
    max_timestamp_size: super::http::LARGEST_BODY,
    max_snapshot_size: super::http::LARGEST_BODY,
    max_root_updates: 256,
};

/// All that one refresh may bring, in bytes.
const LARGEST_WHOLE: usize = 32 << 20;

/// Why a repository was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Own(#[from] std::io::Error),
}

impl From<Unbelievable> for RepositoryError {
    fn from(Unbelievable(why): Unbelievable) -> Self {
        Self::Refused(why)
    }
}

/// The files of a repository, byte for byte.
pub(crate) struct Fetched {
    /// After the chain's last.
    pub(crate) roots: Vec<String>,
    pub(crate) timestamp: String,
    pub(crate) snapshot: String,
    pub(crate) targets: String,
    pub(crate) files: BTreeMap<String, String>,
}

/// Fetches what the repository holds now, as far as it follows from the last root that is trusted
/// and is no older than what was trusted before. `scratch` is an empty folder.
pub(crate) fn fetch(
    base: &Url,
    client: Client,
    chain: &Chain,
    before: Option<&Stored>,
    scratch: &Path,
) -> Result<Fetched, RepositoryError> {
    if let Some(before) = before {
        std::fs::write(scratch.join("timestamp.json"), &before.timestamp)?;
        std::fs::write(scratch.join("snapshot.json"), &before.snapshot)?;
    }
    let at = |folder: &str| {
        base.join(folder).map_err(|error| RepositoryError::Refused(error.to_string()))
    };
    let recorder = Recorder(Arc::new(Recording { client, seen: Mutex::default() }));
    let loader = RepositoryLoader::new(&chain.text, at("metadata/")?, at("targets/")?)
        .transport(recorder.clone())
        .limits(LIMITS)
        .datastore(scratch)
        .expiration_enforcement(ExpirationEnforcement::Safe);
    // All of it happens on this thread, but for the few files in `scratch`, which tokio reads and
    // writes on another that ends with the runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let files = runtime.block_on(async {
        let failed = |error: TufError| recorder.failed(&error);
        let repository = loader.load().await.map_err(failed)?;
        let mut files = BTreeMap::new();
        for name in policy_files(&repository.targets().signed)?.into_keys() {
            let target = TargetName::new(name).map_err(failed)?;
            let stream = repository.read_target(&target).await.map_err(failed)?;
            let stream = stream
                .ok_or_else(|| RepositoryError::Refused(format!("{name} is not in the list")))?;
            let bytes = stream.into_vec().await.map_err(failed)?;
            files.insert(name.to_owned(), text(name, bytes)?);
        }
        Ok::<_, RepositoryError>(files)
    })?;
    recorder.fetched(chain, files)
}

/// Fetches for tough, and keeps the bytes and what went wrong: tough writes metadata anew where it
/// keeps it, and takes a root that could not be fetched for one that does not exist.
#[derive(Debug, Clone)]
struct Recorder(Arc<Recording>);

#[derive(Debug)]
struct Recording {
    client: Client,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By the last part of the address.
    metadata: BTreeMap<String, Vec<u8>>,
    whole: usize,
    /// Why the last file that was asked for did not come.
    failure: Option<FetchError>,
    /// Why a root did not come that may well be there.
    root: Option<FetchError>,
}

impl Recorder {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        self.seen().failure = None;
        let bytes = self.0.client.get(url)?;
        let mut seen = self.seen();
        seen.whole += bytes.len();
        if seen.whole > LARGEST_WHOLE {
            let limit = LARGEST_WHOLE as u64;
            return Err(FetchError::TooLarge { url: "the repository".to_owned(), limit });
        }
        let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        if url.path().ends_with(&format!("/metadata/{name}")) {
            seen.metadata.insert(name.to_owned(), bytes.clone());
        }
        Ok(bytes)
    }

    /// Why loading failed: what the network said, where that is the reason.
    fn failed(&self, error: &TufError) -> RepositoryError {
        let transport = matches!(error, TufError::Transport { .. });
        match self.seen().failure.take().filter(|_| transport) {
            Some(failure) => failure.into(),
            None => RepositoryError::Refused(words(error)),
        }
    }

    /// What was fetched, now that tough has found it right.
    fn fetched(
        &self,
        chain: &Chain,
        files: BTreeMap<String, String>,
    ) -> Result<Fetched, RepositoryError> {
        let mut seen = self.seen();
        if let Some(failure) = seen.root.take() {
            return Err(failure.into());
        }
        let mut roots = Vec::new();
        let mut version = chain.root.signed.version.get();
        while let Some(bytes) = seen.metadata.remove(&format!("{}.root.json", version + 1)) {
            version += 1;
            roots.push(text("root", bytes)?);
        }
        // With or without a version before its name.
        let mut role = |role: &str| {
            let name = format!("{role}.json");
            let is = |key: &str| key == name || key.ends_with(&format!(".{name}"));
            let key = seen.metadata.keys().find(|key| is(key)).cloned().unwrap_or(name);
            let bytes = seen.metadata.remove(&key);
            let missing = || RepositoryError::Refused(format!("the {role} metadata is missing"));
            text(role, bytes.ok_or_else(missing)?)
        };
        let (timestamp, snapshot, targets) =
            (role("timestamp")?, role("snapshot")?, role("targets")?);
        Ok(Fetched { roots, timestamp, snapshot, targets, files })
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        match Self::fetch(self, &url) {
            Ok(bytes) => Ok(Box::pin(Once(Some(Bytes::from(bytes))))),
            Err(failure) => {
                let mut seen = self.seen();
                // That there is no next root is how the newest one is known.
                let kind = match failure {
                    FetchError::Missing { .. } => TransportErrorKind::FileNotFound,
                    _ => {
                        if url.path().ends_with(".root.json") {
                            seen.root = Some(failure.clone());
                        }
                        TransportErrorKind::Other
                    }
                };
                seen.failure = Some(failure.clone());
                Err(TransportError::new_with_cause(kind, url, failure))
            }
        }
    }
}

/// A body that has arrived.
struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

fn text(what: &str, bytes: Vec<u8>) -> Result<String, RepositoryError> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        RepositoryError::Refused(format!("{what} is not UTF-8 text: byte {at} is not"))
    })
}

/// What tough found, in words for whoever publishes the bundle.
fn words(error: &TufError) -> String {
    match error {
        TufError::ExpiredMetadata { role, .. } => {
            format!("its {role} metadata has expired; sign it anew")
        }
        TufError::VerifyMetadata { role, source, .. } => {
            format!("its {role} metadata is not signed as the root wants it: {source}")
        }
        TufError::OlderMetadata { role, current_version, new_version, .. } => {
            older(&role.to_string(), *new_version, *current_version)
        }
        TufError::OlderSnapshotInTimestamp { snapshot_old, snapshot_new, .. } => {
            older("snapshot", *snapshot_new, *snapshot_old)
        }
        TufError::SnapshotRoleRollback { role, old_role_version, new_role_version, .. } => {
            older(role.trim_end_matches(".json"), *new_role_version, *old_role_version)
        }
        // What the network has to do with it is told already: the body is too long, or another.
        TufError::Transport { url, source, .. } => {
            format!("{url} is not what was signed: {}", cause(source))
        }
        other => other.to_string(),
    }
}

fn older(role: &str, new: u64, before: u64) -> String {
    format!(
        "its {role} metadata is version {new}, older than version {before}, which was trusted \
         before; publish old content under a higher version"
    )
}

/// The innermost reason.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
