//! What the table says of a key, in words: for people who read a template, a page or a policy.

use chaperone_policy::{Key, LAYER_KEYS, Os, Type};
use serde_json::Value;

use super::keys;

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
    format!("{} {}", key.about, sentence(&key.takes.words()))
}

/// Whether it is about its own layer, and so never combined with others.
pub(super) fn of_layer(key: &Key) -> bool {
    LAYER_KEYS.contains(key)
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

fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}
