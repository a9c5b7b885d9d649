//! One policy written in each format is the same policy, and says in each where it stands.

use chaperone_policy::{Context, Layer, LayerStatus, Os, Policy, SourceKind, merge};
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

fn policy(file: &str, text: &str) -> Policy {
    let layer = Layer::from_file(SourceKind::ManagedFile, file, text);
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
