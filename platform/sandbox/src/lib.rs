//! From a policy to a plan, and from a plan to what the kernel enforces.
//!
//! The plan is plain data and can be computed for any machine on any machine; enforcement sits in
//! a module per operating system.

mod plan;

pub use plan::{Access, Limits, Loss, Network, PathGrant, Plan, Relay, Tier};
