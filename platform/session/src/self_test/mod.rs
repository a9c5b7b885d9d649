//! `chaperone self-test`: the escape suite on this machine, under the policy in force, and the
//! signed report of it. `linux` runs it; `report` is what it says, `signed` where
//! it lies and how it is verified.

#[cfg(target_os = "linux")]
mod held;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod linux;
#[cfg(target_os = "linux")]
mod outside;
mod report;
mod signed;

pub use linux::{part, self_test, title};
pub use report::{Counts, Report, Verdict, Way};
pub use signed::{Altered, LastSelfTest, SaveError, Written, last, save, verify};

use crate::load::LoadError;
use chaperone_sandbox::{LaunchError, Refusal, TraceError};
use std::io;

/// The first word of the command line by which the suite's program starts itself.
pub const PART: &str = "self-test-part";

/// Why a self-test came to no result.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// It would run inside a session.
    #[error("this is inside session {0}: a self-test is run outside, by a person or by IT")]
    InsideSession(String),
    /// The policy in force could not be told.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The policy in force cannot be trusted to be whole.
    #[error("the policy is not whole, so no session starts that could be tried: {0}")]
    Blocked(String),
    /// No session starts here.
    #[error("no session starts here, so there is none to be tried: {0}")]
    Refused(#[from] Refusal),
    /// The sandbox could not be set up.
    #[error("the sandbox could not be set up: {0}")]
    Launch(#[from] LaunchError),
    /// Watching over the session failed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// What the attempts aim at could not be made, or be looked at.
    #[error("{what}: {source}")]
    World {
        /// What it is.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nobody knows what would have come of these.
    #[error("{0} could not be made inside, so nothing is known of them: {1}")]
    NotMade(String, String),
    /// A person or the system ended it. Nothing of it is left.
    #[error("it was interrupted; nothing of it is left, and no report is written")]
    Interrupted,
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// There is no sandbox for this operating system yet.
    #[cfg(not(target_os = "linux"))]
    #[error("there is no sandbox for this operating system yet, so there is nothing to be tried")]
    Unsupported,
}

/// Where a self-test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The group that is tried, for people.
    pub group: &'static str,
    /// How many groups are done.
    pub done: usize,
    /// Of how many.
    pub of: usize,
    /// Whether the attempts are being proved outside; else they are made inside.
    pub outside: bool,
}
