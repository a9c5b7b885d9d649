//! The schema from which Jamf Pro makes a form ("Understanding the Structure of a JSON Schema
//! Manifest", Jamf): JSON Schema with an order of the fields.

use anyhow::Result;
use chaperone_policy::{Key, Os, Type};
use serde_json::{Map, Value, json};

use super::keys::{self, Level, Section};
use super::{patterns, words};

/// The file's text.
pub(super) fn write(level: Level) -> Result<String> {
    let mut properties = Map::new();
    for Section { name, title, keys } in keys::sections(level, Some(Os::Macos)) {
        let mut fields = Map::new();
        for key in keys {
            let mut field = described(key);
            let example = keys::example(key)?.to_string();
            field.insert("options".to_owned(), json!({"infoText": format!("Example: {example}")}));
            add(&mut fields, key.last(), field);
        }
        if name.is_empty() {
            properties = fields;
        } else {
            add(&mut properties, name, group(title, fields));
        }
    }
    let schema = json!({
        "title": format!("{} ({})", level.title(), level.domain()),
        "description": level.about(),
        "__version": env!("CARGO_PKG_VERSION"),
        "type": "object",
        // What nobody fills in must not be sent: an empty list is something else than none.
        "options": {"remove_empty_properties": true},
        "properties": properties,
    });
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// Adds a field after those that are there.
fn add(fields: &mut Map<String, Value>, name: &str, mut field: Map<String, Value>) {
    field.insert("property_order".to_owned(), json!((fields.len() + 1) * 10));
    fields.insert(name.to_owned(), Value::Object(field));
}

fn group(title: &str, fields: Map<String, Value>) -> Map<String, Value> {
    let mut group = Map::new();
    group.insert("title".to_owned(), json!(title));
    group.insert("type".to_owned(), json!("object"));
    group.insert("properties".to_owned(), Value::Object(fields));
    group
}

fn described(key: &Key) -> Map<String, Value> {
    let mut field = titled(key.title, key.takes);
    field.insert("description".to_owned(), json!(words::about(key)));
    field
}

fn titled(title: &str, takes: Type) -> Map<String, Value> {
    let mut field = Map::new();
    field.insert("title".to_owned(), json!(title));
    if let Value::Object(mut own) = value(takes) {
        field.append(&mut own);
    }
    field
}

fn value(takes: Type) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let list = |items: Value| json!({"type": "array", "items": items});
    match takes {
        Type::Text => json!({"type": "string"}),
        Type::Version => text(patterns::VERSION),
        Type::Date => text(patterns::DATE),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Integer(least) => json!({"type": "integer", "minimum": least}),
        Type::Choice(words) => json!({"type": "string", "enum": words}),
        Type::Choices(words) => list(json!({"type": "string", "enum": words})),
        Type::Duration { .. } => text(patterns::DURATION),
        Type::Size(_) => text(patterns::SIZE),
        Type::Paths => list(text(patterns::PATH)),
        Type::Host => text(&patterns::host()),
        Type::Proxy => text(&patterns::proxy()),
        Type::Credential => text(patterns::CREDENTIAL),
        Type::Files => list(text(patterns::FILE)),
        Type::Methods => list(text(patterns::METHOD)),
        Type::UrlPaths => list(text(patterns::URL_PATH)),
        Type::Hosts => list(text(&patterns::host())),
        Type::Names => list(text(patterns::NAME)),
        Type::SshKeys => list(text(patterns::SSH_KEY)),
        Type::Uploads => list(text(patterns::UPLOAD)),
        Type::Organisations => list(text(&patterns::organisation())),
        Type::Keys | Type::Command => list(json!({"type": "string"})),
        Type::Commands => list(value(Type::Command)),
        Type::Rules(keys) => {
            let mut fields = Map::new();
            for key in keys {
                add(&mut fields, key.name, described(key));
            }
            let needed: Vec<_> = keys.iter().filter(|key| key.needed).map(|key| key.name).collect();
            let mut rule = group("Rule", fields);
            rule.insert("required".to_owned(), json!(needed));
            list(Value::Object(rule))
        }
        Type::When => {
            let mut fields = Map::new();
            let systems = Type::Choices(&["linux", "macos", "windows"]);
            add(&mut fields, "os", titled("Systems", systems));
            add(&mut fields, "agent", titled("Agents", Type::Keys));
            add(&mut fields, "workspace", titled("Workspaces", Type::Paths));
            json!({"type": "object", "properties": fields})
        }
    }
}
