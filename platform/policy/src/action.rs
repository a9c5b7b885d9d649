//! What an agent is about to do.

use crate::HttpRequest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One thing that an agent is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Action {
    /// Start a program.
    Run(Command),
    /// Read a file or list a folder.
    Read {
        /// Absolute.
        path: PathBuf,
    },
    /// Create, change or remove a file.
    Write {
        /// Absolute.
        path: PathBuf,
    },
    /// Open a connection.
    Connect {
        /// A host name in lower case or an IP literal, without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// Send an HTTP request, for which a connection is made.
    Http(HttpRequest),
}

/// A program that is about to start, as the kernel has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The executable file itself (`/proc/PID/exe`): for a script, its interpreter.
    pub executable: PathBuf,
    /// The path that was given to `execve` (`AT_EXECFN`): for a script, the script.
    pub exec_name: PathBuf,
    /// The arguments, `argv[0]` included. Bytes that are not UTF-8 stand as U+FFFD.
    pub argv: Vec<String>,
    /// The variables that change what the command means (`GIT_*`, `LD_*`, …), in order.
    pub environment: Vec<(String, String)>,
    /// The working directory.
    pub cwd: PathBuf,
}

impl Command {
    /// A command known by its tokens alone, as an example in a rule or a line typed by a person.
    pub fn from_tokens<T: AsRef<str>>(tokens: &[T]) -> Self {
        let argv: Vec<String> = tokens.iter().map(|token| token.as_ref().to_owned()).collect();
        let program = argv.first().map(PathBuf::from).unwrap_or_default();
        Self {
            executable: program.clone(),
            exec_name: program,
            argv,
            environment: Vec::new(),
            cwd: PathBuf::new(),
        }
    }
}
