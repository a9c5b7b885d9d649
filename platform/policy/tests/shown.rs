//! What `policy show --json` and `policy explain --json` print, whole.
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_policy::{Context, Layer, Os, Policy, Said, SourceKind, built_in, merge};

const MANAGED: &str = r#"revision = "2026-11-22.1"

[filesystem]
deny = ["~/.kube", "~/.aws/["]

[network]
mode = "prxy"
allow = ["registry.acme.example:443"]
closed = true

[[commands.rule]]
prefix = ["git", "push"]
decision = "ask"
reason = "Publishes work."
"#;

const USER: &str = r#"
[filesystem]
read = ["~/reference-docs"]

[network]
mode = "direct"
allow = ["localhost:4000"]

[[commands.rule]]
prefix = ["git", "push"]
decision = "allow"

[[commands.rule]]
prefix = ["make"]
decision = "ask"
when = { os = "windows" }
"#;

const WORKSPACE: &str = r#"
[filesystem]
read = ["/etc"]
deny_write = ["infra/**"]
sockets = ["/tmp/.X11-unix/X0"]

[approvals]
scopes = ["once"]
expires = "1h"
"#;

fn policy() -> Policy {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work/api".into(),
        agent: Some("claude-code".into()),
        os: Os::Linux,
    };
    let elsewhere = "when = { agent = \"codex\" }\n[network]\nmode = \"none\"\n";
    let layers = vec![
        built_in(),
        Layer::from_toml(SourceKind::ManagedFile, "/etc/chaperone/policy.d/10-it.toml", MANAGED),
        Layer::from_toml(
            SourceKind::ManagedFile,
            "/etc/chaperone/policy.d/20-codex.toml",
            elsewhere,
        ),
        Layer::absent(SourceKind::RecommendedFile, "/etc/chaperone/recommended.d"),
        Layer::from_toml(SourceKind::UserFile, "/home/ada/.config/chaperone/config.toml", USER),
        Layer::from_toml(
            SourceKind::WorkspaceFile,
            "/home/ada/work/api/.chaperone.toml",
            WORKSPACE,
        ),
    ];
    merge(layers, &context)
}

#[test]
fn the_layers_are_listed_with_class_and_status() {
    insta::assert_json_snapshot!("layers", policy().show().layers);
}

#[test]
fn every_key_but_the_long_lists_is_shown_with_origins_and_losers() {
    let long = ["commands.rule", "environment.pass", "environment.deny"];
    let values: Vec<_> =
        policy().values().into_iter().filter(|value| !long.contains(&value.key)).collect();
    insta::assert_json_snapshot!("values", values);
}

#[test]
fn a_rule_is_explained_with_its_losers() {
    let mut value = policy().explain("commands.rule").unwrap();
    // The built-in rules have a test of their own.
    let built_in = value.origins.iter().filter(|o| o.kind == SourceKind::BuiltIn).count();
    let Said::Rules(rules) = &mut value.value else { panic!("rules are said as rules") };
    rules.drain(..built_in);
    value.origins.drain(..built_in);
    insta::assert_json_snapshot!("rules", value);
}

#[test]
fn a_key_that_is_not_there_names_the_nearest() {
    let nearest = |key| policy().explain(key).unwrap_err().to_string();
    assert_eq!(
        nearest("network.mod"),
        "there is no key `network.mod`; did you mean `network.mode`?"
    );
    assert_eq!(nearest("expires"), "there is no key `expires`; did you mean `approvals.expires`?");
    assert_eq!(
        nearest("colour"),
        "there is no key `colour`; `chaperone policy show --all` lists them all"
    );
    let user = Layer::from_toml(SourceKind::UserFile, "/u.toml", "[network]\nmod = \"none\"\n");
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/api".into(),
        agent: None,
        os: Os::Linux,
    };
    assert_eq!(
        merge(vec![built_in(), user], &context).explain("network.mod").unwrap_err().to_string(),
        "there is no key `network.mod`; did you mean `network.mode`? /u.toml:2:1 says it: it is \
         ignored."
    );
}
