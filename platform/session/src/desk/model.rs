//! The view models: what the window's pages and the command line show, as plain data.
//!
//! `ui/src/lib/backend.ts` has the same shapes and says what each field means to people;
//! `ui/src/lib/bindings.ts` is generated from these. An absent value is `null`, never a missing
//! field, and every number stays below 2^53.

pub use chaperone_policy::Scope;
use chaperone_policy::{Decision, Finding, KeyWords, Origin, Show, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How an agent is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "kebab-case")]
pub enum Governed {
    /// By the kernel.
    Sandboxed,
    /// Through its own hooks only.
    Cooperative,
    /// Not at all.
    NotGoverned,
}

/// How strong the sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// No session starts.
    None,
    /// Landlock and seccomp.
    Reduced,
    /// And namespaces.
    Full,
}

// ---------------------------------------------------------------- home

/// The first screen, and `chaperone status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Home {
    /// The one sentence.
    pub protection: Protection,
    /// `None`: nobody manages this laptop.
    pub managed: Option<Managed>,
    /// What this machine's sandbox can be.
    pub machine: Machine,
    /// Those that were found, by title.
    pub agents: Vec<Agent>,
    /// Running ones, newest first.
    pub sessions: Vec<Session>,
    /// What happened since the window was last in front; `None` on the first start.
    pub away: Option<Away>,
    /// What could not be taken as written.
    pub findings: Vec<Finding>,
    /// Running sessions whose requests cannot be answered here.
    pub unreachable: Vec<Unreachable>,
    /// Workspaces of earlier sessions, the latest first, at most ten.
    pub recent_workspaces: Vec<String>,
    /// Of Chaperone.
    pub version: String,
}

/// Whether agents on this machine are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Protection {
    /// In a word.
    pub level: ProtectionLevel,
    /// One sentence.
    pub sentence: String,
    /// What a person can do about it.
    pub remedy: Option<Remedy>,
}

/// `chaperone status` exits with 0, 1 and 2 for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum ProtectionLevel {
    /// Sessions run in the full sandbox.
    Protected,
    /// They run, and something is lost.
    Partly,
    /// None starts.
    Not,
}

/// Words, and a command to copy where one helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Remedy {
    /// What to do.
    pub text: String,
    /// To be copied as it stands.
    pub command: Option<String>,
}

/// Who manages this laptop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Managed {
    /// The organisation, where a layer names one.
    pub by: Option<String>,
    /// The managed layers' own.
    pub revision: Option<String>,
    /// When the managed layers were read from their sources, or the oldest of them was fetched;
    /// `None` where none could be read.
    pub read_at: Option<Timestamp>,
    /// Decisions are only recorded now.
    pub observes: Option<Observes>,
}

/// Decisions are recorded and let pass; secrets, the supervisor and what persists stay guarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Observes {
    /// Until then.
    pub until: Timestamp,
    /// Who says so.
    pub origin: Origin,
}

/// What this machine's sandbox can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Machine {
    /// How strong.
    pub tier: Tier,
    /// What is missing below the top.
    pub losses: Vec<Loss>,
}

/// Something that this machine's tier does not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Loss {
    /// Stable, in kebab case.
    pub id: String,
    /// What is lost, in plain words.
    pub detail: String,
    /// How to get it.
    pub fix: String,
}

/// An agent that was found on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Agent {
    /// The agent file's name, such as `claude-code`.
    pub name: String,
    /// For people, such as `Claude Code`.
    pub title: String,
    /// As far as it can be told without starting it.
    pub version: Option<String>,
    /// Its program.
    pub path: String,
    /// How it is governed when it is started as people start it today.
    pub governed: Governed,
    /// One sentence that says why.
    pub detail: String,
    /// Starts it governed, such as `chaperone run -- claude`.
    pub command_to_start: String,
}

/// One supervised run of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Session {
    /// Sortable by start.
    pub id: String,
    /// The agent's title where an agent file knows it, else the program's name.
    pub agent: String,
    /// The folder that it works in.
    pub workspace: String,
    /// Checked out when it began.
    pub branch: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// `None` while it runs.
    pub ended: Option<Timestamp>,
    /// How it ended in words; `None` while it runs.
    pub exit: Option<String>,
    /// How its agent is held.
    pub governed: Governed,
    /// With how strong a sandbox.
    pub tier: Tier,
    /// Requests that wait for an answer now.
    pub waiting: u32,
    /// Decisions so far.
    pub counts: Counts,
}

/// Decisions of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Counts {
    /// Without a question.
    pub allowed: u32,
    /// With one, whatever the answer.
    pub asked: u32,
    /// Refused by a rule, by a person or by the clock.
    pub denied: u32,
}

/// What happened while nobody looked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Away {
    /// When the window was last in front.
    pub since: Timestamp,
    /// Decisions since then.
    pub counts: Counts,
    /// The latest that were not plain allows, newest first, at most five.
    pub latest: Vec<EventRow>,
}

/// A running session that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Unreachable {
    /// The session's id.
    pub session: String,
    /// Why, without a full stop.
    pub reason: String,
}

// ---------------------------------------------------------------- requests

/// What waits, and what was just answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Requests {
    /// By the oldest request of each session.
    pub groups: Vec<RequestGroup>,
    /// Within the last minute, newest first.
    pub answered: Vec<AnsweredRequest>,
}

/// The requests of one session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct RequestGroup {
    /// Whose they are.
    pub session: Session,
    /// Oldest first.
    pub requests: Vec<RequestCard>,
}

/// What exactly is about to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Exact {
    /// A program starts.
    Run {
        /// Whole.
        argv: Vec<String>,
        /// Where.
        cwd: String,
        /// The variables that change what it means.
        environment: Vec<(String, String)>,
    },
    /// An HTTP request is sent.
    Http {
        /// As it is sent.
        method: String,
        /// Host, port and path.
        target: String,
    },
    /// A connection is opened.
    Connect {
        /// A name or an address.
        host: String,
        /// TCP.
        port: u16,
    },
    /// A file is read.
    Read {
        /// Absolute.
        path: String,
    },
    /// A file is changed.
    Write {
        /// Absolute.
        path: String,
    },
}

/// A word and the sentence behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Fact {
    /// The word.
    pub answer: FactAnswer,
    /// The sentence.
    pub text: String,
}

/// What is known of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum FactAnswer {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// Nobody can tell beforehand.
    Unknown,
}

/// The three facts that help to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Facts {
    /// Can it be undone?
    pub undoable: Fact,
    /// Does something leave the laptop?
    pub leaves_laptop: Fact,
    /// Is something new compared with what was allowed before?
    pub is_new: Fact,
}

/// An ask that waits for an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct RequestCard {
    /// Within its session.
    pub id: String,
    /// The session's id.
    pub session: String,
    /// Plain words: what will happen if it is allowed.
    pub sentence: String,
    /// The same as a machine has it.
    pub exact: Exact,
    /// As in [`Session`].
    pub agent: String,
    /// As in [`Session`].
    pub workspace: String,
    /// As in [`Session`].
    pub branch: Option<String>,
    /// From the agent down to the program that is about to start.
    pub chain: Vec<String>,
    /// What a shell string would start, a line each; a line that begins with `?` says what cannot
    /// be told, and why. Empty for everything else.
    pub programs: Vec<String>,
    /// What the person had asked the agent for, as the agent reports it.
    pub asked_for: Option<String>,
    /// What helps to answer.
    pub facts: Facts,
    /// The rule that asks.
    pub rule: Option<String>,
    /// Who set it.
    pub origin: Origin,
    /// Why it asks.
    pub reason: String,
    /// What holds the answer up.
    pub enforced: Enforced,
    /// The scopes that an answer may have here.
    pub scopes: Vec<Scope>,
    /// What an allow would cover that reaches further than this once; `None` where it differs from host
    /// to host.
    pub session_scope: Option<Vec<String>>,
    /// The hosts that connections are for; empty for everything else. An answer names those that it is
    /// for.
    pub hosts: Vec<AskedHost>,
    /// The command that asks, where an answer may be for it alone.
    pub asker: Option<String>,
    /// Who took a scope away, where one is missing.
    pub scope_limit: Option<Origin>,
    /// Equal requests that this card stands for, itself included.
    pub count: u32,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Until when it can be answered.
    pub expires: Timestamp,
    /// What happens then.
    pub at_expiry: AnswerVerdict,
    /// `false`: the agent has moved on.
    pub waiting: bool,
}

/// One of the hosts that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct AskedHost {
    /// `host:port`; also its name in an answer.
    pub name: String,
    /// What is known of it, in sentences.
    pub known: String,
    /// Whether it is found chosen among several.
    pub chosen: bool,
    /// What was said of it; `None` while it waits.
    pub verdict: Option<AnswerVerdict>,
}

/// What holds an answer up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Enforced {
    /// The kernel.
    Kernel,
    /// The agent's own hooks.
    Cooperative,
}

/// What a reviewer may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum AnswerVerdict {
    /// It goes ahead.
    Allow,
    /// It does not.
    Deny,
}

/// A request that waits no longer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct AnsweredRequest {
    /// As it last stood.
    pub request: RequestCard,
    /// What became of it.
    pub outcome: Outcome,
    /// Of an allow.
    pub scope: Option<Scope>,
    /// In words: `you`, `the terminal`, `nobody`.
    pub by: String,
    /// What the agent reads.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// By a reviewer.
    Allowed,
    /// By a reviewer.
    Denied,
    /// By the clock.
    Expired,
    /// The agent no longer waits.
    Withdrawn,
}

/// A reviewer's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Answer {
    /// Whose request.
    pub session: String,
    /// Its id.
    pub request: String,
    /// What is said.
    pub verdict: AnswerVerdict,
    /// How far it reaches.
    pub scope: Scope,
    /// Of a request about hosts: those that it is for.
    pub hosts: Vec<String>,
    /// Those that are denied beside those that are allowed.
    pub denied: Vec<String>,
    /// Further hosts may be reached until the command exits, as long as nothing speaks against them.
    pub further: bool,
    /// The agent reads it; only with a deny.
    pub note: Option<String>,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum AnswerOutcome {
    /// It holds.
    Accepted,
    /// Somebody, or the clock, was first.
    Late {
        /// In words.
        by: String,
        /// What they said.
        verdict: LateVerdict,
        /// When, where it is known.
        at: Option<Timestamp>,
    },
    /// It may not be given.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What had happened before a late answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum LateVerdict {
    /// It was allowed.
    Allow,
    /// It was denied, or expired.
    Deny,
    /// The agent had moved on.
    Withdrawn,
}

// ---------------------------------------------------------------- activity

/// A page of sessions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct SessionPage {
    /// At most a page.
    pub rows: Vec<Session>,
    /// Fetches what follows; `None` at the end.
    pub next: Option<String>,
    /// Of all pages.
    pub total: u32,
}

/// One session, told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Story {
    /// Which.
    pub session: Session,
    /// What the person asked the agent for, as the agent reports it.
    pub asked_for: Option<String>,
    /// One or two sentences over all of it.
    pub summary: String,
    /// In order of time.
    pub lines: Vec<StoryLine>,
}

/// One thing that happened; like ones next to each other are one line with a count.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct StoryLine {
    /// The first event that it stands for.
    pub seq: u64,
    /// Of that event.
    pub time: Timestamp,
    /// What it is about.
    pub about: About,
    /// Plain words.
    pub sentence: String,
    /// What a machine reads; `None` where the sentence says it all.
    pub exact: Option<String>,
    /// Where one was taken.
    pub decision: Option<Verdict>,
    /// Who took it, where a person did.
    pub by: Option<String>,
    /// Events that it stands for.
    pub count: u32,
}

/// What a line of a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The session's start.
    Began,
    /// A command.
    Ran,
    /// A file.
    Changed,
    /// A host.
    Reached,
    /// A request and its answer.
    Decided,
    /// The session's end.
    Ended,
}

/// The kinds of events that the window tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum EventKind {
    SessionStart,
    SessionEnd,
    Command,
    Connect,
    Http,
    Traffic,
    Read,
    Write,
    Sign,
    Credential,
    Request,
    Answer,
    Withdrawn,
    Stop,
    Continue,
    LeftOver,
    Finding,
}

/// One event in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct EventRow {
    /// Its place in its session.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// Which session.
    pub session: String,
    /// As in [`Session`].
    pub agent: String,
    /// As in [`Session`].
    pub workspace: String,
    /// What kind.
    pub kind: EventKind,
    /// The action as a machine has it, or words.
    pub what: String,
    /// Where one was taken.
    pub decision: Option<Verdict>,
    /// Which gave it.
    pub rule: Option<String>,
    /// Who set that.
    pub origin: Option<Origin>,
    /// Why.
    pub reason: Option<String>,
    /// Who answered.
    pub by: Option<String>,
}

/// One event, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct EventDetail {
    /// As in the list.
    pub row: EventRow,
    /// The record as it stands in the history, as indented JSON.
    pub record: String,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct EventFilter {
    /// Of this session only.
    pub session: Option<String>,
    /// Empty: every kind.
    pub kinds: Vec<EventKind>,
    /// With this decision only.
    pub decision: Option<Verdict>,
    /// Full text.
    pub text: Option<String>,
}

/// A page of events, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct EventPage {
    /// At most a page.
    pub rows: Vec<EventRow>,
    /// Fetches what follows; `None` at the end.
    pub next: Option<String>,
    /// Of all pages.
    pub total: u32,
}

// ---------------------------------------------------------------- rules

/// Every layer and every key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Rules {
    /// What `chaperone policy show --json` prints.
    #[serde(flatten)]
    pub shown: Show,
    /// What each key is for.
    pub keys: Vec<KeyWords>,
    /// Those of running and earlier sessions, the latest first, at most ten.
    pub workspaces: Vec<String>,
}

/// A question for the *Why?* box.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Question {
    /// What kind of action.
    pub about: QuestionAbout,
    /// A command line, `HOST[:PORT]`, or a path.
    pub text: String,
    /// Whose workspace file counts; `None`: none.
    pub workspace: Option<String>,
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum QuestionAbout {
    /// Running one.
    Command,
    /// Connecting to one.
    Host,
    /// Reading a path.
    Read,
    /// Changing a path.
    Write,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Why {
    /// How the question was understood.
    pub understood: String,
    /// What would be decided.
    pub decision: Decision,
    /// What would change that, in words.
    pub change: String,
}

/// An approval that outlives its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Grant {
    /// To revoke it by.
    pub id: String,
    /// Plain words.
    pub sentence: String,
    /// What it covers.
    pub prefix: Vec<String>,
    /// How far it reaches.
    pub scope: Scope,
    /// The command with which it ends.
    pub command: Option<String>,
    /// Where it holds.
    pub workspace: String,
    /// Who gave it.
    pub by: String,
    /// When.
    pub given: Timestamp,
    /// How often it has answered.
    pub uses: u32,
    /// When it last did.
    pub last_used: Option<Timestamp>,
    /// `None`: when its command exits, or its session ends.
    pub expires: Option<Timestamp>,
    /// The id of the session in which it was given.
    pub session: String,
}

// ---------------------------------------------------------------- starting and settings

/// A session to start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Start {
    /// As typed.
    pub command: String,
    /// Where.
    pub workspace: String,
}

/// What became of starting a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Started {
    /// `None` where it begins in a terminal that has yet to open.
    pub session: Option<String>,
    /// Where to look.
    pub message: String,
}

/// How the window looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system does.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// What the window remembers that pages need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Settings {
    /// How it looks.
    pub theme: Theme,
    /// No notifications until then; requests still wait in the window.
    pub asking_paused_until: Option<Timestamp>,
}

/// What every call fails with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[error("{message}{}", remedy.as_ref().map(|text| format!(" {text}")).unwrap_or_default())]
pub struct Failure {
    /// What happened and where.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Failure {
    /// With a remedy.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: Some(remedy.into()) }
    }

    /// Where there is nothing that a person could do.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: None }
    }
}
