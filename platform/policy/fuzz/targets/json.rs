//! Text to a layer as JSON, held to what `serde_json` makes of the same text.
#![no_main]

use chaperone_policy::{Layer, LayerStatus, SourceKind};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let layer = Layer::from_file(SourceKind::ManagedFile, "/x.json", text);
    if !matches!(serde_json::from_str(text), Ok(Value::Object(_))) {
        assert_eq!(layer.status, LayerStatus::Invalid, "{}", layer.detail);
    }
    if layer.status == LayerStatus::Invalid {
        assert_eq!(layer.settings, Layer::absent(layer.kind, "/x.json").settings);
    }
    fuzz::check(|kind| vec![Layer::from_file(kind, "/x.json", text)]);
});
