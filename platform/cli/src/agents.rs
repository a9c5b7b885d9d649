//! `chaperone agents`: the agents on this machine, and what is known of them.

use crate::print::{self, QUIET, STRONG};
use chaperone_session::agents;
use chaperone_session::{Paths, environment};
use std::io::Write;
use std::process::ExitCode;

/// Show the agents found on this machine, their versions and their agent files
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// One object an agent: {"name","title","path","version","governed","start"}
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Row<'a> {
    name: &'a str,
    title: &'a str,
    path: String,
    version: Option<String>,
    governed: &'static str,
    start: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_user()?;
    let found = agents::find_installed(&environment(), &paths.home);
    let rows: Vec<Row<'_>> = found
        .iter()
        .map(|agent| Row {
            name: &agent.name,
            title: &agent.title,
            path: agent.path.display().to_string(),
            version: agent.version(),
            governed: "sandboxed when started with chaperone run",
            start: format!(
                "chaperone run -- {}",
                agent.path.file_name().unwrap_or(agent.path.as_os_str()).to_string_lossy()
            ),
        })
        .collect();
    if arguments.json {
        print::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = print::out();
    for row in &rows {
        let version = row.version.as_deref().unwrap_or("version not known");
        writeln!(out, "{STRONG}{}{STRONG:#}  {version}", row.title)?;
        writeln!(out, "  {QUIET}{}{QUIET:#}", row.path)?;
        writeln!(out, "  {}", row.start)?;
    }
    let missing: Vec<&str> = agents::all()
        .filter(|agent| !rows.iter().any(|row| row.name == agent.name))
        .map(|agent| agent.title.as_str())
        .collect();
    if !missing.is_empty() {
        writeln!(out, "{QUIET}Known and not found here: {}.{QUIET:#}", missing.join(", "))?;
    }
    if rows.is_empty() {
        writeln!(out, "Any command can be run all the same: chaperone run -- COMMAND")?;
    }
    Ok(ExitCode::SUCCESS)
}
