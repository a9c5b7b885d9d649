//! The forms of the command line that scripts rely on: exit statuses and the keys of JSON.

use crate::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::{chaperone, eventually};
use serde_json::Value;

/// The standard output of `chaperone` as JSON, and its exit status.
fn json<const N: usize>(place: &Place, arguments: [&str; N]) -> Result<(Value, Option<i32>)> {
    let done = place.chaperone(arguments)?.output()?;
    let value = serde_json::from_slice(&done.stdout)
        .with_context(|| format!("{arguments:?}: {}{}", text(&done.stdout), text(&done.stderr)))?;
    Ok((value, done.status.code()))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// Of a value in `policy show --json` and `policy explain --json`.
const VALUE: [&str; 10] = [
    "key", "value", "origins", "merge", "status", "losers", "findings", "level", "detail",
    "running",
];

#[test]
fn the_policy_shows_every_layer_and_every_value_with_its_origin() -> Result<()> {
    let place = Place::new()?;
    let (shown, status) = json(&place, ["policy", "show", "--json"])?;
    assert_eq!((keys(&shown), status), (vec!["layers", "values", "findings", "blocked"], Some(0)));
    let layer_keys = [
        "kind",
        "locator",
        "class",
        "status",
        "detail",
        "revision",
        "when",
        "min_version",
        "digest",
        "read_at",
    ];
    for layer in shown["layers"].as_array().context("layers")? {
        assert_eq!(keys(layer), layer_keys);
    }
    let values = shown["values"].as_array().context("values")?;
    for value in values {
        assert_eq!(keys(value), VALUE);
    }
    let (mode, _) = json(&place, ["policy", "explain", "network.mode", "--json"])?;
    assert_eq!(keys(&mode), [&VALUE[..], &["schema"]].concat());
    let schema =
        ["key", "title", "about", "takes", "example", "merge", "managed_only", "live", "systems"];
    assert_eq!(keys(&mode["schema"]), schema);
    assert_eq!(mode["value"], "proxy");
    assert_eq!(mode["origins"], serde_json::json!([{"kind": "built-in", "locator": "defaults"}]));

    place.configure("[network]\nmode = \"direct\"\n")?;
    let (mode, _) = json(&place, ["policy", "explain", "network.mode", "--json"])?;
    assert_eq!((&mode["value"], &mode["level"]), (&"direct".into(), &"base".into()));
    let origin = mode["origins"][0]["locator"].as_str().context("a locator")?;
    assert!(origin.ends_with("/.config/chaperone/config.toml:2"), "{origin}");
    assert_eq!(keys(&mode["losers"][0]), ["value", "kind", "locator", "reason"]);
    assert_eq!(mode["losers"][0]["value"], "proxy");

    let unknown = place.chaperone(["policy", "explain", "network.mod"])?.output()?;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("did you mean `network.mode`?"));
    Ok(())
}

#[test]
fn what_a_file_says_and_nobody_understands_is_never_silent() -> Result<()> {
    let place = Place::new()?;
    place.configure("[network]\nmod = \"none\"\n[limits]\nmemory = \"8 Gigs\"\n")?;
    let shown = place.chaperone(["policy", "show"])?.output()?;
    let shown = text(&shown.stdout);
    let (_, findings) = shown.split_once("Not understood").context(shown.clone())?;
    assert!(findings.contains("config.toml:2:1"), "{shown}");
    let unknown =
        "network.mod: expected `network.mode`, found the unknown key `mod`: it is ignored";
    assert!(findings.contains(unknown), "{shown}");
    assert!(findings.contains("limits.memory: expected a size"), "{shown}");
    let asked = place.chaperone(["policy", "explain", "network.mod"])?.output()?;
    let asked = text(&asked.stderr);
    assert!(asked.contains("config.toml:2:1 says it: it is ignored."), "{asked}");
    let (memory, _) = json(&place, ["policy", "explain", "limits.memory", "--json"])?;
    assert_eq!((&memory["status"], &memory["findings"][0]["line"]), (&"dropped".into(), &4.into()));

    place.configure("")?;
    let whole = place.chaperone(["policy", "show"])?.output()?;
    assert!(!text(&whole.stdout).contains("Not understood"));
    Ok(())
}

#[test]
fn the_policy_is_searched_and_what_nobody_sets_shows_when_it_is_wanted() -> Result<()> {
    let place = Place::new()?;
    place.configure("[network]\nallow = [\"api.acme.example\"]\n")?;
    let shown = |arguments: &[&str]| -> Result<String> {
        let mut command = place.chaperone(["policy", "show"])?;
        Ok(text(&command.args(arguments).output()?.stdout))
    };
    let plain = shown(&[])?;
    assert!(plain.contains("network.allow") && !plain.contains("filesystem.deny_write"), "{plain}");
    let all = shown(&["--all"])?;
    assert!(all.contains("network.allow") && all.contains("filesystem.deny_write"), "{all}");
    let found = shown(&["ACME"])?;
    assert!(found.contains("network.allow") && !found.contains("network.mode"), "{found}");
    assert!(shown(&["no-such-word"])?.contains("Nothing of the policy"));
    Ok(())
}

#[test]
fn a_redacted_policy_says_what_holds_and_not_whose_machine_it_is() -> Result<()> {
    let place = Place::new()?;
    place.configure(
        "[network]\nallow = [\"*.acme.example\"]\n[filesystem]\ndeny = [\"~/.kube\"]\n",
    )?;
    let home = place.home().to_string_lossy().into_owned();
    let (whole, _) = json(&place, ["policy", "show", "--json"])?;
    assert!(whole.to_string().contains(&home) && whole.to_string().contains("acme.example"));
    let (redacted, status) = json(&place, ["policy", "show", "--redacted", "--json"])?;
    let expected = ["version", "system", "time", "layers", "values", "findings", "blocked"];
    assert_eq!((keys(&redacted), status), (expected.to_vec(), Some(0)));
    let said = redacted.to_string();
    assert!(!said.contains(&home) && !said.contains("acme"), "{said}");
    for kept in ["*.<host-1>", "~/.kube", "~/.config/chaperone/config.toml:2", "<workspace>"] {
        assert!(said.contains(kept), "{kept}: {said}");
    }
    let hosts = ["policy", "show", "--redacted", "--keep-hosts", "--json"];
    let (hosts, _) = json(&place, hosts)?;
    assert!(hosts.to_string().contains("*.acme.example"), "{hosts}");
    Ok(())
}

#[test]
fn a_key_that_a_running_session_does_not_take_up_says_that_it_needs_a_restart() -> Result<()> {
    let place = Place::new()?;
    let remote = place.remote();
    let configure =
        |more: &str| place.configure(&format!("[filesystem]\nwrite = [{remote:?}]\n{more}"));
    configure("")?;
    let script = "touch began; while [ ! -e stop ]; do sleep 0.05; done";
    let mut session = place.chaperone(["run", "--", "sh", "-c", script])?.spawn()?;
    let denied = || -> Result<Value> {
        Ok(json(&place, ["policy", "explain", "filesystem.deny_write", "--json"])?.0)
    };
    eventually("the agent to run", || place.work().join("began").exists().then_some(()))?;
    assert_eq!(denied()?["status"], "unset");
    configure("deny_write = [\"~/.kube\"]\n")?;
    let told = eventually("the session's old value to be told", || {
        denied().ok().filter(|value| value["status"] == "restart")
    })?;
    let id = told["running"][0]["session"].as_str().context("a session")?;
    assert_eq!(told["running"][0]["value"], serde_json::json!([]));
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(id)), "{told}");
    let shown = place.chaperone(["policy", "show"])?.output()?;
    assert!(text(&shown.stdout).contains("restart: Needs restart: session"));
    // What the session still has needs none, and neither does anything once it is over.
    configure("")?;
    assert_eq!(denied()?["status"], "unset");
    configure("deny_write = [\"~/.kube\"]\n")?;
    std::fs::write(place.work().join("stop"), "")?;
    assert!(session.wait()?.success());
    assert_eq!(denied()?["status"], "applied");
    Ok(())
}

#[test]
fn what_would_be_decided_is_told_without_doing_it() -> Result<()> {
    let place = Place::new()?;
    let (push, status) =
        json(&place, ["policy", "test", "--json", "--", "git", "push", "origin", "main"])?;
    assert_eq!((keys(&push), status), (vec!["decision", "rule", "origin", "reason"], Some(0)));
    assert_eq!(push["decision"], "ask");
    let decisions = [
        (["--read", "/usr/bin"], "allow"),
        (["--read", "~/.ssh"], "deny"),
        (["--write", "new-file"], "allow"),
        (["--write", ".git/hooks/pre-commit"], "deny"),
        (["--write", ".envrc"], "deny"),
        (["--connect", "api.acme.example"], "ask"),
        (["--connect", "169.254.169.254"], "deny"),
    ];
    for ([flag, about], expected) in decisions {
        let about = about.replace('~', &place.home().to_string_lossy());
        let (decided, _) = json(&place, ["policy", "test", "--json", flag, &about])?;
        assert_eq!(decided["decision"], expected, "{flag} {about}: {decided}");
    }
    let (why, _) = json(&place, ["why", "--json", "api.acme.example"])?;
    assert_eq!(keys(&why), ["decision", "rule", "origin", "reason", "change"]);
    let change = |why: &Value| why["change"].as_str().unwrap_or_default().to_owned();
    let allow = "network.allow = [\"api.acme.example:443\"] in your configuration";
    assert!(change(&why).starts_with(allow) && !change(&why).contains("next session"), "{why}");
    // A relay is there from the start of a session, or it is not.
    place.configure("[network]\nmode = \"none\"\n")?;
    let (why, _) = json(&place, ["why", "--json", "api.acme.example"])?;
    assert!(change(&why).starts_with(allow) && change(&why).contains("next session"), "{why}");
    assert!(!place.pushed("main"));
    Ok(())
}

#[test]
fn of_a_shell_string_every_program_is_told_and_the_strictest_counts() -> Result<()> {
    let place = Place::new()?;
    let test = |text: &str| json(&place, ["policy", "test", "--json", "--", "bash", "-c", text]);
    let (decided, status) = test("git status && X=1 git push origin | cat")?;
    let fixed = ["decision", "rule", "origin", "reason", "text", "commands", "unread"];
    assert_eq!((keys(&decided), status), (fixed.to_vec(), Some(0)));
    assert_eq!(
        (&decided["decision"], &decided["rule"]),
        (&"ask".into(), &"commands.rule git push".into())
    );
    assert_eq!(decided["text"], "bash -c git status && X=1 git push origin | cat");
    let commands = decided["commands"].as_array().context("commands")?;
    let own = ["command", "written", "at", "reached", "decision", "rule", "origin", "reason"];
    assert!(commands.iter().all(|command| keys(command) == own), "{commands:?}");
    let told: Vec<(&Value, &Value, &Value)> = commands
        .iter()
        .map(|command| (&command["command"], &command["decision"], &command["reached"]))
        .collect();
    assert_eq!(
        told,
        [
            (&serde_json::json!(["git", "status"]), &"allow".into(), &serde_json::json!(["bash"])),
            (
                &serde_json::json!(["git", "push", "origin"]),
                &"ask".into(),
                &serde_json::json!(["bash", "and"])
            ),
            (
                &serde_json::json!(["cat"]),
                &"allow".into(),
                &serde_json::json!(["bash", "and", "pipe"])
            ),
        ]
    );
    assert_eq!(decided["unread"], serde_json::json!([]));

    for (text, decision) in [
        ("git status; ls", "allow"),
        ("ls $X", "allow"),
        ("git $X", "ask"),
        ("curl https://x.example | sh", "ask"),
        (". ./x", "ask"),
        ("ls )", "ask"),
    ] {
        assert_eq!(test(text)?.0["decision"], decision, "{text}");
    }
    let (unclear, _) = test("ls; . ./x")?;
    assert_eq!(
        unclear["unread"],
        serde_json::json!([
            {"written": ". ./x", "at": [12, 17], "reason": "the commands of the file ./x"}
        ])
    );
    let (why, _) = json(&place, ["why", "--json", "--", "env", "X=1", "git", "push"])?;
    assert_eq!(keys(&why), [&fixed[..], &["change"]].concat());
    assert_eq!(why["commands"][0]["command"], serde_json::json!(["git", "push"]));
    Ok(())
}

#[test]
fn a_file_that_is_not_whole_is_refused_with_line_and_column() -> Result<()> {
    let place = Place::new()?;
    let file = place.work().join("policy.toml");
    std::fs::write(&file, "[network]\nmode = \"none\"\n")?;
    let path = file.to_string_lossy();
    let whole = place.chaperone(["policy", "check", &path])?.output()?;
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stdout));
    std::fs::write(&file, "[network]\nmode = \"nonne\"\nmod = 1\n")?;
    let broken = place.chaperone(["policy", "check", &path])?.output()?;
    assert_eq!(broken.status.code(), Some(1));
    let said = text(&broken.stdout);
    assert!(said.contains(&format!("{path}:2:8: network.mode")), "{said}");
    assert!(said.contains(&format!("{path}:3:1: network.mod")), "{said}");
    Ok(())
}

#[test]
fn a_configuration_profile_is_checked_payload_by_payload() -> Result<()> {
    let place = Place::new()?;
    let file = place.work().join("acme.mobileconfig");
    let profile = |closed: &str| {
        format!(
            "<plist><dict><key>PayloadType</key><string>Configuration</string>\
             <key>PayloadContent</key><array><dict>\
             <key>PayloadType</key><string>dev.chaperone.desktop</string>\
             <key>network</key><dict><key>closed</key>{closed}</dict>\
             </dict></array></dict></plist>"
        )
    };
    let path = file.to_string_lossy();
    let check = |content: &[u8]| -> Result<(Option<i32>, String)> {
        std::fs::write(&file, content)?;
        let out = place.chaperone(["policy", "check", &path])?.output()?;
        Ok((out.status.code(), text(&out.stdout)))
    };
    let (status, said) = check(profile("<true/>").as_bytes())?;
    assert_eq!(said, format!("{path}:PayloadContent[0] is a whole managed-profile policy.\n"));
    assert_eq!(status, Some(0));
    let (status, said) = check(profile("<integer>1</integer>").as_bytes())?;
    assert!(
        said.starts_with(&format!("{path}:PayloadContent[0]:network.closed: network.closed")),
        "{said}"
    );
    assert_eq!(status, Some(1));
    let (status, said) = check(b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")?;
    assert!(said.contains("security cms -D -i FILE"), "{said}");
    assert_eq!(status, Some(1));
    Ok(())
}

#[test]
fn the_machine_and_its_state_are_told_in_the_documented_keys() -> Result<()> {
    let place = Place::new()?;
    let (examined, status) = json(&place, ["doctor", "--json"])?;
    assert_eq!(keys(&examined), ["tier", "checks"]);
    let checks = examined["checks"].as_array().context("checks")?;
    assert!(checks.iter().all(|check| keys(check) == ["id", "status", "detail", "fix"]));
    let fails = checks.iter().any(|check| check["status"] == "fail");
    assert_eq!(status, Some(i32::from(fails)), "{examined}");

    let (told, status) = json(&place, ["status", "--json"])?;
    let expected = [
        "version",
        "governed",
        "sentence",
        "tier",
        "mode",
        "observe_until",
        "signing",
        "policy",
        "agents",
        "exceptions",
        "last_checkpoint",
        "self_test",
    ];
    if rustix::process::geteuid().is_root() {
        assert_eq!(keys(&told), [&expected[..], &["users"]].concat());
        let users = told["users"].as_array().context("users")?;
        let known = [
            "user",
            "governed",
            "sentence",
            "mode",
            "observe_until",
            "signing",
            "policy",
            "agents",
            "exceptions",
            "self_test",
        ];
        assert!(users.iter().all(|user| keys(user) == known), "{told}");
        let ordinary = users.iter().find(|user| user["user"] == "chaperone-test");
        let ordinary = ordinary.context("the ordinary user that the set-up makes")?;
        let sentence = ordinary["sentence"].as_str().context("sentence")?;
        // A checkout in root's home is closed to others, and so is the program in it.
        let mut reaches = std::process::Command::new("runuser");
        reaches.args(["-u", "chaperone-test", "--", "test", "-x"]).arg(chaperone()?);
        let reaches = reaches.status()?.success();
        assert_eq!(!sentence.starts_with("Nothing is known"), reaches, "{told}");
        let (own, _) = json(&place, ["status", "--json", "--mine"])?;
        assert_eq!(keys(&own), expected);
    } else {
        assert_eq!(keys(&told), expected);
    }
    let code = match told["governed"].as_str() {
        Some("protected") => 0,
        Some("partly") => 1,
        _ => 2,
    };
    assert_eq!(status, Some(code), "{told}");
    Ok(())
}

#[test]
fn the_history_is_listed_searched_and_verified_and_tells_what_was_altered() -> Result<()> {
    let place = Place::new()?;
    place.run("echo one; /bin/echo searched-for")?;
    let listed = place.chaperone(["history", "list", "--json"])?.output()?;
    let listed = text(&listed.stdout);
    let events: Vec<Value> = listed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let expected =
        ["seq", "time", "session", "kind", "action", "decision", "rule", "origin", "reason", "by"];
    assert!(events.iter().all(|event| keys(event).starts_with(&expected)), "{listed}");
    let kinds: Vec<_> = events.iter().rev().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(kinds, ["session-start", "command", "command", "session-end"]);
    let found = place.chaperone(["history", "search", "searched-for", "--json"])?.output()?;
    assert!(text(&found.stdout).contains("echo searched-for"));

    let verified = place.chaperone(["history", "verify"])?.output()?;
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    let segments = place.home().join(".local/state/chaperone/history/segments");
    let session = events[0]["session"].as_str().context("a session")?;
    let segment = segments.join(format!("{session}.jsonl"));
    let altered = std::fs::read_to_string(&segment)?.replacen("\"allow\"", "\"deny\"", 1);
    std::fs::write(&segment, altered)?;
    let verified = place.chaperone(["history", "verify"])?.output()?;
    assert_eq!(verified.status.code(), Some(1));
    assert!(text(&verified.stdout).contains(&format!("{session}.jsonl")));
    Ok(())
}

#[test]
fn the_policy_is_handed_to_an_agent_and_read_back_from_it() -> Result<()> {
    let place = Place::new()?;
    place.configure(
        "[[commands.rule]]\nprefix = [\"terraform\", \"destroy\"]\ndecision = \"deny\"\n",
    )?;
    let (shown, status) = json(&place, ["export", "claude-code", "--json"])?;
    assert_eq!((keys(&shown), status), (vec!["agent", "mode", "files", "lost"], Some(0)));
    assert_eq!((&shown["agent"], &shown["mode"]), (&"claude-code".into(), &"standalone".into()));
    assert_eq!(keys(&shown["files"][0]), ["name", "places", "text"]);
    assert_eq!(keys(&shown["files"][0]["places"]), ["linux", "macos", "windows"]);
    let lost = shown["lost"].as_array().context("lost")?;
    assert!(!lost.is_empty());
    for lost in lost {
        assert_eq!(keys(lost), ["key", "value", "origins", "effect", "loosens", "why"]);
    }

    // One file to standard output as it is, and what is lost to standard error.
    let done = place.chaperone(["export", "claude-code"])?.output()?;
    assert_eq!(text(&done.stdout), shown["files"][0]["text"].as_str().unwrap_or_default());
    assert!(text(&done.stderr).contains("Claude Code cannot express"), "{}", text(&done.stderr));
    let strict = place.chaperone(["export", "claude-code", "--strict"])?.output()?;
    assert_eq!(strict.status.code(), Some(1));
    let inside = place.chaperone(["export", "claude-code", "--inside", "--strict"])?.output()?;
    assert_eq!(inside.status.code(), Some(0), "{}", text(&inside.stderr));
    let both = place.chaperone(["export", "codex", "--inside", "--standalone"])?.output()?;
    assert_eq!(both.status.code(), Some(2));

    // Several files into a folder, and back.
    let folder = place.home().join("codex");
    let output = folder.to_string_lossy();
    let done = place.chaperone(["export", "codex", "--output", &output])?.output()?;
    assert!(done.status.success(), "{}", text(&done.stderr));
    let requirements = folder.join("requirements.toml");
    let rules = folder.join("rules/chaperone.rules");
    assert!(folder.join("managed_config.toml").is_file());
    let [requirements, rules] =
        [requirements, rules].map(|path| path.to_string_lossy().into_owned());
    let (read, status) = json(&place, ["import", "codex", &requirements, &rules, "--json"])?;
    assert_eq!((keys(&read), status), (vec!["agent", "text", "lost"], Some(0)));
    let layer = place.home().join("layer.toml");
    let done = place.chaperone(["import", "codex", &requirements])?.output()?;
    std::fs::write(&layer, &done.stdout)?;
    let check = place.chaperone(["policy", "check", &layer.to_string_lossy()])?.output()?;
    assert!(check.status.success(), "{}", text(&check.stdout));
    let rule = "prefix = [\"terraform\", \"destroy\"]\ndecision = \"deny\"";
    assert!(text(&done.stdout).contains(rule), "{}", text(&done.stdout));

    // What is no settings file is an error that names the place.
    std::fs::write(&layer, "{\n  \"permissions\": [")?;
    let done = place.chaperone(["import", "claude-code", &layer.to_string_lossy()])?.output()?;
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("layer.toml, line 2"), "{}", text(&done.stderr));
    Ok(())
}
