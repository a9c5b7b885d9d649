//! The ProfileManifest of a preferences domain: what ProfileCreator and iMazing Profile Editor make
//! a form of ("Manifest Format", ProfileManifests).

use anyhow::{Context, Result};
use chaperone_policy::{Key, Os, Type};
use plist::{Date, Dictionary, Value};
use serde_json::Value as Json;

use super::keys::{self, Level, Section};
use super::{patterns, words};

/// Of two manifests for one domain, editors take the later: raise it when the table of keys
/// changes.
const MODIFIED: &str = "2026-11-22T00:00:00Z";

/// The file's text.
pub(super) fn write(level: Level) -> Result<String> {
    let mut subkeys = common(level);
    for Section { name, title, keys } in keys::sections(level, Some(Os::Macos)) {
        let own = keys.into_iter().map(subkey).collect::<Result<Vec<_>>>()?;
        if name.is_empty() {
            subkeys.extend(own);
        } else {
            subkeys.push(dictionary(name, title, own));
        }
    }
    let version = version()?;
    let modified = Date::from_xml_format(MODIFIED).context("no date")?;
    let mut manifest = Dictionary::new();
    let mut put = |name: &str, value: Value| manifest.insert(name.to_owned(), value);
    put("pfm_description", level.about().into());
    put("pfm_domain", level.domain().into());
    put("pfm_format_version", 1.into());
    put("pfm_last_modified", Value::Date(modified));
    put("pfm_platforms", Value::Array(vec!["macOS".into()]));
    put("pfm_subkeys", array(subkeys));
    put("pfm_targets", Value::Array(vec!["system".into(), "user".into()]));
    put("pfm_title", level.title().into());
    put("pfm_unique", true.into());
    put("pfm_version", version.into());
    let mut out = Vec::new();
    Value::Dictionary(manifest).to_writer_xml(&mut out)?;
    Ok(String::from_utf8(out)? + "\n")
}

/// A whole number that grows with Chaperone's version.
fn version() -> Result<i64> {
    let numbers = env!("CARGO_PKG_VERSION").split('.').map(str::parse::<i64>);
    let numbers = numbers.collect::<Result<Vec<_>, _>>().context("this version is no number")?;
    Ok(numbers.iter().fold(0, |sum, number| sum * 1000 + number))
}

fn entry(name: &str, title: &str, takes: &str) -> Dictionary {
    let mut entry = Dictionary::new();
    entry.insert("pfm_name".to_owned(), name.into());
    entry.insert("pfm_title".to_owned(), title.into());
    entry.insert("pfm_type".to_owned(), takes.into());
    entry
}

fn array(entries: Vec<Dictionary>) -> Value {
    Value::Array(entries.into_iter().map(Value::Dictionary).collect())
}

/// A key of the table as an editor's field.
fn subkey(key: &Key) -> Result<Dictionary> {
    let mut field = field(key.last(), key.title, key.takes);
    field.insert("pfm_description".to_owned(), words::about(key).into());
    match keys::example(key)? {
        Json::String(text) => {
            field.insert("pfm_value_placeholder".to_owned(), text.into());
        }
        Json::Number(number) => {
            field.insert("pfm_value_placeholder".to_owned(), number.to_string().into());
        }
        _ => {}
    }
    let default = match keys::default(key) {
        Some(Json::String(text)) => Some(text.into()),
        Some(Json::Bool(value)) => Some(value.into()),
        Some(Json::Number(number)) => number.as_i64().map(Value::from),
        _ => None,
    };
    if let Some(default) = default {
        field.insert("pfm_default".to_owned(), default);
    }
    Ok(field)
}

/// A field with what it takes.
fn field(name: &str, title: &str, takes: Type) -> Dictionary {
    let list = |of: Dictionary| {
        let mut list = entry(name, title, "array");
        list.insert("pfm_subkeys".to_owned(), array(vec![of]));
        list
    };
    let text = |pattern: &str| {
        let mut text = entry(name, title, "string");
        text.insert("pfm_format".to_owned(), pattern.into());
        text
    };
    let choice = |words: &[&str]| {
        let mut choice = entry(name, title, "string");
        let words = words.iter().map(|word| Value::from(*word)).collect();
        choice.insert("pfm_range_list".to_owned(), Value::Array(words));
        choice
    };
    match takes {
        Type::Text => entry(name, title, "string"),
        Type::Version => text(patterns::VERSION),
        Type::Date => text(patterns::DATE),
        Type::Boolean => entry(name, title, "boolean"),
        Type::Integer(least) => {
            let mut number = entry(name, title, "integer");
            number.insert("pfm_range_min".to_owned(), Value::from(least));
            number
        }
        Type::Choice(words) => choice(words),
        Type::Choices(words) => list(anonymous(choice(words))),
        Type::Duration { .. } => text(patterns::DURATION),
        Type::Size(_) => text(patterns::SIZE),
        Type::Paths => list(anonymous(text(patterns::PATH))),
        Type::Host => text(&patterns::host()),
        Type::Proxy => text(&patterns::proxy()),
        Type::Credential => text(patterns::CREDENTIAL),
        Type::Files => list(anonymous(text(patterns::FILE))),
        Type::Methods => list(anonymous(text(patterns::METHOD))),
        Type::UrlPaths => list(anonymous(text(patterns::URL_PATH))),
        Type::Hosts => list(anonymous(text(&patterns::host()))),
        Type::Names => list(anonymous(text(patterns::NAME))),
        Type::SshKeys => list(anonymous(text(patterns::SSH_KEY))),
        Type::Uploads => list(anonymous(text(patterns::UPLOAD))),
        Type::Organisations => list(anonymous(text(&patterns::organisation()))),
        Type::Keys | Type::Command => list(anonymous(entry(name, title, "string"))),
        Type::Commands => list(anonymous(field(name, title, Type::Command))),
        Type::Rules(keys) => list(anonymous(dictionary(name, title, rule(keys)))),
        Type::When => dictionary(name, title, when()),
    }
}

/// An entry of a list has no name of its own.
fn anonymous(mut field: Dictionary) -> Dictionary {
    field.remove("pfm_name");
    field.remove("pfm_title");
    field
}

fn dictionary(name: &str, title: &str, fields: Vec<Dictionary>) -> Dictionary {
    let mut dictionary = entry(name, title, "dictionary");
    dictionary.insert("pfm_subkeys".to_owned(), array(fields));
    dictionary
}

fn rule(keys: &[Key]) -> Vec<Dictionary> {
    let described = |key: &Key| {
        let mut field = field(key.name, key.title, key.takes);
        field.insert("pfm_description".to_owned(), key.about.into());
        if key.needed {
            field.insert("pfm_require".to_owned(), "always-nested".into());
        }
        field
    };
    keys.iter().map(described).collect()
}

fn when() -> Vec<Dictionary> {
    vec![
        field("os", "Systems", Type::Choices(&["linux", "macos", "windows"])),
        field("agent", "Agents", Type::Keys),
        field("workspace", "Workspaces", Type::Paths),
    ]
}

/// The keys that every payload has, which editors expect a manifest to name.
fn common(level: Level) -> Vec<Dictionary> {
    let text = |name: &str, title: &str, about: &str, default: Option<&str>| {
        let mut field = entry(name, title, "string");
        field.insert("pfm_description".to_owned(), about.into());
        if let Some(default) = default {
            field.insert("pfm_default".to_owned(), default.into());
        }
        field
    };
    let domain = Some(level.domain());
    let mut uuid = text("PayloadUUID", "Payload UUID", "Made by the editor.", None);
    let digits = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";
    uuid.insert("pfm_format".to_owned(), digits.into());
    let mut version = entry("PayloadVersion", "Payload Version", "integer");
    version.insert("pfm_description".to_owned(), "The version of the payload's format.".into());
    version.insert("pfm_default".to_owned(), 1.into());
    let name = "What people see of the payload.";
    let description = "What the payload does, for people.";
    let organisation = "Who issues the profile, for people.";
    let mut required = [
        text("PayloadDisplayName", "Payload Name", name, Some(level.title())),
        text("PayloadIdentifier", "Payload Identifier", "Unique in the profile.", domain),
        text("PayloadType", "Payload Type", "The preferences domain.", domain),
        uuid,
        version,
    ];
    for field in &mut required {
        field.insert("pfm_require".to_owned(), "always".into());
    }
    let mut fields =
        vec![text("PayloadDescription", "Payload Description", description, Some(level.about()))];
    fields.extend(required);
    fields.push(text("PayloadOrganization", "Payload Organisation", organisation, None));
    fields
}
