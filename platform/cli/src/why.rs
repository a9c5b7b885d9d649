//! `chaperone why`: why something was or would be refused, and what would change that.

use crate::policy::{Place, absolute, connect, print_decision, print_started};
use crate::print::{self, STRONG, visible};
use chaperone_policy::Action;
use chaperone_session::{Judged, Paths, command, environment, would, would_start};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Why a command, path or host is or would be refused, and what would change that
///
/// One word with a slash or a dot at its start is a path; one that looks like a host name, or has
/// a port, is a host; anything after `--` is a command.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A path or a host
    #[arg(
        value_name = "PATH|HOST",
        conflicts_with = "command",
        required_unless_present = "command"
    )]
    about: Option<String>,
    /// A command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
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
    let paths = Paths::of_this_user()?;
    let loaded = arguments.place.load(&paths)?;
    let actions = match &arguments.about {
        None => {
            vec![("", Action::Run(command(&arguments.command, &loaded.workspace, &environment())))]
        }
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
        let judged = match &action {
            Action::Run(_) => would_start(&loaded, &paths, &arguments.command),
            _ => {
                let decision = would(&loaded, &paths, &action);
                Judged { decision, about: Some(action), starts: None }
            }
        };
        let change = judged.change();
        if arguments.json {
            print::json(&Answer { judged, change })?;
            continue;
        }
        write!(print::out(), "{STRONG}{what}{STRONG:#}")?;
        print_decision(&judged.decision)?;
        print_started(judged.starts.as_ref())?;
        if !change.is_empty() {
            writeln!(print::out(), "  to change it: {}", visible(&change))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_path(text: &str) -> bool {
    text.starts_with(['/', '.', '~']) || text.contains('/') || Path::new(text).exists()
}
