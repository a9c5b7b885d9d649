//! The session's own terminal.

use crate::world::{BOTH, World, arguments, as_each_user, exclusive};
use chaperone_sandbox::{
    ActionId, Answer, Control, Excess, Exit, Judge, ObservedExec, Stdio, Stream, Target,
    TerminalSize, launch,
};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A judge that allows everything and says when the agent is stopped.
struct Stops(Sender<()>);

impl Judge for Stops {
    fn exec(&mut self, _: ActionId, _: &ObservedExec) -> Answer {
        Answer::Allow
    }
    fn unreadable(&mut self, _: i32, _: &str) {}
    fn write(&mut self, _: i32, _: &Path) {}
    fn connect(&mut self, _: i32, _: &Target) {}
    fn withdrawn(&mut self, _: ActionId) {}
    fn stopped(&mut self) {
        self.0.send(()).unwrap();
    }
    fn exceeded(&mut self, _: &Excess) {}
    fn ended(&mut self) {}
}

/// The supervisor's end of a terminal, as a person would use it.
struct Person {
    terminal: File,
    seen: String,
    stops: Receiver<()>,
    control: Control,
}

impl Person {
    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this has appeared since the last time; false if the terminal hangs up first.
    fn sees(&mut self, text: &str) -> bool {
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return true;
            }
            let mut bytes = [0; 4096];
            match self.terminal.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.seen += &String::from_utf8_lossy(&bytes[..count]),
            }
        }
    }
}

/// Runs a command on a terminal with somebody before it.
fn on_terminal(
    world: &World,
    command: &[&str],
    person: impl FnOnce(Person) + Send + 'static,
) -> Exit {
    let _one_at_a_time = exclusive();
    let stdio = Stdio {
        terminal: Some(TerminalSize { rows: 24, columns: 80 }),
        stdin: Stream::Terminal,
        stdout: Stream::Terminal,
        stderr: Stream::Terminal,
    };
    let mut session =
        launch(None, &world.plan, &arguments(command), stdio).unwrap().settle().unwrap();
    let (sender, stops) = channel();
    let terminal = File::from(session.take_terminal().unwrap());
    let control = session.control();
    let before = std::thread::spawn(move || {
        person(Person { terminal, seen: String::new(), stops, control })
    });
    let outcome = session.run(&mut Stops(sender)).unwrap();
    before.join().unwrap();
    outcome.exit
}

#[test]
fn the_agent_has_a_terminal_of_its_own() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            // What guards names carries these opens out, and is no process of the session.
            world.plan.guarded = vec![format!("{}/guarded", world.workspace.display())];
            let script = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; \
                          echo direct > /dev/tty; echo plain >> /dev/stdout; \
                          (exec 3> /dev/fd/2; echo third >&3); \
                          echo piped | tee /dev/stderr | cat > /dev/null";
            let exit = on_terminal(&world, &["sh", "-c", script], move |mut person| {
                assert!(person.sees("/dev/pts/"));
                if tier == chaperone_sandbox::Tier::Full {
                    assert!(person.sees("0\r\n"));
                }
                assert!(person.sees("24 80\r\n"));
                assert!(person.sees("all\r\n"));
                for line in ["direct", "plain", "third", "piped"] {
                    assert!(person.sees(&format!("{line}\r\n")), "{line}");
                }
            });
            assert_eq!(exit, Exit::Code(0));
        }
    });
}

#[test]
fn ctrl_z_stops_the_agent_and_it_goes_on() {
    as_each_user(|| {
        for tier in BOTH {
            let exit = on_terminal(&World::new(tier), &["cat"], |mut person| {
                person.types("one\n");
                assert!(person.sees("one\r\none\r\n"));
                for text in ["two", "three"] {
                    person.types("\x1a");
                    person.stops.recv().unwrap();
                    person.control.resume();
                    person.types(&format!("{text}\n"));
                    assert!(person.sees(&format!("{text}\r\n{text}\r\n")));
                }
                person.types("\x04");
            });
            assert_eq!(exit, Exit::Code(0), "{tier:?}");
        }
    });
}

#[test]
fn ctrl_c_and_hangup_end_the_agent() {
    as_each_user(|| {
        for tier in BOTH {
            let exit = on_terminal(&World::new(tier), &["cat"], |mut person| {
                person.types("here\n");
                assert!(person.sees("here\r\nhere\r\n"));
                person.types("\x03");
            });
            assert_eq!(exit, Exit::Signal(libc::SIGINT), "{tier:?}");
        }
    });
}

#[test]
fn a_resize_reaches_the_agent() {
    as_each_user(|| {
        for tier in BOTH {
            let script = "trap 'stty size; exit' WINCH; echo ready; while :; do :; done";
            let exit = on_terminal(&World::new(tier), &["sh", "-c", script], |mut person| {
                assert!(person.sees("ready"));
                person.control.resize(TerminalSize { rows: 50, columns: 132 });
                assert!(person.sees("50 132\r\n"));
            });
            assert_eq!(exit, Exit::Code(0));
        }
    });
}

#[test]
fn a_shell_on_the_terminal_controls_its_jobs() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            world.plan.environment.insert("PS1".into(), "> ".into());
            let exit = on_terminal(&world, &["sh", "-i"], |mut person| {
                assert!(person.sees("> "));
                person.types("cat\n");
                assert!(person.sees("cat\r\n"));
                person.types("in cat\n");
                assert!(person.sees("in cat\r\nin cat\r\n"));
                person.types("\x1a");
                assert!(person.sees("Stopped") && person.sees("> "));
                person.types("fg\n");
                assert!(person.sees("fg\r\ncat\r\n"));
                person.types("again\n");
                assert!(person.sees("again\r\nagain\r\n"));
                person.types("\x04");
                person.types("exit 5\n");
            });
            assert_eq!(exit, Exit::Code(5), "{tier:?}");
        }
    });
}
