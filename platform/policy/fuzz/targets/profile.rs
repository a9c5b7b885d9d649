//! Bytes to layers as a configuration profile.
#![no_main]

use chaperone_policy::Layer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let one = Layer::from_profile("/x.mobileconfig", bytes);
    assert_eq!(one, Layer::from_profile("/x.mobileconfig", bytes));
    let Ok(layers) = one else { return };
    assert!(!layers.is_empty());
    for layer in &layers {
        let place = layer.locator.strip_prefix("/x.mobileconfig:PayloadContent[");
        assert!(place.is_some(), "{}", layer.locator);
    }
    fuzz::check_layers(layers);
});
