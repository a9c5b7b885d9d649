//! Linux: where Chaperone's files lie. The system keeps no store of policies beside them.

use crate::{Folders, Locations};
use chaperone_policy::Layer;
use jiff::Timestamp;
use std::path::PathBuf;

/// There is none.
pub(crate) const STORE: Option<&str> = None;

/// Where IT puts files.
pub(crate) fn folders() -> Folders {
    Folders {
        managed: PathBuf::from("/etc/chaperone/policy.d"),
        recommended: PathBuf::from("/etc/chaperone/recommended.d"),
    }
}

/// The layers of the system's own store of policies: none.
pub(crate) fn layers(_: &Locations, _: Timestamp) -> Vec<Layer> {
    Vec::new()
}

/// The folders in which the system keeps that store: none.
pub(crate) fn files() -> Vec<PathBuf> {
    Vec::new()
}

/// What differs whenever those layers do.
pub(crate) fn mark(_: &Locations) -> Option<String> {
    None
}
