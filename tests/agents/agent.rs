//! How each agent is started on a script: the command and the variables that point it at the
//! model. Nothing here switches an agent's own sandbox off; its agent file does.

use super::model::Model;
use super::place::Place;
use anyhow::{Result, bail};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// An agent, ready to be started.
#[derive(Debug)]
pub(crate) struct Agent {
    command: Vec<String>,
    environment: Vec<(String, String)>,
    /// Needed only outside: inside, the agent file says it.
    outside: Outside,
    /// Files of the user's, relative to home.
    files: Vec<(&'static str, String)>,
    /// Where the user's own instructions for it stand, relative to home.
    instructions: &'static str,
}

#[derive(Debug, Default)]
struct Outside {
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Agent {
    /// Claude Code speaks the messages API.
    pub(crate) fn claude_code(model: &Model) -> Result<Self> {
        let command = [&program(".bin/claude")?, "-p", "Do it.", "--dangerously-skip-permissions"];
        Ok(Self {
            command: command.map(str::to_owned).into(),
            environment: vec![
                ("ANTHROPIC_BASE_URL".into(), model.url()),
                ("ANTHROPIC_API_KEY".into(), "scripted".into()),
            ],
            outside: Outside {
                environment: vec![
                    ("IS_SANDBOX", "1"),
                    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
                    ("DISABLE_AUTOUPDATER", "1"),
                ],
                ..Outside::default()
            },
            files: Vec::new(),
            instructions: ".claude/CLAUDE.md",
        })
    }

    /// Codex speaks the responses API. Its settings ask for its own sandbox.
    pub(crate) fn codex(model: &Model) -> Result<Self> {
        Self::codex_of(&model.url())
    }

    /// The same with a model elsewhere.
    pub(crate) fn codex_of(url: &str) -> Result<Self> {
        let settings = format!(
            "model = \"scripted\"\nmodel_provider = \"scripted\"\nsandbox_mode = \"workspace-write\"\n\n[model_providers.scripted]\nname = \"scripted\"\nbase_url = \"{}/v1\"\nwire_api = \"responses\"\nenv_key = \"OPENAI_API_KEY\"\n",
            url
        );
        Ok(Self {
            command: [&program(".bin/codex")?, "exec", "Do it."].map(str::to_owned).into(),
            environment: vec![("OPENAI_API_KEY".into(), "scripted".into())],
            outside: Outside {
                arguments: vec!["--dangerously-bypass-approvals-and-sandbox"],
                ..Outside::default()
            },
            files: vec![(".codex/config.toml", settings)],
            instructions: ".codex/AGENTS.md",
        })
    }

    /// Gemini CLI speaks Google's API. Its settings ask for its own sandbox, a container.
    pub(crate) fn gemini_cli(model: &Model) -> Result<Self> {
        let settings = json!({
            "security": {
                "auth": { "selectedType": "gemini-api-key" },
                "folderTrust": { "enabled": false },
            },
            "tools": { "sandbox": true },
        });
        let program = program(".bin/gemini")?;
        // A model named in full, so that no other is asked to choose one.
        let command = [&program, "-m", "gemini-2.5-flash", "-y", "-p", "Do it."];
        Ok(Self {
            command: command.map(str::to_owned).into(),
            environment: vec![
                ("GOOGLE_GEMINI_BASE_URL".into(), model.url()),
                ("GEMINI_API_KEY".into(), "scripted".into()),
            ],
            outside: Outside {
                environment: vec![("GEMINI_SANDBOX", "false")],
                ..Outside::default()
            },
            files: vec![(".gemini/settings.json", settings.to_string())],
            instructions: ".gemini/GEMINI.md",
        })
    }

    /// opencode speaks the chat API.
    pub(crate) fn opencode(model: &Model) -> Result<Self> {
        let settings = json!({
            // It would ask before it leaves the folder, and answer itself with no.
            "permission": { "external_directory": "allow" },
            "provider": { "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "scripted",
                "options": { "baseURL": format!("{}/v1", model.url()), "apiKey": "scripted" },
                "models": { "scripted": { "name": "scripted" } },
            }},
        });
        // The npm package `opencode-ai` only looks for this one; registries may lack its others.
        let opencode = program("opencode-linux-x64/bin/opencode")?;
        let command = [&opencode, "run", "-m", "scripted/scripted", "Do it."];
        Ok(Self {
            command: command.map(str::to_owned).into(),
            environment: Vec::new(),
            outside: Outside {
                environment: vec![
                    ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
                    ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
                ],
                ..Outside::default()
            },
            files: vec![(".config/opencode/opencode.json", settings.to_string())],
            instructions: ".config/opencode/AGENTS.md",
        })
    }

    /// Gives the user instructions of their own for it: the file.
    pub(crate) fn instruct(&mut self, place: &Place, words: &str) -> PathBuf {
        self.files.push((self.instructions, words.to_owned()));
        place.home().join(self.instructions)
    }

    /// Puts words right behind the program.
    pub(crate) fn with_arguments(&mut self, words: &[&str]) {
        self.command.splice(1..1, words.iter().map(|word| (*word).to_owned()));
    }

    /// Takes a variable away.
    pub(crate) fn forget(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// The agent on its own.
    pub(crate) fn outside(&self, place: &Place) -> Result<Command> {
        self.write_files(place)?;
        let mut command = place.command(&self.command[0]);
        command
            .args(&self.command[1..])
            .args(&self.outside.arguments)
            .envs(self.environment.clone());
        command.envs(self.outside.environment.iter().copied());
        Ok(command)
    }

    /// The agent on its own as its settings let it, with nothing said that would switch them off.
    pub(crate) fn managed(&self, place: &Place) -> Result<Command> {
        self.write_files(place)?;
        let mut command = place.command(&self.command[0]);
        let bypass = ["--dangerously-skip-permissions", "-y"];
        command.args(self.command[1..].iter().filter(|word| !bypass.contains(&word.as_str())));
        command.envs(self.environment.clone());
        let quiet = ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"];
        command.envs(quiet.map(|name| (name, "1")));
        Ok(command)
    }

    /// The agent in a session.
    pub(crate) fn inside(&self, place: &Place) -> Result<Command> {
        self.write_files(place)?;
        let mut command = place.chaperone(&["run", "--"])?;
        command.args(&self.command).envs(self.environment.clone());
        Ok(command)
    }

    fn write_files(&self, place: &Place) -> Result<()> {
        for (path, text) in &self.files {
            let path = place.home().join(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// An agent's program as npm has installed it.
pub(crate) fn program(path: &str) -> Result<String> {
    let modules = match std::env::var_os("CHAPERONE_TEST_AGENTS") {
        Some(modules) => PathBuf::from(modules),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/agents/node_modules")),
    };
    let program = modules.join(path);
    if !program.exists() {
        bail!(
            "{} is not installed. Install the agents with `npm ci --prefix tests/agents`, or run `cargo xtask test`, which installs them once for every checkout and names the folder in CHAPERONE_TEST_AGENTS",
            program.display()
        );
    }
    Ok(program.to_string_lossy().into_owned())
}
