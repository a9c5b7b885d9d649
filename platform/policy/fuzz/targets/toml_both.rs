//! Text to layers as TOML by both ways that there are: the fast one is held to the slow one, in which
//! nothing is taken for plain.
#![no_main]

use chaperone_policy::{Layer, SourceKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for kind in [SourceKind::ManagedFile, SourceKind::UserFile, SourceKind::WorkspaceFile] {
        let slow = Layer::from_toml_slowly(kind, "/x.toml", text);
        assert_eq!(Layer::from_toml(kind, "/x.toml", text), slow);
    }
});
