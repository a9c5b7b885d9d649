//! The JSON Schema accepts what the reader takes without a finding, and nothing else that a schema
//! can tell from it.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;

use super::*;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(&json_schema::write().unwrap()).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "it is no JSON Schema");
    jsonschema::validator_for(&schema).unwrap()
});

/// Whether the schema accepts a policy, and whether the reader takes it without a finding.
fn answers(policy: &Value) -> (bool, bool) {
    let read = read_json(SourceKind::ManagedFile, policy);
    (SCHEMA.is_valid(policy), read.findings().is_empty())
}

/// Those on which both do not agree.
fn disputed(policies: impl IntoIterator<Item = Value>) -> Vec<String> {
    let disputed = |policy: Value| {
        let (schema, reader) = answers(&policy);
        (schema != reader).then(|| format!("schema {schema}, reader {reader}: {policy}"))
    };
    policies.into_iter().filter_map(disputed).collect()
}

/// A policy that says one key.
fn policy(key: &Key, value: Value) -> Value {
    match key.section() {
        "" => json!({ key.last(): value }),
        section => json!({ section: { key.last(): value } }),
    }
}

/// Values of every type, right for one key or another and wrong for the rest.
fn values() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(31),
        json!(32),
        json!(1.5),
        json!(1e300),
        json!((256 << 20) - 1),
        json!(256 << 20),
        json!(i64::MAX),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!([[]]),
        json!([{}]),
        json!([""]),
        json!([null]),
        json!([1]),
        json!([["git"], []]),
        json!(["once"]),
        json!(["session"]),
        json!(["session", "session"]),
        json!(["once", "forever"]),
        json!(["network", "commands.rule.prefix", "min_version"]),
        json!(["network.colour"]),
        json!("network.mode"),
        json!({"os": "linux"}),
        json!({"os": ["linux", "windows"], "agent": ["codex"], "workspace": "/srv"}),
        json!({"os": "beos"}),
        json!({"os": []}),
        json!({"agent": 1}),
        json!({"workspace": ["../x"]}),
        json!({"user": "ada"}),
        json!([{"prefix": ["git"], "decision": "ask"}]),
        json!([{"prefix": ["/usr/bin/git", "a/b"], "decision": "allow", "match": []}]),
        json!([{"prefix": ["bin/git"], "decision": "ask"}]),
        json!([{"prefix": [], "decision": "ask"}]),
        json!([{"prefix": ["git", ""], "decision": "ask"}]),
        json!([{"prefix": "git push", "decision": "ask"}]),
        json!([{"prefix": ["git"], "decision": "maybe"}]),
        json!([{"prefix": ["git"]}]),
        json!([{"decision": "ask"}]),
        json!([{"prefix": ["git"], "decision": "ask", "colour": "red"}]),
        json!([{"prefix": ["git"], "decision": "ask", "when": {"os": "beos"}}]),
        json!([{"prefix": ["git"], "decision": "ask", "match": [[]]}]),
        json!([{"prefix": ["git"], "decision": "ask", "match": ["git push"]}]),
        json!([{"prefix": ["git"], "decision": "ask", "not_match": [["hg", ""]]}]),
        json!([rule("commands.rule")]),
        json!([rule("network.rule")]),
        json!([{"host": "*.a.example", "decision": "allow"}]),
        json!([{"host": "a b", "decision": "allow"}]),
        json!([{"host": ["a.example"], "decision": "allow"}]),
        json!([{"host": "a.example"}]),
        json!([{"decision": "deny"}]),
        json!([{"host": "a.example", "decision": "deny", "methods": ["get", "M-SEARCH"]}]),
        json!([{"host": "a.example", "decision": "deny", "methods": []}]),
        json!([{"host": "a.example", "decision": "deny", "methods": ["A B"]}]),
        json!([{"host": "a.example", "decision": "deny", "methods": "GET"}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/", "/a/", "/a/*/ü"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": []}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["a"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["//"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/a//"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/a/.."]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/./a"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/..a/b.."]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/a?b"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/a%20b"]}]),
        json!([{"host": "a.example", "decision": "deny", "paths": ["/a;b"]}]),
        json!({"prefix": ["git"], "decision": "ask"}),
    ];
    for text in TEXTS.lines().chain([" ", "a\u{0}b", "a\nb"]) {
        values.push(json!(text));
        values.push(json!([text]));
    }
    values.extend(all(Level::Managed, None).into_iter().map(|key| keys::example(key).unwrap()));
    values
}

/// One in each line; blanks count.
const TEXTS: &str = "

x
none
None
observe
full
deny
allow
1
1.2
1.2.3
1.2.3-beta
1.2.3.4
1..2
.1
1.x
v1
2027-01-31
 2027-01-31
2027-1-31
2027-13-01
2027-01-31T12:00:00Z
2027-01-31T12:00:00+01:00
2027-01-31T12:00:00
2027-01-31 12:00:00Z
soon
10m
1h 30m
1h30m
90s
1500ms
10 m
10 minutes
2 hours, 5 mins
10
m
-5m
10m ago
5s 1h
1 day
1w
8 GiB
8GiB
8gib
512 MB
1 T
1 TiB
8
GiB
-1 GiB
+1 GiB
8 XB
~
~/x
~bob/x
/srv
srv/**
../x
a/../b
a..b
..
...
$HOME/x
a$b
%TEMP%/x
a%20b%
C:/x
**/*.pem
a.example
*.a.example
*a.example
*
*:443
*.
a.example.
a.example:443
a.example:0
a.example:65535
a.example:65536
a.example:0443
a.example:+443
a.example:
https://a.example
a b
a..b
a_b
-
bücher.example
localhost
1.2.3.4
1.2.3.4:80
1.2.3
1.2.3.256
01.2.3.4
1.2.3.4.
10.0.0.0/8
10.0.0.0/33
10.0.0.0/8:443
10.0.0.0/
::1
[::1]
[::1]:80
[::1
::1:80
fe80::/10
[10.0.0.1]:80
a.example/path
a.123
123.a
*.1.2.3.4
PATH
LC_*
*TOKEN*
A B
ProgramFiles(x86)
A=B
é";

#[test]
fn it_accepts_what_the_reader_takes_and_refuses_what_it_finds_wrong() {
    let keys = all(Level::Managed, None);
    let policies = keys.iter().flat_map(|key| values().into_iter().map(|value| policy(key, value)));
    // A bracket that nothing closes: no pattern counts them.
    let paths = keys.iter().filter(|key| key.takes == Type::Paths);
    let unclosed = paths.map(|key| policy(key, json!(["[::1"])));
    // Nor does one tell how long a time is.
    let long = |key: &&&Key| matches!(key.takes, Type::Duration { least: 2.., .. });
    let short = keys.iter().filter(long).map(|key| policy(key, json!("1500ms")));
    assert_eq!(disputed(policies), disputed(unclosed.chain(short)));
}

#[test]
fn it_accepts_no_key_that_is_not_known() {
    let sections = keys::sections(Level::Managed, None);
    let names: Vec<_> = all(Level::Managed, None).iter().map(|key| key.last()).collect();
    let mut policies = vec![json!([]), json!({})];
    for name in names.iter().copied().chain(["colour", "$schema", "Mode", "rules"]) {
        policies.push(json!({ name: "none" }));
        for section in sections.iter().filter(|section| !section.name.is_empty()) {
            policies.push(json!({ section.name: { name: "none" } }));
            policies.push(json!({ section.name: name }));
        }
    }
    assert_eq!(disputed(policies), [""; 0]);
}

#[test]
fn policies_that_are_in_use_are_accepted() {
    let root = crate::project::Project::find().unwrap().root;
    let examples_of_policies = fs::read_dir(root.join("docs/examples")).unwrap();
    let mut files: Vec<_> = examples_of_policies.map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    files.push(root.join("platform/policy/src/defaults.toml"));
    files.push(root.join("profiles/policy.toml"));
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "toml")) {
        let text = fs::read_to_string(file).unwrap();
        let policy = serde_json::to_value(text.parse::<::toml::Table>().unwrap()).unwrap();
        assert_eq!(answers(&policy), (true, true), "{}", file.display());
    }
    let mut policy = examples(&all(Level::Managed, None));
    add_rules(&mut policy);
    assert_eq!(answers(&policy), (true, true));
}

/// Pieces that texts of policies are made of, put together at random.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "B",
        "0",
        "1",
        "7",
        "25",
        "256",
        "999999999999",
        ".",
        "..",
        ":",
        "::",
        "/",
        "~",
        "*",
        "**",
        "-",
        "_",
        "+",
        "[",
        "]",
        "{",
        "}",
        "?",
        ",",
        " ",
        "$",
        "%",
        "\\",
        "\n",
        "\0",
        "ü",
        "example",
        "h",
        "m",
        "s",
        "ms",
        "hours",
        ".pub",
        "ssh-rsa ",
        "mins",
        "GiB",
        "MB",
        "B",
        "fe80",
        "ff",
        "2027-01-31",
        "T12:00:00",
        "Z",
        "-02-30",
        "443",
        "65536",
        "localhost",
        "$HOME",
        "P",
        "T",
        "ago",
        " per ",
        "session",
        "github:",
        "* ",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

/// What the reader refuses and no pattern can tell (see `patterns`).
fn only_the_reader_tells(takes: Type, text: &str) -> bool {
    match takes {
        Type::Paths => text.contains(['[', '{', '}']),
        Type::SshKeys => {
            let key = text.trim_start_matches(' ');
            key.starts_with("ssh-") || key.starts_with("ecdsa-") || key.starts_with("sk-")
        }
        Type::Hosts => text.matches(':').count() > 1 || text.starts_with('['),
        // Which host it is about.
        Type::Uploads => text.matches(' ').count() > 2,
        Type::Date => text.contains("-02-30"),
        Type::Duration { .. } | Type::Size(_) | Type::Version => {
            text.bytes().any(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Spellings that the reader takes and nobody is offered: other units and forms of a duration.
fn only_the_reader_takes(takes: Type, text: &str) -> bool {
    matches!(takes, Type::Duration { .. }) && text.contains(['P', 'T', ':', '.', ',', '+'])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged_as_the_reader_does(text in text()) {
        for key in all(Level::Managed, None) {
            let value = if key.takes.is_list() { json!([text]) } else { json!(text) };
            let policy = policy(key, value);
            let (schema, reader) = answers(&policy);
            let excused = match (schema, reader) {
                (true, false) => only_the_reader_tells(key.takes, &text),
                (false, true) => only_the_reader_takes(key.takes, &text),
                _ => true,
            };
            prop_assert!(excused, "schema {schema}, reader {reader}: {policy}");
        }
    }
}
