//! `cargo xtask bench`: whole-process times in one hyperfine run, as ratios to another program's,
//! since absolute times drift on shared machines. The peers that are installed run along.

mod policy;
mod proxy;
mod trees;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;

use crate::packages;
use crate::project::{Project, which};

/// How much longer than bubblewrap's start Chaperone's may take.
const BAR: f64 = 1.0;
/// Command rules that Chaperone reads at each start.
const RULES: usize = 500;
/// How often the commands take turns in the one hyperfine run: shared machines are faster in one
/// second than in the next, and hyperfine runs each command that it is given to its end.
const TURNS: u32 = 10;

/// Another way to run a command in a sandbox: `tests/bench/peers.toml`.
#[derive(Deserialize)]
struct Peer {
    /// The program that must be on `PATH`.
    program: String,
    /// The words before the sandboxed command.
    command: String,
    /// Environment as `NAME=VALUE`.
    #[serde(default)]
    env: Vec<String>,
}

#[derive(Deserialize)]
struct Peers {
    peer: Vec<Peer>,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Timing>,
}

#[derive(Deserialize)]
struct Timing {
    command: String,
    /// Seconds, each.
    times: Vec<f64>,
    /// Seconds on a processor, in the program and in the kernel: the mean.
    user: f64,
    system: f64,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Start-up, against bubblewrap.
    Sessions,
    /// Starts in large trees, against one in an empty folder.
    Trees,
    /// What agents do all day, in both tiers, against the same without a sandbox.
    Work,
    /// Merging, explaining and trying large policies, against Codex.
    Policy,
    /// What passes through a session's proxy, against socat.
    Proxy,
}

/// What was demanded, and whether it held.
#[derive(Default)]
struct Bars {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    measured: f64,
    /// `<=` or `>=`, a number and its unit.
    bar: (Bar, f64, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bar {
    AtMost,
    AtLeast,
}

impl Bars {
    fn hold(&mut self, what: impl Into<String>, measured: f64, bar: (Bar, f64, &'static str)) {
        self.rows.push(Row { what: what.into(), measured, bar });
    }

    /// Prints the table; whether all hold.
    fn print(&self) -> bool {
        println!("\n  {:58} {:>10} {:>13}", "What is demanded", "measured", "bar");
        let mut all = true;
        for Row { what, measured, bar: (sense, bar, unit) } in &self.rows {
            let (sign, holds) = match sense {
                Bar::AtMost => ("at most", measured <= bar),
                Bar::AtLeast => ("at least", measured >= bar),
            };
            all &= holds;
            let word = if holds { "holds" } else { "MISSED" };
            println!("  {what:58} {measured:7.2} {unit:2} {sign:>9} {bar} {unit:2} {word}");
        }
        all
    }
}

pub(crate) fn bench(
    project: &Project,
    install: bool,
    runs: u32,
    only: Option<Part>,
) -> Result<ExitCode> {
    if install {
        packages::install(packages::BENCH)?;
    }
    if only != Some(Part::Proxy) {
        let mut build = project.command("cargo");
        let build = build.args(["build", "--release", "--locked", "-p", "chaperone-cli"]);
        if !build.status()?.success() {
            bail!("the release build failed");
        }
    }
    let dir = project.scratch()?.join("bench");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(dir.join("config/chaperone"))?;
    fs::create_dir_all(dir.join("workspace"))?;
    let mut bars = Bars::default();
    let wanted = |part| only.is_none_or(|only| only == part);
    if wanted(Part::Policy) {
        policy::explain(project, runs, &mut bars)?;
        policy::try_command(project, &dir, runs, &mut bars)?;
    }
    if wanted(Part::Proxy) {
        proxy::proxy(project, &mut bars)?;
    }
    // From here on: what is tried above is one file alone.
    fs::write(dir.join("config/chaperone/config.toml"), rules())?;
    if wanted(Part::Sessions) {
        sessions(project, &dir, runs, &mut bars)?;
    }
    if wanted(Part::Trees) {
        trees::trees(project, &dir, runs, &mut bars)?;
    }
    if wanted(Part::Work) {
        work::work(project, &dir, runs, &mut bars)?;
    }
    Ok(if bars.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sessions(project: &Project, dir: &Path, runs: u32, bars: &mut Bars) -> Result<()> {
    let workspace = dir.join("workspace");
    let bwrap = bubblewrap(&workspace);
    let chaperone = project.binary("release", "chaperone");
    let chaperone = format!("{} run --unattended --", chaperone.display());
    let bench = project.root.join("tests/bench");
    let peers: Peers = toml::from_str(&fs::read_to_string(bench.join("peers.toml"))?)
        .context("tests/bench/peers.toml")?;
    let bench = bench.display().to_string();
    let mut start = vec![
        ("/bin/true alone".to_owned(), "/bin/true".to_owned()),
        ("bubblewrap".to_owned(), format!("{bwrap} /bin/true")),
        ("chaperone".to_owned(), format!("{chaperone} /bin/true")),
    ];
    for peer in peers.peer.iter().filter(|peer| which(&peer.program).is_some()) {
        let environment = match peer.env.is_empty() {
            true => String::new(),
            false => format!("env {} ", peer.env.join(" ")),
        };
        let name = peer.command.split(" -").next().unwrap_or(&peer.program).to_owned();
        let command = peer.command.replace("{bench}", &bench);
        start.push((name, format!("{environment}{command} /bin/true")));
    }
    let times = hyperfine(project, dir, &workspace, "start", runs, &start)?;
    let title = format!("Start of /bin/true, {RULES} command rules read, events durable");
    let ratios = report(&title, &start, &times, "bubblewrap");
    let ratio = ratios.get("chaperone").copied().unwrap_or(f64::NAN);

    bars.hold("start of a session, to bubblewrap's", ratio, (Bar::AtMost, BAR, "×"));
    disk(project, dir, &workspace, runs, &format!("{chaperone} /bin/true"))
}

/// The least of bubblewrap that compares: everything readable, the workspace writable, no network.
fn bubblewrap(workspace: &Path) -> String {
    format!(
        "bwrap --ro-bind / / --dev /dev --proc /proc --bind {0} {0} --unshare-all \
         --die-with-parent --new-session",
        workspace.display()
    )
}

/// How much of a start is waiting until the history is on the disk: the same with a history that
/// lies in memory, where that takes no time.
fn disk(project: &Project, dir: &Path, workspace: &Path, runs: u32, start: &str) -> Result<()> {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        return Ok(());
    }
    let memory = memory.join(format!("chaperone-bench-{}", std::process::id()));
    let states = [("on the disk", dir.join("state")), ("in memory", memory.clone())];
    let commands = states.map(|(name, state)| {
        (format!("history {name}"), format!("env XDG_STATE_HOME={} {start}", state.display()))
    });
    let times = hyperfine(project, dir, workspace, "disk", runs, &commands);
    // Nothing of it is wanted any more, whatever came of it.
    let _ = fs::remove_dir_all(&memory);
    report(
        "The same by way of env: what waiting for the disk takes",
        &commands,
        &times?,
        "history in memory",
    );
    Ok(())
}

/// A user file with rules that are all read and none of which matches.
fn rules() -> String {
    let mut text = String::from("# Written by cargo xtask bench.\n");
    for number in 0..RULES {
        text += &format!(
            "\n[[commands.rule]]\nprefix = [\"tool-{number}\", \"publish\"]\ndecision = \"ask\"\n\
             reason = \"Publishes work.\"\nmatch = [[\"tool-{number}\", \"publish\", \"now\"]]\n\
             not_match = [[\"tool-{number}\", \"status\"]]\n"
        );
    }
    text
}

/// Writes so many files, so many in a folder: where each lies and what it says, by its folder's
/// number and its own.
fn fill(
    count: usize,
    in_a_folder: usize,
    file: impl Fn(usize, usize) -> (PathBuf, String),
) -> Result<()> {
    for number in 0..count {
        let (path, text) = file(number / in_a_folder, number);
        if number % in_a_folder == 0
            && let Some(folder) = path.parent()
        {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

fn hyperfine(
    project: &Project,
    dir: &Path,
    workspace: &Path,
    name: &str,
    runs: u32,
    commands: &[(String, String)],
) -> Result<Vec<Timing>> {
    let export: PathBuf = dir.join(format!("{name}.json"));
    let mut command: Command = project.command("hyperfine");
    let turns = TURNS.min(runs);
    command.args(["-N", "--warmup", "1", "--style", "basic", "--runs"]);
    command.arg((runs / turns).max(2).to_string()).arg("--export-json").arg(&export);
    for _ in 0..turns {
        command.args(commands.iter().map(|(_, line)| line));
    }
    command.current_dir(workspace);
    // The history on the same disk as everything else, so that durable means what it does in use.
    command.env("XDG_CONFIG_HOME", dir.join("config")).env("XDG_STATE_HOME", dir.join("state"));
    command.env("CODEX_HOME", dir.join("codex")).env_remove("CARGO_TARGET_DIR");
    let out = command.output().context("could not start hyperfine")?;
    if !out.status.success() {
        bail!(
            "hyperfine failed:\n{}\n{}",
            String::from_utf8_lossy(&out.stdout).trim(),
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    let results: Results = serde_json::from_str(&fs::read_to_string(&export)?)?;
    Ok(results.results)
}

/// Prints a table, and gives each command's ratio to `base`.
fn report(
    title: &str,
    commands: &[(String, String)],
    times: &[Timing],
    base: &str,
) -> BTreeMap<String, f64> {
    let median = |line: &str| {
        let mut all: Vec<f64> = of_line(times, line).flat_map(|own| own.times.clone()).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let on_processor = |line: &str| {
        let sum: f64 = of_line(times, line).map(|own| own.user + own.system).sum();
        sum / of_line(times, line).count() as f64
    };
    let of = |name: &str| {
        commands.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, line)| median(line))
    };
    println!("\n{title}\n(medians of one run, and what it took of a processor in the mean)\n");
    for (name, line) in commands {
        let time = median(line);
        let (time, ratio, cpu) = (time * 1000.0, time / of(base), on_processor(line) * 1000.0);
        println!("  {name:28} {time:9.1} ms {ratio:7.2} × {cpu:9.1} ms");
    }
    commands.iter().map(|(name, line)| (name.clone(), median(line) / of(base))).collect()
}

fn of_line<'t>(times: &'t [Timing], line: &'t str) -> impl Iterator<Item = &'t Timing> {
    times.iter().filter(move |timing| timing.command == line)
}
