use super::*;
use chaperone_policy::{
    Action, Context, Facts, HostSet, LayerStatus, Os, Verdict, built_in, decide, merge,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

fn agent(name: &str) -> &'static AgentFile {
    all().find(|agent| agent.name == name).unwrap()
}

fn words(command: &[&str]) -> Vec<OsString> {
    command.iter().map(OsString::from).collect()
}

#[test]
fn every_agent_file_can_be_read_and_gives_a_whole_layer() {
    for text in TEXTS {
        let agent = AgentFile::parse(text).unwrap();
        let layer = layer(&agent);
        assert_eq!((layer.status, layer.findings()), (LayerStatus::Present, [].as_slice()));
    }
    assert_eq!(all().count(), TEXTS.len());
}

#[test]
fn through_the_proxy_an_agent_reaches_its_models_and_registries_and_a_policy_takes_them_away() {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/w".into(),
        agent: None,
        os: Os::Linux,
    };
    let verdict = |agent: &AgentFile, text: &str, host: &str| {
        let user = Layer::from_toml(SourceKind::UserFile, "/user.toml", text);
        assert_eq!(user.findings(), []);
        let policy = merge(vec![built_in(), layer(agent), user], &context);
        let action = Action::Connect { host: host.to_owned(), port: 443 };
        decide(&policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action).verdict
    };
    let proxy = "[network]\nmode = \"proxy\"\n";
    for agent in all() {
        let Network { models, registries } = &agent.network;
        let sets = registries.iter().map(|name| HostSet::named(name).unwrap());
        assert!(!models.is_empty() && sets.clone().count() > 0, "{}", agent.name);
        let models = models.iter().map(|pair| pair.strip_suffix(":443").unwrap());
        for host in models.chain(sets.flat_map(|set| set.hosts.iter().copied())) {
            assert_eq!(verdict(agent, proxy, host), Verdict::Allow, "{} {host}", agent.name);
            let denied = format!("{proxy}deny = [\"*\"]");
            assert_eq!(verdict(agent, &denied, host), Verdict::Deny, "{} {host}", agent.name);
        }
        let forge = HostSet::named("github").unwrap().hosts[0];
        assert_eq!(verdict(agent, proxy, forge), Verdict::Ask, "{}", agent.name);
    }
}

#[test]
fn an_agent_is_told_by_its_program_or_its_package() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("node_modules/@openai/codex/bin/codex.js");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::write(&script, "").unwrap();
    let name = |command: &[&str]| detect(&words(command)).map(|agent| agent.name.as_str());
    assert_eq!(name(&["claude", "-p", "x"]), Some("claude-code"));
    assert_eq!(name(&["/opt/x/gemini"]), Some("gemini-cli"));
    assert_eq!(name(&["node", script.to_str().unwrap()]), Some("codex"));
    #[cfg(unix)]
    {
        let renamed = folder.path().join("my-codex");
        std::os::unix::fs::symlink(&script, &renamed).unwrap();
        assert_eq!(name(&[renamed.to_str().unwrap()]), Some("codex"));
    }
    assert_eq!(name(&["claudette"]), None);
    assert_eq!(name(&["node", "server.js"]), None);
    assert_eq!(name(&["/bin/true"]), None);
    assert_eq!(name(&[]), None);
}

#[test]
fn arguments_that_keep_an_agents_own_sandbox_off_follow_its_program() {
    let workspace = Path::new("/nowhere");
    let codex = agent("codex");
    let given = words(&["codex", "exec", "do it"]);
    let expected = words(&["codex", "-c", "sandbox_mode=\"danger-full-access\"", "exec", "do it"]);
    assert_eq!(command(codex, &given, workspace), Ok(expected));
    let claude = words(&["claude", "-p", "x"]);
    assert_eq!(command(agent("claude-code"), &claude, workspace), Ok(claude.clone()));
}

#[test]
fn an_agent_that_insists_on_its_own_sandbox_is_refused_with_the_remedy() {
    let codex = agent("codex");
    let nowhere = Path::new("/nowhere");
    let refused = command(codex, &words(&["codex", "-s", "workspace-write", "exec"]), nowhere);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "`-s workspace-write` switches on Codex's own sandbox, which does not work inside this one; leave it out: the session is sandboxed without it"
    );
    let allowed = words(&["codex", "-s", "danger-full-access", "exec"]);
    assert!(command(codex, &allowed, nowhere).is_ok());

    let workspace = tempfile::tempdir().unwrap();
    let settings = workspace.path().join(".claude/settings.json");
    std::fs::create_dir(settings.parent().unwrap()).unwrap();
    let claude = agent("claude-code");
    std::fs::write(&settings, r#"{"sandbox":{"enabled":true}}"#).unwrap();
    assert!(matches!(
        command(claude, &words(&["claude"]), workspace.path()),
        Err(Insists::Setting { file, .. }) if file == settings
    ));
    std::fs::write(&settings, r#"{"sandbox":{"enabled":false}}"#).unwrap();
    assert!(command(claude, &words(&["claude"]), workspace.path()).is_ok());
}

#[test]
fn an_installed_agent_is_found_with_its_version_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("lib/node_modules/opencode-ai");
    std::fs::create_dir_all(package.join("bin")).unwrap();
    std::fs::write(package.join("package.json"), r#"{"version":"1.18.33"}"#).unwrap();
    let program = package.join("bin/opencode");
    std::fs::write(&program, "not a program").unwrap();
    let path = package.join("bin").to_str().unwrap().to_owned();
    let environment = BTreeMap::from([("PATH".to_owned(), path)]);
    let found = find_installed(&environment, Path::new("/nowhere"));
    let found = found.iter().find(|found| found.name == "opencode").unwrap();
    assert_eq!((&found.path, found.version().as_deref()), (&program, Some("1.18.33")));

    let modules = folder.path().join("lib/node_modules").canonicalize().unwrap();
    let needed = super::program(&words(&["opencode"]), None, &environment, Path::new("/nowhere"));
    assert_eq!(needed, [modules]);
}

#[cfg(unix)]
mod seeding {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    struct Setting {
        folder: tempfile::TempDir,
    }

    impl Setting {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("home")).unwrap();
            Self { folder }
        }

        fn home(&self) -> PathBuf {
            self.folder.path().join("home")
        }

        fn state(&self, path: &str) -> PathBuf {
            self.folder.path().join("state").join(path)
        }

        fn write(&self, path: impl AsRef<Path>, text: &str) -> &Self {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn seed(&self, name: &str) -> chaperone_sandbox::AgentAccess {
            let state = self.folder.path().join("state");
            seed(agent(name), &self.home(), &BTreeMap::new(), &state).unwrap()
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.state(path)).unwrap()
        }
    }

    fn changed_at(path: &Path, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn an_agent_that_is_signed_in_starts_signed_in() {
        let setting = Setting::new();
        setting
            .write("home/.claude/.credentials.json", "the user's")
            .write("home/.claude.json", r#"{"oauthAccount":{"uuid":"1"},"numStartups":7}"#);
        let access = setting.seed("claude-code");
        assert_eq!(setting.text(".credentials.json"), "the user's");
        assert_eq!(
            setting.text(".claude.json").parse::<serde_json::Value>().unwrap(),
            serde_json::json!({"oauthAccount":{"uuid":"1"},"numStartups":7})
        );
        let mode = |path| fs::metadata(setting.state(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(".credentials.json"), mode("")), (0o600, 0o700));
        let state = setting.state("");
        let state = state.to_str().unwrap().trim_end_matches('/');
        assert_eq!(access.environment["CLAUDE_CONFIG_DIR"], state);
        assert_eq!(access.write, [Path::new(state)]);
        assert!(!access.read_only.contains(&setting.state(".credentials.json")));
    }

    #[test]
    fn a_briefing_lies_where_the_agent_does_not_write_and_goes_with_its_session() {
        let setting = Setting::new();
        let folder = ".gemini/extensions/chaperone-briefing";
        let names = || {
            let mut names: Vec<String> = fs::read_dir(setting.state(folder))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let access = setting.seed("gemini-cli");
        let path = setting.state(folder);
        assert!(access.read_only.iter().any(|own| path.starts_with(own)), "{access:?}");
        let write = |session: &str| {
            let file = format!("{folder}/{session}.md");
            write(&setting.state(""), Path::new(&file), session, |other| other == "dead").unwrap()
        };
        let (first, dead) = (write("first"), write("dead"));
        std::mem::forget(dead);
        // Another session of the same agent begins, whether the user has extensions or not.
        setting.seed("gemini-cli");
        setting.write("home/.gemini/extensions/mine/GEMINI.md", "mine").seed("gemini-cli");
        assert_eq!(setting.text(".gemini/extensions/mine/GEMINI.md"), "mine");
        assert_eq!(names(), ["dead.md", "first.md", "gemini-extension.json"]);
        let second = write("second");
        assert_eq!(names(), ["first.md", "gemini-extension.json", "second.md"]);
        drop(first);
        drop(second);
        assert_eq!(names(), ["gemini-extension.json"]);

        let access = setting.seed("opencode");
        assert!(access.read_only.contains(&setting.state("briefing")), "{access:?}");
    }

    #[test]
    fn of_two_sign_ins_the_newer_counts() {
        let setting = Setting::new();
        setting.write("home/.codex/auth.json", "first");
        let users = setting.home().join(".codex/auth.json");
        changed_at(&users, 1_000);
        setting.seed("codex");
        fs::write(setting.state("auth.json"), "renewed inside").unwrap();
        setting.seed("codex");
        assert_eq!(setting.text("auth.json"), "renewed inside");
        fs::write(&users, "signed in again outside").unwrap();
        changed_at(&users, 4_000_000_000);
        setting.seed("codex");
        assert_eq!(setting.text("auth.json"), "signed in again outside");
    }

    #[test]
    fn settings_are_the_users_at_each_start_with_the_agents_own_sandbox_off() {
        let setting = Setting::new();
        setting
            .write(
                "home/.claude/settings.json",
                r#"{"model":"x","sandbox":{"enabled":true,"y":1}}"#,
            )
            .write("home/.claude/skills/a/SKILL.md", "a")
            .write("home/.claude/hooks/run.sh", "#!/bin/sh");
        let hook = setting.home().join(".claude/hooks/run.sh");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let access = setting.seed("claude-code");
        let settings: serde_json::Value = setting.text("settings.json").parse().unwrap();
        assert_eq!(settings, serde_json::json!({"model":"x","sandbox":{"enabled":false,"y":1}}));
        for path in ["settings.json", "skills", "hooks", "agents", "plugins/cache"] {
            assert!(access.read_only.contains(&setting.state(path)), "{path}");
        }
        let mode = fs::metadata(setting.state("hooks/run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        // What an agent left there, and what the user has removed, is gone at the next start.
        setting.write("state/skills/b/SKILL.md", "b").write("state/agents/x.md", "x");
        fs::remove_dir_all(setting.home().join(".claude/skills/a")).unwrap();
        setting.seed("claude-code");
        assert_eq!(fs::read_dir(setting.state("skills")).unwrap().count(), 0);
        assert!(!setting.state("agents").exists());
        assert!(setting.state("hooks/run.sh").exists());
    }

    #[test]
    fn toml_settings_are_set_as_well() {
        let setting = Setting::new();
        setting.write(
            "home/.codex/config.toml",
            "model = \"x\"\nsandbox_mode = \"read-only\"\n[mcp_servers.a]\ncommand = \"b\"\n",
        );
        setting.seed("codex");
        let config: toml::Table = setting.text("config.toml").parse().unwrap();
        let expected = "model = \"x\"\nsandbox_mode = \"danger-full-access\"\n[mcp_servers.a]\ncommand = \"b\"\n[analytics]\nenabled = false\n[otel]\nmetrics_exporter = \"none\"\n";
        assert_eq!(config, expected.parse().unwrap());
    }

    #[test]
    fn an_agents_own_skills_stay_beside_the_users() {
        let setting = Setting::new();
        setting
            .write("home/.codex/skills/mine/SKILL.md", "mine")
            .write("state/skills/.system/x/SKILL.md", "its own");
        let access = setting.seed("codex");
        assert_eq!(setting.text("skills/.system/x/SKILL.md"), "its own");
        assert_eq!(setting.text("skills/mine/SKILL.md"), "mine");
        assert!(access.read_only.contains(&setting.state("skills/mine")));
        assert!(!access.read_only.contains(&setting.state("skills")));
    }

    #[test]
    fn in_a_mixed_file_what_starts_programs_is_the_users_and_the_rest_is_kept() {
        let setting = Setting::new();
        setting.write(
            "home/.claude.json",
            r#"{"mcpServers":{"good":{}},"projects":{"/w":{"allowedTools":["Read"]}}}"#,
        );
        setting.seed("claude-code");
        setting.write(
            "state/.claude.json",
            r#"{"numStartups":3,"mcpServers":{"evil":{}},"projects":{"/w":{"allowedTools":["Bash"],"lastCost":1},"/v":{"mcpServers":{"evil":{}},"lastCost":2}}}"#,
        );
        setting.seed("claude-code");
        let mixed: serde_json::Value = setting.text(".claude.json").parse().unwrap();
        assert_eq!(
            mixed,
            serde_json::json!({
                "numStartups": 3,
                "mcpServers": {"good": {}},
                "projects": {"/w": {"allowedTools": ["Read"], "lastCost": 1}, "/v": {"lastCost": 2}},
            })
        );
    }

    #[test]
    fn a_second_start_writes_nothing() {
        let setting = Setting::new();
        setting
            .write("home/.claude/.credentials.json", "x")
            .write("home/.claude.json", r#"{"mcpServers":{}}"#)
            .write("home/.claude/settings.json", "{}")
            .write("home/.claude/skills/a/SKILL.md", "a");
        setting.seed("claude-code");
        let paths = [".credentials.json", ".claude.json", "settings.json", "skills/a/SKILL.md"];
        let inodes = || paths.map(|path| fs::metadata(setting.state(path)).unwrap().ino());
        let before = inodes();
        setting.seed("claude-code");
        assert_eq!(inodes(), before);
    }

    #[test]
    fn a_link_out_of_the_users_state_is_not_followed() {
        let setting = Setting::new();
        setting
            .write("secret", "secret")
            .write("home/.claude/skills/a/SKILL.md", "a")
            .write("home/.claude/kept.md", "memory");
        let claude = setting.home().join(".claude");
        symlink(setting.folder.path().join("secret"), claude.join("settings.json")).unwrap();
        symlink(setting.folder.path().join("secret"), claude.join("skills/a/leak")).unwrap();
        symlink(claude.join("kept.md"), claude.join("CLAUDE.md")).unwrap();
        setting.seed("claude-code");
        assert_eq!(setting.text("CLAUDE.md"), "memory", "a link within is followed");
        assert!(!setting.text("settings.json").contains("secret"));
        assert!(!setting.state("skills/a/leak").exists());
    }

    #[test]
    fn a_link_that_an_agent_left_in_its_state_leads_the_supervisor_nowhere() {
        let setting = Setting::new();
        setting
            .write("home/.claude/settings.json", "{}")
            .write("home/.claude/.credentials.json", "key")
            .write("home/.claude.json", "{}")
            .write("home/.claude/skills/a/SKILL.md", "a")
            .write("victim/file", "untouched")
            .write("victim/json", r#"{"secret":1}"#);
        let victim = setting.folder.path().join("victim");
        fs::create_dir(setting.state("")).unwrap();
        symlink(victim.join("file"), setting.state("settings.json")).unwrap();
        symlink(victim.join("file"), setting.state(".credentials.json")).unwrap();
        symlink(victim.join("json"), setting.state(".claude.json")).unwrap();
        symlink(&victim, setting.state("skills")).unwrap();
        symlink(&victim, setting.state("plugins")).unwrap();
        symlink(&victim, setting.state("agents")).unwrap();
        setting.seed("claude-code");
        let mut left: Vec<_> =
            fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["file", "json"]);
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "untouched");
        assert_eq!(setting.text(".credentials.json"), "key");
        assert!(!setting.text(".claude.json").contains("secret"));
        assert_eq!(setting.text("skills/a/SKILL.md"), "a");
        assert!(!fs::symlink_metadata(setting.state("skills")).unwrap().is_symlink());
    }

    #[test]
    fn a_folder_that_an_agent_shares_holds_links_to_what_others_have_there() {
        let setting = Setting::new();
        setting
            .write("home/.config/git/config", "[user]")
            .write("home/.config/opencode/opencode.json", "{}")
            .write("home/.local/share/opencode/auth.json", "key");
        let access = setting.seed("opencode");
        let config = PathBuf::from(&access.environment["XDG_CONFIG_HOME"]);
        assert_eq!(fs::read_link(config.join("git")).unwrap(), setting.home().join(".config/git"));
        assert_eq!(fs::read_to_string(config.join("opencode/opencode.json")).unwrap(), "{}");
        assert_eq!(setting.text("data/opencode/auth.json"), "key");
        fs::remove_dir_all(setting.home().join(".config/git")).unwrap();
        setting.seed("opencode");
        assert!(fs::symlink_metadata(config.join("git")).is_err());
    }

    #[test]
    fn a_state_that_the_user_has_moved_is_found() {
        let setting = Setting::new();
        setting.write("elsewhere/.credentials.json", "moved").write("elsewhere/.claude.json", "{}");
        let elsewhere = setting.folder.path().join("elsewhere").to_str().unwrap().to_owned();
        let environment = BTreeMap::from([("CLAUDE_CONFIG_DIR".to_owned(), elsewhere)]);
        let state = setting.folder.path().join("state");
        seed(agent("claude-code"), &setting.home(), &environment, &state).unwrap();
        assert_eq!(setting.text(".credentials.json"), "moved");
    }
}
