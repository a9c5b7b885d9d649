//! Examines a machine: what the sandbox can be here, and whether everything a session needs is
//! there. Each check is one line with a remedy.

use crate::agents;
use crate::credentials::no_keychain;
use crate::credentials_of;
use crate::desk::credentials::{bindings, login};
use crate::load::{Question, load};
use crate::paths::{Paths, private_dir};
use crate::self_test::{self, LastSelfTest};
use crate::supervisor::check_signing;
use crate::unlisted::{Sessions, Unlisted};
use chaperone_policy::{Context, Injection, LayerStatus, MinimumTier, Mode, Os, Policy, Sourced};
use chaperone_sandbox::{Machine, Status, Tier, Unreported, probe, refused_network, unreported};
use jiff::Timestamp;
use serde::Serialize;
use std::io;
use std::path::Path;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, and something is lost.
    Warn,
    /// No session starts, or not as the policy wants it.
    Fail,
}

/// One line of `chaperone doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A stable identifier in kebab case.
    pub id: String,
    /// How it ended.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do; empty where there is nothing.
    pub fix: String,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// How strong the sandbox is here.
    pub tier: Tier,
    /// In the order in which they build on each other.
    pub checks: Vec<Check>,
}

/// Examines this machine for one user, really setting a sandbox up once.
pub fn examine(paths: &Paths, question: &Question) -> Examination {
    let machine = probe();
    let mut checks = machine_checks(&machine);
    checks.extend(policy_checks(paths, question, machine.tier()));
    checks.push(folder("history", &paths.history(), "what cannot be recorded does not happen"));
    checks.push(folder("requests", &paths.runtime, "nobody could be asked"));
    let found = agents::find_installed(&crate::load::environment(), &paths.home);
    checks.push(agents_check(&found));
    let workspace = question.workspace.clone().unwrap_or_else(|| ".".into());
    checks.extend(own_sandboxes(&found, &workspace));
    checks.push(refusals_check(unreported()));
    checks.push(self_test_check(self_test::last(paths)));
    Examination { tier: machine.tier(), checks }
}

fn machine_checks(machine: &Machine) -> Vec<Check> {
    let lost = if machine.tier() == Tier::None { CheckStatus::Fail } else { CheckStatus::Warn };
    let groups = machine.groups().map(|group| (group, CheckStatus::Warn));
    let mut checks: Vec<Check> = machine
        .capabilities()
        .into_iter()
        .map(|capability| (capability, lost))
        .chain(groups)
        .map(|(capability, lost)| {
            let usable = capability.status.usable();
            let what = match capability.status {
                Status::Works | Status::Assumed => String::new(),
                Status::Untried => "not tried, for what it builds on does not work: ".to_owned(),
                Status::Fails { errno } => {
                    let said = io::Error::from_raw_os_error(errno).to_string();
                    let (words, _) = said.split_once(" (os error").unwrap_or((&said, ""));
                    format!("does not work here ({words}): ")
                }
            };
            Check {
                id: capability.id.to_owned(),
                status: if usable { CheckStatus::Ok } else { lost },
                detail: format!("{what}{}", capability.detail),
                fix: capability.fix,
            }
        })
        .collect();
    checks.extend(machine.losses().into_iter().map(|loss| Check {
        id: format!("lost-{}", loss.id),
        status: CheckStatus::Warn,
        detail: loss.detail,
        fix: loss.fix,
    }));
    checks
}

fn policy_checks(paths: &Paths, question: &Question, tier: Tier) -> Vec<Check> {
    let loaded = match load(question, paths) {
        Ok(loaded) => loaded,
        Err(error) => {
            return vec![Check {
                id: "policy".into(),
                status: CheckStatus::Fail,
                detail: error.to_string(),
                fix: "Name a folder and files that exist.".into(),
            }];
        }
    };
    let policy = &loaded.policy;
    let mut checks: Vec<Check> = policy
        .layers()
        .iter()
        .filter(|layer| !matches!(layer.status, LayerStatus::Present | LayerStatus::Absent))
        .map(|layer| Check {
            id: "policy-layer".into(),
            status: CheckStatus::Warn,
            detail: format!("{} {}: {}", layer.kind, layer.locator, layer.detail),
            fix: "See `chaperone policy show`; correct the file or its owner and mode.".into(),
        })
        .chain(policy.layers().iter().flat_map(|layer| layer.findings()).map(|finding| Check {
            id: "policy-value".into(),
            status: CheckStatus::Warn,
            detail: finding.to_string(),
            fix: "Correct the value where it stands.".into(),
        }))
        .collect();
    checks.extend(policy.blocked().iter().map(|blocked| Check {
        id: "policy".into(),
        status: CheckStatus::Fail,
        detail: format!("No agent starts: {}", blocked.reason),
        fix: "Correct the file; `chaperone policy check FILE` tells its errors.".into(),
    }));
    if checks.is_empty() {
        let detail = match policy.revision() {
            Some(revision) => format!("Every layer is whole; revision {revision}."),
            None => "Every layer is whole.".to_owned(),
        };
        checks.push(Check {
            id: "policy".into(),
            status: CheckStatus::Ok,
            detail,
            fix: String::new(),
        });
    }
    checks.extend(demands(policy, tier));
    let context = &loaded.ground.context;
    checks.extend(check_signing(policy, context, &crate::load::environment()));
    checks.extend(credentials_check(policy, context.os, paths));
    checks.extend(unlisted_checks(policy, context, paths));
    checks
}

/// Whether what a policy binds is kept, and there is a keychain to ask for it. Nothing is asked of the
/// keychain itself, which might start it or ask somebody to unlock it.
fn credentials_check(policy: &Policy, os: Os, paths: &Paths) -> Option<Check> {
    let login = login(policy);
    let mut bound = bindings(policy, os).peekable();
    if login.is_none() {
        bound.peek()?;
    }
    // What cannot be read is told by `chaperone secret list`.
    let kept = credentials_of(paths).list().unwrap_or_default();
    let is_kept = |name: &str| kept.iter().any(|entry| entry.name.as_str() == name);
    let mut missing: Vec<(&str, String)> = Vec::new();
    if let Some((proxy, Sourced { value: name, origin })) =
        login.filter(|own| !is_kept(&own.1.value))
    {
        missing.push((name, format!("{name} (the login at {proxy}, {origin})")));
    }
    for own in bound {
        let name = own.value.secret.as_str();
        if !is_kept(name) && missing.iter().all(|(other, _)| *other != name) {
            missing.push((name, format!("{name} ({}, {})", own.value.host, own.origin)));
        }
    }
    Some(credentials_told(&missing, no_keychain().map(|error| error.to_string())))
}

fn credentials_told(missing: &[(&str, String)], no_keychain: Option<String>) -> Check {
    let check = |status, detail: String, fix: String| Check {
        id: "credentials".into(),
        status,
        detail,
        fix,
    };
    if let Some(error) = no_keychain {
        let (what, remedy) = error.split_once('\n').unwrap_or((&error, ""));
        let detail = format!("A policy binds credentials, and what needs one is refused: {what}.");
        return check(CheckStatus::Warn, detail, remedy.trim().to_owned());
    }
    let Some((first, _)) = missing.first() else {
        let detail = "Every credential that a policy binds was set.".to_owned();
        return check(CheckStatus::Ok, detail, String::new());
    };
    let all: Vec<&str> = missing.iter().map(|(_, told)| told.as_str()).collect();
    let detail = format!(
        "Nobody has set what a policy binds, and what needs it is refused: {}.",
        all.join("; ")
    );
    let fix = match missing.len() {
        1 => format!("Run `chaperone secret set {first}`."),
        _ => format!("Run `chaperone secret set {first}`, and so for each."),
    };
    check(CheckStatus::Warn, detail, fix)
}

/// What is bound to hosts that no list lets requests through to, each with what to do.
fn unlisted_checks(policy: &Policy, context: &Context, paths: &Paths) -> Vec<Check> {
    if !policy.blocked().is_empty() {
        return Vec::new();
    }
    let sessions = Sessions::new(policy, context, paths, Timestamp::now());
    let unlisted = |own: &Sourced<Injection>| {
        let Unlisted { what, remedy } = sessions.unlisted(own)?;
        let Injection { secret, .. } = &own.value;
        Some(Check {
            id: "credentials".into(),
            status: CheckStatus::Warn,
            detail: format!("{secret} ({}): {what}", own.origin),
            fix: remedy,
        })
    };
    bindings(policy, context.os).filter_map(unlisted).collect()
}

/// What the policy demands of this machine and this version.
fn demands(policy: &Policy, tier: Tier) -> Vec<Check> {
    let mut checks = Vec::new();
    let minimum = policy.minimum_tier_sourced();
    if minimum.value == MinimumTier::Full && tier < Tier::Full {
        checks.push(Check {
            id: "minimum-tier".into(),
            status: CheckStatus::Fail,
            detail: format!("The policy demands the full tier ({}).", minimum.origin),
            fix: "Do what the warnings above say, or lower sandbox.minimum_tier.".into(),
        });
    }
    checks.extend(refused_network(policy).map(|refusal| Check {
        id: "network-mode".into(),
        status: CheckStatus::Fail,
        detail: format!("No agent starts: {refusal}."),
        fix: "Use \"proxy\", or \"direct\" without lists.".into(),
    }));
    if let Some(until) = policy.observed_until()
        && policy.mode(Timestamp::now()) == Mode::Observe
    {
        checks.push(Check {
            id: "mode".into(),
            status: CheckStatus::Warn,
            detail: format!(
                "Until {} commands and connections that would be asked about or denied are \
                 recorded and pass ({}).",
                until.value, until.origin
            ),
            fix: "Read `chaperone history report observed`, then deploy mode = \"enforce\".".into(),
        });
    }
    checks
}

/// Whether a folder can be made and written.
fn folder(id: &str, path: &Path, otherwise: &str) -> Check {
    let probe = path.join(".examined");
    let written = private_dir(path)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Check {
            id: id.into(),
            status: CheckStatus::Ok,
            detail: format!("{} can be written.", path.display()),
            fix: String::new(),
        },
        Err(error) => Check {
            id: id.into(),
            status: CheckStatus::Fail,
            detail: format!("{} cannot be written ({error}): {otherwise}.", path.display()),
            fix: "Give the folder to this user, with mode 0700.".into(),
        },
    }
}

/// Whether the kernel tells what it refuses of files. Nothing is lost where it does not but what
/// `learn` and the history could say.
fn refusals_check(unreported: Option<Unreported>) -> Check {
    let detail = match unreported {
        None => "`chaperone learn` hears of every file that the kernel refuses.".to_owned(),
        Some(why) => {
            format!("`chaperone learn` does not hear of files that are refused to be read: {why}.")
        }
    };
    Check { id: "file-refusals".into(), status: CheckStatus::Ok, detail, fix: String::new() }
}

/// What the last self-test found, and whether it still says something of this machine.
fn self_test_check(last: Option<LastSelfTest>) -> Check {
    let again = "Run `chaperone self-test`.";
    let (status, detail, fix) = match last {
        None => (
            CheckStatus::Ok,
            "None was run yet; `chaperone self-test` tries to get out of a session here."
                .to_owned(),
            "",
        ),
        Some(LastSelfTest { result: "altered", file, outdated, .. }) => (
            CheckStatus::Warn,
            format!("{} proves nothing: {}.", file.display(), outdated.unwrap_or_default()),
            again,
        ),
        Some(LastSelfTest { time, tried, out, outdated, .. }) => {
            let when = time.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
            let found = match out {
                0 => format!("On {when} nothing got out of {tried} attempts but what is known to"),
                out => format!("On {when} {out} of {tried} attempts got out"),
            };
            match (out, outdated) {
                (0, None) => (CheckStatus::Ok, format!("{found}."), ""),
                (_, Some(why)) => (CheckStatus::Warn, format!("{found}; since then {why}."), again),
                (_, None) => (
                    CheckStatus::Warn,
                    format!("{found}."),
                    "`chaperone self-test` says which, and what to do.",
                ),
            }
        }
    };
    Check { id: "self-test".into(), status, detail, fix: fix.into() }
}

/// Agents that would not start here, because a setting insists on their own sandbox.
fn own_sandboxes(found: &[agents::Found], workspace: &Path) -> Vec<Check> {
    let insists = |found: &agents::Found| {
        let command = [found.path.clone().into_os_string()];
        let insists = agents::command(found.agent, &command, workspace).err()?;
        Some(Check {
            id: format!("own-sandbox-{}", found.name),
            status: CheckStatus::Warn,
            detail: format!("{} does not start: {insists}.", found.title),
            fix: "Remove the setting, or say `chaperone run` in another folder.".into(),
        })
    };
    found.iter().filter_map(insists).collect()
}

fn agents_check(found: &[agents::Found]) -> Check {
    let names: Vec<&str> = found.iter().map(|agent| agent.title.as_str()).collect();
    if names.is_empty() {
        Check {
            id: "agents".into(),
            status: CheckStatus::Ok,
            detail: "No known agent was found; any command can be run all the same.".into(),
            fix: String::new(),
        }
    } else {
        Check {
            id: "agents".into(),
            status: CheckStatus::Ok,
            detail: format!("Found {}.", names.join(", ")),
            fix: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{Layer, SourceKind, built_in, merge};

    #[test]
    fn what_a_policy_wants_and_no_session_can_have_fails_before_one_starts() {
        let demanded = |toml: &str| -> Vec<(String, CheckStatus)> {
            let layer = Layer::from_toml(SourceKind::ManagedFile, "10.toml", toml);
            let context = Context {
                home: "/home/ada".into(),
                workspace: "/home/ada/work".into(),
                agent: None,
                os: Os::Linux,
            };
            let checks = demands(&merge(vec![built_in(), layer], &context), Tier::Reduced);
            checks.into_iter().map(|check| (check.id, check.status)).collect()
        };
        let fail = |id: &str| vec![(id.to_owned(), CheckStatus::Fail)];
        assert_eq!(demanded("[sandbox]\nminimum_tier = \"reduced\"\n"), []);
        assert_eq!(demanded("[sandbox]\nminimum_tier = \"full\"\n"), fail("minimum-tier"));
        assert_eq!(demanded("[network]\nmode = \"direct\"\n"), []);
        let unenforced = "[network]\nmode = \"direct\"\ndeny = [\"paste.example\"]\n";
        assert_eq!(demanded(unenforced), fail("network-mode"));
        assert_eq!(demanded("[network]\nmode = \"proxy\"\ndeny = [\"paste.example\"]\n"), []);
        let observe = |until: &str| format!("mode = \"observe\"\nuntil = \"{until}\"\n");
        let warned = vec![("mode".to_owned(), CheckStatus::Warn)];
        assert_eq!(demanded(&observe("2999-12-31")), warned);
        assert_eq!(demanded(&observe("2020-12-31")), []);
    }

    #[test]
    fn what_a_policy_binds_and_nobody_has_set_is_told_with_who_binds_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().as_os_str().to_owned();
        let paths = Paths::from_environment(|_| Some(home.clone())).unwrap();
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let policy = |toml: &str| {
            let layer = Layer::from_toml(SourceKind::ManagedFile, "10.toml", toml);
            merge(vec![built_in(), layer], &context)
        };
        assert_eq!(credentials_check(&policy(""), Os::Linux, &paths), None);
        let entry = |name: &str, rest: &str| {
            format!(
                "[[credentials.inject]]\nsecret = {name:?}\nhost = \"{name}.example\"\n\
                 header = \"x\"\n{rest}"
            )
        };
        let elsewhere = entry("mac", "when = { os = \"macos\" }\n");
        assert_eq!(credentials_check(&policy(&elsewhere), Os::Linux, &paths), None);
        assert!(credentials_check(&policy(&entry("acme", "")), Os::Linux, &paths).is_some());

        let unlisted = |toml: &str| unlisted_checks(&policy(toml), &context, &paths);
        let proxy = |allow: &str| {
            format!("[network]\nmode = \"proxy\"\nallow = [{allow}]\n{}", entry("acme", ""))
        };
        assert_eq!(unlisted(&proxy("\"acme.example\"")), []);
        let told = unlisted(&proxy(""));
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((told.id.as_str(), told.status), ("credentials", CheckStatus::Warn));
        assert_eq!(
            told.detail,
            "acme (managed-file 10.toml:4): Requests to acme.example are asked about: it is not in \
             network.allow."
        );
        assert!(told.fix.ends_with("network.allow = [\"acme.example\"]."), "{}", told.fix);

        let proxy = "[network]\nupstream = \"https://proxy.example:443\"\n";
        let told = |text: &str| credentials_check(&policy(text), Os::Linux, &paths);
        assert_eq!(told(proxy), None);
        assert_eq!(told("[network]\nupstream_login = \"acme-proxy\"\n"), None);
        let detail = told(&format!("{proxy}upstream_login = \"acme-proxy\"\n")).unwrap().detail;
        let login = "acme-proxy (the login at https://proxy.example:443, managed-file 10.toml:3)";
        assert!(no_keychain().is_some() || detail.contains(login), "{detail}");

        let missing = [("acme", "acme (acme.example, managed-file 10.toml:1)".to_owned())];
        let told = credentials_told(&missing, None);
        assert_eq!(told.status, CheckStatus::Warn);
        assert!(told.detail.ends_with("acme (acme.example, managed-file 10.toml:1)."), "{told:?}");
        assert_eq!(told.fix, "Run `chaperone secret set acme`.");
        assert_eq!(credentials_told(&[], None).status, CheckStatus::Ok);
        let told = credentials_told(&[], Some("no bus\n  Start one.".into()));
        assert_eq!((told.status, told.fix.as_str()), (CheckStatus::Warn, "Start one."));
    }

    #[test]
    fn a_self_test_is_told_and_one_of_another_kernel_is_warned_about() {
        let test = |out, outdated: Option<&str>| LastSelfTest {
            time: Some("2026-11-22T10:00:00Z".parse().unwrap()),
            kernel: "6.1".into(),
            chaperone: "0.1.0".into(),
            result: if out > 0 { "out" } else { "held" },
            tried: 300,
            out,
            file: "/r.json".into(),
            outdated: outdated.map(str::to_owned),
        };
        let told = |last| {
            let Check { status, detail, .. } = self_test_check(last);
            (status, detail)
        };
        assert_eq!(told(None).0, CheckStatus::Ok, "none yet is no fault of the machine");
        assert_eq!(told(Some(test(0, None))).0, CheckStatus::Ok);
        let (status, detail) = told(Some(test(0, Some("the kernel was 6.1 and is 6.2"))));
        assert_eq!(status, CheckStatus::Warn);
        assert!(detail.ends_with("since then the kernel was 6.1 and is 6.2."), "{detail}");
        let (status, detail) = told(Some(test(2, None)));
        assert_eq!(
            (status, detail.as_str()),
            (CheckStatus::Warn, "On 2026-11-22 2 of 300 attempts got out.")
        );
        let altered = LastSelfTest { result: "altered", ..test(0, Some("it was altered")) };
        assert_eq!(told(Some(altered)).0, CheckStatus::Warn);
    }

    #[test]
    fn a_setting_that_keeps_an_agent_from_starting_is_told_before_it_does() {
        let workspace = tempfile::tempdir().unwrap();
        let agent = agents::all().find(|agent| agent.name == "claude-code").unwrap();
        let (name, title) = (agent.name.clone(), agent.title.clone());
        let found = [agents::Found { agent, name, title, path: "/usr/bin/claude".into() }];
        let settings = workspace.path().join(".claude/settings.json");
        std::fs::create_dir(settings.parent().unwrap()).unwrap();
        std::fs::write(&settings, r#"{"sandbox":{"enabled":false}}"#).unwrap();
        assert_eq!(own_sandboxes(&found, workspace.path()), []);
        std::fs::write(&settings, r#"{"sandbox":{"enabled":true}}"#).unwrap();
        let checks = own_sandboxes(&found, workspace.path());
        let [Check { id, status: CheckStatus::Warn, detail, .. }] = checks.as_slice() else {
            panic!("{checks:?}")
        };
        assert_eq!(id, "own-sandbox-claude-code");
        assert!(detail.contains(&settings.display().to_string()), "{detail}");
    }
}
