//! One policy written in each format is the same policy, and says in each where it stands.

use chaperone_policy::{
    Context, Layer, LayerStatus, Os, Policy, RegistryKey, RegistryValue, SourceKind, merge,
};
use std::path::PathBuf;

const TOML: &str = r#"
revision = "7"
[sandbox]
minimum_tier = "full"
[filesystem]
read = ["/opt/data"]
deny = ["~/.aws", "**/.env"]
[network]
mode = "none"
allow = ["pypi.org", "*.internal.example:443"]
deny = ["pastebin.com"]
closed = true
[[commands.rule]]
prefix = ["git", "push"]
decision = "ask"
reason = "It leaves the laptop."
match = [["git", "push", "--force"]]
not_match = [["git", "pull"]]
[[commands.rule]]
prefix = ["npm", "publish"]
decision = "deny"
when = { os = ["linux", "macos"] }
[environment]
deny = ["*_TOKEN"]
[approvals]
scopes = ["once"]
expires = "10m"
[limits]
memory = "8 GiB"
processes = 4096
"#;

const JSON: &str = r#"{
  "revision": "7",
  "sandbox": {"minimum_tier": "full"},
  "filesystem": {"read": ["/opt/data"], "deny": ["~/.aws", "**/.env"]},
  "network": {
    "mode": "none",
    "allow": ["pypi.org", "*.internal.example:443"],
    "deny": ["pastebin.com"],
    "closed": true
  },
  "commands": {
    "rule": [
      {
        "prefix": ["git", "push"],
        "decision": "ask",
        "reason": "It leaves the laptop.",
        "match": [["git", "push", "--force"]],
        "not_match": [["git", "pull"]]
      },
      {"prefix": ["npm", "publish"], "decision": "deny", "when": {"os": ["linux", "macos"]}}
    ]
  },
  "environment": {"deny": ["*_TOKEN"]},
  "approvals": {"scopes": ["once"], "expires": "10m"},
  "limits": {"memory": "8 GiB", "processes": 4096}
}"#;

/// The same as keys of the registry: lists as values and as keys, one rule as a key and one as JSON.
fn registry() -> RegistryKey {
    let text = |name: &str, text: &str| (name.to_owned(), RegistryValue::Text(text.to_owned()));
    let number = |name: &str, number| (name.to_owned(), RegistryValue::Number(number));
    let list = |name: &str, items: &[&str]| {
        let items = items.iter().map(|item| (*item).to_owned()).collect();
        (name.to_owned(), RegistryValue::List(items))
    };
    let key = |name: &str, values: Vec<(String, RegistryValue)>, keys| {
        (name.to_owned(), RegistryKey { values, keys })
    };
    let numbered = |name: &str, items: &[&str]| {
        let items = items.iter().zip(1..).map(|(item, at): (_, usize)| text(&at.to_string(), item));
        key(name, items.collect(), Vec::new())
    };
    let push = key(
        "1",
        vec![
            list("prefix", &["git", "push"]),
            text("decision", "ask"),
            text("reason", "It leaves the laptop."),
        ],
        vec![
            numbered("match", &[r#"["git", "push", "--force"]"#]),
            numbered("not_match", &[r#"["git", "pull"]"#]),
        ],
    );
    let publish =
        r#"{"prefix": ["npm", "publish"], "decision": "deny", "when": {"os": ["linux", "macos"]}}"#;
    RegistryKey {
        values: vec![text("revision", "7")],
        keys: vec![
            key("sandbox", vec![text("minimum_tier", "full")], Vec::new()),
            key(
                "filesystem",
                vec![list("read", &["/opt/data"])],
                vec![numbered("deny", &[r"%USERPROFILE%\.aws", r"**\.env"])],
            ),
            key(
                "network",
                vec![
                    text("mode", "none"),
                    number("closed", 1),
                    list("allow", &["pypi.org", "*.internal.example:443"]),
                ],
                vec![numbered("deny", &["pastebin.com"])],
            ),
            key("commands", Vec::new(), vec![key("rule", vec![text("2", publish)], vec![push])]),
            key("environment", Vec::new(), vec![numbered("deny", &["*_TOKEN"])]),
            key("approvals", vec![list("scopes", &["once"]), text("expires", "10m")], Vec::new()),
            key("limits", vec![text("memory", "8 GiB"), number("processes", 4096)], Vec::new()),
        ],
    }
}

fn policy(file: &str, text: &str) -> Policy {
    merged(Layer::from_file(SourceKind::ManagedFile, file, text))
}

fn merged(layer: Layer) -> Policy {
    assert_eq!((layer.status, layer.findings()), (LayerStatus::Present, [].as_slice()));
    let context = Context {
        home: PathBuf::from("/home/ada"),
        workspace: PathBuf::from("/home/ada/w"),
        agent: None,
        os: Os::Linux,
    };
    merge(vec![layer], &context)
}

#[test]
fn the_same_policy_in_toml_and_json_has_the_same_values() {
    let (toml, json) = (policy("/p/a.toml", TOML), policy("/p/a.json", JSON));
    for (toml, json) in toml.values().into_iter().zip(json.values()) {
        assert_eq!((toml.key, &toml.value), (json.key, &json.value));
        assert_eq!(toml.origins.len(), json.origins.len(), "{}", toml.key);
    }
}

#[test]
fn the_same_policy_in_the_registry_has_the_same_values_by_values_and_by_json() {
    let toml = policy("/p/a.toml", TOML);
    let json = RegistryKey {
        values: vec![("Settings".to_owned(), RegistryValue::Text(JSON.to_owned()))],
        keys: Vec::new(),
    };
    for key in [registry(), json] {
        let locator = r"HKLM\SOFTWARE\Policies\Chaperone";
        let mut layers = Layer::from_registry(SourceKind::ManagedRegistry, locator, &key);
        assert_eq!(layers.len(), 1);
        let registry = merged(layers.remove(0));
        for (toml, own) in toml.values().into_iter().zip(registry.values()) {
            assert_eq!((toml.key, &toml.value), (own.key, &own.value));
            assert_eq!(toml.origins.len(), own.origins.len(), "{}", toml.key);
        }
    }
}

#[test]
fn a_value_in_json_says_its_pointer() {
    let json = policy("/p/a.json", JSON);
    let origin = |key: &str, at: usize| json.explain(key).unwrap().origins[at].locator.clone();
    assert_eq!(origin("network.mode", 0), "/p/a.json#/network/mode");
    assert_eq!(origin("filesystem.deny", 1), "/p/a.json#/filesystem/deny/1");
    assert_eq!(origin("commands.rule", 1), "/p/a.json#/commands/rule/1");
    let toml = policy("/p/a.toml", TOML);
    assert_eq!(toml.explain("network.mode").unwrap().origins[0].locator, "/p/a.toml:9");
}

#[test]
fn what_is_wrong_in_json_is_told_by_its_pointer_and_broken_json_by_line_and_column() {
    let layer = |text: &str| Layer::from_file(SourceKind::ManagedFile, "/p/a.json", text);
    let wrong = layer(r#"{"network": {"mode": "off", "alow": []}}"#);
    let mut told: Vec<String> = wrong.findings().iter().map(ToString::to_string).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "/p/a.json#/network/alow: network.alow: expected `network.allow`, found the unknown key `alow`",
            "/p/a.json#/network/mode: network.mode: expected \"none\", \"proxy\" or \"direct\", found \"off\"",
        ]
    );
    let broken = layer("{\n  \"network\": {,}\n}");
    assert_eq!(broken.status, LayerStatus::Invalid);
    assert!(broken.blocks());
    let first = broken.findings()[0].to_string();
    assert!(first.starts_with("/p/a.json:2:1"), "{first}");
    let twice = layer(r#"{"network": {"mode": "none"}, "network": {"mode": "direct"}}"#);
    assert_eq!(twice.status, LayerStatus::Invalid);
}
