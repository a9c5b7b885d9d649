//! macOS: where Chaperone's files lie.

use crate::{Folders, Locations};
use chaperone_policy::Layer;
use jiff::Timestamp;
use std::path::PathBuf;

/// The domain of the preferences.
pub(crate) const STORE: Option<&str> = Some("dev.chaperone.desktop");

/// Where IT puts files.
pub(crate) fn folders() -> Folders {
    let top = PathBuf::from("/Library/Application Support/Chaperone");
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
