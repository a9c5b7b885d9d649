//! `cargo xtask run`: builds everything, opens the window and starts a session in this terminal.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::progress::Log;
use crate::project::Project;
use crate::runner::{self, Lane, Outcome, Step};
use crate::tools;

/// The agent that needs no key and no account.
const DEMO: &str = "profiles/demo";

pub(crate) fn run(
    project: &Project,
    install: bool,
    workspace: Option<PathBuf>,
    command: &[String],
) -> Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        bail!(
            "sessions run on Linux only so far; `cargo xtask test --only windows,macos` checks the rest"
        );
    }
    let display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if display {
        tools::check_node()?;
    } else {
        println!("There is no display here, so no window is built or opened.");
        println!("Requests are asked in this terminal.\n");
    }
    if install {
        packages::install(if display { packages::WINDOW } else { packages::COMPILER })?;
    }
    if !runner::prepare(project, &if display { with_window() } else { without_window() })? {
        return Ok(ExitCode::FAILURE);
    }
    println!();
    if display {
        open_window(project)?;
    }

    let demo = command.is_empty();
    let workspace = match (workspace, demo) {
        (Some(dir), _) => fs::canonicalize(&dir)
            .with_context(|| format!("the workspace {} cannot be used", dir.display()))?,
        (None, true) => demo_workspace(project)?,
        (None, false) => std::env::current_dir()?,
    };
    let mut session = project.command(project.binary("debug", "chaperone"));
    session.current_dir(&workspace).arg("run").arg("--workspace").arg(&workspace).arg("--");
    session.env_remove("CARGO_TARGET_DIR");
    if demo {
        session.arg("sh").arg(workspace.join("agent.sh"));
        // An agent that does not read the terminal leaves it to Chaperone's own question.
        session.stdin(Stdio::null());
        println!("The demo agent works in {}.", workspace.display());
        if display {
            println!("Answer it in the window, or here.");
        }
    } else {
        session.args(command);
        if !display {
            println!(
                "While the agent reads this terminal, answer in another with: {}",
                answer_hint(project)
            );
        }
    }
    println!();
    let_ctrl_c_pass();
    let status = session.status().context("could not start chaperone")?;
    println!();
    match status.code() {
        Some(0) => println!("The session has ended."),
        Some(code) => println!("The session has ended with exit status {code}."),
        None => println!("The session has ended: {status}."),
    }
    let chaperone = project.binary("debug", "chaperone");
    println!("What happened is in the history:  {} history list", chaperone.display());
    if display {
        println!("The window stays open until you close it.");
    }
    if demo {
        println!("With an agent of your own:        cargo xtask run -- claude");
    }
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

fn answer_hint(project: &Project) -> String {
    format!("{} approvals", project.binary("debug", "chaperone").display())
}

fn without_window() -> Vec<Step> {
    let run = |project: &Project, log: &Log| build(project, log, &["chaperone-cli"]);
    vec![Step { name: "chaperone", about: "", lane: Lane::Rust, needs: &[], run }]
}

fn with_window() -> Vec<Step> {
    let step = |name, lane, needs, run| Step { name, about: "", lane, needs, run };
    let npm = |project: &Project, log: &Log| tools::npm_ci(project, log, &project.root.join("ui"));
    let both =
        |project: &Project, log: &Log| build(project, log, &["chaperone-cli", "chaperone-desktop"]);
    vec![
        step("npm", Lane::Side, &[], npm),
        step("pages", Lane::Side, &["npm"], tools::ui_build),
        step("chaperone", Lane::Rust, &["pages"], both),
    ]
}

fn build(project: &Project, log: &Log, crates: &[&str]) -> Result<Outcome> {
    let mut cargo = project.command("cargo");
    cargo.args(["build", "--locked"]).args(crates.iter().flat_map(|name| ["-p", name]));
    log.run(&mut cargo)?;
    Ok(Outcome::Ready("built".to_owned()))
}

/// Starts the window so that neither the end of the session nor Ctrl-C in this terminal closes it.
fn open_window(project: &Project) -> Result<()> {
    let log = project.scratch()?.join("window-output.log");
    let file = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
    let mut window = project.command(project.binary("debug", "chaperone-desktop"));
    window.env_remove("CARGO_TARGET_DIR");
    window.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    own_group(&mut window);
    window.spawn().context("could not open the window")?;
    println!("The window is open. What it prints is in {}.", log.display());
    Ok(())
}

/// Ctrl-C is the session's to handle; xtask outlives it to say how the session ended.
#[cfg(unix)]
fn let_ctrl_c_pass() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    extern "C" fn nothing(_: nix::libc::c_int) {}
    // SAFETY: the handler does nothing, which any context allows. A handler, unlike ignoring, is
    // not inherited by the session.
    if let Err(error) = unsafe { signal(Signal::SIGINT, SigHandler::Handler(nothing)) } {
        eprintln!("Ctrl-C will end xtask together with the session ({error}).");
    }
}

#[cfg(not(unix))]
fn let_ctrl_c_pass() {}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

/// A fresh repository with a remote of its own, for the demo agent to work in.
fn demo_workspace(project: &Project) -> Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let dir = std::env::temp_dir().join(format!("chaperone-demo-{seconds}-{}", std::process::id()));
    fs::create_dir(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    let demo = project.root.join(DEMO);
    fs::copy(demo.join("agent.sh"), dir.join("agent.sh"))
        .context("could not copy the demo agent")?;
    let script: OsString = demo.join("prepare.sh").into();
    let out = project.command("sh").arg(script).arg(&dir).output()?;
    if !out.status.success() {
        bail!(
            "could not prepare the demo's repository:\n{}",
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    fs::canonicalize(Path::new(&dir)).context("the demo's folder is gone")
}
