//! What is wrong with a text, where, and what becomes of it in a managed and another layer.

use proptest::prelude::*;

use crate::{
    Finding, FindingStatus, Layer, LayerStatus, MinimumTier, NetworkMode, Scope, SourceKind,
    Verdict,
};

fn managed(text: &str) -> Layer {
    Layer::from_toml(SourceKind::ManagedFile, "/p.toml", text)
}

fn user(text: &str) -> Layer {
    Layer::from_toml(SourceKind::UserFile, "/u.toml", text)
}

fn shown(layer: &Layer) -> Vec<String> {
    layer.findings().iter().map(ToString::to_string).collect()
}

fn statuses(layer: &Layer) -> Vec<FindingStatus> {
    layer.findings().iter().map(|finding: &Finding| finding.status).collect()
}

/// The prefixes of a layer's rules with what they decide.
fn rules(layer: &Layer) -> Vec<(String, Verdict)> {
    let rules = &layer.settings.commands.rules;
    rules.iter().map(|own| (own.value.prefix.join(" "), own.value.decision)).collect()
}

#[test]
fn a_finding_says_where_what_was_expected_and_what_was_found() {
    let table = [
        (
            "[network]\nmode = \"off\"\n",
            "/u.toml:2:8: network.mode: expected \"none\", \"proxy\" or \"direct\", found \"off\"",
        ),
        (
            "netwrok = 1\n",
            "/u.toml:1:1: netwrok: expected `network`, found the unknown key `netwrok`",
        ),
        (
            "[network]\ncolour = \"ask\"\n",
            "/u.toml:2:1: network.colour: expected one of mode, allow, deny, unfamiliar, closed, upstream, upstream_login, upstream_bypass, ca, read_only, upload, rule, found the unknown key `colour`",
        ),
        (
            "[filesystem]\nread = [\"/ö\", 5]\n",
            "/u.toml:2:15: filesystem.read: expected a string, found 5",
        ),
        (
            "[filesystem]\nread = \"/x\"\n",
            "/u.toml:2:8: filesystem.read: expected an array of strings, found \"/x\"",
        ),
        (
            "[network]\nallow = [\"https://x.example/\"]\n",
            "/u.toml:2:10: network.allow: expected a host, `*.domain`, an address or a range, with or without `:PORT`, or a host set, found \"https://x.example/\"",
        ),
        (
            "[network]\nclosed = true\n",
            "/u.toml:2:10: network.closed: expected no such key here: only a managed layer may say it, found true",
        ),
        (
            "[approvals]\nexpires = 600\n",
            "/u.toml:2:11: approvals.expires: expected a duration from \"1s\" to \"168h\", such as \"10m\", found 600",
        ),
        (
            "[approvals]\nscopes = []\n",
            "/u.toml:2:10: approvals.scopes: expected a list of \"once\", \"command\", \"session\" or \"workspace\", found an empty array",
        ),
        (
            "[limits]\nmemory = \"8 Gigs\"\n",
            "/u.toml:2:10: limits.memory: expected a size of at least \"256 MiB\", such as \"8 GiB\", found \"8 Gigs\"",
        ),
        (
            "[limits]\nprocesses = -1\n",
            "/u.toml:2:13: limits.processes: expected a number of at least 32, such as 4096, found -1",
        ),
        ("sandbox = true\n", "/u.toml:1:11: sandbox: expected a table, found true"),
        (
            "when = { os = \"beos\" }\n",
            "/u.toml:1:15: when.os: expected \"linux\", \"macos\" or \"windows\", found \"beos\"",
        ),
        (
            "[[commands.rule]]\nprefix = [\"make\"]\ndecision = \"maybe\"\n",
            "/u.toml:3:12: commands.rule.decision: expected \"allow\", \"ask\" or \"deny\", found \"maybe\"",
        ),
        (
            "[[commands.rule]]\ndecision = \"ask\"\n",
            "/u.toml:1:1: commands.rule.prefix: expected an array of tokens, such as [\"git\", \"push\"], found a rule without `prefix`",
        ),
        (
            "[[commands.rule]]\nprefix = [\"make\"]\ndecision = \"ask\"\nmatch = [[\"cmake\"]]\n",
            "/u.toml:4:10: commands.rule.match: expected an example that `make` matches, found `cmake`",
        ),
        (
            "[[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"ask\"\nnot_match = [[\"git\", \"-C\", \"x\", \"push\"]]\n",
            "/u.toml:4:14: commands.rule.not_match: expected an example that `git push` does not match, found `git -C x push`",
        ),
        (
            "[[commands.rule]]\nprefix = [\"./build.sh\"]\ndecision = \"ask\"\n",
            "/u.toml:2:10: commands.rule.prefix: expected a program's name or its whole path as first token, found an array",
        ),
    ];
    for (text, expected) in table {
        let layer = user(text);
        assert_eq!(shown(&layer), [expected], "{text}");
        assert_eq!(statuses(&layer), [FindingStatus::Dropped], "{text}");
        assert_eq!(layer.status, LayerStatus::Present);
        assert!(!layer.blocks());
    }
}

#[test]
fn a_text_that_is_not_toml_is_invalid_and_says_where() {
    for (kind, blocks) in [
        (SourceKind::ManagedFile, true),
        (SourceKind::UserFile, true),
        (SourceKind::CommandLine, true),
        (SourceKind::RecommendedFile, false),
        (SourceKind::WorkspaceFile, false),
    ] {
        let layer = Layer::from_toml(
            kind,
            "/x.toml",
            "[filesystem]\ndeny = [\"~/.kube\"]\n[network]\nmode = none\nallow = [\"x.example\"]\n",
        );
        assert_eq!(layer.status, LayerStatus::Invalid);
        assert_eq!(layer.blocks(), blocks, "{kind}");
        let first = &layer.findings()[0];
        assert_eq!((first.line, first.column), (4, 8), "{first}");
        assert_eq!(layer.settings.filesystem.deny.len(), 1, "what can be read still restricts");
    }
}

#[test]
fn a_broken_managed_value_falls_to_the_strictest_of_its_key() {
    let layer = managed(
        "[sandbox]\nminimum_tier = 1\n[network]\nmode = \"off\"\nclosed = \"yes\"\n\
         [commands]\nclosed = 1\n[approvals]\nscopes = \"session\"\nexpires = \"soon\"\n\
         unattended = \"ask\"\n[limits]\nmemory = \"lots\"\nprocesses = \"many\"\n",
    );
    assert_eq!(layer.status, LayerStatus::Present, "one bad key stops no laptop");
    assert!(statuses(&layer).iter().all(|status| *status == FindingStatus::Strictest));
    assert_eq!(layer.findings().len(), 9);
    let settings = &layer.settings;
    assert_eq!(settings.sandbox.minimum_tier.as_ref().unwrap().value, MinimumTier::Full);
    assert_eq!(settings.network.mode.as_ref().unwrap().value, NetworkMode::None);
    assert!(settings.network.closed.as_ref().unwrap().value);
    assert!(settings.commands.closed.as_ref().unwrap().value);
    assert_eq!(settings.approvals.scopes.as_ref().unwrap().value.widest, Scope::Once);
    assert_eq!(settings.approvals.expires.as_ref().unwrap().value.as_secs(), 1);
    assert_eq!(settings.approvals.unattended.as_ref().unwrap().value, Verdict::Deny);
    assert_eq!(settings.limits.memory.as_ref().unwrap().value, 256 << 20);
    assert_eq!(settings.limits.processes.as_ref().unwrap().value, 32);
}

#[test]
fn a_broken_managed_section_falls_to_the_strictest_of_all_its_keys() {
    let layer = managed(
        "network = \"none\"\nsandbox = 1\ncommands = [\"git push\"]\nenvironment = 1\n\
         approvals = 1\nlimits = 1\nfilesystem = 1\n",
    );
    let settings = &layer.settings;
    assert_eq!(settings.network.mode.as_ref().unwrap().value, NetworkMode::None);
    assert!(settings.network.closed.as_ref().unwrap().value);
    assert_eq!(settings.sandbox.minimum_tier.as_ref().unwrap().value, MinimumTier::Full);
    assert_eq!(rules(&layer), [("git push".into(), Verdict::Deny)]);
    assert_eq!(settings.environment.deny[0].value.as_str(), "*");
    assert!(settings.filesystem.unread.is_some());
    assert!(statuses(&layer).iter().all(|status| *status == FindingStatus::Strictest));
}

#[test]
fn a_broken_managed_denial_denies_what_can_be_read_of_it() {
    let denied = |text: &str| {
        let layer = managed(&format!("[filesystem]\ndeny = {text}\n"));
        let read: Vec<String> =
            layer.settings.filesystem.deny.iter().map(|own| own.value.to_string()).collect();
        (read, statuses(&layer), layer.settings.filesystem.unread)
    };
    use FindingStatus::{Partly, Strictest};
    assert_eq!(denied("\"~/.kube\""), (vec!["~/.kube".into()], vec![Partly], None));
    assert_eq!(denied("[\"~/.kube/[\"]"), (vec!["~/.kube".into()], vec![Partly], None));
    assert_eq!(
        denied("[{ path = \"/srv\" }, \"/x\"]"),
        (vec!["/srv".into(), "/x".into()], vec![Partly], None)
    );
    assert_eq!(denied("[\"~bob/x\"]"), (vec![], vec![Strictest], Some(2)));

    let layer = managed("[network]\ndeny = [\"https://paste.example/x\", \"a b\"]\n");
    assert_eq!(layer.settings.network.deny[0].value.to_string(), "paste.example");
    assert!(layer.settings.network.closed.as_ref().unwrap().value, "nobody knows what `a b` was");

    let layer = managed("[environment]\ndeny = [\"MY TOKEN\"]\n");
    assert_eq!(layer.settings.environment.deny[0].value.as_str(), "MY*TOKEN");
}

#[test]
fn a_broken_managed_rule_denies_what_can_be_read_of_it() {
    let table: [(&str, &[(&str, Verdict)]); 12] = [
        ("prefix = [\"curl\"]\ndecision = \"never\"", &[("curl", Verdict::Deny)]),
        ("prefix = [\"curl\"]", &[("curl", Verdict::Deny)]),
        ("prefix = \"git push\"\ndecision = \"ask\"", &[("git push", Verdict::Ask)]),
        ("prefix = [\"git\", 5, \"x\"]\ndecision = \"deny\"", &[("git", Verdict::Deny)]),
        ("prefx = [\"curl\"]\ndecision = \"deny\"", &[("curl", Verdict::Deny)]),
        (
            "decision = \"deny\"\nmatch = [[\"curl\", \"-d\"], [\"wget\"]]",
            &[("curl -d", Verdict::Deny), ("wget", Verdict::Deny)],
        ),
        ("decision = \"deny\"", &[("", Verdict::Ask)]),
        (
            "prefix = [\"make\"]\ndecision = \"deny\"\nmatch = [[\"cmake\"]]",
            &[("make", Verdict::Deny), ("cmake", Verdict::Deny)],
        ),
        (
            "prefix = [\"make\"]\ndecision = \"deny\"\nwhen = { os = \"beos\" }",
            &[("make", Verdict::Deny)],
        ),
        ("prefix = [\"make\"]\ndecision = \"deny\"\ncolour = \"red\"", &[("make", Verdict::Deny)]),
        ("prefix = [\"make\"]\ndecision = \"allow\"\ncolour = \"red\"", &[]),
        ("prefix = [\"make\"]\ndecision = \"allow\"\nwhen = { os = \"beos\" }", &[]),
    ];
    for (text, expected) in table {
        let text = format!("[[commands.rule]]\n{text}\n");
        let layer = managed(&text);
        let expected: Vec<_> = expected.iter().map(|(p, v)| ((*p).to_owned(), *v)).collect();
        assert_eq!(rules(&layer), expected, "{text}");
        assert!(!layer.findings().is_empty(), "{text}");
        assert!(
            layer.settings.commands.rules.iter().all(|own| own.value.when.is_none()),
            "a condition that cannot be read narrows nothing: {text}"
        );
    }
    let layer = user("[[commands.rule]]\nprefix = \"git push\"\ndecision = \"deny\"\n");
    assert_eq!(rules(&layer), [], "elsewhere it is dropped");
}

#[test]
fn a_misspelled_managed_key_restricts_as_the_right_one_and_grants_nothing() {
    let layer = managed(
        "[filesystem]\ndney = [\"~/.kube\"]\nraed = [\"/srv\"]\n[netwrok]\nmode = \"proxy\"\nallow = [\"x.example\"]\n",
    );
    assert_eq!(layer.settings.filesystem.deny.len(), 1);
    assert_eq!(layer.settings.filesystem.read.len(), 0);
    let mode = layer.settings.network.mode.as_ref().unwrap();
    assert!(mode.restricts_only && mode.value == NetworkMode::Proxy);
    assert_eq!(layer.settings.network.allow.len(), 0);
    assert_eq!(statuses(&layer), [FindingStatus::Partly; 3]);
    // Elsewhere it is only reported.
    assert_eq!(user("[filesystem]\ndney = [\"~/.kube\"]\n").settings.filesystem.deny.len(), 0);
}

#[test]
fn a_managed_layer_whose_condition_cannot_be_read_holds_and_grants_nothing() {
    let layer = managed("when = { os = \"beos\" }\n[network]\nmode = \"none\"\n");
    assert!(layer.settings.when_unread);
    assert_eq!(layer.settings.when, None);
    let layer = managed("when = { os = [\"linux\", \"macos\"], agent = \"codex\" }\n");
    assert_eq!(layer.settings.when.unwrap().to_string(), "os = linux or macos, agent = codex");
}

#[test]
fn a_whole_policy_file_of_this_version_has_no_findings() {
    let layer = managed(
        r#"
        revision = "2026-11-22.1"
        when = { workspace = ["~/work/**", "/srv"] }
        [sandbox]
        minimum_tier = "reduced"
        [filesystem]
        read = ["~/reference-docs"]
        write = []
        deny = ["~/.kube", "**/secrets/**"]
        deny_write = ["infra/**"]
        [network]
        mode = "direct"
        allow = ["*.acme.example", "api.acme.example:8443", "[::1]:80"]
        deny = ["paste.example"]
        closed = false
        [[commands.rule]]
        prefix = ["git", "push"]
        decision = "ask"
        reason = "Publishes work."
        match = [["git", "push", "origin", "main"]]
        not_match = [["git", "pull"]]
        when = { os = "linux", agent = "claude-code", workspace = "~/work/**" }
        [environment]
        pass = ["RUST_LOG"]
        deny = ["*TOKEN*"]
        [approvals]
        scopes = ["once", "session"]
        expires = "10m"
        unattended = "deny"
        [limits]
        memory = "8 GiB"
        processes = 4096
        "#,
    );
    assert_eq!(shown(&layer), Vec::<String>::new());
    assert_eq!(layer.detail, "");
}

/// Lines of command rules, right and wrong, in any order.
fn rule_lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "[[commands.rule]]",
        "[[commands.rule]]",
        "[[commands.rule]] # a rule",
        "[[ commands.rule ]]",
        "[[commands.rulee]]",
        "[commands.rule]",
        "[commands]",
        "[[commands.rule.when]]",
        "[commands.rule.when]",
        "min_version = \"99.0\"",
        "prefix = [\"git\", \"push\"]",
        "prefix = [\"git\"]",
        "prefix = ['/usr/bin/git', \"push\"]",
        "prefix = [\"bin/git\"]",
        "prefix = [\"git\", \"\"]",
        "prefix = [\"git\", \"a b\"]",
        "prefix = [\"\"]",
        "prefix = [\"g\\u0000t\", \"x\"]",
        "prefix = [\"git\", 7]",
        "prefix = []",
        "prefix = \"git push\"",
        "prefx = [\"git\"]",
        "decision = \"ask\"",
        "decision = \"deny\"",
        "decision = \"allow\"",
        "decision = 'ask'",
        "decision = \"Deny\"",
        "decision = 5",
        "reason = \"Publishes work.\"",
        "reason = \"\"",
        "reason = \"a\\nb\"",
        "reason = 5",
        "match = [[\"git\", \"push\", \"now\"]]",
        "match = [[\"sh\", \"-c\", \"git push\"]]",
        "match = [[\"npm\"]]",
        "match = [[]]",
        "match = []",
        "match = [\"git push\"]",
        "not_match = [[\"git\", \"status\"]]",
        "not_match = [[\"git\", \"push\"]]",
        "not_match = 1",
        "when = { os = \"linux\" }",
        "when = { os = \"beos\" }",
        "when.os = \"linux\"",
        "os = \"linux\"",
        "closed = true",
        "oops",
        "",
    ]);
    prop::collection::vec(line, 0..14).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn rules_that_are_read_at_once_are_those_that_are_read_piece_by_piece(text in rule_lines()) {
        for kind in [SourceKind::ManagedFile, SourceKind::UserFile, SourceKind::WorkspaceFile] {
            let slow = Layer::from_toml_slowly(kind, "/p.toml", &text);
            prop_assert_eq!(Layer::from_toml(kind, "/p.toml", &text), slow, "{}", text);
        }
    }
}
