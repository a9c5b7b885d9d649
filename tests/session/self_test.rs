//! `chaperone self-test`: that it holds here, that what gets out is reported, that a report cannot
//! be altered, and that nothing is left of it.

use crate::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::{eventually, without_namespaces};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Runs one to its end, and gives its report as well. What it may leave is looked at.
fn tested(mut command: Command) -> Result<(Output, Value, PathBuf)> {
    let home: PathBuf = command
        .get_envs()
        .find_map(|(name, value)| (name == "HOME").then_some(value?))
        .context("a home")?
        .into();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id();
    let done = child.wait_with_output()?;
    leaves_nothing(&home, pid)?;
    let file = reports(&home).pop().with_context(|| text(&done.stderr))?;
    let report = serde_json::from_str(&fs::read_to_string(&file)?)?;
    Ok((done, report, file))
}

fn reports(home: &Path) -> Vec<PathBuf> {
    let folder = home.join(".local/state/chaperone/self-test");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// No world, no process below this home, no shared memory that this process made.
fn leaves_nothing(home: &Path, pid: u32) -> Result<()> {
    let temp = home.join(".cache/chaperone/tmp");
    let left: Vec<_> = fs::read_dir(temp).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    for entry in fs::read_dir("/proc")?.flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        let home = home.to_string_lossy();
        let ours = arguments.contains("self-test-part") && arguments.contains(&*home);
        assert!(!ours, "{arguments} is left");
    }
    // sysvipc(5): the fifth word is who made it.
    let memory = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let made = |line: &&str| line.split_whitespace().nth(4) == Some(pid.to_string().as_str());
    assert_eq!(memory.lines().find(made), None, "shared memory is left");
    Ok(())
}

/// The names of attempts with this result.
fn with_result<'a>(report: &'a Value, result: &str) -> BTreeSet<&'a str> {
    let attempts = report["attempts"].as_array().into_iter().flatten();
    let found = attempts.filter(|way| way["result"] == result);
    found.filter_map(|way| way["name"].as_str()).collect()
}

#[test]
fn nothing_gets_out_here_and_the_report_of_it_cannot_be_altered() -> Result<()> {
    let place = Place::new()?;
    let (done, report, file) = tested(place.chaperone(["self-test"])?)?;
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}{}", text(&done.stderr));
    assert!(said.contains("Nothing got out"), "{said}");
    assert!(said.contains(&file.display().to_string()), "{said}");
    let counts = &report["counts"];
    assert_eq!(
        (&report["v"], &report["result"], &counts["out"]),
        (&1.into(), &"held".into(), &0.into())
    );
    let number = |key: &str| counts[key].as_u64().unwrap_or_default();
    assert!(number("held") > 250, "{counts}");
    let parts = ["held", "known", "out", "not_applicable", "left_out"].map(number);
    assert_eq!(parts.iter().sum::<u64>(), number("attempts"));
    let left_out = with_result(&report, "left-out");
    for name in ["setuid-program", "setuid-by-shell", "screen", "control-group"] {
        assert!(left_out.contains(name), "{left_out:?}");
    }

    let file = file.to_str().context("a path")?;
    let verified = |file: &str| -> Result<Output> {
        Ok(place.chaperone(["self-test", "--verify", file])?.output()?)
    };
    let good = verified(file)?;
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stdout));
    let altered = place.home().join("altered.json");
    let whole = fs::read_to_string(file)?;
    for (from, to) in [("\"not-applicable\"", "\"held\""), ("\"out\": 0", "\"out\": 1")] {
        fs::write(&altered, whole.replacen(from, to, 1))?;
        let bad = verified(altered.to_str().context("a path")?)?;
        assert_eq!(bad.status.code(), Some(1), "{}", text(&bad.stdout));
        assert!(text(&bad.stdout).contains("altered"), "{}", text(&bad.stdout));
    }
    // Elsewhere, by whoever collects them.
    let elsewhere = Place::new()?;
    let unknown = elsewhere.chaperone(["self-test", "--verify", file])?.output()?;
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown.stdout));
    let key = report["key"].as_str().context("a key")?;
    let named = elsewhere.chaperone(["self-test", "--verify", file, "--key", key])?.output()?;
    assert_eq!(named.status.code(), Some(0), "{}", text(&named.stderr));

    let status = place.chaperone(["status", "--json", "--mine"])?.output()?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let told = &status["self_test"];
    assert_eq!((&told["result"], &told["outdated"]), (&"held".into(), &Value::Null));
    assert_eq!((&told["kernel"], &told["file"]), (&report["machine"]["kernel"], &file.into()));
    let doctor = place.chaperone(["doctor"])?.output()?;
    assert!(text(&doctor.stdout).contains("nothing got out of"), "{}", text(&doctor.stdout));
    let again = place.chaperone(["self-test", "--if-due"])?.output()?;
    assert_eq!((again.status.code(), again.stdout), (Some(0), Vec::new()));
    assert_eq!(reports(&place.home()), [Path::new(file)]);
    Ok(())
}

#[test]
fn what_the_policy_in_force_lets_out_is_reported_with_the_remedy() -> Result<()> {
    let place = Place::new()?;
    let before = place.chaperone(["status", "--json", "--mine"])?.output()?;
    let before: Value = serde_json::from_slice(&before.stdout)?;
    assert_eq!(before["self_test"], Value::Null, "none was run yet");
    place.configure("[filesystem]\nread = [\"~/.ssh\"]\n")?;
    let (done, report, file) = tested(place.chaperone(["self-test", "--json", "--if-due"])?)?;
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    let again = place.chaperone(["self-test", "--if-due"])?.output()?;
    assert_eq!((again.status.code(), again.stdout), (Some(1), Vec::new()));
    assert_eq!(reports(&place.home()), [file]);
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout)?, report);
    assert_eq!(report["result"], "out");
    assert_eq!(with_result(&report, "out"), ["read-key"].into());
    let attempts = report["attempts"].as_array().context("attempts")?;
    let out = attempts.iter().find(|way| way["name"] == "read-key").context("it")?;
    assert_eq!(out["cause"], "policy");
    assert!(out["remedy"].as_str().is_some_and(|remedy| remedy.contains("policy show")), "{out}");
    let doctor = place.chaperone(["doctor"])?.output()?;
    assert!(text(&doctor.stdout).contains("1 of"), "{}", text(&doctor.stdout));
    Ok(())
}

#[test]
fn in_the_reduced_tier_the_named_losses_show_and_nothing_else() -> Result<()> {
    let place = Place::new()?;
    let mut command = place.chaperone(["self-test"])?;
    without_namespaces(&mut command);
    let (done, report, _) = tested(command)?;
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}{}", text(&done.stderr));
    assert_eq!(report["tier"], "reduced", "{}", report["capabilities"]);
    let known = with_result(&report, "known");
    for name in ["denied-read", "arguments", "program-run"] {
        assert!(known.contains(name), "{known:?}");
    }
    let attempts = report["attempts"].as_array().context("attempts")?;
    let denied = attempts.iter().find(|way| way["name"] == "denied-read").context("it")?;
    assert_eq!(denied["cause"], "secrets-in-workspace");
    let remedy = denied["remedy"].as_str().unwrap_or_default();
    assert!(remedy.contains("Set user.max_user_namespaces above 0"), "{denied}");
    Ok(())
}

#[test]
fn an_interrupted_one_leaves_nothing() -> Result<()> {
    let place = Place::new()?;
    let mut command = place.chaperone(["self-test"])?;
    let mut child: Child = command.stderr(Stdio::piped()).spawn()?;
    let worlds = place.home().join(".cache/chaperone/tmp");
    let under_way = || {
        let run = fs::read_dir(&worlds).ok()?.flatten().next()?;
        fs::read_dir(run.path()).ok()?.flatten().next().map(drop)
    };
    eventually("the first world", under_way)?;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let status = eventually("its end", || child.try_wait().ok().flatten())?;
    assert_eq!(status.code(), Some(3));
    leaves_nothing(&place.home(), child.id())?;
    assert!(reports(&place.home()).is_empty());
    Ok(())
}

#[test]
fn its_program_does_nothing_by_itself_and_no_session_starts_one() -> Result<()> {
    let place = Place::new()?;
    let alone = place.chaperone(["self-test-part", "attempts", "/nowhere", "write"])?.output()?;
    assert_eq!(alone.status.code(), Some(1));
    assert!(text(&alone.stderr).contains("chaperone self-test"), "{}", text(&alone.stderr));
    let program = chaperone_tests::chaperone()?;
    let folder = program.parent().context("a folder")?;
    place.configure(&format!("[filesystem]\nread = [{folder:?}]\n"))?;
    let program = program.display();
    let inside = place.run(&format!("{program} self-test; echo status $?"))?;
    assert_eq!(text(&inside.stdout), "status 3\n", "{}", text(&inside.stderr));
    let part = place.run(&format!("{program} self-test-part attempts place write; echo $?"))?;
    assert_eq!(text(&part.stdout), "1\n", "{}", text(&part.stderr));
    Ok(())
}
