//! Whole sessions against the real kernel: what gets out, what is judged, how it ends.
//!
//! Each attempt is first made outside, where it must succeed, and then inside, where it must
//! fail. Attempts that are system calls are made by this same executable: started with
//! `CHAPERONE_ATTEMPT` set, it makes that attempt and nothing else (see `attempt`).

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests, and attempts report on their standard output"
)]

mod attempt;
mod commands;
mod ends;
mod files;
mod git;
mod guarded;
mod limits;
mod network;
mod processes;
mod terminal;
mod world;
