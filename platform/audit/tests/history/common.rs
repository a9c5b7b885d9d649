//! Events as supervisors record them, for the tests of this crate.

use chaperone_audit::{NewEvent, Redactor, Segment, Start, Store};
use chaperone_policy::{Command, Decision, Origin, SourceKind, Verdict};
use std::path::Path;

pub(crate) fn start() -> NewEvent {
    NewEvent::session_start(Start {
        agent: "demo".into(),
        agent_version: Some("1.2".into()),
        workspace: "/work/shop".into(),
        branch: Some("main".into()),
        command: vec!["demo".into(), "--fast".into()],
        tier: "full".into(),
        revision: Some("2026-11-22.1".into()),
        ..Start::default()
    })
}

pub(crate) fn decision(verdict: Verdict) -> Decision {
    Decision {
        verdict,
        rule: Some("commands.rule git push".into()),
        origin: Origin {
            kind: SourceKind::ManagedFile,
            locator: "/etc/chaperone/policy.d/10.toml:4".into(),
        },
        reason: "Publishes work.".into(),
    }
}

pub(crate) fn git(line: &str) -> Command {
    Command {
        executable: "/usr/bin/git".into(),
        exec_name: "/usr/bin/git".into(),
        argv: line.split(' ').map(str::to_owned).collect(),
        environment: vec![("GIT_DIR".into(), ".git".into())],
        cwd: "/work/shop".into(),
    }
}

pub(crate) fn command(line: &str, verdict: Verdict) -> NewEvent {
    NewEvent::command(&git(line), &decision(verdict))
}

pub(crate) fn begin(folder: &Path, session: &str) -> Segment {
    Store::open(folder).unwrap().begin(session, Redactor::default(), start()).unwrap()
}

/// A whole session: start, an allowed, an asked and a denied command, end.
pub(crate) fn session(folder: &Path, session: &str) {
    let segment = begin(folder, session);
    for (line, verdict) in
        [("git status", Verdict::Allow), ("git push", Verdict::Ask), ("git gc", Verdict::Deny)]
    {
        segment.append(command(line, verdict)).unwrap();
    }
    segment.end(NewEvent::session_end(0)).unwrap();
}
