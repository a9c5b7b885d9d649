//! Windows: where Chaperone's files lie, and the registry's policies.

pub(crate) mod files;

use crate::{Folders, Locations};
use chaperone_policy::Layer;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// The key of the policies, below `HKLM` and below `HKCU`.
pub(crate) const STORE: Option<&str> = Some(r"SOFTWARE\Policies\Chaperone");

/// Where IT puts files.
pub(crate) fn folders() -> Folders {
    let top = std::env::var_os("ProgramData")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| Path::new(r"C:\ProgramData").to_path_buf())
        .join("Chaperone");
    Folders { managed: top.join("policy.d"), recommended: top.join("recommended.d") }
}

/// The layers of the system's own store of policies.
pub(crate) fn layers(_: &Locations, _: Timestamp) -> Vec<Layer> {
    Vec::new()
}

/// What differs whenever those layers do.
pub(crate) fn mark(_: &Locations) -> Option<String> {
    None
}
