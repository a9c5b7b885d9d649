//! Policies made from the schema, right and wrong: every format reads the same of them.

use crate::{HKLM, places};
use chaperone_policy::{
    Finding, KEYS, LAYER_KEYS, Layer, RegistryKey, RegistryValue, Settings, SourceKind, Type,
};
use plist::{Dictionary, Integer, Value as Plist};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use toml::{Table, Value};

/// A property list in its binary form.
pub(crate) fn binary(xml: &[u8]) -> Vec<u8> {
    let value = Plist::from_reader_xml(xml).unwrap();
    let mut bytes = Vec::new();
    value.to_writer_binary(&mut bytes).unwrap();
    bytes
}

fn texts(pattern: &'static str) -> BoxedStrategy<Value> {
    vec(pattern.prop_map(Value::String), 0..4).prop_map(Value::Array).boxed()
}

/// What a key takes, and often enough what it does not.
fn value(takes: Type) -> BoxedStrategy<Value> {
    let text = |pattern: &'static str| pattern.prop_map(Value::String).boxed();
    let words = |words: &'static [&'static str]| {
        prop_oneof![4 => select(words), 1 => Just("other")]
            .prop_map(|word| Value::String(word.to_owned()))
            .boxed()
    };
    match takes {
        Type::Text => text("[ -~äö€]{0,12}"),
        Type::Version => text("[0-9]{1,2}(\\.[0-9]{1,2}){0,3}"),
        Type::Date => text("20[0-9]{2}-[0-1][0-9]-[0-3][0-9](T1[0-9]:00:00(Z|[+]02:00)?)?"),
        Type::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Type::Integer(_) => (0i64..10_000).prop_map(Value::Integer).boxed(),
        Type::Choice(choices) => words(choices),
        Type::Choices(choices) => vec(words(choices), 0..3).prop_map(Value::Array).boxed(),
        Type::Duration { .. } => text("[0-9]{1,4}(s|m|h|d)"),
        Type::Size(_) => {
            prop_oneof![text("[0-9]{1,4} ?[MG]iB"), (0..i64::MAX).prop_map(Value::Integer)].boxed()
        }
        Type::Paths => texts("(~/|~bob/|/|\\*\\*/)?[a-z*.?]{0,6}(/[a-zö*]{1,5})?"),
        Type::Hosts => texts("(\\*\\.)?[a-z*]{0,6}(\\.example)?(:[0-9]{1,5})?"),
        Type::Host => text("(\\*\\.)?[a-z*]{0,6}(\\.example)?(:[0-9]{1,5})?"),
        Type::Credential => text("[A-Za-z0-9._ -]{0,8}"),
        Type::Proxy => text("(https?://)?[a-z*]{0,6}(\\.example)?(:[0-9]{1,5})?/?"),
        Type::Files => texts("(~/|/|C:/)?[a-z*/]{0,6}"),
        Type::Methods => texts("[A-Za-z -]{0,6}"),
        Type::UrlPaths => texts("(/[a-z*%]{0,5}){0,3}"),
        Type::Names => texts("[A-Z*_=]{0,6}"),
        Type::SshKeys => texts("(~/|/|ssh-rsa )?[A-Za-z*/]{0,6}(.pub)?"),
        Type::Uploads => texts("([*a-z.]{0,6} )?[0-9]{1,3} [MG]iB per (1h|session|1d)"),
        Type::Organisations => texts("(github|google|acme)?:[a-z. ]{0,6}"),
        Type::Keys | Type::Command => texts("[a-z./ -]{0,6}"),
        Type::Commands => vec(texts("[a-z./-]{1,6}"), 0..3).prop_map(Value::Array).boxed(),
        Type::Rules(keys) => {
            let keys = keys.iter().map(|key| (key.name, key.takes)).collect();
            vec(table(keys), 0..4)
                .prop_map(|rules| Value::Array(rules.into_iter().map(Value::Table).collect()))
                .boxed()
        }
        Type::When => table(vec![
            ("os", Type::Choices(&["linux", "macos", "windows"])),
            ("agent", Type::Text),
            ("workspace", Type::Paths),
        ])
        .prop_map(Value::Table)
        .boxed(),
    }
}

/// A table with some of these keys; a key with dots stands in tables.
fn table(keys: Vec<(&'static str, Type)>) -> BoxedStrategy<Table> {
    let few = 0..=keys.len();
    let entry = |(name, takes)| value(takes).prop_map(move |value| (name, value)).boxed();
    subsequence(keys, few)
        .prop_flat_map(move |keys| keys.into_iter().map(entry).collect::<Vec<_>>())
        .prop_map(|entries| {
            let mut table = Table::new();
            for (name, value) in entries {
                match name.split_once('.') {
                    Some((section, name)) => {
                        let section = table.entry(section).or_insert(Value::Table(Table::new()));
                        section.as_table_mut().unwrap().insert(name.to_owned(), value);
                    }
                    None => drop(table.insert(name.to_owned(), value)),
                }
            }
            table
        })
        .boxed()
}

/// A whole policy.
fn policy() -> BoxedStrategy<Table> {
    table(KEYS.iter().chain(&LAYER_KEYS).map(|key| (key.name, key.takes)).collect())
}

/// The same policy with values of other types put into it, where a format has them.
fn spoiled() -> BoxedStrategy<Table> {
    let other = prop_oneof![
        Just(Value::Float(1.5)),
        Just(Value::Boolean(true)),
        Just(Value::Integer(1)),
        Just(Value::String("none".to_owned())),
        Just(Value::Array(vec![Value::Integer(7), Value::String("x".to_owned())])),
        Just(Value::Table(Table::new())),
    ];
    const NAMES: [&str; 7] =
        ["network", "newtork", "mode", "unknown", "filesystem", "limits", "colour"];
    (policy(), vec((select(&NAMES[..]), other, any::<bool>()), 1..4))
        .prop_map(|(mut policy, others)| {
            for (name, value, inside) in others {
                let sections: Vec<String> = policy.keys().cloned().collect();
                let section = sections.get(name.len() % sections.len().max(1)).filter(|_| inside);
                match section.and_then(|section| policy.get_mut(section)) {
                    Some(Value::Table(section)) => drop(section.insert(name.to_owned(), value)),
                    _ => drop(policy.insert(name.to_owned(), value)),
                }
            }
            policy
        })
        .boxed()
}

fn plist(value: &Value) -> Plist {
    match value {
        Value::String(text) => Plist::String(text.clone()),
        Value::Integer(number) => Plist::Integer(Integer::from(*number)),
        Value::Float(number) => Plist::Real(*number),
        Value::Boolean(value) => Plist::Boolean(*value),
        Value::Array(items) => Plist::Array(items.iter().map(plist).collect()),
        Value::Table(table) => Plist::Dictionary(dictionary(table)),
        Value::Datetime(_) => unreachable!("none is made"),
    }
}

fn dictionary(table: &Table) -> Dictionary {
    table.iter().map(|(name, value)| (name.clone(), plist(value))).collect()
}

fn xml(dictionary: Dictionary) -> Vec<u8> {
    let mut bytes = Vec::new();
    Plist::Dictionary(dictionary).to_writer_xml(&mut bytes).unwrap();
    bytes
}

/// A profile with this payload.
fn profile(mut payload: Dictionary, kind: &str) -> Vec<u8> {
    let text = |text: &str| Plist::String(text.to_owned());
    payload.insert("PayloadType".to_owned(), text(kind));
    payload.insert("PayloadUUID".to_owned(), text("1B0C8F5D-9E0F-4A59-8A43-0B8F9F6B0E12"));
    let mut whole = Dictionary::new();
    whole.insert("PayloadType".to_owned(), text("Configuration"));
    whole.insert("PayloadContent".to_owned(), Plist::Array(vec![Plist::Dictionary(payload)]));
    xml(whole)
}

fn under(name: &str, value: Plist) -> Dictionary {
    [(name.to_owned(), value)].into_iter().collect()
}

/// The policy as a domain of its own, of either form, and as payloads of either shape.
fn property_lists(policy: &Table) -> Vec<Layer> {
    let own = dictionary(policy);
    let settings = under("mcx_preference_settings", Plist::Dictionary(own.clone()));
    let forced = under("Forced", Plist::Array(vec![Plist::Dictionary(settings)]));
    let domains = under("dev.chaperone.desktop", Plist::Dictionary(forced));
    let wrapped = under("PayloadContent", Plist::Dictionary(domains));
    let plain = xml(own.clone());
    let domain = |bytes: &[u8]| Layer::from_plist(SourceKind::ManagedProfile, "domain", bytes);
    let mut layers = vec![domain(&plain), domain(&binary(&plain))];
    for bytes in [
        profile(own, "dev.chaperone.desktop"),
        profile(wrapped, "com.apple.ManagedClient.preferences"),
    ] {
        layers.extend(Layer::from_profile("profile", &bytes).unwrap());
    }
    layers
}

/// The policy as a key of the registry; `numbered` chooses how lists are written.
fn registry(table: &Table, numbered: bool) -> RegistryKey {
    let mut key = RegistryKey::default();
    for (name, value) in table {
        let name = name.clone();
        match value {
            Value::Table(table) => key.keys.push((name, registry(table, numbered))),
            Value::Array(items) if numbered || !items.iter().all(Value::is_str) => {
                key.keys.push((name, list(items, numbered)));
            }
            value => key.values.push((name, scalar(value))),
        }
    }
    key
}

fn list(items: &[Value], numbered: bool) -> RegistryKey {
    let mut key = RegistryKey::default();
    for (item, at) in items.iter().zip(1..) {
        let at: usize = at;
        match item {
            Value::Table(table) if numbered => {
                key.keys.push((at.to_string(), registry(table, numbered)));
            }
            Value::Array(words) if numbered => key.keys.push((at.to_string(), list(words, true))),
            Value::Table(_) | Value::Array(_) => {
                let json = serde_json::to_string(item).unwrap();
                key.values.push((at.to_string(), RegistryValue::Text(json)));
            }
            plain => key.values.push((at.to_string(), scalar(plain))),
        }
    }
    key
}

fn scalar(value: &Value) -> RegistryValue {
    match value {
        Value::String(text) => RegistryValue::Text(text.clone()),
        Value::Integer(number) => RegistryValue::Number(number.unsigned_abs()),
        Value::Boolean(value) => RegistryValue::Number(u64::from(*value)),
        Value::Array(items) => {
            RegistryValue::List(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => unreachable!("none is made"),
    }
}

/// What was read, and what was found wrong, without the places.
fn read(layer: Layer) -> (Settings, Vec<String>) {
    let told = |finding: &Finding| {
        let Finding { file: _, line: _, column: _, key, problem, expected, found, status } =
            finding;
        format!("{key}: {problem:?}: {expected}, {found}, {status:?}")
    };
    let mut findings: Vec<String> = layer.findings().iter().map(told).collect();
    findings.sort_unstable();
    (places::without(layer.settings), findings)
}

fn files(policy: &Table) -> [Layer; 2] {
    let managed = SourceKind::ManagedFile;
    let json = serde_json::to_string(policy).unwrap();
    [
        Layer::from_toml(managed, "/p.toml", &toml::to_string(policy).unwrap()),
        Layer::from_file(managed, "/p.json", &json),
    ]
}

proptest! {
    #[test]
    fn any_policy_is_the_identical_object_in_every_format(policy in policy()) {
        let [toml, json] = files(&policy);
        let expected = read(toml);
        prop_assert_eq!(&read(json), &expected);
        for layer in property_lists(&policy) {
            prop_assert_eq!(&read(layer), &expected);
        }
        for numbered in [false, true] {
            let key = registry(&policy, numbered);
            let mut layers = Layer::from_registry(SourceKind::ManagedRegistry, HKLM, &key);
            prop_assert_eq!(layers.len(), 1);
            prop_assert_eq!(&read(layers.remove(0)), &expected);
        }
    }

    #[test]
    fn what_is_wrong_is_wrong_alike_in_files_and_property_lists(policy in spoiled()) {
        let [toml, json] = files(&policy);
        let expected = read(toml);
        prop_assert_eq!(&read(json), &expected);
        for layer in property_lists(&policy) {
            prop_assert_eq!(&read(layer), &expected);
        }
    }
}
