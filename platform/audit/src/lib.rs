//! The tamper-evident history: one segment per session, the device log that seals them,
//! verification, and an index for searching. Secrets are redacted before anything is written.
//!
//! Layout of a history folder (all of it readable by its owner only):
//!
//! ```text
//! segments/SESSION.jsonl           the records of one session, one JSON object a line
//! segments/SESSION.content.jsonl   what the records hold as salted digests; erasable
//! open/SESSION                     a marker, locked by the session's supervisor while it lives
//! device.log                       every segment's start and final root, and erasures
//! device.key                       what reports of self-tests are signed with, once there is one
//! device.lock                      held for the moment of writing to the device log
//! index.sqlite                     an index over all of it, which may be deleted at any time
//! index.lock                       held while the index is made ready
//! ```
//!
//! The leaves of a segment's tree are those of RFC 6962: `SHA-256(0x00 ‖ line)`, the line
//! without its line feed. Until checkpoints leave the laptop, its own user could rewrite all of
//! this consistently; an agent cannot reach it.

mod device;
mod erase;
mod error;
mod event;
mod hash;
mod index;
mod key;
mod layout;
mod platform;
mod read;
mod record;
mod redact;
mod report;
mod seal;
mod segment;
mod store;
mod verify;

pub use error::Error;
pub use event::{Event, EventKind, NewEvent, Start};
pub use hash::{Hash, Tree, leaf_hash};
pub use index::{
    CredentialUse, Cursor, Filter, HostReport, Index, Observed, Page, SessionState, SessionSummary,
};
pub use key::{DeviceKey, PublicKey};
pub use redact::Redactor;
pub use report::{LogReport, Problem, ProblemKind, Report, SegmentReport, SegmentState};
pub use segment::Segment;
pub use store::Store;
pub use verify::verify;

/// The result of everything here that reads or writes the history.
pub type Result<T, E = Error> = std::result::Result<T, E>;
