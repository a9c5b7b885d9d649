//! The keychain, which is connected to once and only when it is first asked.

use crate::{Error, Name, Secret, system};
use keyring_core::{CredentialStore, Entry, Error as StoreError};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What all of Chaperone's credentials are filed under: the application's own name.
const SERVICE: &str = "dev.chaperone.desktop";

/// A keychain.
pub struct Keychain {
    connect: fn() -> keyring_core::Result<Arc<CredentialStore>>,
    /// People look into it by labels.
    has_labels: bool,
    store: Mutex<Option<Arc<CredentialStore>>>,
}

impl Keychain {
    /// That of the user who runs this process. Nothing is asked yet.
    pub fn of_this_user() -> Self {
        Self { connect: system::store, has_labels: system::LABELS, store: Mutex::default() }
    }

    /// One that lasts as long as this value.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let store: Arc<CredentialStore> = keyring_core::sample::Store::new().unwrap();
        let unused = || Err(StoreError::NoDefaultStore);
        Self { connect: unused, has_labels: false, store: Mutex::new(Some(store)) }
    }

    fn entry(&self, name: &Name) -> Result<Entry, Error> {
        let mut kept = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match kept.as_ref() {
            Some(store) => Arc::clone(store),
            None => {
                let no_keychain = |error| Error::NoKeychain { why: said(&error) };
                let store = (self.connect)().map_err(no_keychain)?;
                Arc::clone(kept.insert(store))
            }
        };
        drop(kept);
        let label = format!("Chaperone: {name}");
        let modifiers = HashMap::from([("label", label.as_str())]);
        let modifiers = self.has_labels.then_some(&modifiers);
        let entry = store.build(SERVICE, name.as_str(), modifiers);
        entry.map_err(|error| failed(name, &error))
    }

    pub(crate) fn set(&self, name: &Name, secret: &Secret) -> Result<(), Error> {
        self.entry(name)?.set_secret(secret.reveal()).map_err(|error| failed(name, &error))
    }

    pub(crate) fn get(&self, name: &Name) -> Result<Secret, Error> {
        let value = self.entry(name)?.get_secret().map_err(|error| failed(name, &error))?;
        Secret::take(value).map_err(|_| Error::Spoiled(name.clone()))
    }

    pub(crate) fn remove(&self, name: &Name) -> Result<(), Error> {
        self.entry(name)?.delete_credential().map_err(|error| failed(name, &error))
    }
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}

fn failed(name: &Name, error: &StoreError) -> Error {
    let name = name.clone();
    match error {
        StoreError::NoEntry => Error::Unknown(name),
        StoreError::NoStorageAccess(_) => Error::Locked { name, why: said(error) },
        // What was read is not shown, whatever it is.
        StoreError::BadEncoding(_) | StoreError::BadDataFormat(..) => Error::Spoiled(name),
        _ => Error::Failed { name, why: said(error) },
    }
}

/// What a store says, on one line.
fn said(error: &StoreError) -> String {
    let text = match error {
        StoreError::PlatformFailure(source) | StoreError::NoStorageAccess(source) => {
            source.to_string()
        }
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
