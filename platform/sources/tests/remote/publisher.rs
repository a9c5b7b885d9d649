//! Who publishes a bundle: signs real TUF metadata and writes a repository's files to a folder.

use aws_lc_rs::signature::Ed25519KeyPair;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use tough::TargetName;
use tough::schema::key::Key as TufKey;
use tough::schema::{
    Hashes, Metafile, Role, RoleKeys, RoleType, Root, Signature, Signed, Snapshot, Target, Targets,
    Timestamp as TimestampRole,
};
use tough::sign::Sign;

/// A key pair; the same number gives the same pair.
pub(crate) struct Key(Ed25519KeyPair);

impl Key {
    pub(crate) fn new(number: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap())
    }

    fn public(&self) -> TufKey {
        self.0.tuf_key()
    }

    fn sign<T: Role + Serialize>(&self, role: &T) -> Signature {
        Signature {
            keyid: self.public().key_id().unwrap(),
            sig: self.0.sign(&role.canonical_form().unwrap()).as_ref().to_vec().into(),
        }
    }
}

/// One organisation's repository. Every field can be set before [`Publisher::publish`].
pub(crate) struct Publisher {
    folder: tempfile::TempDir,
    pub(crate) consistent: bool,
    /// Of root, timestamp, snapshot and targets.
    pub(crate) versions: [u64; 4],
    pub(crate) expires: [Timestamp; 4],
    /// The numbers of the keys that the root names for each role.
    pub(crate) keys: [Vec<u8>; 4],
    /// The numbers of the keys that sign each role, where they are others.
    pub(crate) signers: [Option<Vec<u8>>; 4],
    pub(crate) files: BTreeMap<String, String>,
}

pub(crate) const ROOT: usize = 0;
pub(crate) const TIMESTAMP: usize = 1;
pub(crate) const SNAPSHOT: usize = 2;
pub(crate) const TARGETS: usize = 3;

pub(crate) fn days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * days)
}

impl Publisher {
    /// With one policy file, everything good for 30 days.
    pub(crate) fn new() -> Self {
        let files = [("10-base.toml", "revision = \"1\"\n[network]\ndeny = [\"paste.example\"]\n")];
        Self {
            folder: tempfile::TempDir::new().unwrap(),
            consistent: true,
            versions: [1; 4],
            expires: [days(365), days(30), days(60), days(90)],
            keys: [vec![1], vec![2], vec![3], vec![4]],
            signers: [const { None }; 4],
            files: files.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        }
    }

    /// What a web host serves.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The newest root, as it is shipped to laptops.
    pub(crate) fn root(&self) -> String {
        fs::read_to_string(self.path(&format!("metadata/{}.root.json", self.versions[ROOT])))
            .unwrap()
    }

    /// Says something else from now on, under higher versions.
    pub(crate) fn say(&mut self, name: &str, text: &str) {
        self.files.insert(name.to_owned(), text.to_owned());
        self.raise();
    }

    /// Higher versions for all but the root.
    pub(crate) fn raise(&mut self) {
        for role in [TIMESTAMP, SNAPSHOT, TARGETS] {
            self.versions[role] += 1;
        }
    }

    /// Signs and writes all of it.
    pub(crate) fn publish(&self) {
        let targets = self.targets();
        let snapshot = self.snapshot(&self.signed(TARGETS, targets));
        let timestamp = self.timestamp(&self.signed(SNAPSHOT, snapshot));
        self.write("metadata/timestamp.json", &self.signed(TIMESTAMP, timestamp));
        let root = self.signed(ROOT, self.root_role());
        self.write(&format!("metadata/{}.root.json", self.versions[ROOT]), &root);
    }

    fn name(&self, role: &str, version: u64) -> String {
        if self.consistent {
            format!("metadata/{version}.{role}.json")
        } else {
            format!("metadata/{role}.json")
        }
    }

    pub(crate) fn root_role(&self) -> Root {
        let types = [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets];
        let numbers = |role: usize| self.keys[role].iter().map(|number| Key::new(*number));
        let keys = (0..4).flat_map(numbers).map(|key| key.public());
        let roles = types.into_iter().enumerate().map(|(role, kind)| {
            let keyids = numbers(role).map(|key| key.public().key_id().unwrap()).collect();
            (kind, RoleKeys { keyids, threshold: NonZeroU64::MIN, _extra: HashMap::new() })
        });
        Root {
            spec_version: "1.0.0".to_owned(),
            consistent_snapshot: self.consistent,
            version: self.version(ROOT),
            expires: self.expires[ROOT],
            keys: keys.map(|key| (key.key_id().unwrap(), key)).collect(),
            roles: roles.collect(),
            _extra: HashMap::new(),
        }
    }

    /// The policy files with their list.
    pub(crate) fn targets(&self) -> Targets {
        let version = self.version(TARGETS);
        let mut targets = Targets::new("1.0.0".to_owned(), version, self.expires[TARGETS]);
        for (name, text) in &self.files {
            let target = Target {
                length: text.len() as u64,
                hashes: hashes(text.as_bytes()),
                custom: HashMap::new(),
                _extra: HashMap::new(),
            };
            targets.targets.insert(TargetName::new(name).unwrap(), target);
            let hash = hex::encode(Sha256::digest(text));
            let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
            let last = if self.consistent { format!("{hash}.{last}") } else { last.to_owned() };
            // Before the last part of the name, and before the whole of it: both are in use.
            self.write_text(&format!("targets/{folder}/{last}"), text);
            if self.consistent {
                self.write_text(&format!("targets/{hash}.{name}"), text);
            }
        }
        targets
    }

    /// The snapshot of a list, which is written too.
    pub(crate) fn snapshot(&self, targets: &Signed<Targets>) -> Snapshot {
        let text = self.write(&self.name("targets", targets.signed.version.get()), targets);
        let mut snapshot =
            Snapshot::new("1.0.0".to_owned(), self.version(SNAPSHOT), self.expires[SNAPSHOT]);
        snapshot.meta.insert("targets.json".to_owned(), meta(&text, targets.signed.version));
        snapshot
    }

    /// The timestamp of a snapshot, which is written too.
    pub(crate) fn timestamp(&self, snapshot: &Signed<Snapshot>) -> TimestampRole {
        let text = self.write(&self.name("snapshot", snapshot.signed.version.get()), snapshot);
        let mut timestamp = TimestampRole::new(
            "1.0.0".to_owned(),
            self.version(TIMESTAMP),
            self.expires[TIMESTAMP],
        );
        timestamp.meta.insert("snapshot.json".to_owned(), meta(&text, snapshot.signed.version));
        timestamp
    }

    pub(crate) fn signed<T: Role + Serialize>(&self, role: usize, signed: T) -> Signed<T> {
        let numbers = self.signers[role].as_ref().unwrap_or(&self.keys[role]);
        let signatures = numbers.iter().map(|number| Key::new(*number).sign(&signed)).collect();
        Signed { signed, signatures }
    }

    fn version(&self, role: usize) -> NonZeroU64 {
        NonZeroU64::new(self.versions[role]).unwrap()
    }

    pub(crate) fn write<T: Serialize>(&self, path: &str, role: &Signed<T>) -> String {
        let text = serde_json::to_string_pretty(role).unwrap();
        self.write_text(path, &text);
        text
    }

    pub(crate) fn write_text(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn hashes(bytes: &[u8]) -> Hashes {
    Hashes { sha256: Sha256::digest(bytes).to_vec().into(), _extra: HashMap::new() }
}

fn meta(text: &str, version: NonZeroU64) -> Metafile {
    Metafile {
        length: Some(text.len() as u64),
        hashes: Some(hashes(text.as_bytes())),
        version,
        _extra: HashMap::new(),
    }
}
