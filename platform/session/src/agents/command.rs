//! The command of an agent: what is put into it so that the agent's own sandbox stays off.

use super::keys::Document;
use super::{AgentFile, OwnSandbox};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// An agent that insists on its own sandbox, which does not work inside ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Insists {
    /// By an argument.
    #[error(
        "`{argument}` switches on {agent}'s own sandbox, which does not work inside this one; leave it out: the session is sandboxed without it"
    )]
    Argument {
        /// The agent's title.
        agent: String,
        /// The argument.
        argument: String,
    },
    /// By a setting.
    #[error("{key} in {} switches on {agent}'s own sandbox, which does not work inside this one; remove it there: the session is sandboxed without it", .file.display())]
    Setting {
        /// The agent's title.
        agent: String,
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
    },
}

/// The command as it is to be started inside.
///
/// # Errors
/// When an argument or a setting forces the agent's own sandbox on.
pub fn command(
    agent: &AgentFile,
    command: &[OsString],
    workspace: &Path,
) -> Result<Vec<OsString>, Insists> {
    let OwnSandbox { arguments, refused_arguments, forced_by, environment: _ } = &agent.own_sandbox;
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    for refused in refused_arguments {
        let pair = refused.split_once('=');
        let is_given = words.iter().skip(1).any(|word| word == refused)
            || pair.is_some_and(|(option, value)| {
                words.windows(2).any(|two| two[0] == option && two[1] == value)
            });
        if is_given {
            return Err(Insists::Argument {
                agent: agent.title.clone(),
                argument: refused.replace('=', " "),
            });
        }
    }
    for forced in forced_by {
        let file = forced.file.replace("{workspace}", &workspace.to_string_lossy());
        let file = PathBuf::from(file);
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if Document::read(&file, &text).is_some_and(|it| it.has(&forced.key, &forced.value)) {
            return Err(Insists::Setting {
                agent: agent.title.clone(),
                file,
                key: forced.key.clone(),
            });
        }
    }
    let (before, after) = command.split_at(arguments_at(command));
    let own = arguments.iter().map(OsString::from);
    Ok(before.iter().cloned().chain(own).chain(after.iter().cloned()).collect())
}

/// Where the agent's own arguments begin: behind the program, or behind an interpreter's script.
pub(super) fn arguments_at(command: &[OsString]) -> usize {
    let is_agent = |word: usize| {
        command.get(word).is_some_and(|word| super::detect(std::slice::from_ref(word)).is_some())
    };
    let is_script = !is_agent(0) && is_agent(1);
    command.len().min(1 + usize::from(is_script))
}
