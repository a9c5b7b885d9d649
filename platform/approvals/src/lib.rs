//! The queue of requests, who may answer them, and the local protocol.
//!
//! [`Queue`], the protocol and the terminal prompt are pure: time comes in, effects come out.
//! [`Approvals`] is the supervisor's side of the transport and [`Inbox`] the answering side;
//! both live in `unix/`, and `windows.rs` says honestly that they do not exist there yet.

mod hub;
mod merged;
mod protocol;
mod queue;
mod request;
mod visible;

pub mod terminal;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(not(unix))]
mod windows;
#[cfg(not(unix))]
use windows as system;

mod error;

pub use chaperone_policy::{Scope, SessionApproval};
pub use error::Error;
pub use merged::{Change, Listing, SessionRequests, Unreachable};
pub use protocol::{PROTOCOL_VERSION, Role};
pub use queue::{Effect, Queue, QueueLimits, Ticket};
pub use request::{
    Answer, AnswerMsg, AnswerOutcome, AnswerVerdict, Enforced, Fact, FactAnswer, Facts,
    KeptApproval, NewRequest, Outcome, Request, RequestOrigin, SessionInfo, State,
};
pub use system::{Approvals, Inbox};
pub use visible::{NOTE_LIMIT, clean_note, shell_words, visible};
