//! Bytes to a layer as a binary property list.
#![no_main]

use chaperone_policy::{Layer, LayerStatus, Property, SourceKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // What is not of this form is the other target's.
    let bytes = match bytes.strip_prefix(b"bplist00") {
        Some(_) => bytes.to_vec(),
        None => [b"bplist00", bytes].concat(),
    };
    let one = Property::parse(&bytes);
    let other = Property::parse(&bytes);
    // By their bytes: a number that is none is not equal to itself.
    let canonical = |read: &Result<Property, _>| read.as_ref().ok().map(Property::canonical);
    assert_eq!(canonical(&one), canonical(&other));
    let layer = Layer::from_plist(SourceKind::ManagedProfile, "/x.plist", &bytes);
    let is_dictionary = matches!(one, Ok(Property::Dictionary(_)));
    assert_eq!(layer.status == LayerStatus::Present, is_dictionary, "{}", layer.detail);
    fuzz::check(|kind| vec![Layer::from_plist(kind, "/x.plist", &bytes)]);
});
