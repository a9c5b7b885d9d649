//! What `chaperone status` tells a fleet of a managed machine: in which mode the policy is, how each
//! of its sources was found, and what that does to whether agents are governed.

use crate::managed::{Machine, is_root};
use crate::place::text;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const WHOLE: &str = "revision = \"42\"\norganisation = \"Acme\"\n";
const OBSERVE: &str = "mode = \"observe\"\nuntil = \"2099-12-31\"\n";

/// The answer of one user, and the exit status.
fn told(machine: &Machine) -> Result<(Value, Option<i32>)> {
    let done = machine.chaperone(["status", "--json", "--mine"])?.output()?;
    let told = serde_json::from_slice(&done.stdout).context(text(&done.stderr))?;
    Ok((told, done.status.code()))
}

/// Each source's file and status.
fn sources(told: &Value) -> Vec<String> {
    let word = |source: &Value, key: &str| source[key].as_str().unwrap_or_default().to_owned();
    let sources = told["policy"]["sources"].as_array().into_iter().flatten();
    let line = |source: &Value| {
        let file = word(source, "locator");
        format!("{} {}", file.rsplit('/').next().unwrap_or_default(), word(source, "status"))
    };
    sources.map(line).collect()
}

#[test]
fn a_fleet_finds_the_laptop_whose_policy_is_not_in_force_as_it_was_deployed() -> Result<()> {
    let machine = Machine::new()?;
    let (unmanaged, _) = told(&machine)?;
    assert_eq!((&unmanaged["mode"], &unmanaged["policy"]), (&json!("enforce"), &Value::Null));

    machine.deploy("10.toml", WHOLE)?;
    let (whole, _) = told(&machine)?;
    let sentence = |told: &Value| told["sentence"].as_str().unwrap_or_default().to_owned();
    if !is_root() {
        // That user's own root could have written the file.
        assert_eq!(sources(&whole), ["10.toml untrusted"]);
        assert_eq!(whole["governed"], "partly", "{whole}");
        return Ok(());
    }
    assert_eq!(sources(&whole), ["10.toml present"]);
    assert!(!sentence(&whole).contains("/etc/chaperone"), "{whole}");
    let policy = &whole["policy"];
    assert_eq!((&policy["by"], &policy["revision"]), (&json!("Acme"), &json!("42")));
    assert_eq!((&policy["findings"], &policy["age"]), (&json!(0), &json!(0)));
    let source = &policy["sources"][0];
    assert_eq!(source["digest"].as_str().map(str::len), Some(64), "{source}");
    assert_eq!(source["revision"], "42");

    machine.deploy("20.toml", OBSERVE)?;
    let (observed, status) = told(&machine)?;
    assert_eq!(sources(&observed), ["10.toml present", "20.toml present"]);
    assert_eq!(observed["mode"], "observe");
    assert_eq!(observed["observe_until"], "2100-01-01T00:00:00Z");
    assert_eq!((&observed["governed"], status), (&json!("partly"), Some(1)));
    assert!(sentence(&observed).contains("only recorded until 2100-01-01"), "{observed}");

    fs::set_permissions(machine.policy("20.toml"), fs::Permissions::from_mode(0o666))?;
    let (untrusted, status) = told(&machine)?;
    assert_eq!(sources(&untrusted), ["10.toml present", "20.toml untrusted"]);
    assert_eq!(untrusted["mode"], "enforce", "others could have written it");
    assert_eq!((&untrusted["governed"], status), (&json!("partly"), Some(1)));
    assert!(sentence(&untrusted).contains("everybody can write"), "{untrusted}");

    fs::set_permissions(machine.policy("20.toml"), fs::Permissions::from_mode(0o600))?;
    let (unreadable, status) = told(&machine)?;
    assert_eq!(sources(&unreadable), ["10.toml present", "20.toml unreadable"]);
    assert_eq!((&unreadable["governed"], status), (&json!("not"), Some(2)));

    machine.deploy("20.toml", "[network\n")?;
    let (invalid, status) = told(&machine)?;
    assert_eq!(sources(&invalid), ["10.toml present", "20.toml invalid"]);
    assert_eq!((&invalid["governed"], status), (&json!("not"), Some(2)));
    assert!(sentence(&invalid).contains("20.toml:1:9"), "{invalid}");
    Ok(())
}

#[test]
fn a_person_reads_which_source_is_not_as_it_should_be() -> Result<()> {
    let machine = Machine::new()?;
    machine.deploy("10.toml", "organisation = \"Acme\"\n[network\n")?;
    let done = machine.chaperone(["status", "--mine"])?.output()?;
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("Not protected, because no agent starts: "), "{said}");
    let at = lines.iter().position(|line| line.starts_with("invalid  ")).context(said.clone())?;
    assert_eq!(lines[at], "invalid  managed-file /etc/chaperone/policy.d/10.toml");
    assert!(lines[at + 1].contains("Not valid TOML."), "{said}");
    Ok(())
}
