//! `chaperone learn`: a session, and what it would take for nothing of it to be refused.

use crate::print::{self, BAD, CAUTION, QUIET, STRONG, visible};
use crate::run::{self, SessionArguments};
use chaperone_session::{Left, Paths, Proposal};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a command as `run` does, and propose what your policy would have to grant it
///
/// What is refused stays refused, and is collected. When the session has ended, the smallest change
/// to your own config.toml is shown on standard error, as a diff to be reviewed. What was refused may
/// hide what comes after it, so learn again once the change is applied. What your organisation denies
/// is listed and never proposed; neither are places of keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: as that of `run`.

The diff can be applied by hand:
  chaperone learn --output change.diff -- CMD
  patch ~/.config/chaperone/config.toml change.diff")]
pub(crate) struct Arguments {
    #[command(flatten)]
    session: SessionArguments,
    /// Write the diff to a file, instead of standard error
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ask on the terminal, once it has been shown, whether to apply the change
    #[arg(long)]
    apply: bool,
    /// Write the proposal as JSON, in place of the diff
    #[arg(long)]
    json: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = arguments.session.options(&arguments.command);
    let mut failed = false;
    let mut offer = |proposal: &Proposal| match offered(arguments, proposal) {
        Ok(applied) => applied,
        Err(error) => {
            failed = true;
            print::error(&error);
            false
        }
    };
    let ended = Paths::of_this_user()
        .map_err(anyhow::Error::from)
        .and_then(|paths| Ok(chaperone_session::learn(&options, &paths, &mut offer)?));
    match ended {
        // What the command did is one thing; that nothing could be learned from it another.
        Ok(0) if failed => ExitCode::FAILURE,
        ended => run::status(ended),
    }
}

/// Shows a proposal, and applies it if a person says so.
fn offered(arguments: &Arguments, proposal: &Proposal) -> anyhow::Result<bool> {
    let text = match arguments.json {
        true => serde_json::to_string_pretty(proposal)? + "\n",
        false => proposal.diff.clone(),
    };
    let mut err = anstream::stderr().lock();
    match &arguments.output {
        Some(file) => fs::write(file, &text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?,
        None if arguments.json => err.write_all(text.as_bytes())?,
        None => {}
    }
    if !arguments.json {
        show(&mut err, proposal, arguments)?;
    }
    if proposal.is_empty() || !arguments.apply {
        return Ok(false);
    }
    drop(err);
    if !confirmed(proposal)? {
        return Ok(false);
    }
    let file = &proposal.file;
    proposal.apply().map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    writeln!(io::stderr(), "chaperone: applied. Learn again: what was refused may hide more.")?;
    Ok(true)
}

fn show(out: &mut impl Write, proposal: &Proposal, arguments: &Arguments) -> io::Result<()> {
    writeln!(out)?;
    if proposal.is_empty() {
        writeln!(out, "{STRONG}chaperone learn:{STRONG:#} nothing to propose.")?;
    } else {
        writeln!(out, "{STRONG}chaperone learn:{STRONG:#} this would have been allowed by")?;
        for change in &proposal.changes {
            writeln!(out, "  {} {}", change.key, visible(&change.value))?;
        }
        match &arguments.output {
            Some(file) => writeln!(out, "The change to review is in {}.", file.display())?,
            None => writeln!(out, "\n{}", shown_diff(&proposal.diff))?,
        }
        if !arguments.apply {
            writeln!(
                out,
                "{QUIET}Nothing is changed. Review it, then say `chaperone learn --apply -- …`, or put \
                 it into {} yourself.{QUIET:#}",
                proposal.file.display()
            )?;
        }
    }
    list(out, "Your policy cannot allow this:", BAD, &proposal.denied)?;
    let secrets = "CAREFUL: these hold keys or private data, and are not proposed:";
    list(out, secrets, BAD, &proposal.secrets)?;
    list(out, "Not proposed:", CAUTION, &proposal.kept)?;
    for unseen in &proposal.unseen {
        writeln!(out, "{CAUTION}Not seen:{CAUTION:#} {unseen}")?;
    }
    Ok(())
}

fn list(out: &mut impl Write, title: &str, style: anstyle::Style, left: &[Left]) -> io::Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    writeln!(out, "{style}{title}{style:#}")?;
    for Left { what, why } in left {
        writeln!(out, "  {}  {QUIET}{}{QUIET:#}", visible(what), visible(why))?;
    }
    Ok(())
}

/// A diff whose lines cannot move the cursor.
fn shown_diff(diff: &str) -> String {
    diff.lines().map(|line| visible(line) + "\n").collect()
}

/// Whether a person at this terminal says yes. Without one nobody does: what an agent is refused
/// must not grant itself.
fn confirmed(proposal: &Proposal) -> anyhow::Result<bool> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok();
    let Some(terminal) = terminal.filter(IsTerminal::is_terminal) else {
        writeln!(
            io::stderr(),
            "chaperone: not applied: there is no terminal on which to ask a person."
        )?;
        return Ok(false);
    };
    write!(&terminal, "Apply this change to {}? [y/N] ", proposal.file.display())?;
    let mut answer = String::new();
    BufReader::new(&terminal).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
