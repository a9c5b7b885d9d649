//! The preferences of a real Mac: what `defaults` writes is the user's own, and nothing is forced.
#![cfg(target_os = "macos")]
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_policy::{LayerStatus, SourceKind};
use chaperone_sources::{Locations, read};
use std::path::Path;
use std::process::Command;

#[test]
fn a_plain_default_is_the_users_own_value() {
    let domain = format!("dev.chaperone.test-{}", std::process::id());
    let defaults = |arguments: &[&str]| {
        let done = Command::new("/usr/bin/defaults").args(arguments).status().unwrap();
        assert!(done.success(), "{arguments:?}");
    };
    let home = std::env::var("HOME").unwrap();
    let mut locations = Locations::system(Path::new(&home), None, None, Vec::new());
    locations.store = Some(domain.clone());
    let before = chaperone_sources::stamp(&locations);
    defaults(&["write", &domain, "network", "-dict", "mode", "none"]);
    let layers = read(&locations);
    let changed = before.is_outdated();
    defaults(&["delete", &domain]);
    let of = |kind| layers.iter().find(|layer| layer.kind == kind).unwrap();
    let own = of(SourceKind::UserPreference);
    assert_eq!((own.status, own.findings()), (LayerStatus::Present, [].as_slice()));
    let mode = own.settings.network.mode.as_ref().unwrap();
    assert_eq!(own.origin(mode.line).locator, format!("{domain}:network.mode"));
    assert_eq!(of(SourceKind::ManagedProfile).status, LayerStatus::Absent);
    assert!(changed);
}
