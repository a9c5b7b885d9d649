//! `chaperone status`: whether agents on this machine are held, in one word and one object.

mod policy;

use crate::print::{self, BAD, CAUTION, GOOD, QUIET, STRONG, visible};
use chaperone_policy::Finding;
use chaperone_session::Paths;
use chaperone_session::desk::{Desk, Failure, Home, ProtectionLevel, Unreachable};
use chaperone_session::self_test::{self, LastSelfTest};
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
    /// {"version","governed","sentence","tier","mode","observe_until","signing","policy","agents",
    /// "exceptions","last_checkpoint","self_test"}, and as root "users": [{"user","governed","sentence","mode",
    /// "observe_until","signing","policy","agents","exceptions","self_test"}]
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
    /// Of whoever asks.
    self_test: Value,
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
    /// Of that user.
    #[serde(default)]
    self_test: Value,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let users: Option<Vec<User>> = (users::is_root() && !arguments.mine)
        .then(|| users::others().into_iter().map(of_another).collect());
    let others = users.as_deref().unwrap_or_default();
    // Where root is the only one here, root is who could have written the policy.
    let for_others = !others.is_empty();
    let desk = Desk::of_this_user()?;
    let home = if for_others { desk.home_for_others() } else { desk.home() }.map_err(words)?;
    let policy = desk.policy_for(for_others).map_err(words)?.policy;
    let self_test = self_test::last(&Paths::of_this_user()?);
    let own = Own {
        governed: home.protection.level,
        sentence: home.protection.sentence.clone(),
        deployed: deployed(&policy, Timestamp::now()),
        agents: serde_json::to_value(&home.agents)?,
        exceptions: serde_json::to_value(exceptions(&home.findings, &home.unreachable))?,
        self_test: serde_json::to_value(&self_test)?,
    };
    let counts = !for_others || works(&home);
    let machine = machine(own, counts, others);
    let level = machine.governed;
    if arguments.json {
        print::json(&status(home, machine, users)?)?
    } else {
        show(&home, &machine, counts, self_test.as_ref())?;
        show_others(others)?;
    }
    Ok(ExitCode::from(exit_status(level)))
}

/// Whether whoever has this home works with agents: has run one under Chaperone, or keeps one.
fn works(home: &Home) -> bool {
    let kept = |path: &str| {
        std::env::home_dir().is_some_and(|folder| std::path::Path::new(path).starts_with(folder))
    };
    !home.sessions.is_empty()
        || !home.recent_workspaces.is_empty()
        || home.agents.iter().any(|agent| kept(&agent.path))
}

/// What holds for the machine: the least that holds for one of those who count. Root, who only asks,
/// does not: what lies in its own home says nothing of those who work here.
fn machine(own: Own, counts: bool, others: &[User]) -> Own {
    let Some(least) = others.iter().rev().max_by_key(|user| exit_status(user.own.governed)) else {
        return own;
    };
    if counts && exit_status(own.governed) >= exit_status(least.own.governed) {
        return own;
    }
    let sentence = match least.own.governed {
        ProtectionLevel::Protected => least.own.sentence.clone(),
        ProtectionLevel::Partly | ProtectionLevel::Not => {
            format!("{}: {}", least.user, least.own.sentence)
        }
    };
    let known = |user: &&User| user.own.deployed.mode.is_some();
    let told = std::iter::once(least).chain(others).find(known).filter(|_| !counts);
    let (deployed, exceptions) = match told {
        Some(User { own, .. }) => (own.deployed.clone(), own.exceptions.clone()),
        None => (own.deployed, own.exceptions),
    };
    Own {
        governed: least.own.governed,
        sentence,
        deployed,
        agents: own.agents,
        exceptions,
        self_test: own.self_test,
    }
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
        self_test: Value::Null,
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

fn status(home: Home, machine: Own, users: Option<Vec<User>>) -> anyhow::Result<Status> {
    let Own { governed, sentence, deployed, agents, exceptions, self_test } = machine;
    Ok(Status {
        version: home.version,
        governed,
        sentence,
        tier: serde_json::to_value(home.machine.tier)?,
        deployed,
        agents,
        exceptions,
        last_checkpoint: None,
        self_test,
        users,
    })
}

/// Something that could not be taken as written, or a session that could not be asked.
#[derive(Debug, Serialize)]
struct Exception {
    /// `FILE:LINE:COLUMN` as far as known.
    place: String,
    /// `None` where it is about the whole place.
    key: Option<String>,
    expected: String,
    found: String,
    /// What follows, as a sentence.
    effect: String,
}

fn exceptions(findings: &[Finding], unreachable: &[Unreachable]) -> Vec<Exception> {
    let findings = findings.iter().map(|finding| Exception {
        place: finding.place(),
        key: Some(finding.key.clone()).filter(|key| !key.is_empty()),
        expected: finding.expected.clone(),
        found: finding.found.clone(),
        effect: finding.status.sentence(),
    });
    let unreachable = unreachable.iter().map(|Unreachable { session, reason }| Exception {
        place: format!("session {session}"),
        key: None,
        expected: "a session that can be asked".to_owned(),
        found: reason.clone(),
        effect: "Its requests cannot be answered here.".to_owned(),
    });
    findings.chain(unreachable).collect()
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

fn show(
    home: &Home,
    machine: &Own,
    counts: bool,
    self_test: Option<&LastSelfTest>,
) -> anyhow::Result<()> {
    let mut out = print::out();
    let style = style(machine.governed);
    writeln!(out, "{style}{STRONG}{}{STRONG:#}{style:#}", visible(&machine.sentence))?;
    let remedy = home.protection.remedy.as_ref().filter(|_| counts);
    if let Some(remedy) = remedy.filter(|_| machine.sentence == home.protection.sentence) {
        writeln!(out, "  {}", remedy.text)?;
        if let Some(command) = &remedy.command {
            writeln!(out, "  {command}")?;
        }
    }
    machine.deployed.show(&mut out)?;
    for loss in &home.machine.losses {
        writeln!(out, "{CAUTION}lost{CAUTION:#}  {}", loss.detail)?;
        writeln!(out, "      {QUIET}to do:{QUIET:#} {}", loss.fix)?;
    }
    if let Some(test) = self_test {
        let when = test.time.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
        let (style, found) = match (test.result, &test.outdated) {
            ("altered", _) => (CAUTION, "its report is not what was signed".to_owned()),
            (_, Some(why)) => (CAUTION, format!("{when}, {} out; since then {why}", test.out)),
            ("out", None) => (BAD, format!("{when}, {} of {} got out", test.out, test.tried)),
            (_, None) => (GOOD, format!("{when}, none of {} got out unforeseen", test.tried)),
        };
        writeln!(out, "self-test  {style}{}{style:#}", visible(&found))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn own(governed: &str, revision: &str) -> Own {
        let policy = json!({"by": null, "revision": revision, "read_at": null, "age": null,
                            "findings": 0, "sources": []});
        serde_json::from_value(json!({
            "governed": governed, "sentence": governed, "mode": "enforce", "observe_until": null, "signing": [],
            "policy": policy, "agents": [], "exceptions": [revision],
        }))
        .unwrap()
    }

    fn user(name: &str, governed: &str) -> User {
        User { user: name.to_owned(), own: own(governed, name) }
    }

    /// The word, the sentence, and whose policy is told.
    fn told(own: Own, counts: bool, others: &[User]) -> (u8, String, Option<String>) {
        let Own { governed, sentence, deployed, .. } = machine(own, counts, others);
        (exit_status(governed), sentence, deployed.policy.and_then(|policy| policy.revision))
    }

    #[test]
    fn a_machine_is_governed_as_the_least_of_those_who_count() {
        let root = |governed| own(governed, "root");
        let told = |own, counts, others: &[User]| {
            let (status, sentence, revision) = told(own, counts, others);
            format!("{status} {sentence}, {}", revision.unwrap_or_default())
        };
        assert_eq!(told(root("partly"), true, &[]), "1 partly, root");
        let others = [user("ada", "protected"), user("bob", "partly"), user("eve", "partly")];
        assert_eq!(told(root("not"), true, &others), "2 not, root");
        assert_eq!(told(root("protected"), true, &others), "1 bob: partly, root");
        assert_eq!(told(root("not"), false, &others), "1 bob: partly, bob");
        assert_eq!(told(root("not"), false, &others[..1]), "0 protected, ada");
    }

    #[test]
    fn of_whom_nothing_is_known_no_policy_is_told() {
        let mut silent = user("ada", "not");
        silent.own.deployed = Deployed::default();
        let root = || own("protected", "root");
        let both = [silent, user("bob", "protected")];
        assert_eq!(told(root(), false, &both), (2, "ada: not".to_owned(), Some("bob".to_owned())));
        assert_eq!(
            told(root(), false, &both[..1]),
            (2, "ada: not".to_owned(), Some("root".to_owned()))
        );
    }
}
