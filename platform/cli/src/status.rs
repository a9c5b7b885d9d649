//! `chaperone status`: whether agents on this machine are held, in one word and one object.

use crate::print::{self, BAD, CAUTION, GOOD, QUIET, STRONG, visible};
use chaperone_session::desk::{Desk, Home, ProtectionLevel};
use serde::Serialize;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;

/// Tell whether agents on this machine are governed, for people and for fleets
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 governed, 1 partly, 2 not.")]
pub(crate) struct Arguments {
    /// {"version","governed","sentence","tier","mode","policy","agents","exceptions",
    /// "last_checkpoint"}
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Status {
    version: String,
    governed: ProtectionLevel,
    sentence: String,
    tier: Value,
    mode: &'static str,
    policy: Value,
    agents: Value,
    /// What could not be taken as written.
    exceptions: Value,
    /// None are made yet.
    last_checkpoint: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let home = Desk::of_this_user()?.home().map_err(|failure| {
        anyhow::anyhow!("{} {}", failure.message, failure.remedy.unwrap_or_default())
    })?;
    let code = match home.protection.level {
        ProtectionLevel::Protected => 0,
        ProtectionLevel::Partly => 1,
        ProtectionLevel::Not => 2,
    };
    if arguments.json {
        print::json(&status(home)?)?
    } else {
        show(&home)?
    }
    Ok(ExitCode::from(code))
}

fn status(home: Home) -> anyhow::Result<Status> {
    Ok(Status {
        version: home.version,
        governed: home.protection.level,
        sentence: home.protection.sentence,
        tier: serde_json::to_value(home.machine.tier)?,
        mode: "enforce",
        policy: serde_json::to_value(home.managed)?,
        agents: serde_json::to_value(home.agents)?,
        exceptions: serde_json::to_value(home.findings)?,
        last_checkpoint: None,
    })
}

fn show(home: &Home) -> anyhow::Result<()> {
    let mut out = print::out();
    let style = match home.protection.level {
        ProtectionLevel::Protected => GOOD,
        ProtectionLevel::Partly => CAUTION,
        ProtectionLevel::Not => BAD,
    };
    writeln!(out, "{style}{STRONG}{}{STRONG:#}{style:#}", home.protection.sentence)?;
    if let Some(remedy) = &home.protection.remedy {
        writeln!(out, "  {}", remedy.text)?;
        if let Some(command) = &remedy.command {
            writeln!(out, "  {command}")?;
        }
    }
    match &home.managed {
        None => writeln!(out, "Not managed: the built-in rules and your own apply.")?,
        Some(managed) => writeln!(
            out,
            "Managed{}{}.",
            managed.by.as_ref().map(|by| format!(" by {}", visible(by))).unwrap_or_default(),
            managed
                .revision
                .as_ref()
                .map(|revision| format!(", revision {}", visible(revision)))
                .unwrap_or_default()
        )?,
    }
    for loss in &home.machine.losses {
        writeln!(out, "{CAUTION}lost{CAUTION:#}  {}", loss.detail)?;
        writeln!(out, "      {QUIET}to do:{QUIET:#} {}", loss.fix)?;
    }
    for agent in &home.agents {
        let version = agent.version.as_deref().unwrap_or("version not known");
        writeln!(out, "{STRONG}{}{STRONG:#}  {version}", agent.title)?;
        writeln!(out, "  {}", agent.detail)?;
        writeln!(out, "  {QUIET}{}{QUIET:#}", agent.command_to_start)?;
    }
    let running = home.sessions.len();
    writeln!(out, "{running} session{} running.", if running == 1 { "" } else { "s" })?;
    Ok(())
}
