//! The messages between a session and those who answer it: one JSON object a line.
//!
//! Version 1. Adding fields and message types does not raise the version: whoever does not know a
//! field ignores it, whoever does not know a type says so (a session) or ignores it (a client).
//! A higher version is for a change that an older peer would misunderstand; both sides then speak
//! the lower of the two, and each keeps speaking all versions since the first.

use crate::answer::{AnswerOutcome, AnswerVerdict, KeptApproval};
use crate::request::{Request, SessionInfo};
use chaperone_policy::Scope;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The newest version of the protocol that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The longest line that a session reads from a client, in bytes.
pub(crate) const CLIENT_LINE: usize = 64 * 1024;

/// The longest line that a client reads from a session, in bytes: a welcome with every request
/// that a queue can hold, JSON escapes included, stays below it.
pub(crate) const SERVER_LINE: usize = 64 * 1024 * 1024;

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The desktop window. It shows requests to a person as they come.
    Window,
    /// `chaperone approvals` in another terminal. It shows them as they come, too.
    Terminal,
    /// A command that looks, or answers once, and goes: nobody sits in front of it.
    List,
}

impl Role {
    /// Whether a person sees requests there as they come.
    pub fn attends(self) -> bool {
        match self {
            Self::Window | Self::Terminal => true,
            Self::List => false,
        }
    }

    /// Where the answer came from, in words that follow a person's name.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Window => "in the window",
            Self::Terminal => "in another terminal",
            Self::List => "on the command line",
        }
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "window" => Self::Window,
            "terminal" => Self::Terminal,
            // Also what a newer version may call otherwise: it may answer, and counts for nobody.
            _ => Self::List,
        })
    }
}

/// From a client. Known by its `type`; see [`parse_client`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ClientMessage {
    /// The first message.
    Hello {
        #[serde(default = "first")]
        version: u32,
        role: Role,
    },
    /// An answer to a request.
    Answer(WireAnswer),
    /// Takes an approval for the session back.
    Revoke {
        approval: String,
        #[serde(default)]
        tag: u64,
    },
}

fn first() -> u32 {
    1
}

/// [`crate::AnswerMsg`] as it goes over the wire. `by` is the session's to say. A verdict or scope
/// of a newer version is refused in words rather than taken for something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireAnswer {
    pub(crate) request: String,
    pub(crate) verdict: String,
    #[serde(default = "once")]
    pub(crate) scope: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) denied: Vec<String>,
    #[serde(default)]
    pub(crate) further: bool,
    #[serde(default)]
    pub(crate) note: Option<String>,
    /// Comes back with the reply, so that a client knows which answer it belongs to.
    #[serde(default)]
    pub(crate) tag: u64,
}

fn once() -> String {
    Scope::Once.to_string()
}

impl WireAnswer {
    /// The verdict and the scope, or why they cannot be taken.
    pub(crate) fn known(&self) -> Result<(AnswerVerdict, Scope), String> {
        let verdict = match self.verdict.as_str() {
            "allow" => AnswerVerdict::Allow,
            "deny" => AnswerVerdict::Deny,
            other => return Err(format!("`{other}` is not an answer: allow or deny.")),
        };
        let known = Scope::ALL.into_iter().find(|scope| scope.to_string() == self.scope);
        let Some(scope) = known else {
            return Err(format!("This session does not know the scope `{}`.", self.scope));
        };
        Ok((verdict, scope))
    }
}

/// What a line of a client says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ClientLine {
    Known(ClientMessage),
    /// Of a newer version.
    Unknown(String),
    /// Not a message at all, with the reason.
    Broken(String),
}

/// Reads one line of a client, without its line feed.
pub(crate) fn parse_client(line: &[u8]) -> ClientLine {
    const KNOWN: [&str; 3] = ["hello", "answer", "revoke"];
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return ClientLine::Broken(format!("This line is not JSON: {error}.")),
    };
    let Some(kind) = value.get("type").and_then(Value::as_str).map(str::to_owned) else {
        return ClientLine::Broken("This line is not an object with a `type`.".to_owned());
    };
    if !KNOWN.contains(&kind.as_str()) {
        return ClientLine::Unknown(kind);
    }
    match serde_json::from_value(value) {
        Ok(message) => ClientLine::Known(message),
        Err(error) => ClientLine::Broken(format!("This `{kind}` is not complete: {error}.")),
    }
}

/// From a session. A client ignores types that it does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ServerMessage {
    /// The answer to `hello`: everything so far.
    Welcome {
        version: u32,
        session: SessionInfo,
        #[serde(default)]
        requests: Vec<Request>,
        #[serde(default)]
        approvals: Vec<KeptApproval>,
    },
    /// A request has begun to wait.
    Request { request: Box<Request> },
    /// Another one joined a request or left it, or some of its hosts were answered.
    Updated { request: Box<Request> },
    /// A request was answered or has expired: `state` and `answer` say which.
    Answered { request: Box<Request> },
    /// The agent has moved on.
    Withdrawn { request: Box<Request> },
    /// The approvals for the session, all of them, after a change.
    Approvals { approvals: Vec<KeptApproval> },
    /// Something happened that a live view may show; for people, never for decisions.
    Event { data: Value },
    /// The session is over.
    Ended,
    /// The reply to `answer` and `revoke`.
    Reply {
        #[serde(default)]
        tag: u64,
        #[serde(flatten)]
        outcome: AnswerOutcome,
    },
    /// The session does not talk to this client; the connection closes after it.
    Goodbye { reason: String },
    /// A message was not understood; the connection stays.
    Problem { reason: String },
    /// A message of a type that this session does not know; the connection stays.
    Unknown { of: String, version: u32 },
    /// Of a newer version.
    #[serde(skip_serializing, untagged)]
    Newer(Value),
}

/// Reads one line of a session. `None`: not JSON at all.
pub(crate) fn parse_server(line: &[u8]) -> Option<ServerMessage> {
    serde_json::from_slice(line).ok()
}

/// One message as a line, with its line feed. JSON escapes every line feed inside.
pub(crate) fn line<M: Serialize>(message: &M) -> Vec<u8> {
    // Serialising these plain structures cannot fail; an empty line would be ignored.
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: &Value) -> ClientLine {
        parse_client(value.to_string().as_bytes())
    }

    #[test]
    fn messages_survive_their_own_wire_format() {
        let messages = [
            ClientMessage::Hello { version: 1, role: Role::Terminal },
            ClientMessage::Answer(WireAnswer {
                request: "s1.1".into(),
                verdict: "deny".into(),
                scope: "once".into(),
                hosts: vec!["a.example:443".into()],
                denied: Vec::new(),
                further: false,
                note: Some("open a\npull request".into()),
                tag: 3,
            }),
            ClientMessage::Revoke { approval: "s1.1".into(), tag: 4 },
        ];
        for message in messages {
            let bytes = line(&message);
            let (end, inside) = bytes.split_last().unwrap();
            assert!(*end == b'\n' && !inside.contains(&b'\n'));
            assert_eq!(parse_client(inside), ClientLine::Known(message));
        }
        for outcome in [
            AnswerOutcome::Accepted,
            AnswerOutcome::refused("Why."),
            AnswerOutcome::Late {
                state: crate::State::Expired,
                by: "nobody".into(),
                verdict: AnswerVerdict::Deny,
                at: jiff::Timestamp::UNIX_EPOCH,
            },
        ] {
            let message = ServerMessage::Reply { tag: 5, outcome };
            assert_eq!(parse_server(&line(&message)), Some(message));
        }
    }

    #[test]
    fn the_first_version_of_every_message_is_read() {
        let hello = json!({"type": "hello", "role": "window"});
        assert_eq!(
            parse(&hello),
            ClientLine::Known(ClientMessage::Hello { version: 1, role: Role::Window })
        );
        let answer = json!({"type": "answer", "request": "s1.1", "verdict": "allow"});
        let ClientLine::Known(ClientMessage::Answer(answer)) = parse(&answer) else { panic!() };
        assert_eq!(answer.known(), Ok((AnswerVerdict::Allow, Scope::Once)));
    }

    #[test]
    fn an_answer_that_is_not_known_is_never_taken_for_another() {
        for (verdict, scope) in [("Allow", "once"), ("ask", "once"), ("allow", "always"), ("", "")]
        {
            let answer =
                json!({"type": "answer", "request": "r", "verdict": verdict, "scope": scope});
            let ClientLine::Known(ClientMessage::Answer(answer)) = parse(&answer) else { panic!() };
            assert!(answer.known().is_err(), "{verdict} {scope}");
        }
    }

    #[test]
    fn unknown_types_and_broken_lines_are_told_apart() {
        assert_eq!(parse(&json!({"type": "snooze"})), ClientLine::Unknown("snooze".into()));
        for broken in ["", "{", "[]", "null", "{\"type\":7}", "{\"type\":\"answer\"}"] {
            assert!(matches!(parse_client(broken.as_bytes()), ClientLine::Broken(_)), "{broken}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(parse_client(deep.as_bytes()), ClientLine::Broken(_)));
    }
}
