//! The scripts in `installers/mdm`: what each says about recorded answers of `chaperone status`,
//! about the real command, and about none. What runs only on Windows is parsed, and
//! checked by its names.

#![cfg(target_os = "linux")]

mod ansible;
mod osquery;
mod place;
mod powershell;

use anyhow::{Context, Result, ensure};
use chaperone_tests::chaperone;
use place::{Place, installers, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A recorded answer of `chaperone status --json`.
fn form(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("mdm/forms").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What a script prints for each recorded answer, for one that is none, and without the command.
fn outputs(script: &str) -> Result<Vec<String>> {
    let place = Place::new()?;
    let mut outputs = Vec::new();
    for (name, status) in [("governed.json", 0), ("partly.json", 1), ("not.json", 2)] {
        let fake = place.fake(&form(name)?, status)?;
        outputs.push(place.run(script, &fake)?);
    }
    let fake = place.fake("error: no such command", 2)?;
    outputs.push(place.run(script, &fake)?);
    outputs.push(place.run(script, Path::new("/nowhere/chaperone"))?);
    Ok(outputs)
}

#[test]
fn every_script_is_plain_posix_shell() -> Result<()> {
    let mut scripts: Vec<PathBuf> = Vec::new();
    let mut folders = vec![installers()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let kind = path.extension().and_then(|kind| kind.to_str());
            match kind {
                _ if path.is_dir() => folders.push(path),
                Some("sh" | "fact") => scripts.push(path),
                _ => {}
            }
        }
    }
    ensure!(scripts.len() == 4, "{scripts:?}");
    let mut check = Command::new("shellcheck");
    check.args(["--shell", "sh"]).args(&scripts);
    let done =
        check.output().context("shellcheck is not installed (the package is called shellcheck)")?;
    ensure!(done.status.success(), "{}", text(&done.stdout));
    Ok(())
}

#[test]
fn the_jamf_attribute_says_in_one_line_how_agents_are_governed() -> Result<()> {
    let known = |governed: &str, mode: &str, sources: &str| {
        format!(
            "<result>governed={governed}; mode={mode}; tier=full; revision=2026-11-22.1; \
             sources={sources}; version=0.1.0</result>\n"
        )
    };
    assert_eq!(
        outputs("jamf/extension-attribute.sh")?,
        [
            known("protected", "enforce", "ok"),
            known("partly", "observe", "untrusted"),
            known("not", "enforce", "invalid,untrusted"),
            "<result>unknown: chaperone status gave no answer</result>\n".to_owned(),
            "<result>not installed</result>\n".to_owned(),
        ]
    );
    Ok(())
}

#[test]
fn what_the_attribute_holds_is_no_markup() -> Result<()> {
    let place = Place::new()?;
    let named = form("governed.json")?.replace("2026-11-22.1", "<b>&");
    let said = place.run("jamf/extension-attribute.sh", &place.fake(&named, 0)?)?;
    assert!(said.contains("revision=&lt;b&gt;&amp;; "), "{said}");
    Ok(())
}

#[test]
fn the_attribute_agrees_with_the_real_command() -> Result<()> {
    let place = Place::new()?;
    let program = chaperone()?;
    let told = place.command(&program).args(["status", "--json"]).output()?;
    let told: Value = serde_json::from_slice(&told.stdout).context(text(&told.stderr))?;
    let word = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let revision = told["policy"]["revision"].as_str().unwrap_or("none");
    let sources = told["policy"]["sources"].as_array();
    let bad: BTreeSet<&str> = sources
        .into_iter()
        .flatten()
        .filter_map(|source| source["status"].as_str())
        .filter(|status| *status != "present")
        .collect();
    let bad: Vec<&str> = bad.into_iter().collect();
    assert_eq!(
        place.run("jamf/extension-attribute.sh", &program)?,
        format!(
            "<result>governed={}; mode={}; tier={}; revision={revision}; sources={}; \
             version={}</result>\n",
            word("governed"),
            word("mode"),
            word("tier"),
            if bad.is_empty() { "ok".to_owned() } else { bad.join(",") },
            word("version"),
        )
    );
    Ok(())
}

/// The keys of an object, with those of the objects in it, as paths.
fn paths(value: &Value, under: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
                paths(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| paths(value, under, found)),
        _ => {}
    }
}

#[test]
fn the_recorded_answers_have_the_keys_that_the_command_gives_today() -> Result<()> {
    let place = Place::new()?;
    let told = place.command(&chaperone()?).args(["status", "--json", "--mine"]).output()?;
    let told: Value = serde_json::from_slice(&told.stdout).context(text(&told.stderr))?;
    let top = |value: &Value| {
        value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    for name in ["governed.json", "partly.json", "not.json"] {
        let mut recorded: Value = serde_json::from_str(&form(name)?)?;
        if let Some(object) = recorded.as_object_mut() {
            object.remove("users");
        }
        assert_eq!(top(&recorded), top(&told), "{name}");
    }
    Ok(())
}

/// What the rules of custom compliance may be made of.
const OPERATORS: [&str; 6] =
    ["IsEquals", "NotEquals", "GreaterThan", "GreaterEquals", "LessThan", "LessEquals"];
const TYPES: [&str; 6] = ["Boolean", "Int64", "Double", "String", "DateTime", "Version"];

#[test]
fn compliance_is_judged_on_settings_that_the_discovery_scripts_give() -> Result<()> {
    let settings = |[governed, mode, sources, revision, version]: [&str; 5]| {
        json!({"Governed": governed, "Mode": mode, "Sources": sources, "Revision": revision,
               "Version": version})
    };
    let discovered: Vec<Value> = outputs("intune/compliance.sh")?
        .iter()
        .map(|output| serde_json::from_str(output).context(output.clone()))
        .collect::<Result<_>>()?;
    assert_eq!(
        discovered,
        [
            settings(["protected", "enforce", "present", "2026-11-22.1", "0.1.0"]),
            settings(["partly", "observe", "untrusted", "2026-11-22.1", "0.1.0"]),
            settings(["not", "enforce", "invalid,untrusted", "2026-11-22.1", "0.1.0"]),
            settings(["unknown", "none", "none", "none", "0.0.0"]),
            settings(["not installed", "none", "none", "none", "0.0.0"]),
        ]
    );

    let rules: Value = serde_json::from_str(&script("intune/compliance-rules.json")?)?;
    let windows = script("intune/compliance.ps1")?;
    for rule in rules["Rules"].as_array().context("Rules")? {
        let word = |key: &str| rule[key].as_str().unwrap_or_default();
        let setting = word("SettingName");
        assert!(discovered[0].get(setting).is_some(), "{rule}");
        assert!(windows.contains(&format!("{setting} = '")), "{rule}");
        assert!(OPERATORS.contains(&word("Operator")) && TYPES.contains(&word("DataType")));
        assert!(word("MoreInfoUrl").starts_with("https://"), "{rule}");
        let words = &rule["RemediationStrings"][0];
        assert_eq!(words["Language"], "en_US");
        assert!(words["Title"].is_string() && words["Description"].is_string(), "{rule}");
    }
    // Only what is governed, enforced and whole is compliant.
    let compliant = |settings: &Value| {
        let rules = rules["Rules"].as_array().into_iter().flatten();
        rules.filter(|rule| rule["DataType"] == "String").all(|rule| {
            let setting = rule["SettingName"].as_str().unwrap_or_default();
            settings[setting] == rule["Operand"]
        })
    };
    let judged: Vec<bool> = discovered.iter().map(compliant).collect();
    assert_eq!(judged, [true, false, false, false, false]);
    Ok(())
}

fn script(name: &str) -> Result<String> {
    Ok(fs::read_to_string(installers().join(name))?)
}
