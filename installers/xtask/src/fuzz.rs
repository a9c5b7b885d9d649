//! Fuzzing of the readers of policies, of texts for shells and of what leaves a session, by
//! libFuzzer through cargo-fuzz: some seconds of each among the checks, and as long as one likes by
//! `cargo xtask fuzz`. The targets stand in `platform/policy/fuzz`; they need no nightly compiler,
//! because no sanitizer runs with them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::progress::Log;
use crate::project::Project;
use crate::runner::Outcome;
use crate::tools;

const CARGO_FUZZ: &str = "^0.13.2";
const PACKAGE: &str = "platform/policy";
/// Of one target among the checks.
const SECONDS: u64 = 6;
/// Bytes of one input, at most: what is larger is the matter of the tests in `large.rs`.
const LARGEST: u32 = 16 << 10;

/// The tool, as a preparation.
pub(crate) fn tool(project: &Project, log: &Log) -> Result<Outcome> {
    tools::cargo_tool(project, log, "cargo-fuzz", CARGO_FUZZ)
}

/// A short run of every target.
pub(crate) fn step(project: &Project, log: &Log) -> Result<Outcome> {
    let targets = targets(project)?;
    log.run(cargo_fuzz(project, "build").args(["--target-dir"]).arg(build_folder(project)?))?;
    let mut inputs = 0;
    for target in &targets {
        inputs += run(project, log, target, SECONDS)?;
    }
    Ok(Outcome::Passed(format!("{} targets, {inputs} inputs", targets.len())))
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(project: &Project, only: Option<&str>, seconds: u64) -> Result<ExitCode> {
    let all = targets(project)?;
    let chosen: Vec<&String> =
        all.iter().filter(|name| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", all.join(", "));
    }
    for target in chosen {
        let path = project.scratch()?.join(format!("fuzz-{target}.log"));
        let log = Log::create(&path)?;
        tool(project, &log)?;
        println!("{target}: {seconds} seconds, in {}", path.display());
        let inputs = run(project, &log, target, seconds)?;
        println!("{target}: {inputs} inputs, nothing found");
    }
    Ok(ExitCode::SUCCESS)
}

/// One for each file.
fn targets(project: &Project) -> Result<Vec<String>> {
    let folder = project.root.join(PACKAGE).join("fuzz/targets");
    let mut names = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        names.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Runs a target; how many inputs it tried. It begins with real files, with what was found once,
/// and with what earlier runs on this machine came upon.
fn run(project: &Project, log: &Log, target: &str, seconds: u64) -> Result<u64> {
    let scratch = project.scratch()?.join("fuzz");
    let (known, found) = (scratch.join("known").join(target), scratch.join("found"));
    for folder in [&known, &found] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let package = project.root.join(PACKAGE);
    let seeds = package.join("fuzz/seeds").join(target);
    let mut cargo = cargo_fuzz(project, "run");
    cargo.arg("--target-dir").arg(build_folder(project)?).arg(target).arg(&known);
    cargo.arg(package.join("tests/data")).args(seeds.is_dir().then_some(seeds)).arg("--");
    cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LARGEST}"));
    cargo.args(["-timeout=120", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    cargo.arg(format!("-artifact_prefix={}/{target}-", found.display()));
    log.run(&mut cargo).with_context(|| {
        format!(
            "the target {target} found an input, which is in {}; `cd {PACKAGE} && cargo fuzz run \
             --sanitizer none {target} INPUT` tries it again",
            found.display()
        )
    })?;
    let text = log.text()?;
    let count = text.rsplit("stat::number_of_executed_units:").next().unwrap_or_default();
    let count = count.split_whitespace().next().and_then(|count| count.parse().ok());
    count.context("libFuzzer ended without saying how many inputs it tried")
}

/// Without a sanitizer the flags are those of a stable compiler.
fn cargo_fuzz(project: &Project, what: &str) -> Command {
    let mut cargo = project.command("cargo");
    cargo.current_dir(project.root.join(PACKAGE)).args(["fuzz", what, "--sanitizer", "none"]);
    cargo
}

/// Its own, since everything in it is built with other flags.
fn build_folder(project: &Project) -> Result<PathBuf> {
    Ok(project.scratch()?.join("fuzz/build"))
}
