//! The Credential Manager of the user who is signed in.

use keyring_core::{CredentialStore, Result};
use std::sync::Arc;
use windows_native_keyring_store::Store;

/// What to do where it cannot be reached.
pub(crate) const REMEDY: &str = "\
    Credentials are kept in Credential Manager, whose service is called VaultSvc: start it, and \
    sign in with your own account. Chaperone keeps no credential in a plain file.";

/// Whether an item can be given a label.
pub(crate) const LABELS: bool = false;

/// Opens it.
pub(crate) fn store() -> Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// Why there is none, as far as that shows without asking it. Credential Manager belongs to Windows.
pub(crate) fn absence() -> Option<String> {
    None
}
