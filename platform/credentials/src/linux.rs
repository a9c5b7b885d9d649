//! The Secret Service (<https://specifications.freedesktop.org/secret-service-spec/>) on the
//! session's D-Bus: GNOME Keyring, KWallet, KeePassXC.

use keyring_core::{CredentialStore, Result};
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixStream};
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

/// Why there is none, as far as that shows without asking it: the bus that it would be on does not
/// answer. Nothing is started for that, and nothing unlocked.
pub(crate) fn absence() -> Option<String> {
    let given = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|given| !given.is_empty());
    let address = match given {
        Some(given) => given,
        None => format!("unix:path={}/bus", runtime()?),
    };
    is_silent(&address).then(|| format!("no message bus of this session answers at {address}"))
}

/// Where a desktop has its bus if nobody says otherwise.
fn runtime() -> Option<String> {
    let given = std::env::var("XDG_RUNTIME_DIR").ok().filter(|given| !given.is_empty());
    given.or_else(|| Some(format!("/run/user/{}", fs::metadata("/proc/self").ok()?.uid())))
}

/// Whether none of these addresses answers; one of another kind than a socket of this machine may
/// (<https://dbus.freedesktop.org/doc/dbus-specification.html#addresses>).
fn is_silent(addresses: &str) -> bool {
    addresses.split(';').filter(|own| !own.is_empty()).all(|own| {
        let Some(parts) = own.strip_prefix("unix:") else { return false };
        let part = |name: &str| {
            let value = parts.split(',').find_map(|part| part.strip_prefix(name))?;
            value.strip_prefix('=').filter(|value| !value.contains('%'))
        };
        let connected = match (part("path"), part("abstract")) {
            (Some(path), _) => UnixStream::connect(path),
            (None, Some(name)) => connect_abstract(name),
            (None, None) => return false,
        };
        connected.is_err()
    })
}

fn connect_abstract(name: &str) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_bus_that_answers_is_told_from_one_that_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let address = format!("unix:path={},guid=0", path.display());
        assert!(is_silent(&address));
        let _bus = UnixListener::bind(&path).unwrap();
        assert!(!is_silent(&address));
        assert!(!is_silent(&format!("unix:path=/nowhere/bus;{address}")));
        let own = format!("chaperone-test-{}", std::process::id());
        assert!(is_silent(&format!("unix:abstract={own}")));
        let name = SocketAddr::from_abstract_name(&own).unwrap();
        let _bus = UnixListener::bind_addr(&name).unwrap();
        assert!(!is_silent(&format!("unix:abstract={own}")));
        // Nobody can tell.
        for other in ["tcp:host=localhost,port=1", "unix:path=/nowhere%20/bus", "unix:tmpdir=/x"] {
            assert!(!is_silent(other), "{other}");
        }
    }
}
