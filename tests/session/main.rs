//! Whole sessions through the real `chaperone` command: how they end, what is refused and said,
//! who answers, and that nothing is left behind.

#![cfg(target_os = "linux")]

mod bundle;
mod credentials;
mod documents;
mod examples;
mod fleet;
mod forms;
mod learn;
mod managed;
mod place;
mod probes;
mod proxy;
mod secret;
mod self_test;
mod sign_in;
mod signing;
mod why;

use anyhow::{Context, Result};
use chaperone_tests::eventually;
use place::{OnTerminal, Place, state_of, text};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

#[test]
fn the_exit_status_is_the_agents_own() -> Result<()> {
    let place = Place::new()?;
    assert_eq!(place.run("exit 0")?.status.code(), Some(0));
    assert_eq!(place.run("exit 7")?.status.code(), Some(7));
    assert_eq!(place.run("kill -9 $$")?.status.code(), Some(128 + 9));
    let missing = place.chaperone(["run", "--", "no-such-command"])?.output()?;
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("no-such-command"));
    let in_home = place.chaperone(["run", "--workspace", "..", "--", "true"])?.output()?;
    assert_eq!(in_home.status.code(), Some(125));
    assert!(text(&in_home.stderr).contains("cannot be a workspace"), "{}", text(&in_home.stderr));
    Ok(())
}

#[test]
fn pipes_behave_as_without_chaperone() -> Result<()> {
    let place = Place::new()?;
    fs::write(place.work().join("input"), "one\ntwo\n")?;
    let input = fs::File::open(place.work().join("input"))?;
    let done =
        place.chaperone(["run", "--", "sh", "-c", "wc -l; echo err >&2"])?.stdin(input).output()?;
    assert_eq!((text(&done.stdout).trim(), text(&done.stderr).as_str()), ("2", "err\n"));
    Ok(())
}

#[test]
fn a_command_that_policy_denies_says_so_and_the_same_is_done_where_policy_allows_it() -> Result<()>
{
    let place = Place::new()?;
    let script = "git push -q origin main; echo status $?";
    let denied = place.run(script)?;
    assert_eq!(text(&denied.stdout), "status 126\n");
    let said = text(&denied.stderr);
    assert!(said.contains("chaperone: denied: git push -q origin main"), "{said}");
    assert!(said.contains("commands.rule git push (built-in defaults)"), "{said}");
    assert!(!place.pushed("main"));
    let main = place.chaperone(["run", "--unattended", "--", "git", "push"])?.output()?;
    assert_eq!(main.status.code(), Some(126));

    let remote = place.remote();
    place.configure(&format!(
        "[filesystem]\nwrite = [{remote:?}]\n[[commands.rule]]\nprefix = [\"git\", \"push\"]\n\
         decision = \"allow\"\n"
    ))?;
    let allowed = place.run(script)?;
    assert_eq!(text(&allowed.stdout), "status 0\n", "{}", text(&allowed.stderr));
    assert!(place.pushed("main"));
    Ok(())
}

#[test]
fn after_three_identical_refusals_the_agent_is_told_to_stop() -> Result<()> {
    let place = Place::new()?;
    place.configure("[[commands.rule]]\nprefix = [\"uname\"]\ndecision = \"deny\"\n")?;
    let done = place.run("for n in 1 2; do uname 2>>said; done; uname 2>last; uname -a 2>other")?;
    let said = |file: &str| fs::read_to_string(place.work().join(file));
    let stop = "refused 3 times in this session";
    assert!(said("said")?.contains("denied") && !said("said")?.contains("Stop here"));
    assert!(said("last")?.contains(stop), "{}{}", said("last")?, text(&done.stderr));
    assert!(said("other")?.contains("denied") && !said("other")?.contains("Stop here"));
    Ok(())
}

#[test]
fn the_agent_finds_its_limits_in_its_environment_where_nothing_else_is_known_of_it() -> Result<()> {
    let place = Place::new()?;
    let told = text(&place.run("printf %s \"$CHAPERONE_BRIEFING\"")?.stdout);
    assert!(told.starts_with("You run inside Chaperone"), "{told}");
    assert!(told.contains("git push") && told.len() < 1300, "{told}");
    Ok(())
}

/// `chaperone approvals list --follow`: somebody who attends.
struct Attendant {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Attendant {
    const COMMAND: [&str; 4] = ["approvals", "list", "--follow", "--json"];

    fn start(place: &Place) -> Result<Self> {
        Self::by(place.chaperone(Self::COMMAND)?)
    }

    fn by(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("no standard output")?;
        Ok(Self { child, lines: BufReader::new(out).lines() })
    }

    /// The next request that waits.
    fn request(&mut self) -> Result<serde_json::Value> {
        self.next(true)
    }

    /// The next request that waits no more.
    fn ended(&mut self) -> Result<serde_json::Value> {
        self.next(false)
    }

    fn next(&mut self, waiting: bool) -> Result<serde_json::Value> {
        for line in self.lines.by_ref() {
            let request: serde_json::Value = serde_json::from_str(&line?)?;
            if request["waiting"] == waiting {
                return Ok(request);
            }
        }
        anyhow::bail!("no request came")
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pushes once somebody attends: what nobody could answer would be denied at once.
const PUSH: &str = "until [ -e attended ]; do :; done; git push -q origin main; echo status $?";

#[test]
fn who_attends_is_asked_and_the_first_answer_counts() -> Result<()> {
    let place = Place::new()?;
    let (mut attendant, session) = pushing(&place)?;
    let request = attendant.request()?;
    assert_eq!(request["command"], serde_json::json!(["git", "push", "-q", "origin", "main"]));
    assert_eq!(request["enforced"], "kernel");
    let id = request["id"].as_str().context("an id")?;
    assert!(!place.pushed("main"), "it waits");

    let first = place.chaperone(["approvals", "answer", id, "allow"])?.output()?;
    assert!(first.status.success(), "{}", text(&first.stderr));
    let second = place.chaperone(["approvals", "answer", id, "deny"])?.output()?;
    assert_eq!(second.status.code(), Some(1), "the second is told");
    assert!(text(&second.stderr).contains("Too late"), "{}", text(&second.stderr));

    let done = session.wait_with_output()?;
    assert_eq!(text(&done.stdout), "status 0\n", "{}", text(&done.stderr));
    assert!(place.pushed("main"));

    let events = place.events([])?;
    let answer = events.iter().find(|event| event["kind"] == "answer").context("an answer")?;
    assert_eq!(answer["decision"], "allow");
    assert_eq!(answer["action"], "git push -q origin main");
    assert!(answer["by"].as_str().is_some_and(|by| !by.is_empty()));
    Ok(())
}

/// A session that pushes once somebody attends, and who attends.
fn pushing(place: &Place) -> Result<(Attendant, Child)> {
    let attendant = Attendant::start(place)?;
    let session = place
        .chaperone(["run", "--", "sh", "-c", PUSH])?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    attended(place)?;
    Ok((attendant, session))
}

/// Lets [`PUSH`] go on once the session knows of the attendant.
fn attended(place: &Place) -> Result<()> {
    eventually("the session to be listed", || {
        let list = place.chaperone(["approvals", "list"]).ok()?.output().ok()?;
        text(&list.stdout).contains("One session is running").then_some(())
    })?;
    Ok(fs::write(place.work().join("attended"), "")?)
}

#[test]
fn a_note_reaches_the_agent_and_nothing_is_pushed() -> Result<()> {
    let place = Place::new()?;
    let (mut attendant, session) = pushing(&place)?;
    let request = attendant.request()?;
    let id = request["id"].as_str().context("an id")?;
    let note = "open a pull request instead";
    let answer = place.chaperone(["approvals", "answer", id, "deny", "--note", note])?.output()?;
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    let done = session.wait_with_output()?;
    assert_eq!(text(&done.stdout), "status 126\n");
    assert!(text(&done.stderr).contains(note), "{}", text(&done.stderr));
    assert!(!place.pushed("main"));
    Ok(())
}

#[test]
fn an_attendant_that_is_killed_hangs_no_agent() -> Result<()> {
    let place = Place::new()?;
    let (mut attendant, session) = pushing(&place)?;
    attendant.request()?;
    drop(attendant);
    let done = session.wait_with_output()?;
    assert_eq!(text(&done.stdout), "status 126\n");
    assert!(text(&done.stderr).contains("Nobody is there"), "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_session_does_not_answer_itself_nor_start_another() -> Result<()> {
    let place = Place::new()?;
    let chaperone = chaperone_tests::chaperone()?;
    let chaperone = chaperone.display();
    // The program itself is readable: it is the sockets and the session that refuse.
    let remote = place.remote();
    let program = chaperone_tests::chaperone()?;
    let folder = program.parent().context("a folder")?;
    place.configure(&format!("[filesystem]\nread = [{folder:?}]\nwrite = [{remote:?}]\n"))?;
    let works = place.run(&format!("{chaperone} --version"))?;
    assert!(works.status.success(), "{}", text(&works.stderr));
    let nested = place.run(&format!("{chaperone} run -- true"))?;
    assert_eq!(nested.status.code(), Some(125));
    assert!(text(&nested.stderr).contains("inside session"), "{}", text(&nested.stderr));
    let mut attendant = Attendant::start(&place)?;
    let session = place
        .chaperone([
            "run",
            "--",
            "sh",
            "-c",
            &format!(
                "until [ -e attended ]; do :; done; git push -q origin main & \
             {chaperone} approvals list; echo listed $?; wait"
            ),
        ])?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    attended(&place)?;
    let request = attendant.request()?;
    let id = request["id"].as_str().context("an id")?;
    place.chaperone(["approvals", "answer", id, "deny"])?.output()?;
    let done = session.wait_with_output()?;
    assert!(!text(&done.stdout).contains(id), "{}", text(&done.stdout));
    Ok(())
}

#[test]
fn the_network_is_nothing_but_what_the_policy_names() -> Result<()> {
    let place = Place::new()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &stream, b"hello\n");
        }
    });
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && cat <&3");
    let outside = place.command("bash").args(["-c", &script]).output()?;
    assert_eq!(text(&outside.stdout), "hello\n", "it works outside");

    let inside = place.chaperone(["run", "--", "bash", "-c", &script])?.output()?;
    assert_eq!(text(&inside.stdout), "");
    assert_ne!(inside.status.code(), Some(0));

    place.configure(&format!("[network]\nallow = [\"127.0.0.1:{port}\"]\n"))?;
    let named = place.chaperone(["run", "--", "bash", "-c", &script])?.output()?;
    assert_eq!(text(&named.stdout), "hello\n", "{}", text(&named.stderr));

    place.configure("[network]\nmode = \"direct\"\n")?;
    let direct = place.chaperone(["run", "--", "bash", "-c", &script])?.output()?;
    assert_eq!(text(&direct.stdout), "hello\n", "{}", text(&direct.stderr));
    assert!(text(&direct.stderr).contains("NETWORK IS DIRECT"), "it is said loudly");
    Ok(())
}

#[test]
fn a_connection_that_is_open_ends_when_the_policy_no_longer_names_its_host() -> Result<()> {
    let place = Place::new()?;
    let server = std::net::TcpListener::bind("127.0.0.1:0")?;
    server.set_nonblocking(true)?;
    let host = server.local_addr()?;
    place.configure(&format!("[network]\nallow = [\"{host}\"]\n"))?;
    let (ip, port) = (host.ip(), host.port());
    let script = format!("exec 3<>/dev/tcp/{ip}/{port}; cat <&3; echo closed");
    let mut run = place.chaperone(["run", "--unattended", "--", "bash", "-c", &script])?;
    let session = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (connection, _) = eventually("the connection", || server.accept().ok())?;
    connection.set_nonblocking(false)?;
    std::io::Write::write_all(&mut &connection, b"open\n")?;

    place.configure("[network]\nallow = [\"127.0.0.2:1\"]\n")?;
    let done = session.wait_with_output()?;
    assert_eq!(text(&done.stdout), "open\nclosed\n", "{}", text(&done.stderr));
    let events = place.events(["--kind", "connect"])?;
    let decisions: Vec<_> = events.iter().map(|event| event["decision"].as_str()).collect();
    assert_eq!(decisions, [Some("deny"), Some("allow")], "the latest first: {events:?}");
    assert_eq!(
        (&events[0]["rule"], &events[0]["action"]),
        (&"addresses near this machine".into(), &host.to_string().into())
    );
    assert!(events[0]["reason"].as_str().is_some_and(|reason| reason.contains("has been ended")));
    Ok(())
}

#[test]
fn a_killed_supervisor_takes_its_session_with_it_and_the_history_holds() -> Result<()> {
    let place = Place::new()?;
    let mut session = place
        .chaperone(["run", "--", "sh", "-c", "sleep 1000 & setsid sleep 1000 & touch ready; wait"])?
        .spawn()?;
    let ready = place.work().join("ready");
    eventually("the agent to start", || ready.exists().then_some(()))?;
    let inside = descendants(session.id());
    assert!(inside.len() >= 3, "the agent and its children: {inside:?}");
    session.kill()?;
    session.wait()?;
    eventually("everything to end", || {
        let left = inside.iter().filter(|pid| !matches!(state_of(**pid), None | Some('Z')));
        (left.count() == 0).then_some(())
    })?;
    let verified = place.chaperone(["history", "verify"])?.output()?;
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    Ok(())
}

/// All processes below one.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        all.extend(parent.map(|parent: u32| (child, parent)));
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    found.split_off(1)
}

#[test]
fn what_the_agent_leaves_running_is_ended_and_recorded() -> Result<()> {
    let place = Place::new()?;
    let done =
        place.run("(: > up; exec setsid sleep 1000) & until [ -e up ]; do :; done; echo left")?;
    assert_eq!(text(&done.stdout), "left\n");
    let history = place.chaperone(["history", "list", "--kind", "ended", "--json"])?.output()?;
    assert_eq!(text(&history.stdout).lines().count(), 1, "{}", text(&history.stdout));
    Ok(())
}

#[test]
fn an_agent_on_a_terminal_has_its_own_and_sees_its_size_and_ctrl_c() -> Result<()> {
    let place = Place::new()?;
    let script = "tty; stty size; trap 'echo interrupted; exit 3' INT; echo ready; \
                  while :; do sleep 0.02; done";
    let mut session = place.on_terminal(["run", "--", "sh", "-c", script], None)?;
    eventually("the agent to start", || session.shows("ready").then_some(()))?;
    assert!(session.shows("/dev/pts/0"), "{}", session.screen());
    session.type_keys("\x03")?;
    let status = eventually("the end", || session.child.try_wait().ok().flatten())?;
    assert_eq!(status.code(), Some(3), "{}", session.screen());
    assert!(session.shows("interrupted"));
    Ok(())
}

#[test]
fn a_session_starts_where_nobody_of_its_namespace_leads_its_group() -> Result<()> {
    let place = Place::new()?;
    let mut session = place.on_terminal_with(["run", "--", "echo", "it ran"], |command| {
        // As in a container that a command was started in from outside.
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-current-user", "--pid", "--fork", "--mount-proc"]);
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.current_dir(place.work());
        inside
    })?;
    let status = eventually("the end", || session.child.try_wait().ok().flatten())?;
    assert_eq!(status.code(), Some(0), "{}", session.screen());
    assert!(session.shows("it ran"), "{}", session.screen());
    Ok(())
}

fn worktrees(place: &Place) -> Result<[String; 2]> {
    let mut paths = Vec::new();
    for name in ["left", "right"] {
        let path = place.home().join(name).display().to_string();
        let made =
            place.command("git").args(["worktree", "add", "-q", "-b", name, &path]).output()?;
        assert!(made.status.success(), "{}", text(&made.stderr));
        paths.push(path);
    }
    paths.try_into().map_err(|_| anyhow::anyhow!("two"))
}

#[test]
fn of_two_agents_in_linked_worktrees_a_stopped_one_does_not_hold_the_other() -> Result<()> {
    let place = Place::new()?;
    let [left, right] = worktrees(&place)?;
    let script = "echo ready; until [ -e go ]; do sleep 0.02; done; git commit -q --allow-empty -m l; \
                  echo committed $?";
    let mut stopped =
        place.on_terminal(["run", "--workspace", &left, "--", "sh", "-c", script], None)?;
    eventually("the first agent to start", || stopped.shows("ready").then_some(()))?;
    stopped.type_keys("\x1a")?;
    let pid = stopped.child.id();
    eventually("Ctrl-Z to stop it", || (state_of(pid) == Some('T')).then_some(()))?;

    let work =
        "for i in 1 2 3 4 5 6 7 8 9 10; do git commit -q --allow-empty -m $i || exit 1; done";
    let other =
        place.chaperone(["run", "--workspace", &right, "--", "sh", "-c", work])?.output()?;
    assert_eq!(other.status.code(), Some(0), "{}", text(&other.stderr));
    assert_eq!(state_of(pid), Some('T'), "the first was stopped all the while");

    fs::write(format!("{left}/go"), "")?;
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).context("a pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::CONT)?;
    eventually("it to go on", || stopped.shows("committed 0").then_some(()))
        .with_context(|| stopped.screen())?;
    let status = eventually("its end", || stopped.child.try_wait().ok().flatten())?;
    assert_eq!(status.code(), Some(0));
    let log = place.command("git").args(["rev-list", "--count", "left", "right"]).output()?;
    assert_eq!(text(&log.stdout).trim(), "12", "one and ten, and the first of all");
    let verified = place.chaperone(["history", "verify"])?.output()?;
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    Ok(())
}

#[test]
fn the_sessions_own_terminal_asks_when_the_agent_has_none_of_its_input() -> Result<()> {
    let place = Place::new()?;
    let script = "git push -q origin main; echo status $?";
    let mut session = place.on_terminal(["run", "--", "sh", "-c", script], Some(Stdio::null()))?;
    eventually("the prompt", || session.shows("Allow once").then_some(()))
        .with_context(|| session.screen())?;
    // What is typed in the first moments answers nothing, so this says it until it is heard.
    answer_until(&mut session, "a\n", "status")?;
    assert!(session.shows("status 0"), "{}", session.screen());
    assert!(place.pushed("main"));
    Ok(())
}

fn answer_until(session: &mut OnTerminal, keys: &str, shown: &str) -> Result<()> {
    eventually(shown, || {
        if session.shows(shown) {
            return Some(());
        }
        session.type_keys(keys).ok()?;
        None
    })
    .with_context(|| session.screen())
}

/// What a loop wrote last that runs `uname` over and over: its status.
fn last_status(place: &Place) -> Option<String> {
    let told = fs::read_to_string(place.work().join("status")).ok()?;
    told.lines().last().map(str::to_owned)
}

#[test]
fn a_running_session_follows_its_policy_and_what_is_broken_changes_nothing() -> Result<()> {
    let place = Place::new()?;
    let script = "while [ ! -e stop ]; do uname >/dev/null 2>&1; echo $? >> status; done";
    let mut session =
        place.chaperone(["run", "--unattended", "--", "sh", "-c", script])?.spawn()?;
    let becomes = |status: &str| {
        eventually("the policy to be followed", || (last_status(&place)? == status).then_some(()))
    };
    becomes("0")?;
    place.configure("[[commands.rule]]\nprefix = [\"uname\"]\ndecision = \"deny\"\n")?;
    becomes("126")?;
    place.configure("[[commands.rule]\nprefix = ")?;
    let events = || -> Result<String> {
        let found = place.chaperone(["history", "search", "--json", "policy changed"])?.output()?;
        Ok(text(&found.stdout))
    };
    eventually("the broken file to be told", || {
        events().ok().filter(|told| told.contains("is not whole"))
    })?;
    assert_eq!(last_status(&place).as_deref(), Some("126"));
    place.configure("[limits]\nprocesses = 999\n")?;
    becomes("0")?;
    assert!(events()?.contains("limits.processes"), "{}", events()?);
    fs::write(place.work().join("stop"), "")?;
    assert!(session.wait()?.success());
    Ok(())
}
