//! Which keys the policy's entries mean, read once when a session starts.

use chaperone_policy::{Context, Policy, PublicKey, SshKey};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// No file of a public key is longer.
const MOST: u64 = 16 << 10;

/// A key, with the entries of the policy that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedKey {
    /// As agents name it.
    pub(crate) blob: Vec<u8>,
    /// More than one where it is named twice.
    pub(crate) names: Vec<SshKey>,
}

/// The keys that are named, and what is wrong with files that should hold one. A file that is not
/// there is no trouble: an organisation's policy names what not everybody has.
pub(crate) fn named(policy: &Policy, context: &Context) -> (Vec<NamedKey>, Vec<String>) {
    let mut keys: Vec<NamedKey> = Vec::new();
    let mut troubles = Vec::new();
    for entry in &policy.signing().ssh_keys {
        let found = match &entry.value {
            SshKey::Line(key) => vec![key.clone()],
            SshKey::File(text) => {
                let pattern = text.expand(context);
                let Some(path) = pattern.as_literal() else { continue };
                match read(path, context) {
                    Ok(keys) => keys,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        let path = path.display();
                        troubles
                            .push(format!("{path} lets no key sign: {error} ({})", entry.origin));
                        continue;
                    }
                }
            }
        };
        for key in found {
            match keys.iter_mut().find(|known| known.blob == key.blob()) {
                Some(known) => known.names.push(entry.value.clone()),
                None => {
                    let (blob, names) = (key.blob().to_owned(), vec![entry.value.clone()]);
                    keys.push(NamedKey { blob, names });
                }
            }
        }
    }
    (keys, troubles)
}

/// The public keys in a file that no session writes.
fn read(path: &Path, context: &Context) -> io::Result<Vec<PublicKey>> {
    let real = path.canonicalize()?;
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let Context { workspace, home, .. } = context;
    // No session starts where the home lies in the workspace.
    if real.starts_with(workspace) && !home.starts_with(workspace) {
        return refused("it lies in the workspace, which must not say which key signs");
    }
    let file = File::open(&real)?;
    if !file.metadata()?.is_file() {
        return refused("it is no file");
    }
    let mut text = String::new();
    if file.take(MOST).read_to_string(&mut text)? as u64 == MOST {
        return refused("it is longer than a public key");
    }
    let lines = text.lines().map(str::trim);
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    match keys.map(PublicKey::parse).collect::<Option<Vec<_>>>() {
        Some(keys) if !keys.is_empty() => Ok(keys),
        Some(_) | None => refused("it holds something else than public keys"),
    }
}
