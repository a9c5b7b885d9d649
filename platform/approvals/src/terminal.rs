//! The prompt in the session's own terminal, for an agent that has none of its input: rendering
//! and reading answers, both pure. Who wires it to `/dev/tty` shows the prompt, discards what was
//! typed before, and passes each line on with the time that has passed since.

use crate::answer::{AnswerMsg, AnswerVerdict};
use crate::request::{AskedHost, Fact, FactAnswer, Request};
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
    scopes: Vec<Scope>,
    session_scope: Option<Vec<String>>,
    asker: Option<String>,
    /// Those that wait, by name, and whether they are marked.
    hosts: Vec<(String, bool)>,
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
        Self {
            request: request.id.clone(),
            scopes: request.scopes.clone(),
            session_scope: request.session_scope.clone(),
            asker: request.asker.clone(),
            hosts: waiting(request).map(|host| (host.name.clone(), host.chosen)).collect(),
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
        if key.eq_ignore_ascii_case(FURTHER) && self.offers_further() {
            return match self.allow(Scope::Command, clean_note(rest).as_deref()) {
                Step::Answer(message) => Step::Answer(AnswerMsg { further: true, ..message }),
                other => other,
            };
        }
        let scope = SCOPES.iter().find(|(_, letter)| key.eq_ignore_ascii_case(letter));
        match (key, scope, clean_note(rest)) {
            ("", ..) => Step::Nothing,
            (_, Some((scope, _)), which) => self.allow(*scope, which.as_deref()),
            ("d" | "D", _, None) => self.answer(AnswerVerdict::Deny, Scope::Once, None),
            ("n" | "N", _, Some(note)) => self.answer(AnswerVerdict::Deny, Scope::Once, Some(note)),
            ("n" | "N", _, None) => {
                self.reads_note = true;
                Step::Say("The agent reads this note: ".to_owned())
            }
            _ => Step::Say(self.choices()),
        }
    }

    fn offers_further(&self) -> bool {
        !self.hosts.is_empty() && self.scopes.contains(&Scope::Command)
    }

    /// Allows the hosts that the line names, or else those that are marked.
    fn allow(&self, scope: Scope, which: Option<&str>) -> Step {
        let say = |text: &str| Step::Say(format!("{text}\n{}", self.choices()));
        if !self.scopes.contains(&scope) {
            return say(match scope {
                Scope::Once => "An allow is not offered here.",
                Scope::Command => "An allow until the command exits is not offered here.",
                Scope::Session => "An allow for the session is not offered here.",
                Scope::Workspace => "An allow for the workspace is not offered here.",
            });
        }
        let several = self.hosts.len() > 1;
        let numbered = |text: &str| {
            let number: usize = text.parse().ok()?;
            number.checked_sub(1).filter(|at| *at < self.hosts.len())
        };
        let chosen: Option<Vec<usize>> = match which {
            Some(_) if !several => None,
            Some("all") => Some((0..self.hosts.len()).collect()),
            Some(words) => {
                words.split([' ', ',']).filter(|w| !w.is_empty()).map(numbered).collect()
            }
            None => {
                let is_chosen = |at: &usize| !several || self.hosts[*at].1;
                Some((0..self.hosts.len()).filter(is_chosen).collect())
            }
        };
        match chosen {
            None if several => {
                say("Hosts are named by their numbers, such as `a 1 3`, or `a all`.")
            }
            None => Step::Say(self.choices()),
            Some(chosen) if several && chosen.is_empty() => {
                say("No host is marked. Name them by their numbers, such as `a 1 3`, or `a all`.")
            }
            Some(chosen) => {
                let (mut hosts, mut denied) = (Vec::new(), Vec::new());
                for (at, (name, _)) in self.hosts.iter().enumerate() {
                    let list = if chosen.contains(&at) { &mut hosts } else { &mut denied };
                    list.push(name.clone());
                }
                Step::Answer(AnswerMsg {
                    hosts,
                    denied,
                    ..self.message(AnswerVerdict::Allow, scope, None)
                })
            }
        }
    }

    fn answer(&self, verdict: AnswerVerdict, scope: Scope, note: Option<String>) -> Step {
        // Those that came since have not been seen.
        let denied = self.hosts.iter().map(|(name, _)| name.clone()).collect();
        Step::Answer(AnswerMsg { denied, ..self.message(verdict, scope, note) })
    }

    fn message(&self, verdict: AnswerVerdict, scope: Scope, note: Option<String>) -> AnswerMsg {
        AnswerMsg {
            request: self.request.clone(),
            verdict,
            scope,
            hosts: Vec::new(),
            denied: Vec::new(),
            further: false,
            note,
            by: String::new(),
        }
    }

    /// The choices and what each of them does.
    pub fn choices(&self) -> String {
        let several = self.hosts.len() > 1;
        let what = match &self.session_scope {
            _ if several => "the marked hosts".to_owned(),
            // A connection's has the one host, which stands above.
            Some(_) | None if !self.hosts.is_empty() => "it".to_owned(),
            Some(prefix) => format!("`{}`", shell_words(prefix)),
            None => String::new(),
        };
        let mut out = String::new();
        for (scope, letter) in SCOPES.iter().filter(|(scope, _)| self.scopes.contains(scope)) {
            match scope {
                Scope::Once if several => {
                    push(&mut out, format_args!("  {letter}  Allow {what} once\n"));
                }
                Scope::Once => push(&mut out, format_args!("  {letter}  Allow once\n")),
                Scope::Command => {
                    let asker = self.asker.as_deref().unwrap_or("the command");
                    let asker = visible(asker);
                    push(
                        &mut out,
                        format_args!("  {letter}  Allow {what} until `{asker}` exits\n"),
                    );
                }
                Scope::Session => {
                    push(&mut out, format_args!("  {letter}  Allow {what} for this session\n"));
                }
                Scope::Workspace => push(
                    &mut out,
                    format_args!("  {letter}  Allow {what} in this workspace for 30 days\n"),
                ),
            }
        }
        if self.offers_further() {
            push(
                &mut out,
                format_args!(
                    "  {FURTHER}  The same as c, and further hosts, unless something speaks against them\n"
                ),
            );
        }
        out.push_str(if several { "  d  Deny all\n" } else { "  d  Deny\n" });
        out.push_str("  n  Deny with a note\n");
        if several {
            out.push_str(
                "`a 1 3` allows the hosts 1 and 3 instead, `a all` all of them. What is not allowed is \
                 denied.\n",
            );
        }
        out.push_str("Type a letter, then Enter: ");
        out
    }
}

/// The letter for further hosts.
const FURTHER: &str = "f";

/// The letter of each scope.
const SCOPES: [(Scope, &str); 4] =
    [(Scope::Once, "a"), (Scope::Command, "c"), (Scope::Session, "s"), (Scope::Workspace, "w")];

/// The hosts that still wait.
fn waiting(request: &Request) -> impl Iterator<Item = &AskedHost> {
    request.hosts.iter().filter(|host| host.verdict.is_none())
}

/// The prompt as it is printed: plain text, everything visible, nothing shortened.
pub fn render(request: &Request, now: Timestamp) -> String {
    // What came over a socket is made visible again: this terminal obeys every escape.
    let mut out = format!("\n{} asks: {}\n", visible(&request.agent), visible(&request.sentence));
    let mut row = |name: &str, text: &str| push(&mut out, format_args!("  {name:<11}{text}\n"));
    let hosts: Vec<&AskedHost> = waiting(request).collect();
    if hosts.len() > 1 {
        for (at, host) in hosts.iter().enumerate() {
            let mark = if host.chosen { 'x' } else { ' ' };
            let name = format!("{:>2} [{mark}] {}", at + 1, visible(&host.name));
            row(if at == 0 { "hosts" } else { "" }, &name);
            row("", &format!("       {}", visible(&host.known)));
        }
    } else {
        let what = if request.hosts.is_empty() { "command" } else { "host" };
        row(what, &visible(&request.display));
    }
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
