//! The policies in `docs/examples`: each is whole for the layer that it is written for, and decides
//! as the admin guide says.

use crate::managed::{Machine, is_root};
use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name)
}

#[test]
fn every_example_is_whole_for_the_layer_that_it_is_written_for() -> Result<()> {
    let place = Place::new()?;
    let written = [
        ("credentials.toml", "user"),
        ("regulated.toml", "managed"),
        ("start-up.toml", "recommended"),
        ("university.toml", "managed"),
    ];
    let mut names = Vec::new();
    for entry in fs::read_dir(example(""))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, written.map(|(name, _)| name));
    for (name, layer) in written {
        let path = example(name);
        let path = path.to_string_lossy();
        let done = place.chaperone(["policy", "check", "--layer", layer, &path])?.output()?;
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stdout));
    }
    Ok(())
}

fn decision(mut test: Command, asked: &str) -> Result<String> {
    test.args(["policy", "test", "--json"]);
    match asked.strip_prefix("connect ") {
        Some(host) => test.args(["--connect", host]),
        None => test.arg("--").args(asked.split(' ')),
    };
    let done = test.output()?;
    let decided: Value = serde_json::from_slice(&done.stdout).context(text(&done.stderr))?;
    Ok(decided["decision"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_examples_decide_as_the_guide_says() -> Result<()> {
    let machine = Machine::new()?;
    let holds = |expected: &[(&str, &str)]| -> Result<()> {
        for (asked, verdict) in expected {
            assert_eq!(decision(machine.chaperone([])?, asked)?, *verdict, "{asked}");
        }
        Ok(())
    };
    holds(&[("make deploy", "allow"), ("connect models.acme.example", "ask")])?;

    machine.deploy("10.toml", &fs::read_to_string(example("regulated.toml"))?)?;
    holds(&[
        ("ls", "allow"),
        ("git push origin main", "ask"),
        ("npm publish", "deny"),
        ("kubectl get pods", "deny"),
        ("connect elsewhere.example", "deny"),
    ])?;
    if is_root() {
        holds(&[("connect models.acme.example", "allow")])?;
        let run = machine.chaperone(["run", "--unattended", "--", "git", "status"])?.output()?;
        ensure!(run.status.success(), "{}", text(&run.stderr));
    }

    machine.deploy("10.toml", &fs::read_to_string(example("university.toml"))?)?;
    holds(&[("sbatch job", "ask"), ("softwareupdate", "allow"), ("winget install x", "allow")])?;
    if is_root() {
        let run =
            machine.chaperone(["run", "--unattended", "--", "git", "push", "-q"])?.output()?;
        assert_ne!(run.status.code(), Some(126), "{}", text(&run.stderr));
        assert!(text(&run.stderr).contains("OBSERVE MODE"), "{}", text(&run.stderr));
    }
    Ok(())
}

#[test]
fn what_a_start_up_recommends_its_people_may_change() -> Result<()> {
    let place = Place::new()?;
    place.configure("")?;
    let path = example("start-up.toml");
    let with = |asked: &str, more: Option<&Path>| -> Result<String> {
        let mut test = place.chaperone(["policy", "test", "--json", "--policy"])?;
        test.arg(&path);
        if let Some(more) = more {
            test.arg("--policy").arg(more);
        }
        let done = test.arg("--").args(asked.split(' ')).output()?;
        let decided: Value = serde_json::from_slice(&done.stdout).context(text(&done.stderr))?;
        Ok(decided["decision"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(with("git push --force", None)?, "deny");
    assert_eq!(with("git push", None)?, "ask");
    assert_eq!(with("make deploy", None)?, "ask");
    let own = place.work().join("own.toml");
    fs::write(&own, "[[commands.rule]]\nprefix = [\"make\"]\ndecision = \"allow\"\n")?;
    assert_eq!(with("make deploy", Some(&own))?, "allow");
    Ok(())
}
