//! From a system call that the filter asks about to what the broker carries out: paths are
//! copied from the caller's memory once, and made absolute as the caller sees them.

use super::attributes::{self, Attribute};
use super::broker::{Call, Job};
use super::connect::thread_group;
use super::filter;
use super::image;
use super::notify::{Listener, Question};
use super::sys::{self, Errno, Result};
use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a question asks for; its caller is known to wait still.
pub(super) fn read(listener: &Listener, question: &Question, umasks: &mut Umasks) -> Result<Job> {
    let call = call(question)?;
    let umask = match &call {
        Call::Open { flags, .. } if flags & libc::O_CREAT != 0 => umasks.of(question.tid)?,
        Call::MakeFolder { .. } | Call::MakeNode { .. } => umasks.of(question.tid)?,
        _ => 0,
    };
    // The number of a thread that died may be somebody else's by now.
    if !listener.valid(question) {
        return Err(Errno(libc::ESRCH));
    }
    Ok(Job { question: *question, call, umask })
}

fn call(question: &Question) -> Result<Call> {
    const HERE: u64 = libc::AT_FDCWD as u64;
    let tid = question.tid;
    let [a, b, c, d, e, ..] = question.arguments;
    let path = |folder: u64, address: u64| absolute(tid, folder as i32, address);
    match question.call {
        libc::SYS_openat => open(tid, path(a, b)?, c, d),
        libc::SYS_mkdirat => Ok(Call::MakeFolder { path: path(a, b)?, mode: c as u32 }),
        libc::SYS_mknodat => Ok(Call::MakeNode { path: path(a, b)?, mode: c as u32, device: d }),
        libc::SYS_unlinkat => Ok(Call::Remove { path: path(a, b)?, flags: c as i32 }),
        libc::SYS_renameat => rename(path(a, b)?, path(c, d)?, 0),
        libc::SYS_renameat2 => rename(path(a, b)?, path(c, d)?, e),
        libc::SYS_linkat => link(tid, a, b, path(c, d)?, e as i32),
        libc::SYS_symlinkat => Ok(Call::Symlink { content: string(tid, a)?, at: path(b, c)? }),
        libc::SYS_truncate => Ok(Call::Truncate { path: path(HERE, a)?, length: b as i64 }),
        libc::SYS_inotify_add_watch => watch(tid, a, path(HERE, b)?, c as u32),
        libc::SYS_fchmod => change_file(tid, a, Attribute::Mode(b as u32)),
        libc::SYS_fchmodat => change(tid, a, b, 0, Attribute::Mode(c as u32)),
        filter::SYS_FCHMODAT2 => change(tid, a, b, d, Attribute::Mode(c as u32)),
        libc::SYS_fchown => change_file(tid, a, owner(b, c)),
        libc::SYS_fchownat => change(tid, a, b, e, owner(c, d)),
        libc::SYS_utimensat => {
            let times = Attribute::Times(attributes::times(tid, c)?);
            if b == 0 { change_file(tid, a, times) } else { change(tid, a, b, d, times) }
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod => change(tid, HERE, a, 0, Attribute::Mode(b as u32)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => change(tid, HERE, a, 0, owner(b, c)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => change(tid, HERE, a, libc::AT_SYMLINK_NOFOLLOW as u64, owner(b, c)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => open(tid, path(HERE, a)?, b, c),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
            open(tid, path(HERE, a)?, flags as u64, b)
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => Ok(Call::MakeFolder { path: path(HERE, a)?, mode: b as u32 }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mknod => Ok(Call::MakeNode { path: path(HERE, a)?, mode: b as u32, device: c }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => Ok(Call::Remove { path: path(HERE, a)?, flags: 0 }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rmdir => Ok(Call::Remove { path: path(HERE, a)?, flags: libc::AT_REMOVEDIR }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => rename(path(HERE, a)?, path(HERE, b)?, 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_link => link(tid, HERE, a, path(HERE, b)?, 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => Ok(Call::Symlink { content: string(tid, a)?, at: path(HERE, b)? }),
        // The filter asks about nothing else.
        _ => Err(Errno(libc::EPERM)),
    }
}

fn open(tid: i32, path: PathBuf, flags: u64, mode: u64) -> Result<Call> {
    let flags = flags as i32;
    let mode = mode as u32 & 0o7777;
    match special(tid, &path)? {
        Special::No => Ok(Call::Open { path, flags, mode }),
        Special::Path(path) => Ok(Call::Open { path, flags, mode }),
        Special::File(file) => Ok(Call::Reopen { file, flags }),
    }
}

fn rename(from: PathBuf, to: PathBuf, flags: u64) -> Result<Call> {
    Ok(Call::Rename { from, to, flags: flags as u32 })
}

fn link(tid: i32, folder: u64, address: u64, to: PathBuf, flags: i32) -> Result<Call> {
    if flags & libc::AT_EMPTY_PATH != 0 && string(tid, address)?.is_empty() {
        return Ok(Call::LinkFile { file: descriptor(tid, folder as i32)?, to });
    }
    let from = absolute(tid, folder as i32, address)?;
    let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
    match special(tid, &from)? {
        Special::File(file) if follow => Ok(Call::LinkFile { file, to }),
        _ => Ok(Call::Link { from, to, follow }),
    }
}

fn watch(tid: i32, queue: u64, path: PathBuf, events: u32) -> Result<Call> {
    let queue = descriptor(tid, queue as i32)?;
    match special(tid, &path)? {
        Special::File(file) => Ok(Call::WatchFile { queue, file, events }),
        Special::Path(path) => Ok(Call::Watch { queue, path, events }),
        Special::No => Ok(Call::Watch { queue, path, events }),
    }
}

fn owner(user: u64, group: u64) -> Attribute {
    Attribute::Owner { user: user as u32, group: group as u32 }
}

fn change_file(tid: i32, number: u64, attribute: Attribute) -> Result<Call> {
    Ok(Call::ChangeFile { file: descriptor(tid, number as i32)?, attribute })
}

fn change(tid: i32, folder: u64, address: u64, flags: u64, attribute: Attribute) -> Result<Call> {
    let flags = flags as i32;
    if flags & libc::AT_EMPTY_PATH != 0 && string(tid, address)?.is_empty() {
        return change_file(tid, folder, attribute);
    }
    let path = absolute(tid, folder as i32, address)?;
    let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
    match special(tid, &path)? {
        Special::File(file) if follow => Ok(Call::ChangeFile { file, attribute }),
        Special::Path(path) => Ok(Call::Change { path, follow, attribute }),
        _ => Ok(Call::Change { path, follow, attribute }),
    }
}

/// The same call after its path led somewhere that means something else to each process.
pub(super) fn elsewhere(job: Job, path: &Path) -> Result<Job> {
    let Call::Open { flags, mode, .. } = job.call else { return Err(Errno(libc::EACCES)) };
    let call = match special(job.question.tid, path)? {
        Special::File(file) => Call::Reopen { file, flags },
        Special::Path(path) => Call::Open { path, flags, mode },
        // Nothing under /proc is written, and nothing is made there.
        Special::No => return Err(Errno(libc::EACCES)),
    };
    Ok(Job { call, ..job })
}

/// A path that means something else to each process.
enum Special {
    No,
    Path(PathBuf),
    File(Arc<OwnedFd>),
}

fn special(tid: i32, path: &Path) -> Result<Special> {
    let Some(text) = path.to_str() else { return Ok(Special::No) };
    if text == "/dev/tty" {
        return Ok(Special::Path(terminal(tid)?));
    }
    let number = match text {
        "/dev/stdin" => Some(0),
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        _ => ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"]
            .iter()
            .find_map(|folder| text.strip_prefix(folder)?.parse().ok()),
    };
    match number {
        Some(number) => Ok(Special::File(descriptor(tid, number)?)),
        None => Ok(Special::No),
    }
}

fn descriptor(tid: i32, number: i32) -> Result<Arc<OwnedFd>> {
    let process = sys::pidfd_open(thread_group(tid)?)?;
    Ok(Arc::new(sys::pidfd_getfd(&process, number)?))
}

/// The controlling terminal of a process, by its name.
fn terminal(tid: i32) -> Result<PathBuf> {
    // proc_pid_stat(5): the seventh field is the device number of the terminal.
    let device: u32 = super::proc::stat_field::<i32>(tid, 4).ok_or(Errno(libc::ENXIO))? as u32;
    let (major, minor) = (libc::major(device.into()), libc::minor(device.into()));
    /// The devices of devpts (Documentation/admin-guide/devices.txt).
    const SLAVES: std::ops::RangeInclusive<u32> = 136..=143;
    if !SLAVES.contains(&major) {
        return Err(Errno(libc::ENXIO));
    }
    Ok(format!("/dev/pts/{}", (major - SLAVES.start()) * 256 + minor).into())
}

/// A path of the caller, made absolute by its working directory or by a folder that it holds.
fn absolute(tid: i32, folder: i32, address: u64) -> Result<PathBuf> {
    let text = string(tid, address)?.into_bytes();
    if text.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    let path = PathBuf::from(OsString::from_vec(text));
    if let Some((number, rest)) = beneath_descriptor(&path) {
        let rest = rest.to_owned();
        let held =
            fs::read_link(format!("/proc/{tid}/fd/{number}")).map_err(|_| Errno(libc::ENOENT))?;
        // A pipe or a socket has nothing beneath.
        return if held.is_absolute() { Ok(held.join(rest)) } else { Err(Errno(libc::ENOTDIR)) };
    }
    if path.is_absolute() {
        return Ok(path);
    }
    let (base, missing) = match folder {
        libc::AT_FDCWD => (format!("/proc/{tid}/cwd"), libc::ENOENT),
        fd => (format!("/proc/{tid}/fd/{fd}"), libc::EBADF),
    };
    let base = fs::read_link(base).map_err(|_| Errno(missing))?;
    if !base.is_absolute() {
        // A pipe or a socket.
        return Err(Errno(libc::ENOTDIR));
    }
    Ok(base.join(path))
}

/// `/proc/self/fd/7/name` is a name in a folder that the caller holds, written so by programs
/// (Bun among them) that would otherwise be led elsewhere by a link.
fn beneath_descriptor(path: &Path) -> Option<(u32, &Path)> {
    let folders = ["/proc/self/fd", "/proc/thread-self/fd", "/dev/fd"];
    let rest = folders.iter().find_map(|folder| path.strip_prefix(folder).ok())?;
    let mut parts = rest.components();
    let number = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    let rest = parts.as_path();
    (!rest.as_os_str().is_empty()).then_some((number, rest))
}

/// A string of the caller's memory, of at most `PATH_MAX` with its end. Most are short and lie on one
/// page: each page that is read has to be found and held.
fn string(tid: i32, address: u64) -> Result<CString> {
    let mut bytes = [0u8; libc::PATH_MAX as usize];
    let mut got = 0;
    while got < bytes.len() {
        let at = address.wrapping_add(got as u64);
        let on_page = PAGE - at as usize % PAGE;
        let end = bytes.len().min(got + on_page);
        let read = image::read_memory(tid, at, &mut bytes[got..end])?;
        if let Some(end) = bytes[got..got + read].iter().position(|byte| *byte == 0) {
            return CString::new(&bytes[..got + end]).map_err(|_| Errno(libc::EINVAL));
        }
        got += read;
        if got < end {
            return Err(Errno(libc::EFAULT));
        }
    }
    Err(Errno(libc::ENAMETOOLONG))
}

/// No machine's pages are smaller.
const PAGE: usize = 4096;

/// What threads take away from modes: what the session began with, until one of them changes its
/// own; from then on known for a moment. Writing out a process's status is the dearest part of
/// carrying out a call, and programs make many files at once.
#[derive(Debug)]
pub(super) struct Umasks {
    /// Everybody's, as long as nobody has changed it.
    first: Option<u32>,
    changed: bool,
    known: HashMap<i32, u32>,
    /// Nothing that is known holds longer than this.
    until: Instant,
    /// Until then nothing is kept: a change is under way.
    unsure: Instant,
}

/// Too short for a thread's number to come round again.
const MOMENT: Duration = Duration::from_millis(50);

impl Umasks {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { first: None, changed: false, known: HashMap::new(), until: now, unsure: now }
    }

    /// Somebody is about to change its own to this, at some moment after this.
    pub(super) fn change(&mut self, tid: i32, to: u32) {
        if !self.changed && self.first.is_none() {
            self.first = umask(tid).ok();
        }
        // The kernel takes no more than these bits (umask(2)).
        self.changed |= self.first != Some(to & 0o777);
        if self.changed {
            self.known.clear();
            self.unsure = Instant::now() + MOMENT;
        }
    }

    fn of(&mut self, tid: i32) -> Result<u32> {
        if !self.changed {
            return match self.first {
                Some(first) => Ok(first),
                None => Ok(*self.first.insert(umask(tid)?)),
            };
        }
        let now = Instant::now();
        if now >= self.until {
            self.known.clear();
            self.until = now + MOMENT;
        } else if let Some(umask) = self.known.get(&tid) {
            return Ok(*umask);
        }
        let umask = umask(tid)?;
        if now >= self.unsure {
            self.known.insert(tid, umask);
        }
        Ok(umask)
    }
}

/// What a process takes away from modes: the second line of its status (Linux 4.7).
fn umask(tid: i32) -> Result<u32> {
    let path = CString::new(format!("/proc/{tid}/status")).map_err(|_| Errno(libc::EINVAL))?;
    let status = sys::open(&path, libc::O_RDONLY)?;
    let mut bytes = [0u8; 256];
    let got = sys::read(status.as_fd(), &mut bytes)?;
    bytes[..got]
        .split(|byte| *byte == b'\n')
        .find_map(|line| std::str::from_utf8(line.strip_prefix(b"Umask:")?).ok())
        .and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
        .ok_or(Errno(libc::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beneath_a_held_folder_is_told_from_other_paths() {
        let told = |path: &str| {
            beneath_descriptor(Path::new(path)).map(|(number, rest)| (number, rest.to_owned()))
        };
        assert_eq!(told("/proc/self/fd/14/a/b"), Some((14, "a/b".into())));
        assert_eq!(told("/dev/fd/3/x"), Some((3, "x".into())));
        for other in ["/proc/self/fd/14", "/proc/self/fd/x/y", "/proc/1/fd/3/x", "/w/fd/3/x"] {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
