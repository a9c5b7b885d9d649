//! `chaperone run`: one session, and what is said of any session that is started from here.

use crate::print;
use chaperone_session::{Paths, Question, RunOptions};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run an agent in the sandbox, under the policy in force
///
/// The session ends with the agent, and whatever the agent left running ends with it. Requests are
/// answered in the window if it is open, else with `chaperone approvals` in another terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  that of the agent; 128 + N if signal N ended it
  125  the session could not be started
  126  the command itself was denied, or cannot be executed
  127  the command was not found")]
pub(crate) struct Arguments {
    #[command(flatten)]
    session: SessionArguments,
    /// The agent and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// How a session is started, whatever it is for.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArguments {
    /// The folder to work in [default: the current one]
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Which agent file to use [default: told from the command; see `chaperone agents`]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Add a policy file, below everything that is managed; may be given more than once
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Never prompt: what would ask becomes what the policy says for unattended sessions
    #[arg(long)]
    unattended: bool,
}

impl SessionArguments {
    /// A session of this command.
    pub(crate) fn options(&self, command: &[OsString]) -> RunOptions {
        let Self { workspace, agent, policy, unattended } = self;
        RunOptions {
            question: Question {
                workspace: workspace.clone(),
                agent: agent.clone(),
                policy: policy.clone(),
                command: command.to_vec(),
                ..Question::default()
            },
            unattended: *unattended,
        }
    }
}

/// The session could not be started.
const NOT_STARTED: u8 = 125;

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = arguments.session.options(&arguments.command);
    let ended = Paths::of_this_user()
        .map_err(anyhow::Error::from)
        .and_then(|paths| Ok(chaperone_session::run(&options, &paths)?));
    status(ended)
}

/// The exit status of a session, or of one that was not started: then the reason is printed.
pub(crate) fn status(ended: anyhow::Result<u8>) -> ExitCode {
    ExitCode::from(ended.unwrap_or_else(|error| {
        print::error(&error);
        NOT_STARTED
    }))
}
