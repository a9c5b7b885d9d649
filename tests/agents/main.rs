//! The real agents from npm against a scripted model on loopback, outside the sandbox and inside:
//! the same script, so that what fails inside fails because of the sandbox.

#![cfg(target_os = "linux")]

mod agent;
mod browser;
mod internet;
mod keys;
mod managed;
mod model;
mod place;
mod proxy;
mod sign_in;

use agent::Agent;
use anyhow::{Context, Result};
use chaperone_tests::eventually;
use model::{Model, ToolResult};
use place::{Place, text};
use std::fs;
use std::process::{Child, Output, Stdio};

const WRITE: &str = "echo written > out.txt && cat out.txt";
const READ_KEY: &str = "cat ~/.ssh/id_ed25519";
const WRITE_HOOK: &str = "echo 'exit 1' > .git/hooks/pre-commit";
const REMOVE_HOOK: &str = "rm -f .git/hooks/pre-commit";
const COMMIT: &str = "git add out.txt && git commit -q -m 'By the agent' && git log --format=%s";
const PUSH: &str = "git push origin main";

/// How the words begin that an agent hears of its session.
const BRIEFING: &str = "You run inside Chaperone";
/// What its user has told it.
const OWN: &str = "Speak of turnips.";

/// What came back, one for each command of the script.
fn results<const N: usize>(model: &Model, said: &str) -> Result<[ToolResult; N]> {
    let results = model.results();
    let count = results.len();
    let all = results.try_into().ok();
    // What it said last is on the first line: a report may show no more.
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
    all.with_context(|| {
        format!("{count} results, not {N}; it said last: {last}\n{}\n{said}", model.log())
    })
}

/// What an agent has printed.
fn said(output: &Output) -> String {
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

/// A process that a failing test does not leave behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn claude_code_works_and_is_kept_from_secrets_hooks_and_publishing() -> Result<()> {
    let script =
        ["while ! [ -e go ]; do sleep 0.1; done", WRITE, READ_KEY, WRITE_HOOK, COMMIT, PUSH];
    let place = Place::new()?;
    let model = Model::that_runs(&script)?;
    let mut agent = Agent::claude_code(&model)?;
    agent.instruct(&place, OWN);
    place.allow(&model)?;
    // Somebody attends: what nobody could answer would be denied at once.
    let mut attendant = place.chaperone(&["approvals", "list", "--follow"])?;
    let _attendant = Running(attendant.stdout(Stdio::null()).spawn()?);
    let mut inside = agent.inside(&place)?;
    let mut session = Running(inside.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let list = || place.chaperone(&["approvals", "list", "--json"]).ok()?.output().ok();
    eventually("the session to start", || {
        let list = place.chaperone(&["approvals", "list"]).ok()?.output().ok()?;
        text(&list.stdout).contains("One session is running").then_some(())
    })?;
    fs::write(place.work().join("go"), "")?;
    let request = eventually("the request to push", || {
        let list = list()?;
        serde_json::from_slice::<serde_json::Value>(&list.stdout).ok()
    })?;
    assert_eq!(request["command"], serde_json::json!(["git", "push", "origin", "main"]));
    assert_eq!(request["agent"], "Claude Code");
    let id = request["id"].as_str().context("an id")?;
    let note = "Open a pull request instead.";
    let answer = place.chaperone(&["approvals", "answer", id, "deny", "--note", note])?.output()?;
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    let status = session.0.wait()?;
    let [_, write, key, hook, commit, push] = results(&model, "")?;
    assert!(status.success(), "{status}");
    assert_eq!(model.heard(BRIEFING), [1; 7], "{}", model.log());
    assert_eq!(model.heard(OWN), [1; 7], "{}", model.log());
    assert_eq!((write.text.as_str(), write.failed), ("written", false));
    assert!(key.failed && key.text.contains("Permission denied"), "{key:?}");
    assert!(hook.failed && is_refused(&hook), "{hook:?}");
    assert!(!place.work().join(".git/hooks/pre-commit").exists());
    assert_eq!((commit.text.as_str(), commit.failed), ("By the agent\nfirst", false));
    assert!(push.failed && push.text.starts_with("Exit code 126"), "{push:?}");
    assert!(push.text.contains("chaperone: denied: git push origin main"), "{push:?}");
    assert!(push.text.contains(note), "{push:?}");
    assert!(!place.is_pushed());
    Ok(())
}

/// The ordinary errors of what may not be written: by a mount, or by rights.
fn is_refused(write: &ToolResult) -> bool {
    ["Read-only file system", "Permission denied"].iter().any(|words| write.text.contains(words))
}

/// The other half of each test: without the sandbox, all of the script succeeds.
fn outside_everything_succeeds(agent: impl FnOnce(&Model) -> Result<Agent>) -> Result<()> {
    let place = Place::new()?;
    let model = Model::that_runs(&[WRITE, READ_KEY, WRITE_HOOK, REMOVE_HOOK, COMMIT, PUSH])?;
    let output = agent(&model)?.outside(&place)?.output()?;
    let [write, key, hook, removed, commit, _] = results(&model, &said(&output))?;
    assert!(write.text.contains("written"), "{write:?}");
    assert!(key.text.contains(place::KEY), "{key:?}");
    assert!(!hook.text.contains("denied") && !removed.text.contains("denied"), "{hook:?}");
    assert!(commit.text.contains("By the agent"), "{commit:?}");
    assert!(place.is_pushed(), "{}", model.log());
    Ok(())
}

/// The script inside, with nobody there to answer.
fn inside_it_works_and_is_kept_from_the_rest(
    agent: impl FnOnce(&Model) -> Result<Agent>,
) -> Result<()> {
    let place = Place::new()?;
    let model = Model::that_runs(&[WRITE, READ_KEY, WRITE_HOOK, COMMIT, PUSH])?;
    place.allow(&model)?;
    let mut agent = agent(&model)?;
    let instructions = agent.instruct(&place, OWN);
    let output = agent.inside(&place)?.output()?;
    let [write, key, hook, commit, push] = results(&model, &said(&output))?;
    assert_eq!(model.heard(BRIEFING), [1; 6], "{}", model.log());
    assert!(model.heard(OWN).iter().all(|times| *times > 0), "{:?}", model.heard(OWN));
    assert_eq!(fs::read_to_string(instructions)?, OWN);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(write.text.contains("written"), "{write:?}");
    assert!(key.text.contains("Permission denied") && !key.text.contains(place::KEY), "{key:?}");
    assert!(is_refused(&hook), "{hook:?}");
    assert!(!place.work().join(".git/hooks/pre-commit").exists());
    assert!(commit.text.contains("By the agent"), "{commit:?}");
    assert!(push.text.contains("chaperone: denied: git push origin main"), "{push:?}");
    assert!(!place.is_pushed());
    assert_eq!(fs::read_to_string(place.work().join("out.txt"))?, "written\n");
    Ok(())
}

#[test]
fn claude_code_outside_does_all_of_it() -> Result<()> {
    outside_everything_succeeds(Agent::claude_code)
}

#[test]
fn codex_outside_does_all_of_it() -> Result<()> {
    outside_everything_succeeds(Agent::codex)
}

#[test]
fn codex_works_inside_with_its_own_sandbox_off() -> Result<()> {
    inside_it_works_and_is_kept_from_the_rest(Agent::codex)
}

#[test]
fn gemini_cli_outside_does_all_of_it() -> Result<()> {
    outside_everything_succeeds(Agent::gemini_cli)
}

#[test]
fn gemini_cli_works_inside_with_its_own_sandbox_off() -> Result<()> {
    inside_it_works_and_is_kept_from_the_rest(Agent::gemini_cli)
}

#[test]
fn opencode_outside_does_all_of_it() -> Result<()> {
    outside_everything_succeeds(Agent::opencode)
}

#[test]
fn opencode_works_inside() -> Result<()> {
    inside_it_works_and_is_kept_from_the_rest(Agent::opencode)
}

/// In the ways of which only the last counts: the briefing comes beside the user's own.
#[test]
fn what_the_user_says_in_the_same_way_as_the_briefing_is_heard_too() -> Result<()> {
    let developer = "developer_instructions=\"Speak of turnips.\"";
    for (agent, own) in [
        (Agent::claude_code as fn(&Model) -> Result<Agent>, ["--append-system-prompt", OWN]),
        (Agent::codex, ["-c", developer]),
    ] {
        let place = Place::new()?;
        let model = Model::that_runs(&[WRITE])?;
        place.allow(&model)?;
        let mut agent = agent(&model)?;
        agent.with_arguments(&own);
        let output = agent.inside(&place)?.output()?;
        let [write] = results(&model, &said(&output))?;
        assert!(write.text.contains("written"), "{write:?}");
        assert_eq!((model.heard(BRIEFING), model.heard(OWN)), (vec![1; 2], vec![1; 2]));
        // The history has the command as it was given.
        let list = place.chaperone(&["history", "list"])?.output()?;
        assert!(!text(&list.stdout).contains(BRIEFING), "{}", text(&list.stdout));
    }
    Ok(())
}

#[test]
fn an_agent_that_is_signed_in_starts_without_signing_in() -> Result<()> {
    let place = Place::new()?;
    let model = Model::that_runs(&[WRITE])?;
    place.allow(&model)?;
    let account = serde_json::json!({ "claudeAiOauth": {
        "accessToken": "signed-in", "refreshToken": "none", "expiresAt": 4_102_444_800_000_u64,
        "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
    }});
    fs::create_dir(place.home().join(".claude"))?;
    fs::write(place.home().join(".claude/.credentials.json"), account.to_string())?;
    let mut agent = Agent::claude_code(&model)?;
    agent.forget("ANTHROPIC_API_KEY");
    let output = agent.inside(&place)?.output()?;
    let [write] = results(&model, &said(&output))?;
    assert_eq!(write.text, "written");
    assert!(model.log().contains("Bearer signed-in"), "{}", model.log());
    Ok(())
}

#[test]
fn an_agent_does_not_change_its_own_settings_and_writes_its_conversations() -> Result<()> {
    let place = Place::new()?;
    let settings = "$CLAUDE_CONFIG_DIR/settings.json";
    let model = Model::that_runs(&[
        &format!("cat {settings}"),
        &format!("echo '{{}}' > {settings}"),
        &format!("mv {settings} {settings}.old"),
        "mkdir -p $CLAUDE_CONFIG_DIR/skills/mine",
        "find $CLAUDE_CONFIG_DIR/projects -name '*.jsonl' | wc -l",
    ])?;
    place.allow(&model)?;
    let user = place.home().join(".claude");
    fs::create_dir(&user)?;
    fs::write(user.join("settings.json"), r#"{"cleanupPeriodDays":7}"#)?;
    let output = Agent::claude_code(&model)?.inside(&place)?.output()?;
    let [read, write, rename, skill, conversations] = results(&model, &said(&output))?;
    assert!(!read.failed && read.text.contains("cleanupPeriodDays"), "{read:?}");
    assert!(write.failed && rename.failed && skill.failed, "{write:?} {rename:?} {skill:?}");
    assert_eq!(conversations.text.trim(), "1");
    assert_eq!(fs::read_to_string(user.join("settings.json"))?, r#"{"cleanupPeriodDays":7}"#);
    Ok(())
}
