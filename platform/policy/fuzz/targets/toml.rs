//! Text to a layer as TOML, held to the `toml` crate's judgement of what is TOML, and to the slower
//! way to read it.
#![no_main]

use chaperone_policy::{Layer, LayerStatus, SourceKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let layer = Layer::from_toml(SourceKind::ManagedFile, "/x.toml", text);
    // How deep a key may stand is bounded here, and only here.
    if text.matches('.').count() < 80 {
        let is_toml = toml::from_str::<toml::Table>(text).is_ok();
        assert_eq!(layer.status == LayerStatus::Present, is_toml, "{}", layer.detail);
    }
    for kind in [SourceKind::ManagedFile, SourceKind::UserFile, SourceKind::WorkspaceFile] {
        let slow = Layer::from_toml_slowly(kind, "/x.toml", text);
        assert_eq!(Layer::from_toml(kind, "/x.toml", text), slow);
    }
    fuzz::check(|kind| vec![Layer::from_toml(kind, "/x.toml", text)]);
});
