//! `chaperone secret`: credentials in the keychain. A value goes in, and is never shown again.

use crate::print::{self, CAUTION, QUIET, STRONG, visible};
use anyhow::bail;
use chaperone_session::Paths;
use chaperone_session::credentials::{LONGEST, Name, Secret};
use chaperone_session::desk::{
    CredentialBinding, CredentialRow, Desk, LostBinding, Unlisted, Unused,
};
use jiff::Timestamp;
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

/// List the credentials: when each was set and last used, where each may go, and which are missing
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
        Subcommands::List(List { json }) => list(*json)?,
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

fn list(json: bool) -> anyhow::Result<()> {
    let all = Desk::of_this_user()?.credentials()?;
    if json {
        return print::json(&all.rows.iter().map(shown).collect::<Vec<_>>());
    }
    let mut out = print::out();
    if let Some(Unused { reason, origin }) = &all.unused {
        writeln!(out, "{CAUTION}{reason}{CAUTION:#} {QUIET}{origin}{QUIET:#}")?;
    }
    if all.rows.is_empty() {
        writeln!(out, "No credentials. `chaperone secret set NAME` keeps one.")?;
    }
    for row in &all.rows {
        let CredentialRow { name, kept, set, used, bindings } = row;
        if *kept {
            let set = set.map_or("at a time that is not known".to_owned(), print::day);
            let used = used.as_ref().map_or("never used".to_owned(), |used| {
                let by = used.session.as_ref().map(|session| format!(" by session {session}"));
                format!("last used {}{}", print::day(used.time), by.unwrap_or_default())
            });
            writeln!(out, "{STRONG}{name}{STRONG:#}  {QUIET}set {set}, {used}{QUIET:#}")?;
        } else {
            let remedy = format!("chaperone secret set {name}");
            writeln!(out, "{STRONG}{name}{STRONG:#}  {CAUTION}missing{CAUTION:#}: {remedy}")?;
        }
        if bindings.is_empty() {
            writeln!(out, "    {QUIET}goes nowhere: no policy binds it{QUIET:#}")?;
        }
        for own in bindings {
            let places = own.places.join(", ");
            let mut narrowed = [own.methods.join(" "), own.paths.join(" ")].join(" ");
            if let Some(when) = &own.when {
                narrowed.push_str(&format!(" when {when}"));
            }
            let line = format!("{}  {places}  {}", own.host, narrowed.trim());
            writeln!(out, "    {}  {QUIET}{}{QUIET:#}", visible(line.trim_end()), own.origin)?;
            if let Some(Unlisted { what, remedy }) = &own.unlisted {
                writeln!(out, "        {CAUTION}{}{CAUTION:#}", visible(what))?;
                writeln!(out, "        {QUIET}to do:{QUIET:#} {}", visible(remedy))?;
            }
        }
    }
    for own in &all.lost {
        let LostBinding { name, host, origin, reason } = own;
        writeln!(
            out,
            "{CAUTION}not held{CAUTION:#}: {} to {}  {QUIET}{origin}: {}{QUIET:#}",
            visible(name),
            visible(host),
            visible(reason)
        )?;
    }
    Ok(())
}

fn shown(row: &CredentialRow) -> serde_json::Value {
    let CredentialRow { name, kept, set, used, bindings } = row;
    let binding = |own: &CredentialBinding| {
        let CredentialBinding {
            host,
            places,
            env,
            methods,
            paths,
            when,
            origin,
            unlisted,
            managed: _,
        } = own;
        serde_json::json!({
            "host": host, "places": places, "env": env, "methods": methods, "paths": paths,
            "when": when, "origin": origin, "unlisted": unlisted,
        })
    };
    serde_json::json!({
        "name": name, "kept": kept, "set": set, "used": used.as_ref().map(|used| used.time),
        "session": used.as_ref().and_then(|used| used.session.as_ref()),
        "bindings": bindings.iter().map(binding).collect::<Vec<_>>(),
    })
}
