//! Systems on which no session can be enforced yet: none starts, and the reason is said.

use crate::doctor::Check;
use crate::load::Question;
use crate::paths::Paths;
use chaperone_policy::{Context, Policy};
use std::collections::BTreeMap;

/// What to run, and how.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The command, its folder, its agent and the policy files beside those of the machine.
    pub question: Question,
    /// Nobody is asked.
    pub unattended: bool,
}

/// Why a session did not start.
#[derive(Debug, thiserror::Error)]
#[error("Chaperone cannot enforce a sandbox on {} yet, so no agent starts", std::env::consts::OS)]
pub struct StartError;

/// Refuses.
///
/// # Errors
/// Always.
pub fn learn(
    _: &RunOptions,
    _: &Paths,
    _: &mut dyn FnMut(&crate::Proposal) -> bool,
) -> Result<u8, StartError> {
    Err(StartError)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn run(_: &RunOptions, _: &Paths) -> Result<u8, StartError> {
    Err(StartError)
}

/// No session signs anything.
pub(crate) fn check_signing(
    _: &Policy,
    _: &Context,
    _: &BTreeMap<String, String>,
) -> Option<Check> {
    None
}
