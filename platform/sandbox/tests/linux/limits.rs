//! What a session may use of its machine: one that uses more is ended and the judge hears why; one
//! that does not goes on. What is forked and filled here is bounded by the scripts themselves.

use crate::world::{BOTH, Ended, World, as_each_user};
use chaperone_sandbox::{Excess, Exit, Limits, Tier};
use std::time::Duration;

/// Forks so many processes at most, which then do this.
fn forks(count: u32, each: &str) -> String {
    format!(
        "perl -e 'for (1..{count}) {{ defined(my $p = fork) or last; $p or do {{ {each} }} }} sleep 30'"
    )
}

fn limited(tier: Tier, limits: Limits, script: &str) -> Ended {
    let mut world = World::new(tier);
    world.plan.limits = limits;
    world.sh(script)
}

#[test]
fn a_fork_bomb_ends_its_session() {
    as_each_user(|| {
        for tier in BOTH {
            let limits = Limits { processes: Some(64), ..Limits::default() };
            let ended = limited(tier, limits.clone(), &forks(200, "sleep 30; exit"));
            assert_eq!(ended.exceeded, Some(Excess::Processes { most: 64 }), "{tier:?}");
            assert_eq!(ended.exit, Exit::Signal(libc::SIGKILL), "{tier:?}");
            let fewer = forks(20, "sleep 1; exit").replace("sleep 30", "1 while wait > 0");
            let ended = limited(tier, limits, &fewer);
            assert_eq!((ended.exceeded, ended.exit), (None, Exit::Code(0)), "{tier:?}");
        }
    });
}

#[test]
fn a_fork_bomb_ends_a_session_that_has_had_many_processes_already() {
    as_each_user(|| {
        // The numbers of processes begin anew, above those that the kernel keeps for itself.
        let many = "for (1..1200) { my $p = fork; $p or exit; waitpid $p, 0 }";
        let bomb = "for (1..500) { defined(my $p = fork) or last; $p or do { sleep 30; exit } }";
        let limits = Limits { processes: Some(400), ..Limits::default() };
        let ended = limited(Tier::Full, limits, &format!("perl -e '{many} {bomb} sleep 30'"));
        assert_eq!(ended.exceeded, Some(Excess::Processes { most: 400 }));
    });
}

#[test]
fn threads_count_as_processes_do() {
    as_each_user(|| {
        for tier in BOTH {
            let limits = Limits { processes: Some(64), ..Limits::default() };
            let script = "python3 -c '
import threading, time
try:
    for _ in range(200): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
except RuntimeError: pass
time.sleep(30)'";
            let ended = limited(tier, limits, script);
            assert_eq!(ended.exceeded, Some(Excess::Processes { most: 64 }), "{tier:?}");
        }
    });
}

#[test]
fn memory_that_is_spread_over_processes_ends_their_session() {
    as_each_user(|| {
        for tier in BOTH {
            let spread = forks(4, "my $x = \"x\" x (80 << 20); sleep 30; exit");
            let limits = Limits { memory: Some(256 << 20), ..Limits::default() };
            let ended = limited(tier, limits, &spread);
            let Some(Excess::Memory { used, most }) = ended.exceeded else {
                panic!("{tier:?}: {:?} {}", ended.exit, ended.stderr)
            };
            assert!(used >= most && most == 256 << 20, "{used}");
            // What they share counts once.
            let shared =
                "perl -e 'my $x = \"x\" x (80 << 20); for (1..6) { fork or last } sleep 2'";
            let limits = Limits { memory: Some(400 << 20), ..Limits::default() };
            let ended = limited(tier, limits, shared);
            assert_eq!((ended.exceeded, ended.exit), (None, Exit::Code(0)), "{tier:?}");
        }
    });
}

#[test]
fn one_process_that_fills_too_much_ends_its_session_and_never_has_more_than_twice_as_much() {
    as_each_user(|| {
        for tier in BOTH {
            let limits = Limits { memory: Some(256 << 20), ..Limits::default() };
            let fills = |mib: u32| {
                format!(
                    "perl -e 'my @x; for (1..{mib}) {{ push @x, \"x\" x (1 << 20); \
                     select undef, undef, undef, 0.005 }}'"
                )
            };
            let ended = limited(tier, limits.clone(), &fills(600));
            let Some(Excess::Memory { used, most }) = ended.exceeded else {
                panic!("{tier:?}: {:?} {}", ended.exit, ended.stderr)
            };
            assert!(used >= most && most == 256 << 20, "{used}");
            let ended = limited(tier, limits.clone(), &fills(100));
            assert_eq!((ended.exceeded, ended.exit), (None, Exit::Code(0)), "{tier:?}");
            // At once, before anybody looks.
            let ended = limited(tier, limits, "perl -e 'my $x = \"x\" x (600 << 20)'");
            assert_ne!(ended.exit, Exit::Code(0), "{tier:?}");
        }
    });
}

#[test]
fn a_session_that_takes_too_long_is_ended() {
    as_each_user(|| {
        for tier in BOTH {
            let second = Duration::from_secs(1);
            let limits = Limits { cpu_time: Some(second), ..Limits::default() };
            let ended = limited(tier, limits.clone(), "sh -c 'while :; do :; done'");
            let Some(Excess::CpuTime { used, .. }) = ended.exceeded else { panic!("{tier:?}") };
            assert!(used >= second, "{used:?}");
            assert_eq!(limited(tier, limits, "sleep 2").exceeded, None, "{tier:?}");
            let limits = Limits { wall_time: Some(second), ..Limits::default() };
            let ended = limited(tier, limits, "sleep 30");
            assert_eq!(ended.exceeded, Some(Excess::WallTime { most: second }), "{tier:?}");
        }
    });
}

#[test]
fn open_files_are_bounded_for_each_process() {
    as_each_user(|| {
        for tier in BOTH {
            let limits = Limits { open_files: Some(128), ..Limits::default() };
            let script = "ulimit -n; ulimit -n 4096 2>/dev/null || echo refused";
            assert_eq!(limited(tier, limits, script).stdout, "128\nrefused\n", "{tier:?}");
        }
    });
}

#[test]
fn shared_memory_has_a_size_of_its_own() {
    let limits = Limits { memory: Some(256 << 20), ..Limits::default() };
    let ended = limited(Tier::Full, limits, "df -k --output=size /dev/shm | tail -n 1");
    assert_eq!(ended.stdout.trim(), (256 << 10).to_string());
}
