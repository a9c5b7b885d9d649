//! What somebody could put where a policy is looked for: a policy of any format, whole, altered, or
//! nothing of the kind.

use crate::file;
use chaperone_policy::{Layer, RegistryKey, RegistryValue, SourceKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Everything but the managed layers, the built-in defaults among it.
const BELOW: [SourceKind; 11] = [
    SourceKind::AgentFile,
    SourceKind::RecommendedFile,
    SourceKind::RecommendedProfile,
    SourceKind::RecommendedRegistry,
    SourceKind::UserRegistry,
    SourceKind::UserFile,
    SourceKind::UserFile,
    SourceKind::UserPreference,
    SourceKind::CommandLine,
    SourceKind::WorkspaceFile,
    SourceKind::Grant,
];

const MANAGED: [SourceKind; 4] = [
    SourceKind::ManagedFile,
    SourceKind::ManagedProfile,
    SourceKind::ManagedRegistry,
    SourceKind::ManagedBundle,
];

/// How something is put where it does not belong.
#[derive(Debug, Clone)]
enum Change {
    Remove(usize),
    Insert(String),
    /// A line again, somewhere else.
    Repeat(Index),
    Cut,
}

/// Layers that nobody below loosens: right ones, and broken ones.
pub(crate) fn managed() -> impl Strategy<Value = Vec<Layer>> {
    let layer = (select(&MANAGED[..]), prop_oneof![3 => whole().boxed(), 1 => altered().boxed()])
        .prop_flat_map(|(kind, text)| read(kind, text))
        .prop_flat_map(|layers| (Just(layers), 0..9u8))
        .prop_map(|(layers, chance)| match chance {
            0 => layers.into_iter().map(|own| own.untrusted("Others could write it.")).collect(),
            1 => layers.into_iter().map(|own| own.expired("It is over.", false)).collect(),
            _ => layers,
        });
    vec(layer, 1..4).prop_map(|layers| layers.concat())
}

/// What stands below them, valid.
pub(crate) fn below() -> impl Strategy<Value = Vec<Layer>> {
    let layer = (select(&BELOW[..]), whole()).prop_flat_map(|(kind, text)| read(kind, text));
    vec(layer, 0..7).prop_map(|layers| layers.concat())
}

/// What stands below them, from right to nothing of the kind.
pub(crate) fn garbage() -> impl Strategy<Value = Vec<Layer>> {
    let text = prop_oneof![2 => whole().boxed(), 5 => altered().boxed(), 3 => noise().boxed()];
    let layer = (select(&BELOW[..]), text).prop_flat_map(|(kind, text)| read(kind, text));
    vec(layer, 0..7).prop_map(|layers| layers.concat())
}

/// What may stand before the first section.
const TOP: [&str; 9] = [
    "",
    "",
    "",
    "mode = \"observe\"\nuntil = 2999-01-01T00:00:00Z\n",
    "min_version = \"99.0\"\n",
    "when = { os = \"linux\" }\n",
    "when = { os = \"windows\" }\n",
    "when = { workspace = \"~/work/**\" }\n",
    "require = [\"network.deny\"]\n",
];

/// A policy, with conditions and the keys of a layer as a whole here and there.
fn whole() -> impl Strategy<Value = String> {
    (select(&TOP[..]), file(false)).prop_map(|(top, text)| format!("{top}{text}"))
}

fn altered() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(
            &[
                "[",
                "]",
                "{",
                "}",
                "[[",
                "\"",
                "'",
                "'''",
                "\"\"\"",
                "=",
                ",",
                ".",
                "#",
                "\n",
                "\r",
                "\\",
                "\\u0000",
                "\0",
                "\u{feff}",
                "é",
                "[commands]\n",
                "[[commands.rule]]\n",
                "[commands.rule.when]\n",
                "decision = \"allow\"\n",
                "closed = false\n",
                "deny = []\n",
                "[network]\n",
                "mode = \"direct\"\n",
                "prefix = [\"git\"]\n",
                "not_match = [[\"git\"]]\n",
                "99999999999999999999999999",
                "-1",
                "1e400",
                "0x",
                "when = { os = [] }\n",
                "true",
            ][..]
        )
        .prop_map(str::to_owned),
        "[ -~]{1,6}",
        (1..200usize).prop_map(|depth| "[".repeat(depth)),
        (1..200usize).prop_map(|depth| "{ a = ".repeat(depth)),
    ];
    let change = prop_oneof![
        (1..30usize).prop_map(Change::Remove),
        piece.prop_map(Change::Insert),
        any::<Index>().prop_map(Change::Repeat),
        Just(Change::Cut),
    ];
    (whole(), vec((any::<Index>(), change), 1..5)).prop_map(|(mut text, changes)| {
        for (at, change) in changes {
            let mut at = at.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match change {
                Change::Remove(length) => {
                    let end = (at..text.len()).skip(length).find(|end| text.is_char_boundary(*end));
                    text.replace_range(at..end.unwrap_or(text.len()), "");
                }
                Change::Insert(piece) => text.insert_str(at, &piece),
                Change::Repeat(line) => {
                    let lines: Vec<String> = text.lines().map(|own| format!("\n{own}\n")).collect();
                    if !lines.is_empty() {
                        text.insert_str(at, &lines[line.index(lines.len())]);
                    }
                }
                Change::Cut => text.truncate(at),
            }
        }
        text
    })
}

fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<u8>(), 0..200).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "\\PC{0,80}",
        (1..3000usize).prop_map(|depth| format!("[network]\ndeny = {}", "[".repeat(depth))),
        (1..3000usize).prop_map(|depth| "{\"network\":".repeat(depth)),
        (1..3000usize).prop_map(|depth| format!("<plist>{}", "<array>".repeat(depth))),
        "[0-9]{400,500}".prop_map(|digits| format!("[limits]\nprocesses = {digits}\n")),
    ]
}

/// The text as a source of this kind has it: as TOML, as JSON, as a property list, in the registry.
fn read(kind: SourceKind, text: String) -> impl Strategy<Value = Vec<Layer>> {
    (0..4u8, 0..1000u32).prop_map(move |(form, name)| {
        let at = |ending: &str| format!("/{kind}/{name}.{ending}");
        let parsed: Result<toml::Value, _> = toml::from_str(&text);
        match (form, parsed) {
            (1, Ok(value)) => {
                // JSON has no dates.
                let json = serde_json::to_string(&without_dates(value)).unwrap();
                vec![Layer::from_file(kind, &at("json"), &json)]
            }
            (1, Err(_)) => vec![Layer::from_file(kind, &at("json"), &text)],
            (2, Ok(value)) => {
                let mut bytes = Vec::new();
                plist::to_writer_binary(&mut bytes, &without_dates(value)).unwrap();
                vec![Layer::from_plist(kind, &at("plist"), &bytes)]
            }
            (2, Err(_)) => vec![Layer::from_plist(kind, &at("plist"), text.as_bytes())],
            (3, Ok(value)) => {
                let json = serde_json::to_string(&without_dates(value)).unwrap();
                Layer::from_registry(kind, &at("reg"), &registry(json, name))
            }
            (3, Err(_)) => Layer::from_registry(kind, &at("reg"), &registry(text.clone(), name)),
            _ => vec![Layer::from_toml(kind, &at("toml"), &text)],
        }
    })
}

fn without_dates(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Datetime(date) => toml::Value::String(date.to_string()),
        toml::Value::Float(number) if !number.is_finite() => toml::Value::Boolean(false),
        toml::Value::Array(items) => {
            toml::Value::Array(items.into_iter().map(without_dates).collect())
        }
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| (key, without_dates(value)))
            .collect::<toml::Table>()
            .into(),
        other => other,
    }
}

/// A whole policy as JSON in one value, and beside it values of right and wrong types.
fn registry(settings: String, salt: u32) -> RegistryKey {
    let value = |number: u32, text: &str| match number % 5 {
        0 => RegistryValue::Text(text.to_owned()),
        1 => RegistryValue::List(vec![text.to_owned(), "x".to_owned()]),
        2 => RegistryValue::Number(u64::from(salt)),
        3 => RegistryValue::Expand(format!("%USERPROFILE%\\{text}")),
        _ => RegistryValue::Other { kind: salt, data: vec![7; 3] },
    };
    let network = RegistryKey {
        values: vec![
            ("mode".to_owned(), value(salt, "direct")),
            ("allow".to_owned(), value(salt / 5, "a.example:443")),
            ("closed".to_owned(), value(salt / 7, "false")),
        ],
        keys: vec![],
    };
    RegistryKey {
        values: vec![("Settings".to_owned(), RegistryValue::Text(settings))],
        keys: if salt.is_multiple_of(3) { vec![] } else { vec![("network".to_owned(), network)] },
    }
}
