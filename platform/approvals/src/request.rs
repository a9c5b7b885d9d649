//! What is asked, as plain data.
//!
//! It is also what goes over the wire: fields that a version does not know are ignored, and a
//! word that it does not know falls to the more careful meaning.

use crate::answer::{Answer, AnswerVerdict};
use crate::visible::{shell_words, visible};
use chaperone_policy::{Action, Decision, Origin, Process, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// How far a request has come. The last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for an answer.
    Waiting,
    /// Somebody allowed or denied it.
    Answered,
    /// Nobody answered in time: denied.
    Expired,
    /// The agent has moved on: an answer changes nothing any more.
    Withdrawn,
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "waiting" => Self::Waiting,
            "answered" => Self::Answered,
            "expired" => Self::Expired,
            // Also what a newer version may call otherwise: nothing to answer, as far as we know.
            _ => Self::Withdrawn,
        })
    }
}

/// Who makes the answer come true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforced {
    /// The kernel holds the program until the answer.
    Kernel,
    /// The agent's own hook asked, and the agent keeps to the answer.
    Cooperative,
}

impl<'de> Deserialize<'de> for Enforced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "kernel" => Self::Kernel,
            _ => Self::Cooperative, // The weaker claim.
        })
    }
}

/// The word of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FactAnswer {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// Nobody can tell.
    Unknown,
}

impl<'de> Deserialize<'de> for FactAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "yes" => Self::Yes,
            "no" => Self::No,
            _ => Self::Unknown,
        })
    }
}

/// A fact that helps to answer: a word and the sentence behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The word.
    pub answer: FactAnswer,
    /// The sentence, with its full stop.
    pub text: String,
}

impl Fact {
    /// A fact with its sentence.
    pub fn new(answer: FactAnswer, text: impl Into<String>) -> Self {
        Self { answer, text: text.into() }
    }

    fn visible(self) -> Self {
        Self { answer: self.answer, text: visible(&self.text) }
    }
}

/// The three facts of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Can it be undone?
    pub undoable: Fact,
    /// Does something leave the laptop?
    pub leaves_laptop: Fact,
    /// Is something new compared with what was allowed before, and what?
    pub new_compared: Fact,
}

/// Who set the rule that asks: [`Origin`] as it goes over the wire, where a newer session may name
/// a kind of source that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestOrigin {
    /// The kind of source, such as `managed-file`.
    pub kind: String,
    /// The place in it.
    pub locator: String,
}

impl From<&Origin> for RequestOrigin {
    fn from(origin: &Origin) -> Self {
        Self { kind: origin.kind.to_string(), locator: visible(&origin.locator) }
    }
}

impl fmt::Display for RequestOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == "built-in" {
            f.write_str("built-in defaults")
        } else {
            write!(f, "{} {}", self.kind, self.locator)
        }
    }
}

/// What every client is told of a session when it connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The session: also the name of its socket, so letters, digits, `-` and `_` only.
    pub id: String,
    /// The agent's title where an agent file knows it, else the program's name.
    pub agent: String,
    /// The folder that the session works in.
    pub workspace: String,
    /// The branch that is checked out there, if any.
    #[serde(default)]
    pub branch: Option<String>,
    /// The supervisor's process.
    pub pid: u32,
    /// When the session started.
    pub started: Timestamp,
    /// The login name of the user whose session it is; answers are recorded under it.
    pub user: String,
    /// `full` or `reduced`.
    #[serde(default)]
    pub tier: Option<String>,
    /// The policy's revision, where it has one.
    #[serde(default)]
    pub revision: Option<String>,
    /// What it began with; `None` of an older supervisor.
    #[serde(default)]
    pub began: Option<Box<Began>>,
}

/// What a session began with, for whoever tells what would be otherwise after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The agent file's name, where the agent is known.
    #[serde(default)]
    pub agent: Option<String>,
    /// `--policy FILE`, each absolute, in the order given.
    #[serde(default)]
    pub policy: Vec<PathBuf>,
    /// The policy's keys that are carried out when a session starts, with their values then.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
}

/// A command of the agent's that something belongs to: the process that the agent started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskingCommand {
    /// Which one.
    pub process: Process,
    /// As it is written in a shell.
    pub line: String,
}

/// The host that a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// `host:port`.
    pub name: String,
    /// What is known of it.
    pub known: String,
    /// Whether a person who chooses among several finds it chosen.
    pub chosen: bool,
}

impl NewHost {
    /// As it is asked about.
    pub(crate) fn asked(self) -> AskedHost {
        let Self { name, known, chosen } = self;
        AskedHost { name: visible(&name), known: visible(&known), chosen, verdict: None }
    }
}

/// One of the hosts that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedHost {
    /// `host:port`; also its name in an answer.
    pub name: String,
    /// What is known of it, in sentences.
    #[serde(default)]
    pub known: String,
    /// Whether a person who chooses among several finds it chosen.
    #[serde(default)]
    pub chosen: bool,
    /// What was said of it; `None` while it waits.
    #[serde(default)]
    pub verdict: Option<AnswerVerdict>,
}

/// What a supervisor asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// What the agent is about to do.
    pub action: Action,
    /// Plain words: what will happen if it is allowed, with a full stop.
    pub sentence: String,
    /// From the agent down to the program that is about to start.
    pub chain: Vec<String>,
    /// What a shell string would start, a line each, and what of it cannot be told; empty for
    /// everything else.
    pub programs: Vec<String>,
    /// What helps to answer.
    pub facts: Facts,
    /// What the agent says that the person asked it for. An agent can say anything.
    pub reported: Option<String>,
    /// The decision that asks: its rule, origin and reason.
    pub decision: Decision,
    /// Who makes the answer come true.
    pub enforced: Enforced,
    /// How far an answer may reach (`chaperone_policy::widest_scope`).
    pub widest: Scope,
    /// What an allow would cover that reaches further than this once
    /// (`chaperone_policy::command_scope` and its like). `None`: only once is offered.
    pub session_scope: Option<Vec<String>>,
    /// Of a connection. All that one command wants of the same rule are one request.
    pub host: Option<NewHost>,
    /// The command that asks, where an answer may be for it alone.
    pub command: Option<AskingCommand>,
}

/// An ask that waits for an answer, or waited until a moment ago. Everything that a card shows:
/// all text but `action` and `command` has its control and bidirectional characters written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Unique among all sessions: the session's id, a full stop, and a number.
    pub id: String,
    /// The session that asks.
    pub session: String,
    /// The agent's title.
    pub agent: String,
    /// The session's workspace.
    pub workspace: String,
    /// The branch that was checked out when the session started.
    #[serde(default)]
    pub branch: Option<String>,
    /// When it was asked.
    pub time: Timestamp,
    /// When it is denied for want of an answer.
    pub expires: Timestamp,
    /// Plain words: what will happen if it is allowed.
    pub sentence: String,
    /// What exactly is about to happen, for programs: [`Action`] as JSON.
    #[serde(default)]
    pub action: Value,
    /// The exact arguments of a command, unchanged; empty for other actions.
    #[serde(default)]
    pub command: Vec<String>,
    /// The exact command, host or path on one line, whole, nothing hidden.
    pub display: String,
    /// The program file that would run, which `argv[0]` need not name; `None` for other actions.
    #[serde(default)]
    pub program: Option<String>,
    /// The variables that change what the command means, as `NAME=value`.
    #[serde(default)]
    pub environment: Vec<String>,
    /// The folder where the command would run.
    #[serde(default)]
    pub cwd: Option<String>,
    /// From the agent down to the program that is about to start.
    #[serde(default)]
    pub chain: Vec<String>,
    /// What a shell string would start, a line each; a line that begins with `?` says what cannot
    /// be told, and why.
    #[serde(default)]
    pub programs: Vec<String>,
    /// What helps to answer.
    pub facts: Facts,
    /// What the agent says that the person asked it for.
    #[serde(default)]
    pub reported: Option<String>,
    /// The rule that asks.
    #[serde(default)]
    pub rule: Option<String>,
    /// Who set it.
    pub origin: RequestOrigin,
    /// Why it asks.
    pub reason: String,
    /// Who makes the answer come true.
    pub enforced: Enforced,
    /// The scopes that an answer may have.
    #[serde(default, deserialize_with = "known_scopes")]
    pub scopes: Vec<Scope>,
    /// What an allow would cover that reaches further than this once; `None` where that is not
    /// offered, or differs from host to host.
    #[serde(default)]
    pub session_scope: Option<Vec<String>>,
    /// The hosts that connections are for; empty for everything else. An allow of several names
    /// those that it is for.
    #[serde(default)]
    pub hosts: Vec<AskedHost>,
    /// The command that asks, where an answer may be for it alone.
    #[serde(default)]
    pub asker: Option<String>,
    /// Equal requests that this one stands for, itself included.
    #[serde(default = "one")]
    pub count: u32,
    /// Whether the agent still waits. `false`: it was answered, or the agent has moved on.
    #[serde(default)]
    pub waiting: bool,
    /// How far it has come.
    pub state: State,
    /// What came of it, once it no longer waits.
    #[serde(default)]
    pub answer: Option<Answer>,
}

fn one() -> u32 {
    1
}

/// Leaves out scopes that this version does not know: it could not offer them.
fn known_scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let words: Vec<Value> = Vec::deserialize(deserializer)?;
    Ok(words.into_iter().filter_map(|word| serde_json::from_value(word).ok()).collect())
}

impl Request {
    /// A request that begins to wait.
    pub(crate) fn waiting(
        id: String,
        session: &SessionInfo,
        new: NewRequest,
        scopes: Vec<Scope>,
        time: Timestamp,
        expires: Timestamp,
    ) -> Self {
        let NewRequest {
            action,
            sentence,
            chain,
            programs,
            facts,
            reported,
            decision,
            enforced,
            widest: _,
            session_scope,
            host,
            command,
        } = new;
        let shown = Shown::of(&action);
        let session_scope = session_scope.filter(|_| scopes.len() > 1);
        let reason = visible(&decision.reason);
        let host = host.map(NewHost::asked);
        Self {
            id,
            session: session.id.clone(),
            agent: visible(&session.agent),
            workspace: visible(&session.workspace),
            branch: session.branch.as_deref().map(visible),
            time,
            expires,
            sentence: visible(&sentence),
            action: serde_json::to_value(&action).unwrap_or_default(),
            command: shown.command,
            display: shown.display,
            program: shown.program,
            environment: shown.environment,
            cwd: shown.cwd,
            chain: chain.iter().map(|link| visible(link)).collect(),
            programs: programs.iter().map(|line| visible(line)).collect(),
            facts: Facts {
                undoable: facts.undoable.visible(),
                leaves_laptop: facts.leaves_laptop.visible(),
                new_compared: facts.new_compared.visible(),
            },
            reported: reported.as_deref().map(visible),
            rule: decision.rule.as_deref().map(visible),
            origin: RequestOrigin::from(&decision.origin),
            reason,
            enforced,
            scopes,
            session_scope,
            hosts: host.into_iter().collect(),
            asker: command.map(|command| visible(&command.line)),
            count: 1,
            waiting: true,
            state: State::Waiting,
            answer: None,
        }
    }
}

/// The parts of an action that a card shows.
struct Shown {
    command: Vec<String>,
    display: String,
    program: Option<String>,
    environment: Vec<String>,
    cwd: Option<String>,
}

impl Shown {
    fn of(action: &Action) -> Self {
        let plain = |display: String| Self {
            command: Vec::new(),
            display,
            program: None,
            environment: Vec::new(),
            cwd: None,
        };
        match action {
            Action::Run(command) => Self {
                command: command.argv.clone(),
                display: shell_words(&command.argv),
                program: Some(visible(&command.executable.to_string_lossy())),
                environment: command
                    .environment
                    .iter()
                    .map(|(name, value)| visible(&format!("{name}={value}")))
                    .collect(),
                cwd: Some(visible(&command.cwd.to_string_lossy())),
            },
            Action::Read { path } | Action::Write { path } => {
                plain(visible(&path.to_string_lossy()))
            }
            Action::Http(request) => plain(visible(&request.to_string())),
            Action::Connect { host, port } => {
                let host = visible(host);
                plain(if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                })
            }
        }
    }
}
