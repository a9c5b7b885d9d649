//! `chaperone policy`: what is in force, where it came from, and what it would decide.

mod shown;

use crate::print::{self, CAUTION, QUIET, STRONG, visible};
use anyhow::Context;
use chaperone_policy::{
    Action, HostPattern, HostSet, HostSpec, HttpRequest, KEYS, KeyWords, Layer, NetworkPolicy,
    Origin, SourceKind, Sourced, Value, Verdict,
};
use chaperone_session::{
    Judged, JudgedCommand, Loaded, Paths, Question, Refreshed, Report, Started, Target, Unread,
    explain, load, prepare_memory, report, resolved, running, show, would, would_start,
};
use jiff::Timestamp;
use serde::Serialize;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What it takes to read some thousand rules, in bytes.
const READY: usize = 1 << 20;

/// Show, explain, check and try the policy
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommands {
    /// Every source, every value in force with who set it, and what was not understood
    #[command(after_help = REDACTED)]
    Show {
        /// Only what has this word in its key, its value or its place
        word: Option<String>,
        #[command(flatten)]
        place: Place,
        /// Also keys that nobody sets, and every entry of the built-in lists
        #[arg(long)]
        all: bool,
        /// With placeholders for the names of this user, machine, organisation and its hosts
        #[arg(long)]
        redacted: bool,
        /// With --redacted: leave host names as they are
        #[arg(long, requires = "redacted")]
        keep_hosts: bool,
        /// {"layers":[…],"values":[…],"findings":[…]}, always every key
        #[arg(long)]
        json: bool,
    },
    /// One key: its value, who set it, what lost and why, what it takes; or what a host set holds
    Explain {
        /// Such as network.mode, or crates
        key: String,
        #[command(flatten)]
        place: Place,
        /// {"key","value","origins","merge","status","losers","findings","level","detail",
        /// "running","schema"}
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
    /// What would be decided, without doing it; of a shell string, about each program in it
    Test {
        #[command(flatten)]
        asked: Asked,
        #[command(flatten)]
        place: Place,
        /// {"decision","rule","origin","reason"}; of a command that starts others also
        /// {"text","commands":[…],"unread":[…]}
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

const REDACTED: &str = "\
For a support ticket, --redacted replaces the workspace (<workspace>), your home (~), your login
name (<user>), this machine's name (<machine>), the organisation (<organisation>), and the hosts
that somebody configured (<host-1>, the same one everywhere; --keep-hosts leaves them). Keys,
values, reasons, lines and digests stay: they are what a ticket is about. Read it before you send
it: a name that is written in another way, as in a rule's reason, stays too.";

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

/// A key with its value, and what it is for.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    #[serde(flatten)]
    value: Value,
    schema: Option<KeyWords>,
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
    /// Whether nothing else was named than where this process is.
    pub(crate) fn is_here(&self) -> bool {
        let Self { workspace, agent, policy } = self;
        workspace.is_none() && agent.is_none() && policy.is_empty()
    }

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
    /// An HTTP request, as METHOD URL; GET where there is no method
    #[arg(long, value_names = ["METHOD", "URL"], num_args = 1..=2)]
    request: Vec<String>,
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
    fn judge(&self, loaded: &Loaded, paths: &Paths) -> anyhow::Result<Judged> {
        let action = match (&self.connect, &*self.request, &self.read, &self.write) {
            (Some(host), ..) => connect(host)?,
            (_, [method, url], ..) => request(method, url)?,
            (_, [url], ..) => request("GET", url)?,
            (.., Some(path), _) => Action::Read { path: absolute(path)? },
            (.., Some(path)) => Action::Write { path: absolute(path)? },
            _ => return Ok(would_start(loaded, paths, &self.command)),
        };
        Ok(Judged::of(&action, would(loaded, paths, &action)))
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`; HTTPS where no port is given.
pub(crate) fn connect(text: &str) -> anyhow::Result<Action> {
    // In the spelling that the proxy judges.
    let target = Target::parse(text, Some(443)).with_context(|| format!("`{text}`"))?;
    Ok(Action::Connect { host: target.host.to_string(), port: target.port })
}

/// A request as the proxy would see it: the path as it is written.
pub(crate) fn request(method: &str, url: &str) -> anyhow::Result<Action> {
    let (scheme, rest) = url.split_once("://").with_context(|| {
        format!("`{url}` is no address of HTTP, such as https://api.acme.example/repos")
    })?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => anyhow::bail!("`{scheme}` is neither http nor https"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let target = Target::parse(host, Some(usual)).with_context(|| format!("`{host}`"))?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Ok(Action::Http(HttpRequest {
        host: target.host.to_string(),
        port: target.port,
        method: method.to_owned(),
        path: if path.is_empty() { "/" } else { path }.to_owned(),
        upgrade: None,
        overridden: None,
    }))
}

/// As the kernel would resolve it, as far as it exists.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for (folder, rest) in
        path.ancestors().map(|folder| (folder, path.strip_prefix(folder).unwrap_or(&path)))
    {
        if let Ok(real) = resolved(folder) {
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(path)
}

pub(crate) fn run(command: &Subcommands) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_user()?;
    match command {
        Subcommands::Show { word, place, all, redacted, keep_hosts, json } => {
            let loaded = place.load(&paths)?;
            let mut shown = show(&loaded, &running(&paths), &paths);
            let report = redacted.then(|| report(shown.clone(), &loaded, &paths, *keep_hosts));
            if let Some(report) = &report {
                shown = report.shown.clone();
            }
            if let Some(word) = word {
                shown = shown.with_word(word);
            }
            match (report, json) {
                (Some(report), true) => print::json(&Report { shown, ..report })?,
                (None, true) => print::json(&shown)?,
                (report, false) => {
                    if let Some(Report { version, system, time, shown: _ }) = report {
                        writeln!(print::out(), "Chaperone {version} on {system}, {time:.0}\n")?;
                    }
                    let searched = word.is_some();
                    shown::show(&shown, *all || searched)?;
                }
            }
        }
        Subcommands::Explain { key, place, json } => {
            let loaded = place.load(&paths)?;
            if let Some(set) = HostSet::named(key) {
                let explained = ExplainedSet::of(set, loaded.policy.network());
                if *json {
                    print::json(&explained)?
                } else {
                    shown::explain_set(&explained)?
                }
                return Ok(ExitCode::SUCCESS);
            }
            let value = explain(&loaded, key, &running(&paths), &paths)?;
            let schema = KEYS.iter().find(|known| known.name == value.key).map(|key| key.words());
            let explained = Explained { value, schema };
            if *json { print::json(&explained)? } else { shown::explain(&explained)? }
        }
        Subcommands::Check { file, layer } => return check(file, *layer),
        Subcommands::Refresh { place } => refresh(&place.load(&paths)?)?,
        Subcommands::Test { asked, place, json } => {
            prepare_memory(READY);
            // The process ends with the answer: thousands of rules need not be freed one by one.
            let loaded = ManuallyDrop::new(place.load(&paths)?);
            let judged = asked.judge(&loaded, &paths)?;
            if *json {
                print::json(&judged)?;
            } else {
                print_decision(&judged.decision)?;
                print_started(judged.starts.as_ref())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A host set: what it holds, and who names it.
#[derive(Serialize)]
pub(crate) struct ExplainedSet<'p> {
    host_set: &'static str,
    version: u32,
    about: &'static str,
    hosts: &'static [&'static str],
    allowed_by: Vec<&'p Origin>,
    denied_by: Vec<&'p Origin>,
}

impl<'p> ExplainedSet<'p> {
    fn of(set: &'static HostSet, network: &'p NetworkPolicy) -> Self {
        let HostSet { name, version, about, hosts } = *set;
        let by = |list: &'p [Sourced<HostPattern>]| {
            let names = |entry: &&Sourced<HostPattern>| entry.value.host == HostSpec::Set(set);
            list.iter().filter(names).map(|entry| &entry.origin).collect()
        };
        let (allowed_by, denied_by) = (by(&network.allow), by(&network.deny));
        Self { host_set: name, version, about, hosts, allowed_by, denied_by }
    }
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

/// The programs that a shell string would start, a line each, and what of it cannot be told.
pub(crate) fn print_started(starts: Option<&Started>) -> anyhow::Result<()> {
    let Some(Started { text: _, commands, unread }) = starts else { return Ok(()) };
    let mut out = print::out();
    if commands.is_empty() && unread.is_empty() {
        return Ok(());
    }
    writeln!(out, "{STRONG}It starts{STRONG:#}")?;
    for JudgedCommand { command: _, written, at: _, reached, decision } in commands {
        let verdict = print::verdict(decision.verdict);
        let how = match reached.as_slice() {
            [] => String::new(),
            ways => format!("  {QUIET}{}{QUIET:#}", visible(&ways.join(" > "))),
        };
        writeln!(out, "  {verdict}: {}{how}", visible(written))?;
        if decision.verdict != Verdict::Allow {
            writeln!(out, "    {QUIET}{}{QUIET:#}", visible(&decision.reason))?;
        }
    }
    for Unread { written, at: _, reason } in unread {
        let written = if written.is_empty() { String::new() } else { format!("{written}: ") };
        let what = visible(&format!("{written}{reason}"));
        writeln!(out, "  {CAUTION}cannot be told{CAUTION:#}: {what}")?;
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
