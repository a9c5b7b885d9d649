//! What would be decided about an action, without doing it, and what would change that.

use crate::grants::Grants;
use crate::known::Known;
use crate::load::{Loaded, environment};
use crate::needs::beside;
use crate::paths::{Paths, private_dir};
use chaperone_policy::{
    Access, Action, Class, Command, Decision, Facts, HttpRequest, Origin, Policy, SourceKind,
    Verdict, bounds, changes_meaning, decide, decide_file, observed,
};
use chaperone_sandbox::{AgentAccess, Plan, PlanInput, Reach, RealDisk, assume, listed, plan};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a session in this workspace would decide. Policy's own rules come first; what they do not
/// mention of files is what the sandbox grants by default.
pub fn would(loaded: &Loaded, paths: &Paths, action: &Action) -> Decision {
    let now = Timestamp::now();
    let approvals = Grants::new(paths).of(&loaded.workspace, now);
    let facts = Facts { approvals, ..Facts::at(now) };
    let (path, access) = match action {
        Action::Run(_) | Action::Connect { .. } | Action::Http(_) => {
            let mut decision = decide(&loaded.policy, &facts, action);
            let known = Known::new(&paths.history(), None);
            (decision, _) = known.decide(&loaded.policy, facts, action, None, decision);
            if decision.verdict != Verdict::Deny {
                decision.reason.push_str(&bounds(&loaded.policy, action));
                decision.reason.push_str(&beside(action));
            }
            if observed(&loaded.policy, now, action, &decision).is_some() {
                decision.reason.push_str(" For now it is only observed, and passes.");
            }
            return decision;
        }
        Action::Read { path } => (path, Access::Read),
        Action::Write { path } => (path, Access::Write),
    };
    if !loaded.policy.blocked().is_empty() {
        return decide(&loaded.policy, &facts, action);
    }
    denied(&loaded.policy, access, path).unwrap_or_else(|| by_plan(loaded, paths, access, path))
}

/// What a session with this policy and this plan does with a file.
#[cfg(target_os = "linux")]
pub(crate) fn in_session(policy: &Policy, plan: &Plan, access: Access, path: &Path) -> Decision {
    denied(policy, access, path).unwrap_or_else(|| by_reach(policy, plan, access, path))
}

fn denied(policy: &Policy, access: Access, path: &Path) -> Option<Decision> {
    decide_file(policy, access, path).filter(|decision| decision.verdict == Verdict::Deny)
}

fn by_plan(loaded: &Loaded, paths: &Paths, access: Access, path: &Path) -> Decision {
    let (temp, cache) = (paths.temp(), paths.agent_cache("any"));
    // The plan asks for folders that exist; a question may come before the first session.
    let _ = private_dir(&temp);
    let _ = private_dir(&cache);
    let planned = plan(PlanInput {
        outside: None,
        policy: &loaded.policy,
        machine: &assume(),
        session: "question",
        home: &paths.home,
        workspace: &loaded.workspace,
        temp: &temp,
        cache: &cache,
        control: &paths.own_and_shared(),
        agent: &AgentAccess::default(),
        environment: &environment(),
        disk: &RealDisk,
    });
    match planned {
        Ok(planned) => by_reach(&loaded.policy, &planned, access, path),
        Err(refusal) => {
            built_in(Verdict::Deny, "no session", format!("No session starts: {refusal}."))
        }
    }
}

/// The rule of what is protected, and lifted by the name that follows.
const LISTED: &str = "protected path ";
/// The rule about other programs' sockets.
const SOCKET: &str = "sockets outside the session";
/// The rule of what no policy lifts.
const UNLIFTED: &str = "protected, not lifted";

#[cfg(unix)]
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(not(unix))]
fn is_socket(_: &Path) -> bool {
    false
}

fn built_in(verdict: Verdict, rule: &str, reason: String) -> Decision {
    let rule = Some(rule.to_owned());
    Decision { verdict, rule, origin: Origin::built_in(), reason }
}

fn by_reach(policy: &Policy, planned: &Plan, access: Access, path: &Path) -> Decision {
    let shown = path.display();
    match (planned.reach(path), access) {
        (Reach::Nothing | Reach::Read, _) if is_socket(path) => {
            let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            match planned.sockets.contains(&real) {
                true => built_in(
                    Verdict::Allow,
                    "filesystem.sockets",
                    format!("{shown} is a socket that a session may connect to."),
                ),
                false => built_in(
                    Verdict::Deny,
                    SOCKET,
                    format!("{shown} is a socket of another program, a way around the sandbox."),
                ),
            }
        }
        (Reach::Write, _) => match decide_file(policy, access, path) {
            Some(named) => named,
            None => built_in(
                Verdict::Allow,
                "sandbox default",
                format!("{shown} lies in what a session may write."),
            ),
        },
        (Reach::Read, Access::Read) => match decide_file(policy, access, path) {
            Some(named) => named,
            None => built_in(
                Verdict::Allow,
                "sandbox default",
                format!("{shown} lies in what a session may read."),
            ),
        },
        (Reach::Protected, Access::Read) => built_in(
            Verdict::Allow,
            "protected path",
            format!("{shown} may be read, and not written."),
        ),
        (Reach::Protected, Access::Write) => built_in(
            Verdict::Deny,
            &match listed(&planned.workspace, path) {
                Some(listed) => format!("{LISTED}{}", listed.display()),
                None => UNLIFTED.to_owned(),
            },
            format!("{shown} runs later outside the sandbox, or governs it."),
        ),
        (Reach::Read, Access::Write) => built_in(
            Verdict::Deny,
            "sandbox default",
            format!("{shown} may be read, and not written."),
        ),
        (Reach::Nothing, _) => built_in(
            Verdict::Deny,
            "sandbox default",
            format!("{shown} lies outside of what a session may reach."),
        ),
    }
}

/// What would change a decision, in plain words; empty where nothing stands in the way.
pub fn change(action: &Action, decision: &Decision) -> String {
    if decision.verdict == Verdict::Allow {
        return String::new();
    }
    if decision.origin.kind.class() == Class::Managed {
        return format!(
            "This is set by whoever manages this machine ({}); nothing below that loosens it.",
            decision.origin
        );
    }
    if decision.origin.kind.class() == Class::Workspace {
        return format!(
            "Remove the restriction from the workspace's own file ({}).",
            decision.origin
        );
    }
    if decision.origin.kind.class() == Class::UserPolicy {
        return format!("Remove the restriction from your own policy ({}).", decision.origin);
    }
    let config = "your configuration (~/.config/chaperone/config.toml)";
    match action {
        Action::Run(command) => {
            let prefix = chaperone_policy::subject(command);
            let prefix: Vec<String> = prefix.iter().take(2).map(|w| format!("{w:?}")).collect();
            format!(
                "A rule in {config}: [[commands.rule]] prefix = [{}], decision = \"allow\".",
                prefix.join(", ")
            )
        }
        Action::Read { .. } | Action::Write { .. } if is_to_be_removed(decision) => {
            format!("Remove the entry at {}.", decision.origin)
        }
        Action::Read { .. } | Action::Write { .. }
            if decision.rule.as_deref() == Some(UNLIFTED) =>
        {
            "No policy lifts this. Do it yourself, outside of a session.".to_owned()
        }
        Action::Read { path } | Action::Write { path }
            if decision.rule.as_deref() == Some(SOCKET) =>
        {
            format!(
                "filesystem.sockets = [{path:?}] in {config}, from the next session on. What listens \
                 there then does for the agent what it does for you."
            )
        }
        Action::Read { path } => {
            format!("filesystem.read = [{path:?}] in {config}, from the next session on.")
        }
        Action::Write { path } => {
            // What is beneath a listed path is lifted with it, by its name.
            let rule = decision.rule.as_deref();
            let path = rule.and_then(|rule| rule.strip_prefix(LISTED)).map_or(&**path, Path::new);
            format!("filesystem.write = [{path:?}] in {config}, from the next session on.")
        }
        Action::Http(HttpRequest { host, method, path, .. }) if is_of_request(decision) => {
            format!(
                "A rule in {config}: [[network.rule]] host = {host:?}, methods = [{method:?}], \
                 paths = [{path:?}], decision = \"allow\"."
            )
        }
        Action::Connect { host, port } | Action::Http(HttpRequest { host, port, .. }) => {
            let pair = format!("{host}:{port}");
            // Relays are there from the start; the proxy follows its policy.
            let relayed = decision.rule.as_deref() == Some("network.mode");
            let when = if relayed { ", from the next session on" } else { "" };
            format!("network.allow = [{pair:?}] in {config}{when}.")
        }
    }
}

/// Whether a decision is about the request, and not about the connection that it needs.
fn is_of_request(decision: &Decision) -> bool {
    let of_request = |rule: &str| rule.starts_with("network.r");
    decision.rule.as_deref().is_some_and(of_request)
}

/// Whether a denial of a file is lifted by taking it away; the built-in and recommended ones give
/// way to a grant that names the file.
fn is_to_be_removed(decision: &Decision) -> bool {
    let is_own = || {
        use SourceKind::{CommandLine, UserFile, UserPreference};
        matches!(decision.origin.kind, UserFile | UserPreference | CommandLine)
    };
    decision.rule.as_deref().is_some_and(|rule| {
        rule.starts_with("filesystem.deny_write ")
            || rule.starts_with("filesystem.deny ") && is_own()
    })
}

/// The command that the kernel would see if these words were run here: the program is looked up in
/// `PATH`, and a script becomes its interpreter's argument (execve(2), "Interpreter scripts").
pub fn command(words: &[String], cwd: &Path, environment: &BTreeMap<String, String>) -> Command {
    let name = words.first().cloned().unwrap_or_default();
    let search = environment.get("PATH").cloned().unwrap_or_default();
    let found = look_up(&name, &search, cwd);
    let mut command = Command {
        executable: found.clone().unwrap_or_else(|| PathBuf::from(&name)),
        exec_name: found.clone().unwrap_or_else(|| PathBuf::from(&name)),
        argv: words.to_vec(),
        environment: environment
            .iter()
            .filter(|(name, _)| changes_meaning(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        cwd: cwd.to_owned(),
    };
    if let Some(script) = found
        && let Some(mut interpreter) = interpreter(&script)
    {
        if Path::new(&interpreter[0]).file_name().is_some_and(|name| name == "env")
            && interpreter.len() > 1
        {
            interpreter.remove(0);
        }
        command.executable = look_up(&interpreter[0], &search, cwd)
            .unwrap_or_else(|| PathBuf::from(&interpreter[0]));
        command.argv = interpreter
            .into_iter()
            .chain([script.to_string_lossy().into_owned()])
            .chain(words.iter().skip(1).cloned())
            .collect();
    }
    if let Ok(real) = command.executable.canonicalize() {
        command.executable = real;
    }
    command
}

fn look_up(name: &str, search: &str, cwd: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        let path = cwd.join(name);
        return path.is_file().then_some(path);
    }
    std::env::split_paths(search).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The words after `#!`, if the file begins with it: the interpreter and at most one argument.
fn interpreter(script: &Path) -> Option<Vec<String>> {
    let mut start = [0u8; 256];
    let count = File::open(script).ok()?.read(&mut start).ok()?;
    let line = start[..count].strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).trim().to_owned();
    let (program, argument) = match line.split_once([' ', '\t']) {
        Some((program, argument)) => (program.to_owned(), Some(argument.trim().to_owned())),
        None => (line, None),
    };
    if program.is_empty() {
        None
    } else {
        Some([Some(program), argument].into_iter().flatten().collect())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_script_is_seen_as_its_interpreter_with_the_script_as_argument() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("deploy");
        std::fs::write(&script, "#!/usr/bin/env sh\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let environment =
            BTreeMap::from([("PATH".to_owned(), format!("{}:/bin", dir.path().display()))]);
        let command = command(&["deploy".into(), "now".into()], dir.path(), &environment);
        let script = script.display().to_string();
        assert_eq!(command.argv, ["sh".to_owned(), script.clone(), "now".to_owned()]);
        assert_eq!(command.exec_name, Path::new(&script));
        assert!(command.executable.is_absolute());
    }
}
