//! The supervisor of one session, and what the window and the command line know of all of them.
//!
//! `supervisor` runs a session; `load` tells the policy in force; `agents` knows the agents;
//! `desk` and `doctor` are what people look at.

pub mod agents;
pub mod desk;

mod doctor;
mod gaps;
mod grants;
pub mod inside;
mod known;
mod learn;
mod load;
mod memory;
mod needs;
mod paths;
mod report;
pub mod self_test;
mod shell;
mod shown;
pub mod sign_in;
mod unlisted;
pub mod users;
mod would;

#[cfg(target_os = "linux")]
pub mod signing;

#[cfg(target_os = "linux")]
mod git;
#[cfg(target_os = "linux")]
mod id;
mod prompt;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod supervisor;

pub use grants::{Grants, KeptGrant};

pub use chaperone_approvals as approvals;
pub use chaperone_audit as audit;
pub use chaperone_credentials as credentials;
pub use chaperone_egress::Target;
pub use chaperone_policy as policy;
pub use chaperone_sources::remote::{Bundle, RefreshError, Refreshed};
pub use doctor::{Check, CheckStatus, Examination, examine};
pub use learn::{Change, Left, Proposal};
pub use load::{LoadError, Loaded, Question, environment, load};
pub use memory::prepare_memory;
pub use paths::{Paths, PathsError, resolved};
pub use prompt::ask_on;
pub use report::{Report, report};
pub use shell::{Judged, JudgedCommand, Started, Unread, programs, would_start};
pub use shown::{explain, running, show};
pub use supervisor::{RunOptions, StartError, learn, run};
pub use would::{change, command, would};

/// The credentials of the user of these folders. The keychain is not asked before one of them is.
pub fn credentials_of(paths: &Paths) -> credentials::Credentials {
    let keychain = credentials::Keychain::of_this_user();
    credentials::Credentials::new(paths.credentials(), keychain)
}

/// The login name of the user who runs this process, or the number where it has none.
#[cfg(unix)]
pub fn user_name() -> String {
    let uid = nix::unistd::Uid::current();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("user {uid}"),
    }
}

/// The login name of the user who runs this process.
#[cfg(windows)]
pub fn user_name() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "this user".to_owned())
}
