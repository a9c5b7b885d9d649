//! The `chaperone` command: arguments in, words or JSON out. What the words mean lives below.
//!
//! Exit status everywhere: 0 done, 1 the answer is no (a failed check, an altered history),
//! 2 the command line was wrong; `run` has its own, in its help.

mod agents;
mod approvals;
mod doctor;
mod export;
mod history;
mod import;
mod policy;
mod print;
mod run;
mod status;
mod why;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Runs coding agents inside the operating system's own sandbox, under policy.
#[derive(Debug, Parser)]
#[command(name = "chaperone", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

const EXAMPLES: &str = "\
Examples:
  chaperone run -- claude              an agent in the current folder
  chaperone why -- git push            what would be decided, and what would change that
  chaperone approvals                  answer requests in this terminal
  chaperone history list               what happened";

#[derive(Debug, Subcommand)]
enum Subcommands {
    Run(run::Arguments),
    #[command(subcommand)]
    Policy(policy::Subcommands),
    Why(why::Arguments),
    Status(status::Arguments),
    #[command(subcommand)]
    History(history::Subcommands),
    Approvals(approvals::Arguments),
    Agents(agents::Arguments),
    Doctor(doctor::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "run") {
        // Starts in a fraction of the time that it takes to say what all the others take.
        return run::run(&run::Arguments::alone(words));
    }
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Subcommands::Run(arguments) => return run::run(&arguments),
        Subcommands::Policy(command) => print::until_closed(|| policy::run(&command)),
        Subcommands::Why(arguments) => print::until_closed(|| why::run(&arguments)),
        Subcommands::Status(arguments) => print::until_closed(|| status::run(&arguments)),
        Subcommands::History(command) => print::until_closed(|| history::run(&command)),
        Subcommands::Approvals(arguments) => print::until_closed(|| approvals::run(&arguments)),
        Subcommands::Agents(arguments) => print::until_closed(|| agents::run(&arguments)),
        Subcommands::Doctor(arguments) => print::until_closed(|| doctor::run(&arguments)),
        Subcommands::Export(arguments) => print::until_closed(|| export::run(&arguments)),
        Subcommands::Import(arguments) => print::until_closed(|| import::run(&arguments)),
    };
    done.unwrap_or_else(|error| {
        print::error(&error);
        ExitCode::FAILURE
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn run_alone_takes_and_says_what_run_beside_the_other_commands_does() {
        let mut all = Arguments::command();
        all.build();
        let beside = all.find_subcommand_mut("run").unwrap().render_long_help().to_string();
        assert_eq!(run::Arguments::command().render_long_help().to_string(), beside);
        let words =
            ["--agent", "any", "--policy", "a.toml", "--unattended", "--", "sh", "-c", "true"];
        let alone = run::Arguments::alone(words.map(Into::into).into_iter());
        let whole = Arguments::parse_from(["chaperone", "run"].into_iter().chain(words));
        let Subcommands::Run(beside) = whole.command else { panic!("it is another command") };
        assert_eq!(format!("{alone:?}"), format!("{beside:?}"));
    }
}
