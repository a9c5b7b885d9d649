//! What holds of every combination of layers, over generated ones.
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

mod garbage;
mod promise;

use chaperone_policy::{
    Action, Command, Context, Facts, Layer, Os, Policy, SourceKind, Verdict, built_in, decide,
    decide_file, merge, unattended,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const PROGRAMS: [&str; 4] = ["git", "npm", "make", "node"];
const WORDS: [&str; 4] = ["push", "publish", "status", "-C"];
const HOSTS: [&str; 4] = ["a.example", "*.example", "a.example:443", "10.0.0.0/8"];
const PATHS: [&str; 5] = ["~/.kube", "infra/**", "**/secrets/**", "/srv", "~"];
const NAMES: [&str; 5] = ["NPM_TOKEN", "*TOKEN*", "RUST_LOG", "*", "PATH"];

static BUILT_IN: LazyLock<Layer> = LazyLock::new(built_in);

/// The text of a policy file. `restricts` leaves out whatever could grant.
fn file(restricts: bool) -> impl Strategy<Value = String> {
    let verdict = if restricts { vec!["ask", "deny"] } else { vec!["allow", "ask", "deny"] };
    let tokens = (select(PROGRAMS.to_vec()), vec(select(WORDS.to_vec()), 0..2)).prop_map(
        |(program, words)| {
            let all: Vec<&str> = std::iter::once(program).chain(words).collect();
            format!("{all:?}")
        },
    );
    let rules = vec((tokens, select(verdict)), 0..4);
    let list = |values: &'static [&'static str]| vec(select(values.to_vec()), 0..3);
    let modes: Vec<Option<&str>> = if restricts {
        vec![None, Some("none")]
    } else {
        vec![None, Some("none"), Some("proxy"), Some("direct")]
    };
    let unattended: Vec<Option<&str>> =
        if restricts { vec![None, Some("deny")] } else { vec![None, Some("allow"), Some("deny")] };
    (
        rules,
        (list(&PATHS), list(&PATHS), list(&PATHS), list(&PATHS)),
        (select(modes), list(&HOSTS), list(&HOSTS)),
        (list(&NAMES), list(&NAMES)),
        select(unattended),
        closed(),
        ordered(restricts),
    )
        .prop_map(move |(rules, files, network, environment, unattended, closed, ordered)| {
            let (read, write, deny, deny_write) = files;
            let (mode, allow, refuse) = network;
            let (pass, drop) = environment;
            let (read, write, allow, pass) =
                if restricts { Default::default() } else { (read, write, allow, pass) };
            let mut text = format!(
                "[filesystem]\nread = {read:?}\nwrite = {write:?}\ndeny = {deny:?}\n\
                 deny_write = {deny_write:?}\n[environment]\npass = {pass:?}\ndeny = {drop:?}\n\
                 [network]\nallow = {allow:?}\ndeny = {refuse:?}\n"
            );
            if let Some(mode) = mode {
                text += &format!("mode = \"{mode}\"\n");
            }
            text += closed;
            text += "[approvals]\n";
            if let Some(unattended) = unattended {
                text += &format!("unattended = \"{unattended}\"\n");
            }
            text += &ordered;
            for (prefix, decision) in rules {
                text +=
                    &format!("[[commands.rule]]\nprefix = {prefix}\ndecision = \"{decision}\"\n");
            }
            text
        })
}

/// What closes a list, in the section of the network: rarely, or everything would be closed. Only
/// managed layers may say it.
fn closed() -> impl Strategy<Value = &'static str> {
    select(&["", "", "", "", "closed = true\n", "[commands]\nclosed = true\n"][..])
}

/// Values that have an order, from within the section of the approvals on.
fn ordered(restricts: bool) -> impl Strategy<Value = String> {
    let one = move |strictest: &'static str, looser: [&'static str; 2]| {
        let looser = if restricts { [""; 2] } else { looser };
        select(vec!["", "", strictest, looser[0], looser[1]])
    };
    (
        one("scopes = [\"once\"]\n", ["scopes = [\"once\", \"session\"]\n", "scopes = []\n"]),
        one("expires = \"1m\"\n", ["expires = \"1h\"\n", "expires = \"10m\"\n"]),
        one("minimum_tier = \"full\"\n", ["minimum_tier = \"reduced\"\n", ""]),
        one("memory = \"64 MiB\"\n", ["memory = \"8 GiB\"\n", "memory = \"1 GiB\"\n"]),
        one("processes = 16\n", ["processes = 4096\n", "processes = 100000\n"]),
    )
        .prop_map(|(scopes, expires, tier, memory, processes)| {
            format!("{scopes}{expires}[sandbox]\n{tier}[limits]\n{memory}{processes}")
        })
}

fn layer(kind: SourceKind, restricts: bool) -> impl Strategy<Value = Layer> {
    (file(restricts), 0..1000u32, any::<bool>(), 0..10u8).prop_map(
        move |(text, name, breaks, chance)| {
            // Some files are broken, as files are.
            let text = match (breaks, chance) {
                (true, 0) => text.replacen("decision = \"ask\"", "decision = 5", 1),
                (true, 1) => text.replacen("[network]", "[netwrok]", 1),
                (true, 2) => text.replacen("prefix = [", "prefix = [7, ", 1),
                (true, 3) => text.replacen("deny = [", "dney = [", 1),
                _ => text,
            };
            let layer = Layer::from_toml(kind, &format!("/{kind}/{name}.toml"), &text);
            if chance == 9 {
                layer.untrusted("Somebody else could have written it.")
            } else {
                layer
            }
        },
    )
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let kinds = [
        SourceKind::RecommendedFile,
        SourceKind::ManagedFile,
        SourceKind::ManagedFile,
        SourceKind::UserFile,
        SourceKind::CommandLine,
        SourceKind::WorkspaceFile,
    ];
    vec(select(kinds.to_vec()).prop_flat_map(|kind| layer(kind, false)), 0..6).prop_map(
        |mut layers| {
            layers.push(BUILT_IN.clone());
            layers
        },
    )
}

fn context() -> Context {
    Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    }
}

fn merged(layers: &[Layer]) -> Policy {
    merge(layers.to_vec(), &context())
}

fn with(layers: &[Layer], more: &Layer) -> Policy {
    let mut layers = layers.to_vec();
    layers.push(more.clone());
    merged(&layers)
}

/// What a session does, as far as policy can tell the difference.
fn actions() -> Vec<Action> {
    let commands = [
        &["git", "push"][..],
        &["git", "-C", "x", "push", "origin"],
        &["git", "-c", "alias.x=push", "x"],
        &["git", "status"],
        &["npm", "publish"],
        &["node", "/usr/bin/npm", "publish"],
        &["make", "status"],
        &["ls"],
    ];
    let run = commands.iter().map(|tokens| Action::Run(Command::from_tokens(tokens)));
    // The program says one thing and its first argument another.
    let mut liar = Command::from_tokens(&["make", "push"]);
    liar.executable = "/usr/bin/git".into();
    let hosts = [("a.example", 443), ("a.example", 80), ("b.example", 443), ("10.1.2.3", 22)];
    let connect = hosts.map(|(host, port)| Action::Connect { host: host.into(), port });
    let paths = paths()
        .into_iter()
        .flat_map(|path| [Action::Read { path: path.clone() }, Action::Write { path }]);
    run.chain([Action::Run(liar)]).chain(connect).chain(paths).collect()
}

fn paths() -> Vec<PathBuf> {
    ["/home/ada/.kube/config", "/home/ada/work/infra/x", "/home/ada/work/a/secrets/k", "/srv/x"]
        .map(PathBuf::from)
        .to_vec()
}

fn verdicts(policy: &Policy) -> Vec<(Action, Verdict, Verdict)> {
    let facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
    actions()
        .into_iter()
        .map(|action| {
            let decision = decide(policy, &facts, &action);
            let alone = unattended(policy, decision.clone());
            (action, decision.verdict, alone.verdict)
        })
        .collect()
}

/// No action is decided more loosely after than before, and no path, variable or mode is.
fn never_looser(before: &Policy, after: &Policy) -> Result<(), TestCaseError> {
    for ((action, was, was_alone), (_, is, is_alone)) in
        verdicts(before).into_iter().zip(verdicts(after))
    {
        prop_assert!(
            is >= was || (is != Verdict::Allow && was != Verdict::Allow),
            "{action:?} was {was} and is {is}"
        );
        // Within the base a later `ask` may take the place of a `deny`; whoever wrote it also says
        // what becomes of it when nobody is there.
        if (was, is) != (Verdict::Deny, Verdict::Ask) {
            prop_assert!(is_alone >= was_alone, "{action:?} was {was_alone} and is {is_alone}");
        }
    }
    for name in ["NPM_TOKEN", "RUST_LOG", "PATH", "SECRET"] {
        let passed = before.environment().passes(name);
        prop_assert!(passed || !after.environment().passes(name), "{name} passes now");
    }
    prop_assert!(after.network().mode.value >= before.network().mode.value);
    prop_assert!(after.minimum_tier() >= before.minimum_tier());
    prop_assert!(after.approvals().scopes.value <= before.approvals().scopes.value);
    Ok(())
}

proptest! {
    // `PROPTEST_CASES=5000` looks harder.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_workspace_layer_only_restricts(
        layers in layers(),
        workspace in layer(SourceKind::WorkspaceFile, false),
    ) {
        never_looser(&merged(&layers), &with(&layers, &workspace))?;
    }

    #[test]
    fn a_restriction_only_restricts(
        layers in layers(),
        kind in select(vec![
            SourceKind::RecommendedFile,
            SourceKind::ManagedFile,
            SourceKind::UserFile,
            SourceKind::CommandLine,
        ]),
        restriction in layer(SourceKind::ManagedFile, true),
        text in file(true),
    ) {
        never_looser(&merged(&layers), &with(&layers, &restriction))?;
        let restriction = Layer::from_toml(kind, "/restriction.toml", &text);
        never_looser(&merged(&layers), &with(&layers, &restriction))?;
    }

    #[test]
    fn the_order_of_managed_layers_does_not_matter(
        (layers, shuffled) in layers().prop_map(of_one_machine).prop_flat_map(|layers| {
            (Just(layers.clone()), Just(layers).prop_shuffle())
        }),
    ) {
        let (one, other) = (merged(&layers), merged(&shuffled));
        prop_assert_eq!(one.values(), other.values());
        prop_assert_eq!(verdicts(&one), verdicts(&other));
    }

    #[test]
    fn merging_a_layer_twice_is_merging_it_once(layers in layers()) {
        let once = merged(&layers);
        let twice = merge([layers.clone(), layers].concat(), &context());
        prop_assert_eq!(&once, &twice);
        prop_assert_eq!(&once, &merge(once.layers().to_vec(), &context()));
    }

    #[test]
    fn every_value_has_an_origin_and_every_decision_a_reason(layers in layers()) {
        let policy = merged(&layers);
        for value in policy.values() {
            match value.value.entries().filter(|_| value.key != "approvals.scopes") {
                Some(entries) => prop_assert_eq!(value.origins.len(), entries, "{}", value.key),
                None => prop_assert!(value.value.is_null() || !value.origins.is_empty()),
            }
            prop_assert!(value.losers.iter().all(|loser| !loser.reason.is_empty()));
        }
        for action in actions() {
            let decision = decide(&policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action);
            prop_assert!(decision.reason.ends_with('.'), "{decision:?}");
        }
    }

    #[test]
    fn no_text_makes_the_reader_or_the_merge_fail(
        text in "[\\[\\]a-z\"=.,{}\n# ]{0,200}",
        kind in select(vec![SourceKind::ManagedFile, SourceKind::UserFile, SourceKind::WorkspaceFile]),
    ) {
        let layer = Layer::from_toml(kind, "/any.toml", &text);
        let policy = merge(vec![BUILT_IN.clone(), layer], &context());
        for action in actions() {
            decide(&policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action);
        }
        decide_file(&policy, chaperone_policy::Access::Read, Path::new("/x"));
    }
}

/// Without two files of one name in a folder, and with one `--policy` file: among several the later
/// overrides, as whoever typed them expects.
fn of_one_machine(layers: Vec<Layer>) -> Vec<Layer> {
    let mut kept: Vec<Layer> = Vec::new();
    for layer in layers {
        let line = |own: &Layer| own.kind == SourceKind::CommandLine;
        let same = |own: &Layer| own.locator == layer.locator || line(own) && line(&layer);
        if !kept.iter().any(same) {
            kept.push(layer);
        }
    }
    kept
}
