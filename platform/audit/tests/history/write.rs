//! What a supervisor can rely on when it records: where it lies, who can read it, and what a
//! failure leaves behind.

use crate::common::{command, start};
use chaperone_audit::{Error, EventKind, NewEvent, Redactor, Store};
use chaperone_policy::Verdict;
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
