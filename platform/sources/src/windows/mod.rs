//! Windows: where Chaperone's files lie, and the registry's policies.

pub(crate) mod files;
mod folders;
mod registry;
pub(crate) mod watch;

pub use folders::{UserFolders, user_folders};

use crate::{Folders, Locations};
use chaperone_policy::{Layer, Reading, RegistryKey, SourceKind};
use jiff::Timestamp;
use registry::{Hive, RegistryError};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// The key of the policies, below `HKLM` and below `HKCU`.
pub(crate) const STORE: Option<&str> = Some(r"SOFTWARE\Policies\Chaperone");

/// The key of what IT only recommends, below the one of the policies of the machine.
const RECOMMENDED: &str = "Recommended";

/// Where IT puts files.
pub(crate) fn folders() -> Folders {
    // Without an answer there is a name that nobody can have made a file by.
    let top = folders::program_data()
        .map_or_else(|| PathBuf::from(r"C:\ProgramData\Chaperone"), |top| top.join("Chaperone"));
    Folders { managed: top.join("policy.d"), recommended: top.join("recommended.d") }
}

type Read = Result<Option<RegistryKey>, RegistryError>;

/// The layers of the registry: those of the machine, managed and recommended, and the user's.
pub(crate) fn layers(locations: &Locations, now: Timestamp) -> Vec<Layer> {
    let Some(path) = &locations.store else { return Vec::new() };
    let locator = |hive: Hive| format!(r"{}\{path}", hive.name());
    let (managed, recommended) = parted(registry::read(Hive::Machine, path));
    let machine = locator(Hive::Machine);
    let mut layers = found(
        SourceKind::RecommendedRegistry,
        &format!(r"{machine}\{RECOMMENDED}"),
        recommended,
        now,
    );
    layers.extend(found(SourceKind::ManagedRegistry, &machine, managed, now));
    let user = registry::read(Hive::User, path);
    layers.extend(found(SourceKind::UserRegistry, &locator(Hive::User), user, now));
    layers
}

/// What is managed and what is recommended, which lies within. Where nothing else does, nothing is
/// managed.
fn parted(read: Read) -> (Read, Read) {
    let mut managed = match read {
        Ok(Some(key)) => key,
        Ok(None) => return (Ok(None), Ok(None)),
        // What it recommends does not matter where no session starts.
        Err(error) => return (Err(error), Ok(None)),
    };
    let place = managed.keys.iter().position(|(name, _)| name.eq_ignore_ascii_case(RECOMMENDED));
    let Some(place) = place else { return (Ok(Some(managed)), Ok(None)) };
    let (_, recommended) = managed.keys.remove(place);
    let rest = (managed != RegistryKey::default()).then_some(managed);
    (Ok(rest), Ok(Some(recommended)))
}

fn found(kind: SourceKind, locator: &str, read: Read, now: Timestamp) -> Vec<Layer> {
    match read {
        Ok(Some(key)) => {
            let reading = Reading::new(key.canonical(), now);
            let layers = Layer::from_registry(kind, locator, &key);
            layers.into_iter().map(|layer| layer.with_reading(reading.clone())).collect()
        }
        Ok(None) => vec![Layer::absent(kind, locator)],
        Err(error) => {
            let detail = format!("{locator} cannot be read: {error}.");
            vec![Layer::unreadable(kind, locator, &detail)]
        }
    }
}

/// What differs whenever those layers do.
pub(crate) fn mark(locations: &Locations) -> Option<String> {
    let path = locations.store.as_deref()?;
    let mut digest = Sha256::new();
    for hive in [Hive::Machine, Hive::User] {
        let read = match registry::read(hive, path) {
            Ok(Some(key)) => key.canonical(),
            Ok(None) => b"absent".to_vec(),
            Err(error) => error.to_string().into_bytes(),
        };
        digest.update((read.len() as u64).to_be_bytes());
        digest.update(read);
    }
    Some(hex::encode(digest.finalize()))
}
