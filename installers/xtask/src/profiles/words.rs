//! What the table says of a key, in words: for people who read a template, a page or a policy.

use chaperone_policy::{Key, LAYER_KEYS, Os, Shape, Type};
use serde_json::Value;

use super::keys;

/// What a key takes, as the end of a sentence.
pub(super) fn takes(takes: Type) -> String {
    match takes {
        Type::Text => "a text".to_owned(),
        Type::Version => "a version such as \"1.2.3\"".to_owned(),
        Type::Date => "a day such as \"2026-12-31\", or a time with its zone".to_owned(),
        Type::Boolean => "true or false".to_owned(),
        Type::Integer(least) => format!("a whole number, at least {least}"),
        Type::Choice(words) => or(words),
        Type::Choices(words) => format!("a list of {}", or(words)),
        Type::Duration { least, most } => {
            format!("a duration from \"{}\" to \"{}\"", seconds(least), seconds(most))
        }
        Type::Size(least) => {
            format!("a size such as \"8 GiB\", or a number of bytes; at least {} MiB", least >> 20)
        }
        Type::Paths => "a list of paths and globs".to_owned(),
        Type::Hosts => "a list of hosts".to_owned(),
        Type::Names => "a list of names, in which * stands for anything".to_owned(),
        Type::Keys => "a list of keys".to_owned(),
        Type::Command => "the words of a command, as a list".to_owned(),
        Type::Commands => "a list of commands, each the list of its words".to_owned(),
        Type::Rules => "a list of rules".to_owned(),
        Type::When => "a table with os, agent and workspace, each a text or a list".to_owned(),
    }
}

/// What a key does and takes, as sentences.
pub(super) fn about(key: &Key) -> String {
    let said = |words: &[&str]| words.iter().all(|word| key.about.contains(&quoted(word)));
    let known = match key.takes {
        Type::Text => true,
        Type::Choice(words) | Type::Choices(words) => said(words),
        _ => false,
    };
    if known {
        return key.about.to_owned();
    }
    format!("{} {}", key.about, sentence(&takes(key.takes)))
}

/// Whether it is about its own layer, and so never combined with others.
pub(super) fn of_layer(key: &Key) -> bool {
    LAYER_KEYS.contains(key)
}

/// How the values of several layers combine, as a sentence.
pub(super) fn merge(key: &Key) -> &'static str {
    match (key.shape, key.takes) {
        (Shape::Rules, Type::Rules) => {
            "Rules that ask or deny hold from every layer, rules that allow from those that may grant."
        }
        (Shape::Rules, _) if key.grants => "The entries of all layers that may grant add up.",
        (Shape::Rules, _) => "The entries of every layer hold.",
        (Shape::Ordered, _) => "The strictest managed value bounds what others choose.",
        (Shape::Preference, _) => "The later layer overrides.",
    }
}

/// When a change takes effect, as a sentence.
pub(super) fn effect(key: &Key) -> &'static str {
    if key.live {
        "A running session takes a change up at once."
    } else {
        "A change takes effect with the next session."
    }
}

/// The systems on which it has an effect, where these are not all.
pub(super) fn systems(key: &Key) -> Option<String> {
    let all = [Os::Linux, Os::Macos, Os::Windows];
    let named = |os: &Os| match os {
        Os::Linux => "Linux",
        Os::Macos => "macOS",
        Os::Windows => "Windows",
    };
    let names: Vec<&str> = key.systems.iter().map(named).collect();
    let some = all.iter().any(|os| !key.systems.contains(os));
    some.then(|| names.join(" and "))
}

/// What holds where nobody has configured anything, in so many words as fit a line.
pub(super) fn default(key: &Key) -> String {
    match keys::default(key) {
        None => "nothing".to_owned(),
        Some(Value::Array(items)) if items.len() > 4 => {
            format!("{} entries, which docs/keys.md lists", items.len())
        }
        Some(value) => value.to_string(),
    }
}

/// `text` with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn or(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}

fn seconds(seconds: u64) -> String {
    match seconds {
        hours if hours.is_multiple_of(3600) && hours > 0 => format!("{}h", hours / 3600),
        minutes if minutes.is_multiple_of(60) && minutes > 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}
