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
use std::os::fd::{AsRawFd, OwnedFd};

/// Where the empty things that cover others are made; `/proc` is covered for good afterwards.
const SCRATCH: &CStr = c"/proc";
const EMPTY_FOLDER: &CStr = c"/proc/folder";
const EMPTY_FILE: &CStr = c"/proc/file";
const HOSTS: &CStr = c"/proc/hosts";

const SAFE: u64 = libc::MS_NOSUID | libc::MS_NODEV;

/// More paths than this are refused rather than lost.
const MOST_TREES: usize = 256;

/// Sets up every mount that the plan asks for, but the session's own `/proc` and terminals.
pub(super) fn set_up(p: &Prepared) -> Result<(), Failure> {
    trees(p)?;
    on(Stage::Mounts, sys::mount(c"tmpfs", SCRATCH, SAFE, c"mode=0755"))?;
    on(Stage::Mounts, sys::mkdir(libc::AT_FDCWD, EMPTY_FOLDER, 0))?;
    let create = libc::O_CREAT | libc::O_WRONLY;
    on(Stage::Mounts, sys::open_at(libc::AT_FDCWD, EMPTY_FILE, create, 0))?;
    for (index, mount) in p.mounts.iter().enumerate() {
        let source = match mount.how {
            How::Pin | How::ReadOnly => mount.path.as_c_str(),
            How::HideFolder => EMPTY_FOLDER,
            How::HideFile => EMPTY_FILE,
        };
        let item = p.kept.len() + p.writable.len() + index;
        match over(source, &mount.path, mount.how != How::Pin, Follow::Nothing) {
            // What has gone since the plan was made needs no cover; the broker keeps it away.
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(at(Stage::Paths, item, errno)),
        }
    }
    if let Some(text) = &p.hosts {
        let file = on(Stage::Mounts, sys::open_at(libc::AT_FDCWD, HOSTS, create, 0o444))?;
        on(Stage::Mounts, sys::write(file.as_raw_fd(), text))?;
        on(Stage::Mounts, over(HOSTS, c"/etc/hosts", true, Follow::Links))?;
    }
    // Scratch stays where it is: the session's own /proc covers it, and to take it away would keep
    // the kernel waiting for longer than everything above.
    // Message queues stay outside, too, where the machine shows them at all.
    match sys::mount(c"mqueue", c"/dev/mqueue", SAFE | libc::MS_NOEXEC, c"") {
        Ok(()) | Err(Errno(libc::ENOENT | libc::ENODEV)) => Ok(()),
        Err(errno) => Err(at(Stage::Mounts, usize::MAX, errno)),
    }
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
            None => sys::mount(c"tmpfs", &cover.path, SAFE, cover.mode),
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

/// The session's own terminals: nobody else's has a name inside.
pub(super) fn terminals() -> Result<(), Failure> {
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let options = c"newinstance,ptmxmode=0666,mode=620";
    on(Stage::Terminals, sys::mount(c"devpts", c"/dev/pts", flags, options))?;
    on(Stage::Terminals, over(c"/dev/pts/ptmx", c"/dev/ptmx", false, Follow::Links))
}
