//! Keys of the Windows registry to values. What a key of the schema takes says what its values in
//! the registry mean. The place of each is what follows the policy's own key: `\network!mode`,
//! `\network\deny!1` in a list of numbered values, `\network!deny[0]` in a `REG_MULTI_SZ`, and
//! `\commands\rule!1#/prefix` within a rule that is written as JSON.
//!
//! Types are taken strictly: a boolean is the number 0 or 1, a number is a number, and nothing is
//! expanded but `%USERPROFILE%` at the beginning of a path, because whoever starts a program
//! chooses its variables.

use super::{Key, Made, Named, Names, Node, Table, Value, json};
use crate::nearest::nearest;
use crate::registry::{RegistryKey, RegistryValue};
use crate::schema::{KEYS, Key as SchemaKey, LAYER_KEYS, Type};
use std::collections::BTreeSet;

/// The value that holds a whole policy as JSON, beside the others.
pub(crate) const SETTINGS: &str = "Settings";

/// Whether a value of the policy's own key is that one.
pub(crate) fn is_settings(name: &str) -> bool {
    name.eq_ignore_ascii_case(SETTINGS)
}

/// The text of the value that holds JSON. A text box of several lines in an administrative
/// template writes one string for each.
pub(crate) fn settings(value: &RegistryValue) -> Option<String> {
    match value {
        RegistryValue::Text(text) | RegistryValue::Expand(text) => Some(text.clone()),
        RegistryValue::List(lines) => Some(lines.join("\n")),
        RegistryValue::Number(_) | RegistryValue::Other { .. } => None,
    }
}

/// A policy's own key as a document, without the value that holds JSON.
pub(crate) fn named(key: &RegistryKey) -> Named {
    let mut decoder = Decoder { places: Names::default() };
    let top = decoder.places.add(None, "");
    let root = decoder.table(Within::Section(""), key, top);
    Named { root, places: decoder.places }
}

/// Whose names are looked at.
#[derive(Clone, Copy)]
enum Within {
    /// The section of this name in full; the root's is empty.
    Section(&'static str),
    /// One entry of a list of rules, which has these keys.
    Rule(&'static [SchemaKey]),
    When,
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Section(&'static str),
    Key(Type),
    Nothing,
}

impl Within {
    /// The names that are known here.
    fn names(self) -> BTreeSet<&'static str> {
        match self {
            Self::Section(section) => {
                let below = |name: &'static str| match section {
                    "" => Some(name),
                    _ => name.strip_prefix(section)?.strip_prefix('.'),
                };
                let first = |rest: &'static str| rest.split('.').next().unwrap_or(rest);
                let keys = KEYS.iter().chain(&LAYER_KEYS);
                keys.filter_map(|key| below(key.name)).map(first).collect()
            }
            Self::Rule(keys) => keys.iter().map(|key| key.name).collect(),
            Self::When => BTreeSet::from(["os", "agent", "workspace"]),
        }
    }

    fn meaning(self, name: &str) -> Meaning {
        let key = match self {
            Self::Section(section) => {
                let dot = if section.is_empty() { "" } else { "." };
                let full = format!("{section}{dot}{name}");
                let section = KEYS.iter().map(|key| key.section()).find(|known| *known == full);
                if let Some(section) = section {
                    return Meaning::Section(section);
                }
                KEYS.iter().chain(&LAYER_KEYS).find(|key| key.name == full).map(|key| key.takes)
            }
            Self::Rule(keys) => keys.iter().find(|key| key.name == name).map(|key| key.takes),
            Self::When => match name {
                "workspace" => Some(Type::Paths),
                "os" | "agent" => Some(Type::Names),
                _ => None,
            },
        };
        key.map_or(Meaning::Nothing, Meaning::Key)
    }

    /// What a name is read as: one that is known, or that the reader may repair to one of `names`.
    fn read_as(self, name: &str, names: &BTreeSet<&'static str>) -> Meaning {
        match self.meaning(name) {
            Meaning::Nothing => nearest(name, names.iter().copied())
                .map_or(Meaning::Nothing, |near| self.meaning(near)),
            known => known,
        }
    }
}

/// A value of the registry, or a key where a value could stand.
enum Entry<'k> {
    Value(&'k RegistryValue),
    Key(&'k RegistryKey),
}

struct Decoder {
    places: Names,
}

impl Decoder {
    /// A value whose place has this name below another.
    fn node(&mut self, above: usize, step: String, value: Value<'static>) -> Node<'static> {
        Node { at: self.places.add(Some(above), step), value }
    }

    /// Its depth is the schema's: what the schema does not know is not looked into.
    fn table(&mut self, within: Within, key: &RegistryKey, at: usize) -> Table<'static> {
        let mut table = Table::new(Made::Inline);
        let names = within.names();
        let is_root = matches!(within, Within::Section(""));
        for (name, value) in &key.values {
            if is_root && is_settings(name) {
                continue;
            }
            let name = normal(name);
            let step = format!("!{name}");
            let node = match within.read_as(&name, &names) {
                Meaning::Key(takes) => self.value(takes, value, at, step),
                Meaning::Section(_) | Meaning::Nothing => self.plain(value, at, step),
            };
            table.push(Key { at: node.at, name: name.into() }, node);
        }
        for (name, key) in &key.keys {
            let name = normal(name);
            let at = self.places.add(Some(at), format!("\\{name}"));
            let value = match within.read_as(&name, &names) {
                Meaning::Section(section) => {
                    Value::Table(self.table(Within::Section(section), key, at))
                }
                Meaning::Key(Type::When) => Value::Table(self.table(Within::When, key, at)),
                Meaning::Key(takes) if takes.is_list() => Value::Array(self.items(takes, key, at)),
                Meaning::Key(_) | Meaning::Nothing => a_key(),
            };
            let node = Node { at, value };
            match table.get_mut(&name) {
                Some(before) if matches!(node.value, Value::Array(_)) => join(before, node),
                _ => add(&mut table, name, node),
            }
        }
        table
    }

    fn value(
        &mut self,
        takes: Type,
        value: &RegistryValue,
        above: usize,
        step: String,
    ) -> Node<'static> {
        match (takes, value) {
            (Type::Boolean, RegistryValue::Number(0)) => {
                self.node(above, step, Value::Boolean(false))
            }
            (Type::Boolean, RegistryValue::Number(1)) => {
                self.node(above, step, Value::Boolean(true))
            }
            (_, RegistryValue::List(items)) if takes.is_list() => {
                let at = self.places.add(Some(above), step);
                let item = |(number, text): (usize, &String)| {
                    self.item(takes, text, at, format!("[{number}]"))
                };
                Node { at, value: Value::Array(items.iter().enumerate().map(item).collect()) }
            }
            (Type::Paths, RegistryValue::Text(text) | RegistryValue::Expand(text)) => {
                self.node(above, step, path(text))
            }
            _ => self.plain(value, above, step),
        }
    }

    /// A value of which nothing is known but its own type.
    fn plain(&mut self, value: &RegistryValue, above: usize, step: String) -> Node<'static> {
        let at = self.places.add(Some(above), step);
        let value = match value {
            RegistryValue::Text(text) | RegistryValue::Expand(text) => {
                Value::String(text.clone().into())
            }
            RegistryValue::Number(number) => i64::try_from(*number)
                .map_or_else(|_| Value::Other(number.to_string().into()), Value::Integer),
            RegistryValue::List(items) => {
                let items = items.iter().enumerate().map(|(number, text)| {
                    self.node(at, format!("[{number}]"), Value::String(text.clone().into()))
                });
                Value::Array(items.collect())
            }
            RegistryValue::Other { .. } => Value::Unread(value.describe().into()),
        };
        Node { at, value }
    }

    /// The entries of a key that stands for a list: what is numbered in that order, then the rest.
    fn items(&mut self, takes: Type, key: &RegistryKey, at: usize) -> Vec<Node<'static>> {
        let values = key.values.iter().map(|(name, value)| (name, Entry::Value(value)));
        let keys = key.keys.iter().map(|(name, key)| (name, Entry::Key(key)));
        let mut entries: Vec<(&String, Entry<'_>)> = values.chain(keys).collect();
        entries.sort_by_cached_key(|(name, _)| match name.parse::<u64>() {
            Ok(number) => (false, number, String::new()),
            Err(_) => (true, 0, normal(name)),
        });
        let item = |(name, entry): (&String, Entry<'_>)| {
            let name = normal(name);
            match (takes, entry) {
                (_, Entry::Value(RegistryValue::Text(text) | RegistryValue::Expand(text))) => {
                    self.item(takes, text, at, format!("!{name}"))
                }
                (_, Entry::Value(value)) => self.plain(value, at, format!("!{name}")),
                (Type::Rules(keys), Entry::Key(key)) => {
                    let at = self.places.add(Some(at), format!("\\{name}"));
                    Node { at, value: Value::Table(self.table(Within::Rule(keys), key, at)) }
                }
                (Type::Commands, Entry::Key(key)) => {
                    let at = self.places.add(Some(at), format!("\\{name}"));
                    Node { at, value: Value::Array(self.items(Type::Command, key, at)) }
                }
                (_, Entry::Key(_)) => self.node(at, format!("\\{name}"), a_key()),
            }
        };
        entries.into_iter().map(item).collect()
    }

    /// One entry of a list. What is no text itself is written as JSON.
    fn item(&mut self, takes: Type, text: &str, above: usize, step: String) -> Node<'static> {
        let value = match takes {
            Type::Rules(_) | Type::Commands if text.trim_start().starts_with(['{', '[']) => {
                match json::value(text) {
                    Ok((mut node, pointers)) => {
                        // Its root takes the place that is added here, and the rest follows.
                        let at = self.places.add(Some(above), step);
                        self.places.adopt(at, pointers, "#");
                        shift(&mut node, at);
                        return node;
                    }
                    Err(error) => Value::Unread(format!("no JSON: {}", error.message).into()),
                }
            }
            Type::Paths => path(text),
            _ => Value::String(text.to_owned().into()),
        };
        self.node(above, step, value)
    }
}

/// Capitals make no difference, and the default value has no name.
fn normal(name: &str) -> String {
    if name.is_empty() { "(Default)".to_owned() } else { name.to_ascii_lowercase() }
}

fn a_key() -> Value<'static> {
    Value::Unread("a key".into())
}

/// Adds a key. Where a value is called like it, the one of them that the schema does not mean
/// becomes one that is not known, and is reported as such.
fn add(table: &mut Table<'static>, name: String, node: Node<'static>) {
    let mut key = Key { at: node.at, name: name.clone().into() };
    if let Some(before) = table.get(&name) {
        if matches!((&before.value, &node.value), (Value::Table(_), _) | (_, Value::Unread(_))) {
            key.name = format!("{name} (a key)").into();
        } else {
            table.rename(&name, format!("{name} (a value)"));
        }
    }
    table.push(key, node);
}

/// A list may stand as a value and as a key: each adds its entries. What is no list there stays an
/// entry that cannot pass for one.
fn join(before: &mut Node<'static>, more: Node<'static>) {
    let Value::Array(more) = more.value else { return };
    match &mut before.value {
        Value::Array(items) => items.extend(more),
        _ => {
            let at = before.at;
            let wrong = std::mem::replace(&mut before.value, Value::Array(Vec::new()));
            let inner = Value::Array(vec![Node { at, value: wrong }]);
            let items = std::iter::once(Node { at, value: inner }).chain(more).collect();
            before.value = Value::Array(items);
        }
    }
}

/// In the registry a path may be written with `\`, and the home as `%USERPROFILE%`.
fn path(text: &str) -> Value<'static> {
    const HOME: &str = "%USERPROFILE%";
    let text = text.replace('\\', "/");
    let home = text.get(..HOME.len()).is_some_and(|start| start.eq_ignore_ascii_case(HOME));
    let rest = text.get(HOME.len()..).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    Value::String(match rest.filter(|_| home) {
        Some(rest) => format!("~{rest}").into(),
        None => text.into(),
    })
}

fn shift(node: &mut Node<'_>, by: usize) {
    node.at += by;
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Value::Table(table) => {
            for (at, value) in table.entries_mut() {
                *at += by;
                shift(value, by);
            }
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Boolean(_)
        | Value::Piece(_)
        | Value::Other(_)
        | Value::Unread(_) => {}
    }
}
