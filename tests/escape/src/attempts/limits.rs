//! Bounds on what a session uses.

use crate::Told::Answer;
use crate::sys::{NOTHING, call, check, refused};
use crate::{Attempt, Needs};
use std::io;
use std::time::Duration;

/// More than the stage's policy allows of each.
const PROCESSES: usize = 200;
const MEMORY: usize = 512 << 20;

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
        Attempt::new("memory", "Maps far more memory than it may have.", Answer, |_| {
            let (both, own) = (libc::PROT_READ | libc::PROT_WRITE, private());
            call!(libc::SYS_mmap, 0, MEMORY, both, own, -1, 0).and(NOTHING)
        }),
        Attempt::new("memory-break", "Moves the end of its heap as far.", Answer, |_| {
            let now = call!(libc::SYS_brk, 0)?;
            let then = call!(libc::SYS_brk, now as usize + MEMORY)?;
            enough(then as usize >= now as usize + MEMORY)
        }),
        Attempt::new(
            "memory-made-writable",
            "Maps it to be read, then makes it writable.",
            Answer,
            |_| {
                let at = call!(libc::SYS_mmap, 0, MEMORY, libc::PROT_READ, private(), -1, 0)?;
                let both = libc::PROT_READ | libc::PROT_WRITE;
                call!(libc::SYS_mprotect, at as usize, MEMORY, both).and(NOTHING)
            },
        ),
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
            let mut limit = [0u64; 2];
            let none = std::ptr::null_mut::<u8>();
            let which = libc::RLIMIT_DATA;
            call!(libc::SYS_prlimit64, 0, which, none, limit.as_mut_ptr())?;
            let all = [u64::MAX; 2];
            call!(libc::SYS_prlimit64, 0, which, all.as_ptr(), none).and(NOTHING)
        }),
        Attempt::new("core-dump", "Dumps its memory to a file at its end.", Answer, |_| {
            let all = [u64::MAX; 2];
            let none = std::ptr::null_mut::<u8>();
            call!(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE, all.as_ptr(), none).and(NOTHING)
        })
        .needs(Needs::Machine("a limit on core dumps that can be raised")),
    ])
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
