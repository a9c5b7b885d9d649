//! `cargo xtask test`: the list of checks and what each of them runs.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cross::{self, Target};
use crate::packages::{self, Package};
use crate::progress::Log;
use crate::project::{Project, is_root};
use crate::runner::{self, Lane, Outcome, Step, select};
use crate::{fuzz, groups, tools, user, wine};

const NEXTEST: &str = "^0.9.143";
const TAURI_DRIVER: &str = "^2";

/// What needs a screen, a real agent or another machine has a step of its own, run one test at a
/// time.
const WINDOW_TESTS: &str = "package(chaperone-tests) & binary(window)";
const AGENT_TESTS: &str = "package(chaperone-tests) & binary(agents)";
const OTHER_TESTS: &str = "not (package(chaperone-tests) & \
                           (binary(window) | binary(agents) | binary(mdm) | binary(groups)))";
/// What is deployed to fleets has one for the tools that it takes.
const MDM_TESTS: &str = "package(chaperone-tests) & binary(mdm)";

/// Every step. Within a lane, the first whose needs are met runs next.
fn steps() -> Vec<Step> {
    let step = |name, lane, needs, about, run| Step { name, about, lane, needs, run };
    use Lane::{Rust, Side};
    vec![
        step("fmt", Rust, &[], "Rust is formatted", fmt),
        step("clippy", Rust, &["ui-build"], "Rust lints, warnings denied", clippy),
        step("build", Rust, &["ui-build"], "every crate, program and test builds", build),
        step(
            "tests",
            Rust,
            &["build", "nextest", "sshd"],
            "Rust tests, as whoever runs this",
            tests,
        ),
        step(
            "tests-user",
            Rust,
            &["build", "nextest", "sshd"],
            "the same as an ordinary user",
            tests_user,
        ),
        step(
            "agents",
            Rust,
            &["build", "nextest", "npm-agents"],
            "real agents, a scripted model, and a browser",
            agents,
        ),
        step(
            "window",
            Rust,
            &["build", "nextest", "tauri-driver"],
            "the real window, clicked",
            window,
        ),
        step(
            "mdm",
            Rust,
            &["build", "nextest"],
            "what fleets run: Jamf, Intune, Ansible, osquery",
            mdm,
        ),
        step(
            "groups",
            Rust,
            &["build", "nextest"],
            "limits by control groups, and Yama, on an older kernel in a virtual machine",
            groups::test,
        ),
        step("windows", Rust, &[], "every crate but src-tauri type-checks for Windows", windows),
        step("wine", Rust, &[], "the Windows registry, and what cmd starts, under Wine", wine),
        step("macos", Rust, &[], "every crate but src-tauri type-checks for macOS", macos),
        step(
            "fuzz",
            Rust,
            &["cargo-fuzz"],
            "readers of policies, shells and connections, some seconds of inputs nobody thought of",
            fuzz::step,
        ),
        step("ui-npm", Side, &[], "(set-up) the window's npm packages", ui_npm),
        step("ui-build", Side, &["ui-npm"], "the window's pages build", tools::ui_build),
        step("nextest", Side, &[], "(set-up) the Rust test runner", nextest),
        step("ui-check", Side, &["ui-npm"], "types of the window's pages", ui_check),
        step("ui-lint", Side, &["ui-npm"], "lints and format of the window's pages", ui_lint),
        step("ui-unit", Side, &["ui-npm"], "unit tests of the window's pages", ui_unit),
        step(
            "ui-pages",
            Side,
            &["ui-npm"],
            "every page and state in both themes: no error, accessible",
            ui_pages,
        ),
        step("tauri-driver", Side, &[], "(set-up) drives the window under test", tauri_driver),
        step("cargo-fuzz", Side, &[], "(set-up) runs the fuzz targets", fuzz::tool),
        step("npm-agents", Side, &[], "(set-up) the real agents from npm", npm_agents),
        step("sshd", Side, &[], "(set-up) a server of SSH, which is not installed", tools::sshd),
    ]
}

/// `cargo xtask test --list`.
pub(crate) fn list() -> Result<ExitCode> {
    for step in steps() {
        println!("{:13} {}", step.name, step.about);
    }
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask test`.
pub(crate) fn test(project: &Project, install: bool, only: &[String]) -> Result<ExitCode> {
    let steps = select(steps(), only)?;
    tools::check_node()?;
    if install {
        packages::install(&needed(&steps))?;
    }
    runner::run(project, &steps)
}

/// Runs preparations; whether all succeeded.
pub(crate) fn prepare(project: &Project, names: &[&str]) -> Result<bool> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    runner::prepare(project, &select(steps(), &names)?)
}

/// `cargo xtask screenshots DIR`.
pub(crate) fn screenshots(project: &Project, install: bool, dir: &Path) -> Result<ExitCode> {
    tools::check_node()?;
    if install {
        packages::install(packages::browser_package())?;
    }
    let dir = std::env::current_dir()?.join(dir);
    std::fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    if !prepare(project, &["ui-build"])? {
        return Ok(ExitCode::FAILURE);
    }
    let status = pictures(project, &dir)?.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The system packages of exactly these steps.
fn needed(steps: &[Step]) -> Vec<Package> {
    let mut packages = Vec::new();
    for step in steps {
        packages.extend_from_slice(match step.name {
            "clippy" | "build" => packages::WINDOW,
            "tests" => packages::TESTS,
            "window" => packages::WINDOW_TEST,
            "mdm" => packages::MDM_TEST,
            "groups" => packages::GROUPS_TEST,
            "windows" | "macos" => packages::CROSS,
            "wine" => packages::WINE,
            "agents" | "ui-pages" => packages::browser_package(),
            _ => &[],
        });
    }
    packages
}

fn fmt(project: &Project, log: &Log) -> Result<Outcome> {
    log.run(project.command("cargo").args(["fmt", "--all", "--check"]))?;
    for package in fuzz::PACKAGES {
        let manifest = format!("{package}/fuzz/Cargo.toml");
        log.run(project.command("cargo").args(["fmt", "--check", "--manifest-path", &manifest]))?;
    }
    Ok(passed("formatted"))
}

fn clippy(project: &Project, log: &Log) -> Result<Outcome> {
    let mut cargo = project.command("cargo");
    cargo.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ]);
    log.run(&mut cargo)?;
    Ok(passed("no warnings"))
}

/// One build for everything after it, so that features are resolved, and crates built, only once.
fn build(project: &Project, log: &Log) -> Result<Outcome> {
    log.run(project.command("cargo").args(["build", "--workspace", "--all-targets", "--locked"]))?;
    Ok(passed("every crate, program and test"))
}

fn tests(project: &Project, log: &Log) -> Result<Outcome> {
    if is_root() {
        // Root answers for others, too, so there has to be one.
        user::make(project, log)?;
    }
    log.run(nextest_run(project).args(["-E", OTHER_TESTS]))?;
    summary(log, if is_root() { " as root" } else { " as an ordinary user" })
}

fn tests_user(project: &Project, log: &Log) -> Result<Outcome> {
    if !is_root() {
        let why = "this is an ordinary user already, so `tests` was it; as root both are run";
        return Ok(Outcome::NotRun(why.to_owned()));
    }
    user::nextest(project, log, OTHER_TESTS)?;
    summary(log, " as the user chaperone-test")
}

fn agents(project: &Project, log: &Log) -> Result<Outcome> {
    let modules = tools::agents(project, log)?;
    let mut run = nextest_run(project);
    run.args(["--profile", "heavy", "-E", AGENT_TESTS]).env("CHAPERONE_TEST_AGENTS", modules);
    if let Some(browser) = packages::browser() {
        run.env("CHROMIUM", browser);
    }
    log.run(&mut run)?;
    summary(log, "")
}

/// Each of these tests brings a screen in memory, a message bus and a home of its own, so that
/// nothing of the person's is touched.
fn window(project: &Project, log: &Log) -> Result<Outcome> {
    let mut run = nextest_run(project);
    run.args(["--profile", "heavy", "-E", WINDOW_TESTS]);
    run.env("CHAPERONE_SCREENSHOTS", project.target.join("screenshots"));
    let driver = tools::cargo_tool_path("tauri-driver").context("tauri-driver is not installed")?;
    if let Some(folder) = driver.parent() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([folder.to_path_buf()]);
        run.env("PATH", std::env::join_paths(folders)?);
    }
    log.run(&mut run)?;
    summary(log, "; pictures are in target/screenshots")
}

/// As whoever runs this, and where that is root also as the ordinary user.
fn mdm(project: &Project, log: &Log) -> Result<Outcome> {
    log.run(nextest_run(project).args(["-E", MDM_TESTS]))?;
    if is_root() {
        user::nextest(project, log, MDM_TESTS)?;
    }
    summary(log, if is_root() { " as root and as the user chaperone-test" } else { "" })
}

fn windows(project: &Project, log: &Log) -> Result<Outcome> {
    cross::check(project, log, Target::Windows)
}

fn wine(project: &Project, log: &Log) -> Result<Outcome> {
    wine::test(project, log)
}

fn macos(project: &Project, log: &Log) -> Result<Outcome> {
    cross::check(project, log, Target::Macos)
}

fn nextest(project: &Project, log: &Log) -> Result<Outcome> {
    tools::cargo_tool(project, log, "cargo-nextest", NEXTEST)
}

fn tauri_driver(project: &Project, log: &Log) -> Result<Outcome> {
    tools::cargo_tool(project, log, "tauri-driver", TAURI_DRIVER)
}

fn npm_agents(project: &Project, log: &Log) -> Result<Outcome> {
    let modules = tools::agents(project, log)?;
    Ok(Outcome::Ready(format!("in {}", modules.display())))
}

fn ui_npm(project: &Project, log: &Log) -> Result<Outcome> {
    tools::npm_ci(project, log, &project.root.join("ui"))
}

fn ui_check(project: &Project, log: &Log) -> Result<Outcome> {
    log.run(project.npm("ui").args(["run", "check"]))?;
    Ok(passed("types hold"))
}

fn ui_lint(project: &Project, log: &Log) -> Result<Outcome> {
    log.run(project.npm("ui").args(["run", "lint"]))?;
    Ok(passed("no warnings"))
}

fn ui_unit(project: &Project, log: &Log) -> Result<Outcome> {
    log.run(project.npm("ui").args(["test"]).env("CI", "true"))?;
    let text = log.text()?;
    let line = text.lines().rev().map(str::trim).find(|line| line.starts_with("Tests "));
    Ok(Outcome::Passed(line.context("vitest printed no count of tests")?.to_owned()))
}

fn ui_pages(project: &Project, log: &Log) -> Result<Outcome> {
    if packages::browser().is_none() {
        return Ok(Outcome::NotRun("there is no Chromium or Chrome on this machine".to_owned()));
    }
    let dir = project.target.join("screenshots/pages");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    log.run(&mut pictures(project, &dir)?)?;
    let count = std::fs::read_dir(&dir)?.count();
    Ok(Outcome::Passed(format!("{count} pictures in target/screenshots/pages")))
}

/// The script that shows every page and state in a plain browser, over recorded data.
fn pictures(project: &Project, dir: &Path) -> Result<Command> {
    let browser = packages::browser().context(
        "there is no Chromium or Chrome on this machine; install one from your system's packages",
    )?;
    let mut npm = project.npm("ui");
    npm.args(["run", "screenshots", "--"]).arg(dir).env("CHROMIUM", browser);
    Ok(npm)
}

fn nextest_run(project: &Project) -> Command {
    let mut command = project.command("cargo");
    command.args(["nextest", "run", "--workspace", "--locked", "--no-tests=fail"]);
    command
}

fn passed(detail: &str) -> Outcome {
    Outcome::Passed(detail.to_owned())
}

/// nextest's own count, from its closing line.
fn summary(log: &Log, suffix: &str) -> Result<Outcome> {
    let text = log.text()?;
    let line = text.lines().rev().find(|line| line.trim_start().starts_with("Summary"));
    let (_, counts) = line
        .and_then(|line| line.split_once("] "))
        .context("nextest ended without saying how many tests ran")?;
    Ok(Outcome::Passed(format!("{}{suffix}", counts.trim())))
}
