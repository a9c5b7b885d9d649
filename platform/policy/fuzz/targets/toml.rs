//! Text to a layer as TOML, held to the `toml` crate's judgement of what is TOML.
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
    fuzz::check(|kind| vec![Layer::from_toml(kind, "/x.toml", text)]);
});
