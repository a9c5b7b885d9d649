//! From a policy to a plan, and from a plan to what the kernel enforces.
//!
//! The plan is plain data and can be computed for any machine on any machine; enforcement sits in
//! a module per operating system.

mod machine;
mod plan;

pub use machine::{Capability, Machine, Status};
pub use plan::{
    Access, AgentAccess, Disk, Entry, Kind, Limits, Loss, MapDisk, Network, PROTECTED, PathGrant,
    Plan, PlanInput, Protected, Reach, RealDisk, Refusal, Relay, Tier, plan,
};
