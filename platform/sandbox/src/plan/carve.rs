//! Grants for a machine without namespaces: Landlock cannot take back beneath a grant, so a grant
//! with something hidden in it is replaced by grants for what lies beside.

use super::{Disk, Kind};
use std::path::{Path, PathBuf};

/// The paths that together cover `grant` without the `hidden` ones beneath it. What is created
/// in a folder on the way later is not covered.
pub(super) fn carve(grant: &Path, hidden: &[PathBuf], disk: &dyn Disk) -> Vec<PathBuf> {
    let mut kept = Vec::new();
    let beneath: Vec<_> = hidden.iter().filter(|path| path.starts_with(grant)).collect();
    keep(grant, &beneath, disk, &mut kept);
    kept
}

fn keep(path: &Path, hidden: &[&PathBuf], disk: &dyn Disk, kept: &mut Vec<PathBuf>) {
    if hidden.is_empty() {
        kept.push(path.to_owned());
        return;
    }
    if hidden.iter().any(|hidden| *hidden == path) {
        return;
    }
    for entry in disk.children(path).unwrap_or_default() {
        // A link is followed by the kernel, which then asks about its target alone.
        if entry.kind != Kind::Link {
            let child = path.join(entry.name);
            let beneath: Vec<_> =
                hidden.iter().copied().filter(|path| path.starts_with(&child)).collect();
            keep(&child, &beneath, disk, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MapDisk;
    use super::*;

    #[test]
    fn what_lies_beside_is_kept() {
        let disk = MapDisk::new()
            .file("/etc/passwd")
            .file("/etc/shadow")
            .file("/etc/ssh/ssh_config")
            .file("/etc/ssh/ssh_host_rsa_key")
            .file("/etc/apt/sources.list")
            .link("/etc/mtab", "/proc/mounts");
        let hidden = ["/etc/shadow", "/etc/ssh/ssh_host_rsa_key"].map(PathBuf::from);
        assert_eq!(
            carve(Path::new("/etc"), &hidden, &disk),
            [Path::new("/etc/apt"), Path::new("/etc/passwd"), Path::new("/etc/ssh/ssh_config")]
        );
        assert_eq!(carve(Path::new("/etc/apt"), &hidden, &disk), [Path::new("/etc/apt")]);
    }
}
