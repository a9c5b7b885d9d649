//! What the generated files promise, held to the reader of policies and to published structure.

use super::*;

#[test]
fn the_generated_files_are_fresh() {
    let stale = stale(&root()).unwrap();
    assert!(stale.is_empty(), "{}", advice(&stale));
}

/// The checkout.
fn root() -> std::path::PathBuf {
    crate::project::Project::find().unwrap().root
}
