//! `cargo xtask`: sets up a machine, runs the app, runs every check and measures.
//! Each command installs what it needs and says so; what a command does stands in its module.
#![allow(clippy::print_stdout, reason = "a tool that talks to a person at a terminal")]

mod bench;
mod checks;
mod cross;
mod fuzz;
mod groups;
mod packages;
mod profiles;
mod progress;
mod project;
mod run;
mod runner;
mod tools;
mod user;
mod wine;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets up this machine, runs Chaperone and checks it")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Assume that the system packages are there, and install none.
    #[arg(long, global = true)]
    no_install: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, open the window and start a session: of the demo agent, or of COMMAND.
    Run {
        /// The folder that the session works in. Default: this one; for the demo, a fresh one.
        #[arg(long, value_name = "DIR")]
        workspace: Option<PathBuf>,
        /// The agent's command and its arguments, for example `-- claude`.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Run every check: format, lints, tests, the real window, real agents, other systems.
    Test {
        /// Only these steps and what they need, comma-separated; `ui` means every `ui-…` step.
        #[arg(long, value_delimiter = ',', value_name = "STEPS")]
        only: Vec<String>,
        /// Name the steps and what each one checks, and run none.
        #[arg(long)]
        list: bool,
    },
    /// Measure start-up against bubblewrap and installed peers, everyday work against the same
    /// without a sandbox, and large policies against Codex.
    Bench {
        /// How often each command is started.
        #[arg(long, default_value_t = 40)]
        runs: u32,
        /// Measure this part alone.
        #[arg(long, value_name = "PART")]
        only: Option<bench::Part>,
    },
    /// Give readers of policies, shells and connections inputs that nobody thought of, until one breaks it.
    Fuzz {
        /// This target alone, a file in the folder `fuzz/targets` of a crate.
        target: Option<String>,
        /// How long each target runs.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
    /// Write what is generated from the table of keys: schemas, templates and the key reference.
    Profiles {
        /// Write nothing, and fail where a file is stale.
        #[arg(long)]
        check: bool,
    },
    /// Save a picture of every page in both themes, from recorded data.
    Screenshots {
        /// Where the pictures go.
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let install = !arguments.no_install;
    let result = project::Project::find().and_then(|project| match arguments.command {
        Command::Run { workspace, command } => run::run(&project, install, workspace, &command),
        Command::Test { list: true, .. } => checks::list(),
        Command::Test { only, .. } => checks::test(&project, install, &only),
        Command::Bench { runs, only } => bench::bench(&project, install, runs, only),
        Command::Fuzz { target, seconds } => fuzz::fuzz(&project, target.as_deref(), seconds),
        Command::Profiles { check } => profiles::run(&project.root, check),
        Command::Screenshots { dir } => checks::screenshots(&project, install, &dir),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
