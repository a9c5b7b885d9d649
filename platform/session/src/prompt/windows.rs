//! Systems whose consoles are not asked on yet.

use chaperone_approvals::{AnswerMsg, Request};
use std::fs::File;
use std::io;

/// Refuses.
///
/// # Errors
/// Always.
pub fn ask_on(_: &mut File, _: &Request, _: &dyn Fn() -> bool) -> io::Result<Option<AnswerMsg>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "requests cannot be answered in a terminal of this system yet; use `chaperone approvals answer`",
    ))
}
