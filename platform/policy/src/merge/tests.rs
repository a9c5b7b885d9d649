//! How layers combine, case by case. What holds of every combination is in `tests/properties.rs`.

use crate::{
    Access, Context, Layer, MinimumTier, NetworkMode, Os, Policy, Scope, SourceKind, Verdict,
    built_in, decide_file, merge,
};
use std::path::Path;

use SourceKind::{
    CommandLine, ManagedFile as Managed, RecommendedFile as Recommended, UserFile as User,
    WorkspaceFile as Workspace,
};

fn context() -> Context {
    Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: Some("codex".into()),
        os: Os::Linux,
    }
}

fn policy(files: &[(SourceKind, &str)]) -> Policy {
    let layers = files.iter().enumerate().map(|(at, (kind, text))| {
        let layer = Layer::from_toml(*kind, &format!("/{kind}-{at}"), text);
        assert_eq!(layer.findings(), [], "{text}");
        layer
    });
    merge(std::iter::once(built_in()).chain(layers).collect(), &context())
}

#[test]
fn the_base_chooses_an_ordered_value_and_the_ceilings_bound_it() {
    let direct = "[network]\nmode = \"direct\"";
    let proxy = "[network]\nmode = \"proxy\"";
    let none = "[network]\nmode = \"none\"";
    let table = [
        (&[][..], NetworkMode::Proxy, "built-in defaults"),
        (&[(User, direct)], NetworkMode::Direct, "user-file /user-file-0:2"),
        (&[(Managed, direct)], NetworkMode::Direct, "managed-file /managed-file-0:2"),
        (&[(Managed, direct), (User, none)], NetworkMode::None, "user-file /user-file-1:2"),
        (&[(Managed, proxy), (User, direct)], NetworkMode::Proxy, "managed-file /managed-file-0:2"),
        (
            &[(Managed, direct), (Managed, proxy)],
            NetworkMode::Proxy,
            "managed-file /managed-file-1:2",
        ),
        (
            &[(User, direct), (Workspace, none)],
            NetworkMode::None,
            "workspace-file /workspace-file-1:2",
        ),
        (&[(User, none), (Workspace, direct)], NetworkMode::None, "user-file /user-file-0:2"),
        (
            &[(User, none), (CommandLine, direct)],
            NetworkMode::Direct,
            "command-line /command-line-1:2",
        ),
        (
            &[(CommandLine, none), (CommandLine, direct)],
            NetworkMode::Direct,
            "command-line /command-line-1:2",
        ),
        (
            &[(Recommended, direct), (Managed, none), (User, proxy)],
            NetworkMode::None,
            "managed-file /managed-file-1:2",
        ),
    ];
    for (files, mode, origin) in table {
        let policy = policy(files);
        assert_eq!(policy.network().mode.value, mode, "{files:?}");
        assert_eq!(policy.network().mode.origin.to_string(), origin, "{files:?}");
    }
}

#[test]
fn limits_and_approvals_take_the_smaller_ceiling() {
    let managed = "[limits]\nmemory = \"2 GiB\"\n[approvals]\nexpires = \"5m\"\nscopes = [\"once\"]\n[sandbox]\nminimum_tier = \"full\"";
    let user = "[limits]\nmemory = \"8 GiB\"\n[approvals]\nexpires = \"1h\"\nscopes = [\"once\", \"session\"]\n[sandbox]\nminimum_tier = \"reduced\"";
    let alone = policy(&[(User, user)]);
    assert_eq!(alone.limits().memory.as_ref().unwrap().value, 8 << 30);
    assert_eq!(alone.approvals().expires.value.as_secs(), 3600);
    let both = policy(&[(Managed, managed), (User, user)]);
    assert_eq!(both.limits().memory.as_ref().unwrap().value, 2 << 30);
    assert_eq!(both.approvals().expires.value.as_secs(), 300);
    assert_eq!(both.approvals().scopes.value.widest, Scope::Once);
    assert_eq!(both.minimum_tier(), MinimumTier::Full);
    let only = policy(&[(Managed, "[limits]\nmemory = \"2 GiB\"")]);
    assert_eq!(only.limits().memory.as_ref().unwrap().value, 2 << 30);
}

#[test]
fn a_grant_of_the_same_path_overrules_an_earlier_denial_of_the_base_only() {
    let deny = "[filesystem]\ndeny = [\"~/private\"]";
    let read = "[filesystem]\nread = [\"~/private\"]";
    let write = "[filesystem]\nwrite = [\"~/private\"]";
    let wide = "[filesystem]\nwrite = [\"~\"]";
    let decided = |files: &[(SourceKind, &str)]| {
        let policy = policy(files);
        let path = Path::new("/home/ada/private/config");
        [Access::Read, Access::Write]
            .map(|access| decide_file(&policy, access, path).map(|decision| decision.verdict))
    };
    let (allow, denied) = (Some(Verdict::Allow), Some(Verdict::Deny));
    assert_eq!(decided(&[]), [None, None]);
    assert_eq!(decided(&[(User, read)]), [allow, None]);
    assert_eq!(decided(&[(Recommended, deny), (User, read)]), [allow, denied]);
    assert_eq!(decided(&[(Recommended, deny), (User, write)]), [allow, allow]);
    assert_eq!(decided(&[(Recommended, deny), (User, wide)]), [denied, denied]);
    assert_eq!(decided(&[(User, deny), (Recommended, write)]), [denied, denied]);
    assert_eq!(decided(&[(Managed, deny), (User, write)]), [denied, denied]);
    assert_eq!(decided(&[(Workspace, deny), (User, write)]), [denied, denied]);
    assert_eq!(decided(&[(Workspace, write)]), [None, None]);
}

#[test]
fn what_is_named_within_a_denial_of_the_base_is_an_exception_and_what_is_wider_is_none() {
    let decided = |files: &[(SourceKind, &str)], path: &str| {
        let policy = policy(files);
        [Access::Read, Access::Write].map(|access| {
            decide_file(&policy, access, Path::new(path)).map(|decision| decision.verdict)
        })
    };
    let grant = |key: &str, path: &str| format!("[filesystem]\n{key} = [{path:?}]");
    let (allow, denied) = (Some(Verdict::Allow), Some(Verdict::Deny));
    let key = "/home/ada/.ssh/id_ed25519";
    let hosts = "/home/ada/.ssh/known_hosts";
    let (wide, named) = (grant("read", "~"), grant("read", "~/.ssh/known_hosts"));
    assert_eq!(decided(&[], key), [denied, denied]);
    assert_eq!(decided(&[(User, &wide)], key), [denied, denied]);
    assert_eq!(decided(&[(User, &grant("read", "~/.*"))], key), [denied, denied]);
    assert_eq!(decided(&[(User, &named)], key), [denied, denied]);
    assert_eq!(decided(&[(User, &named)], hosts), [allow, denied]);
    assert_eq!(decided(&[(Recommended, &named)], hosts), [allow, denied]);
    assert_eq!(decided(&[(Managed, &named)], hosts), [allow, denied]);
    assert_eq!(decided(&[(User, &grant("write", "~/.ssh"))], key), [allow, allow]);
    let deny = grant("deny", "~/.ssh");
    assert_eq!(decided(&[(Managed, &deny), (User, &named)], hosts), [denied, denied]);
    assert_eq!(decided(&[(Recommended, &named), (User, &deny)], hosts), [denied, denied]);
    assert_eq!(decided(&[(Workspace, &named)], hosts), [denied, denied]);
}

#[test]
fn environment_files_of_the_workspace_are_denied_but_for_templates_and_what_is_named() {
    let decided = |files: &[(SourceKind, &str)], path: &str| {
        let policy = policy(files);
        let path = context().workspace.join(path);
        decide_file(&policy, Access::Write, &path).map(|decision| decision.verdict)
    };
    let (allow, denied) = (Some(Verdict::Allow), Some(Verdict::Deny));
    for (path, expected) in [
        (".env", denied),
        ("apps/web/.env.local", denied),
        (".envrc", denied),
        (".env/bin/activate", denied),
        (".env.example", allow),
        ("apps/web/.env.local.sample", allow),
        (".env.examples", denied),
        ("env", None),
        ("src/main.env", None),
        ("web/node_modules/x/.env", allow),
        ("web/node_modules", None),
    ] {
        assert_eq!(decided(&[], path), expected, "{path}");
    }
    let user = "[filesystem]\nwrite = [\".env.test\", \"web/**/.env.local\"]";
    for (path, expected) in [
        (".env.test", allow),
        ("web/a/b/.env.local", allow),
        ("web/a/b/.env", denied),
        (".env.local", denied),
    ] {
        assert_eq!(decided(&[(User, user)], path), expected, "{path}");
    }
    let managed = "[filesystem]\ndeny = [\"**/.env*\"]";
    for path in [".env.example", ".env.test"] {
        assert_eq!(decided(&[(Managed, managed), (User, user)], path), denied, "{path}");
    }
}

#[test]
fn a_managed_denial_that_cannot_be_read_takes_every_grant_away() {
    let broken = Layer::from_toml(Managed, "/m", "[filesystem]\ndeny = [\"~bob/x\"]");
    let user = Layer::from_toml(User, "/u", "[filesystem]\nread = [\"/srv\"]");
    let policy = merge(vec![built_in(), broken, user], &context());
    assert_eq!(policy.filesystem().read, []);
    assert!(policy.blocked().is_empty());
    let value = policy.explain("filesystem.read").unwrap();
    assert_eq!(&*value.losers[0].reason, "a denial could not be read: managed-file /m:2");
}

#[test]
fn a_variable_passes_when_it_is_named_and_nobody_above_denies_it() {
    let pass = |what: &str| format!("[environment]\npass = [{what:?}]");
    let deny = |what: &str| format!("[environment]\ndeny = [{what:?}]");
    let passes =
        |files: &[(SourceKind, &str)], name: &str| policy(files).environment().passes(name);
    assert!(passes(&[], "PATH") && passes(&[], "LC_ALL") && passes(&[], "GIT_AUTHOR_NAME"));
    assert!(
        !passes(&[], "NPM_TOKEN") && !passes(&[], "LD_PRELOAD") && !passes(&[], "SSH_AUTH_SOCK")
    );
    let named = pass("NPM_TOKEN");
    assert!(passes(&[(User, &named)], "NPM_TOKEN"), "named in full");
    assert!(!passes(&[(User, &pass("*"))], "NPM_TOKEN"), "a pattern overrides nothing");
    assert!(passes(&[(User, &pass("*"))], "MY_SETTING"));
    assert!(!passes(&[(User, &pass("*")), (User, &deny("*setting"))], "MY_SETTING"), "any case");
    assert!(!passes(&[(User, &named), (CommandLine, &deny("NPM_TOKEN"))], "NPM_TOKEN"));
    assert!(!passes(&[(Managed, &deny("*TOKEN*")), (User, &named)], "NPM_TOKEN"));
    assert!(!passes(&[(User, &named), (Workspace, &deny("NPM_TOKEN"))], "NPM_TOKEN"));
    assert!(!passes(&[(Workspace, &named)], "NPM_TOKEN"));
}

#[test]
fn a_closed_list_leaves_what_managed_layers_allow() {
    let closed = "[network]\nmode = \"direct\"\nclosed = true\nallow = [\"it.example\"]";
    let user = "[network]\nallow = [\"mine.example\"]";
    let allowed = |files: &[(SourceKind, &str)]| -> Vec<String> {
        policy(files).network().allow.iter().map(|own| own.value.to_string()).collect()
    };
    assert_eq!(allowed(&[(Managed, closed), (User, user)]), ["it.example"]);
    let open = closed.replace("closed = true", "closed = false");
    assert_eq!(allowed(&[(Managed, &open), (User, user)]), ["it.example", "mine.example"]);
}

#[test]
fn a_condition_limits_a_layer_and_a_rule() {
    let mode = |when: &str| {
        let text = format!("when = {when}\n[network]\nmode = \"direct\"");
        policy(&[(User, &text)]).network().mode.value
    };
    assert_eq!(mode("{ agent = \"codex\" }"), NetworkMode::Direct);
    assert_eq!(mode("{ agent = [\"goose\", \"codex\"], os = \"linux\" }"), NetworkMode::Direct);
    assert_eq!(mode("{ agent = \"goose\" }"), NetworkMode::Proxy);
    assert_eq!(mode("{ os = \"macos\" }"), NetworkMode::Proxy);
    assert_eq!(mode("{ workspace = \"~/work/**\" }"), NetworkMode::Direct);
    assert_eq!(mode("{ workspace = \"~/other\" }"), NetworkMode::Proxy);
}

#[test]
fn the_grants_of_an_untrusted_layer_do_not_count_and_its_restrictions_do() {
    let text = "[filesystem]\nread = [\"/srv\"]\ndeny = [\"~/.kube\"]\n[network]\nmode = \"direct\"\nclosed = true\n";
    let layer = Layer::from_toml(Managed, "/m", text).untrusted("Bob could have written it.");
    let policy = merge(vec![built_in(), layer], &context());
    assert_eq!(policy.filesystem().read, []);
    assert!(policy.filesystem().deny.iter().any(|own| own.origin.locator.starts_with("/m")));
    assert_eq!(policy.network().mode.value, NetworkMode::Proxy);
    assert!(policy.network().closed.is_some());
}

#[test]
fn without_any_layer_the_strictest_holds() {
    let policy = merge(Vec::new(), &context());
    assert_eq!(policy.network().mode.value, NetworkMode::None);
    assert_eq!(policy.minimum_tier(), MinimumTier::Full);
    assert_eq!(policy.approvals().unattended.value, Verdict::Deny);
    assert!(!policy.environment().passes("PATH"));
}

/// The bundle that these layers name: its address, its root and whether its grants count.
fn bundle(layers: &[Layer]) -> Option<(String, Option<String>, bool)> {
    let remote = crate::remote(layers, &context())?;
    let whole: Vec<Layer> = std::iter::once(built_in()).chain(layers.iter().cloned()).collect();
    assert_eq!(merge(whole, &context()).remote(), Some(&remote), "both ways are one");
    Some((remote.url.value, remote.root.map(|root| root.value), remote.trusted))
}

fn names(kind: SourceKind, locator: &str, url: &str) -> Layer {
    let text = format!("[remote]\nurl = \"{url}\"\nroot = \"/{url}.json\"\n");
    Layer::from_toml(kind, locator, &text)
}

fn named(url: &str, trusted: bool) -> Option<(String, Option<String>, bool)> {
    Some((url.to_owned(), Some(format!("/{url}.json")), trusted))
}

#[test]
fn a_bundle_is_named_by_managed_layers_and_the_last_of_them_counts() {
    assert_eq!(bundle(&[]), None);
    assert_eq!(bundle(&[names(Managed, "/1", "a")]), named("a", true));
    let both = [names(Managed, "/2", "b"), names(Managed, "/1", "a")];
    assert_eq!(bundle(&both), named("b", true), "by name, however they were read");
    for kind in [User, Recommended, CommandLine, Workspace] {
        assert_eq!(bundle(&[names(kind, "/1", "a")]), None, "{kind}");
    }
    let elsewhere = Layer::from_toml(
        Managed,
        "/3",
        "when = { agent = \"other\" }\n[remote]\nurl = \"c\"\nroot = \"/c.json\"\n",
    );
    assert_eq!(bundle(&[names(Managed, "/1", "a"), elsewhere]), named("a", true));
    let bare = Layer::from_toml(Managed, "/1", "[remote]\nurl = \"a\"\n");
    assert_eq!(bundle(&[bare]), Some(("a".to_owned(), None, true)));
}

#[test]
fn a_bundle_that_only_untrusted_layers_name_restricts() {
    let untrusted = |url| names(Managed, "/9", url).untrusted("Everybody can write it.");
    assert_eq!(bundle(&[untrusted("a")]), named("a", false));
    let both = [untrusted("a"), names(Managed, "/1", "b")];
    assert_eq!(bundle(&both), named("b", true), "it does not displace one that is trusted");
    let user = names(User, "/1", "a").untrusted("Everybody can write it.");
    assert_eq!(bundle(&[user]), None);
}

#[test]
fn what_becomes_of_an_expired_bundle_is_the_strictest_that_was_said() {
    let on_expiry = |layers: &[Layer]| crate::remote(layers, &context()).unwrap().on_expiry.value;
    let says = |locator, value: &str| {
        Layer::from_toml(Managed, locator, &format!("[remote]\non_expiry = \"{value}\"\n"))
    };
    let url = || names(Managed, "/5", "a");
    assert_eq!(on_expiry(&[url()]), crate::OnExpiry::Restrict);
    assert_eq!(on_expiry(&[url(), says("/1", "refuse")]), crate::OnExpiry::Refuse);
    let both = [url(), says("/1", "refuse"), says("/9", "restrict")];
    assert_eq!(on_expiry(&both), crate::OnExpiry::Refuse);
    assert_eq!(on_expiry(&[url(), says("/1", "never")]), crate::OnExpiry::Refuse, "unreadable");
}
