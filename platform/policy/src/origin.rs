//! Where a value came from: the kind of source, its place, and how far it is trusted.

use crate::document::Names;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::sync::Arc;

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
}

/// A layer's own origin, and those of what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The layer as a whole.
    pub(crate) whole: Origin,
    /// Where places have names, those that lines stand for, from 1.
    pub(crate) names: Arc<Names>,
}

impl Places {
    /// The origin of what stands on a line; of the layer itself for line 0. What is compiled in
    /// has no lines that anybody could look up.
    pub(crate) fn origin(&self, line: usize) -> Origin {
        let mut locator = String::with_capacity(self.whole.locator.len() + 8);
        self.locate(line, &mut locator);
        Origin { kind: self.whole.kind, locator }
    }

    /// What the origin of a line displays, behind some words.
    pub(crate) fn behind(&self, words: &str, line: usize) -> String {
        let Origin { kind, locator } = &self.whole;
        let kind = kind.word();
        let mut out = String::with_capacity(words.len() + kind.len() + locator.len() + 10);
        for part in [words, " ", kind, " "] {
            out.push_str(part);
        }
        self.locate(line, &mut out);
        out
    }

    fn locate(&self, line: usize, out: &mut String) {
        out.push_str(&self.whole.locator);
        if line == 0 || self.whole.kind == SourceKind::BuiltIn {
        } else if self.names.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(out, ":{line}");
        } else {
            self.names.write(line - 1, out);
        }
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
