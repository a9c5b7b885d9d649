//! The table of keys, from which documentation, templates and schemas for MDM are generated.

use crate::Os;
use serde::Serialize;

/// How the values of one key from several layers combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Entries line up; restrictions of every layer hold, grants of those that may grant.
    Rules,
    /// The base chooses; the strictest of managed and workspace layers bounds it.
    Ordered,
    /// The later one overrides.
    Preference,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// A number of parts such as `1.2.3`, as text.
    Version,
    /// A day such as `2026-12-31`, or a time with its zone (RFC 3339).
    Date,
    /// True or false.
    Boolean,
    /// A whole number, at least this.
    Integer(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// A duration such as `10m` as text, from `least` to `most` seconds.
    Duration { least: u64, most: u64 },
    /// A size such as `8 GiB` as text, or a number of bytes; at least this many bytes.
    Size(u64),
    /// A list of paths.
    Paths,
    /// A list of files, absolute or from `~`.
    Files,
    /// A host.
    Host,
    /// A list of hosts.
    Hosts,
    /// A proxy, as `http://HOST:PORT` or `https://HOST:PORT`.
    Proxy,
    /// The name of a credential.
    Credential,
    /// A list of methods of HTTP.
    Methods,
    /// A list of paths of URLs.
    UrlPaths,
    /// A list of names, which may hold `*`.
    Names,
    /// A list of public keys of SSH, or of the files that hold them.
    SshKeys,
    /// A list of budgets of uploads.
    Uploads,
    /// A list of organisations, each with its provider.
    Organisations,
    /// A list of keys' names.
    Keys,
    /// The words of a command; the first is a program's name or its whole path.
    Command,
    /// A list of commands, each the list of its words.
    Commands,
    /// A list of tables with these keys.
    Rules(&'static [Key]),
    /// A table with `os`, `agent` and `workspace`.
    When,
}

impl Type {
    /// Whether it is a list, of whatever.
    pub fn is_list(self) -> bool {
        match self {
            Self::Choices(_)
            | Self::Paths
            | Self::Files
            | Self::Hosts
            | Self::Methods
            | Self::UrlPaths
            | Self::Names
            | Self::SshKeys
            | Self::Uploads
            | Self::Organisations
            | Self::Keys
            | Self::Command
            | Self::Commands
            | Self::Rules(_) => true,
            Self::Text
            | Self::Host
            | Self::Proxy
            | Self::Credential
            | Self::Version
            | Self::Date
            | Self::Boolean
            | Self::Integer(_)
            | Self::Choice(_)
            | Self::Duration { .. }
            | Self::Size(_)
            | Self::When => false,
        }
    }
}

/// One key of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// In full: `network.mode`.
    pub name: &'static str,
    /// What a settings page calls it.
    pub title: &'static str,
    /// How its values combine.
    pub shape: Shape,
    /// What it takes.
    pub takes: Type,
    /// What it does, as one sentence.
    pub about: &'static str,
    /// A value as TOML writes it.
    pub example: &'static str,
    /// Only a managed layer may say it.
    pub managed_only: bool,
    /// It only allows, so a layer that may only restrict has no use for it.
    pub grants: bool,
    /// Whether a running session takes it up; else it is carried out when a session starts.
    pub live: bool,
    /// The part of a rule without which there is none.
    pub needed: bool,
    /// The systems on which it has an effect.
    pub systems: &'static [Os],
}

const EVERYWHERE: &[Os] = &[Os::Linux, Os::Macos, Os::Windows];

impl Key {
    const fn new(
        name: &'static str,
        title: &'static str,
        shape: Shape,
        takes: Type,
        about: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            shape,
            takes,
            about,
            example,
            managed_only: false,
            grants: false,
            live: true,
            needed: false,
            systems: EVERYWHERE,
        }
    }

    const fn managed(self) -> Self {
        Self { managed_only: true, ..self }
    }

    const fn grants(self) -> Self {
        Self { grants: true, ..self }
    }

    const fn at_start(self) -> Self {
        Self { live: false, ..self }
    }

    const fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    const fn on(self, systems: &'static [Os]) -> Self {
        Self { systems, ..self }
    }

    /// The section that it stands in; empty for a key of the layer itself.
    pub fn section(&self) -> &'static str {
        self.name.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within the section.
    pub fn last(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, last)| last)
    }
}

/// The shortest time in which a person could answer at all, and the longest that an agent waits.
pub(crate) const EXPIRES_SECONDS: (u64, u64) = (1, 7 * 24 * 3600);
/// Below these no agent starts.
pub(crate) const LEAST_MEMORY: u64 = 256 << 20;
pub(crate) const LEAST_PROCESSES: u64 = 32;
pub(crate) const LEAST_OPEN_FILES: u64 = 64;
/// The shortest time that a session may be given, and the longest, in seconds.
pub(crate) const TIME_SECONDS: (u64, u64) = (60, 365 * 24 * 3600);

/// The sections that keys stand in, each with what a settings page calls it.
pub const SECTIONS: [(&str, &str); 11] = [
    ("sandbox", "Sandbox"),
    ("filesystem", "Files"),
    ("network", "Network"),
    ("commands", "Commands"),
    ("environment", "Environment"),
    ("credentials", "Credentials"),
    ("identity", "Identity"),
    ("signing", "Signing"),
    ("approvals", "Approvals"),
    ("limits", "Limits"),
    ("remote", "Remote policy"),
];

/// Every key that has a value of its own, in the order in which they are shown.
pub const KEYS: [Key; 42] = [
    Key::new(
        "revision",
        "Revision",
        Shape::Preference,
        Type::Text,
        "The policy's own name for its version, shown wherever the policy is.",
        r#""2026-11-22.1""#,
    ),
    Key::new(
        "organisation",
        "Organisation",
        Shape::Preference,
        Type::Text,
        "The name of whoever manages this machine, shown wherever a managed value is.",
        r#""Acme""#,
    )
    .managed(),
    Key::new(
        "mode",
        "Mode",
        Shape::Ordered,
        Type::Choice(&["enforce", "observe"]),
        "\"observe\" records what would have been asked or denied and lets it pass, until `until`.",
        r#""observe""#,
    )
    .managed(),
    Key::new(
        "until",
        "End of observing",
        Shape::Ordered,
        Type::Date,
        "The last day on which mode \"observe\" holds; without it the mode is \"enforce\".",
        r#""2027-01-31""#,
    )
    .managed(),
    Key::new(
        "sandbox.minimum_tier",
        "Weakest sandbox",
        Shape::Ordered,
        Type::Choice(&["reduced", "full"]),
        "The weakest sandbox in which a session may start: \"reduced\" or \"full\".",
        r#""reduced""#,
    )
    .at_start()
    .on(&[Os::Linux]),
    Key::new(
        "filesystem.read",
        "Readable paths",
        Shape::Rules,
        Type::Paths,
        "Paths that may be read, beyond what a session needs anyway.",
        r#"["~/reference-docs"]"#,
    )
    .grants()
    .at_start(),
    Key::new(
        "filesystem.write",
        "Writable paths",
        Shape::Rules,
        Type::Paths,
        "Paths that may be read and written, beyond the workspace.",
        r#"["~/.cache/acme-build"]"#,
    )
    .grants()
    .at_start(),
    Key::new(
        "filesystem.deny",
        "Denied paths",
        Shape::Rules,
        Type::Paths,
        "Paths that are neither read nor written.",
        r#"["~/.kube", "**/secrets/**"]"#,
    )
    .at_start(),
    Key::new(
        "filesystem.deny_write",
        "Paths kept from writing",
        Shape::Rules,
        Type::Paths,
        "Paths that are not written.",
        r#"["infra/**"]"#,
    )
    .at_start(),
    Key::new(
        "filesystem.sockets",
        "Reachable sockets",
        Shape::Rules,
        Type::Paths,
        "Socket files of other programs that a session may connect to, such as a display's.",
        r#"["/tmp/.X11-unix/X0"]"#,
    )
    .grants()
    .at_start()
    .on(&[Os::Linux]),
    Key::new(
        "network.mode",
        "Network mode",
        Shape::Ordered,
        Type::Choice(&["none", "proxy", "direct"]),
        "What a session can reach: \"none\", \"proxy\" or \"direct\".",
        r#""none""#,
    )
    .at_start(),
    Key::new(
        "network.allow",
        "Allowed hosts",
        Shape::Rules,
        Type::Hosts,
        "Hosts and host sets that may be reached; with mode \"none\", HOST:PORT pairs that are relayed.",
        r#"["crates", "*.acme.example", "api.acme.example:8443"]"#,
    )
    .grants(),
    Key::new(
        "network.deny",
        "Denied hosts",
        Shape::Rules,
        Type::Hosts,
        "Hosts and host sets that are never reached.",
        r#"["paste.example"]"#,
    ),
    Key::new(
        "network.unfamiliar",
        "Unfamiliar hosts",
        Shape::Ordered,
        Type::Choice(&["allow", "ask", "deny"]),
        "With mode \"proxy\", what becomes of a host that no list names and that is not familiar: \"allow\", \"ask\" or \"deny\".",
        r#""ask""#,
    ),
    Key::new(
        "network.closed",
        "Only managed hosts",
        Shape::Ordered,
        Type::Boolean,
        "Whether only hosts that a managed layer allows may be reached.",
        "false",
    )
    .managed(),
    Key::new(
        "network.upstream",
        "Upstream proxy",
        Shape::Preference,
        Type::Proxy,
        "The organisation's own proxy, through which a session's connections leave the machine.",
        r#""http://proxy.acme.example:3128""#,
    ),
    Key::new(
        "network.upstream_login",
        "Login at the upstream proxy",
        Shape::Preference,
        Type::Credential,
        "The credential with which a session logs in at the upstream proxy: USER:PASSWORD, by name.",
        r#""acme-proxy""#,
    ),
    Key::new(
        "network.upstream_bypass",
        "Hosts past the upstream proxy",
        Shape::Rules,
        Type::Hosts,
        "Hosts that are reached without the upstream proxy.",
        r#"["*.corp.acme.example", "10.0.0.0/8"]"#,
    )
    .grants(),
    Key::new(
        "network.ca",
        "Certificate authorities",
        Shape::Rules,
        Type::Files,
        "Files of certificates that a session's programs trust, beside those that the system does.",
        r#"["/etc/ssl/acme-root.pem"]"#,
    )
    .grants()
    .at_start(),
    Key::new(
        "network.read_only",
        "Reading only",
        Shape::Ordered,
        Type::Boolean,
        "Whether HTTP requests may only read: GET, HEAD and OPTIONS.",
        "true",
    ),
    Key::new(
        "network.upload",
        "Upload budgets",
        Shape::Rules,
        Type::Uploads,
        "How much may be sent within which time: to each host, to hosts that are named, or to all together.",
        r#"["50 MiB per 1h", "api.acme.example 2 GiB per 1h", "* 4 GiB per session"]"#,
    ),
    Key::new(
        "network.rule",
        "Rules for HTTP requests",
        Shape::Rules,
        Type::Rules(&HTTP_RULE_KEYS),
        "Which HTTP requests to a host are allowed, asked about or denied, by method and path.",
        r#"[{ host = "api.acme.example", methods = ["POST"], decision = "ask" }]"#,
    ),
    Key::new(
        "commands.rule",
        "Command rules",
        Shape::Rules,
        Type::Rules(&RULE_KEYS),
        "Which commands are allowed, asked about or denied.",
        r#"[{ prefix = ["git", "push"], decision = "ask", reason = "Publishes work." }]"#,
    ),
    Key::new(
        "commands.closed",
        "Only managed commands",
        Shape::Ordered,
        Type::Boolean,
        "Whether only commands that a managed layer allows may run.",
        "false",
    )
    .managed(),
    Key::new(
        "environment.pass",
        "Variables passed on",
        Shape::Rules,
        Type::Names,
        "Variables that a session receives.",
        r#"["RUST_LOG"]"#,
    )
    .grants()
    .at_start(),
    Key::new(
        "environment.deny",
        "Variables withheld",
        Shape::Rules,
        Type::Names,
        "Variables that a session does not receive.",
        r#"["*TOKEN*"]"#,
    )
    .at_start(),
    Key::new(
        "credentials.inject",
        "Credentials in requests",
        Shape::Rules,
        Type::Rules(&INJECT_KEYS),
        "Which credentials of the keychain go into requests to which hosts; the agent holds a worthless value in their place.",
        r#"[{ secret = "acme", host = "api.acme.example", header = "x-api-key", env = "ACME_API_KEY" }]"#,
    )
    .grants()
    .at_start()
    .on(&[Os::Linux]),
    Key::new(
        "credentials.closed",
        "Only managed credentials",
        Shape::Ordered,
        Type::Boolean,
        "Whether only credentials that a managed layer binds to hosts go into requests.",
        "false",
    )
    .managed()
    .on(&[Os::Linux]),
    Key::new(
        "identity.organisations",
        "Organisations",
        Shape::Rules,
        Type::Organisations,
        "Whose accounts may be used at providers that have a header for it, each as PROVIDER:ORGANISATION.",
        r#"["anthropic:550e8400-e29b-41d4-a716-446655440000", "github:4711"]"#,
    ),
    Key::new(
        "signing.ssh_keys",
        "Keys that sign",
        Shape::Rules,
        Type::SshKeys,
        "SSH keys with which git may sign through the user's SSH agent: public keys, or their files.",
        r#"["~/.ssh/id_ed25519.pub"]"#,
    )
    .grants()
    .at_start()
    .on(&[Os::Linux]),
    Key::new(
        "signing.closed",
        "Only managed keys",
        Shape::Ordered,
        Type::Boolean,
        "Whether git may sign only with keys that a managed layer names.",
        "false",
    )
    .managed()
    .on(&[Os::Linux]),
    Key::new(
        "approvals.scopes",
        "Scopes of approvals",
        Shape::Ordered,
        Type::Choices(&["once", "command", "session", "workspace"]),
        "How far an approval may reach: this once, until the command exits, until the session ends, \
         or in every session of the workspace for 30 days. Each includes those before it.",
        r#"["once", "command", "session"]"#,
    ),
    Key::new(
        "approvals.expires",
        "Expiry of requests",
        Shape::Ordered,
        Type::Duration { least: EXPIRES_SECONDS.0, most: EXPIRES_SECONDS.1 },
        "How long a request waits before it is denied.",
        r#""10m""#,
    ),
    Key::new(
        "approvals.unattended",
        "Unattended requests",
        Shape::Ordered,
        Type::Choice(&["deny", "allow"]),
        "What becomes of a request when nobody can answer: \"deny\" or \"allow\".",
        r#""deny""#,
    ),
    Key::new(
        "limits.memory",
        "Memory",
        Shape::Ordered,
        Type::Size(LEAST_MEMORY),
        "The memory that a session may use, as a size; one that uses more is ended.",
        r#""8 GiB""#,
    )
    .at_start()
    .on(&[Os::Linux, Os::Windows]),
    Key::new(
        "limits.processes",
        "Processes",
        Shape::Ordered,
        Type::Integer(LEAST_PROCESSES),
        "The processes and threads that a session may have; one that has more is ended.",
        "4096",
    )
    .at_start(),
    Key::new(
        "limits.open_files",
        "Open files",
        Shape::Ordered,
        Type::Integer(LEAST_OPEN_FILES),
        "The files that each process of a session may have open.",
        "65536",
    )
    .at_start()
    .on(&[Os::Linux, Os::Macos]),
    Key::new(
        "limits.cpu_time",
        "Processor time",
        Shape::Ordered,
        Type::Duration { least: TIME_SECONDS.0, most: TIME_SECONDS.1 },
        "The processor time that a session's processes may take together before it is ended.",
        r#""8h""#,
    )
    .at_start()
    .on(&[Os::Linux, Os::Windows]),
    Key::new(
        "limits.wall_time",
        "Time",
        Shape::Ordered,
        Type::Duration { least: TIME_SECONDS.0, most: TIME_SECONDS.1 },
        "How long a session may last before it is ended.",
        r#""24h""#,
    )
    .at_start(),
    Key::new(
        "remote.url",
        "Address of the bundle",
        Shape::Preference,
        Type::Text,
        "Where a signed policy bundle lies: the https address of a TUF repository.",
        r#""https://policy.acme.example/""#,
    )
    .managed(),
    Key::new(
        "remote.root",
        "Root of the bundle",
        Shape::Preference,
        Type::Text,
        "The root that the bundle must be signed under: a path, or the root's JSON itself.",
        r#""/etc/chaperone/root.json""#,
    )
    .managed(),
    Key::new(
        "remote.on_expiry",
        "Expired bundle",
        Shape::Ordered,
        Type::Choice(&["restrict", "refuse"]),
        "What becomes of a bundle that has expired: it only restricts, or no session starts.",
        r#""restrict""#,
    )
    .managed(),
];

/// What a layer says of itself.
pub const LAYER_KEYS: [Key; 3] = [
    Key::new(
        "when",
        "Condition",
        Shape::Preference,
        Type::When,
        "Limits the whole layer to systems, agents or workspaces.",
        r#"{ os = "linux", agent = "claude-code", workspace = "~/work/**" }"#,
    ),
    Key::new(
        "min_version",
        "Least version",
        Shape::Preference,
        Type::Version,
        "The oldest Chaperone that knows every key of the layer; an older one skips what it does not know, and says so.",
        r#""0.1.0""#,
    ),
    Key::new(
        "require",
        "Required keys",
        Shape::Preference,
        Type::Keys,
        "Keys without which the layer is not to be trusted: where one is not known, no session starts.",
        r#"["network.deny"]"#,
    ),
];

/// The keys of one entry of `commands.rule`.
pub const RULE_KEYS: [Key; 6] = [
    Key::new(
        "prefix",
        "Command",
        Shape::Preference,
        Type::Command,
        "The words that a command begins with; the first is a program's name or its whole path.",
        r#"["git", "push"]"#,
    )
    .needed(),
    Key::new(
        "decision",
        "Decision",
        Shape::Preference,
        Type::Choice(&["allow", "ask", "deny"]),
        "What becomes of the command: \"allow\", \"ask\" or \"deny\".",
        r#""ask""#,
    )
    .needed(),
    Key::new(
        "reason",
        "Reason",
        Shape::Preference,
        Type::Text,
        "Why, in plain words, for whoever reads the request.",
        r#""Publishes work.""#,
    ),
    Key::new(
        "match",
        "Examples that match",
        Shape::Preference,
        Type::Commands,
        "Commands that the rule must match; tried when the layer is read.",
        r#"[["git", "push", "origin", "main"]]"#,
    ),
    Key::new(
        "not_match",
        "Examples that do not match",
        Shape::Preference,
        Type::Commands,
        "Commands that the rule must not match; tried when the layer is read.",
        r#"[["git", "pull"]]"#,
    ),
    Key::new(
        "when",
        "Condition",
        Shape::Preference,
        Type::When,
        "Limits the rule to systems, agents or workspaces.",
        r#"{ agent = "codex" }"#,
    ),
];

/// The keys of one entry of every list of rules, by the list's name.
pub fn rule_keys() -> impl Iterator<Item = (&'static str, &'static [Key])> {
    KEYS.iter().filter_map(|key| match key.takes {
        Type::Rules(keys) => Some((key.name, keys)),
        _ => None,
    })
}

/// The keys of one entry of `network.rule`.
pub const HTTP_RULE_KEYS: [Key; 6] = [
    Key::new(
        "host",
        "Host",
        Shape::Preference,
        Type::Host,
        "The hosts that the rule is about, as in `network.allow`.",
        r#""api.acme.example""#,
    )
    .needed(),
    Key::new(
        "methods",
        "Methods",
        Shape::Preference,
        Type::Methods,
        "Methods that the rule is about; without them every method.",
        r#"["POST", "PUT"]"#,
    ),
    Key::new(
        "paths",
        "Paths",
        Shape::Preference,
        Type::UrlPaths,
        "Paths that the rule is about, each with all beneath it; without them every path.",
        r#"["/repos/acme", "/users/*/keys"]"#,
    ),
    Key::new(
        "decision",
        "Decision",
        Shape::Preference,
        Type::Choice(&["allow", "ask", "deny"]),
        "What becomes of the request: \"allow\", \"ask\" or \"deny\".",
        r#""ask""#,
    )
    .needed(),
    Key::new(
        "reason",
        "Reason",
        Shape::Preference,
        Type::Text,
        "Why, in plain words, for whoever reads the request.",
        r#""Changes what others see.""#,
    ),
    Key::new(
        "when",
        "Condition",
        Shape::Preference,
        Type::When,
        "Limits the rule to systems, agents or workspaces.",
        r#"{ agent = "codex" }"#,
    ),
];

/// The keys of one entry of `credentials.inject`.
const INJECT_KEYS: [Key; 10] = [
    Key::new(
        "secret",
        "Credential",
        Shape::Preference,
        Type::Credential,
        "The name under which `chaperone secret set` keeps it.",
        r#""acme""#,
    )
    .needed(),
    Key::new(
        "host",
        "Host",
        Shape::Preference,
        Type::Host,
        "The host that it goes to, over verified TLS alone: a name, `*.domain` or an address, perhaps with a port.",
        r#""api.acme.example""#,
    )
    .needed(),
    Key::new(
        "header",
        "Header",
        Shape::Preference,
        Type::Text,
        "The header in which it stands; this, `basic` or `query` is needed.",
        r#""authorization""#,
    ),
    Key::new(
        "template",
        "Template",
        Shape::Preference,
        Type::Text,
        "What stands in the header, with {} for the credential; without it the credential alone.",
        r#""Bearer {}""#,
    ),
    Key::new(
        "basic",
        "Login",
        Shape::Preference,
        Type::Text,
        "The login of Basic authentication, with {} for the credential as its password or its name.",
        r#""x-access-token:{}""#,
    ),
    Key::new(
        "query",
        "Parameter",
        Shape::Preference,
        Type::Text,
        "The parameter of the address's query in which it stands.",
        r#""key""#,
    ),
    Key::new(
        "env",
        "Variable",
        Shape::Preference,
        Type::Text,
        "The variable in which the agent finds the value that it holds in its place; without it every request that the credential is for gets it.",
        r#""ACME_API_KEY""#,
    ),
    Key::new(
        "methods",
        "Methods",
        Shape::Preference,
        Type::Methods,
        "Methods of requests that it is for; without them every method.",
        r#"["GET", "POST"]"#,
    ),
    Key::new(
        "paths",
        "Paths",
        Shape::Preference,
        Type::UrlPaths,
        "Paths that it is for, each with all beneath it; without them every path.",
        r#"["/v1"]"#,
    ),
    Key::new(
        "when",
        "Condition",
        Shape::Preference,
        Type::When,
        "Limits the entry to systems, agents or workspaces.",
        r#"{ agent = "claude-code" }"#,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_stands_in_a_section_that_has_a_title() {
        let of_keys: BTreeSet<_> =
            KEYS.iter().map(Key::section).filter(|section| !section.is_empty()).collect();
        assert_eq!(of_keys, SECTIONS.iter().map(|(name, _)| *name).collect());
    }

    #[test]
    fn only_rules_grant() {
        for key in KEYS.iter().filter(|key| key.grants) {
            assert_eq!((key.shape, key.managed_only), (Shape::Rules, false), "{}", key.name);
        }
    }
}
