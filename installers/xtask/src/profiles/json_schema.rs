//! The JSON Schema of a policy file (draft 2020-12): what editors complete and check while somebody
//! writes one. It accepts what the reader takes without a finding, as far as a schema can say it.

use anyhow::Result;
use chaperone_policy::{KEYS, Key, LAYER_KEYS, SECTIONS, Type, rule_keys};
use serde_json::{Map, Value, json};

use super::keys::{self, Level, Section};
use super::patterns;

/// The identity of the schema: a `tag` URI (RFC 4151), since nothing is fetched from it.
const ID: &str = "tag:chaperone.dev,2026:policy";

/// The file's text.
pub(super) fn write() -> Result<String> {
    let mut properties = Map::new();
    for Section { name, title, keys } in keys::sections(Level::Managed, None) {
        let mut section = Map::new();
        for key in keys {
            section.insert(key.last().to_owned(), property(key)?);
        }
        if name.is_empty() {
            properties = section;
        } else {
            let mut table = object(section);
            table.insert("title".to_owned(), json!(title));
            properties.insert(name.to_owned(), Value::Object(table));
        }
    }
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".to_owned(), json!(ID));
    schema.insert("title".to_owned(), json!("A policy of Chaperone"));
    let about = "What coding agents may do on a machine. Every key is optional: what a file leaves \
                 out it does not constrain.";
    schema.insert("description".to_owned(), json!(about));
    schema.append(&mut object(properties));
    schema.insert("$defs".to_owned(), definitions()?);
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

fn object(properties: Map<String, Value>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), Value::Object(properties));
    object.insert("additionalProperties".to_owned(), json!(false));
    object
}

/// A key with what the table knows of it; what JSON Schema has no word for begins with `x-`.
fn property(key: &Key) -> Result<Value> {
    let mut schema = described(key)?;
    if let Some(default) = keys::default(key).filter(|_| !matches!(key.takes, Type::Rules(_))) {
        schema.insert("default".to_owned(), default);
    }
    schema.insert("x-merge".to_owned(), serde_json::to_value(key.shape)?);
    schema.insert("x-managed-only".to_owned(), json!(key.managed_only));
    schema.insert("x-grants".to_owned(), json!(key.grants));
    schema.insert("x-live".to_owned(), json!(key.live));
    schema.insert("x-systems".to_owned(), serde_json::to_value(key.systems)?);
    Ok(Value::Object(schema))
}

fn described(key: &Key) -> Result<Map<String, Value>> {
    let mut schema = Map::new();
    schema.insert("title".to_owned(), json!(key.title));
    schema.insert("description".to_owned(), json!(key.about));
    if let Value::Object(mut own) = value(key.takes) {
        schema.append(&mut own);
    }
    schema.insert("examples".to_owned(), json!([keys::example(key)?]));
    Ok(schema)
}

fn value(takes: Type) -> Value {
    let list = |of: &str| json!({"type": "array", "items": {"$ref": format!("#/$defs/{of}")}});
    match takes {
        Type::Text => json!({"type": "string"}),
        Type::Version => json!({"type": "string", "pattern": patterns::VERSION}),
        Type::Date => json!({"type": "string", "pattern": patterns::DATE}),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Integer(least) => json!({"type": "integer", "minimum": least, "maximum": i64::MAX}),
        Type::Choice(words) => json!({"type": "string", "enum": words}),
        Type::Choices(words) => json!({"type": "array", "items": {"enum": words}, "minItems": 1}),
        Type::Duration { .. } => json!({"type": "string", "pattern": patterns::DURATION}),
        Type::Size(least) => json!({
            "type": ["string", "integer"],
            "pattern": patterns::SIZE,
            "minimum": least,
            "maximum": i64::MAX,
        }),
        Type::Paths => list("path"),
        Type::Files => json!({
            "type": "array",
            "items": {"type": "string", "pattern": patterns::FILE},
        }),
        Type::Proxy => json!({"type": "string", "pattern": patterns::proxy()}),
        Type::Credential => json!({"type": "string", "pattern": patterns::CREDENTIAL}),
        Type::Host => json!({"$ref": "#/$defs/host"}),
        Type::Hosts => list("host"),
        Type::Methods => json!({
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": patterns::METHOD},
        }),
        Type::UrlPaths => json!({
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": patterns::URL_PATH},
        }),
        Type::Names => list("name"),
        Type::SshKeys => list("ssh_key"),
        Type::Uploads => list("upload"),
        Type::Organisations => list("organisation"),
        Type::Rules(keys) => {
            let own = rule_keys().find(|(_, known)| *known == keys);
            list(&definition_of_rule(own.map_or("", |(list, _)| list)))
        }
        Type::Commands => list("command"),
        Type::Command => json!({
            "type": "array",
            "minItems": 1,
            "prefixItems": [{"type": "string", "pattern": patterns::PROGRAM}],
            "items": {"type": "string", "minLength": 1},
        }),
        Type::Keys => one_or_more(&json!({"enum": names()})),
        Type::When => json!({"$ref": "#/$defs/when"}),
    }
}

/// A value, or a list of them that is not empty.
fn one_or_more(one: &Value) -> Value {
    json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
}

/// What `require` may name.
fn names() -> Vec<String> {
    let keys = KEYS.iter().chain(&LAYER_KEYS).map(|key| key.name.to_owned());
    let sections = SECTIONS.iter().map(|(name, _)| (*name).to_owned());
    let of_rule = |(list, keys): (&str, &[Key])| {
        keys.iter().map(|key| format!("{list}.{}", key.name)).collect::<Vec<_>>()
    };
    let rules = rule_keys().flat_map(of_rule);
    keys.chain(sections).chain(rules).collect()
}

fn definitions() -> Result<Value> {
    let text = |about: &str, pattern: &str| json!({"description": about, "type": "string", "pattern": pattern});
    let mut when = Map::new();
    when.insert("os".to_owned(), one_or_more(&json!({"enum": ["linux", "macos", "windows"]})));
    when.insert("agent".to_owned(), one_or_more(&json!({"type": "string"})));
    when.insert("workspace".to_owned(), one_or_more(&json!({"$ref": "#/$defs/path"})));
    let mut definitions = json!({
        "path": text(
            "A path or a glob: absolute, from ~/, or from the workspace. It covers all beneath it.",
            patterns::PATH,
        ),
        "host": text(
            "A host, *.domain, an address, a range or *, with or without :PORT; or a host set.",
            &patterns::host(),
        ),
        "name": text("The name of a variable, in which * stands for anything.", patterns::NAME),
        "ssh_key": text(
            "The file of a public key (absolute or from ~, ending in .pub), or its line.",
            patterns::SSH_KEY,
        ),
        "upload": text(
            "SIZE per TIME, or HOST SIZE per TIME, such as 50 MiB per 1h.",
            patterns::UPLOAD,
        ),
        "organisation": text("PROVIDER:ORGANISATION.", &patterns::organisation()),
        "command": {
            "description": "The words of a command.",
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
        },
        "when": object(when),
    });
    for (list, keys) in rule_keys() {
        let mut rule = Map::new();
        for key in keys {
            rule.insert(key.name.to_owned(), Value::Object(described(key)?));
        }
        let mut rule = object(rule);
        let needed: Vec<_> = keys.iter().filter(|key| key.needed).map(|key| key.name).collect();
        rule.insert("required".to_owned(), json!(needed));
        definitions[definition_of_rule(list)] = Value::Object(rule);
    }
    Ok(definitions)
}

/// `network_rule` for `network.rule`.
fn definition_of_rule(list: &str) -> String {
    list.replace('.', "_")
}
