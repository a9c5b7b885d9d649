//! Watches what a session uses of its machine, as `/proc` tells it, and says when it is more than
//! its limits, of those that no control group holds. It is the tracing thread that looks, a few times
//! a second, beginning some time after the start; what the kernel bounds by itself is bounded before.

use super::group::Group;
use super::proc;
use crate::enforce::Excess;
use crate::plan::Limits;
use std::fs;
use std::time::{Duration, Instant};

/// The time between two looks, also before the first: no short command is ever looked at.
const EVERY: Duration = Duration::from_millis(250);
/// The same once a session has a good part of what it may have.
const OFTEN: Duration = Duration::from_millis(50);
/// A look at a large session takes its time; this many times as long passes until the next.
const REST: u32 = 20;

/// What is watched, and when next.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    init: i32,
    began: Instant,
    next: Instant,
    page: u64,
    ticks: u64,
}

/// What a session uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Use {
    /// Processes and threads, the first process among them.
    processes: u64,
    /// Bytes that are in memory; what processes share counts for each.
    resident: u64,
    cpu: Duration,
}

impl Watch {
    /// For the session of this first process; none where nothing has to be watched.
    pub(super) fn new(limits: &Limits, init: i32) -> Option<Self> {
        let Limits { memory, processes, open_files: _, cpu_time, wall_time } = limits;
        let watched = memory.is_some() || processes.is_some();
        if !watched && cpu_time.is_none() && wall_time.is_none() {
            return None;
        }
        let now = Instant::now();
        // SAFETY: takes a number.
        let setting = |name| unsafe { libc::sysconf(name) };
        let positive = |value: libc::c_long| u64::try_from(value).unwrap_or(1).max(1);
        Some(Self {
            limits: limits.clone(),
            init,
            began: now,
            next: now + EVERY,
            page: positive(setting(libc::_SC_PAGESIZE)),
            ticks: positive(setting(libc::_SC_CLK_TCK)),
        })
    }

    /// Milliseconds until the next look.
    pub(super) fn wait(&self) -> i32 {
        let left = self.next.saturating_duration_since(Instant::now());
        // Rounded up, so that it is due then.
        i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX)
    }

    /// Looks, if it is time; what there is too much of. A group knows the time on processors of all
    /// that was ever in it.
    pub(super) fn look(&mut self, group: Option<&Group>) -> Option<Excess> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        let Limits { memory, processes, open_files: _, cpu_time, wall_time } = &self.limits;
        let lasted = now.duration_since(self.began);
        if let Some(most) = wall_time.filter(|most| lasted >= *most) {
            return Some(Excess::WallTime { most });
        }
        let cpu = cpu_time.and(group).and_then(Group::cpu_time);
        let mut own = Use::default();
        if memory.is_some() || processes.is_some() || (cpu_time.is_some() && cpu.is_none()) {
            own = self.measure(processes.unwrap_or(u64::MAX));
        }
        own.cpu = cpu.unwrap_or(own.cpu);
        if let Some(most) = processes.filter(|most| own.processes >= *most) {
            return Some(Excess::Processes { most });
        }
        if let Some(most) = cpu_time.filter(|most| own.cpu >= *most) {
            return Some(Excess::CpuTime { used: own.cpu, most });
        }
        let mut used = own.resident;
        if let Some(most) = memory.filter(|most| own.resident > *most) {
            // Shared parts counted once. It takes the kernel longer to say.
            used = self.exactly();
            if used > most {
                return Some(Excess::Memory { used, most });
            }
        }
        let much = processes.is_some_and(|most| own.processes > most / 8)
            || memory.is_some_and(|most| used > most / 2);
        let took = now.elapsed();
        let pause = (took * REST).max(if much { OFTEN } else { EVERY });
        let looks = memory.is_some() || processes.is_some() || cpu_time.is_some();
        self.next = match wall_time {
            Some(most) if !looks => self.began + *most,
            _ => now + took + pause,
        };
        None
    }

    /// Everything at once, or as much as it takes to see that there are too many processes.
    fn measure(&self, most: u64) -> Use {
        let mut own = Use::default();
        self.each(|pid| {
            let Some(stat) = Stat::read(pid) else { return true };
            own.processes += stat.threads;
            own.resident = own.resident.saturating_add(stat.pages.saturating_mul(self.page));
            let seconds = stat.ticks / self.ticks;
            let rest = stat.ticks % self.ticks * 1000 / self.ticks;
            own.cpu += Duration::from_secs(seconds) + Duration::from_millis(rest);
            own.processes < most
        });
        own
    }

    /// The memory of all processes, in bytes: what is theirs, and their share of what they have in
    /// common; files that are merely mapped are left out, since the kernel takes those pages back.
    fn exactly(&self) -> u64 {
        let mut sum = 0u64;
        self.each(|pid| {
            sum = sum.saturating_add(own_memory(pid).unwrap_or(0));
            true
        });
        sum
    }

    /// Goes through the processes until `see` has seen enough.
    fn each(&self, mut see: impl FnMut(i32) -> bool) {
        let mut next = vec![self.init];
        let mut at = 0;
        while let Some(pid) = next.get(at).copied() {
            at += 1;
            if !see(pid) {
                return;
            }
            next.extend(proc::children(pid));
        }
    }
}

/// Bytes of a process (proc_pid_smaps_rollup, in kB).
fn own_memory(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let swapped = field("SwapPss").unwrap_or(0);
    let own = field("Pss")?.saturating_sub(field("Pss_File").unwrap_or(0));
    Some((own + swapped) * 1024)
}

/// What matters of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// Of itself and of the children that it has waited for.
    ticks: u64,
    threads: u64,
    /// In memory.
    pages: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold spaces and brackets. Its state follows, which is field 3.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(14 - 3);
        let mut next = || fields.next()?.parse::<u64>().ok();
        let ticks = next()? + next()? + next()? + next()?;
        let (_priority, _nice) = (fields.next()?, fields.next()?);
        let mut next = || fields.next()?.parse::<u64>().ok();
        let (threads, _, _started, _size) = (next()?, next()?, next()?, next()?);
        Some(Self { ticks, threads, pages: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process_are_found_behind_any_name() {
        let text = "7 (a) b) R 1 7 7 0 -1 4194304 83 0 0 0 5 6 7 8 20 0 3 0 99 8192 42 18446 1 1";
        let expected = Stat { ticks: 26, threads: 3, pages: 42 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[test]
    fn this_process_uses_something_and_less_than_everything() {
        let own = std::process::id() as i32;
        let watch = Watch::new(&Limits { processes: Some(1), ..Limits::default() }, own).unwrap();
        let used = watch.measure(u64::MAX);
        assert!(used.processes >= 1 && used.resident > 1 << 20, "{used:?}");
        let exactly = watch.exactly();
        assert!(exactly > 0 && exactly < used.resident * 2, "{exactly} {used:?}");
        assert!(Watch::new(&Limits { open_files: Some(64), ..Limits::default() }, own).is_none());
    }
}
