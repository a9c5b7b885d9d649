//! Why there is no plan, in words that say what to do.

use super::walk::TooLarge;
use super::{Loss, Tier};
use chaperone_policy::Origin;
use std::path::PathBuf;

/// A session that does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The workspace is not a folder that exists.
    #[error("the workspace {} is not a folder; name one with --workspace", .path.display())]
    NoWorkspace {
        /// As it was given.
        path: PathBuf,
    },
    /// The workspace is `/`, the home folder or a folder that holds it.
    #[error(
        "{} cannot be a workspace: it holds {holds}, and the agent could change all of it; start in the project's own folder, or name it with --workspace",
        .path.display()
    )]
    WorkspaceTooWide {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        holds: &'static str,
    },
    /// The workspace holds, or lies in, Chaperone's own files.
    #[error(
        "{} cannot be a workspace: Chaperone keeps its own files in {}, where no agent may reach them",
        .path.display(), .own.display()
    )]
    WorkspaceHoldsChaperone {
        /// The folder.
        path: PathBuf,
        /// Chaperone's.
        own: PathBuf,
    },
    /// The policy denies a folder that the session cannot do without.
    #[error(
        "the policy denies {}, which the session needs as {what}: `{pattern}` in filesystem.deny ({origin})",
        .path.display()
    )]
    Denied {
        /// The folder.
        path: PathBuf,
        /// What the session needs it for.
        what: &'static str,
        /// The pattern that covers it.
        pattern: String,
        /// Where that pattern came from.
        origin: Origin,
    },
    /// A pattern that would have to be searched for in too large a tree.
    #[error(
        "the patterns of filesystem.deny would have to be searched for in all of {}, which is too large; begin them with the folder that they are about",
        .root.display()
    )]
    SearchTooLarge {
        /// What would have to be searched.
        root: PathBuf,
    },
    /// A pattern that cannot be read. The policy checks its patterns, so this is a fault of ours.
    #[error("the pattern `{pattern}` cannot be read as one over paths; correct it in the policy")]
    BadPattern {
        /// As the policy has it.
        pattern: String,
    },
    /// There is no sandbox on this machine.
    #[error("this machine gives no sandbox, and no agent starts without one{}", remedies(.losses))]
    NoSandbox {
        /// What is missing, and how to get it.
        losses: Vec<Loss>,
    },
    /// The sandbox here is weaker than the policy demands.
    #[error(
        "the policy demands the {needed} tier (sandbox.minimum_tier, {origin}), and this machine gives the {found} tier{}",
        remedies(.losses)
    )]
    TierTooLow {
        /// What the policy demands.
        needed: Tier,
        /// What the machine gives.
        found: Tier,
        /// Where the demand came from.
        origin: Origin,
        /// What is missing, and how to get it.
        losses: Vec<Loss>,
    },
    /// A list of hosts that nothing would enforce.
    #[error(
        "network.mode is \"direct\", where nothing enforces {key} ({origin}); use mode \"proxy\", or take {key} away"
    )]
    DirectIgnores {
        /// What would not be enforced.
        key: &'static str,
        /// Where it was said.
        origin: Origin,
    },
}

impl From<TooLarge> for Refusal {
    fn from(TooLarge { root }: TooLarge) -> Self {
        Self::SearchTooLarge { root }
    }
}

/// A text that [`super::Glob`] gave back.
impl From<String> for Refusal {
    fn from(pattern: String) -> Self {
        Self::BadPattern { pattern }
    }
}

fn remedies(losses: &[Loss]) -> String {
    let mut fixes: Vec<&str> = Vec::new();
    let mut text = String::new();
    for loss in losses {
        text.push_str(&format!("\n  missing: {}", loss.detail));
        if !loss.fix.is_empty() && !fixes.contains(&loss.fix.as_str()) {
            fixes.push(&loss.fix);
        }
    }
    for fix in fixes {
        text.push_str(&format!("\n  to get it: {fix}"));
    }
    text
}
