//! Sessions on a machine that is managed: `/etc/chaperone/policy.d` is one that the test makes, in
//! a mount namespace of its own. Root's tests run Chaperone as the ordinary user there, for whom
//! the files are trusted; an ordinary user's tests run it as that user's own namespace's root, for
//! whom they are not, so that they restrict and grant nothing.

use crate::Attendant;
use crate::place::{Place, text};
use anyhow::{Context, Result, bail, ensure};
use chaperone_tests::{chaperone, eventually};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The ordinary user that the set-up makes.
const USER: &str = "chaperone-test";

pub(crate) struct Machine {
    pub(crate) place: Place,
    folder: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chm").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        for name in ["chaperone", "chaperone/policy.d"] {
            fs::create_dir(folder.path().join(name))?;
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755))?;
        }
        let machine = Self { place: Place::new()?, folder };
        if is_root() {
            let home = machine.place.home();
            let home = home.parent().context("a folder")?;
            let done = Command::new("chown").args(["-R", USER]).arg(home).output()?;
            ensure!(done.status.success(), "{}", text(&done.stderr));
        }
        Ok(machine)
    }

    pub(crate) fn policy(&self, name: &str) -> PathBuf {
        self.folder.path().join("chaperone/policy.d").join(name)
    }

    /// Writes as deployment tools do: whole, then renamed into place.
    pub(crate) fn deploy(&self, name: &str, toml: &str) -> Result<()> {
        let whole = self.folder.path().join("whole");
        fs::write(&whole, toml)?;
        fs::set_permissions(&whole, fs::Permissions::from_mode(0o644))?;
        Ok(fs::rename(whole, self.policy(name))?)
    }

    /// A file beside the policies: `/etc/chaperone/NAME`.
    pub(crate) fn ship(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.path().join("chaperone").join(name);
        fs::write(&file, text)?;
        Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o644))?)
    }

    /// `chaperone` on that machine.
    pub(crate) fn chaperone<const N: usize>(&self, arguments: [&str; N]) -> Result<Command> {
        let mut command = self.place.command("unshare");
        let (private, user) = if is_root() {
            (vec!["--mount"], "setpriv --reuid \"$user\" --regid \"$user\" --clear-groups --")
        } else {
            (vec!["--user", "--map-root-user", "--mount"], "")
        };
        // Folders of its own for each: of two that are mounted over the same at once, one fails.
        let script = format!(
            "own=$(mktemp -d \"$1/etc.XXXXXX\") && mkdir -m 755 \"$own/upper\" \"$own/work\" && \
             mount -t overlay overlay -o lowerdir=/etc,upperdir=$own/upper,workdir=$own/work /etc && \
             mkdir -p /etc/chaperone && mount --bind $1/chaperone /etc/chaperone && \
             user={USER} && shift && exec {user} \"$@\""
        );
        command.args(private).args(["sh", "-c", &script, "sh"]).arg(self.folder.path());
        command.arg(chaperone()?).args(arguments);
        Ok(command)
    }

    fn history<const N: usize>(&self, arguments: [&str; N]) -> Result<String> {
        let done = self.chaperone(arguments)?.output()?;
        ensure!(done.status.success(), "{}", text(&done.stderr));
        Ok(text(&done.stdout))
    }

    /// What a loop that runs `uname` over and over wrote last: its status.
    pub(crate) fn last_status(&self) -> Option<String> {
        let told = fs::read_to_string(self.place.work().join("status")).ok()?;
        told.lines().last().map(str::to_owned)
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A session that ends with its test, also one that fails.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) const LOOP: &str =
    "while [ ! -e stop ]; do uname >/dev/null 2>&1; echo $? >> status; done";
const DENY: &str = "revision = \"42\"\n[[commands.rule]]\nprefix = [\"uname\"]\n\
                    decision = \"deny\"\nreason = \"Not here.\"\n";

#[test]
fn a_managed_file_that_is_written_while_a_session_runs_holds_at_once_and_until_a_whole_one_is_read()
-> Result<()> {
    let machine = Machine::new()?;
    let mut command = machine.chaperone(["run", "--unattended", "--", "sh", "-c", LOOP])?;
    let mut session = Running(command.stderr(Stdio::null()).spawn()?);
    let becomes =
        |status: &str| eventually(status, || (machine.last_status()? == status).then_some(()));
    becomes("0")?;
    machine.deploy("10.toml", DENY)?;
    becomes("126")?;

    // Neither half a file nor none opens a gap.
    let told = |words: &str| {
        eventually(words, || {
            let findings = ["history", "list", "--json", "--kind", "finding"];
            machine.history(findings).ok().filter(|events| events.contains(words))
        })
    };
    fs::write(machine.policy("10.toml"), "[[commands.rule]\nprefix = [\"un")?;
    told("still holds, since the source now is invalid")?;
    assert_eq!(machine.last_status().as_deref(), Some("126"));
    fs::remove_file(machine.policy("10.toml"))?;
    told("still holds, since the source now is gone")?;
    assert_eq!(machine.last_status().as_deref(), Some("126"));

    machine.deploy("10.toml", "revision = \"43\"\n")?;
    becomes("0")?;
    fs::write(machine.place.work().join("stop"), "")?;
    assert!(session.0.wait()?.success());
    Ok(())
}

/// A session in which the user wants to be asked about `uname`, with somebody who attends.
fn asked(machine: &Machine, script: &str) -> Result<(Attendant, Running)> {
    machine.place.configure("[[commands.rule]]\nprefix = [\"uname\"]\ndecision = \"ask\"\n")?;
    let attendant = Attendant::by(machine.chaperone(Attendant::COMMAND)?)?;
    let script = format!("until [ -e attended ]; do sleep 0.02; done; {script}");
    let mut command = machine.chaperone(["run", "--", "sh", "-c", &script])?;
    let session = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    eventually("the session to be listed", || {
        let list = machine.chaperone(["approvals", "list"]).ok()?.output().ok()?;
        text(&list.stdout).contains("One session is running").then_some(())
    })?;
    fs::write(machine.place.work().join("attended"), "")?;
    Ok((attendant, session))
}

fn allow(machine: &Machine, request: &serde_json::Value) -> Result<Output> {
    let id = request["id"].as_str().context("an id")?;
    Ok(machine.chaperone(["approvals", "answer", id, "allow"])?.output()?)
}

#[test]
fn an_open_question_is_judged_again_when_the_policy_tightens() -> Result<()> {
    let machine = Machine::new()?;
    let script = "uname; echo status $?; until [ -e stop ]; do sleep 0.02; done";
    let (mut attendant, mut session) = asked(&machine, script)?;
    let request = attendant.request()?;
    assert_eq!(request["command"], serde_json::json!(["uname"]));

    // Nobody answers, and the agent does nothing else that would be decided.
    machine.deploy("10.toml", DENY)?;
    let ended = attendant.ended()?;
    assert_eq!(ended["id"], request["id"]);
    let answer = &ended["answer"];
    assert_eq!((&answer["verdict"], &answer["by"]), (&"deny".into(), &"the policy".into()));
    assert_eq!(answer["note"], "The policy changed while this waited. Not here.");
    let late = allow(&machine, &request)?;
    assert_eq!(late.status.code(), Some(1));
    assert!(text(&late.stderr).contains("the policy had denied it"), "{}", text(&late.stderr));

    fs::write(machine.place.work().join("stop"), "")?;
    let (mut said, mut told) = (String::new(), String::new());
    session.0.stdout.take().context("no output")?.read_to_string(&mut said)?;
    session.0.stderr.take().context("no output")?.read_to_string(&mut told)?;
    assert_eq!(said, "status 126\n", "{told}");
    assert!(told.contains("The policy changed while this waited. Not here."), "{told}");
    assert!(session.0.wait()?.success());

    let answers = machine.history(["history", "list", "--json", "--kind", "answer"])?;
    assert_eq!(answers.lines().count(), 1, "{answers}");
    let answer: serde_json::Value = serde_json::from_str(&answers)?;
    assert_eq!((&answer["decision"], &answer["by"]), (&"deny".into(), &"the policy".into()));
    assert_eq!(answer["rule"], "commands.rule uname");
    assert_eq!(answer["origin"]["locator"], "/etc/chaperone/policy.d/10.toml:2");
    Ok(())
}

#[test]
fn an_answer_that_comes_after_the_policy_has_tightened_runs_nothing_and_any_other_does()
-> Result<()> {
    let machine = Machine::new()?;
    let script = "for i in 1 2; do uname >/dev/null 2>&1; echo status $?; done";
    let (mut attendant, mut session) = asked(&machine, script)?;
    let first = attendant.request()?;
    machine.deploy("10.toml", "revision = \"41\"\n")?;
    let answered = allow(&machine, &first)?;
    assert!(answered.status.success(), "{}", text(&answered.stderr));

    let second = attendant.request()?;
    assert_ne!(second["id"], first["id"]);
    machine.deploy("10.toml", DENY)?;
    let late = allow(&machine, &second)?;
    assert_eq!(late.status.code(), Some(1), "however quick it was");
    let mut said = String::new();
    session.0.stdout.take().context("no output")?.read_to_string(&mut said)?;
    assert_eq!(said, "status 0\nstatus 126\n");
    assert!(session.0.wait()?.success());
    Ok(())
}

/// The sources are looked at every fifteen seconds anyway: what comes sooner was told by the system.
/// Where the machine itself stands still for a moment, one round of several shows it.
#[test]
fn a_managed_denial_is_in_force_within_a_second_of_its_writing() -> Result<()> {
    let machine = Machine::new()?;
    let mut command = machine.chaperone(["run", "--unattended", "--", "sh", "-c", LOOP])?;
    let mut session = Running(command.stderr(Stdio::null()).spawn()?);
    let becomes =
        |status: &str| eventually(status, || (machine.last_status()? == status).then_some(()));
    let mut took = Vec::new();
    for round in 0..6 {
        becomes("0")?;
        let written = Instant::now();
        machine.deploy("10.toml", DENY)?;
        becomes("126")?;
        took.push(written.elapsed());
        if took.iter().any(|took| *took < Duration::from_secs(1)) {
            fs::write(machine.place.work().join("stop"), "")?;
            assert!(session.0.wait()?.success());
            return Ok(());
        }
        machine.deploy("10.toml", &format!("revision = \"{round}\"\n"))?;
    }
    bail!("the denial was in force after {took:?}")
}

#[test]
fn a_managed_observe_mode_lets_pass_and_records_what_it_would_have_stopped() -> Result<()> {
    let machine = Machine::new()?;
    machine.deploy("10.toml", DENY)?;
    let script = "uname >/dev/null; echo $?; cat ../secret; : > .git/hooks/pre-push";
    fs::write(machine.place.home().join("secret"), "secret\n")?;
    let run = || -> Result<(String, String)> {
        let done =
            machine.chaperone(["run", "--unattended", "--", "sh", "-c", script])?.output()?;
        Ok((text(&done.stdout), text(&done.stderr)))
    };
    let (enforced, said) = run()?;
    assert_eq!(enforced, "126\n", "{said}");
    assert!(said.contains("Not here."), "{said}");

    machine.deploy("20.toml", "mode = \"observe\"\nuntil = \"2099-12-31\"\n")?;
    let (observed, said) = run()?;
    if !is_root() {
        assert_eq!(observed, "126\n", "an untrusted file grants nothing: {said}");
        return Ok(());
    }
    assert_eq!(observed, "0\n", "what is judged passes, a secret stays one: {said}");
    assert!(said.contains("OBSERVE MODE until 2100-01-01T00:00:00Z"), "{said}");
    assert!(said.contains("pre-push"), "the persistence guard stays: {said}");
    assert!(!machine.place.work().join(".git/hooks/pre-push").exists());

    let report: serde_json::Value =
        serde_json::from_str(&machine.history(["history", "report", "observed", "--json"])?)?;
    let rules = report.as_array().context("a list")?;
    assert_eq!(rules.len(), 1, "{report}");
    assert_eq!(rules[0]["rule"], "commands.rule uname");
    assert_eq!(rules[0]["origin"]["locator"], "/etc/chaperone/policy.d/10.toml:2");
    assert_eq!((&rules[0]["would"], &rules[0]["times"]), (&"deny".into(), &1.into()));
    let events = machine.history(["history", "list", "--json", "--kind", "command"])?;
    assert!(events.contains("\"observed\":\"deny\""), "{events}");

    let why = machine.chaperone(["why", "--json", "--", "uname"])?.output()?;
    assert!(text(&why.stdout).contains("only observed"), "{}", text(&why.stdout));
    machine.deploy("30.toml", "mode = \"enforce\"\n")?;
    assert_eq!(run()?.0, "126\n", "of two managed layers the stricter holds");
    Ok(())
}

#[test]
fn what_a_layer_requires_and_nobody_knows_stops_a_session_and_what_is_only_newer_does_not()
-> Result<()> {
    let machine = Machine::new()?;
    let run = || -> Result<(Option<i32>, String)> {
        let mut run = machine.chaperone(["run", "--unattended", "--", "true"])?;
        let done = run.stdout(Stdio::null()).output()?;
        Ok((done.status.code(), text(&done.stderr)))
    };
    machine.deploy("10.toml", "min_version = \"99.0\"\n[network]\nquota = \"1 MiB\"\n")?;
    let (status, said) = run()?;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("network.quota: expected Chaperone 99.0.0"), "{said}");

    let required = "min_version = \"99.0\"\nrequire = [\"network.quota\"]\n";
    machine.deploy("10.toml", required)?;
    let (status, said) = run()?;
    assert_eq!(status, Some(125), "{said}");
    assert!(said.contains("network.quota"), "{said}");
    Ok(())
}
