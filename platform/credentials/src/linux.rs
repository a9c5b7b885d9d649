//! The Secret Service (<https://specifications.freedesktop.org/secret-service-spec/>) on the
//! session's D-Bus: GNOME Keyring, KWallet, KeePassXC.

use keyring_core::{CredentialStore, Result};
use std::sync::Arc;
use zbus_secret_service_keyring_store::Store;

/// What to do where there is none.
pub(crate) const REMEDY: &str = "\
    Credentials are kept by a Secret Service: install gnome-keyring, KWallet or KeePassXC, and \
    start Chaperone in a desktop session. Over SSH or in a container, start one for a shell: \
    dbus-run-session -- sh -c 'gnome-keyring-daemon --unlock --components=secrets; exec $SHELL' \
    (it reads a passphrase of your choice from standard input). Chaperone keeps no credential in a \
    plain file.";

/// Whether an item can be given a label.
pub(crate) const LABELS: bool = true;

/// Connects to it.
pub(crate) fn store() -> Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}
