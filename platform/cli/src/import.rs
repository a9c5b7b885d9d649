//! `chaperone import`: an agent's own managed settings as a policy file.

use crate::export::AgentName;
use crate::print::{self, BAD, CAUTION, QUIET, visible};
use anyhow::Context as _;
use chaperone_export::{Imported, NotRead, import};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Read an agent's own managed settings as a policy file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The policy file goes to standard output, each entry with a comment that says where it came from;
what Chaperone has no word for is listed on standard error. Read it, then check it with
chaperone policy check.")]
pub(crate) struct Arguments {
    /// The agent
    #[arg(value_name = "AGENT")]
    target: AgentName,
    /// Its files, such as managed-settings.json
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// {"agent","text","lost":[{"place","value","wider","why"}]}
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    agent: &'static str,
    text: &'a str,
    lost: &'a [NotRead],
}

/// Larger than any settings file that a person or a tool has written.
const LARGEST: u64 = 4 << 20;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut files = Vec::with_capacity(arguments.files.len());
    for path in &arguments.files {
        let shown = path.display().to_string();
        let cannot = || format!("{shown} cannot be read");
        let size = fs::metadata(path).with_context(cannot)?.len();
        anyhow::ensure!(
            size <= LARGEST,
            "{shown} has {size} bytes; no settings file is larger than {LARGEST}"
        );
        let text = fs::read_to_string(path).with_context(cannot)?;
        files.push((shown, text));
    }
    let agent = arguments.target.agent();
    let Imported { text, lost } = import(agent, &files)?;
    if arguments.json {
        print::json(&Shown { agent: arguments.target.word(), text: &text, lost: &lost })?;
        return Ok(ExitCode::SUCCESS);
    }
    write!(print::out(), "{text}")?;
    let mut err = anstream::stderr().lock();
    for (wider, style, words) in
        [(false, BAD, "Not in the policy file"), (true, CAUTION, "Wider than the agent reads it")]
    {
        let of_this: Vec<&NotRead> = lost.iter().filter(|lost| lost.wider == wider).collect();
        if of_this.is_empty() {
            continue;
        }
        let _ = writeln!(err, "\n{style}{words}{style:#}");
        for NotRead { place, value, wider: _, why } in of_this {
            let _ = writeln!(err, "  {}  {}", visible(value), visible(why));
            let _ = writeln!(err, "    {QUIET}{}{QUIET:#}", visible(place));
        }
    }
    Ok(ExitCode::SUCCESS)
}
