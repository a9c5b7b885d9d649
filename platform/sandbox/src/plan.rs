//! The plan: the concrete restrictions for one session, as plain data, and how it is computed
//! from a policy, a machine and a disk.

mod carve;
mod compute;
mod disk;
mod environment;
mod files;
mod git;
mod gitconfig;
mod known;
pub(crate) mod network;
mod protected;
mod reach;
mod refusal;
pub(crate) mod system;
pub(crate) mod walk;

#[cfg(test)]
mod tests;

pub use compute::{AgentAccess, PlanInput, plan};
pub use disk::{Disk, Entry, Kind, MapDisk, Next, RealDisk, Seen};
pub use network::refused_network;
pub use protected::{PROTECTED, Protected, listed};
pub use reach::Reach;
pub use refusal::Refusal;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

/// How strong the sandbox on this machine can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing that Chaperone would call a sandbox: no session starts.
    None,
    /// Landlock and seccomp, mediated where Landlock cannot say it.
    Reduced,
    /// Landlock, seccomp and namespaces.
    Full,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Reduced => "reduced",
            Self::Full => "full",
        })
    }
}

/// What may be done beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read, list and execute.
    Read,
    /// Everything that `Read` gives, and create, change and remove.
    Write,
    /// Read and write existing device files; nothing is created.
    Device,
}

/// One path that the agent may reach. What no grant covers is refused by Landlock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathGrant {
    /// Absolute, without symbolic links; exists when the plan is made.
    pub path: PathBuf,
    /// What may be done beneath it.
    pub access: Access,
}

/// A `host:port` outside that appears on loopback inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Dialled by the supervisor: a name or an IP literal.
    pub host: String,
    /// Dialled by the supervisor.
    pub port: u16,
    /// Where the agent finds it inside, in the full tier: the same loopback address and port if
    /// the target is itself on loopback, else an address of its own in 127.64.0.0/10 to which
    /// the session's `/etc/hosts` maps the name.
    pub listen: SocketAddrV4,
}

impl Relay {
    /// Whether the target is itself on loopback, and so found at the same address inside.
    pub fn is_of_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// A glob that is guarded with exceptions. All are globs over absolute paths, and each covers
/// everything beneath what it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GuardedBut {
    /// What is guarded.
    pub glob: String,
    /// What of it is not.
    pub but: Vec<String>,
}

/// What is denied within a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Denied {
    #[serde(flatten)]
    pub what: GuardedBut,
    /// Only the built-in defaults name it: folders that nobody edits are not searched for it.
    pub by_default: bool,
}

/// What the session can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "mode")]
pub enum Network {
    /// Nothing but these relays.
    None {
        /// In the policy's order.
        relays: Vec<Relay>,
    },
    /// The session's proxy, which judges each host, and these relays for what does not use it.
    Proxy {
        /// In the policy's order.
        relays: Vec<Relay>,
        /// Where the agent finds the proxy: in the full tier an address of the session's own
        /// loopback, in the reduced tier one of the machine's, where the supervisor listens.
        listen: SocketAddrV4,
        /// Where what connects to an address that stands for a name arrives, beside the proxy.
        carried: SocketAddrV4,
    },
    /// The machine's own network, unmediated.
    Direct,
}

impl Network {
    /// What appears on loopback inside.
    pub fn relays(&self) -> &[Relay] {
        match self {
            Self::None { relays } | Self::Proxy { relays, .. } => relays,
            Self::Direct => &[],
        }
    }

    /// Where what connects to an address that stands for a name arrives, if there is a proxy.
    pub(crate) fn carried(&self) -> Option<SocketAddrV4> {
        match self {
            Self::Proxy { carried, .. } => Some(*carried),
            Self::None { .. } | Self::Direct => None,
        }
    }

    /// Where the agent finds the session's proxy, if there is one.
    pub fn proxy(&self) -> Option<SocketAddrV4> {
        match self {
            Self::Proxy { listen, .. } => Some(*listen),
            Self::None { .. } | Self::Direct => None,
        }
    }
}

/// Where the supervisor listens on the machine's loopback, for a session that has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside {
    /// For its proxy.
    pub proxy: SocketAddrV4,
    /// For what connects to an address that stands for a name.
    pub carried: SocketAddrV4,
}

/// Bounds on what a session may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Time on processors, of all processes together.
    pub cpu_time: Option<Duration>,
    /// From start to end.
    pub wall_time: Option<Duration>,
}

/// Something that this machine's tier does not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// A stable identifier in kebab case, such as `secrets-in-workspace`.
    pub id: String,
    /// What is lost, in plain words.
    pub detail: String,
    /// How to get it.
    pub fix: String,
}

/// The restrictions for one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it is enforced with.
    pub tier: Tier,
    /// The version of Landlock's interface that it is enforced with, and that the losses are told
    /// for. The kernel may have a later one, and must not have an earlier one.
    pub landlock_abi: u32,
    /// The folder that the session works in; the agent starts there.
    pub workspace: PathBuf,
    /// What may be reached. Everything else is refused.
    pub grants: Vec<PathGrant>,
    /// Existing paths inside a grant that are neither read nor written: covered by an empty,
    /// unreadable mount in the full tier.
    pub hidden: Vec<PathBuf>,
    /// Existing paths inside a writable grant that are not written: mounted read-only, with every
    /// ancestor below the grant a mount point of its own, in the full tier.
    pub read_only: Vec<PathBuf>,
    /// Paths inside a writable grant that are not created, written, renamed or linked, whether
    /// they exist or not (exact absolute paths, or globs over absolute paths such as
    /// `/w/**/.envrc`): mediated. Each covers everything beneath what it names, and the folders
    /// above an exact one are not renamed or removed either.
    pub guarded: Vec<String>,
    /// Globs that are guarded in the same way, but for what their exceptions cover.
    pub guarded_but: Vec<GuardedBut>,
    /// What is denied within a grant: covered, too, where it appears while the session runs, in the
    /// full tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// Existing paths within folders that are denied, which are seen: what else lies in those folders
    /// is hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<PathBuf>,
    /// Folders with a `.git` that were there before, and whose hooks and settings the session may
    /// change: its end says where it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<PathBuf>,
    /// A private folder on disk; `/tmp` and `/var/tmp` inside in the full tier, `TMPDIR` in both.
    pub temp: PathBuf,
    /// Socket files inside a grant that the session may connect to: the supervisor's own, and those of
    /// other programs that the policy names. They are known by what they are when the session starts,
    /// not by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<PathBuf>,
    /// What can be reached over the network.
    pub network: Network,
    /// The agent's whole environment.
    pub environment: BTreeMap<String, String>,
    /// Bounds on its use of the machine.
    pub limits: Limits,
    /// What this tier does not give, for `doctor` and the session's first event.
    pub losses: Vec<Loss>,
    /// Refusals of files are told as far as they can be: the broker's to [`crate::Judge::refused`],
    /// Landlock's in the kernel's audit records. No call is intercepted for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_refusals: bool,
}

impl Plan {
    /// Whether the session has a network of its own, with a loopback that is not the machine's.
    pub fn has_own_network(&self) -> bool {
        self.tier == Tier::Full && self.network != Network::Direct
    }
}
