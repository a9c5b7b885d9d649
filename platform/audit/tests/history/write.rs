//! What a supervisor can rely on when it records: where it lies, who can read it, and what a
//! failure leaves behind.

use crate::common::{begin, command, git, session, start};
use chaperone_audit::{Error, EventKind, Hash, NewEvent, Redactor, Store, Tree, leaf_hash, verify};
use chaperone_policy::{Action, Verdict};
use std::fs;
use std::path::Path;

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_session_is_recorded_line_by_line_and_entered_in_the_device_log() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let segment = store.begin("s1", Redactor::default(), start()).unwrap();
    assert_eq!(segment.append(command("git status", Verdict::Allow)).unwrap(), 2);
    assert_eq!(segment.append(command("git push", Verdict::Deny)).unwrap(), 3);
    assert!(folder.path().join("open/s1").exists());
    segment.end(NewEvent::session_end(0)).unwrap();

    let records = lines(&folder.path().join("segments/s1.jsonl"));
    let kinds: Vec<_> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["session-start", "command", "command", "session-end"]);
    assert_eq!(records[2]["decision"], "deny");
    let log = lines(&folder.path().join("device.log"));
    assert_eq!(log.len(), 2);
    assert_eq!(log[1]["size"], 4);
    assert!(!folder.path().join("open/s1").exists());
    assert!(matches!(segment.append(NewEvent::new(EventKind::Stopped)), Err(Error::Ended(_))));
}

#[test]
fn the_leaves_are_the_exact_lines_and_the_device_log_holds_their_root() {
    let folder = tempfile::tempdir().unwrap();
    session(folder.path(), "s");
    let text = fs::read_to_string(folder.path().join("segments/s.jsonl")).unwrap();
    let mut tree = Tree::default();
    let mut prev = Hash::NONE;
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["prev"], prev.to_string());
        prev = leaf_hash(line.as_bytes());
        tree.push(prev);
    }
    let log = lines(&folder.path().join("device.log"));
    assert_eq!(log[0]["first"], leaf_hash(text.lines().next().unwrap().as_bytes()).to_string());
    assert_eq!(log[1]["root"], tree.root().to_string());
    assert_eq!(log[1]["bytes"], text.len());
    assert_eq!(log[1]["prev"], {
        let log = fs::read_to_string(folder.path().join("device.log")).unwrap();
        leaf_hash(log.lines().next().unwrap().as_bytes()).to_string()
    });
}

#[test]
fn command_lines_paths_and_notes_stand_beside_the_record_under_salted_digests() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    for _ in 0..2 {
        segment.append(command("git push", Verdict::Allow)).unwrap();
    }
    segment
        .append(NewEvent::answer(
            "r1",
            &Action::Run(git("git push")),
            Verdict::Deny,
            "lena",
            "once",
            Some("not on Fridays"),
        ))
        .unwrap();
    let text = fs::read_to_string(folder.path().join("segments/s.jsonl")).unwrap();
    for private in ["git\"", "/work/shop", "Fridays", "--fast"] {
        assert!(!text.contains(private), "{private}");
    }
    for public in ["lena", "Publishes work.", "once"] {
        assert!(text.contains(public), "{public}");
    }
    let records = lines(&folder.path().join("segments/s.jsonl"));
    // The same command twice looks different, so that nobody can compare.
    assert_ne!(records[1]["action"], records[2]["action"]);
    let contents = lines(&folder.path().join("segments/s.content.jsonl"));
    let note = contents.iter().find(|content| content["field"] == "note").unwrap();
    assert_eq!((&note["content"], &note["seq"]), (&"not on Fridays".into(), &4.into()));
}

#[test]
fn secrets_reach_neither_file() {
    let folder = tempfile::tempdir().unwrap();
    let redactor = Redactor::from_environment([("DEPLOY_TOKEN", "s3cr3t-value")]);
    let store = Store::open(folder.path()).unwrap();
    let segment = store.begin("s", redactor, start()).unwrap();
    let mut event = command("deploy --key s3cr3t-value --password hunter2x", Verdict::Deny)
        .reason("It holds s3cr3t-value.")
        .by("s3cr3t-value")
        .detail("seen", "s3cr3t-value");
    event = event.private("note", vec!["--token", "hunter2x"]);
    segment.append(event).unwrap();
    segment.end(NewEvent::session_end(0)).unwrap();
    for file in ["s.jsonl", "s.content.jsonl"] {
        let text = fs::read_to_string(folder.path().join("segments").join(file)).unwrap();
        assert!(!text.contains("s3cr3t-value") && !text.contains("hunter2x"), "{text}");
        assert!(text.contains("[redacted:DEPLOY_TOKEN]"), "{text}");
    }
}

#[test]
fn a_session_is_begun_once_and_under_a_name_that_is_a_file_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let running = begin(folder.path(), "s");
    let again = |name: &str| store.begin(name, Redactor::default(), start()).map(drop);
    assert!(matches!(again("s"), Err(Error::SessionExists(_))));
    drop(running);
    assert!(matches!(again("s"), Err(Error::SessionExists(_))));
    for name in ["", ".", "../s", "a/b", "s.content", "é", &"x".repeat(65)] {
        assert!(matches!(again(name), Err(Error::SessionName(_))), "{name}");
    }
    again(&"x".repeat(64)).unwrap();
    again("2026-11-22_09-00").unwrap();
}

#[test]
fn many_threads_write_one_segment_and_many_sessions_one_device_log() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                let segment = begin(folder, &format!("s{number}"));
                std::thread::scope(|scope| {
                    for verdict in [Verdict::Allow, Verdict::Allow, Verdict::Deny] {
                        let segment = &segment;
                        scope.spawn(move || {
                            for _ in 0..10 {
                                segment.append(command("git status", verdict)).unwrap();
                            }
                        });
                    }
                });
                segment.end(NewEvent::session_end(0)).unwrap();
            });
        }
    });
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report:#?}");
    assert!(report.segments.iter().all(|segment| segment.records == 32));
    assert_eq!(report.log.entries, 8);
}

#[test]
fn the_next_session_seals_what_a_killed_supervisor_left_and_leaves_a_running_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = begin(folder.path(), "running");
    drop(begin(folder.path(), "killed"));
    session(folder.path(), "next");
    let log = lines(&folder.path().join("device.log"));
    let entries: Vec<_> = log
        .iter()
        .map(|line| {
            let session = line["session"].as_str().or(line["end"]["session"].as_str());
            (line["kind"].as_str().unwrap(), session.unwrap())
        })
        .collect();
    assert_eq!(
        entries,
        [
            ("start", "running"),
            ("start", "killed"),
            ("start", "next"),
            ("sealed", "killed"),
            ("end", "next"),
        ]
    );
    running.end(NewEvent::session_end(0)).unwrap();
    assert!(verify(folder.path()).unwrap().is_intact());
}

#[test]
fn a_session_that_cannot_begin_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    fs::create_dir(folder.path().join("device.log")).unwrap();
    assert!(store.begin("s", Redactor::default(), start()).is_err());
    for inner in ["segments", "open"] {
        assert_eq!(fs::read_dir(folder.path().join(inner)).unwrap().count(), 0, "{inner}");
    }
    fs::remove_dir(folder.path().join("device.log")).unwrap();
    store.begin("s", Redactor::default(), start()).unwrap();
}
