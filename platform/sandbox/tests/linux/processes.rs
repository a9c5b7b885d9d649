//! Other processes, and the kernel's own doors.

use crate::world::{BOTH, World, as_each_user, outside, processors};
use chaperone_sandbox::Tier;
use std::process::{Child, Command};

/// A process of the same user outside the session.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn other_processes_are_out_of_reach() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let bystander = Bystander::new();
            let pid = bystander.pid();
            for attempt in ["kill", "read-environment-of", "ptrace-attach", "limit-of"] {
                assert_eq!(outside(attempt, &[&pid]), "ok", "{attempt}");
                let inside = world.attempt(attempt, &[&pid]);
                let refusals: &[&str] = match (tier, attempt) {
                    // The number means nothing in there, or somebody else.
                    (Tier::Full, "read-environment-of") => &["ENOENT"],
                    (Tier::Full, "ptrace-attach") => &["EPERM"],
                    (Tier::Full, _) => &["ESRCH"],
                    (_, "read-environment-of") => &["EACCES"],
                    _ => &["EPERM"],
                };
                assert!(refusals.contains(&inside.as_str()), "{tier:?} {attempt}: {inside}");
            }
        }
    });
}

#[test]
fn how_others_are_scheduled_and_what_signals_them_stays_theirs_and_ones_own_is_free() {
    as_each_user(|| {
        for (tier, landlock_abi) in [(Tier::Full, 7), (Tier::Reduced, 7), (Tier::Reduced, 2)] {
            let mut world = World::new(tier);
            world.plan.landlock_abi = landlock_abi.min(world.plan.landlock_abi);
            let bystander = Bystander::new();
            let pid = bystander.pid();
            for attempt in ["slow", "tie"] {
                assert_eq!(outside(attempt, &[&pid]), "ok", "{attempt}");
                let inside = world.attempt(attempt, &[&pid]);
                let refusal = if tier == Tier::Full { "ESRCH" } else { "EPERM" };
                assert_eq!(inside, refusal, "{tier:?} {landlock_abi} {attempt}");
            }
            if landlock_abi < 6 {
                // Else it may be said, and no signal comes of it.
                assert_eq!(outside("own-by", &[&pid]), "ok");
                assert_eq!(world.attempt("own-by", &[&pid]), "EPERM");
            }
            for attempt in ["slow-child", "tie-child", "own-by-child"] {
                assert_eq!(world.attempt(attempt, &[]), "ok", "{tier:?} {landlock_abi} {attempt}");
            }
        }
    });
}

#[test]
fn processes_of_the_session_cannot_write_each_other() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            for (attempt, refusal) in [
                ("ptrace-child", "EPERM"),
                ("write-child-memory", "EPERM"),
                ("open-child-memory", "EACCES"),
                ("open-own-memory", "EACCES"),
            ] {
                assert_eq!(outside(attempt, &[]), "ok", "{attempt}");
                assert_eq!(world.attempt(attempt, &[]), refusal, "{tier:?} {attempt}");
            }
        }
    });
}

#[test]
fn the_kernels_doors_are_closed() {
    as_each_user(|| {
        // SAFETY: takes nothing.
        let root = unsafe { libc::geteuid() } == 0;
        for tier in BOTH {
            let world = World::new(tier);
            for (attempt, refusal) in [
                ("io-uring", "EPERM"),
                ("unshare-user", "EPERM"),
                ("clone-user", "EPERM"),
                ("clone3", "ENOSYS"),
                ("keyctl", "EPERM"),
                ("listener", "EBUSY"),
                ("type-into-terminal", "EPERM"),
            ] {
                assert_eq!(outside(attempt, &[]), "ok", "{attempt}");
                let inside = world.attempt(attempt, &[]);
                // In the reduced tier there are no terminals to type into.
                let refusal = match (tier, attempt) {
                    (Tier::Reduced, "type-into-terminal") if inside == "EACCES" => "EACCES",
                    _ => refusal,
                };
                assert_eq!(inside, refusal, "{tier:?} {attempt}");
            }
            for attempt in ["mount", "chroot"] {
                if root && attempt == "chroot" {
                    assert_eq!(outside(attempt, &[]), "ok", "{attempt}");
                }
                assert_eq!(world.attempt(attempt, &[]), "EPERM", "{tier:?} {attempt}");
            }
        }
    });
}

#[test]
fn a_process_stays_examinable_whatever_it_says() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            assert_eq!(outside("undumpable", &[]), "ok");
            assert_eq!(world.attempt("undumpable", &[]), "still dumpable");
        }
    });
}

#[test]
fn shared_memory_is_the_sessions_own_or_none() {
    as_each_user(|| {
        assert_eq!(outside("shared-memory", &[]), "ok");
        assert_eq!(World::new(Tier::Full).attempt("shared-memory", &[]), "ok");
        assert_eq!(World::new(Tier::Reduced).attempt("shared-memory", &[]), "ENOSYS");
    });
}

#[test]
fn root_inside_has_no_capability() {
    as_each_user(|| {
        for tier in BOTH {
            let ended =
                World::new(tier).sh("grep -E '^(Cap(Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status");
            let none = "0000000000000000";
            assert_eq!(
                ended.stdout,
                format!("CapPrm:\t{none}\nCapEff:\t{none}\nCapAmb:\t{none}\nNoNewPrivs:\t1\n")
            );
        }
    });
}

#[test]
fn a_session_runs_on_the_processors_that_its_supervisor_may_use() {
    let outside = processors(&std::fs::read_to_string("/proc/thread-self/status").unwrap());
    as_each_user(|| {
        for tier in BOTH {
            let ended = World::new(tier).sh("cat /proc/self/status");
            assert_eq!(processors(&ended.stdout), outside, "{tier:?}");
        }
    });
}

#[test]
fn what_programs_start_at_once_runs_on_every_processor_too() {
    let outside = processors(&std::fs::read_to_string("/proc/thread-self/status").unwrap());
    let starts = "sh -c 'cat /proc/self/status & wait'";
    let script = format!("i=0; while [ $i -lt 200 ]; do {starts}; i=$((i+1)); done");
    as_each_user(|| {
        for tier in BOTH {
            let ended =
                World::new(tier).sh(&format!("{script} | grep ^Cpus_allowed_list | uniq -c"));
            assert_eq!(ended.stdout.trim(), format!("200 {outside}"), "{tier:?}");
        }
    });
}
