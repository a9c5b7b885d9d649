//! What is answered, and what comes of it, as plain data.

use crate::request::{AskingCommand, State};
use chaperone_policy::{Approval, Scope, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an answer says. Unlike a [`Verdict`] it cannot ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerVerdict {
    /// It goes ahead, inside the sandbox.
    Allow,
    /// It does not happen.
    Deny,
}

impl From<AnswerVerdict> for Verdict {
    fn from(verdict: AnswerVerdict) -> Self {
        match verdict {
            AnswerVerdict::Allow => Self::Allow,
            AnswerVerdict::Deny => Self::Deny,
        }
    }
}

impl fmt::Display for AnswerVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Verdict::from(*self).fmt(f)
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Allowed or denied. Expired and withdrawn ones are denied: nothing ran.
    pub verdict: AnswerVerdict,
    /// How far it reaches.
    pub scope: Scope,
    /// Who answered, such as `ada in the window`; `nobody` for expiry.
    pub by: String,
    /// What the agent was told.
    #[serde(default)]
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What an answering person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerMsg {
    /// The request.
    pub request: String,
    /// Allow or deny.
    pub verdict: AnswerVerdict,
    /// How far; one of the request's scopes. A denial is for once.
    pub scope: Scope,
    /// The hosts that it is for, by name; empty: for all, or, of an allow, for the only one.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The hosts that are denied beside those that are allowed. Those that neither list names wait
    /// on: whoever answers may not have seen them.
    #[serde(default)]
    pub denied: Vec<String>,
    /// Until the command exits, it may also reach further hosts, as long as nothing speaks against
    /// them; only of an allow with the scope of the command.
    #[serde(default)]
    pub further: bool,
    /// What the agent shall read.
    #[serde(default)]
    pub note: Option<String>,
    /// Who answers. Over a socket the session itself fills this in, from the peer.
    #[serde(default)]
    pub by: String,
}

/// What an answerer is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum AnswerOutcome {
    /// It is done.
    Accepted,
    /// Somebody, the clock or the agent was first.
    Late {
        /// How the request ended.
        state: State,
        /// Who was first.
        by: String,
        /// What they said.
        verdict: AnswerVerdict,
        /// When.
        at: Timestamp,
    },
    /// It could not be taken; the request still waits if it did before.
    Refused {
        /// Why, in plain words.
        reason: String,
    },
}

impl AnswerOutcome {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }
}

impl fmt::Display for AnswerOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("Done."),
            Self::Late { state: State::Withdrawn, .. } => {
                f.write_str("Too late: the agent has moved on and no longer waits for an answer.")
            }
            Self::Late { state: State::Expired, .. } => {
                f.write_str("Too late: nobody answered in time, so it was denied.")
            }
            Self::Late { by, verdict, .. } => {
                let done = match verdict {
                    AnswerVerdict::Allow => "allowed",
                    AnswerVerdict::Deny => "denied",
                };
                write!(f, "Too late: {by} had {done} it already.")
            }
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}

/// What the supervisor is told of an ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The request; `None` when it never became one (too many wait, or too long to show).
    pub request: Option<String>,
    /// What to do.
    pub verdict: AnswerVerdict,
    /// How far it reaches.
    pub scope: Scope,
    /// Who decided, such as `ada in the window`; `nobody` when time ran out.
    pub by: String,
    /// How the request ended.
    pub state: State,
    /// The person's note, cleaned.
    pub note: Option<String>,
    /// The approval that outlives the request, when the scope is more than once.
    pub approval: Option<Approval>,
}

impl Outcome {
    /// What is left to say once the session has ended.
    pub(crate) fn ended() -> Self {
        Self {
            request: None,
            verdict: AnswerVerdict::Deny,
            scope: Scope::Once,
            by: "nobody".to_owned(),
            state: State::Withdrawn,
            note: None,
            approval: None,
        }
    }

    /// The words that the agent reads when it is denied.
    pub fn words(&self) -> String {
        match (&self.note, self.state) {
            (Some(note), State::Answered) => format!("Denied by {}: {note}", self.by),
            (Some(note), _) => note.clone(),
            (None, State::Answered) => format!("Denied by {}.", self.by),
            (None, State::Expired) => "Nobody answered in time, so this was denied. Carry on with \
                 something else, or ask the person before trying again."
                .to_owned(),
            (None, _) => "This was not answered before the session moved on.".to_owned(),
        }
    }
}

/// An approval that holds until a command exits or the session ends, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptApproval {
    /// Its own name: the request that it answered, and of several hosts the one that it is for.
    pub id: String,
    /// What it covers.
    pub prefix: Vec<String>,
    /// How far it reaches.
    #[serde(default = "session")]
    pub scope: Scope,
    /// The command that it is for; `None`: for all.
    #[serde(default)]
    pub command: Option<AskingCommand>,
    /// Who gave it.
    pub by: String,
    /// When.
    pub given: Timestamp,
    /// Until when; `None`: until the session ends.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// What an older supervisor keeps.
fn session() -> Scope {
    Scope::Session
}

impl From<&KeptApproval> for Approval {
    fn from(kept: &KeptApproval) -> Self {
        Self {
            id: kept.id.clone(),
            prefix: kept.prefix.clone(),
            scope: kept.scope,
            command: kept.command.as_ref().map(|command| command.process),
            by: kept.by.clone(),
            expires: kept.expires,
        }
    }
}
