//! Commands judged at exec: what is seen, what a refusal looks like, and what cannot race it.

use crate::world::{BOTH, Ended, World, as_each_user, session};
use chaperone_sandbox::{ActionId, Answer, Exit, ObservedExec, Tier};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;

fn deny(message: &str) -> Answer {
    Answer::Deny { message: message.into() }
}

/// Denies programs of this name.
fn all_but(name: &'static str) -> impl FnMut(&ObservedExec) -> Answer {
    move |exec| match exec.command.executable.file_name() {
        Some(file) if file == name => deny("chaperone: not this one."),
        _ => Answer::Allow,
    }
}

#[test]
fn a_denied_command_says_why_and_ends_with_126() {
    as_each_user(|| {
        for tier in BOTH {
            let ended = World::new(tier).judged(
                &["sh", "-c", "echo before; ls / ; echo status $?; true && echo after"],
                all_but("ls"),
            );
            assert_eq!(ended.exit, Exit::Code(0));
            assert_eq!(ended.stdout, "before\nstatus 126\nafter\n");
            assert_eq!(ended.stderr, "chaperone: not this one.\n");
            assert_eq!(ended.execs[1], ["ls", "/"]);
        }
    });
}

#[test]
fn the_main_command_is_judged_like_any_other() {
    as_each_user(|| {
        for tier in BOTH {
            let ended = World::new(tier).judged(&["ls", "-l"], all_but("ls"));
            assert_eq!(ended.exit, Exit::Code(126));
            assert_eq!(ended.stdout, "");
        }
    });
}

#[test]
fn a_command_that_cannot_start_ends_as_in_a_shell() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let ended = world.run(&["no-such-command"]);
            assert_eq!(ended.exit, Exit::Code(127));
            assert_eq!(ended.stderr, "chaperone: no-such-command: command not found\n");
            world.file("data", "not a program");
            assert_eq!(world.run(&["./data"]).exit, Exit::Code(126));
            assert_eq!(world.run(&["./absent"]).exit, Exit::Code(127));
            // A script that does not say what runs it is run by the shell.
            let script = world.file("script", "echo ran $1\n");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            let ended = world.run(&["./script", "it"]);
            assert_eq!((ended.exit, ended.stdout.as_str()), (Exit::Code(0), "ran it\n"));
        }
    });
}

#[test]
fn what_is_judged_is_what_the_kernel_runs() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            let script = world.file("tool", "#!/bin/sh -e\nexit 7\n");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            world.plan.environment.insert("GIT_DIR".into(), "/elsewhere".into());
            let mut seen = Vec::new();
            let ended = world.judged(&["sh", "-c", "true; ./tool 'a b'"], |exec| {
                seen.push((exec.command.clone(), exec.ancestors()));
                Answer::Allow
            });
            assert_eq!(ended.exit, Exit::Code(7));
            let (command, ancestors) = seen.pop().unwrap();
            let shell = Path::new("/bin/sh").canonicalize().unwrap();
            assert_eq!(command.executable, shell);
            assert_eq!(command.exec_name, Path::new("./tool"));
            assert_eq!(command.argv, ["/bin/sh", "-e", "./tool", "a b"]);
            assert_eq!(command.cwd, world.workspace);
            assert_eq!(command.environment, [("GIT_DIR".to_owned(), "/elsewhere".to_owned())]);
            // The shell may have turned into its last command.
            assert!(ancestors.len() <= 1);
        }
    });
}

#[test]
fn the_processes_above_a_command_are_named() {
    as_each_user(|| {
        for tier in BOTH {
            let mut above = Vec::new();
            let script = "sh -c 'ls; true'; true";
            World::new(tier).judged(&["sh", "-c", script], |exec| {
                if exec.command.argv == ["ls"] {
                    above = exec.ancestors().into_iter().map(|ancestor| ancestor.argv0).collect();
                }
                Answer::Allow
            });
            assert_eq!(above, ["sh", "sh"], "{tier:?}");
        }
    });
}

#[test]
fn a_failed_search_of_path_is_no_command() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            world.file("not-executable/true", "");
            let path = format!(
                "/no/such:{}/not-executable:/nor/this:/usr/bin:/bin",
                world.workspace.display()
            );
            let ended = world.run(&["env", &format!("PATH={path}"), "env", "true"]);
            assert_eq!(ended.exit, Exit::Code(0), "{}", ended.stderr);
            let names: Vec<_> = ended.execs.iter().map(|argv| argv[0].as_str()).collect();
            assert_eq!(names, ["env", "env", "true"]);
            // Signals and stops reach a thread whose exec has failed.
            let ended = world.sh(
                "trap 'echo caught' USR1; PATH=/no/such; nothing; /bin/kill -USR1 $$; nothing; \
                 /bin/sh -c 'kill -STOP $$' & sleep() { /bin/sleep $1; }; \
                 until /bin/grep -q 'State:.*T' /proc/$!/status; do :; done; kill -CONT $!; \
                 wait $!; echo $?",
            );
            assert_eq!(ended.stdout, "caught\n0\n", "{}", ended.stderr);
        }
    });
}

#[test]
fn a_thread_that_is_not_the_leader_is_judged_too() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let ended = world.attempt_whole("exec-from-thread", &["/bin/echo", "from a thread"]);
            assert_eq!(ended.exit, Exit::Code(0));
            assert_eq!(ended.stdout, "from a thread\n");
            assert_eq!(ended.execs[1], ["/bin/echo", "from a thread"]);
        }
    });
}

#[test]
fn rewriting_arguments_during_the_call_never_wins() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            world.plan.environment.insert(crate::attempt::VARIABLE.into(), "race-exec".into());
            let exe = std::env::current_exe().unwrap();
            let ended = world.judged(&[exe.to_str().unwrap()], |exec| {
                match exec.command.argv.get(1).map(String::as_str) {
                    Some("evil") => deny("no"),
                    _ => Answer::Allow,
                }
            });
            let count =
                |word: &str| ended.execs.iter().filter(|argv| argv.last().unwrap() == word).count();
            assert!(!ended.stdout.contains("evil"), "{tier:?}");
            assert_eq!(ended.stdout.matches("good\n").count(), count("good"));
            assert_eq!(ended.stderr.matches("no\n").count(), count("evil"));
            assert_eq!(count("good") + count("evil"), 300);
        }
    });
}

#[test]
fn many_commands_at_once_are_all_judged() {
    as_each_user(|| {
        for tier in BOTH {
            let ended = World::new(tier)
                .sh("loop() { i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done; }; \
                 loop & loop & loop & loop & wait; echo done");
            assert_eq!(ended.stdout, "done\n");
            assert_eq!(ended.execs.len(), 401);
        }
    });
}

#[test]
fn long_arguments_and_environments_are_read_whole() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            let long = "x".repeat(100_000);
            world.plan.environment.insert("GIT_LONG".into(), long.clone());
            let mut seen = None;
            let script = "set -- $(seq 30000); exec true \"$@\"";
            let ended = world.judged(&["bash", "-c", script], |exec| {
                if exec.command.argv[0] == "true" {
                    seen = Some(exec.command.clone());
                }
                Answer::Allow
            });
            assert_eq!(ended.exit, Exit::Code(0), "{}", ended.stderr);
            let command = seen.unwrap();
            assert_eq!((command.argv.len(), command.argv[30_000].as_str()), (30_001, "30000"));
            assert_eq!(command.environment, [("GIT_LONG".to_owned(), long)]);
            assert_eq!(command.exec_name, Path::new("/usr/bin/true"));
        }
    });
}

/// A program of two instructions for the 32-bit calls of x86: `exit(0)`.
#[cfg(target_arch = "x86_64")]
fn program_of_32_bits() -> Vec<u8> {
    let code = [0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80]; // mov eax, 1; xor ebx, ebx; int 0x80
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 3, 0]); // executable, i386
    for word in [1u32, 0x8048000 + 84, 52, 0, 0, 52 | 32 << 16, 1, 0] {
        file.extend(word.to_le_bytes());
    }
    // One part: all of the file, readable and executable.
    let length = (84 + code.len()) as u32;
    for word in [1u32, 0, 0x8048000, 0x8048000, length, length, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_program_does_not_run() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let program = world.workspace.join("old");
            fs::write(&program, program_of_32_bits()).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            assert!(std::process::Command::new(&program).status().unwrap().success());
            let ended = world.sh("./old; echo status $?");
            assert_eq!(ended.stdout, "status 137\n");
            assert_eq!(ended.refused, ["unreadable: it is a 32-bit program"]);
        }
    });
}

/// Runs `ls` behind an answer that `later` gives from another thread.
fn asked(tier: Tier, later: impl FnOnce(i32) -> Option<Answer> + Send + 'static) -> Ended {
    let world = World::new(tier);
    world.file("listed", "");
    let (sender, receiver) = mpsc::channel::<(ActionId, i32)>();
    session(
        &world.plan,
        &["sh", "-c", "ls; echo status $?"],
        |_, control| {
            std::thread::spawn(move || {
                let (id, pid) = receiver.recv().unwrap();
                if let Some(answer) = later(pid) {
                    control.answer(id, answer);
                }
            });
        },
        |id, exec| match exec.command.argv[0].as_str() {
            "ls" => {
                sender.send((id, exec.pid)).unwrap();
                Answer::Wait
            }
            _ => Answer::Allow,
        },
    )
}

fn is_stopped(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("State:\tt")
}

#[test]
fn a_command_that_is_asked_about_waits_for_its_answer() {
    as_each_user(|| {
        for tier in BOTH {
            let ended = asked(tier, |pid| {
                assert!(is_stopped(pid));
                Some(Answer::Allow)
            });
            assert_eq!(ended.stdout, "listed\nstatus 0\n");
            let ended = asked(tier, |_| Some(deny("Ask Ada first.")));
            assert_eq!(
                (ended.stdout.as_str(), ended.stderr.as_str()),
                ("status 126\n", "Ask Ada first.\n")
            );
            assert_eq!(ended.withdrawn, []);
        }
    });
}

/// Writes where a stopped process's arguments begin (proc_pid_stat(5), `arg_start`).
fn write_arguments(pid: i32, text: &[u8]) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let start: usize = fields[45].parse().unwrap();
    let part = |base: *mut libc::c_void| libc::iovec { iov_base: base, iov_len: text.len() };
    let (from, to) = (part(text.as_ptr().cast_mut().cast()), part(start as *mut libc::c_void));
    // SAFETY: what is read is one slice; the kernel checks where it is written.
    let wrote = unsafe { libc::process_vm_writev(pid, &raw const from, 1, &raw const to, 1, 0) };
    assert_eq!(usize::try_from(wrote), Ok(text.len()), "{}", std::io::Error::last_os_error());
}

#[test]
fn a_command_that_changes_while_it_waits_does_not_run() {
    as_each_user(|| {
        for tier in BOTH {
            let ended = asked(tier, |pid| {
                write_arguments(pid, b"xs");
                Some(Answer::Allow)
            });
            assert_eq!(ended.stdout, "status 126\n");
            assert_eq!(ended.refused, ["unreadable: it changed while it waited"]);
        }
    });
}

#[test]
fn a_program_that_cannot_be_traced_is_ended() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let go = world.workspace.join("go");
            let (sender, receiver) = mpsc::channel::<i32>();
            // As a debugger that was there before.
            let tracer = std::thread::spawn(move || {
                let pid = receiver.recv().unwrap();
                // SAFETY: takes numbers; it fails until the other tracer has let go.
                while unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } != 0 {
                    std::thread::yield_now();
                }
                fs::write(go, "").unwrap();
                let mut status = 0;
                // SAFETY: stores an int. Only its tracer reaps it first.
                while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } == pid
                    && libc::WIFSTOPPED(status)
                {
                    // SAFETY: takes numbers.
                    unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) };
                }
            });
            let script = "until [ -e go ]; do :; done; exec echo ran";
            let ended = session(
                &world.plan,
                &["sh", "-c", script],
                |_, _| {},
                |_, exec| {
                    let _ = sender.send(exec.pid);
                    Answer::Allow
                },
            );
            tracer.join().unwrap();
            assert_eq!((ended.stdout.as_str(), ended.exit), ("", Exit::Signal(libc::SIGKILL)));
            assert_eq!(ended.execs.len(), 1);
            let [refused] = &ended.refused[..] else { panic!("{:?}", ended.refused) };
            assert!(refused.starts_with("unreadable: it cannot be traced: "), "{refused}");
        }
    });
}

#[test]
fn an_interrupted_command_needs_no_answer() {
    as_each_user(|| {
        for (tier, signal) in [(Tier::Full, libc::SIGTERM), (Tier::Reduced, libc::SIGKILL)] {
            let ended = asked(tier, move |pid| {
                // SAFETY: takes numbers.
                assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
                None
            });
            assert_eq!(ended.stdout, format!("status {}\n", 128 + signal));
            assert_eq!(ended.withdrawn.len(), 1);
        }
    });
}

#[test]
fn a_program_that_cannot_be_examined_never_runs_unjudged() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let program = world.workspace.join("unreadable");
            fs::copy("/bin/echo", &program).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o111)).unwrap();
            let ended = world.run(&["sh", "-c", "./unreadable ran; echo status $?"]);
            let judged = ended.execs.len() == 2;
            if judged {
                assert_eq!(ended.stdout, "ran\nstatus 0\n");
            } else {
                // Nor can anything be written into it, so it is killed.
                assert_eq!(ended.stdout, "status 137\n");
                assert_eq!(ended.refused.len(), 1, "{:?}", ended.refused);
            }
        }
    });
}
