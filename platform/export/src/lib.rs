//! A policy as agents' own managed settings, and those settings as a layer of a policy.
//!
//! Pure: nothing here reads or writes a file. What an agent cannot say is listed, never dropped.

mod allows;
mod claude_code;
mod codex;
mod commands;
mod gemini_cli;
mod hosts;
mod import;
mod losses;
mod paths;
mod permission;
mod quote;
mod vscode;

pub use import::{ImportError, Imported, NotRead};
pub use losses::{Effect, Lost};

use chaperone_policy::{Blocked, Context, Os, Policy};
use losses::Losses;
use serde::Serialize;

/// An agent whose managed settings are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Agent {
    /// Claude Code: `managed-settings.json`.
    ClaudeCode,
    /// Codex: `requirements.toml`, `managed_config.toml` and rules.
    Codex,
    /// Gemini CLI: its system `settings.json` and a file of its policy engine.
    GeminiCli,
    /// Visual Studio Code: its device policies, and Copilot's managed settings.
    VsCode,
}

impl Agent {
    /// Every one, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::ClaudeCode, Self::Codex, Self::GeminiCli, Self::VsCode];

    /// The agent's name in full.
    pub fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::GeminiCli => "Gemini CLI",
            Self::VsCode => "VS Code",
        }
    }

    /// The name of its agent file, where Chaperone has one.
    pub fn agent_file(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some("claude-code"),
            Self::Codex => Some("codex"),
            Self::GeminiCli => Some("gemini-cli"),
            Self::VsCode => None,
        }
    }
}

/// How the agent will be run where the files lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Under Chaperone, whose sandbox and requests hold: the agent's own sandbox is off.
    Inside,
    /// Without Chaperone: the agent's own settings have to hold what they can.
    Standalone,
}

/// One file of managed settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// A name relative to the agent's folder of managed settings.
    pub name: &'static str,
    /// Where it goes on each system.
    pub places: Places,
    /// What stands in it.
    pub text: String,
}

/// Where a file goes, by system: a path, or where its keys go in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Places {
    /// On Linux.
    pub linux: &'static str,
    /// On macOS.
    pub macos: &'static str,
    /// On Windows.
    pub windows: &'static str,
}

impl Places {
    /// The place on one system.
    pub fn on(&self, os: Os) -> &'static str {
        match os {
            Os::Linux => self.linux,
            Os::Macos => self.macos,
            Os::Windows => self.windows,
        }
    }
}

/// A policy in one agent's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The files, the most important first.
    pub files: Vec<File>,
    /// What they do not say, or do not say exactly.
    pub lost: Vec<Lost>,
}

/// Why nothing could be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A layer could not be read, so nobody knows what is forbidden.
    #[error("nobody knows the whole policy, so it is not handed on: {reason} ({origin})",
        reason = .0.reason, origin = .0.origin)]
    Blocked(Blocked),
}

/// One export at work: the policy, for whom, and what is lost on the way.
struct Job<'a> {
    agent: Agent,
    policy: &'a Policy,
    context: &'a Context,
    lost: Losses,
}

/// What of a machine a session may use: no agent has words for it.
const LIMITS: [&str; 5] = [
    "limits.memory",
    "limits.processes",
    "limits.open_files",
    "limits.cpu_time",
    "limits.wall_time",
];

impl Job<'_> {
    /// No agent filters what is asked of an SSH agent.
    pub(crate) fn signing(&mut self) {
        let why = "Without Chaperone nothing stands between the agent and the SSH agent.";
        self.lost.whole("signing.ssh_keys", Effect::Missing, why);
        self.lost.done(&["signing.closed"]);
        if self.policy.signing().closed.is_some() {
            self.lost.whole("signing.closed", Effect::Missing, why);
        }
    }

    /// No agent's own settings put a credential of a keychain into a request.
    pub(crate) fn credentials(&mut self) {
        let why =
            "Without Chaperone nothing puts a credential in the place of what the agent holds.";
        self.lost.whole("credentials.inject", Effect::Missing, why);
        self.lost.done(&["credentials.closed"]);
        if self.policy.credentials().closed.is_some() {
            self.lost.whole("credentials.closed", Effect::Missing, why);
        }
    }

    /// Everything that is not said is held by Chaperone around the agent.
    pub(crate) fn hold(&mut self, what: &str) {
        self.lost.held();
        let why = format!("Chaperone holds it around the agent; {what}.");
        for key in [
            "sandbox.minimum_tier",
            "filesystem.read",
            "filesystem.write",
            "filesystem.deny",
            "filesystem.deny_write",
            "filesystem.sockets",
            "network.mode",
            "network.allow",
            "network.deny",
            "network.unfamiliar",
            "commands.rule",
            "environment.pass",
            "environment.deny",
            "credentials.inject",
            "signing.ssh_keys",
            "approvals.scopes",
            "approvals.expires",
            "approvals.unattended",
        ] {
            self.lost.whole(key, Effect::Held, why.clone());
        }
        for key in LIMITS {
            self.lost.whole(key, Effect::Held, why.clone());
        }
        let closed = [
            ("network.closed", self.policy.network().closed.is_some()),
            ("commands.closed", self.policy.commands_closed().is_some()),
            ("credentials.closed", self.policy.credentials().closed.is_some()),
            ("signing.closed", self.policy.signing().closed.is_some()),
        ];
        for (key, set) in closed {
            self.lost.done(&[key]);
            if set {
                self.lost.whole(key, Effect::Held, why.clone());
            }
        }
    }
}

/// Writes the effective policy as the agent's own managed settings. Whatever the files say is at
/// least as strict as the policy: what an agent would read more widely is left out where it allows,
/// and may be wider where it denies. `context` is the one that the policy was merged for.
///
/// # Errors
/// When the policy blocks every session, because a layer of it could not be read.
pub fn export(
    agent: Agent,
    policy: &Policy,
    context: &Context,
    mode: Mode,
) -> Result<Exported, ExportError> {
    if let Some(blocked) = policy.blocked().first() {
        return Err(ExportError::Blocked(blocked.clone()));
    }
    let mut job = Job { agent, policy, context, lost: Losses::new(policy) };
    let files = match (agent, mode) {
        (Agent::ClaudeCode, Mode::Standalone) => claude_code::standalone(&mut job),
        (Agent::ClaudeCode, Mode::Inside) => claude_code::inside(&mut job),
        (Agent::Codex, Mode::Standalone) => codex::standalone(&mut job),
        (Agent::Codex, Mode::Inside) => codex::inside(&mut job),
        (Agent::GeminiCli, Mode::Standalone) => gemini_cli::standalone(&mut job),
        (Agent::GeminiCli, Mode::Inside) => gemini_cli::inside(&mut job),
        (Agent::VsCode, Mode::Standalone) => vscode::standalone(&mut job),
        (Agent::VsCode, Mode::Inside) => vscode::inside(&mut job),
    };
    Ok(Exported { files, lost: job.lost.finish() })
}

/// Reads files of an agent's managed settings, each with the name to show for it, as one layer.
///
/// # Errors
/// When a file is not in its format, or none of the agent's.
pub fn import(agent: Agent, files: &[(String, String)]) -> Result<Imported, ImportError> {
    import::import(agent, files)
}
