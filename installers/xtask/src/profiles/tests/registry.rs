//! The Group Policy template is tied to the reader of the registry: each setting, filled in with
//! its key's example and written as Group Policy writes it, is what the same example is in TOML.

use chaperone_policy::{KEYS, LAYER_KEYS, RegistryKey, RegistryValue};

use super::dom::Element;
use super::*;
use crate::profiles::group_policy::{ROOT, rows};

/// Where a setting is written: below the level's own key, as the parts of a key's name.
fn place(level: Level, path: &str) -> Option<Vec<String>> {
    let below = path.strip_prefix(ROOT)?;
    let below = match (level, below.strip_prefix(r"\Recommended")) {
        (Level::Managed, None) => below,
        (Level::Recommended, Some(below)) => below,
        _ => return None,
    };
    Some(below.split('\\').filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// Writes a value as an administrator's policy does (`[MS-GPREG]` 3.2.5.1).
fn write(key: &mut RegistryKey, path: &[String], name: &str, value: RegistryValue) {
    match path.split_first() {
        None => key.values.push((name.to_owned(), value)),
        Some((first, rest)) => {
            let known = key.keys.iter().position(|(own, _)| own == first);
            let at = known.unwrap_or_else(|| {
                key.keys.push((first.clone(), RegistryKey::default()));
                key.keys.len() - 1
            });
            write(&mut key.keys[at].1, rest, name, value);
        }
    }
}

/// The registry after everything of a level has been filled in, and what was said so.
struct Filled {
    registry: RegistryKey,
    said: Value,
}

/// Fills in every setting of a level, or of users (`class` "Both"), with its example.
fn fill(level: Level, users_only: bool) -> Filled {
    let admx = Element::parse(&admx::write().unwrap());
    let mut filled = Filled { registry: RegistryKey::default(), said: json!({}) };
    for policy in &admx.child("policies").children {
        let class = policy.needed("class");
        let Some(path) = place(level, policy.needed("key")) else { continue };
        if users_only && class == "Machine" {
            continue;
        }
        match policy.maybe("elements") {
            None => switch(&mut filled, policy, &path),
            Some(elements) => {
                for element in &elements.children {
                    fill_in(&mut filled, level, element, &path);
                }
            }
        }
    }
    filled
}

fn switch(filled: &mut Filled, policy: &Element, path: &[String]) {
    let name = policy.needed("valueName");
    let example = example(path, name);
    let state = if example == json!(true) { "enabledValue" } else { "disabledValue" };
    let number = policy.child(state).child("decimal").needed("value").parse().unwrap();
    write(&mut filled.registry, path, name, RegistryValue::Number(number));
    say(&mut filled.said, path, name, example);
}

fn fill_in(filled: &mut Filled, level: Level, element: &Element, path: &[String]) {
    let own = element.attribute("key").map(|key| place(level, key).unwrap());
    let path = own.as_deref().unwrap_or(path);
    let registry = &mut filled.registry;
    match element.name.as_str() {
        "list" => {
            assert_eq!(element.needed("valuePrefix"), "", "the values are not numbered");
            let (name, section) = path.split_last().unwrap();
            let example = example(section, name);
            for (at, row) in rows(&example).lines().enumerate() {
                let number = (at + 1).to_string();
                write(registry, path, &number, RegistryValue::Text(row.to_owned()));
            }
            say(&mut filled.said, section, name, example);
        }
        "enum" => {
            let name = element.needed("valueName");
            let words: Vec<&str> = element
                .children
                .iter()
                .map(|item| item.child("value").child("string").text.as_str())
                .collect();
            let (section, key) = if name == "1" {
                let (key, section) = path.split_last().unwrap();
                (section, key.as_str())
            } else {
                (path, name)
            };
            let example = example(section, key);
            // Of a list it is the last, which stands for all before it.
            let last = rows(&example).lines().last().unwrap().to_owned();
            assert!(words.contains(&last.as_str()), "{key} cannot be {last}");
            write(registry, path, name, RegistryValue::Text(last));
            say(&mut filled.said, section, key, example);
        }
        "decimal" => {
            let name = element.needed("valueName");
            let example = example(path, name);
            let number = example.as_u64().unwrap();
            let bound = |name: &str| element.needed(name).parse::<u64>().unwrap();
            assert!((bound("minValue")..=bound("maxValue")).contains(&number), "{name}");
            write(registry, path, name, RegistryValue::Number(number));
            say(&mut filled.said, path, name, example);
        }
        "text" => {
            let name = element.needed("valueName");
            let example = example(path, name);
            let text = example.as_str().unwrap().to_owned();
            assert!(text.len() <= element.needed("maxLength").parse().unwrap(), "{name}");
            write(registry, path, name, RegistryValue::Text(text));
            say(&mut filled.said, path, name, example);
        }
        // The whole policy, which a test of its own fills in.
        "multiText" => assert_eq!(element.needed("valueName"), "Settings"),
        other => panic!("{other}"),
    }
}

/// The example of the key, or of the part of a condition, that stands there.
fn example(section: &[String], name: &str) -> Value {
    let full = section.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
    if let Some(part) = full.strip_prefix("when.") {
        let when = LAYER_KEYS.iter().find(|key| key.name == "when").unwrap();
        return keys::example(when).unwrap()[part].clone();
    }
    let key = KEYS.iter().chain(&LAYER_KEYS).find(|key| key.name == full);
    keys::example(key.unwrap_or_else(|| panic!("no key {full}"))).unwrap()
}

fn say(said: &mut Value, section: &[String], name: &str, example: Value) {
    let mut table = said;
    for part in section {
        table = &mut table[part];
    }
    table[name] = example;
}

fn read(kind: SourceKind, registry: &RegistryKey) -> Vec<Layer> {
    let layers = Layer::from_registry(kind, r"HKLM\SOFTWARE\Policies\Chaperone", registry);
    for layer in &layers {
        assert_eq!(layer.findings(), [], "{}", layer.locator);
    }
    layers
}

#[test]
fn every_setting_is_read_as_its_key() {
    let table = [
        (Level::Managed, SourceKind::ManagedRegistry, SourceKind::ManagedFile),
        (Level::Recommended, SourceKind::RecommendedRegistry, SourceKind::RecommendedFile),
    ];
    for (level, registry, file) in table {
        let filled = fill(level, false);
        let wanted = examples(&all(level, Some(Os::Windows)));
        assert_eq!(filled.said, wanted, "a key has no setting, or a setting no key");
        let [layer] = read(registry, &filled.registry).try_into().unwrap();
        assert_eq!(said(&layer.settings), said(&read_json(file, &wanted).settings), "{level:?}");
    }
}

#[test]
fn users_are_offered_what_restricts_and_nothing_that_is_for_managed_layers() {
    let filled = fill(Level::Managed, true);
    let useful = |key: &&Key| !key.managed_only && !key.grants;
    let keys: Vec<_> = all(Level::Managed, Some(Os::Windows)).into_iter().filter(useful).collect();
    assert_eq!(filled.said, examples(&keys));
    read(SourceKind::UserRegistry, &filled.registry);
}

#[test]
fn a_switch_that_is_disabled_says_false_and_one_that_is_enabled_true() {
    let admx = Element::parse(&admx::write().unwrap());
    let policies = &admx.child("policies").children;
    let switches: Vec<_> = policies.iter().filter(|one| one.maybe("elements").is_none()).collect();
    assert_eq!(switches.len(), 4);
    for policy in switches {
        for (state, expected) in [("enabledValue", true), ("disabledValue", false)] {
            let at = policy.needed("key");
            let managed = (Level::Managed, SourceKind::ManagedRegistry, SourceKind::ManagedFile);
            let own =
                (Level::Recommended, SourceKind::RecommendedRegistry, SourceKind::RecommendedFile);
            // What is recommended stands in a key of its own beneath what is managed.
            let recommended = place(Level::Recommended, at).is_some();
            let (level, registry_kind, file) = if recommended { own } else { managed };
            let path = place(level, at).unwrap();
            let name = policy.needed("valueName");
            let number = policy.child(state).child("decimal").needed("value").parse().unwrap();
            let mut registry = RegistryKey::default();
            write(&mut registry, &path, name, RegistryValue::Number(number));
            let mut policy = json!({});
            say(&mut policy, &path, name, json!(expected));
            let [layer] = read(registry_kind, &registry).try_into().unwrap();
            let wanted = read_json(file, &policy);
            assert_eq!(said(&layer.settings), said(&wanted.settings), "{name} {state}");
        }
    }
}

#[test]
fn the_whole_policy_can_be_pasted_in_several_lines() {
    let policy = examples(&all(Level::Managed, None));
    let text = serde_json::to_string_pretty(&policy).unwrap();
    let lines = text.lines().map(str::to_owned).collect();
    let mut registry = RegistryKey::default();
    write(&mut registry, &[], "Settings", RegistryValue::List(lines));
    let [layer] = read(SourceKind::ManagedRegistry, &registry).try_into().unwrap();
    assert_eq!(said(&layer.settings), said(&read_json(SourceKind::ManagedFile, &policy).settings));
}
