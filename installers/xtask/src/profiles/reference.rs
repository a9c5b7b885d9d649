//! The page that explains every key: what it takes, who may say it, and where it stands in a file,
//! in the registry and in a configuration profile.

use std::fmt::Write as _;

use anyhow::Result;
use chaperone_policy::{Key, Shape, Type};
use serde_json::Value;

use super::group_policy::ROOT;
use super::keys::{self, Level, Section};
use super::words;

const INTRODUCTION: &str = "\
# The keys of a policy

Every key is optional; what a layer leaves out it does not constrain. [The policy](policy.md) says \
what paths, hosts, variables and command rules may look like. This page is generated from the \
table of keys by `cargo xtask profiles`.

*Rules* line up: restrictions of every layer hold, grants of those layers that may grant. An \
*ordered* value is chosen by the base and bounded by the strictest of the managed and workspace \
layers. A *preference* is overridden by the later layer.

In JSON and in configuration profiles the keys stand as in TOML: a section is an object or a \
dictionary. In the registry a section is a key below \
`HKLM\\Software\\Policies\\Chaperone`; for what users may change, below its key `Recommended`; for \
one user, in `HKCU`, where it only restricts. A list is a key with texts named 1, 2, 3 …, or one \
`REG_MULTI_SZ`; in paths there `\\` stands for `/` too, and `%USERPROFILE%` for `~`. On macOS the preferences domain is `dev.chaperone.desktop`, for what users may \
change `dev.chaperone.desktop.recommended`.
";

/// The file's text.
pub(super) fn write() -> Result<String> {
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n| key | shape | what it does |\n| --- | --- | --- |\n");
    let sections = keys::sections(Level::Managed, None);
    for key in sections.iter().flat_map(|section| &section.keys) {
        let Key { name, about, .. } = key;
        let anchor: String = name.chars().filter(|c| *c != '.').collect();
        let shape = if words::of_layer(key) { "of the layer" } else { shape(key.shape) };
        let _ = writeln!(out, "| [`{name}`](#{anchor}) | {shape} | {about} |");
    }
    for Section { name, title, keys } in sections {
        match name {
            "" => out.push_str("\n## The policy itself\n"),
            _ => {
                let _ = write!(out, "\n## {title}: `[{name}]`\n");
            }
        }
        for key in keys {
            describe(&mut out, key);
            if let Type::Rules(keys) = key.takes {
                rule(&mut out, keys);
            }
        }
    }
    Ok(out)
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Rules => "rules",
        Shape::Ordered => "ordered",
        Shape::Preference => "preference",
    }
}

fn describe(out: &mut String, key: &Key) {
    let _ = write!(out, "\n### {}\n\n{}\n\n", key.name, key.about);
    let mut item = |name: &str, text: &str| {
        let _ = writeln!(out, "- {name}: {text}");
    };
    item("Takes", &format!("{}.", key.takes.words()));
    item("Example", &format!("`{} = {}`", key.last(), key.example));
    if !words::of_layer(key) {
        item("Default", &default(key));
        item("Shape", &format!("{}. {}", shape(key.shape), key.merge()));
    }
    let by = match (key.managed_only, key.grants) {
        (true, _) => "managed layers",
        (false, true) => "layers that may grant: not a workspace file, not `HKCU`",
        (false, false) => "every layer",
    };
    item("Said by", by);
    item("Change", words::effect(key));
    if let Some(systems) = words::systems(key) {
        item("Has an effect on", &systems);
    }
    item("Registry", &registry(key));
}

/// The default as TOML; long lists in full.
fn default(key: &Key) -> String {
    match keys::default(key) {
        None => "nothing".to_owned(),
        Some(Value::Array(rules)) if key.name == "commands.rule" => {
            let rule = |rule: &Value| {
                let words: Vec<&str> = rule["prefix"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                format!("{} `{}`", rule["decision"].as_str().unwrap_or_default(), words.join(" "))
            };
            rules.iter().map(rule).collect::<Vec<_>>().join(", ")
        }
        Some(value) => format!("`{value}`"),
    }
}

fn registry(key: &Key) -> String {
    let path = match key.section() {
        "" => ROOT.to_owned(),
        section => format!(r"{ROOT}\{section}"),
    };
    let last = key.last();
    match key.takes {
        Type::Boolean => format!("`{path}`, value `{last}`, `REG_DWORD` 1 or 0"),
        Type::Integer(_) => format!("`{path}`, value `{last}`, `REG_DWORD`"),
        Type::Size(_) => format!("`{path}`, value `{last}`, `REG_SZ`, or bytes as `REG_QWORD`"),
        Type::Text
        | Type::Host
        | Type::Proxy
        | Type::Credential
        | Type::Version
        | Type::Date
        | Type::Choice(_)
        | Type::Duration { .. } => {
            format!("`{path}`, value `{last}`, `REG_SZ`")
        }
        Type::When => format!(r"`{path}\{last}`, lists `os`, `agent` and `workspace`"),
        Type::Rules(_) => format!(r"`{path}\{last}`, a list with one rule as JSON in each text"),
        Type::Choices(_)
        | Type::Paths
        | Type::Hosts
        | Type::Files
        | Type::Methods
        | Type::UrlPaths
        | Type::Names
        | Type::SshKeys
        | Type::Uploads
        | Type::Organisations
        | Type::Keys
        | Type::Command
        | Type::Commands => format!(r"`{path}\{last}`, a list"),
    }
}

fn rule(out: &mut String, keys: &[Key]) {
    out.push_str(
        "\nA rule has these keys:\n\n| key | what it does | example |\n| --- | --- | --- |\n",
    );
    for Key { name, about, example, .. } in keys {
        let _ = writeln!(out, "| `{name}` | {about} | `{example}` |");
    }
}
