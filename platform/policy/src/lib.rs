//! Policy as pure data and functions: what layers say, how they combine, and what they decide.
//!
//! Nothing here reads a file, a clock or the network; facts come in as arguments.

mod action;
mod decision;
mod origin;

pub use action::{Action, Command};
pub use decision::{Decision, Verdict};
pub use origin::{Class, Origin, SourceKind};
