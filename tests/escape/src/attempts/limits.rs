//! Bounds on what a session uses.

use crate::Told::Answer;
use crate::sys::{NOTHING, call, check, open, refused, write_all};
use crate::{Attempt, Disturbs, Needs};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More than the stage's policy allows of each.
const PROCESSES: usize = 200;
const MEMORY: usize = 512 << 20;
const OPEN_FILES: u64 = 1024;

/// How long what goes beyond a limit is kept: it is seen within a part of this.
const KEPT: Duration = Duration::from_millis(1500);

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new(
            "processes",
            "Forks far more processes than it may have, and keeps them.",
            Answer,
            |_| {
                let mut children = Vec::new();
                for _ in 0..PROCESSES {
                    // SAFETY: this process has one thread; the child only waits and is ended below.
                    match check(unsafe { libc::fork() }) {
                        Ok(0) => loop {
                            // SAFETY: takes nothing.
                            unsafe { libc::pause() };
                        },
                        Ok(child) => children.push(child as i32),
                        Err(_) => break,
                    }
                }
                let reached = children.len() == PROCESSES;
                if reached {
                    std::thread::sleep(KEPT);
                }
                end(&children);
                enough(reached)
            },
        )
        .alone(),
        Attempt::new(
            "threads",
            "Starts far more threads than it may have, and keeps them.",
            Answer,
            |_| {
                let stop = std::sync::atomic::AtomicBool::new(false);
                let started = std::thread::scope(|scope| {
                    let wait = || {
                        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                            std::thread::park_timeout(Duration::from_millis(5));
                        }
                    };
                    let mut started = 0;
                    for _ in 0..PROCESSES {
                        let builder = std::thread::Builder::new().stack_size(64 << 10);
                        match builder.spawn_scoped(scope, wait) {
                            Ok(_) => started += 1,
                            Err(_) => break,
                        }
                    }
                    if started == PROCESSES {
                        std::thread::sleep(KEPT);
                    }
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                    started
                });
                enough(started == PROCESSES)
            },
        )
        .alone(),
        Attempt::new("memory", "Maps and fills far more memory than it may have.", Answer, |_| {
            let (both, own) = (libc::PROT_READ | libc::PROT_WRITE, private());
            let at = call!(libc::SYS_mmap, 0, MEMORY, both, own, -1, 0)?;
            fill(at as usize)
        })
        .alone(),
        Attempt::new("memory-break", "Moves the end of its heap as far.", Answer, |_| {
            let now = call!(libc::SYS_brk, 0)?;
            let then = call!(libc::SYS_brk, now as usize + MEMORY)?;
            enough(then as usize >= now as usize + MEMORY)?;
            fill(now as usize)
        })
        .alone(),
        Attempt::new(
            "memory-made-writable",
            "Maps it to be read, then makes it writable.",
            Answer,
            |_| {
                let at = call!(libc::SYS_mmap, 0, MEMORY, libc::PROT_READ, private(), -1, 0)?;
                let both = libc::PROT_READ | libc::PROT_WRITE;
                call!(libc::SYS_mprotect, at as usize, MEMORY, both)?;
                fill(at as usize)
            },
        )
        .alone(),
        Attempt::new(
            "memory-of-children",
            "Fills it in several processes, none of which has too much.",
            Answer,
            |_| {
                let mut children = Vec::new();
                let mut held = 0;
                for _ in 0..4 {
                    let (mut reader, writer) = io::pipe()?;
                    // SAFETY: this process has one thread; the child maps, tells, waits, and is ended.
                    let child = check(unsafe { libc::fork() })? as i32;
                    if child == 0 {
                        let (both, own) = (libc::PROT_READ | libc::PROT_WRITE, private());
                        let own = own | libc::MAP_POPULATE;
                        let mapped = call!(libc::SYS_mmap, 0, MEMORY / 4, both, own, -1, 0).is_ok();
                        // The parent counts what it hears of.
                        let _ = io::Write::write(&mut &writer, &[u8::from(mapped)]);
                        loop {
                            // SAFETY: takes nothing.
                            unsafe { libc::pause() };
                        }
                    }
                    children.push(child);
                    drop(writer);
                    let mut word = [0u8];
                    io::Read::read_exact(&mut reader, &mut word)?;
                    held += usize::from(word[0]);
                }
                if held == 4 {
                    std::thread::sleep(KEPT);
                }
                end(&children);
                enough(held == 4)
            },
        )
        .alone(),
        Attempt::new(
            "memory-shared",
            "Fills memory that is shared, and so nobody's.",
            Answer,
            |_| {
                let (both, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
                let filled = shared | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
                let at = call!(libc::SYS_mmap, 0, MEMORY, both, filled, -1, 0)?;
                std::thread::sleep(KEPT);
                call!(libc::SYS_munmap, at as usize, MEMORY).and(NOTHING)
            },
        )
        .alone(),
        Attempt::new("limit-raised", "Raises its own limit again.", Answer, |_| {
            let more = [OPEN_FILES; 2];
            let (which, none) = (libc::RLIMIT_NOFILE, std::ptr::null_mut::<u8>());
            call!(libc::SYS_prlimit64, 0, which, more.as_ptr(), none).and(NOTHING)
        }),
        Attempt::new("core-dump", "Dumps its memory to a file at its end.", Answer, |_| {
            let all = [u64::MAX; 2];
            let none = std::ptr::null_mut::<u8>();
            call!(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE, all.as_ptr(), none).and(NOTHING)
        })
        .needs(Needs::Machine("a limit on core dumps that can be raised")),
        Attempt::new("group-loosened", "Lifts the limits of its control group.", Answer, |_| {
            let own = own_group()?;
            first(["memory.max", "pids.max"].map(|name| write(&own.join(name), "max")))
        })
        .needs(GROUPS)
        .disturbs(CHANGED),
        Attempt::new("group-left", "Moves to a control group above or beside it.", Answer, |_| {
            let own = own_group()?;
            first(others(&own)?.into_iter().map(|other| moved(&other)))?;
            moved(&own)
        })
        .needs(GROUPS)
        .disturbs(CHANGED),
        Attempt::new(
            "group-nested",
            "Makes a control group in it, and moves there.",
            Answer,
            |p| {
                let own = own_group()?;
                let nested = own.join(p.mark());
                fs::create_dir(&nested)?;
                let there = moved(&nested).and_then(|_| moved(&own));
                fs::remove_dir(nested)?;
                there
            },
        )
        .needs(GROUPS)
        .disturbs(CHANGED),
        Attempt::new(
            "group-ended",
            "Opens what ends everything in a group beside it.",
            Answer,
            |_| {
                let others = others(&own_group()?)?.into_iter();
                first(others.map(|it| open(it.join("cgroup.kill"), libc::O_WRONLY).and(NOTHING)))
            },
        )
        .needs(GROUPS)
        .disturbs(CHANGED),
    ])
}

const GROUPS: Needs = Needs::Machine("control groups that this user may change");
const CHANGED: Disturbs = Disturbs::Always("it would change control groups of the machine");

/// The control group of this process, in version 2; none where that is the machine's root.
fn own_group() -> io::Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = own.filter(|own| !own.is_empty()).ok_or_else(|| refused("no group of its own"))?;
    Ok(groups()?.join(own))
}

/// Where control groups of version 2 are mounted.
pub(super) fn groups() -> io::Result<&'static Path> {
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let root = roots.into_iter().find(|root| root.join("cgroup.procs").exists());
    root.ok_or_else(|| refused("no control groups"))
}

/// The group above, and those beside.
fn others(own: &Path) -> io::Result<Vec<PathBuf>> {
    let above = own.parent().ok_or_else(|| refused("no group above"))?;
    let beside = fs::read_dir(above)?.flatten().map(|entry| entry.path());
    let beside = beside.filter(|path| path.join("cgroup.procs").exists() && path != own);
    Ok([above.to_owned()].into_iter().chain(beside).collect())
}

/// Moves this process to a group.
fn moved(group: &Path) -> crate::sys::Got {
    write(&group.join("cgroup.procs"), "0")
}

fn write(path: &Path, text: &str) -> crate::sys::Got {
    write_all(&open(path, libc::O_WRONLY)?, text)
}

/// The first that succeeds, else the last.
fn first(tries: impl IntoIterator<Item = crate::sys::Got>) -> crate::sys::Got {
    let mut last = Err(refused("nothing to try"));
    for tried in tries {
        last = tried;
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Writes to every page of as much memory as nobody may have.
fn fill(from: usize) -> crate::sys::Got {
    for page in (from..from + MEMORY).step_by(4096) {
        // SAFETY: the memory was just mapped to be written, and holds nothing.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(page).write_volatile(1) };
    }
    NOTHING
}

fn private() -> i32 {
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS
}

fn enough(reached: bool) -> crate::sys::Got {
    if reached { NOTHING } else { Err(refused("it was held below")) }
}

fn end(children: &[i32]) {
    for child in children {
        // SAFETY: our own children, not yet waited for.
        unsafe {
            libc::kill(*child, libc::SIGKILL);
            libc::waitpid(*child, std::ptr::null_mut(), 0);
        }
    }
}
