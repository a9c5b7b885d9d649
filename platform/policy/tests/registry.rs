//! What keys and values of the Windows registry mean as a policy, where they say that they stand,
//! and what becomes of those that are not what their key takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

use chaperone_policy::{
    Context, FindingStatus, Layer, LayerStatus, NetworkMode, Os, Policy, RegistryKey,
    RegistryValue, SourceKind, Verdict, merge,
};
use proptest::prelude::*;
use std::path::PathBuf;

const HKLM: &str = r"HKLM\SOFTWARE\Policies\Chaperone";

fn text(text: &str) -> RegistryValue {
    RegistryValue::Text(text.into())
}

fn list(items: &[&str]) -> RegistryValue {
    RegistryValue::List(items.iter().map(|item| (*item).to_owned()).collect())
}

const fn number(number: u64) -> RegistryValue {
    RegistryValue::Number(number)
}

fn binary() -> RegistryValue {
    RegistryValue::Other { kind: 3, data: vec![1, 2, 3] }
}

/// A key from its values, each with the path that leads to it: `network!mode`.
fn key(values: &[(&str, RegistryValue)]) -> RegistryKey {
    let mut root = RegistryKey::default();
    for (path, value) in values {
        let (keys, name) = path.rsplit_once('!').unwrap();
        let mut at = &mut root;
        for name in keys.split('\\').filter(|name| !name.is_empty()) {
            let found = at.keys.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
            let found = found.unwrap_or_else(|| {
                at.keys.push((name.to_owned(), RegistryKey::default()));
                at.keys.len() - 1
            });
            at = &mut at.keys[found].1;
        }
        at.values.push((name.to_owned(), value.clone()));
    }
    root
}

fn layers(kind: SourceKind, values: &[(&str, RegistryValue)]) -> Vec<Layer> {
    Layer::from_registry(kind, HKLM, &key(values))
}

/// The one layer of a managed key.
fn managed(values: &[(&str, RegistryValue)]) -> Layer {
    let mut layers = layers(SourceKind::ManagedRegistry, values);
    assert_eq!(layers.len(), 1, "{layers:?}");
    layers.remove(0)
}

fn policy(layers: Vec<Layer>) -> Policy {
    let context = Context {
        home: PathBuf::from("C:/Users/ada"),
        workspace: PathBuf::from("C:/Users/ada/w"),
        agent: None,
        os: Os::Windows,
    };
    merge(layers, &context)
}

fn shown(layer: &Layer) -> Vec<String> {
    layer.findings().iter().map(ToString::to_string).collect()
}

fn statuses(layer: &Layer) -> Vec<FindingStatus> {
    layer.findings().iter().map(|finding| finding.status).collect()
}

fn denied_paths(layer: &Layer) -> Vec<String> {
    layer.settings.filesystem.deny.iter().map(|own| own.value.to_string()).collect()
}

fn rules(layer: &Layer) -> Vec<(String, Verdict)> {
    let rules = &layer.settings.commands.rules;
    rules.iter().map(|own| (own.value.prefix.join(" "), own.value.decision)).collect()
}

#[test]
fn every_value_says_its_key_and_name() {
    let layer = managed(&[
        ("!revision", text("7")),
        (r"Network!Mode", text("none")),
        (r"network!closed", number(1)),
        (r"network\deny!1", text("paste.example")),
        (r"network\deny!2", text("drop.example")),
        (r"environment!deny", list(&["A_*", "B_*"])),
        (r"commands\rule!2", text(r#"{"prefix": ["npm", "publish"], "decision": "deny"}"#)),
        (r"commands\rule\1!decision", text("ask")),
        (r"commands\rule\1!prefix", list(&["git", "push"])),
        (r"limits!memory", number(1 << 30)),
    ]);
    assert_eq!((layer.status, shown(&layer)), (LayerStatus::Present, Vec::new()));
    let policy = policy(vec![layer]);
    let origins = |key: &str| -> Vec<String> {
        let value = policy.explain(key).unwrap();
        value.origins.iter().map(|origin| origin.to_string()).collect()
    };
    let table: [(&str, &[&str]); 7] = [
        ("revision", &["!revision"]),
        ("network.mode", &[r"\network!mode"]),
        ("network.closed", &[r"\network!closed"]),
        ("network.deny", &[r"\network\deny!1", r"\network\deny!2"]),
        ("environment.deny", &[r"\environment!deny[0]", r"\environment!deny[1]"]),
        ("commands.rule", &[r"\commands\rule\1", r"\commands\rule!2"]),
        ("limits.memory", &[r"\limits!memory"]),
    ];
    for (key, expected) in table {
        let expected: Vec<String> =
            expected.iter().map(|place| format!("managed-registry {HKLM}{place}")).collect();
        assert_eq!(origins(key), expected, "{key}");
    }
}

#[test]
fn a_value_of_another_type_than_its_key_takes_is_told_and_falls_to_the_strictest() {
    let table = [
        (r"network!mode", number(1), r"\network!mode: network.mode: expected", "1"),
        (
            r"network!mode",
            binary(),
            r"\network!mode: network.mode: expected",
            "REG_BINARY of 3 bytes",
        ),
        (r"network!mode", list(&["none"]), r"\network!mode: network.mode: expected", "an array"),
        (r"network\mode!1", text("none"), r"\network\mode: network.mode: expected", "a key"),
        (r"network!closed", text("1"), r"\network!closed: network.closed: expected", "\"1\""),
        (r"network!closed", text("true"), r"\network!closed: network.closed: expected", "\"true\""),
        (r"network!closed", number(2), r"\network!closed: network.closed: expected", "2"),
        (
            r"limits!processes",
            text("64"),
            r"\limits!processes: limits.processes: expected",
            "\"64\"",
        ),
        (
            r"limits!processes",
            number(u64::MAX),
            r"\limits!processes: limits.processes: expected",
            "18446744073709551615",
        ),
        (
            r"limits!memory",
            binary(),
            r"\limits!memory: limits.memory: expected",
            "REG_BINARY of 3 bytes",
        ),
        (r"environment!deny", number(1), r"\environment!deny: environment.deny: expected", "1"),
        (r"!network", text("none"), r"!network: network: expected a table", "\"none\""),
        (r"!network", binary(), r"!network: network: expected a table", "REG_BINARY of 3 bytes"),
    ];
    for (path, value, start, found) in table {
        let values = [(path, value)];
        let layer = managed(&values);
        let finding = layer.findings()[0].to_string();
        assert!(finding.starts_with(&format!("{HKLM}{start}")), "{path}: {finding}");
        assert!(finding.ends_with(&format!("found {found}")), "{path}: {finding}");
        assert_eq!(layer.findings().len(), 1, "{path}");
        let fallen = [FindingStatus::Strictest, FindingStatus::Partly];
        assert!(fallen.contains(&layer.findings()[0].status), "{path}: {finding}");
        assert!(!layer.blocks(), "one bad value stops no laptop");
        let users = layers(SourceKind::UserRegistry, &values).remove(0);
        assert!(statuses(&users).contains(&FindingStatus::Dropped), "{path}");
    }
    assert_eq!(
        managed(&[(r"network!mode", binary())]).settings.network.mode.unwrap().value,
        NetworkMode::None
    );
    let right = managed(&[(r"network!closed", number(0)), (r"network!mode", text("direct"))]);
    assert_eq!(shown(&right), Vec::<String>::new());
    assert!(!right.settings.network.closed.unwrap().value);
}

#[test]
fn what_nothing_can_be_read_of_denies_what_its_list_could_have_denied() {
    let strictest = [
        (r"filesystem!deny", binary()),
        (r"filesystem\deny!1", binary()),
        (r"filesystem\deny\1!x", text("C:/x")),
        (r"filesystem\deny!1", text("%TEMP%\\x")),
        (r"filesystem!deny", RegistryValue::Other { kind: 7, data: vec![0] }),
    ];
    for (path, value) in strictest {
        let layer = managed(&[(path, value)]);
        assert_eq!(statuses(&layer), [FindingStatus::Strictest], "{path}");
        assert!(layer.settings.filesystem.unread.is_some(), "{path}");
    }
    // A text is no list, but what it would deny is plain.
    let layer = managed(&[(r"filesystem!deny", text("~/.kube"))]);
    assert_eq!(denied_paths(&layer), ["~/.kube"]);
    assert_eq!(statuses(&layer), [FindingStatus::Partly]);
    let layer = managed(&[(r"filesystem\deny!1", list(&["~/.kube", "~/.aws"]))]);
    assert_eq!(denied_paths(&layer), ["~/.kube", "~/.aws"]);
    assert_eq!(statuses(&layer), [FindingStatus::Partly]);
}

#[test]
fn the_entries_of_a_list_stand_in_the_order_of_their_numbers() {
    let deny = |name: &str, path: &str| (format!(r"filesystem\deny!{name}"), text(path));
    let values = [
        deny("b", "/6"),
        deny("10", "/5"),
        deny("2", "/4"),
        deny("1", "/3"),
        deny("A", "/5b"),
        ("filesystem!deny".to_owned(), list(&["/1", "/2"])),
    ];
    let values: Vec<(&str, RegistryValue)> =
        values.iter().map(|(path, value)| (path.as_str(), value.clone())).collect();
    let layer = managed(&values);
    assert_eq!(denied_paths(&layer), ["/1", "/2", "/3", "/4", "/5", "/5b", "/6"]);
    assert_eq!(shown(&layer), Vec::<String>::new());
}

#[test]
fn a_list_that_is_no_list_as_a_value_leaves_the_one_in_the_key() {
    let layer =
        managed(&[("filesystem!deny", text("~/.kube")), (r"filesystem\deny!1", text("~/.aws"))]);
    assert_eq!(denied_paths(&layer), ["~/.kube", "~/.aws"]);
    assert_eq!(statuses(&layer), [FindingStatus::Partly]);
    let layer = managed(&[("filesystem!deny", binary()), (r"filesystem\deny!1", text("~/.aws"))]);
    assert_eq!(denied_paths(&layer), ["~/.aws"]);
    assert!(layer.settings.filesystem.unread.is_some());
}

#[test]
fn a_value_and_a_key_of_one_name_are_told() {
    let layer = managed(&[
        ("!network", text("none")),
        (r"network!mode", text("proxy")),
        (r"network\mode!1", text("none")),
    ]);
    let mode = layer.settings.network.mode.as_ref().unwrap();
    assert_eq!(mode.value, NetworkMode::Proxy, "a section is a key, and its mode a value");
    let found: Vec<(&str, &str)> = layer
        .findings()
        .iter()
        .map(|finding| (finding.file.trim_start_matches(HKLM), finding.found.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("!network", "the unknown key `network (a value)`"),
            (r"\network\mode", "the unknown key `mode (a key)`"),
        ]
    );
}

#[test]
fn capitals_make_no_difference_and_misspelled_names_restrict() {
    let layer = managed(&[
        (r"FileSystem\DENY!1", text("/a")),
        (r"netwrok!mode", text("none")),
        (r"filesystem\dney_write!1", text("/b")),
        (r"filesystem!colour", text("red")),
        (r"colours\deep\deeper!x", text("red")),
    ]);
    assert_eq!(denied_paths(&layer), ["/a"]);
    let mode = layer.settings.network.mode.as_ref().unwrap();
    assert!(mode.restricts_only && mode.value == NetworkMode::None);
    assert_eq!(layer.settings.filesystem.deny_write.len(), 1);
    assert_eq!(
        shown(&layer),
        [
            r"\netwrok: netwrok: expected `network`, found the unknown key `netwrok`",
            r"\colours: colours: expected one of revision, organisation, when, min_version, require, mode, until, remote, sandbox, filesystem, network, commands, environment, credentials, identity, signing, approvals, limits, found the unknown key `colours`",
            r"\filesystem!colour: filesystem.colour: expected one of read, write, deny, deny_write, sockets, found the unknown key `colour`",
            r"\filesystem\dney_write: filesystem.dney_write: expected `filesystem.deny_write`, found the unknown key `dney_write`",
        ]
        .map(|finding| format!("{HKLM}{finding}"))
    );
}

#[test]
fn a_rule_is_a_key_or_json() {
    let json = r#"{"prefix": ["npm", "publish"], "decision": "deny", "match": [["npm", "publish", "--tag", "x"]]}"#;
    let layer = managed(&[
        (r"commands\rule!10", text(json)),
        (r"commands\rule\2!decision", text("ask")),
        (r"commands\rule\2!reason", text("It leaves the laptop.")),
        (r"commands\rule\2\prefix!1", text("git")),
        (r"commands\rule\2\prefix!2", text("push")),
        (r"commands\rule\2\match!1", text(r#"["git", "push", "--force"]"#)),
        (r"commands\rule\2\match!2", list(&["git", "push", "origin"])),
        (r"commands\rule\2\match\3!1", text("git")),
        (r"commands\rule\2\match\3!2", text("push")),
        (r"commands\rule\2!not_match", list(&[r#"["git", "pull"]"#])),
        (r"commands\rule\2\when!os", text("windows")),
        (r"commands\rule\2\when!agent", list(&["codex", "goose"])),
        (r"commands\rule\2\when\workspace!1", text(r"%USERPROFILE%\work\**")),
    ]);
    assert_eq!(shown(&layer), Vec::<String>::new());
    assert_eq!(
        rules(&layer),
        [("git push".into(), Verdict::Ask), ("npm publish".into(), Verdict::Deny)]
    );
    let git = &layer.settings.commands.rules[0].value;
    assert_eq!(git.reason.as_deref(), Some("It leaves the laptop."));
    assert_eq!(
        git.when.as_ref().unwrap().to_string(),
        "os = windows, agent = codex or goose, workspace = ~/work/**"
    );
    let listed = managed(&[(r"commands!rule", list(&[json]))]);
    assert_eq!(rules(&listed), [("npm publish".into(), Verdict::Deny)]);
}

#[test]
fn a_broken_rule_denies_what_can_be_read_of_it_and_asks_about_all_where_nothing_can() {
    let table = [
        (
            text("{\"prefix\": [\"git\""),
            "",
            Verdict::Ask,
            r"\commands\rule!1: commands.rule: expected a table with `prefix` and `decision`, found no JSON: EOF while parsing a list",
        ),
        (
            text("git push"),
            "git push",
            Verdict::Deny,
            r#"\commands\rule!1: commands.rule: expected a table with `prefix` and `decision`, found "git push""#,
        ),
        (
            number(1),
            "1",
            Verdict::Deny,
            r"\commands\rule!1: commands.rule: expected a table with `prefix` and `decision`, found 1",
        ),
        (
            binary(),
            "",
            Verdict::Ask,
            r"\commands\rule!1: commands.rule: expected a table with `prefix` and `decision`, found REG_BINARY of 3 bytes",
        ),
        (
            text(r#"{"prefix": ["git"], "decision": "no"}"#),
            "git",
            Verdict::Deny,
            r#"\commands\rule!1#/decision: commands.rule.decision: expected "allow", "ask" or "deny", found "no""#,
        ),
    ];
    for (value, prefix, verdict, finding) in table {
        let layer = managed(&[(r"commands\rule!1", value)]);
        assert_eq!(rules(&layer), [(prefix.to_owned(), verdict)], "{finding}");
        assert_eq!(shown(&layer), [format!("{HKLM}{finding}")]);
        assert!(layer.settings.commands.rules[0].restricts_only);
    }
}

#[test]
fn a_path_may_be_written_as_windows_does_and_only_the_home_is_a_variable() {
    let table = [
        (r"%USERPROFILE%\.kube", Some("~/.kube")),
        (r"%userprofile%", Some("~")),
        (r"C:\Data\**\secret", Some("C:/Data/**/secret")),
        (r"~\.aws", Some("~/.aws")),
        (r"infra\**", Some("infra/**")),
        (r"%USERPROFILES%\x", None),
        (r"%APPDATA%\x", None),
    ];
    for (written, read) in table {
        for value in [text(written), RegistryValue::Expand(written.into())] {
            let layer = managed(&[(r"filesystem\deny!1", value)]);
            assert_eq!(denied_paths(&layer), Vec::from_iter(read), "{written}");
            assert_eq!(layer.findings().is_empty(), read.is_some(), "{written}");
            assert_eq!(layer.settings.filesystem.unread.is_some(), read.is_none(), "{written}");
        }
    }
}

#[test]
fn one_value_holds_a_whole_policy_as_json_and_both_hold() {
    let json = r#"{"network": {"mode": "none", "deny": ["paste.example"]}, "revision": "j"}"#;
    let mut split: Vec<String> = json.split_inclusive(',').map(str::to_owned).collect();
    split.push(String::new());
    for value in
        [text(json), RegistryValue::Expand(json.into()), RegistryValue::List(split.clone())]
    {
        let layers = layers(
            SourceKind::ManagedRegistry,
            &[
                ("!settings", value),
                (r"network!mode", text("direct")),
                (r"network\deny!1", text("drop.example")),
            ],
        );
        let told: Vec<_> =
            layers.iter().map(|layer| (layer.locator.as_str(), layer.status)).collect();
        let own = format!("{HKLM}!Settings");
        assert_eq!(told, [(HKLM, LayerStatus::Present), (&own, LayerStatus::Present)]);
        let policy = policy(layers);
        let mode = policy.explain("network.mode").unwrap();
        assert_eq!(mode.value, "none");
        assert_eq!(mode.origins[0].locator, format!("{HKLM}!Settings#/network/mode"));
        assert_eq!(mode.losers[0].origin.locator, format!(r"{HKLM}\network!mode"));
        let deny = policy.explain("network.deny").unwrap();
        assert_eq!(deny.value, serde_json::json!(["drop.example", "paste.example"]));
    }
    // Where there is nothing else, it is the only layer.
    let alone = managed(&[("!Settings", text(json))]);
    assert_eq!(alone.locator, format!("{HKLM}!Settings"));
    assert_eq!(managed(&[]).locator, HKLM);
}

#[test]
fn what_is_no_json_lets_no_session_start_and_the_values_beside_it_restrict() {
    for (value, status, detail) in [
        (
            text("{\"network\":\n {,}}"),
            LayerStatus::Invalid,
            r"Chaperone!Settings:2:3: expected valid JSON",
        ),
        (text(""), LayerStatus::Invalid, "expected valid JSON"),
        (
            number(1),
            LayerStatus::Unreadable,
            "Settings is the number 1, not a REG_SZ that holds JSON.",
        ),
        (
            binary(),
            LayerStatus::Unreadable,
            "Settings is REG_BINARY of 3 bytes, not a REG_SZ that holds JSON.",
        ),
    ] {
        let layers = layers(
            SourceKind::ManagedRegistry,
            &[("!Settings", value), (r"network!mode", text("none"))],
        );
        let [values, settings] = layers.as_slice() else { panic!("{layers:?}") };
        assert_eq!(values.settings.network.mode.as_ref().unwrap().value, NetworkMode::None);
        assert_eq!((settings.status, settings.blocks()), (status, true));
        assert!(settings.detail.contains(detail), "{}", settings.detail);
    }
}

#[test]
fn more_than_is_read_of_one_policy_is_unreadable() {
    let mut deep = key(&[(r"a!b", text("c"))]);
    for _ in 0..RegistryKey::DEPTH {
        deep = RegistryKey { values: Vec::new(), keys: vec![("a".to_owned(), deep)] };
    }
    let many = RegistryKey {
        values: (0..=RegistryKey::ENTRIES).map(|at| (at.to_string(), number(1))).collect(),
        keys: Vec::new(),
    };
    let large = key(&[("!revision", text(&"x".repeat(RegistryKey::BYTES)))]);
    let table = [
        (deep, "keys stand more than 16 deep in it"),
        (many, "it holds more than 100000 values and keys"),
        (large, "it is larger than 4 MiB"),
    ];
    for (key, why) in table {
        let layers = Layer::from_registry(SourceKind::ManagedRegistry, HKLM, &key);
        let told: Vec<_> = layers.iter().map(|it| (it.status, it.detail.clone())).collect();
        assert_eq!(told, [(LayerStatus::Unreadable, format!("{HKLM}: {why}."))]);
        assert!(layers[0].blocks());
    }
}

#[test]
fn a_digest_is_of_what_is_there_and_not_of_its_order() {
    let one = key(&[("a!x", text("1")), ("a!Y", number(2)), ("b!z", list(&["3", "4"]))]);
    let same = key(&[("b!z", list(&["3", "4"])), ("A!y", number(2)), ("A!x", text("1"))]);
    assert_eq!(one.canonical(), same.canonical());
    let others = [
        key(&[("a!x", text("1")), ("a!Y", number(2)), ("b!z", list(&["34"]))]),
        key(&[
            ("a!x", RegistryValue::Expand("1".into())),
            ("a!Y", number(2)),
            ("b!z", list(&["3", "4"])),
        ]),
        key(&[
            ("a!x", text("1")),
            ("a!Y", number(2)),
            ("b!z", list(&["3", "4"])),
            ("c!", text("")),
        ]),
        RegistryKey::default(),
    ];
    for other in others {
        assert_ne!(one.canonical(), other.canonical(), "{other:?}");
    }
}

fn any_value() -> impl Strategy<Value = RegistryValue> {
    prop_oneof![
        prop_oneof!["[a-z*/~%{}\\[\\]\"\\\\. ]{0,12}", Just("none".to_owned())]
            .prop_map(RegistryValue::Text),
        any::<String>().prop_map(RegistryValue::Expand),
        proptest::collection::vec("[a-z{\\[\" .]{0,8}", 0..3).prop_map(RegistryValue::List),
        prop_oneof![0u64..3, any::<u64>()].prop_map(RegistryValue::Number),
        (0u32..13, proptest::collection::vec(any::<u8>(), 0..4))
            .prop_map(|(kind, data)| RegistryValue::Other { kind, data }),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    const NAMES: [&str; 20] = [
        "",
        "1",
        "2",
        "network",
        "Network",
        "netwrok",
        "mode",
        "deny",
        "DENY",
        "dney",
        "allow",
        "filesystem",
        "commands",
        "rule",
        "prefix",
        "when",
        "os",
        "Settings",
        "limits",
        "memory",
    ];
    prop_oneof![proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), any::<String>()]
}

fn any_key() -> impl Strategy<Value = RegistryKey> {
    let values = || proptest::collection::vec((any_name(), any_value()), 0..4);
    let leaf = values().prop_map(|values| RegistryKey { values, keys: Vec::new() });
    leaf.prop_recursive(5, 40, 4, move |inner| {
        (values(), proptest::collection::vec((any_name(), inner), 0..4))
            .prop_map(|(values, keys)| RegistryKey { values, keys })
    })
}

proptest! {
    /// Nothing that a registry can hold is a panic, and what is wrong says where it stands.
    #[test]
    fn garbage_is_read_and_told(key in any_key()) {
        for kind in [SourceKind::ManagedRegistry, SourceKind::UserRegistry] {
            let layers = Layer::from_registry(kind, HKLM, &key);
            prop_assert!(!layers.is_empty());
            for layer in &layers {
                for finding in layer.findings() {
                    prop_assert!(finding.file.starts_with(HKLM), "{}", finding);
                }
            }
            let policy = policy(layers);
            for value in policy.values() {
                for origin in &value.origins {
                    prop_assert!(origin.locator == "defaults" || origin.locator.starts_with(HKLM));
                }
            }
        }
    }
}
