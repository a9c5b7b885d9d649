//! `chaperone doctor`: what this machine gives, what is lost, and how to get it.

use crate::print::{self, BAD, CAUTION, GOOD, QUIET, STRONG};
use chaperone_session::{CheckStatus, Paths, Question, examine};
use std::io::Write;
use std::process::ExitCode;

/// Examine this machine: the tier of its sandbox, what that loses, and how to get more
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 1 if any check fails, else 0.")]
pub(crate) struct Arguments {
    /// {"tier","checks":[{"id","status","detail","fix"}]}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let examination = examine(&Paths::of_this_user()?, &Question::default());
    if arguments.json {
        print::json(&examination)?;
    } else {
        let mut out = print::out();
        writeln!(out, "{STRONG}Tier: {}{STRONG:#}", examination.tier)?;
        for (at, check) in examination.checks.iter().enumerate() {
            let (mark, style) = match check.status {
                CheckStatus::Ok => ("ok  ", GOOD),
                CheckStatus::Warn => ("warn", CAUTION),
                CheckStatus::Fail => ("FAIL", BAD),
            };
            writeln!(out, "{style}{mark}{style:#}  {STRONG}{}{STRONG:#}", check.id)?;
            writeln!(out, "      {}", check.detail)?;
            // One remedy often serves many checks: it is said where it is first needed.
            let before = examination.checks.iter().take(at).find(|other| other.fix == check.fix);
            match before {
                _ if check.fix.is_empty() => {}
                Some(other) => writeln!(out, "      {QUIET}to do:{QUIET:#} as for {}", other.id)?,
                None => writeln!(out, "      {QUIET}to do:{QUIET:#} {}", check.fix)?,
            }
        }
    }
    let failed = examination.checks.iter().any(|check| check.status == CheckStatus::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
