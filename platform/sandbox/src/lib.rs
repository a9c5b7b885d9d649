//! From a policy to a plan, and from a plan to what the kernel enforces.
//!
//! The plan is plain data and can be computed for any machine on any machine; enforcement sits in
//! a module per operating system.

mod carried;
mod enforce;
#[cfg(target_os = "linux")]
mod linux;
mod machine;
mod plan;
mod refusal;
#[cfg(not(target_os = "linux"))]
mod unsupported;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use unsupported as system;

pub use carried::{Carried, Names, Refuses};
pub use enforce::{
    ActionId, Ancestor, Answer, Descriptor, Excess, Exit, Holder, Judge, LaunchError, LeftOver,
    ObservedExec, Outcome, Stage, Stdio, Stream, Target, TerminalSize, TraceError,
};
pub use machine::{Capability, Machine, Status};
pub use plan::{
    Access, AgentAccess, Denied, Disk, Entry, GuardedBut, Kind, Limits, Loss, MapDisk, Network,
    Next, Outside, PROTECTED, PathGrant, Plan, PlanInput, Protected, Reach, RealDisk, Refusal,
    Relay, Seen, Tier, listed, plan, refused_network,
};
pub use refusal::{FileRefusal, Unreported, unreported};
pub use system::{
    Ahead, Control, Refusals, Session, Starting, ahead, argv0, assume, launch, probe, started,
};
