//! The user's login keychain (Keychain Services).

use apple_native_keyring_store::keychain::Store;
use keyring_core::{CredentialStore, Result};
use std::sync::Arc;

/// What to do where it cannot be reached.
pub(crate) const REMEDY: &str = "\
    Credentials are kept in your login keychain: unlock it in Keychain Access, or over SSH with \
    `security unlock-keychain`. Chaperone keeps no credential in a plain file.";

/// Whether an item can be given a label.
pub(crate) const LABELS: bool = false;

/// Opens it.
pub(crate) fn store() -> Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// Why there is none, as far as that shows without asking it. A login keychain belongs to every account.
pub(crate) fn absence() -> Option<String> {
    None
}
