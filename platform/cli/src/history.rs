//! `chaperone history`: what happened, from the tamper-evident history.

use crate::print::{self, BAD, GOOD, QUIET, STRONG, visible};
use anyhow::{Context, bail};
use chaperone_policy::Verdict;
use chaperone_session::Paths;
use chaperone_session::audit::{self, Event, EventKind, Filter, HostReport, Index, Observed};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::Write;
use std::process::ExitCode;

/// List, show, search and verify what happened
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommands {
    /// Events, the newest first
    List {
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Events in which all of these words occur
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// One session from start to end, or one event of it
    Show {
        /// As `list` shows it; `last` for the latest
        session: String,
        /// The event's number in its session
        seq: Option<u64>,
        /// One event a line
        #[arg(long)]
        json: bool,
    },
    /// The hosts that sessions reached, asked for or were refused, and what went there
    #[command(after_help = "\
Bytes are what went over the session's proxy and relays. They are known when a session has ended:
while it runs, and where its supervisor was killed, there is a dash. Commands are the first of each
session that connected there, and those that were asked about, as far as they are known.")]
    Hosts {
        /// Only of this session; `last` for the latest
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Only of sessions that heard of it from this day or moment on, such as 2026-11-01 or 7d (seven
        /// days ago); each counts whole
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// [{"host","allowed","asked","refused","connections","sent","received","first","last",
        /// "sessions","commands"}]
        #[arg(long)]
        json: bool,
    },
    /// What the history says about one question, put together
    Report {
        about: Report,
        /// Only from this day or moment on, such as 2026-11-01 or 7d (seven days ago)
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// [{"rule","origin","would","times","sessions","agents","first","last","examples"}]
        #[arg(long)]
        json: bool,
    },
    /// Check that nothing was altered since it was recorded
    #[command(after_help = "\
Exit status: 1 if anything was altered, cut off or is missing.

What an agent could alter, this tells always: it cannot reach the history. The laptop's own user
could rewrite all of it consistently; only checkpoints that leave the laptop would show that, and
this version makes none yet.")]
    Verify {
        /// {"log":…,"segments":[…]}
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Report {
    /// What was let pass because the policy only observes, by the rule that would have stopped it
    Observed,
}

/// Which events.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Only of this session; `last` for the latest
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only with this decision
    #[arg(long, value_enum)]
    decision: Option<Decision>,
    /// Only of this kind, such as command, connect, request or answer
    #[arg(long)]
    kind: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// One event a line:
    /// {"seq","time","session","kind","action","decision","rule","origin","reason","by"}
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Decision {
    Allow,
    Ask,
    Deny,
}

pub(crate) fn run(command: &Subcommands) -> anyhow::Result<ExitCode> {
    let folder = Paths::of_this_user()?.history();
    if let Subcommands::Verify { json } = command {
        return verify(&folder, *json);
    }
    if !folder.exists() {
        writeln!(std::io::stderr(), "chaperone: nothing has been recorded yet")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut index = Index::open(&folder)?;
    index.refresh()?;
    match command {
        Subcommands::List { wanted } => {
            let filter = filter(wanted, &mut index)?;
            print_events(&index.list(&filter)?.events, wanted.json)?;
        }
        Subcommands::Search { words, wanted } => {
            let filter = filter(wanted, &mut index)?;
            print_events(&index.search(&words.join(" "), &filter)?.events, wanted.json)?;
        }
        Subcommands::Show { session, seq, json } => {
            let session = named(session, &mut index)?;
            let events = match seq {
                None => index.story(&session)?,
                Some(seq) => index.show(&session, *seq)?.into_iter().collect(),
            };
            if events.is_empty() {
                bail!("there is no such event; `chaperone history list` shows what there is");
            }
            if seq.is_some() && !json {
                print::json(&events)?;
            } else {
                print_events(&events, *json)?;
            }
        }
        Subcommands::Hosts { session, since, json } => {
            let session =
                session.as_deref().map(|session| named(session, &mut index)).transpose()?;
            let since = since.as_deref().map(moment).transpose()?;
            let hosts = index.hosts(session.as_deref(), since)?;
            if *json { print::json(&hosts)? } else { print_hosts(&hosts)? }
        }
        Subcommands::Report { about: Report::Observed, since, json } => {
            let since = since.as_deref().map(moment).transpose()?;
            let reports = index.observed(since)?;
            if *json { print::json(&reports)? } else { print_observed(&reports)? }
        }
        Subcommands::Verify { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A moment, a day (from its beginning, here), or how long ago.
fn moment(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        return Ok(day.to_zoned(TimeZone::system())?.timestamp());
    }
    let ago: jiff::Span = text.parse().ok().with_context(|| {
        format!("`{text}` is no time: expected a day (2026-11-01), a moment (2026-11-01T08:00Z) or how long ago (7d)")
    })?;
    Ok(jiff::Zoned::now().checked_sub(ago)?.timestamp())
}

fn print_hosts(hosts: &[HostReport]) -> anyhow::Result<()> {
    let mut out = print::out();
    if hosts.is_empty() {
        writeln!(out, "No host was reached, asked for or refused.")?;
        return Ok(());
    }
    let name = |own: &HostReport| match &own.host {
        Some(host) => visible(host),
        None => "other hosts".to_owned(),
    };
    let width = hosts.iter().map(|own| name(own).chars().count()).max().unwrap_or_default();
    writeln!(
        out,
        "{QUIET}{:<width$}  {:>7}  {:>5}  {:>7}  {:>9}  {:>9}  first seen{QUIET:#}",
        "host", "allowed", "asked", "refused", "sent", "received"
    )?;
    for own in hosts {
        let many = |count: u64| if count == 0 { "·".to_owned() } else { count.to_string() };
        let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "–".to_owned(), size);
        let first = own.first.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
        writeln!(
            out,
            "{STRONG}{:<width$}{STRONG:#}  {:>7}  {:>5}  {:>7}  {:>9}  {:>9}  {first}",
            name(own),
            many(own.allowed),
            many(own.asked),
            many(own.refused),
            bytes(own.sent),
            bytes(own.received),
        )?;
        for command in &own.commands {
            let command = shortened(&visible(command));
            writeln!(out, "    {QUIET}{command}{QUIET:#}")?;
        }
    }
    Ok(())
}

/// The beginning of a command that is longer than a line.
fn shortened(command: &str) -> String {
    const ROOM: usize = 100;
    match command.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", command.get(..end).unwrap_or(command)),
        None => command.to_owned(),
    }
}

/// Bytes to three digits at most, in binary units.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let whole = tenths / 10;
    match tenths % 10 {
        part if unit > 0 && whole < 10 => format!("{whole}.{part} {}", UNITS[unit]),
        _ => format!("{whole} {}", UNITS[unit]),
    }
}

fn print_observed(reports: &[Observed]) -> anyhow::Result<()> {
    let mut out = print::out();
    if reports.is_empty() {
        writeln!(out, "Nothing was let pass that enforcement would have stopped.")?;
        return Ok(());
    }
    for own in reports {
        let rule = own.rule.as_deref().unwrap_or("no rule");
        let would = print::verdict(own.would);
        writeln!(out, "{would}  {STRONG}{}{STRONG:#}", visible(rule))?;
        if let Some(origin) = &own.origin {
            writeln!(out, "      {QUIET}{}{QUIET:#}", visible(&origin.to_string()))?;
        }
        let many = |count: u64, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let last = own.last.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
        writeln!(
            out,
            "      {} in {} of {}, last {last}",
            many(own.times, "time"),
            many(u64::try_from(own.sessions)?, "session"),
            visible(&own.agents.join(", ")),
        )?;
        for example in &own.examples {
            writeln!(out, "      {QUIET}{}{QUIET:#}", visible(example))?;
        }
    }
    Ok(())
}

fn filter(wanted: &Wanted, index: &mut Index) -> anyhow::Result<Filter> {
    let session = wanted.session.as_deref().map(|session| named(session, index)).transpose()?;
    let kind = wanted
        .kind
        .as_ref()
        .map(|kind| serde_json::from_value::<EventKind>(kind.clone().into()))
        .transpose()?;
    Ok(Filter {
        session,
        kind,
        decision: wanted.decision.map(|decision| match decision {
            Decision::Allow => Verdict::Allow,
            Decision::Ask => Verdict::Ask,
            Decision::Deny => Verdict::Deny,
        }),
        limit: wanted.limit,
        ..Filter::default()
    })
}

fn named(session: &str, index: &mut Index) -> anyhow::Result<String> {
    if session != "last" {
        return Ok(session.to_owned());
    }
    let latest = index.sessions()?.into_iter().next();
    Ok(latest.context("no session has been recorded yet")?.id)
}

fn print_events(events: &[Event], json: bool) -> anyhow::Result<()> {
    let mut out = print::out();
    let mut session = "";
    for event in events {
        if json {
            serde_json::to_writer(&mut out, event)?;
            writeln!(out)?;
            continue;
        }
        if event.session != session {
            session = &event.session;
            writeln!(out, "{STRONG}{session}{STRONG:#}")?;
        }
        let time = event.time.to_zoned(TimeZone::system()).strftime("%H:%M:%S");
        let verdict = event.decision.map(print::verdict).unwrap_or_default();
        let action = event.action.as_deref().map(visible).unwrap_or_default();
        write!(out, "{:>6}  {QUIET}{time}{QUIET:#}  {:<13} ", event.seq, event.kind.as_str())?;
        writeln!(out, "{verdict}{}{action}", if verdict.is_empty() { "" } else { "  " })?;
        let observed = event.observed().map(|would| format!("observed, else {would}"));
        let why = [
            observed,
            event.reason.as_deref().map(visible),
            event.rule.as_deref().map(visible),
            event.by.as_deref().map(|by| format!("by {}", visible(by))),
        ];
        let why: Vec<String> = why.into_iter().flatten().collect();
        // An allow that no rule speaks of needs no explanation in a list.
        let plain = event.decision == Some(Verdict::Allow) && event.rule.is_none();
        if !plain && !why.is_empty() {
            writeln!(out, "        {QUIET}{}{QUIET:#}", why.join(" · "))?;
        }
    }
    Ok(())
}

fn verify(folder: &std::path::Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = audit::verify(folder)?;
    if json {
        print::json(&report)?;
    } else {
        let mut out = print::out();
        for problem in report.problems() {
            writeln!(out, "{BAD}{}{BAD:#}", visible(&problem.to_string()))?;
        }
        let records: u64 = report.segments.iter().map(|segment| segment.records).sum();
        let (style, word) = if report.is_intact() { (GOOD, "Intact") } else { (BAD, "NOT INTACT") };
        writeln!(
            out,
            "{style}{word}{style:#}: {} sessions, {records} events, {} entries in the device log.",
            report.segments.len(),
            report.log.entries
        )?;
    }
    Ok(if report.is_intact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_few_digits() {
        for (bytes, said) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.9 KiB"),
            (1536, "1.5 KiB"),
            (10 << 10, "10 KiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(size(bytes), said, "{bytes}");
        }
    }
}
