//! The prompt in the session's own terminal, for an agent that has none of its input: rendering
//! and reading answers, both pure. Who wires it to `/dev/tty` shows the prompt, discards what was
//! typed before, and passes each line on with the time that has passed since.

use crate::answer::{AnswerMsg, AnswerVerdict};
use crate::request::{Fact, FactAnswer, Request};
use crate::visible::{clean_note, shell_words, visible};
use chaperone_policy::Scope;
use jiff::Timestamp;
use std::fmt::Write as _;
use std::time::Duration;

/// Input is ignored for this long after a prompt has appeared or changed: it was meant for
/// something else.
pub const GUARD: Duration = Duration::from_millis(600);

/// A prompt that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    request: String,
    session_scope: Option<Vec<String>>,
    reads_note: bool,
}

/// What a line of input comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This is the answer.
    Answer(AnswerMsg),
    /// Print this and read on.
    Say(String),
    /// Read on: the line came too early, or was empty.
    Nothing,
}

impl Prompt {
    /// A prompt for this request. Nothing is preselected.
    pub fn new(request: &Request) -> Self {
        let offered = request.scopes.contains(&Scope::Session);
        Self {
            request: request.id.clone(),
            session_scope: request.session_scope.clone().filter(|_| offered),
            reads_note: false,
        }
    }

    /// Takes a line, with the time since the prompt was last shown or changed.
    pub fn line(&mut self, line: &str, since_shown: Duration) -> Step {
        if since_shown < GUARD {
            return Step::Nothing;
        }
        let line = line.trim();
        if self.reads_note {
            // An empty note is a change of mind, not a denial without one.
            self.reads_note = false;
            return match clean_note(line) {
                Some(note) => self.answer(AnswerVerdict::Deny, Scope::Once, Some(note)),
                None => Step::Say(format!("No note, no answer yet.\n{}", self.choices())),
            };
        }
        let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (key, clean_note(rest)) {
            ("", _) => Step::Nothing,
            ("a" | "A", None) => self.answer(AnswerVerdict::Allow, Scope::Once, None),
            ("s" | "S", None) if self.session_scope.is_some() => {
                self.answer(AnswerVerdict::Allow, Scope::Session, None)
            }
            ("s" | "S", None) => Step::Say(format!(
                "An allow for the session is not offered here.\n{}",
                self.choices()
            )),
            ("d" | "D", None) => self.answer(AnswerVerdict::Deny, Scope::Once, None),
            ("n" | "N", Some(note)) => self.answer(AnswerVerdict::Deny, Scope::Once, Some(note)),
            ("n" | "N", None) => {
                self.reads_note = true;
                Step::Say("The agent reads this note: ".to_owned())
            }
            _ => Step::Say(self.choices()),
        }
    }

    fn answer(&self, verdict: AnswerVerdict, scope: Scope, note: Option<String>) -> Step {
        Step::Answer(AnswerMsg {
            request: self.request.clone(),
            verdict,
            scope,
            note,
            by: String::new(),
        })
    }

    /// The choices and what each of them does.
    pub fn choices(&self) -> String {
        let mut out = String::from("  a  Allow once\n");
        if let Some(prefix) = &self.session_scope {
            push(&mut out, format_args!("  s  Allow `{}` for this session\n", shell_words(prefix)));
        }
        out.push_str("  d  Deny\n  n  Deny with a note\nType a letter, then Enter: ");
        out
    }
}

/// The prompt as it is printed: plain text, everything visible, nothing shortened.
pub fn render(request: &Request, now: Timestamp) -> String {
    // What came over a socket is made visible again: this terminal obeys every escape.
    let mut out = format!("\n{} asks: {}\n", visible(&request.agent), visible(&request.sentence));
    let mut row = |name: &str, text: &str| push(&mut out, format_args!("  {name:<11}{text}\n"));
    row("command", &visible(&request.display));
    for (at, program) in request.programs.iter().enumerate() {
        row(if at == 0 { "starts" } else { "" }, &visible(program));
    }
    if let Some(program) = &request.program {
        row("program", &visible(program));
    }
    for variable in &request.environment {
        row("with", &visible(variable));
    }
    if let Some(cwd) = &request.cwd {
        row("in", &visible(cwd));
    }
    let branch = request.branch.as_deref().map(|b| format!(", branch {}", visible(b)));
    row("workspace", &format!("{}{}", visible(&request.workspace), branch.unwrap_or_default()));
    let chain: Vec<String> = request.chain.iter().map(|link| visible(link)).collect();
    row("from", &chain.join(" > "));
    if let Some(reported) = &request.reported {
        row("asked for", &format!("{} (reported by the agent)", visible(reported)));
    }
    row("undo", &fact(&request.facts.undoable));
    row("leaves", &fact(&request.facts.leaves_laptop));
    row("new", &fact(&request.facts.new_compared));
    let rule = request.rule.as_deref().map_or_else(|| "default".to_owned(), visible);
    row("rule", &format!("{rule}, set by {}", visible(&request.origin.to_string())));
    row("why", &visible(&request.reason));
    if request.count > 1 {
        row("times", &format!("{}: one answer is for all of them", request.count));
    }
    row("time left", &format!("{}, then it is denied", time_left(request.expires, now)));
    out.push('\n');
    out.push_str(&Prompt::new(request).choices());
    out
}

fn fact(fact: &Fact) -> String {
    let word = match fact.answer {
        FactAnswer::Yes => "yes",
        FactAnswer::No => "no",
        FactAnswer::Unknown => "not known",
    };
    format!("{word}. {}", visible(&fact.text))
}

/// `9 min 5 s`, never negative.
fn time_left(expires: Timestamp, now: Timestamp) -> String {
    time(expires.duration_since(now).as_secs().try_into().unwrap_or(0))
}

/// So many seconds in words: `9 min 5 s`.
pub fn time(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = out.write_fmt(text);
}
