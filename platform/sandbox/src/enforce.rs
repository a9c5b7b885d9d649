//! What a supervisor and the enforcement of its session say to each other.
//!
//! The words are the same on every operating system; the enforcement itself sits in `linux` (and
//! in `unsupported` where there is none yet).

use chaperone_policy::{Command, Process};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(unix)]
pub use std::os::fd::OwnedFd as Descriptor;
#[cfg(windows)]
pub use std::os::windows::io::OwnedHandle as Descriptor;

/// The size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// Where one of the agent's three standard streams leads.
#[derive(Debug)]
pub enum Stream {
    /// The session's own terminal.
    Terminal,
    /// This descriptor, which must not be a terminal: an agent never holds the user's own.
    To(Descriptor),
}

/// The agent's standard streams.
#[derive(Debug)]
pub struct Stdio {
    /// The session gets a terminal of its own, of this size.
    pub terminal: Option<TerminalSize>,
    /// Standard input.
    pub stdin: Stream,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
}

/// One thing that waits for an answer, unique within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u64);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a [`Judge`] says about an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It goes ahead.
    Allow,
    /// It does not happen; a program that was about to start writes this message to its own
    /// standard error and ends with status 126.
    Deny {
        /// Words that the agent can act on. A line feed is added.
        message: String,
    },
    /// It stays where it is until [`Control::answer`](crate::Control::answer).
    Wait,
}

/// The process of a session that holds one end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// From the agent's main process down to it; of each the first argument.
    pub chain: Vec<String>,
    /// The command line below the agent that it belongs to, as it stands in its memory.
    pub command: Vec<String>,
    /// The process of that command; `None`: it has exited.
    pub process: Option<Process>,
    /// It says of itself that it is a script of a package that is being installed.
    pub is_install_script: bool,
}

impl Holder {
    /// The command as a history tells it: of the agent itself its name alone, since its command line
    /// holds what it is told of the session.
    pub fn told(&self) -> &[String] {
        if self.chain.len() == 1 { &self.chain } else { &self.command }
    }
}

/// A process above the one that acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// As the supervisor sees it.
    pub pid: i32,
    /// Its first argument as it stands in its memory: the process may have rewritten it.
    pub argv0: String,
}

/// A program that has been loaded and has not run an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedExec {
    /// As the supervisor sees it.
    pub pid: i32,
    /// What the kernel has copied: nothing in the session can change it any more.
    pub command: Command,
}

impl ObservedExec {
    /// The processes above this one, nearest first, up to the session's first program. Read from
    /// `/proc` when asked, for people to see; nothing is decided by it.
    pub fn ancestors(&self) -> Vec<Ancestor> {
        crate::system::ancestors(self.pid)
    }
}

/// What a process tried to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Address(SocketAddr),
    /// A socket file, as the process sees it.
    Socket(PathBuf),
    /// A socket with an abstract name, without its leading NUL.
    Abstract(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// Who decides during a session, and hears what happened. All calls come from the tracing thread,
/// which does nothing else meanwhile: be quick, and let what takes long be a [`Answer::Wait`].
pub trait Judge {
    /// A program is about to start.
    fn exec(&mut self, id: ActionId, exec: &ObservedExec) -> Answer;

    /// A program was ended because what it would run could not be examined; why, in words.
    fn unreadable(&mut self, pid: i32, reason: &str);

    /// A write to a guarded path was refused.
    fn write(&mut self, pid: i32, path: &Path);

    /// A name that no grant covers was not made, changed or removed. Only where the plan says
    /// [`tells_refusals`](crate::Plan::tells_refusals), and only of calls that are carried out on the
    /// session's behalf.
    fn refused(&mut self, _pid: i32, _path: &Path) {}

    /// A connection was refused.
    fn connect(&mut self, pid: i32, target: &Target);

    /// The process that waits for this answer was interrupted or died; no answer is needed.
    fn withdrawn(&mut self, id: ActionId);

    /// Something was made that git takes orders from: `.git`, a folder or a file, the `HEAD` of what may
    /// be a repository without one, or the folder of a rebase that is under way (`rebase-merge`,
    /// `rebase-apply`). Only of a plan that guards names.
    fn repository(&mut self, _path: &Path) {}

    /// Something was renamed since, which may hold such a thing, or the two have `exchanged` places.
    fn moved(&mut self, _from: &Path, _to: &Path, _exchanged: bool) {}

    /// The agent was stopped from its terminal (Ctrl-Z) and waits for
    /// [`Control::resume`](crate::Control::resume).
    fn stopped(&mut self);

    /// The session uses more than its limits. It is being ended.
    fn exceeded(&mut self, excess: &Excess);

    /// The kernel does not tell of everything that is denied and appears while the session runs, so
    /// that it is looked for about once a second, and covered that much later.
    fn unwatched(&mut self, _error: &std::io::Error) {}

    /// Something that is denied appeared, and is covered now.
    fn covered(&mut self, _path: &Path) {}

    /// Something that is denied appeared, and could not be covered. The session is being ended.
    fn uncovered(&mut self, _path: &Path, _error: &std::io::Error) {}

    /// The agent's main process has ended. What is left of the session is being ended.
    fn ended(&mut self);
}

/// More than a session may use of its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// As many processes and threads as it may have, the session's first process among them.
    Processes {
        /// `limits.processes`.
        most: u64,
    },
    /// Memory, in bytes.
    Memory {
        /// What all its processes have together; `most` where the kernel gave no more.
        used: u64,
        /// `limits.memory`.
        most: u64,
    },
    /// Time on processors.
    CpuTime {
        /// What all its processes have taken together.
        used: Duration,
        /// `limits.cpu_time`.
        most: Duration,
    },
    /// Time since its start.
    WallTime {
        /// `limits.wall_time`.
        most: Duration,
    },
}

impl Excess {
    /// The key of the policy.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Processes { .. } => "limits.processes",
            Self::Memory { .. } => "limits.memory",
            Self::CpuTime { .. } => "limits.cpu_time",
            Self::WallTime { .. } => "limits.wall_time",
        }
    }
}

/// What there was, and what may be, as one sentence without its end.
impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes / (1 << 20);
        let seconds = |time: &Duration| time.as_secs();
        match self {
            Self::Processes { most } => {
                write!(f, "it had all of the {most} processes and threads that it may have")
            }
            // What the kernel holds is never more.
            Self::Memory { used, most } if used <= most => {
                let most = mib(*most);
                write!(
                    f,
                    "it had all of the {most} MiB of memory that it may have, and wanted more"
                )
            }
            Self::Memory { used, most } => {
                write!(f, "it had {} MiB of memory, and may have {} MiB", mib(*used), mib(*most))
            }
            Self::CpuTime { used, most } => write!(
                f,
                "it had taken {} s of processor time, and may take {} s",
                seconds(used),
                seconds(most)
            ),
            Self::WallTime { most } => {
                write!(f, "it had lasted the {} s that it may last", seconds(most))
            }
        }
    }
}

/// How the agent's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status. 127: the command was not found; 126: it was denied or cannot be executed.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A process that the agent left behind and that was ended with the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    /// As the supervisor saw it.
    pub pid: i32,
    /// Its first argument as it stood in its memory.
    pub argv0: String,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the agent's main process ended.
    pub exit: Exit,
    /// What it left behind, all of it ended.
    pub ended: Vec<LeftOver>,
}

/// One step of setting a session up, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(i32)]
pub enum Stage {
    /// A process in namespaces of its own.
    Namespaces,
    /// The same user and group ids inside as outside.
    Identity,
    /// Mounts that only this session sees.
    Mounts,
    /// `/proc` of its own.
    Processes,
    /// Terminals of its own.
    Terminals,
    /// A loopback network of its own.
    Network,
    /// Paths of the plan, mounted as it says.
    Paths,
    /// Sockets that relay to outside.
    Relays,
    /// The agent's own process: its streams, groups and limits.
    Process,
    /// Landlock's rules.
    Landlock,
    /// The filter of system calls and its listener.
    Seccomp,
    /// The broker for guarded paths.
    Broker,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Identity => "the identity inside the user namespace",
            Self::Mounts => "private mounts",
            Self::Processes => "a private /proc",
            Self::Terminals => "private terminals",
            Self::Network => "a private network",
            Self::Paths => "the plan's paths",
            Self::Relays => "relay sockets",
            Self::Process => "the agent's process",
            Self::Landlock => "Landlock",
            Self::Seccomp => "seccomp",
            Self::Broker => "the broker for guarded paths",
        })
    }
}

/// Why a session could not be set up. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The machine does not do this: probe it, make a new plan for what it does, and try again.
    #[error("this machine does not give {stage}: {}", std::io::Error::from_raw_os_error(*errno))]
    Capability {
        /// What failed.
        stage: Stage,
        /// The system's error number.
        errno: i32,
    },
    /// Something that the plan or the caller named cannot be set up as said.
    #[error("{what}: {source} (while setting up {stage})")]
    Setup {
        /// What failed.
        stage: Stage,
        /// The path or name concerned.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The plan, the command or the streams make no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no enforcement for this operating system.
    #[error("Chaperone cannot govern agents on this operating system yet: {0}")]
    Unsupported(String),
}

/// Why watching over a session failed. Everything in it has been ended.
#[derive(Debug, thiserror::Error)]
#[error("the session was ended because {what}: {source}")]
pub struct TraceError {
    /// What failed.
    pub what: &'static str,
    /// The system's error.
    pub source: std::io::Error,
}
