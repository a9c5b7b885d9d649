//! `chaperone status`: whether agents on this machine are held, in one word and one object.

mod policy;

use crate::print::{self, BAD, CAUTION, GOOD, QUIET, STRONG, visible};
use chaperone_session::desk::{Desk, Failure, Home, ProtectionLevel};
use chaperone_session::users::{self, Person};
use jiff::Timestamp;
use policy::{Deployed, deployed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

/// Tell whether agents on this machine are governed, for people and for fleets
///
/// As root it tells of everybody who has a home on this machine, and `governed` is the least that
/// holds for one of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 governed, 1 partly, 2 not.")]
pub(crate) struct Arguments {
    /// {"version","governed","sentence","tier","mode","observe_until","policy","agents",
    /// "exceptions","last_checkpoint"}, and as root "users": [{"user","governed","sentence","mode",
    /// "observe_until","policy","agents","exceptions"}]
    #[arg(long)]
    json: bool,
    /// Of this user alone, also as root
    #[arg(long)]
    mine: bool,
}

#[derive(Serialize)]
struct Status {
    version: String,
    governed: ProtectionLevel,
    sentence: String,
    tier: Value,
    #[serde(flatten)]
    deployed: Deployed,
    agents: Value,
    /// What could not be taken as written.
    exceptions: Value,
    /// None are made yet.
    last_checkpoint: Option<String>,
    /// Root's answer for everybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<User>>,
}

/// What holds for one user.
#[derive(Debug, Serialize)]
struct User {
    user: String,
    #[serde(flatten)]
    own: Own,
}

/// What that user's own `chaperone status --json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Own {
    governed: ProtectionLevel,
    sentence: String,
    #[serde(flatten)]
    deployed: Deployed,
    agents: Value,
    exceptions: Value,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let users: Option<Vec<User>> = (users::is_root() && !arguments.mine)
        .then(|| users::others().into_iter().map(of_another).collect());
    // Where root is the only one here, root is who could have written the policy.
    let for_others = users.as_ref().is_some_and(|users| !users.is_empty());
    let desk = Desk::of_this_user()?;
    let home = if for_others { desk.home_for_others() } else { desk.home() }.map_err(words)?;
    let policy = desk.policy_for(for_others).map_err(words)?.policy;
    let deployed = deployed(&policy, Timestamp::now());
    let worst = users
        .iter()
        .flatten()
        .map(|User { user, own }| (own.governed, format!("{user}: {}", own.sentence)))
        .max_by_key(|(level, _)| exit_status(*level))
        .filter(|(level, _)| exit_status(*level) > exit_status(home.protection.level));
    let level = worst.as_ref().map_or(home.protection.level, |(level, _)| *level);
    if arguments.json {
        print::json(&status(home, deployed, worst, users)?)?
    } else {
        show(&home, &deployed)?;
        show_others(users.as_deref().unwrap_or_default())?;
    }
    Ok(ExitCode::from(exit_status(level)))
}

fn words(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{} {}", failure.message, failure.remedy.unwrap_or_default())
}

fn exit_status(level: ProtectionLevel) -> u8 {
    match level {
        ProtectionLevel::Protected => 0,
        ProtectionLevel::Partly => 1,
        ProtectionLevel::Not => 2,
    }
}

/// Asks in a process of that user, so that only what is theirs is looked at, and as they see it.
fn of_another(person: Person) -> User {
    let own = ask_as(&person).unwrap_or_else(|why| Own {
        governed: ProtectionLevel::Not,
        sentence: format!("Nothing is known: {why}."),
        deployed: Deployed::default(),
        agents: Value::Array(Vec::new()),
        exceptions: Value::Array(Vec::new()),
    });
    User { user: person.name, own }
}

fn ask_as(person: &Person) -> Result<Own, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("this program cannot be found: {error}"))?;
    let mut command = Command::new(program);
    command.args(["status", "--json", "--mine"]).stdin(Stdio::null()).current_dir("/");
    command.env_clear().env("HOME", &person.home).env("USER", &person.name);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    let runtime = format!("/run/user/{}", person.uid);
    if std::path::Path::new(&runtime).is_dir() {
        command.env("XDG_RUNTIME_DIR", runtime);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Other groups than the first are dropped with it: setgroups(2) comes before.
        command.gid(person.gid).uid(person.uid);
    }
    let output = command
        .output()
        .map_err(|error| format!("it cannot be asked as {}: {error}", person.name))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().last().unwrap_or("it said nothing").trim_end_matches('.').to_owned()
    })
}

fn status(
    home: Home,
    deployed: Deployed,
    worst: Option<(ProtectionLevel, String)>,
    users: Option<Vec<User>>,
) -> anyhow::Result<Status> {
    let own = (home.protection.level, home.protection.sentence);
    let (governed, sentence) = worst.unwrap_or(own);
    Ok(Status {
        version: home.version,
        governed,
        sentence,
        tier: serde_json::to_value(home.machine.tier)?,
        deployed,
        agents: serde_json::to_value(home.agents)?,
        exceptions: serde_json::to_value(home.findings)?,
        last_checkpoint: None,
        users,
    })
}

fn style(level: ProtectionLevel) -> anstyle::Style {
    match level {
        ProtectionLevel::Protected => GOOD,
        ProtectionLevel::Partly => CAUTION,
        ProtectionLevel::Not => BAD,
    }
}

fn show_others(users: &[User]) -> anyhow::Result<()> {
    let mut out = print::out();
    for User { user, own: Own { governed, sentence, agents, .. } } in users {
        let style = style(*governed);
        writeln!(out, "{STRONG}{}{STRONG:#}  {style}{sentence}{style:#}", visible(user))?;
        for agent in agents.as_array().into_iter().flatten() {
            let text = |key: &str| agent.get(key).and_then(Value::as_str).unwrap_or_default();
            writeln!(out, "  {}  {}", visible(text("title")), visible(text("detail")))?;
        }
    }
    Ok(())
}

fn show(home: &Home, deployed: &Deployed) -> anyhow::Result<()> {
    let mut out = print::out();
    let style = style(home.protection.level);
    writeln!(out, "{style}{STRONG}{}{STRONG:#}{style:#}", home.protection.sentence)?;
    if let Some(remedy) = &home.protection.remedy {
        writeln!(out, "  {}", remedy.text)?;
        if let Some(command) = &remedy.command {
            writeln!(out, "  {command}")?;
        }
    }
    deployed.show(&mut out)?;
    for loss in &home.machine.losses {
        writeln!(out, "{CAUTION}lost{CAUTION:#}  {}", loss.detail)?;
        writeln!(out, "      {QUIET}to do:{QUIET:#} {}", loss.fix)?;
    }
    for agent in &home.agents {
        let version = agent.version.as_deref().unwrap_or("version not known");
        writeln!(out, "{STRONG}{}{STRONG:#}  {version}", agent.title)?;
        writeln!(out, "  {}", agent.detail)?;
        writeln!(out, "  {QUIET}{}{QUIET:#}", agent.command_to_start)?;
    }
    let running = home.sessions.len();
    writeln!(out, "{running} session{} running.", if running == 1 { "" } else { "s" })?;
    Ok(())
}
