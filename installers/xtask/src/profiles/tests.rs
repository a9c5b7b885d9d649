//! What the generated files promise, held to the reader of policies and to published structure.

mod annotated;
mod dom;
mod macos;
mod registry;
mod schema;
mod structure;
mod template;

use chaperone_policy::{Key, Layer, Os, Settings, SourceKind, Type, rule_keys};
use serde_json::{Map, Value, json};

use super::keys::{self, Level};
use super::*;

#[test]
fn the_generated_files_are_fresh() {
    let stale = stale(&crate::project::Project::find().unwrap().root).unwrap();
    assert!(stale.is_empty(), "{}", advice(&stale));
}

#[test]
fn a_stale_file_is_found_and_written() {
    let root = std::env::temp_dir().join(format!("chaperone-profiles-{}", std::process::id()));
    run(&root, false).unwrap();
    assert_eq!(stale(&root).unwrap(), []);
    let file = root.join("profiles/policy.toml");
    fs::write(&file, "revision = \"1\"\n").unwrap();
    let found = stale(&root).unwrap();
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["profiles/policy.toml"]);
    assert_eq!(run(&root, true).unwrap(), ExitCode::FAILURE);
    assert!(advice(&found).contains("cargo xtask profiles"));
    run(&root, false).unwrap();
    assert_eq!(run(&root, true).unwrap(), ExitCode::SUCCESS);
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn the_reference_describes_every_key() {
    let page = reference::write().unwrap();
    for key in all(Level::Managed, None) {
        let heading = format!("\n### {}\n\n{}\n", key.name, key.about);
        assert!(page.contains(&heading), "{heading}");
        assert!(page.contains(&format!("`{} = {}`", key.last(), key.example)), "{}", key.name);
    }
    let linked = include_str!("../../../../docs/policy.md").contains("(keys.md)");
    assert!(linked, "docs/policy.md does not link the reference");
}

/// Every key that a layer of this level takes.
fn all(level: Level, system: Option<Os>) -> Vec<&'static Key> {
    keys::sections(level, system).into_iter().flat_map(|section| section.keys).collect()
}

/// A policy that says every one of these keys by its example.
fn examples(keys: &[&'static Key]) -> Value {
    let mut policy = json!({});
    for key in keys {
        let example = keys::example(key).unwrap();
        match key.section() {
            "" => policy[key.last()] = example,
            section => policy[section][key.last()] = example,
        }
    }
    policy
}

/// The example of a whole rule of the list of this name.
fn rule(list: &str) -> Value {
    let part = |key: &Key| (key.name.to_owned(), keys::example(key).unwrap());
    let (_, keys) = rule_keys().find(|(name, _)| *name == list).unwrap();
    Value::Object(keys.iter().map(part).collect::<Map<_, _>>())
}

/// Adds to a policy, in place of others, an example of a whole rule of each list.
fn add_rules(policy: &mut Value) {
    for (list, _) in rule_keys() {
        let (section, key) = list.split_once('.').unwrap();
        policy[section][key] = json!([rule(list)]);
    }
}

fn read_json(kind: SourceKind, policy: &Value) -> Layer {
    Layer::from_file(kind, "policy.json", &policy.to_string())
}

/// What a layer says, without where: layers of different forms say the same where these are equal.
fn said(settings: &Settings) -> String {
    let mut out = String::new();
    let text = format!("{settings:#?}");
    for line in text.lines().filter(|line| !line.trim_start().starts_with("line: ")) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn what_a_layer_says_is_compared_whole_and_without_its_places() {
    let read = |text: &str| Layer::from_toml(SourceKind::ManagedFile, "p.toml", text).settings;
    let one = read("[network]\nmode = \"none\"\nallow = [\"a.example\"]\n");
    assert_eq!(said(&one), said(&read("network.allow = [\"a.example\"]\nnetwork.mode = \"none\"")));
    assert_ne!(said(&one), said(&read("network.mode = \"none\"")));
}

#[test]
fn every_example_is_read_and_says_something() {
    let nothing = said(&Settings::default());
    for key in all(Level::Managed, None) {
        let layer = read_json(SourceKind::ManagedFile, &examples(&[key]));
        assert_eq!(layer.findings(), [], "{}", key.name);
        // `require` is checked and then done with.
        let silent = key.takes == Type::Keys;
        assert_eq!(said(&layer.settings) == nothing, silent, "{}", key.name);
    }
    let mut policy = json!({});
    add_rules(&mut policy);
    assert_eq!(read_json(SourceKind::ManagedFile, &policy).findings(), []);
}
