//! Questions from inside a session: what would be decided about an action, asked of the session's
//! own supervisor.
//!
//! No way leads from a session to its supervisor, and none is made for this. A question is a
//! program that is about to start, this one, whose arguments the supervisor judges as it judges
//! every program's; and the answer is the message with which it is refused. The supervisor looks at
//! nothing for it but its policy and its plan: what a name means is found out inside, with the
//! rights that there are there.

use crate::shell::{Judged, started};
use chaperone_policy::{Action, Decision};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::process::Stdio;

/// The first argument of a program that is a question; the second is the [`Action`] as JSON.
pub const QUESTION: &str = "why-asked";

/// The first argument of a program that git starts for SSH.
pub const GIT_SSH: &str = "git-ssh";

/// Beyond this an argument cannot be (execve(2), `MAX_ARG_STRLEN`).
const LONGEST: usize = 128 << 10;

/// The status of a program that is refused.
const REFUSED: i32 = 126;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    #[serde(flatten)]
    pub(crate) decision: Decision,
    pub(crate) change: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It does not fit into an argument.
    #[error("it is too long to be asked about")]
    TooLong,
    /// This program cannot be started again.
    #[error("the question could not be asked: {0}")]
    NotAsked(#[from] io::Error),
    /// No supervisor has answered.
    #[error("CHAPERONE_SESSION is set, and no session answers{}", within(.0))]
    Nobody(String),
}

fn within(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// What the session would do with one action.
///
/// # Errors
/// When no supervisor answers.
pub fn ask(action: &Action) -> Result<Judged, NoAnswer> {
    let question = serde_json::to_string(action).map_err(io::Error::from)?;
    if question.len() >= LONGEST {
        return Err(NoAnswer::TooLong);
    }
    let mut asked = std::process::Command::new(std::env::current_exe()?);
    asked.args([QUESTION, &question]).stdin(Stdio::null()).stdout(Stdio::null());
    let answered = asked.stderr(Stdio::piped()).output()?;
    match serde_json::from_slice(&answered.stderr) {
        Ok(Told { decision, change }) if answered.status.code() == Some(REFUSED) => {
            Ok(Judged { decision, change, starts: None })
        }
        _ => Err(NoAnswer::Nobody(String::from_utf8_lossy(&answered.stderr).trim().to_owned())),
    }
}

/// What the session would do with these words, and with each program that they would start.
///
/// # Errors
/// When no supervisor answers.
pub fn ask_start(words: &[String], cwd: &Path) -> Result<Judged, NoAnswer> {
    started(words, cwd, ask)
}
