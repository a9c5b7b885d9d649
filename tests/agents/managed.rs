//! The managed settings that `chaperone export` writes, read by the real agents where they read
//! them: below `/etc`, of which each test has a copy of its own.

use super::agent::{Agent, program};
use super::model::Model;
use super::place::{Place, text};
use super::{PUSH, WRITE, results, said};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const DESTROY: &str = "terraform destroy -auto-approve";

/// What the tests hand on.
const POLICY: &str = r#"
[filesystem]
write = ["~/out"]
deny = ["~/.ssh", "**/secrets/**"]
deny_write = ["infra/**"]

[network]
mode = "proxy"
allow = ["git.acme.example"]
deny = ["paste.example"]

[[commands.rule]]
prefix = ["terraform", "destroy"]
decision = "deny"
reason = "The pipeline alone destroys."

[[commands.rule]]
prefix = ["npm", "test"]
decision = "allow"
"#;

/// What Codex keeps from being written in each folder that may be. Where one is missing or empty it
/// makes it for the time of a command, and several at once take it from each other, which ends Codex
/// now and then: "failed to load AGENTS.md instructions: fs sandbox helper failed". What holds a file
/// stays.
const PROTECTED: [&str; 4] = [".git", ".agents", ".codex", ".aws"];

/// A copy of `/etc` in which managed settings lie. One command at a time sees it, in a mount
/// namespace; whoever starts it is root there, as the owner of managed settings has to be.
struct Etc {
    folder: tempfile::TempDir,
}

impl Etc {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        for name in ["upper", "work"] {
            fs::create_dir(folder.path().join(name))?;
        }
        // As /etc itself: whoever asks whether others could write it is to find that they cannot.
        fs::set_permissions(folder.path().join("upper"), fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder })
    }

    /// What `chaperone export` writes with these arguments, each file in its place.
    fn with_exported(place: &Place, arguments: &[&str]) -> Result<Self> {
        let etc = Self::new()?;
        for (path, text) in exported(place, arguments)? {
            etc.put(&path, &text)?;
        }
        Ok(etc)
    }

    fn put(&self, path: &str, text: &str) -> Result<()> {
        let path = path.strip_prefix("/etc/").context("a file below /etc")?;
        let path = self.folder.path().join("upper").join(path);
        let folder = path.parent().context("a folder")?;
        fs::create_dir_all(folder)?;
        for folder in folder.ancestors().take_while(|folder| !folder.ends_with("upper")) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        Ok(fs::write(path, text)?)
    }

    /// The command in a namespace of its own with this `/etc`, and with a `/tmp` of its own.
    fn around(&self, command: &Command) -> Result<Command> {
        let folder = self.folder.path().to_str().context("a path of UTF-8")?;
        let kept = PROTECTED.map(|name| format!("mkdir /tmp/{name} && touch /tmp/{name}/kept"));
        // Where cargo's folder lies below /tmp, the machine's own stays.
        let own_tmp = match folder.starts_with("/tmp/") {
            true => String::new(),
            false => format!("mount -t tmpfs tmpfs /tmp && {} &&", kept.join(" && ")),
        };
        let script = format!(
            "{own_tmp} mount -t overlay overlay -o lowerdir=/etc,upperdir='{folder}/upper',\
             workdir='{folder}/work' /etc && exec \"$@\""
        );
        let mut outer = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            outer.args(["--user", "--map-root-user"]);
        }
        outer.args(["--mount", "sh", "-c", &script, "sh"]);
        outer.arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                outer.env(name, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            outer.current_dir(folder);
        }
        outer.stdin(std::process::Stdio::null());
        Ok(outer)
    }

    fn run(&self, command: &Command) -> Result<Output> {
        Ok(self.around(command)?.output()?)
    }
}

/// The files that `chaperone export` writes, each with its place on Linux.
fn exported(place: &Place, arguments: &[&str]) -> Result<Vec<(String, String)>> {
    let policy = place.home().join("policy.toml");
    fs::write(&policy, POLICY)?;
    let mut export = place.chaperone(&["export"])?;
    let done = export.args(arguments).arg("--policy").arg(policy).arg("--json").output()?;
    ensure!(done.status.success(), "{arguments:?}: {}", text(&done.stderr));
    let shown: Value = serde_json::from_slice(&done.stdout)?;
    let files = shown["files"].as_array().context("files")?;
    files
        .iter()
        .map(|file| {
            let path = file["places"]["linux"].as_str().context("a place")?.to_owned();
            Ok((path, file["text"].as_str().context("a text")?.to_owned()))
        })
        .collect()
}

/// What `claude doctor` says of settings that it cannot use.
fn complaints(etc: &Etc, place: &Place) -> Result<String> {
    let mut doctor = place.command(program(".bin/claude")?);
    doctor.arg("doctor").env("ANTHROPIC_API_KEY", "scripted");
    doctor.env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9").env("DISABLE_AUTOUPDATER", "1");
    doctor.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    let said = said(&etc.run(&doctor)?);
    ensure!(said.contains("Claude Code doctor"), "{said}");
    let (_, complaints) = said.split_once("Invalid settings").unwrap_or_default();
    Ok(complaints.split("\n\n").next().unwrap_or_default().trim().to_owned())
}

#[test]
fn claude_code_finds_nothing_wrong_with_its_managed_settings() -> Result<()> {
    let place = Place::new()?;
    for mode in ["--standalone", "--inside"] {
        let etc = Etc::with_exported(&place, &["claude-code", mode])?;
        assert_eq!(complaints(&etc, &place)?, "", "{mode}");
    }
    let etc = Etc::new()?;
    let broken = r#"{"permissions": {"deny": ["bash(x)"]}, "sandbox": {"enabled": "yes"}}"#;
    etc.put("/etc/claude-code/managed-settings.json", broken)?;
    let complaints = complaints(&etc, &place)?;
    assert!(complaints.contains("permissions.deny"), "{complaints}");
    assert!(complaints.contains("sandbox.enabled"), "{complaints}");
    Ok(())
}

#[test]
fn claude_code_obeys_its_managed_settings() -> Result<()> {
    let place = Place::new()?;
    fs::create_dir_all(place.work().join("secrets"))?;
    fs::write(place.work().join("secrets/key"), "hidden")?;
    let mut settings = exported(&place, &["claude-code", "--standalone"])?;
    let (path, text) = settings.pop().context("one file")?;
    // Its own sandbox needs programs that not every machine has; without it, what it refuses it
    // refuses by its rules.
    let mut settings: Value = serde_json::from_str(&text)?;
    settings["sandbox"]["enabled"] = false.into();
    let etc = Etc::new()?;
    etc.put(&path, &settings.to_string())?;
    let script = [
        DESTROY,
        "cd . && terraform -chdir=x destroy",
        PUSH,
        "git -C . push origin main",
        "cat ~/.ssh/id_ed25519",
        "cat secrets/key",
        "git status --short",
    ];
    let model = Model::that_runs(&script)?;
    let output = etc.run(&Agent::claude_code(&model)?.managed(&place)?)?;
    let [destroy, chdir, push, behind_options, key, secret, status] =
        results(&model, &said(&output))?;
    for refused in [&destroy, &chdir, &push, &behind_options, &key, &secret] {
        assert!(refused.failed, "{refused:?}\n{}", said(&output));
    }
    for denied in [&destroy, &chdir, &key, &secret] {
        assert!(denied.text.contains("has been denied"), "{denied:?}");
    }
    assert!(!key.text.contains(super::place::KEY) && !secret.text.contains("hidden"));
    assert!(!place.is_pushed());
    // Its other half: what no rule is about runs as before.
    assert!(!status.failed, "{status:?}");
    Ok(())
}

#[test]
fn claude_code_without_the_sandbox_that_is_demanded_does_not_start() -> Result<()> {
    let place = Place::new()?;
    let etc = Etc::with_exported(&place, &["claude-code", "--standalone"])?;
    let model = Model::that_runs(&[WRITE])?;
    // No program that the sandbox is made of can be found.
    let folder = place.home().join("bin");
    fs::create_dir(&folder)?;
    std::os::unix::fs::symlink("/bin/sh", folder.join("sh"))?;
    let agent = Agent::claude_code(&model)?.managed(&place)?;
    let mut command = place.command("env");
    for (name, value) in agent.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.arg(format!("PATH={}", folder.display()));
    command.arg(agent.get_program()).args(agent.get_args());
    let output = etc.run(&command)?;
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).to_lowercase().contains("sandbox"), "{}", said(&output));
    assert_eq!(model.results(), []);
    Ok(())
}

#[test]
fn claude_code_inside_is_told_of_denials_and_has_no_sandbox_of_its_own() -> Result<()> {
    let place = Place::new()?;
    let etc = Etc::with_exported(&place, &["claude-code", "--inside"])?;
    let model = Model::that_runs(&[DESTROY, WRITE])?;
    let output = etc.run(&Agent::claude_code(&model)?.outside(&place)?)?;
    let [destroy, write] = results(&model, &said(&output))?;
    assert!(destroy.failed && destroy.text.contains("has been denied"), "{destroy:?}");
    assert!(write.text.contains("written"), "{write:?}");
    Ok(())
}

/// What `codex execpolicy check` decides; nothing where no rule is about the command.
fn checked(place: &Place, rules: &Path, command: &[&str]) -> Result<Option<String>> {
    let mut check = place.command(program(".bin/codex")?);
    check.args(["execpolicy", "check", "--rules"]).arg(rules).arg("--").args(command);
    let done = check.output()?;
    ensure!(done.status.success(), "{command:?}: {}", said(&done));
    let shown: Value = serde_json::from_slice(&done.stdout)?;
    Ok(shown["decision"].as_str().map(str::to_owned))
}

#[test]
fn codex_decides_by_the_exported_rules_as_the_policy_does() -> Result<()> {
    let place = Place::new()?;
    for (mode, asked) in [("--standalone", Some("prompt")), ("--inside", None)] {
        let files = exported(&place, &["codex", mode])?;
        let (_, rules) =
            files.iter().find(|(path, _)| path.ends_with(".rules")).context("a rule file")?;
        let path = place.home().join("chaperone.rules");
        fs::write(&path, rules)?;
        let table: [(&[&str], Option<&str>); 6] = [
            (&["terraform", "destroy", "-auto-approve"], Some("forbidden")),
            (&["/usr/bin/terraform", "destroy"], Some("forbidden")),
            (&["terraform", "plan"], None),
            (&["git", "push", "origin", "main"], asked),
            (&["npm", "pub"], asked),
            // An allow would take the command out of Codex's sandbox.
            (&["npm", "test"], None),
        ];
        for (command, expected) in table {
            assert_eq!(checked(&place, &path, command)?.as_deref(), expected, "{command:?}");
        }
    }
    // The examples are tried when the rules are read: a wrong one is noticed.
    let wrong = "prefix_rule(pattern=[\"a\"], decision=\"prompt\", match=[[\"b\"]])\n";
    let path = place.home().join("wrong.rules");
    fs::write(&path, wrong)?;
    assert!(checked(&place, &path, &["a"]).is_err());
    Ok(())
}

/// What Codex found when it read its configuration.
fn examined(etc: &Etc, place: &Place, options: &[&str]) -> Result<Value> {
    let mut doctor = place.command(program(".bin/codex")?);
    doctor.args(options).args(["doctor", "--json"]);
    let done = etc.run(&doctor)?;
    serde_json::from_slice(&done.stdout).with_context(|| said(&done))
}

#[test]
fn codex_takes_the_requirements_and_lets_nobody_out_of_them() -> Result<()> {
    let place = Place::new()?;
    let etc = Etc::with_exported(&place, &["codex", "--standalone"])?;
    for options in [&[][..], &["-s", "danger-full-access"], &["-s", "workspace-write"]] {
        let found = examined(&etc, &place, options)?;
        let checks = &found["checks"];
        assert_ne!(checks["config.load"]["status"], "fail", "{options:?}: {checks:#}");
        let sandbox = &checks["sandbox.helpers"]["details"];
        assert_eq!(sandbox["filesystem sandbox"], "restricted", "{options:?}: {sandbox}");
        let profile = &checks["sandbox.filesystem_paths"]["details"]["permission profile"];
        assert_eq!(profile, "chaperone", "{options:?}");
    }
    // Inside, the same question finds no sandbox of its own.
    let etc = Etc::with_exported(&place, &["codex", "--inside"])?;
    let found = examined(&etc, &place, &[])?;
    assert_ne!(found["checks"]["config.load"]["status"], "fail");
    let sandbox = &found["checks"]["sandbox.helpers"]["details"];
    assert_eq!(sandbox["filesystem sandbox"], "unrestricted", "{sandbox}");
    // A file that Codex refuses is seen to be refused.
    let etc = Etc::new()?;
    let wrong =
        "[rules]\nprefix_rules = [{ pattern = [{ token = \"a\" }], decision = \"allow\" }]\n";
    etc.put("/etc/codex/requirements.toml", wrong)?;
    let found = examined(&etc, &place, &[])?;
    assert_eq!(found["checks"]["config.load"]["status"], "fail");
    Ok(())
}

/// Fills what Codex protects in the workspace, with what the policy protects there.
fn fill_protected(place: &Place) -> Result<()> {
    for name in PROTECTED.iter().chain(&["infra"]) {
        let folder = place.work().join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("kept"), "")?;
    }
    Ok(())
}

#[test]
fn codex_keeps_its_commands_to_the_exported_profile() -> Result<()> {
    let place = Place::new()?;
    fill_protected(&place)?;
    for folder in ["home/out", "home/work/a/secrets"] {
        fs::create_dir_all(place.home().join("..").join(folder))?;
    }
    fs::write(place.work().join("a/secrets/key"), "hidden")?;
    fs::write(place.work().join("infra/main.tf"), "readable")?;
    let etc = Etc::with_exported(&place, &["codex", "--standalone"])?;
    let script = "cat ~/.ssh/id_ed25519 a/secrets/key; cat infra/main.tf; \
                  echo x > infra/new; echo x > ~/other; echo x > ~/out/new; echo x > new; \
                  env | cut -d= -f1 | sort | tr '\\n' ' '";
    let mut command = place.command(program(".bin/codex")?);
    command.args(["sandbox", "--include-managed-config", "-P", "chaperone", "--"]);
    command.args(["bash", "-c", script]);
    command.env("MY_SECRET", "hidden").env("UNLISTED", "1");
    let output = etc.run(&command)?;
    let said = said(&output);
    assert!(said.contains("readable"), "{said}");
    assert!(!said.contains(super::place::KEY) && !said.contains("hidden"), "{said}");
    let written = |path: &str| place.home().join(path).exists();
    assert!(written("out/new") && written("work/new"), "{said}");
    assert!(!written("work/infra/new") && !written("other"), "{said}");
    Ok(())
}

#[test]
fn codex_obeys_its_requirements() -> Result<()> {
    let place = Place::new()?;
    fill_protected(&place)?;
    let etc = Etc::with_exported(&place, &["codex", "--standalone"])?;
    let model = Model::that_runs(&[DESTROY, PUSH, WRITE])?;
    // Started with the option that would switch everything off.
    let output = etc.run(&Agent::codex(&model)?.outside(&place)?)?;
    let [destroy, push, write] = results(&model, &said(&output))?;
    assert!(destroy.text.contains("The pipeline alone destroys."), "{destroy:?}");
    assert!(push.text.to_lowercase().contains("reject"), "{push:?}");
    assert!(write.text.contains("written"), "{write:?}");
    assert!(!place.is_pushed());
    Ok(())
}

#[test]
fn gemini_cli_obeys_its_policy_above_everything_else() -> Result<()> {
    let place = Place::new()?;
    let etc = Etc::with_exported(&place, &["gemini", "--inside"])?;
    let model = Model::that_runs(&[DESTROY, WRITE])?;
    // Started with the option that lets everything run.
    let output = etc.run(&Agent::gemini_cli(&model)?.outside(&place)?)?;
    let [destroy, write] = results(&model, &said(&output))?;
    assert!(destroy.text.contains("The pipeline alone destroys."), "{destroy:?}");
    assert!(write.text.contains("written"), "{write:?}");
    assert!(!said(&output).contains("Policy file"), "{}", said(&output));
    Ok(())
}

#[test]
fn gemini_cli_on_its_own_denies_what_the_policy_denies_and_what_nobody_answers() -> Result<()> {
    let place = Place::new()?;
    fs::create_dir_all(place.work().join("secrets"))?;
    fs::write(place.work().join("secrets/key"), "hidden")?;
    let etc = Etc::with_exported(&place, &["gemini", "--standalone"])?;
    let script = [
        DESTROY,
        "cd . && terraform -chdir=x destroy",
        "git -C . push origin main",
        "cat ~/.ssh/id_ed25519",
        "cat secrets/key",
        "curl https://PASTE.example/x",
    ];
    let model = Model::that_runs(&script)?;
    let mut command = Agent::gemini_cli(&model)?.managed(&place)?;
    // Not the container that the user's settings ask for.
    command.env("GEMINI_SANDBOX", "false");
    let output = etc.run(&command)?;
    let [destroy, chdir, push, key, secret, paste] = results(&model, &said(&output))?;
    for (denied, reason) in [
        (destroy, "The pipeline alone destroys."),
        (chdir, "The pipeline alone destroys."),
        (key, "~/.ssh is neither read nor written."),
        (secret, "**/secrets is neither read nor written."),
        (paste, "paste.example is never reached."),
    ] {
        assert!(denied.text.contains(reason), "{denied:?}");
    }
    assert!(!push.text.contains("Everything up-to-date") && !place.is_pushed(), "{push:?}");
    assert!(!said(&output).contains("Policy file"), "{}", said(&output));
    // A file that Gemini CLI cannot use is seen to be complained of.
    etc.put("/etc/gemini-cli/policies/chaperone.toml", "[[rule]]\ndecision = \"no\"\n")?;
    let output = etc.run(&command)?;
    assert!(said(&output).contains("Policy file"), "{}", said(&output));
    Ok(())
}
