//! Runs steps: each after what it needs, in two lanes side by side, one for work that holds cargo's
//! build folder and one for the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::progress::{Log, Mark, Screen, elapsed};
use crate::project::{Project, room};

/// One thing to do, named so that it can be chosen.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What it checks or provides, for `--list`.
    pub(crate) about: &'static str,
    pub(crate) lane: Lane,
    /// Steps that must have succeeded before.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: fn(&Project, &Log) -> Result<Outcome>,
}

/// Steps of one lane run one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Whatever holds cargo's build folder, or needs the machine for itself.
    Rust,
    /// The rest: npm, installs.
    Side,
}

/// How a step that did not fail ended.
pub(crate) enum Outcome {
    /// A check that ran and held, with what it covered.
    Passed(String),
    /// A preparation; it is not counted as a check.
    Ready(String),
    /// A check that cannot run here, and why. It never counts as passed.
    NotRun(String),
}

/// The chosen steps with everything they need, in the order of `all`.
///
/// # Errors
/// When a name matches no step; the message lists those that exist.
pub(crate) fn select(all: Vec<Step>, only: &[String]) -> Result<Vec<Step>> {
    if only.is_empty() {
        return Ok(all);
    }
    let mut chosen = BTreeSet::new();
    for wanted in only {
        let group = format!("{wanted}-");
        let matching: Vec<&Step> =
            all.iter().filter(|s| s.name == wanted || s.name.starts_with(&group)).collect();
        if matching.is_empty() {
            let names: Vec<&str> = all.iter().map(|s| s.name).collect();
            bail!("there is no step `{wanted}`; there are {}", names.join(", "));
        }
        chosen.extend(matching.iter().map(|s| s.name));
    }
    // `needs` only names earlier or later steps, so this ends when a round adds none.
    loop {
        let needed: Vec<&str> = all
            .iter()
            .filter(|s| chosen.contains(s.name))
            .flat_map(|s| s.needs.iter().copied())
            .filter(|name| !chosen.contains(name))
            .collect();
        if needed.is_empty() {
            break;
        }
        chosen.extend(needed);
    }
    Ok(all.into_iter().filter(|s| chosen.contains(s.name)).collect())
}

const GB: u64 = 1_000_000_000;
/// What a build folder with everything in it takes, with what is downloaded beside it.
const NEEDED: u64 = 28 * GB;
/// The same without incremental state.
const NEEDED_BY_CI: u64 = 12 * GB;

/// Whether so little is left of the disk that this may be why something failed.
fn is_full(project: &Project) -> bool {
    room(&project.target).is_some_and(|room| room < GB / 2)
}

#[derive(Default)]
struct Progress {
    started: BTreeSet<&'static str>,
    /// Name, and whether those that need it may run.
    ended: BTreeMap<&'static str, bool>,
    passed: usize,
    failed: Vec<&'static str>,
    not_run: Vec<(&'static str, String)>,
}

/// Runs checks and prints how many held.
pub(crate) fn run(project: &Project, steps: &[Step]) -> Result<ExitCode> {
    let began = Instant::now();
    let needed = if std::env::var_os("CI").is_some() { NEEDED_BY_CI } else { NEEDED };
    if let Some(room) = room(&project.scratch()?).filter(|room| *room < needed) {
        println!(
            "{} GB are left for {}: a first run of everything takes about {}.",
            room / GB,
            project.target.display(),
            needed / GB
        );
    }
    let state = run_all(project, steps)?;
    println!(
        "\nAll steps took {}. Their whole output is in {}.",
        elapsed(began.elapsed()),
        project.scratch()?.display()
    );
    for (name, why) in &state.not_run {
        println!("not run: {name}: {why}");
    }
    for name in &state.failed {
        println!("failed: {name} (again with: cargo xtask test --only {name})");
    }
    let skipped = match state.not_run.len() {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    println!("{} passed, {} failed{skipped}", state.passed, state.failed.len());
    Ok(if state.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs preparations; whether all succeeded.
pub(crate) fn prepare(project: &Project, steps: &[Step]) -> Result<bool> {
    Ok(run_all(project, steps)?.failed.is_empty())
}

fn run_all(project: &Project, steps: &[Step]) -> Result<Progress> {
    let logs = project.scratch()?;
    let screen = Screen::new(steps.len());
    let progress = Mutex::new(Progress::default());
    let changed = Condvar::new();

    let work = |lane: Lane| {
        loop {
            let mut state = progress.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(next) = next_step(steps, lane, &state) else { return };
            let Next::Run(step) = next else {
                if let Next::Blocked(step, cause) = next {
                    state.started.insert(step.name);
                    state.ended.insert(step.name, false);
                    let why = format!("needs {cause}, which did not succeed");
                    screen.finish(Mark::NotRun, step.name, &why);
                    state.not_run.push((step.name, why));
                    changed.notify_all();
                } else {
                    drop(changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                }
                continue;
            };
            state.started.insert(step.name);
            drop(state);

            let path = logs.join(format!("{}.log", step.name));
            screen.start(step.name, &path);
            let result = Log::create(&path).and_then(|log| (step.run)(project, &log));
            let mut state = progress.lock().unwrap_or_else(PoisonError::into_inner);
            state.ended.insert(step.name, result.is_ok());
            match result {
                Ok(Outcome::Passed(detail)) => {
                    screen.finish(Mark::Passed, step.name, &detail);
                    state.passed += 1;
                }
                Ok(Outcome::Ready(detail)) => screen.finish(Mark::Ready, step.name, &detail),
                Ok(Outcome::NotRun(why)) => {
                    screen.finish(Mark::NotRun, step.name, &why);
                    state.not_run.push((step.name, why));
                }
                Err(error) => {
                    let full = if is_full(project) { ", and the disk is full" } else { "" };
                    screen.finish(Mark::Failed, step.name, &format!("{error:#}{full}"));
                    state.failed.push(step.name);
                }
            }
            changed.notify_all();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| work(Lane::Side));
        work(Lane::Rust);
    });
    drop(screen);

    Ok(progress.into_inner().unwrap_or_else(PoisonError::into_inner))
}

enum Next<'a> {
    Run(&'a Step),
    /// It can never run, because of the named step.
    Blocked(&'a Step, &'static str),
    /// Something of the other lane must end first.
    Wait,
}

fn next_step<'a>(steps: &'a [Step], lane: Lane, state: &Progress) -> Option<Next<'a>> {
    let mut waiting = None;
    for step in steps.iter().filter(|s| s.lane == lane && !state.started.contains(s.name)) {
        if let Some(cause) = step.needs.iter().find(|n| state.ended.get(*n) == Some(&false)) {
            return Some(Next::Blocked(step, cause));
        }
        if step.needs.iter().all(|n| state.ended.contains_key(n)) {
            return Some(Next::Run(step));
        }
        waiting = Some(Next::Wait);
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, lane: Lane, needs: &'static [&'static str]) -> Step {
        Step { name, about: "", lane, needs, run: |_, _| Ok(Outcome::Passed(String::new())) }
    }

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|s| s.name).collect()
    }

    fn all() -> Vec<Step> {
        vec![
            step("build", Lane::Rust, &["ui-build"]),
            step("window", Lane::Rust, &["build"]),
            step("fmt", Lane::Rust, &[]),
            step("ui-build", Lane::Side, &[]),
            step("ui-lint", Lane::Side, &[]),
        ]
    }

    #[test]
    fn choosing_a_step_brings_what_it_needs() {
        let chosen = select(all(), &["window".to_owned()]).unwrap();
        assert_eq!(names(&chosen), ["build", "window", "ui-build"]);
    }

    #[test]
    fn a_group_name_means_all_of_its_steps() {
        assert_eq!(names(&select(all(), &["ui".to_owned()]).unwrap()), ["ui-build", "ui-lint"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_exist() {
        let error = select(all(), &["windwo".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("build, window, fmt"), "{error}");
    }

    #[test]
    fn a_step_waits_for_the_other_lane_and_a_later_free_one_goes_first() {
        let steps = all();
        let state = Progress::default();
        assert!(
            matches!(next_step(&steps, Lane::Rust, &state), Some(Next::Run(s)) if s.name == "fmt")
        );
    }

    #[test]
    fn what_needs_a_failed_step_is_blocked_and_never_run() {
        let steps = all();
        let mut state = Progress::default();
        state.started.insert("ui-build");
        state.ended.insert("ui-build", false);
        let next = next_step(&steps, Lane::Rust, &state);
        assert!(matches!(next, Some(Next::Blocked(s, "ui-build")) if s.name == "build"));
    }
}
