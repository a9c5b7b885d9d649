//! The transport on Unix: one socket for each session in a folder that only its user enters.
//!
//! `folder` keeps the folder, `peer` says who may talk, `wire` carries lines, `supervisor` is
//! one session's side and `serve` its thread, `inbox` looks at all of them.

mod folder;
mod inbox;
// Nothing but Linux tells yet what it judges by.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod peer;
mod serve;
mod supervisor;
mod wire;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as kernel;
#[cfg(not(target_os = "linux"))]
mod macos;
#[cfg(not(target_os = "linux"))]
use macos as kernel;

pub use inbox::Inbox;
pub use supervisor::Approvals;
