//! `chaperone secret`: credentials in the keychain. A value goes in, and is never shown again.

use crate::print::{self, QUIET, STRONG};
use anyhow::bail;
use chaperone_session::Paths;
use chaperone_session::credentials::{Credentials, Entry, LONGEST, Name, Secret};
use jiff::{Timestamp, tz::TimeZone};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

/// Keep credentials in the system's keychain, for sessions that may use them and never see them
///
/// The keychain is the Secret Service of a Linux desktop, the login keychain of macOS, or Credential
/// Manager of Windows. Chaperone keeps no credential anywhere else.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommands {
    Set(Set),
    List(List),
    Remove(Remove),
}

/// Keep a credential, in place of the one of this name before
///
/// The value is read from standard input, or asked for on a terminal without being shown. It is
/// never an argument: other users of the machine see those, and shells remember them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  chaperone secret set anthropic                        asks for it
  pass show anthropic | chaperone secret set anthropic  takes it from another program")]
pub(crate) struct Set {
    /// Lower-case letters, digits, `-`, `_` and `.`
    name: String,
    /// What somebody gives as an argument is refused, and not repeated as clap would
    #[arg(hide = true)]
    value: Vec<std::ffi::OsString>,
}

/// List the credentials: when each was set and last used
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Take a credential out of the keychain
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// What it is called
    name: String,
}

pub(crate) fn run(command: &Subcommands) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_user()?;
    let credentials = chaperone_session::credentials_of(&paths);
    match command {
        Subcommands::Set(Set { name, value }) => {
            let name = Name::parse(name)?;
            if !value.is_empty() {
                bail!(
                    "a value is never an argument: this machine's other users and your shell's \
                     history have seen it now, so replace that key, and give the new one on \
                     standard input or at the prompt of `chaperone secret set {name}`"
                );
            }
            let secret = read(&name)?;
            credentials.set(&name, &secret, Timestamp::now())?;
            writeln!(print::out(), "{STRONG}{name}{STRONG:#} is in the keychain.")?;
        }
        Subcommands::List(List { json }) => list(&credentials, *json)?,
        Subcommands::Remove(Remove { name }) => {
            let name = Name::parse(name)?;
            credentials.remove(&name)?;
            writeln!(print::out(), "{STRONG}{name}{STRONG:#} is out of the keychain.")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(name: &Name) -> anyhow::Result<Secret> {
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("Value of {name} (not shown): "))?;
        return Ok(Secret::take(typed.into_bytes())?);
    }
    // More than a value can be is not read, and the buffer does not move: nothing of it stays
    // behind.
    let most = LONGEST + 3;
    let mut bytes = Vec::with_capacity(most + 1);
    io::stdin().lock().take(most as u64).read_to_end(&mut bytes)?;
    Ok(Secret::take(bytes)?)
}

fn list(credentials: &Credentials, json: bool) -> anyhow::Result<()> {
    let all = credentials.list()?;
    if json {
        let shown = |Entry { name, set, used }: &Entry| serde_json::json!({"name": name.as_str(), "set": set, "used": used});
        return print::json(&all.iter().map(shown).collect::<Vec<_>>());
    }
    let mut out = print::out();
    if all.is_empty() {
        writeln!(out, "No credentials. `chaperone secret set NAME` keeps one.")?;
    }
    for Entry { name, set, used } in all {
        let set = set.map_or("at a time that is not known".to_owned(), day);
        let used = used.map_or("never used".to_owned(), |used| format!("last used {}", day(used)));
        writeln!(out, "{STRONG}{name}{STRONG:#}  {QUIET}set {set}, {used}{QUIET:#}")?;
    }
    Ok(())
}

fn day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}
