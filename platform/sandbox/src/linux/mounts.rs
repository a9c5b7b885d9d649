//! The mounts of a session, in its own mount namespace. Runs in the first process between clone
//! and exec, so it allocates nothing.
//!
//! Trees are copied while their old paths still lead to them, then attached where the session
//! looks for them (`open_tree(2)`, `move_mount(2)`); read-only is set with `mount_setattr(2)`,
//! which adds to the flags that are locked on a mount instead of having to repeat them.

use super::init::{Failure, at, on};
use super::prepare::{How, Kept, Prepared};
use super::sys::{self, Errno, Follow};
use crate::enforce::Stage;
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Where the empty things that cover others are made; `/proc` is covered for good afterwards.
const SCRATCH: &CStr = c"/proc";
const EMPTY_FOLDER: &CStr = c"/proc/folder";
/// The same, in scratch.
const EMPTY: &CStr = c"folder";
const HOSTS: &CStr = c"/proc/hosts";
const RESOLVER: &CStr = c"/proc/resolver";
/// A resolver's configuration that names what answers inside (resolv.conf(5)).
const RESOLV_CONF: &[u8] = b"nameserver 127.0.0.1\n";

const SAFE: u64 = libc::MS_NOSUID | libc::MS_NODEV;

/// More paths than this are refused rather than lost.
const MOST_TREES: usize = 256;

/// Sets up every mount that the plan asks for, but the session's own `/proc` and terminals. Returns
/// the folder that covers are made in.
pub(super) fn set_up(p: &Prepared) -> Result<OwnedFd, Failure> {
    trees(p)?;
    on(Stage::Mounts, sys::mount(c"tmpfs", SCRATCH, SAFE, c"mode=0755"))?;
    on(Stage::Mounts, sys::mkdir(libc::AT_FDCWD, EMPTY_FOLDER, 0))?;
    let scratch = on(Stage::Mounts, sys::open(SCRATCH, libc::O_PATH | libc::O_DIRECTORY))?;
    for (index, mount) in p.mounts.iter().enumerate() {
        let item = p.kept.len() + p.writable.len() + index;
        let covered = match mount.how {
            How::Pin => over(&mount.path, &mount.path, false, Follow::Nothing),
            How::ReadOnly => over(&mount.path, &mount.path, true, Follow::Nothing),
            How::Hide => cover(&scratch, &mount.path, index).map(drop),
        };
        match covered {
            // What has gone since the plan was made needs no cover; the broker keeps it away.
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(at(Stage::Paths, item, errno)),
        }
    }
    if let Some(text) = &p.hosts {
        on(Stage::Mounts, text_over(HOSTS, text, c"/etc/hosts"))?;
    }
    if p.resolver.is_some() {
        match text_over(RESOLVER, RESOLV_CONF, c"/etc/resolv.conf") {
            // Without one, programs ask this machine, which is the same.
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(at(Stage::Mounts, usize::MAX, errno)),
        }
    }
    // Scratch stays where it is: the session's own /proc covers it, and to take it away would keep
    // the kernel waiting for longer than everything above.
    // Message queues stay outside, too, where the machine shows them at all.
    match sys::mount(c"mqueue", c"/dev/mqueue", SAFE | libc::MS_NOEXEC, c"") {
        Ok(()) | Err(Errno(libc::ENOENT | libc::ENODEV)) => Ok(scratch),
        Err(errno) => Err(at(Stage::Mounts, usize::MAX, errno)),
    }
}

/// Covers what a path leads to now, unless it is covered: a folder by an empty one, all else by a file
/// that nobody reads. `number` is no other's of this session. The name of a link is denied for what it
/// leads to, and stays. Whether there was something to cover.
pub(super) fn cover(scratch: &OwnedFd, path: &CStr, number: usize) -> sys::Result<bool> {
    let hidden = match sys::open(path, libc::O_PATH | libc::O_NOFOLLOW) {
        Err(Errno(libc::ENOENT | libc::ENOTDIR)) => return Ok(false),
        opened => opened?,
    };
    let stat = sys::stat(hidden.as_raw_fd())?;
    let mut name = [0u8; 32];
    let source = match stat.st_mode & libc::S_IFMT {
        _ if stat.st_dev == sys::stat(scratch.as_raw_fd())?.st_dev => return Ok(false),
        libc::S_IFLNK => return Ok(false),
        libc::S_IFDIR => EMPTY,
        _ => stand_in(scratch, &stat, number, &mut name)?,
    };
    let tree = sys::copy_mounts_at(scratch.as_raw_fd(), source)?;
    sys::make_read_only(&tree)?;
    match sys::attach(&tree, path, Follow::Nothing) {
        Err(Errno(libc::ENOENT | libc::ENOTDIR)) => Ok(false),
        attached => attached.map(|()| true),
    }
}

/// Puts a file with this text over another.
fn text_over(scratch: &CStr, text: &[u8], path: &CStr) -> sys::Result<()> {
    let create = libc::O_CREAT | libc::O_WRONLY;
    let file = sys::open_at(libc::AT_FDCWD, scratch, create, 0o444)?;
    sys::write(file.as_raw_fd(), text)?;
    over(scratch, path, true, Follow::Links)
}

/// Makes an unreadable file with the size, the time of change and the executable bit of another:
/// git, which is told to compare no more than that, then sees no change in a hidden file that it
/// tracks, and has no reason to read it (git-config(1), `core.checkStat`).
fn stand_in<'n>(
    scratch: &OwnedFd,
    stat: &libc::stat,
    number: usize,
    name: &'n mut [u8; 32],
) -> sys::Result<&'n CStr> {
    // The array is longer than the longest such name, and its rest is NUL.
    let _ = write!(&mut name[..31], "{number}");
    let Ok(name) = CStr::from_bytes_until_nul(name) else { return Err(Errno(libc::EINVAL)) };
    let create = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let file = sys::open_at(scratch.as_raw_fd(), name, create, stat.st_mode & 0o111)?;
    let times = [libc::timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec }; 2];
    // SAFETY: the descriptor is open, and the two times are only read.
    unsafe {
        sys::check(libc::ftruncate(file.as_raw_fd(), stat.st_size))?;
        sys::check(libc::futimens(file.as_raw_fd(), times.as_ptr()))?;
    }
    Ok(name)
}

fn over(source: &CStr, target: &CStr, read_only: bool, follow: Follow) -> sys::Result<()> {
    let tree = sys::copy_mounts(source)?;
    if read_only {
        sys::make_read_only(&tree)?;
    }
    sys::attach(&tree, target, follow)
}

/// Makes everything read-only but what the plan lets be written, covers the machine's temporary
/// and run-time folders, and brings back what is granted in them.
///
/// Landlock decides who may write; that the rest is read-only stands for what it does not know:
/// modes, owners, times and extended attributes, and truncation before its version 3.
fn trees(p: &Prepared) -> Result<(), Failure> {
    let mut kept: [Option<OwnedFd>; MOST_TREES] = [const { None }; MOST_TREES];
    let mut writable: [Option<OwnedFd>; MOST_TREES] = [const { None }; MOST_TREES];
    let mut covers: [Option<OwnedFd>; 8] = [const { None }; 8];
    if p.kept.len().max(p.writable.len()) > MOST_TREES || p.covers.len() > covers.len() {
        return Err(at(Stage::Paths, usize::MAX, Errno(libc::E2BIG)));
    }
    // Copied while the paths lead to what is meant.
    for (index, (slot, path)) in kept.iter_mut().zip(&p.kept).enumerate() {
        let tree = sys::copy_mounts(&path.path).and_then(|tree| {
            if !path.writable {
                sys::make_read_only(&tree)?;
            }
            Ok(tree)
        });
        *slot = Some(tree.map_err(|e| at(Stage::Paths, index, e))?);
    }
    for (index, (slot, path)) in writable.iter_mut().zip(&p.writable).enumerate() {
        if !path.kept {
            let tree = sys::copy_mounts(&path.path);
            *slot = Some(tree.map_err(|e| at(Stage::Paths, p.kept.len() + index, e))?);
        }
    }
    for (index, (slot, cover)) in covers.iter_mut().zip(&p.covers).enumerate() {
        if let Some(path) = &cover.by {
            *slot = Some(sys::copy_mounts(path).map_err(|e| at(Stage::Mounts, index, e))?);
        }
    }
    let root = sys::open(c"/", libc::O_PATH | libc::O_DIRECTORY);
    on(Stage::Mounts, root.and_then(|root| sys::make_read_only(&root)))?;
    for (index, (tree, cover)) in covers.iter().zip(&p.covers).enumerate() {
        match tree {
            Some(tree) => sys::attach(tree, &cover.path, Follow::Nothing),
            None => sys::mount(c"tmpfs", &cover.path, SAFE, &cover.options),
        }
        .map_err(|e| at(Stage::Mounts, index, e))?;
    }
    for (index, (tree, path)) in kept.iter().zip(&p.kept).enumerate() {
        let Some(tree) = tree else { continue };
        bring_back(tree, path).map_err(|e| at(Stage::Paths, index, e))?;
    }
    for (index, (tree, path)) in writable.iter().zip(&p.writable).enumerate() {
        let Some(tree) = tree else { continue };
        sys::attach(tree, &path.path, Follow::Nothing)
            .map_err(|e| at(Stage::Paths, p.kept.len() + index, e))?;
    }
    Ok(())
}

/// Attaches a granted path below a cover, and what folders it takes to get there.
fn bring_back(tree: &OwnedFd, path: &Kept) -> sys::Result<()> {
    for above in &path.above {
        made(sys::mkdir(libc::AT_FDCWD, above, 0o755))?;
    }
    if path.is_dir {
        made(sys::mkdir(libc::AT_FDCWD, &path.path, 0o755))?;
    } else {
        let create = libc::O_CREAT | libc::O_WRONLY;
        sys::open_at(libc::AT_FDCWD, &path.path, create, 0o644)?;
    }
    sys::attach(tree, &path.path, Follow::Nothing)
}

/// Made now or there already.
fn made(result: sys::Result<()>) -> sys::Result<()> {
    match result {
        Err(Errno(libc::EEXIST)) => Ok(()),
        other => other,
    }
}

/// Tries each kind of mount once on things that matter to nobody.
pub(super) fn rehearse() -> sys::Result<()> {
    sys::make_private()?;
    sys::mount(c"tmpfs", SCRATCH, SAFE, c"mode=0755")?;
    sys::mkdir(libc::AT_FDCWD, EMPTY_FOLDER, 0)?;
    over(EMPTY_FOLDER, EMPTY_FOLDER, true, Follow::Nothing)?;
    sys::unmount(SCRATCH)
}

/// The session's own `/proc`, which shows its processes alone.
pub(super) fn processes() -> Result<(), Failure> {
    on(Stage::Processes, sys::mount(c"proc", c"/proc", SAFE | libc::MS_NOEXEC, c""))
}

/// Has the kernel give the session's process namespace no more process and thread numbers than it
/// may have, two for its first process and for the end of the range, and those that are not given
/// again once all have been (Linux 6.14). It holds for root as well, unlike RLIMIT_NPROC. Earlier
/// kernels have this setting once for the whole machine, so there it is left alone; the watch ends
/// what has more.
pub(super) fn bound_processes(most: u64) {
    const RESERVED: u64 = 300; // RESERVED_PIDS (kernel/pid.c)
    if !sys::kernel_is_at_least(6, 14) {
        return;
    }
    // More than the kernel takes is no bound.
    let _ = write_number(c"/proc/sys/kernel/pid_max", most.saturating_add(RESERVED + 2));
}

fn write_number(setting: &CStr, number: u64) -> sys::Result<()> {
    let mut text = [0u8; 24];
    let length = text.len();
    let mut rest = &mut text[..];
    // The array is longer than the longest number.
    let _ = write!(rest, "{number}");
    let length = length - rest.len();
    sys::write_file(setting, &text[..length])
}

/// Leaves half of what may be watched on this machine to its user's other programs, whatever the
/// session's namespace watches (user_namespaces(7), inotify(7)).
pub(super) fn bound_watches() {
    for (whole, own) in [
        (c"/proc/sys/fs/inotify/max_user_instances", c"/proc/sys/user/max_inotify_instances"),
        (c"/proc/sys/fs/inotify/max_user_watches", c"/proc/sys/user/max_inotify_watches"),
    ] {
        let mut text = [0u8; 24];
        let read = sys::open(whole, libc::O_RDONLY)
            .and_then(|file| sys::read(file.as_fd(), &mut text))
            .ok()
            .and_then(|length| str::from_utf8(&text[..length]).ok()?.trim().parse::<u64>().ok());
        // Where the kernel does not say, there is nothing to share.
        let Some(whole) = read else { continue };
        let _ = write_number(own, whole / 2);
    }
}

/// The session's own terminals: nobody else's has a name inside.
pub(super) fn terminals() -> Result<(), Failure> {
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let options = c"newinstance,ptmxmode=0666,mode=620";
    on(Stage::Terminals, sys::mount(c"devpts", c"/dev/pts", flags, options))?;
    on(Stage::Terminals, over(c"/dev/pts/ptmx", c"/dev/ptmx", false, Follow::Links))
}
