//! Landlock's rules for one session, straight on the three system calls: they are built in a
//! child between clone and exec, where the crate of that name would allocate.

use super::sys::{self, Errno, Result};
use crate::plan::Access;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The interface's bits (linux/landlock.h), each named with the version that brought it.
const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13; // 2
const TRUNCATE: u64 = 1 << 14; // 3
const IOCTL_DEV: u64 = 1 << 15; // 5

const SCOPE_ABSTRACT_SOCKET: u64 = 1 << 0; // 6
const SCOPE_SIGNAL: u64 = 1 << 1; // 6

/// The version of the interface that can write what it refuses to the audit records (Linux 6.15).
pub(super) const AUDITS: u32 = 7;

/// `LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON`
const LOG_NEW_EXEC: u32 = 1 << 1;

/// Every right that this version of the interface knows.
fn handled(abi: u32) -> u64 {
    let first = EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | REMOVE_DIR | REMOVE_FILE;
    let make = MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM;
    [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)]
        .into_iter()
        .filter(|(since, _)| abi >= *since)
        .fold(first | make, |rights, (_, right)| rights | right)
}

fn rights(access: Access) -> u64 {
    match access {
        Access::Read => EXECUTE | READ_FILE | READ_DIR,
        // No device files are made, and none that lie about are controlled.
        Access::Write => !(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV),
        Access::Device => READ_FILE | WRITE_FILE | READ_DIR | TRUNCATE | IOCTL_DEV,
    }
}

/// The rights that mean something on what is not a folder; the kernel refuses the others there.
const ON_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// One path and what may be done beneath it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) path: CString,
    pub(super) access: Access,
}

/// `struct landlock_ruleset_attr`; older kernels take a longer one whose rest is zero.
#[repr(C)]
struct Attributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// The version of the interface, 0 where there is none.
pub(super) fn abi() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no attributes.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}

/// A set of rules in the making.
#[derive(Debug)]
pub(super) struct Ruleset {
    fd: OwnedFd,
    handled: u64,
}

impl Ruleset {
    /// Refuses every right that version `abi` knows, and from version 6 on signals and abstract
    /// sockets that leave the session.
    pub(super) fn new(abi: u32) -> Result<Self> {
        let attributes = Attributes {
            handled_access_fs: handled(abi),
            handled_access_net: 0,
            scoped: if abi >= 6 { SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL } else { 0 },
        };
        // SAFETY: the structure and its size belong together.
        let fd = sys::check(unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attributes,
                size_of::<Attributes>(),
                0,
            )
        })?;
        // SAFETY: the kernel just returned this descriptor to us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        Ok(Self { fd, handled: attributes.handled_access_fs })
    }

    /// Grants what a rule says. A path that has gone since the plan was made grants nothing.
    pub(super) fn grant(&self, rule: &Rule) -> Result<()> {
        match sys::open(&rule.path, libc::O_PATH) {
            Ok(fd) => self.grant_fd(fd.as_raw_fd(), rule.access),
            Err(Errno(libc::ENOENT | libc::ENOTDIR | libc::EACCES)) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Grants access beneath what this descriptor names.
    pub(super) fn grant_fd(&self, fd: RawFd, access: Access) -> Result<()> {
        let mut allowed = rights(access) & self.handled;
        if !sys::is_dir(&sys::stat(fd)?) {
            allowed &= ON_FILES;
        }
        let beneath = PathBeneath { allowed_access: allowed, parent_fd: fd };
        const RULE_PATH_BENEATH: i32 = 1;
        // SAFETY: the structure is the one that this kind of rule takes.
        sys::check(unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.fd.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const beneath,
                0,
            )
        })
        .map(drop)
    }

    /// Confines this thread by it; `audited` where what it refuses to the programs that this thread
    /// starts is to be in the kernel's audit records.
    pub(super) fn enforce(&self, audited: bool) -> Result<()> {
        restrict(&self.fd, if audited { LOG_NEW_EXEC } else { 0 })
    }
}

impl AsFd for Ruleset {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Confines this thread and all that come from it, for good, by a set of rules that may be another
/// process's. `no_new_privs` must be set.
pub(super) fn enforce(ruleset: &OwnedFd) -> Result<()> {
    restrict(ruleset, 0)
}

fn restrict(ruleset: &OwnedFd, flags: u32) -> Result<()> {
    let fd = ruleset.as_raw_fd();
    // SAFETY: takes two numbers.
    sys::check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, fd, flags) }).map(drop)
}
