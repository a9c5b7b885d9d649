//! The `chaperone` command: arguments in, words or JSON out. What the words mean lives below.
//!
//! Exit status everywhere: 0 done, 1 the answer is no (a failed check, an altered history),
//! 2 the command line was wrong; `run` has its own, in its help.

mod agents;
mod approvals;
mod doctor;
mod export;
#[cfg(unix)]
mod git_ssh;
mod history;
mod import;
mod learn;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod linked;
mod policy;
mod print;
mod run;
mod secret;
mod self_test;
mod status;
mod why;

use clap::{Args, FromArgMatches, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Runs coding agents inside the operating system's own sandbox, under policy.
#[derive(Debug, Parser)]
#[command(name = "chaperone", version, max_term_width = WIDTH, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

/// Columns of help, at most.
const WIDTH: usize = 100;

const EXAMPLES: &str = "\
Examples:
  chaperone run -- claude              an agent in the current folder
  chaperone why -- git push            what would be decided, and what would change that
  chaperone approvals                  answer requests in this terminal
  chaperone history list               what happened";

#[derive(Debug, Subcommand)]
enum Subcommands {
    Run(run::Arguments),
    Learn(learn::Arguments),
    #[command(subcommand)]
    Policy(policy::Subcommands),
    Why(why::Arguments),
    Status(status::Arguments),
    #[command(subcommand)]
    History(history::Subcommands),
    Approvals(approvals::Arguments),
    #[command(subcommand)]
    Secret(secret::Subcommands),
    Agents(agents::Arguments),
    Doctor(doctor::Arguments),
    SelfTest(self_test::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    // These two are started by agents and scripts, in a fraction of the time that it takes to say
    // what all the others take.
    let command = match words.next().as_deref().and_then(OsStr::to_str) {
        Some("run") => Subcommands::Run(read(run_alone(), words)),
        Some("policy") => Subcommands::Policy(read(policy_alone(), words)),
        // Not a command for people: where a session has a supervisor, this is never reached.
        Some(word) if word == chaperone_session::inside::QUESTION => {
            return ended(Err(anyhow::anyhow!("only the supervisor of a session answers this")));
        }
        // Not a command for people: `GIT_SSH_COMMAND` in a session.
        #[cfg(unix)]
        Some(word) if word == chaperone_session::inside::GIT_SSH => return git_ssh::run(words),
        // Not a command for people: `BROWSER` in a session, whose supervisor has opened the page.
        Some(word) if is_opened(word) => return ExitCode::SUCCESS,
        // Not a command for people: a self-test starts this program again.
        Some(word) if self_test::is_part(word) => return ended(self_test::run_part(words)),
        _ => Arguments::parse().command,
    };
    let done = match command {
        Subcommands::Run(arguments) => return run::run(&arguments),
        Subcommands::Learn(arguments) => return learn::run(&arguments),
        Subcommands::Policy(command) => print::until_closed(|| policy::run(&command)),
        Subcommands::Why(arguments) => print::until_closed(|| why::run(&arguments)),
        Subcommands::Status(arguments) => print::until_closed(|| status::run(&arguments)),
        Subcommands::History(command) => print::until_closed(|| history::run(&command)),
        Subcommands::Approvals(arguments) => print::until_closed(|| approvals::run(&arguments)),
        Subcommands::Secret(command) => print::until_closed(|| secret::run(&command)),
        Subcommands::Agents(arguments) => print::until_closed(|| agents::run(&arguments)),
        Subcommands::Doctor(arguments) => print::until_closed(|| doctor::run(&arguments)),
        Subcommands::SelfTest(arguments) => print::until_closed(|| self_test::run(&arguments)),
        Subcommands::Export(arguments) => print::until_closed(|| export::run(&arguments)),
        Subcommands::Import(arguments) => print::until_closed(|| import::run(&arguments)),
    };
    ended(done)
}

fn is_opened(word: &str) -> bool {
    chaperone_session::sign_in::is_address(word) && std::env::var_os("CHAPERONE_SESSION").is_some()
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        print::error(&error);
        ExitCode::FAILURE
    })
}

fn run_alone() -> clap::Command {
    run::Arguments::augment_args(alone("run", "chaperone run"))
}

fn policy_alone() -> clap::Command {
    let command = policy::Subcommands::augment_subcommands(alone("policy", "chaperone policy"));
    command.subcommand_required(true).arg_required_else_help(true)
}

/// A command that knows nothing of those beside it.
fn alone(name: &'static str, called: &'static str) -> clap::Command {
    clap::Command::new(name).bin_name(called).max_term_width(WIDTH)
}

/// Reads the words after a command's name. As everywhere, what is wrong with them ends the process.
fn read<T: FromArgMatches>(command: clap::Command, words: impl Iterator<Item = OsString>) -> T {
    let matches = command.no_binary_name(true).try_get_matches_from(words);
    let read = matches.and_then(|matches| T::from_arg_matches(&matches));
    read.unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What the command and all below it say of themselves.
    fn help(command: &mut clap::Command) -> Vec<String> {
        let mut said = vec![command.render_long_help().to_string()];
        said.extend(command.get_subcommands_mut().flat_map(help));
        said
    }

    #[test]
    fn what_is_read_alone_takes_and_says_what_it_does_beside_the_other_commands() {
        let mut all = Arguments::command();
        all.build();
        for mut alone in [run_alone(), policy_alone()] {
            alone.build();
            let beside = all.find_subcommand_mut(alone.get_name()).unwrap();
            assert_eq!(help(&mut alone), help(beside));
        }
        let run = "run --agent any --policy a.toml --unattended -- sh -c true";
        let test = "policy test --json --policy a.toml -- git push";
        for words in [run, test] {
            let words: Vec<OsString> = words.split(' ').map(Into::into).collect();
            let whole = Arguments::parse_from([OsString::from("chaperone")].iter().chain(&words));
            let after = words.iter().skip(1).cloned();
            let alone = match whole.command {
                Subcommands::Run(_) => Subcommands::Run(read(run_alone(), after)),
                _ => Subcommands::Policy(read(policy_alone(), after)),
            };
            assert_eq!(format!("{alone:?}"), format!("{:?}", whole.command));
        }
    }
}
