//! Which processors the first process runs on while its supervisor works beside it.
//!
//! Where processors share no cache, as on many virtual machines, the kernel leaves a new process on
//! its parent's: the two would take turns, and the start would take as long as both together.

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
