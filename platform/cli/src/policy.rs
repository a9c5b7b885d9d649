//! `chaperone policy`: what is in force, where it came from, and what it would decide.

use crate::print::{self, BAD, CAUTION, QUIET, STRONG, visible};
use anyhow::Context;
use chaperone_policy::{Action, Layer, LayerStatus, SourceKind, Value, ValueStatus};
use chaperone_session::{Loaded, Paths, Question, Refreshed, command, environment, load, would};
use jiff::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show, explain, check and try the policy
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommands {
    /// Every layer and every value in force
    Show {
        #[command(flatten)]
        place: Place,
        /// {"layers":[…],"values":[…]}
        #[arg(long)]
        json: bool,
    },
    /// One key: its value, where it came from, what lost and why
    Explain {
        /// Such as network.mode
        key: String,
        #[command(flatten)]
        place: Place,
        /// {"key","value","origins","merge","status","losers"}
        #[arg(long)]
        json: bool,
    },
    /// Check a policy file as a layer would be read: every error with its place
    #[command(after_help = "Exit status: 1 if anything is wrong with the file.")]
    Check {
        /// TOML, or by its ending .json, .plist (a preferences domain) or .mobileconfig
        file: PathBuf,
        /// The layer that the file is for; the payloads of a .mobileconfig say it themselves
        #[arg(long, value_enum, default_value = "managed")]
        layer: LayerKind,
    },
    /// What would be decided, without doing it
    Test {
        #[command(flatten)]
        asked: Asked,
        #[command(flatten)]
        place: Place,
        /// {"decision","rule","origin","reason"}
        #[arg(long)]
        json: bool,
    },
    /// Fetch the signed bundle that the policy names (`remote.url`), now
    #[command(after_help = "Exit status: 1 if it could not be fetched or is refused; what was \
                            fetched before stays then.")]
    Refresh {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum LayerKind {
    Managed,
    Recommended,
    User,
    Workspace,
}

impl LayerKind {
    fn source(self) -> SourceKind {
        match self {
            Self::Managed => SourceKind::ManagedFile,
            Self::Recommended => SourceKind::RecommendedFile,
            Self::User => SourceKind::UserFile,
            Self::Workspace => SourceKind::WorkspaceFile,
        }
    }

    /// The kind of a macOS preferences domain.
    fn preferences(self) -> anyhow::Result<SourceKind> {
        Ok(match self {
            Self::Managed => SourceKind::ManagedProfile,
            Self::Recommended => SourceKind::RecommendedProfile,
            Self::User => SourceKind::UserPreference,
            Self::Workspace => anyhow::bail!("a workspace's policy is TOML: `.chaperone.toml`"),
        })
    }
}

/// Whose policy is asked about.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// The workspace [default: the current folder]
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// The agent [default: none]
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Add a policy file, below everything that is managed
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
}

impl Place {
    pub(crate) fn load(&self, paths: &Paths) -> anyhow::Result<Loaded> {
        let question = Question {
            workspace: self.workspace.clone(),
            agent: self.agent.clone(),
            policy: self.policy.clone(),
            ..Question::default()
        };
        Ok(load(&question, paths)?)
    }
}

/// One action to ask about.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Asked {
    /// A connection
    #[arg(long, value_name = "HOST[:PORT]")]
    connect: Option<String>,
    /// Reading a file or folder
    #[arg(long, value_name = "PATH")]
    read: Option<PathBuf>,
    /// Creating, changing or removing a file
    #[arg(long, value_name = "PATH")]
    write: Option<PathBuf>,
    /// A command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Asked {
    fn action(&self, workspace: &Path) -> anyhow::Result<Action> {
        Ok(match (&self.connect, &self.read, &self.write) {
            (Some(host), ..) => connect(host)?,
            (_, Some(path), _) => Action::Read { path: absolute(path)? },
            (.., Some(path)) => Action::Write { path: absolute(path)? },
            _ => Action::Run(command(&self.command, workspace, &environment())),
        })
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`; HTTPS where no port is given.
pub(crate) fn connect(text: &str) -> anyhow::Result<Action> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port = port.parse().with_context(|| format!("{port} is not a port"))?;
            (host, port)
        }
        _ => (text, 443),
    };
    let host = host.trim_matches(['[', ']']).to_lowercase();
    Ok(Action::Connect { host, port })
}

/// As the kernel would resolve it, as far as it exists.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for (folder, rest) in
        path.ancestors().map(|folder| (folder, path.strip_prefix(folder).unwrap_or(&path)))
    {
        if let Ok(real) = folder.canonicalize() {
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(path)
}

pub(crate) fn run(command: &Subcommands) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_user()?;
    match command {
        Subcommands::Show { place, json } => {
            let policy = place.load(&paths)?.policy;
            if *json { print::json(&policy.show())? } else { show(&policy)? }
        }
        Subcommands::Explain { key, place, json } => {
            let value = place.load(&paths)?.policy.explain(key)?;
            if *json { print::json(&value)? } else { explain(&value)? }
        }
        Subcommands::Check { file, layer } => return check(file, *layer),
        Subcommands::Refresh { place } => refresh(&place.load(&paths)?)?,
        Subcommands::Test { asked, place, json } => {
            let loaded = place.load(&paths)?;
            let action = asked.action(&loaded.workspace)?;
            let decision = would(&loaded, &paths, &action);
            if *json { print::json(&decision)? } else { print_decision(&decision)? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn refresh(loaded: &Loaded) -> anyhow::Result<()> {
    let Some(bundle) = loaded.bundle() else {
        writeln!(print::out(), "No managed layer names a bundle (remote.url): nothing to fetch.")?;
        return Ok(());
    };
    let Refreshed { url, before, version, expires, files: _, added, changed, removed } =
        bundle.refresh(Timestamp::now())?;
    let was = match before {
        Some(before) if before == version => "as before".to_owned(),
        Some(before) => format!("before it was version {before}"),
        None => "before there was none".to_owned(),
    };
    let until = expires.strftime("%Y-%m-%d %H:%M UTC");
    let mut out = print::out();
    writeln!(out, "{STRONG}{url}{STRONG:#} is version {version}, {was}; good until {until}.")?;
    for (what, names) in [("new", added), ("changed", changed), ("gone", removed)] {
        for name in names {
            writeln!(out, "  {QUIET}{what:<8}{QUIET:#} {}", visible(&name))?;
        }
    }
    Ok(())
}

pub(crate) fn print_decision(decision: &chaperone_policy::Decision) -> anyhow::Result<()> {
    let mut out = print::out();
    writeln!(out, "{}: {}", print::verdict(decision.verdict), visible(&decision.reason))?;
    let rule = decision.rule.as_deref().unwrap_or("no rule");
    writeln!(out, "  {QUIET}{} ({}){QUIET:#}", visible(rule), decision.origin)?;
    Ok(())
}

fn show(policy: &chaperone_policy::Policy) -> anyhow::Result<()> {
    let mut out = print::out();
    writeln!(out, "{STRONG}Layers{STRONG:#}, from the weakest")?;
    let shown = policy.show();
    for layer in &shown.layers {
        let style = match layer.status {
            LayerStatus::Present => STRONG,
            LayerStatus::Absent => QUIET,
            LayerStatus::Untrusted | LayerStatus::Expired => CAUTION,
            LayerStatus::Unreadable | LayerStatus::Invalid => BAD,
        };
        let status = layer.status.word();
        let kind = layer.kind.to_string();
        writeln!(out, "  {style}{status:<10}{style:#} {kind:<16} {}", layer.locator)?;
        if !layer.detail.is_empty() {
            writeln!(out, "             {QUIET}{}{QUIET:#}", visible(&layer.detail))?;
        }
    }
    for blocked in policy.blocked() {
        writeln!(out, "{BAD}No agent starts:{BAD:#} {} ({})", blocked.reason, blocked.origin)?;
    }
    writeln!(out, "\n{STRONG}Values{STRONG:#}")?;
    let width = shown.values.iter().map(|value| value.key.len()).max().unwrap_or_default();
    for value in &shown.values {
        if value.status == ValueStatus::Unset {
            writeln!(out, "  {QUIET}{:<width$}  not set{QUIET:#}", value.key)?;
            continue;
        }
        for (index, line) in lines(value).into_iter().enumerate() {
            let key = if index == 0 { value.key } else { "" };
            writeln!(out, "  {key:<width$}  {line}")?;
        }
    }
    writeln!(out, "\n{QUIET}chaperone policy explain KEY tells what lost, and why.{QUIET:#}")?;
    Ok(())
}

/// A value for people: a list has an entry a line, each with its origin.
fn lines(value: &Value) -> Vec<String> {
    let origin = |at: usize| {
        value
            .origins
            .get(at)
            .map(|origin| format!("  {QUIET}{origin}{QUIET:#}"))
            .unwrap_or_default()
    };
    let json = value.value.json();
    match json.as_array() {
        Some(entries) if entries.len() == value.origins.len() && !entries.is_empty() => entries
            .iter()
            .enumerate()
            .map(|(at, entry)| format!("{}{}", words(entry), origin(at)))
            .collect(),
        _ => vec![format!("{}{}", words(&json), origin(0))],
    }
}

/// A command rule reads as a sentence, everything else as what a file would say.
fn words(value: &serde_json::Value) -> String {
    if let (Some(prefix), Some(decision)) =
        (value.get("prefix").and_then(|prefix| prefix.as_array()), value.get("decision"))
    {
        let prefix: Vec<String> = prefix.iter().map(words).collect();
        let reason = value.get("reason").map(words).unwrap_or_default();
        return format!("{:<5} {:<22} {reason}", words(decision), prefix.join(" "));
    }
    match value {
        serde_json::Value::String(text) => visible(text),
        other => visible(&other.to_string()),
    }
}

fn explain(value: &Value) -> anyhow::Result<()> {
    let mut out = print::out();
    writeln!(out, "{STRONG}{}{STRONG:#}", value.key)?;
    for line in lines(value) {
        writeln!(out, "  {line}")?;
    }
    let json = serde_json::to_value(value)?;
    let field = |name: &str| json.get(name).map(words).unwrap_or_default();
    writeln!(out, "{QUIET}merge{QUIET:#}   {}", field("merge"))?;
    writeln!(out, "{QUIET}status{QUIET:#}  {}", field("status"))?;
    if value.losers.is_empty() {
        writeln!(out, "{QUIET}Nothing else was said.{QUIET:#}")?;
    }
    for loser in &value.losers {
        writeln!(out, "{QUIET}lost{QUIET:#}    {}  {}", words(&loser.value.json()), loser.origin)?;
        writeln!(out, "        {}", visible(&loser.reason))?;
    }
    Ok(())
}

fn check(file: &Path, kind: LayerKind) -> anyhow::Result<ExitCode> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let locator = file.display().to_string();
    let mut out = print::out();
    let layers = match file.extension().and_then(|ending| ending.to_str()) {
        Some("mobileconfig") => match Layer::from_profile(&locator, &bytes) {
            Ok(layers) => layers,
            Err(error) => {
                writeln!(out, "{}", visible(&format!("{locator}: {error}")))?;
                return Ok(ExitCode::FAILURE);
            }
        },
        Some("plist") => vec![Layer::from_plist(kind.preferences()?, &locator, &bytes)],
        _ => {
            let text = String::from_utf8(bytes).with_context(|| format!("{locator} is no text"))?;
            vec![Layer::from_file(kind.source(), &locator, &text)]
        }
    };
    let mut code = ExitCode::SUCCESS;
    for layer in &layers {
        if layer.findings().is_empty() {
            let whole = format!("{} is a whole {} policy.", layer.locator, layer.kind);
            writeln!(out, "{}", visible(&whole))?;
        } else {
            code = ExitCode::FAILURE;
        }
        for finding in layer.findings() {
            writeln!(out, "{}", visible(&finding.to_string()))?;
        }
    }
    Ok(code)
}
