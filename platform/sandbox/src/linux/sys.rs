//! The system calls that setting up and tracing need, each as a thin safe function.
//!
//! Most of them run in a child between clone and exec, so none allocates. No policy here.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A system error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

pub(super) type Result<T> = std::result::Result<T, Errno>;

/// The error of the call that just failed.
pub(super) fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Turns the result of a libc call into ours.
pub(super) fn check<T: PartialOrd + Default>(result: T) -> Result<T> {
    if result < T::default() { Err(last()) } else { Ok(result) }
}

fn owned(result: libc::c_long) -> Result<OwnedFd> {
    let fd = RawFd::try_from(check(result)?).map_err(|_| Errno(libc::EBADF))?;
    // SAFETY: the kernel just returned this descriptor to us, and nobody else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Forks without running a line of libc's fork handlers, into new namespaces. 0 in the child.
///
/// Only what does not depend on other threads may be used in the child.
pub(super) fn clone_process(namespaces: i32) -> Result<i32> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no stack given this is fork(2); the four other arguments
    // are not read with these flags, so their order, which differs by architecture, is no matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    check(pid).map(|pid| pid as i32)
}

/// The same into a control group (Linux 5.7), with no namespaces: to move there afterwards would take
/// the kernel until every processor has been idle once.
pub(super) fn clone_into(group: BorrowedFd<'_>) -> Result<i32> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33; // linux/sched.h
    // SAFETY: all zeroes is valid for this structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = group.as_raw_fd() as u64;
    let (at, size) = (&raw const arguments, size_of_val(&arguments));
    // SAFETY: without CLONE_VM and with no stack given this is fork(2); the kernel only reads the
    // structure, and its size is its own.
    check(unsafe { libc::syscall(libc::SYS_clone3, at, size) }).map(|pid| pid as i32)
}

/// Ends this process without unwinding or running exit handlers.
pub(super) fn exit(status: i32) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(status) }
}

pub(super) fn prctl(option: i32, a: u64, b: u64) -> Result<i32> {
    // SAFETY: callers pass only options whose arguments are numbers.
    check(unsafe { libc::prctl(option, a, b, 0u64, 0u64) })
}

pub(super) fn open(path: &CStr, flags: i32) -> Result<OwnedFd> {
    open_at(libc::AT_FDCWD, path, flags, 0)
}

pub(super) fn open_at(dir: RawFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: `path` ends with NUL and the kernel only reads it.
    let fd = unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode) };
    owned(fd.into())
}

/// Writes all of `bytes` in one call, as the files of `/proc` want it.
pub(super) fn write_file(path: &CStr, bytes: &[u8]) -> Result<()> {
    let file = open(path, libc::O_WRONLY)?;
    write(file.as_raw_fd(), bytes)
}

pub(super) fn write(fd: RawFd, bytes: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are of one slice.
    check(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }).map(drop)
}

/// Reads once.
pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: pointer and length are of one slice.
        let got = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check(got) {
            Err(Errno(libc::EINTR)) => {}
            other => return other.map(|got| got as usize),
        }
    }
}

/// The reading and the writing end.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array holds the two descriptors that the kernel stores.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both are new and ours alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Sets what the calling thread takes away from modes; what it was. The threads that do this share
/// it with no other (`CLONE_FS`).
pub(super) fn set_umask(umask: u32) -> u32 {
    // SAFETY: takes a number and cannot fail.
    unsafe { libc::umask(umask) }
}

pub(super) fn unshare(namespaces: i32) -> Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::unshare(namespaces) }).map(drop)
}

/// The process that asks.
pub(super) fn pid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

pub(super) fn mkdir(dir: RawFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` ends with NUL.
    check(unsafe { libc::mkdirat(dir, path.as_ptr(), mode) }).map(drop)
}

/// Device, inode, mode and owner of what a path or descriptor names.
pub(super) fn stat(fd: RawFd) -> Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::uninit();
    // SAFETY: fstat fills the structure when it succeeds.
    check(unsafe { libc::fstat(fd, stat.as_mut_ptr()) })?;
    // SAFETY: it succeeded.
    Ok(unsafe { stat.assume_init() })
}

pub(super) fn is_dir(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// Mounts a new file system of this kind.
pub(super) fn mount(kind: &CStr, target: &CStr, flags: u64, options: &CStr) -> Result<()> {
    // SAFETY: all four strings end with NUL and are only read.
    check(unsafe {
        libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    })
    .map(drop)
}

/// Keeps mounts made from here on inside this namespace.
pub(super) fn make_private() -> Result<()> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: only the target, which ends with NUL, is read with these flags.
    check(unsafe {
        libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null())
    })
    .map(drop)
}

/// A copy of the mounts at `path` and below, not yet attached anywhere.
pub(super) fn copy_mounts(path: &CStr) -> Result<OwnedFd> {
    copy_mounts_at(libc::AT_FDCWD, path)
}

/// The same, of a path that begins in a folder.
pub(super) fn copy_mounts_at(folder: RawFd, path: &CStr) -> Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
    // SAFETY: `path` ends with NUL.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, folder, path.as_ptr(), flags) })
}

/// Whether the last component of a mount's target may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    Links,
    Nothing,
}

/// Attaches what [`copy_mounts`] returned.
pub(super) fn attach(tree: &OwnedFd, target: &CStr, follow: Follow) -> Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH
        | if follow == Follow::Links { libc::MOVE_MOUNT_T_SYMLINKS } else { 0 };
    // SAFETY: both paths end with NUL.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Makes a tree read-only, keeping every flag that is locked on its mounts.
pub(super) fn make_read_only(tree: &OwnedFd) -> Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the structure and its size belong together.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

pub(super) fn unmount(path: &CStr) -> Result<()> {
    // SAFETY: `path` ends with NUL.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Closes every descriptor from 3 up but these.
pub(super) fn close_all_but(kept: &mut [RawFd]) {
    kept.sort_unstable();
    let mut from = 3;
    for fd in kept.iter().copied().filter(|fd| *fd >= 3) {
        if fd > from {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, RawFd::MAX);
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: closing is all it does; nothing in a child that is about to exec or to loop uses
    // what it closes. The kernels that have Landlock have it too (5.9).
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

pub(super) fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: takes two numbers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// What `waitpid` saw: the process and its status as `wait(2)` packs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waited {
    pub(super) pid: i32,
    pub(super) status: i32,
}

/// Nothing to report now is `Ok(None)`.
pub(super) fn wait(pid: i32, options: i32) -> Result<Option<Waited>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        match check(unsafe { libc::waitpid(pid, &raw mut status, options) }) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some(Waited { pid, status })),
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Waits until one of these is ready; which, is in their `revents`.
pub(super) fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> Result<()> {
    // SAFETY: pointer and length are of one slice.
    match check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) }) {
        Ok(_) | Err(Errno(libc::EINTR)) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Stands for no descriptor: poll passes it over.
pub(super) const NOTHING: libc::pollfd = libc::pollfd { fd: -1, events: 0, revents: 0 };

pub(super) fn readable(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// A file that is nowhere but in memory.
pub(super) fn memory_file(name: &CStr) -> Result<OwnedFd> {
    // SAFETY: the name ends with NUL.
    let make = |flags| owned(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into());
    // Some machines want it said that nobody executes it (`vm.memfd_noexec`, Linux 6.3).
    match make(libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL) {
        Err(Errno(libc::EINVAL)) => make(libc::MFD_CLOEXEC),
        made => made,
    }
}

/// A counter that wakes a poll.
pub(super) fn event_fd() -> Result<OwnedFd> {
    // SAFETY: takes two numbers.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.into())
}

pub(super) fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: takes two numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// A copy of a descriptor of another process.
pub(super) fn pidfd_getfd(process: &OwnedFd, fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: takes three numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

/// A thread's set of blocked signals, put back when dropped.
pub(super) struct BlockedSignals(libc::sigset_t);

/// Blocks every signal in this thread. A child cloned meanwhile starts with all of them blocked.
pub(super) fn block_signals() -> BlockedSignals {
    // SAFETY: both sets are filled before they are read.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        BlockedSignals(before)
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that the kernel gave.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Every signal back to what it does by default, and none blocked.
pub(super) fn reset_signals() {
    // SAFETY: the dispositions are set by number; those that cannot be set (KILL, STOP and the
    // two that libc keeps) fail, which is right.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A descriptor that is readable when a child has changed; SIGCHLD must be blocked.
pub(super) fn child_signals() -> Result<OwnedFd> {
    // SAFETY: the set is emptied before use.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        owned(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())
    }
}

/// Empties an eventfd or signalfd.
pub(super) fn drain(fd: BorrowedFd<'_>) {
    let mut buffer = [0u8; 1024];
    // SAFETY: pointer and length are of one array; the descriptor does not block.
    while unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } > 0 {}
}

/// Lets this thread, and those that it starts, run only where nobody else would (`SCHED_IDLE`, sched(7)).
pub(super) fn give_way() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are only read. Where it is refused, the thread runs as others do.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) };
}

pub(super) fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the structure is only read.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

/// Sets both limits to this value, where they are not lower already.
pub(super) fn lower_limit(resource: libc::__rlimit_resource_t, value: u64) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is filled, then only read.
    unsafe {
        check(libc::getrlimit(resource, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_cur.min(value);
        limit.rlim_max = limit.rlim_max.min(value);
        check(libc::setrlimit(resource, &raw const limit)).map(drop)
    }
}

/// Whether the kernel says that it is of this version or a later one.
pub(super) fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    // SAFETY: all zeroes is valid for this structure, and uname fills it.
    let name = unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        if libc::uname(&raw mut name) != 0 {
            return false;
        }
        name
    };
    let mut numbers = [0u32; 2];
    let mut at = 0;
    for byte in name.release.map(|byte| byte as u8) {
        match (byte, numbers.get_mut(at)) {
            (b'0'..=b'9', Some(number)) => {
                *number = number.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
            }
            (b'.', Some(_)) => at += 1,
            _ => break,
        }
    }
    numbers >= [major, minor]
}
