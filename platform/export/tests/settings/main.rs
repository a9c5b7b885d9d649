//! Agents' managed settings, written and read back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

mod common;
mod documented;
mod exported;
mod imported;
mod published;
mod stricter;
