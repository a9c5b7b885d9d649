//! The history as its users see it: what supervisors write, what verification and the index say.

#![expect(clippy::unwrap_used, clippy::panic, reason = "clippy knows tests, not their helpers")]

mod common;
mod index;
#[cfg(unix)]
mod unix;
mod verify;
mod write;
