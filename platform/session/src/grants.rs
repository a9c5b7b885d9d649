//! Grants: approvals that hold in a workspace beyond the session that they were given in. Each is a
//! small file in the user's own folder, which no session reaches; none of it is secret.

use crate::Paths;
use crate::paths::private_dir;
use chaperone_policy::{Approval, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// One user's grants.
#[derive(Debug, Clone)]
pub struct Grants {
    folder: PathBuf,
}

/// An approval that holds for a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptGrant {
    /// Its name: that of the request that it answered.
    pub id: String,
    /// Where it holds.
    pub workspace: PathBuf,
    /// What it covers, as [`Approval::prefix`].
    pub prefix: Vec<String>,
    /// Who gave it.
    pub by: String,
    /// In which session.
    pub session: String,
    /// When.
    pub given: Timestamp,
    /// Until when.
    pub expires: Timestamp,
}

impl Grants {
    /// Those of the user whose folders these are.
    pub fn new(paths: &Paths) -> Self {
        Self { folder: paths.grants() }
    }

    /// Keeps one, in place of an earlier one for the same.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub fn keep(&self, grant: &KeptGrant) -> io::Result<()> {
        let folder = self.folder.join(name(&[&grant.workspace.to_string_lossy()]));
        private_dir(&folder)?;
        let words: Vec<&str> = grant.prefix.iter().map(String::as_str).collect();
        let file = folder.join(name(&words)).with_extension("json");
        // A reader sees the old or the new file, and two writers do not share a draft.
        let draft = file.with_extension(format!("{}", std::process::id()));
        fs::write(&draft, serde_json::to_vec(grant).map_err(io::Error::other)?)?;
        fs::rename(&draft, &file)
    }

    /// Those that hold in a workspace, as a decision takes them. What cannot be read grants nothing.
    pub fn of(&self, workspace: &Path, now: Timestamp) -> Vec<Approval> {
        let folder = self.folder.join(name(&[&workspace.to_string_lossy()]));
        let held = read(&folder).into_iter().map(|(_, grant)| grant);
        let held = held.filter(|grant| grant.workspace == workspace && now < grant.expires);
        held.map(|grant| Approval {
            id: grant.id,
            prefix: grant.prefix,
            scope: Scope::Workspace,
            command: None,
            by: grant.by,
            expires: Some(grant.expires),
        })
        .collect()
    }

    /// All that hold, the latest first.
    pub fn list(&self, now: Timestamp) -> Vec<KeptGrant> {
        let mut all: Vec<KeptGrant> = self.files().into_iter().map(|(_, grant)| grant).collect();
        all.retain(|grant| now < grant.expires);
        all.sort_by(|one, other| other.given.cmp(&one.given).then_with(|| one.id.cmp(&other.id)));
        all
    }

    /// Takes one back. `false`: there is none of this name.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn revoke(&self, id: &str) -> io::Result<bool> {
        let mut found = false;
        for (file, _) in self.files().into_iter().filter(|(_, grant)| grant.id == id) {
            match fs::remove_file(&file) {
                Ok(()) => found = true,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn files(&self) -> Vec<(PathBuf, KeptGrant)> {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        folders.flat_map(|folder| read(&folder.path())).collect()
    }
}

fn read(folder: &Path) -> Vec<(PathBuf, KeptGrant)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|file| file.extension().is_some_and(|own| own == "json"));
    files
        .filter_map(|file| {
            let grant = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            Some((file, grant))
        })
        .collect()
}

/// A name for a file, of words that hold anything.
fn name(words: &[&str]) -> String {
    let mut digest = Sha256::new();
    for word in words {
        digest.update(word.len().to_le_bytes());
        digest.update(word.as_bytes());
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn grant(id: &str, workspace: &str, words: &[&str], expires: i64) -> KeptGrant {
        KeptGrant {
            id: id.into(),
            workspace: workspace.into(),
            prefix: words.iter().map(|word| (*word).to_owned()).collect(),
            by: "ada in the window".into(),
            session: "s1".into(),
            given: at(0),
            expires: at(expires),
        }
    }

    #[test]
    fn a_grant_holds_in_its_workspace_until_it_expires_or_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let grants = Grants { folder: folder.path().join("grants") };
        assert_eq!((grants.list(at(1)), grants.of(Path::new("/w"), at(1))), (vec![], vec![]));
        let push = grant("s1.1", "/w", &["git", "push", "origin"], 100);
        let host = grant("s1.2/a.example:443", "/w", &["tcp://a.example:443"], 50);
        let other = grant("s2.1", "/v", &["tcp://a.example:443"], 100);
        for own in [&push, &host, &other] {
            grants.keep(own).unwrap();
        }
        let held = |workspace: &str, second| {
            let held = grants.of(Path::new(workspace), at(second));
            let mut held: Vec<String> = held.into_iter().map(|own| own.id).collect();
            held.sort();
            held
        };
        assert_eq!(held("/w", 1), ["s1.1", "s1.2/a.example:443"]);
        assert_eq!(held("/v", 1), ["s2.1"]);
        assert_eq!(held("/", 1), [] as [&str; 0]);
        assert_eq!(held("/w", 50), ["s1.1"]);
        // The same once more replaces it.
        grants.keep(&KeptGrant { id: "s3.1".into(), expires: at(200), ..push }).unwrap();
        assert_eq!(held("/w", 150), ["s3.1"]);
        assert!(grants.revoke("s3.1").unwrap() && !grants.revoke("s3.1").unwrap());
        assert_eq!(held("/w", 1), ["s1.2/a.example:443"]);
        let all: Vec<String> = grants.list(at(1)).into_iter().map(|own| own.id).collect();
        assert_eq!(all, ["s1.2/a.example:443", "s2.1"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_grants_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let grants = Grants { folder: folder.path().to_owned() };
        grants.keep(&grant("s1.1", "/w", &["make"], 100)).unwrap();
        let workspace = folder.path().join(name(&["/w"]));
        fs::write(workspace.join("x.json"), "{\"id\": \"s1.2\"").unwrap();
        // Nor does one that was moved under another workspace.
        fs::create_dir(folder.path().join(name(&["/v"]))).unwrap();
        let own = fs::read_dir(&workspace).unwrap().flatten().next().unwrap().file_name();
        fs::copy(workspace.join(&own), folder.path().join(name(&["/v"])).join(&own)).unwrap();
        assert_eq!(grants.of(Path::new("/w"), at(1)).len(), 1);
        assert_eq!(grants.of(Path::new("/v"), at(1)), []);
    }
}
