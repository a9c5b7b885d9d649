//! The schema: every key of a policy file, its type, and how its values combine.

mod keys;

pub(crate) use keys::{
    EXPIRES_SECONDS, LEAST_MEMORY, LEAST_OPEN_FILES, LEAST_PROCESSES, TIME_SECONDS,
};
pub use keys::{
    HTTP_RULE_KEYS, KEYS, Key, LAYER_KEYS, RULE_KEYS, SECTIONS, Shape, Type, rule_keys,
};

use crate::{
    CommandRule, Context, HostPattern, HttpRule, Injection, NamePattern, Organisation, Os,
    PathText, SshKey, UploadBudget, Upstream, Verdict,
};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
    /// `organisation`.
    pub organisation: Option<Located<String>>,
    /// `min_version`: the layer was written for this Chaperone or a newer one.
    pub min_version: Option<Located<Version>>,
    /// `mode`: managed layers only.
    pub mode: Option<Located<Mode>>,
    /// `until`: when `mode = "observe"` ends.
    pub until: Option<Located<Timestamp>>,
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
    /// `[credentials]`.
    pub credentials: CredentialsSettings,
    /// `[identity]`.
    pub identity: IdentitySettings,
    /// `[signing]`.
    pub signing: SigningSettings,
    /// `[approvals]`.
    pub approvals: ApprovalsSettings,
    /// `[limits]`.
    pub limits: LimitsSettings,
    /// `[remote]`: managed layers only.
    pub remote: RemoteSettings,
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
    /// `sockets`: a grant.
    pub sockets: Vec<Located<PathText>>,
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
    /// `unfamiliar`.
    pub unfamiliar: Option<Located<Verdict>>,
    /// `closed`: managed layers only.
    pub closed: Option<Located<bool>>,
    /// `upstream`.
    pub upstream: Option<Located<Upstream>>,
    /// `upstream_login`: the name of a credential.
    pub login: Option<Located<String>>,
    /// `upstream_bypass`: a grant.
    pub bypass: Vec<Located<HostPattern>>,
    /// `ca`: a grant.
    pub ca: Vec<Located<PathText>>,
    /// `read_only`.
    pub read_only: Option<Located<bool>>,
    /// `upload`: restrictions.
    pub upload: Vec<Located<UploadBudget>>,
    /// `[[network.rule]]`, in the file's order.
    pub rules: Vec<Located<Arc<HttpRule>>>,
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

/// `[credentials]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialsSettings {
    /// `[[credentials.inject]]`: grants.
    pub inject: Vec<Located<Injection>>,
    /// `closed`: managed layers only.
    pub closed: Option<Located<bool>>,
}

/// `[identity]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentitySettings {
    /// `organisations`: restrictions.
    pub organisations: Vec<Located<Organisation>>,
    /// The line of a managed entry of which nothing could be read: no provider's accounts are used.
    pub unread: Option<usize>,
}

/// `[signing]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningSettings {
    /// `ssh_keys`: a grant.
    pub ssh_keys: Vec<Located<SshKey>>,
    /// `closed`: managed layers only.
    pub closed: Option<Located<bool>>,
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
    /// `open_files`, of each process.
    pub open_files: Option<Located<u64>>,
    /// `cpu_time`.
    pub cpu_time: Option<Located<Duration>>,
    /// `wall_time`.
    pub wall_time: Option<Located<Duration>>,
}

/// `[remote]` of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteSettings {
    /// `url`: where the signed bundle lies.
    pub url: Option<Located<String>>,
    /// `root`: a path, or the root's JSON itself.
    pub root: Option<Located<String>>,
    /// `on_expiry`.
    pub on_expiry: Option<Located<OnExpiry>>,
}

/// What becomes of decisions that ask or deny, from the looser to the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are recorded and let pass.
    Observe,
    /// They take effect.
    Enforce,
}

/// What becomes of a signed bundle that has expired, from the looser to the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    /// Its restrictions hold, its grants do not.
    Restrict,
    /// No session starts.
    Refuse,
}

/// A version of Chaperone: `MAJOR.MINOR.PATCH`, of which the later parts may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u32; 3]);

impl Version {
    /// This program's own.
    pub fn current() -> Self {
        Self::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Self([0; 3]))
    }

    /// Reads `1`, `1.2` or `1.2.3`; what follows a `-` or `+` does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split(['-', '+']).next()?;
        let mut parts = [0; 3];
        for (at, part) in numbers.split('.').enumerate() {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            *parts.get_mut(at)? = part.parse().ok().filter(|_| digits)?;
        }
        Some(Self(parts))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
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
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This request alone.
    Once,
    /// Equal requests of the same command, until it exits.
    Command,
    /// Equal requests until the session ends.
    Session,
    /// Equal requests of every session in the workspace, for some weeks.
    Workspace,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::Command => "command",
            Self::Session => "session",
            Self::Workspace => "workspace",
        })
    }
}

impl Scope {
    /// Every scope, from the narrowest.
    pub const ALL: [Self; 4] = [Self::Once, Self::Command, Self::Session, Self::Workspace];
}

/// The scopes that approvals may have: who may say yes for one of them may say it for those that are
/// narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scopes {
    /// The widest of them.
    pub widest: Scope,
}

impl Scopes {
    /// Whether an approval may have this scope.
    pub fn contains(self, scope: Scope) -> bool {
        scope <= self.widest
    }

    /// The scopes, from the narrowest.
    pub fn list(self) -> Vec<Scope> {
        Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).collect()
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
