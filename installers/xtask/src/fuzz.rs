//! Fuzzing of the readers of policies, of texts for shells and of what leaves a session, by
//! libFuzzer through cargo-fuzz: some seconds of each among the checks, and as long as one likes by
//! `cargo xtask fuzz`. The targets stand in the folder `fuzz` of the crate that they are about; they
//! need no nightly compiler, because no sanitizer runs with them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::progress::Log;
use crate::project::Project;
use crate::runner::Outcome;
use crate::tools;

const CARGO_FUZZ: &str = "^0.13.2";
/// The crates that have targets.
pub(crate) const PACKAGES: [&str; 2] = ["platform/policy", "platform/egress"];
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
    for package in PACKAGES {
        let mut build = cargo_fuzz(project, package, "build");
        log.run(build.arg("--target-dir").arg(build_folder(project)?))?;
    }
    let mut inputs = 0;
    for target in &targets {
        inputs += run(project, log, target, SECONDS)?;
    }
    Ok(Outcome::Passed(format!("{} targets, {inputs} inputs", targets.len())))
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(project: &Project, only: Option<&str>, seconds: u64) -> Result<ExitCode> {
    let all = targets(project)?;
    let chosen: Vec<&Target> =
        all.iter().filter(|target| only.is_none_or(|only| only == target.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
        bail!("there is no such target; there are {}", names.join(", "));
    }
    for target in chosen {
        let name = &target.name;
        let path = project.scratch()?.join(format!("fuzz-{name}.log"));
        let log = Log::create(&path)?;
        tool(project, &log)?;
        println!("{name}: {seconds} seconds, in {}", path.display());
        let inputs = run(project, &log, target, seconds)?;
        println!("{name}: {inputs} inputs, nothing found");
    }
    Ok(ExitCode::SUCCESS)
}

/// A file in the folder `fuzz/targets` of a package.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    package: &'static str,
    name: String,
}

fn targets(project: &Project) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for package in PACKAGES {
        let folder = project.root.join(package).join("fuzz/targets");
        for file in
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let name = file?.path().file_stem().map(|name| name.to_string_lossy().into_owned());
            targets.extend(name.map(|name| Target { package, name }));
        }
    }
    targets.sort();
    Ok(targets)
}

/// Runs a target; how many inputs it tried. It begins with real files, with what was found once,
/// and with what earlier runs on this machine came upon.
fn run(
    project: &Project,
    log: &Log,
    Target { package, name }: &Target,
    seconds: u64,
) -> Result<u64> {
    let scratch = project.scratch()?.join("fuzz");
    let (known, found) = (scratch.join("known").join(name), scratch.join("found"));
    for folder in [&known, &found] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let own = project.root.join(package);
    let seeds = [own.join("tests/data"), own.join("fuzz/seeds").join(name)];
    let mut cargo = cargo_fuzz(project, package, "run");
    cargo.arg("--target-dir").arg(build_folder(project)?).arg(name).arg(&known);
    cargo.args(seeds.iter().filter(|folder| folder.is_dir())).arg("--");
    cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LARGEST}"));
    cargo.args(["-timeout=120", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    cargo.arg(format!("-artifact_prefix={}/{name}-", found.display()));
    log.run(&mut cargo).with_context(|| {
        format!(
            "the target {name} found an input, which is in {}; `cd {package} && cargo fuzz run \
             --sanitizer none {name} INPUT` tries it again",
            found.display()
        )
    })?;
    let text = log.text()?;
    let count = text.rsplit("stat::number_of_executed_units:").next().unwrap_or_default();
    let count = count.split_whitespace().next().and_then(|count| count.parse().ok());
    count.context("libFuzzer ended without saying how many inputs it tried")
}

/// Without a sanitizer the flags are those of a stable compiler.
fn cargo_fuzz(project: &Project, package: &str, what: &str) -> Command {
    let mut cargo = project.command("cargo");
    cargo.current_dir(project.root.join(package)).args(["fuzz", what, "--sanitizer", "none"]);
    cargo
}

/// Its own, since everything in it is built with other flags.
fn build_folder(project: &Project) -> Result<PathBuf> {
    Ok(project.scratch()?.join("fuzz/build"))
}
