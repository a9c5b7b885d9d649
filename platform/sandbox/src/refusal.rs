//! What the kernel refuses by itself, where it tells, and why it does not tell elsewhere.

use std::path::PathBuf;

/// A file or folder that the kernel did not let a session reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileRefusal {
    /// As the session sees it. Where a name was to be made or removed, the folder of that name.
    pub path: PathBuf,
    /// Whether it was to be changed; else to be read, listed or started.
    pub write: bool,
}

/// Why the kernel does not tell here what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreported {
    /// Before Linux 6.15 Landlock writes no audit records.
    #[error("this kernel does not report what it refuses; Linux 6.15 and later do")]
    OldKernel,
    /// The kernel was built without audit, or this is a container.
    #[error("the kernel's audit cannot be reached here")]
    NoAudit,
    /// Only a privileged user reads audit records.
    #[error("the kernel reports what it refuses to a privileged user only (CAP_AUDIT_READ)")]
    NotPermitted,
    /// The machine's audit is off, and to switch it on is for whoever minds the machine.
    #[error("the kernel's audit is switched off on this machine (`auditctl -e 1` switches it on)")]
    SwitchedOff,
}

/// Why the kernel does not tell this user here what it refuses; `None` where it does.
pub fn unreported() -> Option<Unreported> {
    crate::system::Refusals::watch().err()
}
