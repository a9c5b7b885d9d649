//! Files as large as one may be, of the kinds that hostile ones are made of: each is read in a time
//! and a memory that grow with its size alone. Where they grew with its square, these tests would
//! take minutes or more memory than there is.
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_policy::{
    Context, Layer, LayerStatus, Os, Property, RegistryKey, RegistryValue, SourceKind, built_in,
    merge,
};
use std::fmt::Write as _;

/// As many keys as fit into 1 MiB.
const KEYS: usize = 75_000;

const KIND: SourceKind = SourceKind::WorkspaceFile;

/// The layer merges and is explained as any other; how much is wrong with it.
fn findings(layer: Layer) -> usize {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let count = layer.findings().len();
    let policy = merge(vec![built_in(), layer], &context);
    assert!(!policy.values().is_empty());
    count
}

fn toml(text: &str) -> usize {
    findings(Layer::from_toml(KIND, "/x.toml", text))
}

fn json(text: &str) -> usize {
    findings(Layer::from_file(KIND, "/x.json", text))
}

fn plist(entries: Vec<(String, Property)>) -> usize {
    findings(Layer::from_properties(KIND, "x", &entries))
}

fn registry(key: RegistryKey) -> usize {
    let [layer] = Layer::from_registry(KIND, "HKCU\\X", &key).try_into().unwrap();
    findings(layer)
}

fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|number| format!("k{number}"))
}

#[test]
fn toml_of_unknown_keys_is_read() {
    let lines: String = keys().map(|key| format!("{key} = 1\n")).collect();
    assert_eq!(toml(&lines), KEYS);
}

#[test]
fn json_of_unknown_keys_is_read() {
    let entries: Vec<_> = keys().map(|key| format!("\"{key}\":1")).collect();
    assert_eq!(json(&format!("{{{}}}", entries.join(","))), KEYS);
}

#[test]
fn a_property_list_of_unknown_keys_is_read() {
    assert_eq!(plist(keys().map(|key| (key, Property::Integer(1))).collect()), KEYS);
}

#[test]
fn registry_values_that_are_unknown_are_read() {
    let values = keys().map(|key| (key, RegistryValue::Number(1))).collect();
    assert_eq!(registry(RegistryKey { values, keys: vec![] }), KEYS);
}

#[test]
fn registry_keys_that_are_unknown_are_read() {
    let keys = keys().map(|key| (key, RegistryKey::default())).collect();
    assert_eq!(registry(RegistryKey { values: vec![], keys }), KEYS);
}

#[test]
fn a_file_of_headers_is_read() {
    let headers: String = keys().map(|key| format!("[{key}]\n")).collect();
    assert_eq!(toml(&headers), KEYS);
    let dotted: String = keys().map(|key| format!("[network.{key}]\n")).collect();
    assert_eq!(toml(&dotted), KEYS);
    // The same one again and again is no TOML, and said once for each.
    assert_eq!(toml(&"[network]\n".repeat(KEYS)), KEYS - 1);
}

#[test]
fn one_line_of_a_whole_file_is_read() {
    let inline: Vec<_> = keys().map(|key| format!("{key} = 1")).collect();
    assert_eq!(toml(&format!("network = {{ {} }}", inline.join(", "))), KEYS);
    assert_eq!(toml(&format!("network.deny = [{}]", "1,".repeat(KEYS))), KEYS);
    assert_eq!(json(&format!("{{\"network\":{{\"deny\":[{}1]}}}}", "1,".repeat(KEYS))), KEYS + 1);
}

#[test]
fn a_name_of_a_whole_file_is_compared_with_no_other() {
    let name = "k".repeat(1 << 20);
    assert_eq!(toml(&format!("{name} = 1")), 1);
    assert_eq!(json(&format!("{{\"{name}\":1}}")), 1);
}

#[test]
fn many_parts_of_a_long_name_are_read() {
    let name = "k".repeat(500_000);
    assert_eq!(json(&format!("{{\"{name}\":[{}1]}}", "1,".repeat(KEYS))), 1);
    let items = vec![Property::Boolean(true); KEYS];
    assert_eq!(plist(vec![(name.clone(), Property::Array(items))]), 1);
    let items = RegistryValue::List(vec!["x".to_owned(); KEYS]);
    assert_eq!(registry(RegistryKey { values: vec![(name, items)], keys: vec![] }), 1);
}

#[test]
fn a_deep_name_is_refused_or_read() {
    let deep = "a.".repeat(KEYS) + "a";
    toml(&format!("{deep} = 1"));
    toml(&format!("[{deep}]\n"));
    toml(&format!("[network]\nallow = {{ {deep} = 1 }}"));
    let headers: String = (1..400).fold(String::new(), |mut text, depth| {
        let _ = writeln!(text, "[{}a]", "a.".repeat(depth));
        text
    });
    toml(&headers);
    let layer = Layer::from_file(KIND, "/x.json", &"{\"a\":".repeat(KEYS));
    assert_eq!(layer.status, LayerStatus::Invalid);
}
