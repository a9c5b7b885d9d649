//! Who runs on which processor: who work at the same time beside each other, and who take turns on
//! the same one.
//!
//! Where processors share no cache, as on many virtual machines, the kernel leaves a new process on
//! its parent's, and a thread that is woken where it was: the first process and its supervisor would
//! take turns, and who only hands work over would wait for another processor to wake.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The processors that this thread may run on (`sched_setaffinity(2)`).
#[derive(Clone, Copy)]
pub(super) struct Cpus(CpuSet);

impl Cpus {
    /// `None` where the kernel does not tell, as on a machine with more than 1,024.
    pub(super) fn of_this_thread() -> Option<Self> {
        sched_getaffinity(None).ok().map(Self)
    }

    /// Has another process run on any of them but the one that this thread is on. Where that is the
    /// only one, the two take turns.
    pub(super) fn keep_from_this_one(&self, process: i32) {
        let Self(mut others) = *self;
        let this = sched_getcpu();
        if this < CpuSet::MAX_CPU && others.count() > 1 {
            others.unset(this);
            // What the kernel refuses only makes the start slower.
            let _ = sched_setaffinity(Pid::from_raw(process), &others);
        }
    }

    /// Lets this thread run on all of them.
    pub(super) fn use_all(&self) {
        // They were this thread's own a moment ago; if one has been taken away, the rest will do.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// A thread that works while this one waits for it.
#[derive(Debug)]
pub(super) struct Helper {
    thread: Pid,
    /// Where it was last brought.
    at: Option<usize>,
}

impl Helper {
    /// The calling thread, as whoever hands it work sees it.
    pub(super) fn this_thread() -> Self {
        Self { thread: rustix::thread::gettid(), at: None }
    }

    /// Has it run on the processor that the calling thread is on.
    pub(super) fn bring_here(&mut self) {
        let here = sched_getcpu();
        if self.at != Some(here)
            && let Some(only) = only(here)
        {
            // What the kernel refuses only makes it slower.
            let _ = sched_setaffinity(Some(self.thread), &only);
            self.at = Some(here);
        }
    }
}

/// The calling thread, kept on the processor that it is on until this is dropped: whoever else is
/// there wakes it in a tenth of what it takes to wake another processor.
#[derive(Debug)]
pub(super) struct Here {
    this: usize,
    /// Where it may run otherwise.
    own: CpuSet,
}

impl Here {
    /// `None` where the kernel refuses, which only makes it slower.
    pub(super) fn keep() -> Option<Self> {
        let own = sched_getaffinity(None).ok()?;
        let this = sched_getcpu();
        sched_setaffinity(None, &only(this)?).ok()?;
        Some(Self { this, own })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // Where it may run was allowed a moment ago.
        let _ = sched_setaffinity(None, &self.own);
    }
}

/// Another thread and the calling one, kept on the processor that the latter is on until this is
/// dropped.
///
/// The other waits for this one meanwhile, so that it cannot start anything that would inherit it.
#[derive(Debug)]
pub(super) struct Beside {
    other: Pid,
    /// Where it may run otherwise.
    others: CpuSet,
    _here: Here,
}

impl Beside {
    /// `None` where the other may not run here, or the kernel refuses, which only makes it slower.
    pub(super) fn keep(other: i32) -> Option<Self> {
        let other = Pid::from_raw(other)?;
        let others = sched_getaffinity(Some(other)).ok()?;
        let here = Here::keep().filter(|here| others.is_set(here.this))?;
        sched_setaffinity(Some(other), &only(here.this)?).ok()?;
        Some(Self { other, others, _here: here })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // The other may have ended.
        let _ = sched_setaffinity(Some(self.other), &self.others);
    }
}

fn only(processor: usize) -> Option<CpuSet> {
    (processor < CpuSet::MAX_CPU).then(|| {
        let mut only = CpuSet::new();
        only.set(processor);
        only
    })
}
