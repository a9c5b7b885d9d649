//! The transport with real sockets and real processes. Linux only: elsewhere no session talks to
//! anybody yet.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // Helpers of tests are tests.

mod support;

use chaperone_approvals::{
    AnswerMsg, AnswerOutcome, AnswerVerdict, Approvals, Change, Error, Inbox, Outcome, Role, Scope,
    State,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::{allow, answer, asked, deny, push, session};

const BOTH: [Scope; 2] = [Scope::Once, Scope::Session];
/// Long enough for a loaded machine. What is waited for ends the wait.
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn runtime(&self) -> PathBuf {
        self.0.path().join("run")
    }
    fn sessions(&self) -> PathBuf {
        self.runtime().join("sessions")
    }
    fn socket(&self, id: &str) -> PathBuf {
        self.sessions().join(format!("{id}.sock"))
    }
    fn start(&self, id: &str) -> Approvals {
        Approvals::start(session(id), &self.runtime(), &BOTH, MINUTE).unwrap()
    }
    fn start_error(&self, id: &str) -> Error {
        Approvals::start(session(id), &self.runtime(), &BOTH, MINUTE).unwrap_err()
    }
}

/// Asks, and hands out what will be told.
fn ask(approvals: &Approvals, request: chaperone_approvals::NewRequest) -> Receiver<Outcome> {
    let (sender, receiver) = channel();
    approvals.ask(request, move |outcome| sender.send(outcome).unwrap());
    receiver
}

/// A client that writes and reads lines itself, as other versions might.
struct Raw {
    socket: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Raw {
    fn connect(path: &Path) -> Self {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { lines: BufReader::new(socket.try_clone().unwrap()), socket }
    }
    fn hello(path: &Path, role: &str) -> Self {
        let mut raw = Self::connect(path);
        raw.say(&json!({"type": "hello", "version": 1, "role": role}));
        assert_eq!(raw.hear()["type"], "welcome");
        raw
    }
    fn say(&mut self, message: &Value) {
        writeln!(self.socket, "{message}").unwrap();
    }
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the session has closed the connection");
        serde_json::from_str(&line).unwrap()
    }
    /// The next message of this type, past others.
    fn hear_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear();
            if message["type"] == kind {
                return message;
            }
        }
    }
    fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        // A reset also is an end: the session has not read everything.
        self.lines.read_to_end(&mut rest).is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock)
            || rest.is_empty()
    }
}

// ---- one process: the protocol and the inbox

#[test]
fn an_inbox_sees_a_request_answers_it_and_the_asker_is_told() {
    let place = Place::new();
    let approvals = place.start("s1");
    let inbox = Inbox::start(&place.runtime(), Role::Window, |_| {}).unwrap();
    let outcome = ask(&approvals, push());
    let listing = inbox.ready(PATIENCE);
    assert_eq!(listing.sessions[0].info, session("s1"));
    assert_eq!(listing.unreachable, []);

    let msg = AnswerMsg { note: Some("open a pull request".into()), ..deny("s1.1", "mallory") };
    assert_eq!(inbox.answer(&msg), AnswerOutcome::Accepted);
    let told = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!((told.verdict, told.state), (AnswerVerdict::Deny, State::Answered));
    // Who answered is for the session to say.
    assert_eq!(told.words(), "Denied by ada in the window: open a pull request");
}

#[test]
fn every_change_is_told_to_an_inbox_and_sessions_come_and_go() {
    let place = Place::new();
    let (sender, changes) = channel();
    let inbox = Inbox::start(&place.runtime(), Role::Window, move |change| {
        let _ = sender.send(change);
    })
    .unwrap();
    let next = |wanted: fn(&Change) -> bool| loop {
        let change = changes.recv_timeout(PATIENCE).unwrap();
        if wanted(&change) {
            return change;
        }
    };
    let first = place.start("s1");
    assert_eq!(next(|c| matches!(c, Change::Started(_))), Change::Started(session("s1")));
    let second = place.start("s2");
    assert_eq!(next(|c| matches!(c, Change::Started(_))), Change::Started(session("s2")));

    let outcome = ask(&second, push());
    let Change::Request(request) = next(|c| matches!(c, Change::Request(_))) else { panic!() };
    assert_eq!((request.id.as_str(), request.waiting), ("s2.1", true));
    let for_session = answer("s2.1", AnswerVerdict::Allow, Scope::Session, "");
    assert_eq!(inbox.answer(&for_session), AnswerOutcome::Accepted);
    assert_eq!(
        outcome.recv_timeout(PATIENCE).unwrap().approval.unwrap().prefix,
        ["git", "push", "origin"]
    );
    let Change::Request(request) = next(|c| matches!(c, Change::Request(_))) else { panic!() };
    assert_eq!(
        (request.state, request.answer.unwrap().by),
        (State::Answered, "ada in the window".into())
    );
    let Change::Approvals { approvals, .. } =
        next(|c| matches!(c, Change::Approvals { approvals, .. } if !approvals.is_empty()))
    else {
        panic!()
    };
    assert_eq!(approvals, second.approvals());

    assert_eq!(inbox.revoke("s2", "s2.1"), AnswerOutcome::Accepted);
    assert_eq!(second.approvals(), []);
    first.event(json!({"kind": "command"}));
    let event = next(|c| matches!(c, Change::Event { .. }));
    assert_eq!(event, Change::Event { session: "s1".into(), data: json!({"kind": "command"}) });

    second.end();
    let ended = next(|c| matches!(c, Change::Ended { .. }));
    assert_eq!(ended, Change::Ended { session: "s2".into(), silent: false });
    assert_eq!(inbox.sessions().len(), 1);
    assert!(matches!(inbox.answer(&allow("s2.1", "")), AnswerOutcome::Refused { .. }));
}

#[test]
fn of_two_answerers_that_race_one_wins_and_the_other_learns_who() {
    let place = Place::new();
    let approvals = place.start("s1");
    let window = Inbox::start(&place.runtime(), Role::Window, |_| {}).unwrap();
    let terminal = Inbox::start(&place.runtime(), Role::Terminal, |_| {}).unwrap();
    window.ready(PATIENCE);
    terminal.ready(PATIENCE);
    for round in 1..=40 {
        let outcome = ask(&approvals, asked(&["git", "push", &round.to_string()]));
        let id = format!("s1.{round}");
        let (by_window, by_terminal) = std::thread::scope(|scope| {
            let a = scope.spawn(|| window.answer(&allow(&id, "")));
            let b = scope.spawn(|| terminal.answer(&deny(&id, "")));
            (a.join().unwrap(), b.join().unwrap())
        });
        let told = outcome.recv_timeout(PATIENCE).unwrap();
        let loser = match told.verdict {
            AnswerVerdict::Allow => {
                assert_eq!(
                    (&by_window, told.by.as_str()),
                    (&AnswerOutcome::Accepted, "ada in the window")
                );
                by_terminal
            }
            AnswerVerdict::Deny => {
                assert_eq!(
                    (&by_terminal, told.by.as_str()),
                    (&AnswerOutcome::Accepted, "ada in another terminal")
                );
                by_window
            }
        };
        let AnswerOutcome::Late { by, verdict, .. } = loser else { panic!("{loser:?}") };
        assert_eq!((by, verdict), (told.by, told.verdict));
    }
}

#[test]
fn what_is_settled_before_an_answer_is_taken_counts_and_the_answer_comes_too_late() {
    let place = Place::new();
    let approvals = Arc::new(place.start("s1"));
    let (sender, changes) = channel();
    let inbox = Inbox::start(&place.runtime(), Role::Window, move |change| {
        let _ = sender.send(change);
    })
    .unwrap();
    inbox.ready(PATIENCE);
    let weak = Arc::downgrade(&approvals);
    approvals.before_answers(move || {
        if let Some(approvals) = weak.upgrade() {
            approvals.answer(&deny("s1.1", "the policy"));
        }
    });
    let outcome = ask(&approvals, push());
    while !matches!(changes.recv_timeout(PATIENCE).unwrap(), Change::Request(_)) {}
    let late = inbox.answer(&allow("s1.1", ""));
    assert_eq!(late.to_string(), "Too late: the policy had denied it already.");
    let told = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!((told.verdict, told.by.as_str()), (AnswerVerdict::Deny, "the policy"));
}

#[test]
fn a_request_that_nobody_answers_expires_by_itself() {
    let place = Place::new();
    let soon = Duration::from_millis(20);
    let approvals = Approvals::start(session("s1"), &place.runtime(), &BOTH, soon).unwrap();
    let told = ask(&approvals, push()).recv_timeout(PATIENCE).unwrap();
    assert_eq!((told.verdict, told.state), (AnswerVerdict::Deny, State::Expired));
}

#[test]
fn a_withdrawn_asker_is_told_nothing_and_the_card_says_that_it_has_moved_on() {
    let place = Place::new();
    let approvals = place.start("s1");
    let mut raw = Raw::hello(&place.socket("s1"), "window");
    let (sender, outcome) = channel();
    let ticket = approvals.ask(push(), move |outcome| sender.send(outcome).unwrap());
    approvals.withdraw(ticket);
    let message = raw.hear_of("withdrawn");
    assert_eq!(
        (&message["request"]["waiting"], &message["request"]["state"]),
        (&json!(false), &json!("withdrawn"))
    );
    assert!(outcome.recv_timeout(PATIENCE).is_err(), "the callback was called");
    raw.say(&json!({"type": "answer", "request": "s1.1", "verdict": "allow", "tag": 5}));
    let reply = raw.hear_of("reply");
    assert_eq!(
        (&reply["outcome"], &reply["state"], &reply["tag"]),
        (&json!("late"), &json!("withdrawn"), &json!(5))
    );
}

#[test]
fn the_end_denies_what_waits_and_removes_the_socket() {
    let place = Place::new();
    let approvals = place.start("s1");
    let mut raw = Raw::hello(&place.socket("s1"), "terminal");
    let outcome = ask(&approvals, push());
    approvals.end();
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().verdict, AnswerVerdict::Deny);
    assert_eq!(raw.hear_of("ended"), json!({"type": "ended"}));
    assert_eq!(std::fs::read_dir(place.sessions()).unwrap().count(), 0);
    // Who asks after the end is denied, too.
    assert_eq!(
        ask(&approvals, push()).recv_timeout(PATIENCE).unwrap().verdict,
        AnswerVerdict::Deny
    );
}

#[test]
fn a_callback_that_panics_leaves_nobody_waiting() {
    let place = Place::new();
    let approvals = place.start("s1");
    approvals.ask(push(), |_| panic!("this panic is part of the test"));
    let other = ask(&approvals, asked(&["npm", "publish"]));
    approvals.answer(&allow("s1.1", "ada"));
    assert_eq!(other.recv_timeout(PATIENCE).unwrap().verdict, AnswerVerdict::Deny);
    assert_eq!(
        ask(&approvals, push()).recv_timeout(PATIENCE).unwrap().verdict,
        AnswerVerdict::Deny
    );
}

#[test]
fn somebody_attends_while_a_window_or_terminal_is_connected() {
    let place = Place::new();
    let approvals = place.start("s1");
    let (sender, attendance) = channel();
    approvals.on_attendance(move |attended| sender.send(attended).unwrap());
    let looker = Raw::hello(&place.socket("s1"), "list");
    assert!(!approvals.attended());
    let window = Raw::hello(&place.socket("s1"), "window");
    assert!(attendance.recv_timeout(PATIENCE).unwrap());
    assert!(approvals.attended());
    drop(looker);
    drop(window);
    assert!(!attendance.recv_timeout(PATIENCE).unwrap());
    assert!(!approvals.attended());
}

// ---- versions

#[test]
fn a_newer_client_is_served_and_told_what_is_not_known_here() {
    let place = Place::new();
    let approvals = place.start("s1");
    let mut raw = Raw::connect(&place.socket("s1"));
    raw.say(&json!({"type": "hello", "version": 7, "role": "watch", "theme": "dark"}));
    let welcome = raw.hear();
    assert_eq!((&welcome["type"], &welcome["version"]), (&json!("welcome"), &json!(1)));
    assert!(!approvals.attended(), "nobody sits in front of a role that is not known");
    raw.say(&json!({"type": "snooze", "minutes": 5}));
    assert_eq!(raw.hear(), json!({"type": "unknown", "of": "snooze", "version": 1}));

    let outcome = ask(&approvals, push());
    assert_eq!(raw.hear()["type"], "request");
    raw.say(
        &json!({"type": "answer", "request": "s1.1", "verdict": "allow", "scope": "workspace"}),
    );
    let reply = raw.hear();
    assert_eq!((&reply["type"], &reply["outcome"]), (&json!("reply"), &json!("refused")));
    raw.say(&json!({"type": "answer", "request": "s1.1", "verdict": "allow", "until": "noon"}));
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().verdict, AnswerVerdict::Allow);
}

#[test]
fn the_oldest_client_is_served() {
    let place = Place::new();
    let approvals = place.start("s1");
    let outcome = ask(&approvals, push());
    let mut raw = Raw::connect(&place.socket("s1"));
    raw.say(&json!({"type": "hello", "role": "terminal"}));
    assert_eq!(raw.hear()["requests"][0]["id"], "s1.1");
    raw.say(&json!({"type": "answer", "request": "s1.1", "verdict": "deny"}));
    assert_eq!(raw.hear_of("reply")["outcome"], "accepted");
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().verdict, AnswerVerdict::Deny);
}

// ---- clients that misbehave

#[test]
fn what_is_not_a_message_is_answered_and_in_the_end_sent_away() {
    let place = Place::new();
    let _approvals = place.start("s1");
    let mut raw = Raw::hello(&place.socket("s1"), "terminal");
    for broken in ["{", "7", "{\"type\":\"answer\"}", "\u{1}"] {
        writeln!(raw.socket, "{broken}").unwrap();
        assert_eq!(raw.hear()["type"], "problem");
    }
    for _ in 0..20 {
        let _ = writeln!(raw.socket, "x");
    }
    assert!(raw.hear_of("goodbye")["reason"].as_str().unwrap().contains("not messages"));
    assert!(raw.is_closed());
}

#[test]
fn without_a_hello_nothing_is_answered() {
    let place = Place::new();
    let approvals = place.start("s1");
    let outcome = ask(&approvals, push());
    let mut raw = Raw::connect(&place.socket("s1"));
    raw.say(&json!({"type": "answer", "request": "s1.1", "verdict": "allow"}));
    assert_eq!(raw.hear()["type"], "goodbye");
    assert!(raw.is_closed());
    approvals.end();
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().verdict, AnswerVerdict::Deny);
}

#[test]
fn a_line_without_end_is_cut_off() {
    let place = Place::new();
    let _approvals = place.start("s1");
    let mut raw = Raw::hello(&place.socket("s1"), "terminal");
    let _ = raw.socket.write_all(&vec![b'x'; 128 * 1024]);
    assert!(raw.hear_of("goodbye")["reason"].as_str().unwrap().contains("too long"));
}

#[test]
fn slow_silent_and_half_written_clients_hold_nobody_up() {
    let place = Place::new();
    let approvals = place.start("s1");
    // One never says anything, one stops in the middle of a line, one never reads.
    let _silent = Raw::connect(&place.socket("s1"));
    let mut half = Raw::hello(&place.socket("s1"), "terminal");
    half.socket.write_all(b"{\"type\":\"answer\",\"request\":\"s1.1\",\"verd").unwrap();
    let deaf = Raw::hello(&place.socket("s1"), "window");
    let text = "x".repeat(100_000);
    for _ in 0..100 {
        approvals.event(json!({ "text": text }));
    }
    let outcome = ask(&approvals, push());
    let mut raw = Raw::hello(&place.socket("s1"), "window");
    raw.say(&json!({"type": "answer", "request": "s1.1", "verdict": "allow"}));
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().verdict, AnswerVerdict::Allow);
    // Who reads late has missed events, not what became of the request.
    let mut deaf = deaf;
    assert_eq!(deaf.hear_of("request")["request"]["id"], "s1.1");
    assert_eq!(deaf.hear_of("answered")["request"]["id"], "s1.1");
}

#[test]
fn only_so_many_are_served_at_a_time_and_a_free_place_is_given_again() {
    let place = Place::new();
    let _approvals = place.start("s1");
    let mut all: Vec<Raw> = (0..32).map(|_| Raw::hello(&place.socket("s1"), "list")).collect();
    let mut late = Raw::connect(&place.socket("s1"));
    assert!(late.hear_of("goodbye")["reason"].as_str().unwrap().contains("Too many"));
    assert!(late.is_closed());
    all.pop();
    // The session learns of the free place in its own time.
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let mut raw = Raw::connect(&place.socket("s1"));
        let _ = writeln!(raw.socket, "{}", json!({"type": "hello", "role": "list"}));
        if raw.hear()["type"] == "welcome" {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the place was never given again");
    }
}

// ---- the folder

#[test]
fn the_folder_and_what_is_in_it_are_the_users_alone() {
    let place = Place::new();
    let _approvals = place.start("s1");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&place.runtime()), 0o700);
    assert_eq!(mode(&place.sessions()), 0o700);
    assert_eq!(mode(&place.socket("s1")), 0o600);
    assert_eq!(mode(&place.sessions().join("s1.json")), 0o600);
}

#[test]
fn a_folder_that_others_can_read_is_closed_and_one_that_they_can_write_is_refused() {
    let place = Place::new();
    std::fs::create_dir(place.runtime()).unwrap();
    std::fs::set_permissions(place.runtime(), PermissionsExt::from_mode(0o755)).unwrap();
    drop(place.start("s1"));
    assert_eq!(std::fs::metadata(place.runtime()).unwrap().mode() & 0o777, 0o700);
    for folder in [place.runtime(), place.sessions()] {
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
        let error = place.start_error("s1").to_string();
        assert!(error.contains("others can write in this folder"), "{error}");
        let error = Inbox::list(&place.runtime(), PATIENCE).unwrap_err().to_string();
        assert!(error.contains("others can write in this folder"), "{error}");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_symbolic_link_in_place_of_the_folder_is_refused() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), place.runtime()).unwrap();
    assert!(place.start_error("s1").to_string().contains("symbolic link"));
    std::fs::remove_file(place.runtime()).unwrap();
    std::fs::create_dir(place.runtime()).unwrap();
    symlink(elsewhere.path(), place.sessions()).unwrap();
    assert!(place.start_error("s1").to_string().contains("symbolic link"));
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_path_that_does_not_fit_says_what_to_do() {
    let place = Place::new();
    let deep = place.0.path().join("d".repeat(100));
    let error = Approvals::start(session("s1"), &deep, &BOTH, MINUTE).unwrap_err();
    assert!(matches!(&error, Error::PathTooLong { limit: 107, .. }), "{error:?}");
    assert!(error.to_string().contains("set XDG_RUNTIME_DIR to a shorter folder"), "{error}");
}

#[test]
fn a_session_name_that_is_no_file_name_is_refused() {
    let place = Place::new();
    for id in ["", "../s1", "a.b", "a/b", "ä"] {
        assert!(matches!(place.start_error(id), Error::SessionName(_)), "{id}");
    }
}

#[test]
fn a_name_that_a_live_session_has_is_refused_and_its_socket_stays() {
    let place = Place::new();
    let _approvals = place.start("s1");
    let error = place.start_error("s1").to_string();
    assert!(error.contains("the session cannot be entered here"), "{error}");
    Raw::hello(&place.socket("s1"), "list");
}

// ---- several processes: the test's own executable plays them

/// Starts this executable in a role of [`actor`].
struct Actor {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

fn actor_command(exe: &Path, role: &str, socket_or_runtime: &Path, id: &str) -> Command {
    let mut command = Command::new(exe);
    command
        .args(["--exact", "actor", "--ignored", "--nocapture", "--test-threads=1"])
        .env("ACTOR", role)
        .env("ACTOR_PATH", socket_or_runtime)
        .env("ACTOR_ID", id)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

impl Actor {
    fn start(role: &str, path: &Path, id: &str) -> Self {
        Self::of(actor_command(&std::env::current_exe().unwrap(), role, path, id))
    }
    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let hears = child.stdin.take();
        Self { child, says, hears }
    }
    /// What it says next, past what the test harness prints.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "the actor has ended");
            // The harness prints the test's name on the same line first.
            if let Some((_, said)) = line.split_once("SAYS ") {
                return said.trim_end().to_owned();
            }
        }
    }
    fn tell(&mut self, words: &str) {
        writeln!(self.hears.as_mut().unwrap(), "{words}").unwrap();
    }
    fn kill(&mut self) {
        self.child.kill().unwrap(); // SIGKILL
        self.child.wait().unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(words: &str) {
    println!("SAYS {words}");
    std::io::stdout().flush().unwrap();
}

/// Not a test of its own: what the processes of the tests below do.
#[test]
#[ignore = "the other tests start it in processes of their own"]
fn actor() {
    let Ok(role) = std::env::var("ACTOR") else { return };
    let path = PathBuf::from(std::env::var_os("ACTOR_PATH").unwrap());
    let id = std::env::var("ACTOR_ID").unwrap();
    match role.as_str() {
        "supervisor" => supervise(&path, &id),
        "client" => client(&path),
        "lister" => {
            let listing = Inbox::list(&path, PATIENCE).unwrap();
            let reasons: Vec<_> = listing.unreachable.iter().map(|u| u.reason.as_str()).collect();
            say(&format!("{} sessions; {}", listing.sessions.len(), reasons.join("; ")));
        }
        "filtered client" => {
            let filter = seccompiler::SeccompFilter::new(
                std::iter::empty().collect(),
                seccompiler::SeccompAction::Allow,
                seccompiler::SeccompAction::Errno(1),
                std::env::consts::ARCH.try_into().unwrap(),
            )
            .unwrap();
            let program: seccompiler::BpfProgram = filter.try_into().unwrap();
            seccompiler::apply_filter_all_threads(&program).unwrap();
            client(&path);
        }
        other => panic!("no such actor: {other}"),
    }
}

/// A supervisor that does as it is told on its standard input.
fn supervise(runtime: &Path, id: &str) {
    let approvals = Approvals::start(session(id), runtime, &BOTH, MINUTE).unwrap();
    approvals.on_attendance(|attended| say(&format!("attended {attended}")));
    say("ready");
    for line in std::io::stdin().lines() {
        match line.unwrap().split_once(' ').unwrap() {
            ("ask", _) => {
                approvals
                    .ask(push(), |outcome| say(&format!("{} by {}", outcome.verdict, outcome.by)));
                say("asked");
            }
            ("requests", _) => {
                let waiting = approvals.requests().iter().filter(|r| r.waiting).count();
                say(&format!("{waiting} waiting, attended {}", approvals.attended()));
            }
            // A process of the session, which this one supervises.
            (role @ ("client" | "lister"), path) => {
                let mut child = Actor::start(role, Path::new(path), id);
                say(&format!("my child: {}", child.hear()));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Connects as a window, says what it is told first, and stays until it is killed.
fn client(socket: &Path) {
    let Ok(stream) = UnixStream::connect(socket) else { return say("not even connected") };
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    // A session that refuses has perhaps closed already.
    let _ = writeln!(&stream, "{}", json!({"type": "hello", "version": 1, "role": "window"}));
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let message: Value = serde_json::from_str(&line).unwrap();
    say(&match message["reason"].as_str() {
        Some(reason) => format!("{}: {reason}", message["type"].as_str().unwrap()),
        None => message["type"].as_str().unwrap().to_owned(),
    });
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_killed_window_leaves_the_request_open_for_another() {
    let place = Place::new();
    let mut supervisor = Actor::start("supervisor", &place.runtime(), "s1");
    assert_eq!(supervisor.hear(), "ready");
    let mut window = Actor::start("client", &place.socket("s1"), "");
    assert_eq!(window.hear(), "welcome");
    assert_eq!(supervisor.hear(), "attended true");
    supervisor.tell("ask -");
    assert_eq!(supervisor.hear(), "asked");
    window.kill();
    assert_eq!(supervisor.hear(), "attended false");
    supervisor.tell("requests -");
    assert_eq!(supervisor.hear(), "1 waiting, attended false");

    let inbox = Inbox::start(&place.runtime(), Role::List, |_| {}).unwrap();
    inbox.ready(PATIENCE);
    assert_eq!(inbox.answer(&allow("s1.1", "")), AnswerOutcome::Accepted);
    assert_eq!(supervisor.hear(), "allow by ada on the command line");
}

#[test]
fn what_a_session_started_is_refused_and_what_is_beside_it_is_not() {
    let place = Place::new();
    let mut supervisor = Actor::start("supervisor", &place.runtime(), "s1");
    assert_eq!(supervisor.hear(), "ready");
    let socket = place.socket("s1");
    supervisor.tell(&format!("client {}", socket.display()));
    let child = supervisor.hear();
    assert!(child.starts_with("my child: goodbye: You are inside a session"), "{child}");

    let mut beside = Actor::start("client", &socket, "");
    assert_eq!(beside.hear(), "welcome");
}

#[test]
fn a_command_that_is_run_inside_a_session_is_told_why_it_sees_nothing() {
    let place = Place::new();
    let mut supervisor = Actor::start("supervisor", &place.runtime(), "s1");
    assert_eq!(supervisor.hear(), "ready");
    supervisor.tell(&format!("lister {}", place.runtime().display()));
    let child = supervisor.hear();
    assert!(child.starts_with("my child: 0 sessions; You are inside a session"), "{child}");
    let mut beside = Actor::start("lister", &place.runtime(), "");
    assert_eq!(beside.hear(), "1 sessions;");
}

#[test]
fn a_session_does_not_listen_to_the_children_of_another() {
    let place = Place::new();
    let mut first = Actor::start("supervisor", &place.runtime(), "s1");
    let mut second = Actor::start("supervisor", &place.runtime(), "s2");
    assert_eq!((first.hear(), second.hear()), ("ready".into(), "ready".into()));
    second.tell(&format!("client {}", place.socket("s1").display()));
    let child = second.hear();
    assert!(child.starts_with("my child: goodbye: You are inside a session"), "{child}");
}

#[test]
fn a_process_under_a_filter_that_the_session_does_not_have_is_refused() {
    // An orphan of a session has lost its supervisor as an ancestor, but not its filters.
    let place = Place::new();
    let mut supervisor = Actor::start("supervisor", &place.runtime(), "s1");
    assert_eq!(supervisor.hear(), "ready");
    let mut filtered = Actor::start("filtered client", &place.socket("s1"), "");
    assert!(filtered.hear().starts_with("goodbye: You are inside a session"));
}

#[test]
fn another_user_is_refused_even_where_the_folder_lets_them_in() {
    let place = Place::new();
    let approvals = place.start("s1");
    if !rustix::process::geteuid().is_root() {
        // Nobody but root becomes another user: then the folder is all there is to see.
        assert_eq!(std::fs::metadata(place.sessions()).unwrap().mode() & 0o077, 0);
        return;
    }
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let exe = place.0.path().join("actor");
    std::fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let (runtime, sessions, socket) = (place.runtime(), place.sessions(), place.socket("s1"));
    for path in [place.0.path(), &exe, &runtime, &sessions] {
        open(path, 0o755);
    }
    open(&socket, 0o666);
    let mut command = actor_command(&exe, "client", &socket, "");
    command.uid(65534).gid(65534).current_dir("/");
    let said = Actor::of(command).hear();
    assert!(said.starts_with("goodbye: This session belongs to user 0; user 65534"), "{said}");
    drop(approvals);
}

#[test]
fn what_a_killed_supervisor_leaves_is_removed_and_live_sessions_stay() {
    let place = Place::new();
    let mut killed = Actor::start("supervisor", &place.runtime(), "s1");
    let mut alive = Actor::start("supervisor", &place.runtime(), "s2");
    assert_eq!((killed.hear(), alive.hear()), ("ready".into(), "ready".into()));
    // Not after the kill: the other session sweeps too, once it has begun to serve.
    assert!(place.socket("s1").exists());
    killed.kill();

    let listing = Inbox::list(&place.runtime(), PATIENCE).unwrap();
    let ids: Vec<_> = listing.sessions.iter().map(|s| s.info.id.as_str()).collect();
    assert_eq!((ids, listing.unreachable), (vec!["s2"], vec![]));
    assert!(!place.socket("s1").exists());
    assert!(!place.sessions().join("s1.json").exists());
    assert!(place.socket("s2").exists());
}

#[test]
fn an_inbox_notices_a_killed_session() {
    let place = Place::new();
    let mut supervisor = Actor::start("supervisor", &place.runtime(), "s1");
    assert_eq!(supervisor.hear(), "ready");
    let (sender, changes) = channel();
    let _inbox = Inbox::start(&place.runtime(), Role::Window, move |change| {
        let _ = sender.send(change);
    })
    .unwrap();
    assert_eq!(supervisor.hear(), "attended true");
    supervisor.kill();
    let ended = Change::Ended { session: "s1".into(), silent: true };
    while changes.recv_timeout(PATIENCE).unwrap() != ended {}
}
