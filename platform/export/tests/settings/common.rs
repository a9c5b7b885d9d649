//! Policies that the tests export: one with everything in it, and what makes one from text.

use chaperone_export::{Agent, Exported, Mode, export};
use chaperone_policy::{Context, Layer, Os, Policy, SourceKind, built_in, merge};

/// A policy in which every key says something.
pub(crate) const EVERYTHING: &str = r#"
revision = "7"
organisation = "Acme"

[sandbox]
minimum_tier = "full"

[filesystem]
read = ["~/reference-docs", "~/notes (old)"]
write = ["/srv/out", "~/out"]
deny = ["~/.kube", "**/secrets/**", "/srv/{a,b}/*.pem"]
deny_write = ["infra/**", "**/*.lock"]

[network]
mode = "proxy"
allow = ["*.acme.example", "api.acme.example:8443", "git.acme.example", "10.0.0.0/8"]
deny = ["paste.example", "*.exfil.example:8080", "192.0.2.0/24"]

[[commands.rule]]
prefix = ["terraform", "destroy"]
decision = "deny"
reason = "The pipeline alone destroys."

[[commands.rule]]
prefix = ["sh", "-c", "rm -rf /"]
decision = "deny"

[[commands.rule]]
prefix = ["npm", "test"]
decision = "allow"

[[commands.rule]]
prefix = ["git"]
decision = "allow"

[[commands.rule]]
prefix = ["env"]
decision = "allow"

[[commands.rule]]
prefix = ["make"]
decision = "allow"
when = { workspace = "~/w" }

[[commands.rule]]
prefix = ["curl"]
decision = "deny"
when = { workspace = "~/elsewhere" }

[environment]
pass = ["RUST_LOG"]
deny = ["MY_TOKEN", "*_PIN"]

[approvals]
scopes = ["once"]

[limits]
memory = "8 GiB"
"#;

pub(crate) fn context() -> Context {
    Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/w".into(),
        agent: None,
        os: Os::Linux,
    }
}

/// The policy of one managed file over the built-in defaults.
pub(crate) fn managed(text: &str) -> Policy {
    let layer = Layer::from_toml(SourceKind::ManagedFile, "/etc/chaperone/policy.d/a.toml", text);
    assert_eq!(layer.findings(), [], "{text}");
    merge(vec![built_in(), layer], &context())
}

/// One managed file alone: what the built-in defaults say is left out of the picture.
pub(crate) fn alone(text: &str) -> Policy {
    let layer = Layer::from_toml(SourceKind::ManagedFile, "/etc/chaperone/policy.d/a.toml", text);
    assert_eq!(layer.findings(), [], "{text}");
    merge(vec![layer], &context())
}

pub(crate) fn exported(agent: Agent, policy: &Policy, mode: Mode) -> Exported {
    export(agent, policy, &context(), mode).unwrap()
}
