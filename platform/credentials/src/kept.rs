//! The credentials of one user: values in the keychain, and beside each a small file that says when
//! it was set and last used. Nothing in that file is secret.

use crate::{Error, Keychain, Name, Secret};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// One user's credentials.
#[derive(Debug)]
pub struct Credentials {
    folder: PathBuf,
    keychain: Keychain,
}

/// What is known of a credential without asking for its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub name: Name,
    /// When it was set last; unknown where that cannot be read.
    pub set: Option<Timestamp>,
    /// When a session used it last.
    pub used: Option<Timestamp>,
}

/// The content of the file beside.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Beside {
    set: Option<Timestamp>,
    used: Option<Timestamp>,
}

impl Credentials {
    /// Those of the user of this keychain; what is known of them stands in this folder, which need
    /// not exist yet and no session may reach.
    pub fn new(folder: PathBuf, keychain: Keychain) -> Self {
        Self { folder, keychain }
    }

    /// Keeps a value, in place of the one before.
    ///
    /// # Errors
    /// When the keychain does not take it; then nothing has changed.
    pub fn set(&self, name: &Name, secret: &Secret, now: Timestamp) -> Result<(), Error> {
        self.keychain.set(name, secret)?;
        self.write(name, &Beside { set: Some(now), used: None })
    }

    /// The value.
    ///
    /// # Errors
    /// When there is none, or the keychain keeps it back.
    pub fn get(&self, name: &Name) -> Result<Secret, Error> {
        self.keychain.get(name)
    }

    /// Every credential that was set here, by name. The keychain is not asked: what somebody took
    /// out of it by other means is still told.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(beside(&self.folder, source)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let file = entry.map_err(|source| beside(&self.folder, source))?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
            let Some(name) = name.and_then(|name| Name::parse(name).ok()) else { continue };
            let Beside { set, used } = self.read(&name);
            all.push(Entry { name, set, used });
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Takes one out of the keychain.
    ///
    /// # Errors
    /// When there is none of this name, or the keychain does not give it up.
    pub fn remove(&self, name: &Name) -> Result<(), Error> {
        let removed = self.keychain.remove(name);
        let gone = matches!(removed, Err(Error::Unknown(_)));
        if removed.is_err() && !gone {
            return removed;
        }
        let file = self.file(name);
        match fs::remove_file(&file) {
            // Somebody took it out of the keychain by other means.
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => removed,
            Err(source) => Err(beside(&file, source)),
        }
    }

    /// Notes that a session uses it now. Of one that is not kept, or is no longer, nothing is noted: it
    /// would be listed as kept.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn used(&self, name: &Name, now: Timestamp) -> Result<(), Error> {
        if !self.file(name).exists() {
            return Ok(());
        }
        self.write(name, &Beside { used: Some(now), ..self.read(name) })
    }

    fn file(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// A file that cannot be read says nothing: nothing in it protects anything.
    fn read(&self, name: &Name) -> Beside {
        let text = fs::read(self.file(name)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, name: &Name, content: &Beside) -> Result<(), Error> {
        private(&self.folder).map_err(|source| beside(&self.folder, source))?;
        let file = self.file(name);
        // A reader sees the old or the new file, and two writers do not share a draft.
        let draft = self.folder.join(format!("{name}.{}", std::process::id()));
        let text = serde_json::to_vec(content).map_err(io::Error::other);
        let written = text.and_then(|text| fs::write(&draft, text));
        written.and_then(|()| fs::rename(&draft, &file)).map_err(|source| beside(&file, source))
    }
}

/// A folder that its owner alone reads.
fn private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

fn beside(file: &Path, source: io::Error) -> Error {
    Error::Beside { file: file.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::take(text.into()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_credential_is_kept_told_used_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("credentials");
        let kept = Credentials::new(state.clone(), Keychain::in_memory());
        assert_eq!(kept.list().unwrap(), []);
        assert!(matches!(kept.get(&name("a")), Err(Error::Unknown(_))));

        kept.set(&name("b"), &secret("first-value"), at(1)).unwrap();
        kept.set(&name("a"), &secret("other-value"), at(2)).unwrap();
        kept.used(&name("b"), at(3)).unwrap();
        assert_eq!(kept.get(&name("b")).unwrap(), secret("first-value"));
        let entry = |own: &str, set, used: Option<i64>| Entry {
            name: name(own),
            set: Some(at(set)),
            used: used.map(at),
        };
        assert_eq!(kept.list().unwrap(), [entry("a", 2, None), entry("b", 1, Some(3))]);

        // A new value has not been used.
        kept.set(&name("b"), &secret("second-value"), at(4)).unwrap();
        assert_eq!(kept.get(&name("b")).unwrap(), secret("second-value"));
        assert_eq!(kept.list().unwrap(), [entry("a", 2, None), entry("b", 4, None)]);

        for file in fs::read_dir(&state).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(!text.contains("value"), "{text}");
        }
        kept.remove(&name("b")).unwrap();
        assert_eq!(kept.list().unwrap(), [entry("a", 2, None)]);
        assert!(matches!(kept.remove(&name("b")), Err(Error::Unknown(_))));
        assert!(matches!(kept.get(&name("b")), Err(Error::Unknown(_))));
        kept.used(&name("b"), at(5)).unwrap();
        assert_eq!(kept.list().unwrap(), [entry("a", 2, None)], "a use does not bring it back");
    }

    #[test]
    fn what_was_taken_out_by_other_means_can_still_be_removed_here() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Credentials::new(folder.path().to_owned(), Keychain::in_memory());
        kept.set(&name("a"), &secret("some-value"), at(1)).unwrap();
        kept.keychain.remove(&name("a")).unwrap();
        assert!(matches!(kept.get(&name("a")), Err(Error::Unknown(_))));
        kept.remove(&name("a")).unwrap();
        assert_eq!(kept.list().unwrap(), []);
    }
}
