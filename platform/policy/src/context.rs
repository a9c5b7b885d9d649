//! What a merge needs to know of the session: whose home, which workspace, agent and system.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// An operating system, as `when = { os = … }` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Any Linux distribution.
    Linux,
    /// Apple's desktop system.
    Macos,
    /// Microsoft's desktop system.
    Windows,
}

impl Os {
    /// The system that this program was built for; other Unix systems count as Linux.
    pub fn current() -> Self {
        if cfg!(target_os = "macos") {
            Self::Macos
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Linux
        }
    }

    /// Reads a name as the schema writes it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "linux" => Some(Self::Linux),
            "macos" => Some(Self::Macos),
            "windows" => Some(Self::Windows),
            _ => None,
        }
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "linux",
            Self::Macos => "macos",
            Self::Windows => "windows",
        })
    }
}

/// The session that layers are merged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The user's home, absolute: what `~` stands for.
    pub home: PathBuf,
    /// The workspace, absolute: what relative paths start from.
    pub workspace: PathBuf,
    /// The agent file's name, where the agent is known.
    pub agent: Option<String>,
    /// The system the session runs on.
    pub os: Os,
}
