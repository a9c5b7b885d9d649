//! How sessions end: nothing of them is left, whoever goes first.

use crate::world::{BOTH, World, arguments, as_each_user, exclusive, session};
use chaperone_sandbox::{Answer, Exit, Stdio, Stream, Tier, launch};
use std::cell::OnceCell;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio as Pipes};

/// Whether a process with this argument exists.
fn exists(argument: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    })
}

/// A number of seconds that no other process sleeps.
fn unique_nap() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", 10_000 + std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn the_status_of_the_agent_is_the_sessions() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            assert_eq!(world.sh("exit 42").exit, Exit::Code(42));
            assert_eq!(world.sh("kill -TERM $$").exit, Exit::Signal(libc::SIGTERM));
        }
    });
}

#[test]
fn what_the_agent_leaves_behind_is_named_and_ended() {
    as_each_user(|| {
        for tier in BOTH {
            let nap = unique_nap();
            let script =
                format!("setsid sleep {nap} & setsid sh -c 'sleep {nap} & wait' & echo gone");
            let ended = World::new(tier).sh(&script);
            assert_eq!((ended.exit, ended.stdout.as_str()), (Exit::Code(0), "gone\n"));
            assert!(!ended.left.is_empty());
            assert!(!exists(&nap), "{tier:?}");
        }
    });
}

#[test]
fn a_session_that_is_dropped_leaves_nothing() {
    as_each_user(|| {
        for tier in BOTH {
            let _one_at_a_time = exclusive();
            let world = World::new(tier);
            let (mut reader, stdio) = piped();
            let session = launch(None, &world.plan, &arguments(&["sleep", "1000"]), stdio)
                .unwrap()
                .settle()
                .unwrap();
            drop(session);
            // Nobody holds the other end any more.
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    });
}

/// Streams whose reader sees their end when every process of the session has gone.
fn piped() -> (std::io::PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    let to = |fd: OwnedFd| Stream::To(fd);
    let stdio = Stdio {
        terminal: None,
        stdin: to(fs::File::open("/dev/null").unwrap().into()),
        stdout: to(writer.try_clone().unwrap().into()),
        stderr: to(writer.into()),
    };
    (reader, stdio)
}

#[test]
fn a_session_is_ended_from_another_thread() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let nap = unique_nap();
            let command = ["sh", "-c", &format!("sleep {nap} & sleep {nap}; true")];
            let control = OnceCell::new();
            let mut naps = 0;
            let ended = session(
                &world.plan,
                &command,
                |_, given| control.set(given).unwrap(),
                |_, exec| {
                    naps += u32::from(exec.command.argv[0] == "sleep");
                    if naps == 2 {
                        control.get().unwrap().terminate();
                    }
                    Answer::Allow
                },
            );
            assert_eq!(ended.exit, Exit::Signal(libc::SIGKILL));
            assert!(!exists(&nap), "{tier:?}");
        }
    });
}

#[test]
fn a_signal_reaches_the_agent() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let control = OnceCell::new();
            let script = "trap 'echo told; exit 3' TERM; /bin/true; while :; do :; done";
            let ended = session(
                &world.plan,
                &["sh", "-c", script],
                |_, given| control.set(given).unwrap(),
                |_, exec| {
                    if exec.command.argv[0] == "/bin/true" {
                        control.get().unwrap().signal(libc::SIGTERM);
                    }
                    Answer::Allow
                },
            );
            assert_eq!((ended.exit, ended.stdout.as_str()), (Exit::Code(3), "told\n"));
        }
    });
}

#[test]
fn a_killed_supervisor_takes_its_session_with_it() {
    as_each_user(|| {
        for tier in BOTH {
            let exe = std::env::current_exe().unwrap();
            let mut supervisor = Command::new(exe)
                .env(crate::attempt::VARIABLE, format!("supervise-{tier:?}"))
                .stdout(Pipes::piped())
                .process_group(0)
                .spawn()
                .unwrap();
            let mut output = BufReader::new(supervisor.stdout.take().unwrap());
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "running\n");
            supervisor.kill().unwrap();
            supervisor.wait().unwrap();
            // Its pipe ends when the last process that holds it has gone.
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "", "{tier:?}");
        }
    });
}

/// What the supervisor of the test above does, until it is killed.
pub(crate) fn supervise(tier: Tier) -> std::io::Result<()> {
    let world = World::new(tier);
    let to = |fd: i32| {
        // SAFETY: takes numbers, and the copy is ours.
        Stream::To(unsafe { std::os::fd::FromRawFd::from_raw_fd(libc::dup(fd)) })
    };
    let stdio = Stdio { terminal: None, stdin: to(0), stdout: to(1), stderr: to(2) };
    let script = "setsid sh -c 'trap \"\" TERM HUP INT; while :; do :; done' & \
                  (trap '' HUP; while :; do :; done) & echo running; while :; do :; done";
    let session = launch(None, &world.plan, &arguments(&["sh", "-c", script]), stdio)
        .unwrap()
        .settle()
        .unwrap();
    let rule = |_, _: &_| Answer::Allow;
    let mut judge = crate::world::Log {
        rule,
        execs: vec![],
        refused: vec![],
        withdrawn: vec![],
        exceeded: None,
        covered: vec![],
    };
    session.run(&mut judge).map(drop).map_err(|error| error.source)
}
