//! Events: what a session asks to be recorded, and what is read back.

use chaperone_policy::{Action, Command, Decision, Origin, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// The detail that says how enforcement would have decided what was only observed.
const OBSERVED: &str = "observed";

/// The detail that says which credential was used.
pub(crate) const NAME: &str = "name";

/// The detail that says which command asked for a connection.
pub(crate) const ASKED_BY: &str = "asked_by";

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The first of a session: the agent is about to start.
    SessionStart,
    /// The last of a session.
    SessionEnd,
    /// A program was about to start.
    Command,
    /// A file was about to be read.
    Read,
    /// A file was about to be created, changed or removed.
    Write,
    /// A connection was about to be opened.
    Connect,
    /// An HTTP request was about to be sent.
    Http,
    /// What went to and from a host in the whole session.
    Traffic,
    /// A signature was about to be made with one of the user's keys.
    Sign,
    /// The first request of a session that gets a credential was about to be sent to a host.
    Credential,
    /// A person is asked.
    Request,
    /// A request was answered, or expired.
    Answer,
    /// Who asked is gone, so the request is.
    Withdrawn,
    /// The agent was stopped (Ctrl-Z).
    Stopped,
    /// The agent goes on.
    Continued,
    /// A process that outlived the agent was ended.
    Ended,
    /// Something about the policy that a person should know.
    Finding,
    /// A kind of a newer version.
    #[serde(untagged)]
    Other(String),
}

impl EventKind {
    /// The word that stands in the record.
    pub fn as_str(&self) -> &str {
        match self {
            Self::SessionStart => "session-start",
            Self::SessionEnd => "session-end",
            Self::Command => "command",
            Self::Read => "read",
            Self::Write => "write",
            Self::Connect => "connect",
            Self::Http => "http",
            Self::Traffic => "traffic",
            Self::Sign => "sign",
            Self::Credential => "credential",
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Withdrawn => "withdrawn",
            Self::Stopped => "stopped",
            Self::Continued => "continued",
            Self::Ended => "ended",
            Self::Finding => "finding",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event as it is read back: a line of `chaperone history list --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in its session, counted from 1.
    pub seq: u64,
    /// When it was recorded, to the millisecond.
    #[serde(with = "crate::record::milliseconds")]
    pub time: Timestamp,
    /// The session's id.
    pub session: String,
    /// What happened.
    pub kind: EventKind,
    /// The command line, path or `host:port`; none where there is none, or where it was erased.
    pub action: Option<String>,
    /// What was decided, or answered.
    pub decision: Option<Verdict>,
    /// The rule that decided, in the policy's words.
    pub rule: Option<String>,
    /// Where that rule came from.
    pub origin: Option<Origin>,
    /// Why, in plain words.
    pub reason: Option<String>,
    /// Who answered, where somebody did.
    pub by: Option<String>,
    /// What else is known; which keys there are depends on the kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
    /// Which fields were recorded and have no content: erased, or lost with the power.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erased: Vec<String>,
    /// Which fields have content that is not what was recorded; it is not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<String>,
}

impl Event {
    /// How enforcement would have decided it, where it was only observed.
    pub fn observed(&self) -> Option<Verdict> {
        serde_json::from_value(self.detail.get(OBSERVED)?.clone()).ok()
    }
}

/// What the first event of a session says about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Start {
    /// The agent's name, as its agent file has it, or the program's.
    pub agent: String,
    /// What the agent says its version is.
    pub agent_version: Option<String>,
    /// The workspace (its content is erasable).
    pub workspace: String,
    /// The branch that is checked out in it (erasable).
    pub branch: Option<String>,
    /// The agent's command line (erasable).
    pub command: Vec<String>,
    /// `full` or `reduced`.
    pub tier: String,
    /// What the tier does not give: the losses' ids.
    pub losses: Vec<String>,
    /// Where the layers came from, and how each was received (`managed-file /etc/… present`).
    pub layers: Vec<String>,
    /// The managed policy's revision.
    pub revision: Option<String>,
    /// Until when decisions are only observed, where they are.
    pub observes_until: Option<Timestamp>,
}

/// An event on its way to the history. Everything textual in it is redacted before it is
/// written; its action, and what is `private`, is kept beside the record and is erasable.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub(crate) kind: EventKind,
    pub(crate) time: Option<Timestamp>,
    pub(crate) action: Option<Subject>,
    pub(crate) decision: Option<Verdict>,
    pub(crate) rule: Option<String>,
    pub(crate) origin: Option<Origin>,
    pub(crate) reason: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) detail: Map<String, Value>,
    pub(crate) private: Map<String, Value>,
}

/// What an event is about, before redaction: arguments are redacted one by one and joined after.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    Text(String),
    Arguments(Vec<String>),
}

impl NewEvent {
    /// An event of this kind, about nothing yet.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            time: None,
            action: None,
            decision: None,
            rule: None,
            origin: None,
            reason: None,
            by: None,
            detail: Map::new(),
            private: Map::new(),
        }
    }

    /// The agent is about to start.
    pub fn session_start(start: Start) -> Self {
        let Start {
            agent,
            agent_version,
            workspace,
            branch,
            command,
            tier,
            losses,
            layers,
            revision,
            observes_until,
        } = start;
        Self {
            action: Some(Subject::Arguments(command.clone())),
            ..Self::new(EventKind::SessionStart)
        }
        .detail("agent", agent)
        .detail("agent_version", agent_version)
        .private("workspace", workspace)
        .private("branch", branch)
        .private("command", command)
        .detail("tier", tier)
        .detail("losses", losses)
        .detail("layers", layers)
        .detail("revision", revision)
        .detail("observes_until", observes_until.map(|until| until.to_string()))
    }

    /// The session is over; `exit` is what `chaperone run` will exit with.
    pub fn session_end(exit: i32) -> Self {
        Self::new(EventKind::SessionEnd).detail("exit", exit)
    }

    /// An action and what was decided about it.
    pub fn decided(action: &Action, decision: &Decision) -> Self {
        match action {
            Action::Run(command) => Self::command(command, decision),
            Action::Read { path } => Self::read(path, decision),
            Action::Write { path } => Self::write(path, decision),
            Action::Connect { host, port } => Self::connect(host, *port, decision),
            Action::Http(request) => {
                Self::new(EventKind::Http).about(request.to_string()).with(decision)
            }
        }
    }

    /// An action that was let pass because the policy only observes: by which rule, for which reason
    /// and how enforcement `would` have decided it. What happened is that it was allowed.
    pub fn observed(action: &Action, decision: &Decision, would: Verdict) -> Self {
        let event = Self::decided(action, decision);
        Self { decision: Some(Verdict::Allow), ..event }.detail(OBSERVED, would.to_string())
    }

    /// A program was about to start.
    pub fn command(command: &Command, decision: &Decision) -> Self {
        Self::new(EventKind::Command).of_command(command).with(decision)
    }

    /// A file was about to be read.
    pub fn read(path: &Path, decision: &Decision) -> Self {
        Self::new(EventKind::Read).about(path.to_string_lossy()).with(decision)
    }

    /// A file was about to be created, changed or removed.
    pub fn write(path: &Path, decision: &Decision) -> Self {
        Self::new(EventKind::Write).about(path.to_string_lossy()).with(decision)
    }

    /// A connection was about to be opened.
    pub fn connect(host: &str, port: u16, decision: &Decision) -> Self {
        Self::new(EventKind::Connect).about(address(host, port)).with(decision)
    }

    /// What went over the session's connections to `target`, a `host:port`; without one, to hosts
    /// that were too many to be told apart.
    pub fn traffic(target: Option<&str>, connections: u64, sent: u64, received: u64) -> Self {
        let were = if connections == 1 { "connection" } else { "connections" };
        let many = format!("{connections} {were}, {sent} bytes sent, {received} received.");
        let event = Self::new(EventKind::Traffic);
        let event = match target {
            Some(target) => event.about(target).reason(many),
            None => event.reason(format!("Hosts that were too many to be told apart: {many}")),
        };
        event.detail("connections", connections).detail("sent", sent).detail("received", received)
    }

    /// The credential of this name was about to be put into a request to a host, for the first time
    /// in the session.
    pub fn credential(name: &str, host: &str, port: u16, decision: &Decision) -> Self {
        let event = Self::new(EventKind::Credential).about(address(host, port));
        event.with(decision).detail(NAME, name)
    }

    /// A signature was about to be made with the key of this fingerprint; `namespace` says what for,
    /// where it is one of a file.
    pub fn sign(key: &str, namespace: Option<&str>, decision: &Decision) -> Self {
        let about = match namespace {
            Some(namespace) => format!("{key} for {namespace}"),
            None => key.to_owned(),
        };
        Self::new(EventKind::Sign).about(about).with(decision).detail("namespace", namespace)
    }

    /// A person is asked, under this request's id.
    pub fn request(request: &str, action: &Action, decision: &Decision) -> Self {
        Self::new(EventKind::Request).of(action).with(decision).detail("request", request)
    }

    /// A request was answered by somebody, or by its expiry: `by` says which.
    pub fn answer(
        request: &str,
        action: &Action,
        verdict: Verdict,
        by: &str,
        scope: &str,
        note: Option<&str>,
    ) -> Self {
        Self { decision: Some(verdict), ..Self::new(EventKind::Answer) }
            .of(action)
            .by(by)
            .detail("request", request)
            .detail("scope", scope)
            .private("note", note)
    }

    /// Who asked is gone.
    pub fn withdrawn(request: &str, reason: &str) -> Self {
        Self::new(EventKind::Withdrawn).detail("request", request).reason(reason)
    }

    /// A process that outlived the agent was ended.
    pub fn ended(pid: u32, name: &str) -> Self {
        Self::new(EventKind::Ended).about(name).detail("pid", pid)
    }

    /// Something about the policy that a person should know.
    pub fn finding(text: &str) -> Self {
        Self::new(EventKind::Finding).reason(text)
    }

    /// Says what it is about, in one line.
    #[must_use]
    pub fn about(mut self, action: impl Into<String>) -> Self {
        self.action = Some(Subject::Text(action.into()));
        self
    }

    /// Says which action it is about.
    #[must_use]
    pub fn of(self, action: &Action) -> Self {
        match action {
            Action::Run(command) => self.of_command(command),
            Action::Read { path } | Action::Write { path } => self.about(path.to_string_lossy()),
            Action::Connect { host, port } => self.about(address(host, *port)),
            Action::Http(request) => self.about(request.to_string()),
        }
    }

    fn of_command(mut self, command: &Command) -> Self {
        let Command { executable, exec_name, argv, environment, cwd } = command;
        self.action = Some(match argv.as_slice() {
            [] => Subject::Text(exec_name.to_string_lossy().into_owned()),
            _ => Subject::Arguments(argv.clone()),
        });
        // One content, not five: it is erased as one, and each costs a digest and a salt.
        let mut program = Map::new();
        insert(&mut program, "argv", argv.clone().into());
        insert(&mut program, "executable", executable.to_string_lossy().into());
        insert(&mut program, "exec_name", exec_name.to_string_lossy().into());
        insert(&mut program, "cwd", cwd.to_string_lossy().into());
        let environment: Map<_, _> = environment
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect();
        insert(&mut program, "environment", environment.into());
        self.private("program", program)
    }

    /// Says which command it belongs to (erasable); an empty one says nothing.
    #[must_use]
    pub fn asked_by(self, command: &[String]) -> Self {
        self.private(ASKED_BY, command)
    }

    /// Takes over a decision: answer, rule, origin and reason.
    #[must_use]
    pub fn with(mut self, decision: &Decision) -> Self {
        let Decision { verdict, rule, origin, reason } = decision;
        self.decision = Some(*verdict);
        self.rule.clone_from(rule);
        self.origin = Some(origin.clone());
        self.reason = Some(reason.clone());
        self
    }

    /// Says why, in plain words.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Says who did it.
    #[must_use]
    pub fn by(mut self, by: impl Into<String>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// Says when, instead of the moment at which it is recorded.
    #[must_use]
    pub fn at(mut self, time: Timestamp) -> Self {
        self.time = Some(time);
        self
    }

    /// Adds something that stays in the record for good. Null and empty values are left out.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.detail, key, value.into());
        self
    }

    /// Adds something that can be erased later: paths, command lines, what people wrote.
    #[must_use]
    pub fn private(mut self, key: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.private, key, value.into());
        self
    }

    /// Whether it has to survive a loss of power before it takes effect (promise 7).
    pub(crate) fn is_durable(&self) -> bool {
        matches!(
            self.kind,
            EventKind::SessionStart
                | EventKind::SessionEnd
                | EventKind::Request
                | EventKind::Answer
        ) || matches!(self.decision, Some(Verdict::Ask | Verdict::Deny))
    }
}

fn insert(map: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if !empty {
        map.insert(key.into(), value);
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
