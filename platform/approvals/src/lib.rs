//! The queue of requests, who may answer them, and the local protocol.
//!
//! [`Queue`], the protocol and the terminal prompt are pure: time comes in, effects come out.
//! [`Approvals`] is the supervisor's side of the transport and [`Inbox`] the answering side;
//! both live in `unix/`, and `windows.rs` says honestly that they do not exist there yet.

#![cfg_attr(not(unix), allow(dead_code))] // The protocol waits for a transport there.

mod answer;
mod entry;
mod error;
mod hub;
mod merged;
mod part;
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

pub use answer::{Answer, AnswerMsg, AnswerOutcome, AnswerVerdict, KeptApproval, Outcome};
pub use chaperone_policy::{Approval, Scope};
pub use error::Error;
pub use merged::{Change, Listing, SessionRequests, Unreachable};
pub use protocol::{PROTOCOL_VERSION, Role};
pub use queue::{Effect, Queue, QueueLimits, Ticket};
pub use request::{
    AskedHost, AskingCommand, Began, Enforced, Fact, FactAnswer, Facts, NewHost, NewRequest,
    Request, RequestOrigin, SessionInfo, State,
};
pub use system::{Approvals, Inbox};
pub use visible::{NOTE_LIMIT, clean_note, shell_words, visible};
