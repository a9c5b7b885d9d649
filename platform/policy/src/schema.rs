//! The schema: every key of a policy file, its type, and how its values combine.

use crate::{CommandRule, Context, HostPattern, NamePattern, Os, PathText, Verdict};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How the values of one key from several layers combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Entries line up; restrictions of every layer hold, grants of those that may grant.
    Rules,
    /// The base chooses; the strictest of managed and workspace layers bounds it.
    Ordered,
    /// The later one overrides.
    Preference,
}

/// One key of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// In full: `network.mode`.
    pub name: &'static str,
    /// How its values combine.
    pub shape: Shape,
    /// What it does, as one sentence.
    pub about: &'static str,
}

/// Every key that has a value of its own, in the order in which they are shown.
pub const KEYS: [Key; 19] = [
    Key {
        name: "revision",
        shape: Shape::Preference,
        about: "The policy's own name for its version, shown wherever the policy is.",
    },
    Key {
        name: "sandbox.minimum_tier",
        shape: Shape::Ordered,
        about: "The weakest sandbox in which a session may start: \"reduced\" or \"full\".",
    },
    Key {
        name: "filesystem.read",
        shape: Shape::Rules,
        about: "Paths that may be read, beyond what a session needs anyway.",
    },
    Key {
        name: "filesystem.write",
        shape: Shape::Rules,
        about: "Paths that may be read and written, beyond the workspace.",
    },
    Key {
        name: "filesystem.deny",
        shape: Shape::Rules,
        about: "Paths that are neither read nor written.",
    },
    Key {
        name: "filesystem.deny_write",
        shape: Shape::Rules,
        about: "Paths that are not written.",
    },
    Key {
        name: "network.mode",
        shape: Shape::Ordered,
        about: "What a session can reach: \"none\", \"proxy\" or \"direct\".",
    },
    Key {
        name: "network.allow",
        shape: Shape::Rules,
        about: "Hosts that may be reached; with mode \"none\", HOST:PORT pairs that are relayed.",
    },
    Key { name: "network.deny", shape: Shape::Rules, about: "Hosts that are never reached." },
    Key {
        name: "network.closed",
        shape: Shape::Ordered,
        about: "Whether only hosts that a managed layer allows may be reached.",
    },
    Key {
        name: "commands.rule",
        shape: Shape::Rules,
        about: "Which commands are allowed, asked about or denied.",
    },
    Key {
        name: "commands.closed",
        shape: Shape::Ordered,
        about: "Whether only commands that a managed layer allows may run.",
    },
    Key {
        name: "environment.pass",
        shape: Shape::Rules,
        about: "Variables that a session receives.",
    },
    Key {
        name: "environment.deny",
        shape: Shape::Rules,
        about: "Variables that a session does not receive.",
    },
    Key {
        name: "approvals.scopes",
        shape: Shape::Ordered,
        about: "How far an approval may reach: [\"once\"] or [\"once\", \"session\"].",
    },
    Key {
        name: "approvals.expires",
        shape: Shape::Ordered,
        about: "How long a request waits before it is denied.",
    },
    Key {
        name: "approvals.unattended",
        shape: Shape::Ordered,
        about: "What becomes of a request when nobody can answer: \"deny\" or \"allow\".",
    },
    Key {
        name: "limits.memory",
        shape: Shape::Ordered,
        about: "The memory that a session may use, as a size.",
    },
    Key {
        name: "limits.processes",
        shape: Shape::Ordered,
        about: "The processes and threads that a session may have.",
    },
];

/// A value with the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// From 1; 0 where the layer has no lines.
    pub line: usize,
    /// It was read from a key that is misspelled or from what is left of a broken value, so it
    /// restricts and never grants.
    pub restricts_only: bool,
}

/// What one layer says. A key that it leaves out constrains nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `revision`.
    pub revision: Option<Located<String>>,
    /// `when`, for the whole layer.
    pub when: Option<When>,
    /// The layer's `when` could not be read: it holds always, and grants nothing.
    pub when_unread: bool,
    /// `[sandbox]`.
    pub sandbox: SandboxSettings,
    /// `[filesystem]`.
    pub filesystem: FilesystemSettings,
    /// `[network]`.
    pub network: NetworkSettings,
    /// `[commands]`.
    pub commands: CommandSettings,
    /// `[environment]`.
    pub environment: EnvironmentSettings,
    /// `[approvals]`.
    pub approvals: ApprovalsSettings,
    /// `[limits]`.
    pub limits: LimitsSettings,
}

/// `[sandbox]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxSettings {
    /// `minimum_tier`.
    pub minimum_tier: Option<Located<MinimumTier>>,
}

/// `[filesystem]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesystemSettings {
    /// `read`: a grant.
    pub read: Vec<Located<PathText>>,
    /// `write`: a grant.
    pub write: Vec<Located<PathText>>,
    /// `deny`: a restriction.
    pub deny: Vec<Located<PathText>>,
    /// `deny_write`: a restriction.
    pub deny_write: Vec<Located<PathText>>,
    /// The line of a managed denial of which nothing could be read: no configured grant holds.
    pub unread: Option<usize>,
}

/// `[network]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// `mode`.
    pub mode: Option<Located<NetworkMode>>,
    /// `allow`: a grant.
    pub allow: Vec<Located<HostPattern>>,
    /// `deny`: a restriction.
    pub deny: Vec<Located<HostPattern>>,
    /// `closed`: managed layers only.
    pub closed: Option<Located<bool>>,
}

/// `[commands]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandSettings {
    /// `[[commands.rule]]`, in the file's order.
    pub rules: Vec<Located<Arc<CommandRule>>>,
    /// `closed`: managed layers only.
    pub closed: Option<Located<bool>>,
}

/// `[environment]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentSettings {
    /// `pass`: a grant.
    pub pass: Vec<Located<NamePattern>>,
    /// `deny`: a restriction.
    pub deny: Vec<Located<NamePattern>>,
}

/// `[approvals]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalsSettings {
    /// `scopes`.
    pub scopes: Option<Located<Scopes>>,
    /// `expires`.
    pub expires: Option<Located<Duration>>,
    /// `unattended`: `Allow` or `Deny`.
    pub unattended: Option<Located<Verdict>>,
}

/// `[limits]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsSettings {
    /// `memory`, in bytes.
    pub memory: Option<Located<u64>>,
    /// `processes`, threads included.
    pub processes: Option<Located<u64>>,
}

/// The weakest sandbox that will do, from the looser to the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MinimumTier {
    /// Landlock and seccomp.
    Reduced,
    /// Landlock, seccomp and namespaces.
    Full,
}

/// What a session can reach, from the looser to the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// The machine's own network.
    Direct,
    /// What the session's proxy lets through.
    Proxy,
    /// Nothing but named relays.
    None,
}

/// How far one approval reaches.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This request alone.
    Once,
    /// Equal requests until the session ends.
    Session,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::Session => "session",
        })
    }
}

/// The scopes that approvals may have. `once` is always among them: who may say yes for a session
/// may say yes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes {
    /// Whether an approval may hold for the session.
    pub session: bool,
}

impl Scopes {
    /// Whether an approval may have this scope.
    pub fn contains(self, scope: Scope) -> bool {
        match scope {
            Scope::Once => true,
            Scope::Session => self.session,
        }
    }

    /// The scopes, from the narrowest.
    pub fn list(self) -> Vec<Scope> {
        if self.session { vec![Scope::Once, Scope::Session] } else { vec![Scope::Once] }
    }
}

/// The condition on a layer or a rule: every part that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// One of these systems; empty is any.
    pub os: Vec<Os>,
    /// One of these agents, by the agent file's name; empty is any.
    pub agent: Vec<String>,
    /// The workspace is one of these folders or lies beneath; empty is any.
    pub workspace: Vec<PathText>,
}

impl When {
    /// Whether the condition holds in this session.
    pub fn holds(&self, context: &Context) -> bool {
        let Self { os, agent, workspace } = self;
        let os = os.is_empty() || os.contains(&context.os);
        let agent = agent.is_empty()
            || context.agent.as_ref().is_some_and(|name| agent.iter().any(|one| one == name));
        let workspace = workspace.is_empty()
            || workspace.iter().any(|one| one.expand(context).covers(&context.workspace));
        os && agent && workspace
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, agent, workspace } = self;
        let lists = [
            ("os", os.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ("agent", agent.clone()),
            ("workspace", workspace.iter().map(ToString::to_string).collect()),
        ];
        let parts: Vec<String> = lists
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| format!("{name} = {}", list.join(" or ")))
            .collect();
        f.write_str(&parts.join(", "))
    }
}
