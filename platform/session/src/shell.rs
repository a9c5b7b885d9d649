//! What a shell string would start, with what would be decided about each program of it: for
//! people, `policy test` and `why`. A session judges each program when it starts.

use crate::load::{Loaded, environment};
use crate::paths::Paths;
use crate::would::{change, command, would};
use chaperone_approvals::visible;
use chaperone_policy::{Action, Command, Decision, Origin, Verdict, changes_meaning};
use chaperone_shell::{Found, Reading, read_command};
use serde::Serialize;
use std::convert::Infallible;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A command, and what it would start where it is one that starts others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The strictest of what is decided about the command and everything that it would start.
    #[serde(flatten)]
    pub decision: Decision,
    /// What would change it, in plain words; empty where nothing stands in the way.
    #[serde(skip)]
    pub change: String,
    /// What it would start, and what of that cannot be told; `None` where its arguments start
    /// nothing.
    #[serde(flatten)]
    pub starts: Option<Started>,
}

/// What a command would start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Started {
    /// The command on one line, to which the places refer.
    pub text: String,
    /// The programs, in the order in which they are written.
    pub commands: Vec<JudgedCommand>,
    /// What cannot be told.
    pub unread: Vec<Unread>,
}

/// One program of a shell string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedCommand {
    /// Its words; `None` for one that is only known when it runs.
    pub command: Vec<Option<String>>,
    /// The words as they are written.
    pub written: String,
    /// Where it stands, in bytes of the text.
    pub at: [usize; 2],
    /// How it is reached, from the outside in.
    pub reached: Vec<String>,
    /// What would be decided about it.
    #[serde(flatten)]
    pub decision: Decision,
}

/// A part of a shell string of which nobody can tell what it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The part.
    pub written: String,
    /// Where it stands, in bytes of the text.
    pub at: [usize; 2],
    /// Why it cannot be told, without a full stop.
    pub reason: String,
}

impl Judged {
    /// An action that starts nothing, with what is decided about it.
    pub fn of(action: &Action, decision: Decision) -> Self {
        Self { change: change(action, &decision), decision, starts: None }
    }
}

/// What would be decided about these words, and about each program that they would start.
pub fn would_start(loaded: &Loaded, paths: &Paths, words: &[String]) -> Judged {
    let decide = |action: &Action| -> Result<Judged, Infallible> {
        Ok(Judged::of(action, would(loaded, paths, action)))
    };
    match started(words, &loaded.workspace, decide) {
        Ok(judged) => judged,
        Err(never) => match never {},
    }
}

/// The same for whoever decides about a single action.
pub(crate) fn started<E>(
    words: &[String],
    cwd: &Path,
    mut decide: impl FnMut(&Action) -> Result<Judged, E>,
) -> Result<Judged, E> {
    let mut whole = decide(&Action::Run(command(words, cwd, &environment())))?;
    let Some(reading) = read_command(words) else { return Ok(whole) };
    let mut commands = Vec::new();
    for found in reading.programs() {
        let action = as_command(found, cwd);
        let is_known = !action.argv.iter().any(|word| word.contains('\0'));
        let Judged { decision, change, starts: _ } = decide(&Action::Run(action))?;
        let command = judged(found, decision.clone());
        if decision.verdict > whole.decision.verdict {
            let reason = format!("It starts `{}`: {}", command.written, decision.reason);
            whole.decision = Decision { reason, ..decision };
            whole.change = if is_known { change } else { WRITE_OUT.to_owned() };
        }
        commands.push(command);
    }
    let unread: Vec<Unread> = reading.unread.iter().map(|own| unread(&reading, own)).collect();
    if let (Verdict::Allow, Some(first)) = (whole.decision.verdict, unread.first()) {
        let what = match first.written.as_str() {
            "" => "it".to_owned(),
            written => format!("`{written}`"),
        };
        WRITE_OUT.clone_into(&mut whole.change);
        whole.decision = Decision {
            verdict: Verdict::Ask,
            rule: None,
            origin: Origin::built_in(),
            reason: format!("Nobody can tell from here what {what} starts: {}.", first.reason),
        };
    }
    whole.starts = Some(Started { text: reading.text, commands, unread });
    Ok(whole)
}

/// What changes the decision about a command of which a part is only known when it runs.
const WRITE_OUT: &str = "Write out what it starts: a program that the text names is judged by its \
                         name, here and in a session.";

fn judged(found: &Found, decision: Decision) -> JudgedCommand {
    JudgedCommand {
        command: found.words.iter().map(|word| word.known().map(str::to_owned)).collect(),
        written: line(found),
        at: place(&found.at),
        reached: found.reached.iter().map(ToString::to_string).collect(),
        decision,
    }
}

/// The command as policy takes it: where nobody can tell which file would run, none proves it.
fn as_command(found: &Found, cwd: &Path) -> Command {
    let mut variables = environment();
    for (name, value) in &found.variables {
        variables.insert(name.clone(), value.token().to_owned());
    }
    let words: Vec<String> = found.words.iter().map(|word| word.token().to_owned()).collect();
    let mut own = command(&words, cwd, &variables);
    let path_is_known = variables.get("PATH").is_none_or(|path| !path.contains('\0'));
    if !path_is_known || words.first().is_some_and(|name| name.contains('\0')) {
        (own.executable, own.exec_name) = (PathBuf::new(), PathBuf::new());
    }
    own.environment.retain(|(name, _)| changes_meaning(name));
    own
}

fn unread(reading: &Reading, own: &chaperone_shell::Unread) -> Unread {
    let written = reading.text.get(own.at.clone()).unwrap_or_default();
    Unread { written: visible(written), at: place(&own.at), reason: visible(&own.why) }
}

fn place(at: &Range<usize>) -> [usize; 2] {
    [at.start, at.end]
}

/// The command as it is written, on one line.
fn line(found: &Found) -> String {
    visible(&found.to_string())
}

/// The programs of a shell string, a line each, and what cannot be told: for the people who answer.
/// Empty where the command's arguments start nothing.
pub fn programs(argv: &[String]) -> Vec<String> {
    let Some(reading) = read_command(argv) else { return Vec::new() };
    let programs = reading.programs().map(line);
    let unread = reading.unread.iter().map(|own| {
        let Unread { written, at: _, reason } = unread(&reading, own);
        if written.is_empty() { format!("? {reason}") } else { format!("? {written}: {reason}") }
    });
    programs.chain(unread).collect()
}
