//! `chaperone approvals`: the inbox without a window.

use crate::print::{self, QUIET, STRONG, visible};
use anyhow::{Context, anyhow, bail};
use chaperone_session::approvals::{
    AnswerMsg, AnswerOutcome, AnswerVerdict, Change, Inbox, Request, Role, Scope,
};
use chaperone_session::desk::Desk;
use chaperone_session::{Paths, ask_on};
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Answer requests: without a subcommand one after the other, as they come, in this terminal
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommands {
    /// Show what waits for an answer
    List {
        /// One request a line, as JSON
        #[arg(long)]
        json: bool,
        /// Go on, and print each request as it comes; sessions count on this reader for answers
        #[arg(long)]
        follow: bool,
    },
    /// Answer one request
    #[command(after_help = "\
Exit status: 0 if this answer counts, 1 if it was late or could not be taken.

Examples:
  chaperone approvals answer 20261122-090225-k3f9.1 allow
  chaperone approvals answer 20261122-090225-k3f9.1 deny --note \"open a pull request instead\"
  chaperone approvals answer 20261122-090225-k3f9.2 allow --scope command --host files.example:443")]
    Answer {
        /// The request, as `list` shows it
        #[arg(value_name = "REQUEST")]
        request: String,
        /// What happens
        verdict: Verdict,
        /// How far an allow reaches
        #[arg(long, default_value = "once")]
        scope: ScopeArgument,
        /// A host that the answer is for, as `list` shows it; others of the request wait on
        #[arg(long = "host", value_name = "HOST:PORT")]
        hosts: Vec<String>,
        /// Allow further hosts, too, until the command exits, unless something speaks against them
        #[arg(long)]
        further: bool,
        /// Words that the agent reads with a denial
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Show the approvals that outlive their requests
    Grants {
        /// One grant a line, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Take such an approval back
    Revoke {
        /// The grant, as `grants` shows it
        #[arg(value_name = "GRANT")]
        grant: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Verdict {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ScopeArgument {
    /// This time
    Once,
    /// Until the command that asks exits
    Command,
    /// Until the session ends
    Session,
    /// In every session of the workspace, for 30 days
    Workspace,
}

/// How long a session may take to say what it has; one that is stopped says nothing.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        None => interactive(),
        Some(Subcommands::List { json, follow: false }) => list(*json),
        Some(Subcommands::List { json, follow: true }) => follow(*json),
        Some(Subcommands::Answer { request, verdict, scope, hosts, further, note }) => {
            answer(request, *verdict, *scope, (hosts, *further), note.as_deref())
        }
        Some(Subcommands::Grants { json }) => grants(*json),
        Some(Subcommands::Revoke { grant }) => revoke(grant),
    }
}

fn list(json: bool) -> anyhow::Result<ExitCode> {
    let listing = Inbox::list(&Paths::of_this_user()?.runtime, PATIENCE)?;
    let mut waiting = 0;
    for request in listing.sessions.iter().flat_map(|session| &session.requests) {
        if request.waiting {
            waiting += 1;
            show(request, json)?;
        }
    }
    for session in &listing.unreachable {
        writeln!(io::stderr(), "chaperone: {}: {}", session.session, visible(&session.reason))?;
    }
    if waiting == 0 && !json {
        writeln!(
            print::out(),
            "Nothing waits for an answer. {} running.",
            match listing.sessions.len() {
                0 => "No session is".to_owned(),
                1 => "One session is".to_owned(),
                n => format!("{n} sessions are"),
            }
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(request: &Request, json: bool) -> anyhow::Result<()> {
    let mut out = print::out();
    if json {
        serde_json::to_writer(&mut out, request)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{STRONG}{}{STRONG:#}  {}", request.id, visible(&request.sentence))?;
        if request.hosts.len() > 1 {
            for host in request.hosts.iter().filter(|host| host.verdict.is_none()) {
                writeln!(out, "  {}", visible(&host.name))?;
                writeln!(out, "    {QUIET}{}{QUIET:#}", visible(&host.known))?;
            }
        } else {
            writeln!(out, "  {}", visible(&request.display))?;
        }
        for program in &request.programs {
            writeln!(out, "    {}", visible(program))?;
        }
        writeln!(
            out,
            "  {QUIET}{} in {}: {}{QUIET:#}",
            visible(&request.agent),
            visible(&request.workspace),
            visible(&request.reason)
        )?;
    }
    out.flush()?;
    Ok(())
}

/// An inbox whose changes come through a channel.
fn attend() -> anyhow::Result<(Inbox, Receiver<Change>)> {
    let (sender, changes) = channel();
    let inbox = Inbox::start(&Paths::of_this_user()?.runtime, Role::Terminal, move |change| {
        // The receiver goes only when this command ends.
        let _ = sender.send(change);
    })?;
    Ok((inbox, changes))
}

fn follow(json: bool) -> anyhow::Result<ExitCode> {
    let (_inbox, changes) = attend()?;
    for change in changes {
        if let Change::Request(request) = change {
            show(&request, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn interactive() -> anyhow::Result<ExitCode> {
    let mut tty =
        File::options().read(true).write(true).open("/dev/tty").context(
            "there is no terminal to ask on; use `chaperone approvals list` and `answer`",
        )?;
    let (inbox, changes) = attend()?;
    writeln!(tty, "Requests are shown as they come. Ctrl-C leaves; sessions go on.")?;
    loop {
        // Whatever changed, the oldest that waits is the one to show.
        let waiting = inbox
            .sessions()
            .into_iter()
            .flat_map(|session| session.requests)
            .filter(|request| request.waiting)
            .min_by_key(|request| request.time);
        let Some(request) = waiting else {
            if changes.recv().is_err() {
                return Ok(ExitCode::SUCCESS);
            }
            continue;
        };
        let still_waits = || {
            inbox
                .sessions()
                .iter()
                .flat_map(|session| &session.requests)
                .any(|other| other.id == request.id && other.waiting)
        };
        if let Some(message) = ask_on(&mut tty, &request, &still_waits)? {
            writeln!(tty, "{}", inbox.answer(&message))?;
        }
        while changes.try_recv().is_ok() {}
    }
}

fn grants(json: bool) -> anyhow::Result<ExitCode> {
    let grants = Desk::of_this_user()?.grants().map_err(|failure| anyhow!(failure.message))?;
    let mut out = print::out();
    for grant in &grants {
        if json {
            serde_json::to_writer(&mut out, grant)?;
            writeln!(out)?;
            continue;
        }
        let until = match (&grant.expires, &grant.command) {
            (Some(expires), _) => format!("until {}", print::day(*expires)),
            (None, Some(command)) => format!("until `{}` exits", visible(command)),
            (None, None) => "until its session ends".to_owned(),
        };
        writeln!(out, "{STRONG}{}{STRONG:#}  {}", visible(&grant.id), visible(&grant.sentence))?;
        writeln!(
            out,
            "  {QUIET}in {}, {until}, by {} on {}; used {}{QUIET:#}",
            visible(&grant.workspace),
            visible(&grant.by),
            print::day(grant.given),
            match grant.uses {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            }
        )?;
    }
    if grants.is_empty() && !json {
        writeln!(out, "Nothing was allowed for longer than once.")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(grant: &str) -> anyhow::Result<ExitCode> {
    match Desk::of_this_user()?.revoke(grant) {
        Ok(()) => {
            writeln!(print::out(), "Done: from now on it is asked again.")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(io::stderr(), "chaperone: {}", failure.message)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn answer(
    request: &str,
    verdict: Verdict,
    scope: ScopeArgument,
    (hosts, further): (&[String], bool),
    note: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let verdict = match verdict {
        Verdict::Allow => AnswerVerdict::Allow,
        Verdict::Deny => AnswerVerdict::Deny,
    };
    if verdict == AnswerVerdict::Allow && note.is_some() {
        bail!("a note goes with a denial: the agent reads it instead of what it wanted");
    }
    let inbox = Inbox::start(&Paths::of_this_user()?.runtime, Role::List, |_| {})?;
    inbox.ready(PATIENCE);
    let outcome = inbox.answer(&AnswerMsg {
        request: request.to_owned(),
        verdict,
        scope: match scope {
            ScopeArgument::Once => Scope::Once,
            ScopeArgument::Command => Scope::Command,
            ScopeArgument::Session => Scope::Session,
            ScopeArgument::Workspace => Scope::Workspace,
        },
        hosts: hosts.to_vec(),
        denied: Vec::new(),
        further,
        note: note.map(ToOwned::to_owned),
        by: String::new(),
    });
    match outcome {
        AnswerOutcome::Accepted => {
            writeln!(print::out(), "{outcome}")?;
            Ok(ExitCode::SUCCESS)
        }
        AnswerOutcome::Late { .. } | AnswerOutcome::Refused { .. } => {
            writeln!(io::stderr(), "chaperone: {outcome}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
