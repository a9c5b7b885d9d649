//! Where no session runs, there is none to get out of.

use super::{Report, SelfTestError, Step};
use crate::paths::Paths;
use std::io;

/// Refuses.
///
/// # Errors
/// Always.
pub fn self_test(_: &Paths, _: &mut dyn FnMut(Step)) -> Result<Report, SelfTestError> {
    Err(SelfTestError::Unsupported)
}

/// There are no groups.
pub fn title(_: &str) -> &'static str {
    ""
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn part(_: &[String]) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
