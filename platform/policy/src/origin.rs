//! Where a value came from: the kind of source, its place, and how far it is trusted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of source supplied a layer. The order is the order of the base:
/// a later kind overrides an earlier one where both may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Compiled into Chaperone.
    BuiltIn,
    /// What is known of one agent (`profiles/agents/*.toml`).
    AgentFile,
    /// `recommended.d/*.toml` and `*.json`: IT's defaults, which a user may change.
    RecommendedFile,
    /// Forced values of the macOS domain `dev.chaperone.desktop.recommended`: the same by profile.
    RecommendedProfile,
    /// `HKLM\SOFTWARE\Policies\Chaperone\Recommended`: the same by Group Policy.
    RecommendedRegistry,
    /// `policy.d/*.toml` and `*.json`: IT's policy, which nobody below may loosen.
    ManagedFile,
    /// Forced values of the macOS domain `dev.chaperone.desktop`: the same by profile.
    ManagedProfile,
    /// `HKLM\SOFTWARE\Policies\Chaperone`: the same by Group Policy or Intune.
    ManagedRegistry,
    /// A file of the signed bundle that a managed layer names.
    ManagedBundle,
    /// `HKCU\SOFTWARE\Policies\Chaperone`, which its user can write and so only restricts.
    UserRegistry,
    /// The user's own file: `$XDG_CONFIG_HOME/chaperone/config.toml`.
    UserFile,
    /// Values of the macOS domain `dev.chaperone.desktop` that nobody forces: `defaults write`.
    UserPreference,
    /// `--policy FILE`.
    CommandLine,
    /// `.chaperone.toml` in the workspace, which may be hostile and so only restricts.
    WorkspaceFile,
    /// An approval that outlives its request.
    Grant,
}

impl SourceKind {
    /// What layers of this kind may do.
    pub fn class(self) -> Class {
        match self {
            Self::ManagedFile
            | Self::ManagedProfile
            | Self::ManagedRegistry
            | Self::ManagedBundle => Class::Managed,
            Self::UserRegistry => Class::UserPolicy,
            Self::WorkspaceFile => Class::Workspace,
            Self::BuiltIn
            | Self::AgentFile
            | Self::RecommendedFile
            | Self::RecommendedProfile
            | Self::RecommendedRegistry
            | Self::UserFile
            | Self::UserPreference
            | Self::CommandLine
            | Self::Grant => Class::Base,
        }
    }

    /// The word for it, as JSON and `policy show` print it.
    pub fn word(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::AgentFile => "agent-file",
            Self::RecommendedFile => "recommended-file",
            Self::RecommendedProfile => "recommended-profile",
            Self::RecommendedRegistry => "recommended-registry",
            Self::ManagedFile => "managed-file",
            Self::ManagedProfile => "managed-profile",
            Self::ManagedRegistry => "managed-registry",
            Self::ManagedBundle => "managed-bundle",
            Self::UserRegistry => "user-registry",
            Self::UserFile => "user-file",
            Self::UserPreference => "user-preference",
            Self::CommandLine => "command-line",
            Self::WorkspaceFile => "workspace-file",
            Self::Grant => "grant",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the layers of a source may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// May restrict and allow; nobody below loosens what it restricts.
    Managed,
    /// Deployed by policy, but the user could have written it: may only restrict.
    UserPolicy,
    /// Chooses what the managed layers leave open.
    Base,
    /// May only restrict.
    Workspace,
}

/// Where one value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Origin {
    /// The kind of source.
    pub kind: SourceKind,
    /// The place in it: `PATH:LINE` for a value in a file, `PATH#POINTER` in JSON, `DOMAIN:KEY` of
    /// a profile, `KEY!VALUE` in the registry, the path alone for a whole file, `defaults` for what
    /// is compiled in, the approval's id for a grant.
    pub locator: String,
}

impl Origin {
    /// The origin of everything that Chaperone does with no configuration at all.
    pub fn built_in() -> Self {
        Self { kind: SourceKind::BuiltIn, locator: "defaults".into() }
    }

    /// The origin of what stands on a line of the layer that this is the origin of; of the layer
    /// itself for line 0. What is compiled in has no lines that anybody could look up.
    pub(crate) fn at(&self, line: usize) -> Self {
        let whole = line == 0 || self.kind == SourceKind::BuiltIn;
        let locator = if whole { self.locator.clone() } else { format!("{}:{line}", self.locator) };
        Self { kind: self.kind, locator }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SourceKind::BuiltIn => f.write_str("built-in defaults"),
            kind => write!(f, "{kind} {}", self.locator),
        }
    }
}
