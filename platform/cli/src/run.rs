//! `chaperone run`: one session.

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
    /// The agent and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The session could not be started.
const NOT_STARTED: u8 = 125;

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = RunOptions {
        question: Question {
            workspace: arguments.workspace.clone(),
            agent: arguments.agent.clone(),
            policy: arguments.policy.clone(),
            command: arguments.command.clone(),
            ..Question::default()
        },
        unattended: arguments.unattended,
    };
    let ended = Paths::of_this_user()
        .map_err(anyhow::Error::from)
        .and_then(|paths| Ok(chaperone_session::run(&options, &paths)?));
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            print::error(&error);
            ExitCode::from(NOT_STARTED)
        }
    }
}
