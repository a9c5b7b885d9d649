//! Text to a layer as TOML, held to the `toml` crate's judgement of what is TOML.
#![no_main]

use chaperone_policy::{Layer, LayerStatus, SourceKind};
use libfuzzer_sys::fuzz_target;
use toml::de::{DeTable, DeValue};

fuzz_target!(|text: &str| {
    let layer = Layer::from_toml(SourceKind::ManagedFile, "/x.toml", text);
    // How deep a key may stand is bounded here, and only here.
    if text.matches('.').count() < 80 {
        // A number that is too large is TOML, and left to the keys.
        let is_toml = DeTable::parse(text)
            .is_ok_and(|table| table.get_ref().values().all(|value| has_digits(value.get_ref())));
        assert_eq!(layer.status == LayerStatus::Present, is_toml, "{}", layer.detail);
    }
    fuzz::check(|kind| vec![Layer::from_toml(kind, "/x.toml", text)]);
});

/// Whether each number in it has digits: the library takes a base alone for one until it is asked
/// which.
fn has_digits(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Integer(number) => !number.as_str().is_empty(),
        DeValue::Array(items) => items.iter().all(|item| has_digits(item.get_ref())),
        DeValue::Table(table) => table.values().all(|value| has_digits(value.get_ref())),
        _ => true,
    }
}
