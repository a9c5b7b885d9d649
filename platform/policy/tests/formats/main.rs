//! One policy written in each format is the identical policy, and says in each where it stands.
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

mod generated;
mod places;

use chaperone_policy::{
    Context, KEYS, LAYER_KEYS, Layer, LayerStatus, Os, Policy, RegistryKey, RegistryValue,
    SourceKind, ValueStatus, merge, rule_keys,
};
use std::path::PathBuf;

const TOML: &str = include_str!("../data/whole.toml");
const JSON: &str = include_str!("../data/whole.json");
const PLIST: &[u8] = include_bytes!("../data/whole.plist");
const INLINE: &[u8] = include_bytes!("../data/whole-inline.mobileconfig");
const WRAPPED: &[u8] = include_bytes!("../data/whole-wrapped.mobileconfig");
const HKLM: &str = r"HKLM\SOFTWARE\Policies\Chaperone";

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
            numbered(
                "match",
                &[r#"["git", "push", "--force"]"#, r#"["git", "-C", "../x", "push"]"#],
            ),
            numbered("not_match", &[r#"["git", "pull"]"#]),
        ],
    );
    let publish = r#"{
        "prefix": ["npm", "publish"],
        "decision": "deny",
        "when": {"os": ["linux", "macos"], "agent": "codex", "workspace": ["~/work", "/srv/**"]}
    }"#;
    let post = key(
        "1",
        vec![
            text("host", "api.acme.example:443"),
            list("methods", &["POST", "PUT"]),
            text("decision", "ask"),
            text("reason", "It changes what others see."),
        ],
        vec![
            numbered("paths", &["/repos/acme", "/users/*/keys"]),
            key("when", vec![text("agent", "codex")], Vec::new()),
        ],
    );
    let any = r#"{"host": "*.acme.example", "decision": "allow"}"#;
    let acme = key(
        "1",
        vec![
            text("secret", "acme"),
            text("host", "models.acme.example"),
            text("header", "Authorization"),
            text("template", "Bearer {}"),
            text("basic", "acme:{}"),
            text("query", "key"),
            text("env", "ACME_API_KEY"),
            list("methods", &["GET", "POST"]),
        ],
        vec![numbered("paths", &["/v1"]), key("when", vec![text("os", "linux")], Vec::new())],
    );
    let npm = r#"{"secret": "npm-publish", "host": "*.registry.example:8443",
        "header": "authorization", "template": "Bearer {}"}"#;
    RegistryKey {
        values: vec![
            text("revision", "2026-11-22.1"),
            text("organisation", "Acme & Söhne"),
            text("min_version", "0.1"),
            list("require", &["network.deny", "commands.rule.when"]),
            text("mode", "observe"),
            text("until", "2027-01-31"),
        ],
        keys: vec![
            key(
                "when",
                vec![text("workspace", "~/work/**")],
                vec![numbered("os", &["linux", "macos", "windows"])],
            ),
            key("sandbox", vec![text("minimum_tier", "full")], Vec::new()),
            key(
                "filesystem",
                vec![list("read", &["/opt/data", "~/reference-docs"])],
                vec![
                    numbered("write", &["~/.cache/acme-build"]),
                    numbered("deny", &[r"%USERPROFILE%\.aws", r"**\.env"]),
                    numbered("deny_write", &["infra/**"]),
                    numbered("sockets", &["/tmp/.X11-unix/X0"]),
                ],
            ),
            key(
                "network",
                vec![
                    text("mode", "none"),
                    text("unfamiliar", "deny"),
                    number("closed", 1),
                    number("read_only", 1),
                    list("allow", &["docs.acme.example", "*.internal.example:443"]),
                    text("upstream", "http://proxy.acme.example:3128"),
                    text("upstream_login", "acme-proxy"),
                    list("upstream_bypass", &["*.corp.example"]),
                    list("ca", &["/etc/ssl/acme-root.pem"]),
                    list("upload", &["5 MiB per 1h", "api.acme.example:443 2 GiB per session"]),
                ],
                vec![
                    numbered("deny", &["paste.example", "10.0.0.0/8"]),
                    key("rule", vec![text("2", any)], vec![post]),
                ],
            ),
            key(
                "commands",
                vec![number("closed", 0)],
                vec![key("rule", vec![text("2", publish)], vec![push])],
            ),
            key(
                "environment",
                vec![list("pass", &["RUST_LOG"])],
                vec![numbered("deny", &["*_TOKEN"])],
            ),
            key(
                "credentials",
                vec![number("closed", 1)],
                vec![key("inject", vec![text("2", npm)], vec![acme])],
            ),
            key(
                "identity",
                vec![list("organisations", &["github:4711", "google:acme.example"])],
                Vec::new(),
            ),
            key(
                "signing",
                vec![
                    list(
                        "ssh_keys",
                        &[
                            "~/.ssh/id_ed25519.pub",
                            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada",
                        ],
                    ),
                    number("closed", 1),
                ],
                Vec::new(),
            ),
            key(
                "approvals",
                vec![
                    list("scopes", &["once", "session"]),
                    text("expires", "10m"),
                    text("unattended", "deny"),
                ],
                Vec::new(),
            ),
            key(
                "limits",
                vec![
                    number("memory", 8 << 30),
                    number("processes", 4096),
                    number("open_files", 65536),
                    text("cpu_time", "8h"),
                    text("wall_time", "24h"),
                ],
                Vec::new(),
            ),
            key(
                "remote",
                vec![
                    text("url", "https://policy.acme.example/"),
                    text("root", "/etc/chaperone/root.json"),
                    text("on_expiry", "refuse"),
                ],
                Vec::new(),
            ),
        ],
    }
}

/// The policy in every format, by the format's name.
fn every_format() -> Vec<(&'static str, Layer)> {
    let managed = SourceKind::ManagedProfile;
    let plist = |bytes: &[u8]| Layer::from_plist(managed, "dev.chaperone.desktop", bytes);
    let profile = |bytes: &[u8]| Layer::from_profile("acme.mobileconfig", bytes).unwrap();
    let json = RegistryKey {
        values: vec![("Settings".to_owned(), RegistryValue::Text(JSON.to_owned()))],
        keys: Vec::new(),
    };
    let registry = |key| Layer::from_registry(SourceKind::ManagedRegistry, HKLM, key);
    let formats = [
        ("TOML", vec![Layer::from_file(SourceKind::ManagedFile, "/p/a.toml", TOML)]),
        ("JSON", vec![Layer::from_file(SourceKind::ManagedFile, "/p/a.json", JSON)]),
        ("plist, XML", vec![plist(PLIST)]),
        ("plist, binary", vec![plist(&generated::binary(PLIST))]),
        ("profile with inline keys", profile(INLINE)),
        ("profile with a wrapped domain", profile(WRAPPED)),
        ("profile with a wrapped domain, binary", profile(&generated::binary(WRAPPED))),
        ("registry, by values", registry(&self::registry())),
        ("registry, by JSON", registry(&json)),
    ];
    let only = |(name, mut layers): (_, Vec<Layer>)| {
        assert_eq!(layers.len(), 1, "{name}");
        (name, layers.remove(0))
    };
    formats.into_iter().map(only).collect()
}

fn context() -> Context {
    Context {
        home: PathBuf::from("/home/ada"),
        workspace: PathBuf::from("/home/ada/work/x"),
        agent: Some("codex".to_owned()),
        os: Os::Linux,
    }
}

fn policy(layer: Layer) -> Policy {
    merge(vec![layer], &context())
}

#[test]
fn the_same_policy_is_the_identical_object_in_every_format() {
    let formats = every_format();
    let (_, toml) = &formats[0];
    let settings = places::without(toml.settings.clone());
    let values = policy(toml.clone()).values();
    for (name, layer) in &formats {
        assert_eq!(
            (layer.status, layer.findings()),
            (LayerStatus::Present, [].as_slice()),
            "{name}"
        );
        assert_eq!(places::without(layer.settings.clone()), settings, "{name}");
        // And so what follows from it, to the number of origins.
        for (value, other) in values.iter().zip(policy(layer.clone()).values()) {
            assert_eq!((value.key, &value.value), (other.key, &other.value), "{name}");
            assert_eq!(value.origins.len(), other.origins.len(), "{name}: {}", value.key);
        }
    }
}

#[test]
fn that_policy_uses_every_key() {
    let whole: toml::Table = toml::from_str(TOML).unwrap();
    let stands = |name: &str| {
        let mut parts = name.split('.');
        let first = parts.next().and_then(|part| whole.get(part));
        parts.try_fold(first?, |value, part| value.get(part))
    };
    for key in KEYS.iter().chain(&LAYER_KEYS) {
        assert!(stands(key.name).is_some(), "{}", key.name);
    }
    for (list, keys) in rule_keys() {
        let rules = stands(list).and_then(toml::Value::as_array).unwrap();
        for key in keys {
            assert!(rules.iter().any(|rule| rule.get(key.name).is_some()), "{list} {}", key.name);
        }
    }
    let policy = policy(every_format().remove(0).1);
    for value in policy.values() {
        assert_eq!(value.status, ValueStatus::Applied, "{}", value.key);
    }
}

#[test]
fn every_value_says_where_it_stands_in_its_format() {
    let where_it_stands = |key: &str, at: usize| -> Vec<String> {
        let origin = |(_, layer)| policy(layer).explain(key).unwrap().origins[at].locator.clone();
        every_format().into_iter().map(origin).collect()
    };
    assert_eq!(
        where_it_stands("network.mode", 0),
        [
            "/p/a.toml:21",
            "/p/a.json#/network/mode",
            "dev.chaperone.desktop:network.mode",
            "dev.chaperone.desktop:network.mode",
            "acme.mobileconfig:PayloadContent[0]:network.mode",
            "acme.mobileconfig:PayloadContent[0].Forced[0]:network.mode",
            "acme.mobileconfig:PayloadContent[0].Forced[0]:network.mode",
            r"HKLM\SOFTWARE\Policies\Chaperone\network!mode",
            r"HKLM\SOFTWARE\Policies\Chaperone!Settings#/network/mode",
        ]
    );
    assert_eq!(
        where_it_stands("filesystem.deny", 1),
        [
            "/p/a.toml:16",
            "/p/a.json#/filesystem/deny/1",
            "dev.chaperone.desktop:filesystem.deny[1]",
            "dev.chaperone.desktop:filesystem.deny[1]",
            "acme.mobileconfig:PayloadContent[0]:filesystem.deny[1]",
            "acme.mobileconfig:PayloadContent[0].Forced[0]:filesystem.deny[1]",
            "acme.mobileconfig:PayloadContent[0].Forced[0]:filesystem.deny[1]",
            r"HKLM\SOFTWARE\Policies\Chaperone\filesystem\deny!2",
            r"HKLM\SOFTWARE\Policies\Chaperone!Settings#/filesystem/deny/1",
        ]
    );
    assert_eq!(
        where_it_stands("commands.rule", 1),
        [
            "/p/a.toml:55",
            "/p/a.json#/commands/rule/1",
            "dev.chaperone.desktop:commands.rule[1]",
            "dev.chaperone.desktop:commands.rule[1]",
            "acme.mobileconfig:PayloadContent[0]:commands.rule[1]",
            "acme.mobileconfig:PayloadContent[0].Forced[0]:commands.rule[1]",
            "acme.mobileconfig:PayloadContent[0].Forced[0]:commands.rule[1]",
            r"HKLM\SOFTWARE\Policies\Chaperone\commands\rule!2",
            r"HKLM\SOFTWARE\Policies\Chaperone!Settings#/commands/rule/1",
        ]
    );
}

#[test]
fn a_date_of_the_formats_own_is_the_date_that_text_is() {
    let toml =
        |until: &str| Layer::from_toml(SourceKind::ManagedFile, "/p", &format!("until = {until}"));
    let plist = |until: &str| {
        let text = format!("<plist><dict><key>until</key>{until}</dict></plist>");
        Layer::from_plist(SourceKind::ManagedProfile, "p", text.as_bytes())
    };
    let layers = [
        toml("\"2027-01-31T11:00:00Z\""),
        toml("2027-01-31T11:00:00Z"),
        toml("2027-01-31T12:00:00+01:00"),
        plist("<string>2027-01-31T11:00:00Z</string>"),
        plist("<date>2027-01-31T11:00:00Z</date>"),
    ];
    for layer in layers {
        assert_eq!(layer.findings(), []);
        assert_eq!(layer.settings.until.unwrap().value.to_string(), "2027-01-31T11:00:00Z");
    }
    let layer = plist("<integer>2027</integer>");
    assert_eq!(layer.settings.until, None);
    assert_eq!(
        layer.findings()[0].to_string(),
        "p:until: until: expected a day such as \"2027-01-31\", or a time with its zone, found 2027"
    );
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
