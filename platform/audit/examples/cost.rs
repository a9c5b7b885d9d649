//! What the history costs: a session's start and end, one event, and pages out of many events.
//!
//! `cargo run --release -p chaperone-audit --example cost [-- EVENTS]`

use chaperone_audit::{Filter, Index, NewEvent, Redactor, Start, Store};
use chaperone_policy::{Action, Command, Decision, Origin, Verdict};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let events: u32 = std::env::args().nth(1).map_or(Ok(20_000), |count| count.parse())?;
    // The working folder's disk: a temporary folder is often memory, which syncs for nothing.
    let folder = tempfile::tempdir_in(".")?;
    let folder = folder.path();
    let redactor = || Redactor::from_environment(std::env::vars());
    let start = || {
        NewEvent::session_start(Start {
            agent: "demo".into(),
            workspace: "/work/shop".into(),
            command: vec!["demo".into()],
            tier: "full".into(),
            ..Start::default()
        })
    };

    let mut begins = Vec::new();
    let mut ends = Vec::new();
    for number in 0..100 {
        let started = Instant::now();
        let segment = Store::open(folder)?.begin(&format!("s{number}"), redactor(), start())?;
        begins.push(started.elapsed());
        let started = Instant::now();
        segment.end(NewEvent::session_end(0))?;
        ends.push(started.elapsed());
    }
    report("open and begin", &mut begins);
    report("end", &mut ends);

    let segment = Store::open(folder)?.begin("many", redactor(), start())?;
    let mut appends = Vec::new();
    for number in 0..events {
        let event = match number {
            number if number % 1000 == 0 => command(number, Verdict::Deny),
            number if number % 2 == 0 => observed(number),
            number => command(number, Verdict::Allow),
        };
        let started = Instant::now();
        segment.append(event)?;
        appends.push(started.elapsed());
    }
    report("append", &mut appends);
    segment.end(NewEvent::session_end(0))?;

    let mut index = Index::open(folder)?;
    time("first refresh", || Ok(index.refresh().map(drop)?))?;
    let mut filter = Filter::default();
    for page in 1..=3 {
        let name = format!("page {page}");
        time(&name, || {
            filter.before = index.list(&filter)?.next;
            Ok(())
        })?;
    }
    let denied = Filter { decision: Some(Verdict::Deny), ..Filter::default() };
    time("denied", || Ok(index.list(&denied).map(drop)?))?;
    time("search, frequent", || Ok(index.search("commit", &Filter::default()).map(drop)?))?;
    time("search, rare", || Ok(index.search("change-77 ", &Filter::default()).map(drop)?))?;
    time("search, denied", || Ok(index.search("commit", &denied).map(drop)?))?;
    time("report, observed", || Ok(index.observed(None).map(drop)?))?;
    time("sessions", || Ok(index.sessions().map(drop)?))?;
    time("refresh, nothing new", || Ok(index.refresh().map(drop)?))?;
    time("verify", || Ok(chaperone_audit::verify(folder).map(drop)?))
}

/// Of one of a hundred rules, half of which always stop the same command.
fn observed(number: u32) -> NewEvent {
    let rule = number / 2 % 100;
    let decision = Decision {
        verdict: Verdict::Ask,
        rule: Some(format!("commands.rule git {rule}")),
        origin: Origin::built_in(),
        reason: "Publishes work.".into(),
    };
    let action = Action::Run(git(if rule < 50 { rule } else { number }));
    NewEvent::observed(&action, &decision, Verdict::Ask)
}

fn git(number: u32) -> Command {
    let argv = ["git", "commit", "-m", &format!("change-{number} of the login form")];
    Command {
        executable: "/usr/bin/git".into(),
        exec_name: "/usr/bin/git".into(),
        argv: argv.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        cwd: "/home/lena/work/shop".into(),
    }
}

fn command(number: u32, verdict: Verdict) -> NewEvent {
    NewEvent::command(
        &git(number),
        &Decision {
            verdict,
            rule: None,
            origin: Origin::built_in(),
            reason: "Nothing forbids it.".into(),
        },
    )
}

#[expect(clippy::print_stdout, reason = "it is a program that prints")]
fn report(name: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    println!("{name:22} median {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
}

#[expect(clippy::print_stdout, reason = "it is a program that prints")]
fn time(name: &str, what: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let started = Instant::now();
    what()?;
    println!("{name:22} {:>17.1?}", started.elapsed());
    Ok(())
}
