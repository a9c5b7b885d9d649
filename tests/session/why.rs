//! `chaperone why` inside a session: what it says is what doing it comes to, in both tiers.

use crate::place::{Place, text};
use crate::{Attendant, attended};
use anyhow::{Context, Result};
use chaperone_tests::chaperone;
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};

const POLICY: &str = r#"
[filesystem]
read = ["~/docs"]
write = ["~/out"]
deny = ["~/work/plans"]
deny_write = ["~/work/infra"]

[network]
allow = ["127.0.0.1:9"]

[[commands.rule]]
prefix = ["uname"]
decision = "deny"
reason = "Not here."
"#;

/// A session that runs a script, in which `$why` is the command, in each tier.
fn in_each_tier(place: &Place, script: &str) -> Result<[(&'static str, Command); 2]> {
    place.in_each_tier(&format!("why='{} why'; {script}", chaperone()?.display()))
}

/// The values that a script has printed, whatever stands between them.
fn values(command: &mut Command) -> Result<Vec<Value>> {
    let done = command.output()?;
    let said = text(&done.stdout);
    let values = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
    values.collect::<Result<_, _>>().with_context(|| format!("{said}{}", text(&done.stderr)))
}

fn said<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn of_what_the_kernel_refuses_it_says_why() -> Result<()> {
    let place = Place::new()?;
    let script = "unshare -U true 2>/dev/null && echo made; $why --json -- unshare -U true";
    let outside = place.command("unshare").args(["-U", "true"]).output()?;
    assert!(outside.status.success(), "{}", text(&outside.stderr));
    for (tier, mut session) in in_each_tier(&place, script)? {
        let [told] = &values(&mut session)?[..] else { panic!("{tier}") };
        assert_eq!(said(told, "decision"), "allow", "{tier}");
        assert!(said(told, "reason").contains("makes namespaces"), "{tier}: {told}");
    }
    Ok(())
}

#[test]
fn of_files_it_says_what_opening_them_comes_to() -> Result<()> {
    let place = Place::new()?;
    place.configure(POLICY)?;
    let folders = ["docs", "out", "work/plans", "work/infra", "work/src", ".ssh"];
    for folder in folders.into_iter().chain(["work/.github/workflows"]) {
        fs::create_dir_all(place.home().join(folder))?;
    }
    let files = [
        "src/main.rs",
        ".env",
        "plans/next",
        "infra/main.tf",
        ".git/hooks/pre-commit",
        "../docs/a",
        "../out/a",
        "../.ssh/id",
        "/etc/hostname",
        "/usr/bin/env",
        ".github/workflows/ci.yml",
    ];
    for file in files.iter().filter(|file| !file.starts_with('/')) {
        fs::write(place.work().join(file), "x")?;
    }
    let tried = |file: &str| {
        format!(
            "$why --json {file}; cat {file} >/dev/null 2>&1 && echo true || echo false; \
             (: >>{file}) 2>/dev/null && echo true || echo false;"
        )
    };
    for (tier, mut session) in in_each_tier(&place, &files.map(tried).concat())? {
        let told = values(&mut session)?;
        let all: Vec<_> = told.chunks_exact(4).collect();
        assert_eq!(all.len(), files.len(), "{tier}: {told:?}");
        let mut seen = Vec::new();
        for (file, own) in files.iter().zip(all) {
            let [reading, writing] = [0, 1].map(|at| said(&own[at], "decision") == "allow");
            // What that tier loses is no reason to tell that it can be had.
            let lost = tier == "reduced" && [".env", "plans/next"].contains(file);
            let tried = (own[2] == true && !lost, own[3] == true);
            assert_eq!((reading, writing), tried, "{tier} {file}: {own:#?}");
            seen.push((reading, writing));
            for decision in &own[..2] {
                assert_eq!(said(decision, "change").is_empty(), decision["decision"] == "allow");
            }
        }
        let (all, read, none) = ((true, true), (true, false), (false, false));
        let mine = [all, none, none, read, read, read, all, none, read, read, read];
        assert_eq!(seen, mine, "{tier}");

        // What would lift it is named, and where nothing does, that is said.
        let [hook, workflow] = [&told[17], &told[41]].map(|told| said(told, "change"));
        assert!(hook.starts_with("No policy lifts this."), "{hook}");
        assert!(workflow.contains("/work/.github/workflows\"] in"), "{workflow}");

        // What opening it would not tell is not told.
        let [plans, infra] = [&told[8], &told[13]];
        for (told, rule) in [(plans, "filesystem.deny"), (infra, "filesystem.deny_write")] {
            assert_eq!(said(told, "rule"), rule, "{told}");
            let origin = serde_json::json!({
                "kind": "user-file", "locator": "not told in a session",
            });
            assert_eq!(told["origin"], origin);
            assert!(!said(told, "reason").contains("work"), "{told}");
        }
    }
    Ok(())
}

#[test]
fn of_commands_and_hosts_it_says_what_would_be_decided_and_does_nothing() -> Result<()> {
    let place = Place::new()?;
    place.configure(POLICY)?;
    let script = "$why --json -- touch made; $why --json -- uname -a; uname -a; \
                  $why --json -- git push origin main; \
                  $why --json -- bash -c 'git status; uname'; \
                  $why --json 127.0.0.1:9; $why --json paste.example";
    for (tier, mut session) in in_each_tier(&place, script)? {
        let told = values(&mut session)?;
        let decided: Vec<_> =
            told.iter().map(|told| (said(told, "decision"), said(told, "rule"))).collect();
        let uname = ("deny", "commands.rule uname");
        assert_eq!(
            decided,
            [
                ("allow", ""),
                uname,
                ("deny", "commands.rule git push"),
                uname,
                ("allow", "network.allow"),
                ("deny", "network.unfamiliar"),
            ],
            "{tier}: {told:#?}"
        );
        // Its refusal says as much.
        assert_eq!(said(&told[1], "reason"), "Not here.");
        assert!(said(&told[1]["origin"], "locator").ends_with("config.toml:11"), "{:?}", told[1]);
        assert!(said(&told[2], "reason").contains("Nobody is there to answer"), "{:?}", told[2]);
        let started = told[3]["commands"].as_array().context("commands")?;
        assert_eq!((started.len(), said(&started[1], "written")), (2, "uname"));
        assert!(!place.work().join("made").exists());
    }
    let asked = |event: &&Value| said(event, "action").contains("why-asked");
    let events = place.events([])?;
    let asked: Vec<&Value> = events.iter().filter(asked).collect();
    assert_eq!(asked.len(), 2 * 8, "each question stands in the history");
    assert!(asked.iter().all(|event| event["decision"] == "allow"));
    Ok(())
}

#[test]
fn of_a_host_that_the_proxy_judges_it_says_as_much_as_the_proxy() -> Result<()> {
    let place = Place::new()?;
    place.configure(
        "[network]\nmode = \"proxy\"\nallow = [\"*.acme.example\"]\ndeny = [\"paste.example\"]\n",
    )?;
    let script = "for host in api.acme.example paste.example other.example; do \
                  $why --json $host; done";
    for (tier, mut session) in in_each_tier(&place, script)? {
        let told = values(&mut session)?;
        let [allowed, denied, unfamiliar] = told.as_slice() else {
            anyhow::bail!("{tier}: {told:?}")
        };
        assert_eq!((said(allowed, "decision"), said(allowed, "rule")), ("allow", "network.allow"));
        assert_eq!(
            (said(denied, "decision"), said(denied, "rule")),
            ("deny", "network.deny paste.example")
        );
        assert!(said(&denied["origin"], "locator").ends_with("config.toml:4"), "{denied}");
        assert_eq!(said(unfamiliar, "decision"), "deny", "{unfamiliar}");
        assert!(said(unfamiliar, "reason").contains("Nobody is there to answer"), "{unfamiliar}");
    }
    Ok(())
}

#[test]
fn what_a_person_would_be_asked_about_is_told_with_how_long_it_waits() -> Result<()> {
    let place = Place::new()?;
    place.configure("[approvals]\nexpires = \"90s\"\n")?;
    let script = "until [ -e attended ]; do :; done; $why --json -- git push";
    for (tier, mut session) in in_each_tier(&place, script)? {
        let _ = fs::remove_file(place.work().join("attended"));
        let _attendant = Attendant::start(&place)?;
        let session = session.stdout(Stdio::piped()).spawn()?;
        attended(&place)?;
        let told: Value = serde_json::from_slice(&session.wait_with_output()?.stdout)?;
        assert_eq!(said(&told, "decision"), "ask", "{tier}: {told}");
        let reason = "It publishes commits. It waits up to 1 min 30 s for an answer.";
        assert_eq!(said(&told, "reason"), reason);
    }
    Ok(())
}

#[test]
fn where_no_session_answers_it_says_so() -> Result<()> {
    let place = Place::new()?;
    let mut why = place.chaperone(["why", "--", "ls"])?;
    let done = why.env("CHAPERONE_SESSION", "made up").output()?;
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("no session answers"), "{}", text(&done.stderr));
    Ok(())
}
