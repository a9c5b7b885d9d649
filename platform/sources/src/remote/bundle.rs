//! A bundle as it is kept, and whether it may be believed: every signature, version, length, hash
//! and expiry of it, from the root that the managed policy names down to each policy file.
//!
//! No network, no file, no clock: what is kept and the time come in. The order of the checks is
//! that of "Detailed client workflow" in the TUF specification, version 1.0.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use tough::schema::{
    Metafile, Role, RoleType, Root, Signed, Snapshot, Targets, Timestamp as Stamp,
};

/// What one bundle may hold, so that a session's start stays quick.
pub(crate) const MOST_FILES: usize = 64;

/// The version of [`Stored`].
const FORMAT: u32 = 1;

/// A bundle as it was fetched: the files of the repository, byte for byte, in one place, so that
/// it is replaced whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    format: u32,
    /// The repository.
    pub(crate) url: String,
    /// When it was fetched.
    pub(crate) fetched: Timestamp,
    /// The roots after the one that the managed policy named, each signed by the one before.
    pub(crate) roots: Vec<String>,
    pub(crate) timestamp: String,
    pub(crate) snapshot: String,
    pub(crate) targets: String,
    /// The policy files by their targets' names.
    pub(crate) files: BTreeMap<String, String>,
}

/// A bundle that may be believed, if it has not expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The version of the list of targets: it rises with each change of a policy file.
    pub(crate) version: u64,
    /// When the first of its parts expires.
    pub(crate) expires: Timestamp,
    /// Which part that is.
    pub(crate) first: RoleType,
}

/// Why a bundle is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unbelievable(pub(crate) String);

/// A chain of roots.
pub(crate) struct Chain {
    pub(crate) root: Signed<Root>,
    /// The last root, as it was written.
    pub(crate) text: String,
    /// Those after the first, as they were written.
    pub(crate) after: Vec<String>,
}

impl Stored {
    pub(crate) fn new(
        url: String,
        fetched: Timestamp,
        roots: Vec<String>,
        [timestamp, snapshot, targets]: [String; 3],
        files: BTreeMap<String, String>,
    ) -> Self {
        Self { format: FORMAT, url, fetched, roots, timestamp, snapshot, targets, files }
    }

    /// What was kept by this or an earlier version of Chaperone.
    pub(crate) fn parse(text: &str) -> Result<Self, Unbelievable> {
        let stored: Self = serde_json::from_str(text)
            .map_err(|error| Unbelievable(format!("it is damaged: {error}")))?;
        if stored.format != FORMAT {
            let found = stored.format;
            return Err(Unbelievable(format!("it is of format {found}, not {FORMAT}")));
        }
        Ok(stored)
    }

    /// Whether the repository holds the same as before.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self { format: _, url: _, fetched: _, roots, timestamp, snapshot, targets, files } =
            self;
        *roots == other.roots
            && *timestamp == other.timestamp
            && *snapshot == other.snapshot
            && *targets == other.targets
            && *files == other.files
    }

    /// Checks all of it but whether it has expired, which [`Verified`] says.
    pub(crate) fn verify(&self, trusted: &str) -> Result<Verified, Unbelievable> {
        let root = chain(trusted, &self.roots)?.root.signed;
        let timestamp: Signed<Stamp> = signed(&root, &self.timestamp)?;
        let about = timestamp.signed.meta.get("snapshot.json").filter(|_| {
            timestamp.signed.meta.len() == 1 // the specification's section 4.6
        });
        let snapshot: Signed<Snapshot> = signed(&root, &self.snapshot)?;
        same(about, &self.snapshot, &snapshot.signed)?;
        let about = snapshot.signed.meta.get("targets.json");
        let targets: Signed<Targets> = signed(&root, &self.targets)?;
        same(about, &self.targets, &targets.signed)?;

        let listed = policy_files(&targets.signed)?;
        if listed.len() != self.files.len() {
            return Err(Unbelievable("it is not the files that its list names".to_owned()));
        }
        for (name, target) in &listed {
            let text =
                self.files.get(*name).ok_or_else(|| Unbelievable(format!("{name} is missing")))?;
            let right = target.length == text.len() as u64
                && target.hashes.sha256.as_ref() == Sha256::digest(text).as_slice();
            if !right {
                return Err(Unbelievable(format!("{name} is not what was signed")));
            }
        }
        let ends = [
            (root.expires(), RoleType::Root),
            (timestamp.signed.expires(), RoleType::Timestamp),
            (snapshot.signed.expires(), RoleType::Snapshot),
            (targets.signed.expires(), RoleType::Targets),
        ];
        let (expires, first) =
            ends.into_iter().fold(ends[0], |first, end| if end.0 < first.0 { end } else { first });
        Ok(Verified { version: targets.signed.version.get(), expires, first })
    }
}

/// Follows the roots from the trusted one, as far as each is signed by the one before and by
/// itself. Those that the trusted one has overtaken are left out, and so are those of another
/// chain: whoever manages the machine has started anew.
pub(crate) fn chain(trusted: &str, later: &[String]) -> Result<Chain, Unbelievable> {
    let parse = |text: &str| {
        serde_json::from_str::<Signed<Root>>(text)
            .map_err(|error| Unbelievable(format!("its root is no root of TUF: {error}")))
    };
    let mut chain = Chain { root: parse(trusted)?, text: trusted.to_owned(), after: Vec::new() };
    chain
        .root
        .signed
        .verify_role(&chain.root)
        .map_err(|_| Unbelievable("the trusted root is not signed by its own keys".to_owned()))?;
    for text in later {
        let Ok(next) = parse(text) else { break };
        let current = &chain.root.signed;
        if next.signed.version <= current.version {
            continue;
        }
        let follows = next.signed.version.get() == current.version.get() + 1
            && current.verify_role(&next).is_ok()
            && next.signed.verify_role(&next).is_ok();
        if !follows {
            break;
        }
        chain.root = next;
        chain.text.clone_from(text);
        chain.after.push(text.clone());
    }
    Ok(chain)
}

/// The targets that are policy files, in name order.
pub(crate) fn policy_files(
    targets: &Targets,
) -> Result<BTreeMap<&str, &tough::schema::Target>, Unbelievable> {
    if targets.delegations.as_ref().is_some_and(|delegations| !delegations.roles.is_empty()) {
        return Err(Unbelievable(
            "it delegates targets to other roles, which is not read here: list the policy files \
             in the targets role itself"
                .to_owned(),
        ));
    }
    let mut files = BTreeMap::new();
    for (name, target) in &targets.targets {
        if !is_policy_file(name.raw()) {
            continue;
        }
        if name.raw() != name.resolved() || name.raw().starts_with('/') {
            let name = name.raw();
            return Err(Unbelievable(format!("the target {name:?} is not named plainly")));
        }
        if target.length > crate::LARGEST {
            return Err(Unbelievable(format!("{} is larger than 1 MiB", name.raw())));
        }
        files.insert(name.raw(), target);
    }
    if files.len() > MOST_FILES {
        let count = files.len();
        return Err(Unbelievable(format!("it has {count} policy files, more than {MOST_FILES}")));
    }
    Ok(files)
}

fn is_policy_file(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    crate::is_policy_file(last.as_ref())
}

/// A role's metadata, signed by as many of its keys as the root wants.
fn signed<T>(root: &Root, text: &str) -> Result<Signed<T>, Unbelievable>
where
    T: Role + Serialize + for<'de> Deserialize<'de>,
{
    let role = T::TYPE;
    let signed: Signed<T> = serde_json::from_str(text)
        .map_err(|error| Unbelievable(format!("its {role} metadata is damaged: {error}")))?;
    root.verify_role(&signed).map_err(|error| {
        Unbelievable(format!("its {role} metadata is not signed as the root wants it: {error}"))
    })?;
    Ok(signed)
}

/// Whether a role's metadata is the one that the role above it means.
fn same<T: Role>(about: Option<&Metafile>, text: &str, is: &T) -> Result<(), Unbelievable> {
    let role = T::TYPE;
    let about = about.ok_or_else(|| {
        Unbelievable(format!("the metadata above its {role} metadata does not name it"))
    })?;
    let is: NonZeroU64 = is.version();
    let right = about.version == is
        && about.length.is_none_or(|length| length >= text.len() as u64)
        && about
            .hashes
            .as_ref()
            .is_none_or(|hashes| hashes.sha256.as_ref() == Sha256::digest(text).as_slice());
    if right {
        return Ok(());
    }
    Err(Unbelievable(format!(
        "its {role} metadata is version {is} and not the one that was signed with the rest, version {}",
        about.version
    )))
}
