//! `chaperone export`: the policy in force as an agent's own managed settings.

use crate::policy::Place;
use crate::print::{self, BAD, CAUTION, QUIET, STRONG, visible};
use anyhow::Context as _;
use chaperone_export::{Agent, Effect, Exported, File, Lost, Mode, export};
use chaperone_policy::{Context, Os};
use chaperone_session::Paths;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write the policy in force as an agent's own managed settings
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The files are at least as strict as the policy where the agent has a word for it; what it cannot
express is listed on standard error, each with where it stands and why.

Exit status: 0 written, also where something was lost; with --strict, 1 where the files hold less
than the policy restricts.")]
pub(crate) struct Arguments {
    /// The agent
    #[arg(value_name = "AGENT")]
    target: AgentName,
    /// For laptops on which the agent runs without Chaperone [default]
    #[arg(long, conflicts_with = "inside")]
    standalone: bool,
    /// For laptops on which the agent runs under Chaperone: its own sandbox off, because ours holds
    #[arg(long)]
    inside: bool,
    /// Write the files into a folder instead of to standard output
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Exit with 1 where the files hold less than the policy restricts
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    place: Place,
    /// {"agent","mode","files":[{"name","places","text"}],"lost":[LOST]}
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum AgentName {
    /// managed-settings.json
    ClaudeCode,
    /// requirements.toml, managed_config.toml and rules
    Codex,
    /// system settings.json and a file of its policy engine
    #[value(alias = "gemini-cli")]
    Gemini,
    /// policy.json and the managed settings of GitHub Copilot
    Vscode,
}

impl AgentName {
    pub(crate) fn agent(self) -> Agent {
        match self {
            Self::ClaudeCode => Agent::ClaudeCode,
            Self::Codex => Agent::Codex,
            Self::Gemini => Agent::GeminiCli,
            Self::Vscode => Agent::VsCode,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Vscode => "vscode",
        }
    }
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    agent: &'static str,
    mode: Mode,
    files: &'a [File],
    lost: &'a [Lost],
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_user()?;
    let agent = arguments.target.agent();
    let mode = if arguments.inside { Mode::Inside } else { Mode::Standalone };
    let mut place = arguments.place.clone();
    // What holds for this agent, unless another is asked about.
    place.agent = place.agent.or_else(|| agent.agent_file().map(str::to_owned));
    let loaded = place.load(&paths)?;
    let context = Context {
        home: paths.home.clone(),
        workspace: loaded.workspace.clone(),
        agent: loaded.agent.map(|agent| agent.name.clone()),
        os: Os::current(),
    };
    let exported = export(agent, &loaded.policy, &context, mode)?;
    let Exported { files, lost } = &exported;
    if let Some(folder) = &arguments.output {
        write(folder, files)?;
    }
    if arguments.json {
        let agent = arguments.target.word();
        print::json(&Shown { agent, mode, files, lost })?;
    } else if arguments.output.is_none() {
        show(files, context.os)?;
    } else {
        told(files, arguments.output.as_deref().unwrap_or(Path::new(".")), context.os)?;
    }
    if !arguments.json {
        losses(agent, lost);
    }
    let loosens = lost.iter().any(|lost| lost.loosens);
    Ok(if arguments.strict && loosens { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    for file in files {
        let path = folder.join(file.name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .with_context(|| format!("the folder {} could not be made", parent.display()))?;
        fs::write(&path, &file.text)
            .with_context(|| format!("{} could not be written", path.display()))?;
    }
    Ok(())
}

/// One file as it is; of several, each under its name.
fn show(files: &[File], os: Os) -> anyhow::Result<()> {
    let mut out = print::out();
    if let [file] = files {
        write!(out, "{}", file.text)?;
        return Ok(());
    }
    for (at, file) in files.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        writeln!(out, "{gap}==> {} ({})", file.name, file.places.on(os))?;
        write!(out, "{}", file.text)?;
    }
    Ok(())
}

fn told(files: &[File], folder: &Path, os: Os) -> anyhow::Result<()> {
    let mut out = print::out();
    for file in files {
        let path = folder.join(file.name);
        writeln!(out, "{}  {QUIET}goes to {}{QUIET:#}", path.display(), file.places.on(os))?;
    }
    Ok(())
}

/// What the files do not say, for people.
fn losses(agent: Agent, lost: &[Lost]) {
    let mut err = anstream::stderr().lock();
    let groups = [
        (Effect::Missing, BAD, "cannot express"),
        (Effect::Narrower, CAUTION, "expresses a part of"),
        (Effect::Wider, STRONG, "is stricter about"),
        (Effect::Held, QUIET, "leaves to Chaperone"),
    ];
    for (effect, style, words) in groups {
        let of_this: Vec<&Lost> = lost.iter().filter(|lost| lost.effect == effect).collect();
        if of_this.is_empty() {
            continue;
        }
        let _ = writeln!(err, "\n{style}{} {words}{style:#}", agent.title());
        for lost in of_this {
            let _ = writeln!(err, "  {}  {}", lost.key, visible(&values(lost)));
            let _ = writeln!(err, "    {}", visible(&lost.why));
            for origin in origins(lost) {
                let _ = writeln!(err, "    {QUIET}{}{QUIET:#}", visible(&origin));
            }
        }
    }
}

/// The values on one line; of many, the first few.
fn values(lost: &Lost) -> String {
    const MOST: usize = 5;
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => match other.get("prefix").and_then(|prefix| prefix.as_array()) {
            Some(prefix) => {
                let words: Vec<&str> = prefix.iter().filter_map(|word| word.as_str()).collect();
                words.join(" ")
            }
            None => other.to_string(),
        },
    };
    let Some(values) = lost.value.as_array() else { return word(&lost.value) };
    let mut words: Vec<String> = values.iter().take(MOST).map(word).collect();
    if values.len() > MOST {
        words.push(format!("and {} more", values.len() - MOST));
    }
    words.join(", ")
}

/// Each origin once; of many, the first few.
fn origins(lost: &Lost) -> Vec<String> {
    const MOST: usize = 3;
    let mut out: Vec<String> = Vec::new();
    for origin in lost.origins.iter().map(ToString::to_string) {
        if !out.contains(&origin) {
            out.push(origin);
        }
    }
    let more = out.len().saturating_sub(MOST);
    out.truncate(MOST);
    if more > 0 {
        out.push(format!("and {more} other places"));
    }
    out
}
