//! What the tests of this crate share: a session, and requests in it.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.
#![allow(dead_code)] // Each test file uses its own part.

use chaperone_approvals::{
    AnswerMsg, AnswerVerdict, AskingCommand, Enforced, Fact, FactAnswer, Facts, NewHost,
    NewRequest, Scope, SessionInfo,
};
use chaperone_policy::{Action, Command, Decision, Origin, Process, SourceKind, Verdict};
use jiff::Timestamp;

pub(crate) fn session(id: &str) -> SessionInfo {
    SessionInfo {
        id: id.into(),
        agent: "Claude Code".into(),
        workspace: "/home/ada/api".into(),
        branch: Some("main".into()),
        pid: 4711,
        started: at(0),
        user: "ada".into(),
        tier: Some("full".into()),
        revision: None,
        began: None,
    }
}

/// Seconds after nine o'clock.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let nine: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    Timestamp::from_second(nine.as_second() + seconds).unwrap()
}

/// A command that is asked about; the first three words are what a session's approval covers.
pub(crate) fn asked(words: &[&str]) -> NewRequest {
    let command = Command {
        executable: format!("/usr/bin/{}", words[0]).into(),
        exec_name: format!("/usr/bin/{}", words[0]).into(),
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        cwd: "/home/ada/api".into(),
        ..Command::default()
    };
    NewRequest {
        action: Action::Run(command),
        sentence: format!("Run {}.", words[0]),
        chain: vec!["claude".into(), "bash".into(), words[0].into()],
        programs: Vec::new(),
        facts: Facts {
            undoable: Fact::new(FactAnswer::No, "What others have fetched stays with them."),
            leaves_laptop: Fact::new(FactAnswer::Yes, "Commits go to the remote."),
            new_compared: Fact::new(FactAnswer::Unknown, "Nothing comparable was allowed before."),
        },
        reported: None,
        decision: Decision {
            verdict: Verdict::Ask,
            rule: Some(format!("commands.rule {}", words[0])),
            origin: Origin {
                kind: SourceKind::ManagedFile,
                locator: "/etc/chaperone/policy.d/10-acme.toml:12".into(),
            },
            reason: "Publishes work.".into(),
        },
        enforced: Enforced::Kernel,
        widest: Scope::Workspace,
        session_scope: Some(words.iter().take(3).map(|word| (*word).to_owned()).collect()),
        host: None,
        command: None,
    }
}

/// A connection of a command to a host, on port 443.
pub(crate) fn connects(command: Option<i32>, host: &str) -> NewRequest {
    let name = format!("{host}:443");
    NewRequest {
        action: Action::Connect { host: host.into(), port: 443 },
        sentence: format!("It connects to {host} on port 443."),
        decision: Decision {
            verdict: Verdict::Ask,
            rule: Some("network.unfamiliar".into()),
            origin: Origin::built_in(),
            reason: format!("{host} is not among the hosts that are allowed."),
        },
        session_scope: Some(vec![format!("tcp://{name}")]),
        host: Some(NewHost {
            name,
            known: "Nobody has allowed it here before.".into(),
            chosen: true,
        }),
        command: command.map(|pid| AskingCommand {
            process: Process { pid, started: 100 },
            line: "npm install".into(),
        }),
        ..asked(&["npm"])
    }
}

pub(crate) fn push() -> NewRequest {
    asked(&["git", "push", "origin", "main"])
}

pub(crate) fn answer(request: &str, verdict: AnswerVerdict, scope: Scope, by: &str) -> AnswerMsg {
    AnswerMsg {
        request: request.into(),
        verdict,
        scope,
        hosts: Vec::new(),
        denied: Vec::new(),
        further: false,
        note: None,
        by: by.into(),
    }
}

pub(crate) fn allow(request: &str, by: &str) -> AnswerMsg {
    answer(request, AnswerVerdict::Allow, Scope::Once, by)
}

pub(crate) fn deny(request: &str, by: &str) -> AnswerMsg {
    answer(request, AnswerVerdict::Deny, Scope::Once, by)
}
