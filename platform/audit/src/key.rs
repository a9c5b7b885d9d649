//! The device's key: an ed25519 key that this user's Chaperone makes once and signs with, in the
//! format of C2SP's signed notes (c2sp.org/signed-note), so that others' tools verify it.
//!
//! It lies in the history folder, which no session reaches. So what it signs was said by this
//! user's Chaperone or by this user, and not by an agent.

use crate::error::During;
use crate::layout::Layout;
use crate::{Error, Result, device, platform};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::str::FromStr;

/// The type of an ed25519 key in a signed note.
const ED25519: u8 = 1;

/// What a private key's text begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// What a signature's line begins with.
const DASH: &str = "\u{2014} ";

/// The key that this user's Chaperone signs with.
pub struct DeviceKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceKey").field(&self.public().to_string()).finish()
    }
}

impl DeviceKey {
    /// The key of a history folder, which is made with it if there is none.
    ///
    /// # Errors
    /// If it cannot be read or made.
    pub fn open(folder: &Path) -> Result<Self> {
        platform::create_folder(folder)?;
        let layout = Layout::new(folder);
        // Two that begin at once must not make two.
        let _guard = device::lock(&layout)?;
        if let Some(key) = Self::read(&layout)? {
            return Ok(key);
        }
        let mut random = [0u8; 36];
        getrandom::fill(&mut random).map_err(|error| Error::Key(error.to_string()))?;
        let (number, seed) = random.split_at(4);
        let seed = seed.first_chunk().copied().unwrap_or_default();
        let name = format!("chaperone-device-{}", hex::encode(number));
        let key = Self { name, key: SigningKey::from_bytes(&seed) };
        let path = layout.key();
        // What is half written is nobody's key.
        let new = path.with_extension("new");
        let mut options = platform::options();
        let mut file =
            options.write(true).create(true).truncate(true).open(&new).during("create", &new)?;
        file.write_all(key.secret().as_bytes()).during("write", &new)?;
        file.sync_all().during("sync", &new)?;
        fs::rename(&new, &path).during("rename", &new)?;
        platform::sync_folder(folder)?;
        Ok(key)
    }

    /// The public part of a history folder's key, if there is one. Makes none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn public_of(folder: &Path) -> Result<Option<PublicKey>> {
        Ok(Self::read(&Layout::new(folder))?.map(|key| key.public()))
    }

    fn read(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.key();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).during("read", &path),
        };
        let key = Self::from_secret(text.trim_end());
        let expected = || {
            Error::Key(format!(
                "{} holds no key that was made here; remove it, and the next self-test makes a new \
                 one, which whoever collects reports has to be told",
                path.display()
            ))
        };
        key.map(Some).ok_or_else(expected)
    }

    fn from_secret(text: &str) -> Option<Self> {
        let (name, id, bytes) = parts(text.strip_prefix(PRIVATE)?)?;
        let key = Self { name, key: SigningKey::from_bytes(&bytes) };
        (key.public().id() == id).then_some(key)
    }

    fn secret(&self) -> String {
        let id = hex::encode(self.public().id());
        format!("{PRIVATE}{}+{id}+{}\n", self.name, typed(self.key.as_bytes()))
    }

    /// Its public part.
    pub fn public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The signature of a text, as the line of a signed note: `— NAME BASE64`. The text ends with a
    /// line feed, which a note demands.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let bytes = [&self.public().id()[..], &signature].concat();
        format!("{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A key that verifies what a [`DeviceKey`] signed. Written `NAME+ID+BASE64`, as in signed notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// Which key a signature is by: the first four bytes of `SHA-256(name ‖ LF ‖ type ‖ key)`.
    fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519]);
        hasher.update(self.key.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Whether a signature's line is this key's, of exactly this text.
    pub fn verifies(&self, text: &str, line: &str) -> bool {
        let signed = || {
            let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
            let bytes = STANDARD.decode(encoded).ok()?;
            let (id, signature) = bytes.split_first_chunk::<4>()?;
            let signature = Signature::from_slice(signature).ok()?;
            let whose = name == self.name && *id == self.id();
            (whose && self.key.verify_strict(text.as_bytes(), &signature).is_ok()).then_some(())
        };
        signed().is_some()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), typed(self.key.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let key = parts(text).and_then(|(name, id, bytes)| {
            let key = Self { name, key: VerifyingKey::from_bytes(&bytes).ok()? };
            (key.id() == id).then_some(key)
        });
        let expected = "expected a key as a report's `key` has it: NAME+ID+BASE64";
        key.ok_or_else(|| Error::Key(format!("`{text}` is no key; {expected}")))
    }
}

/// A key's name, id and bytes.
fn parts(text: &str) -> Option<(String, [u8; 4], [u8; 32])> {
    let mut parts = text.splitn(3, '+');
    let (name, id, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = !name.is_empty() && !name.contains(char::is_whitespace);
    let mut number = [0; 4];
    hex::decode_to_slice(id, &mut number).ok()?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (kind, key) = bytes.split_first()?;
    (fits && *kind == ED25519).then_some((name.to_owned(), number, key.try_into().ok()?))
}

fn typed(key: &[u8; 32]) -> String {
    STANDARD.encode([&[ED25519][..], key].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the format's first implementation documents.
    const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNED: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUg\
                          YN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn what_others_signed_is_verified_and_nothing_else_is() {
        let key: PublicKey = NEUMANN.parse().unwrap();
        assert_eq!(key.to_string(), NEUMANN);
        assert!(key.verifies(TEXT, SIGNED));
        assert!(!key.verifies(&TEXT.replace("answer", "question"), SIGNED));
        assert!(!key.verifies(TEXT, &SIGNED.replace("PeterNeumann", "AnybodyElse")));
        assert!(!key.verifies(TEXT, &SIGNED.replace("/ZJk", "/ZJl")));
        assert!(!key.verifies(TEXT, ""));
        assert!(NEUMANN.replace("c74f", "c74e").parse::<PublicKey>().is_err());
    }

    #[test]
    fn a_folder_has_one_key_which_its_owner_alone_reads() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(DeviceKey::public_of(folder.path()).unwrap(), None);
        let key = DeviceKey::open(folder.path()).unwrap();
        let line = key.sign("said\n");
        let again = DeviceKey::open(folder.path()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(DeviceKey::public_of(folder.path()).unwrap(), Some(key.public()));
        assert!(key.public().verifies("said\n", &line));
        assert!(!key.public().verifies("said\n\n", &line));
        let other = tempfile::tempdir().unwrap();
        let other = DeviceKey::open(other.path()).unwrap().public();
        assert!(!other.verifies("said\n", &line));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let file = fs::metadata(folder.path().join("device.key")).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
        fs::write(folder.path().join("device.key"), "nothing").unwrap();
        let error = DeviceKey::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds no key"), "{error}");
    }
}
