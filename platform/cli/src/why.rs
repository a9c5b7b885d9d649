//! `chaperone why`: why something was or would be refused, and what would change that.

use crate::policy::{Place, absolute, connect, print_decision, print_started, request};
use crate::print::{self, STRONG, visible};
use chaperone_policy::Action;
use chaperone_session::{Judged, Loaded, Paths, inside, would, would_start};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Why a command, path, host or request is or would be refused, and what would change that
///
/// Inside a session the session's supervisor answers, with what doing it would say.
///
/// One word with a slash or a dot at its start is a path; one that looks like a host name, or has
/// a port, is a host; one that begins with http:// or https:// is a request, GET unless --method
/// says otherwise; anything after `--` is a command.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A path, a host or the address of a request
    #[arg(
        value_name = "PATH|HOST|URL",
        conflicts_with = "command",
        required_unless_present = "command"
    )]
    about: Option<String>,
    /// A command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
    /// The method of the request
    #[arg(long, requires = "about", default_value = "GET")]
    method: String,
    #[command(flatten)]
    place: Place,
    /// One object, or for a path one for reading and one for writing:
    /// {"decision","rule","origin","reason","change"}; of a command that starts others also
    /// {"text","commands":[…],"unread":[…]}
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    judged: Judged,
    change: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let ask = Asked::new(&arguments.place)?;
    let actions = match &arguments.about {
        None => return ask.shown(arguments, "", ask.start(&arguments.command)?),
        Some(url) if is_url(url) => vec![("", request(&arguments.method, url)?)],
        Some(about) if is_path(about) => {
            let path = absolute(Path::new(about))?;
            vec![
                ("reading: ", Action::Read { path: path.clone() }),
                ("writing: ", Action::Write { path }),
            ]
        }
        Some(host) => vec![("", connect(host)?)],
    };
    for (what, action) in actions {
        ask.shown(arguments, what, ask.about(&action)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Who answers.
enum Asked {
    /// The policy in force for a session that would start here.
    Policy { loaded: Box<Loaded>, paths: Paths },
    /// The session that this process runs in.
    Session,
}

impl Asked {
    fn new(place: &Place) -> anyhow::Result<Self> {
        if std::env::var_os("CHAPERONE_SESSION").is_some() {
            let own = "inside a session it is the session's own policy that answers; leave out \
                       --workspace, --agent and --policy";
            anyhow::ensure!(place.is_here(), own);
            return Ok(Self::Session);
        }
        let paths = Paths::of_this_user()?;
        Ok(Self::Policy { loaded: Box::new(place.load(&paths)?), paths })
    }

    fn start(&self, words: &[String]) -> anyhow::Result<Judged> {
        Ok(match self {
            Self::Policy { loaded, paths } => would_start(loaded, paths, words),
            Self::Session => inside::ask_start(words, &std::env::current_dir()?)?,
        })
    }

    fn about(&self, action: &Action) -> anyhow::Result<Judged> {
        Ok(match self {
            Self::Policy { loaded, paths } => Judged::of(action, would(loaded, paths, action)),
            Self::Session => inside::ask(action)?,
        })
    }

    fn shown(&self, arguments: &Arguments, what: &str, judged: Judged) -> anyhow::Result<ExitCode> {
        let change = judged.change.clone();
        if arguments.json {
            print::json(&Answer { judged, change })?;
            return Ok(ExitCode::SUCCESS);
        }
        write!(print::out(), "{STRONG}{what}{STRONG:#}")?;
        print_decision(&judged.decision)?;
        print_started(judged.starts.as_ref())?;
        if !change.is_empty() {
            let place = match self {
                Self::Policy { .. } => "",
                Self::Session => ", outside of this session",
            };
            writeln!(print::out(), "  to change it{place}: {}", visible(&change))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https"))
}

fn is_path(text: &str) -> bool {
    text.starts_with(['/', '.', '~']) || text.contains('/') || Path::new(text).exists()
}
