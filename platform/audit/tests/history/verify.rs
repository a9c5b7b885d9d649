//! Whatever is altered after it was recorded is found, at its place; what was not is not accused.

use crate::common::{begin, command, session};
use chaperone_audit::{Problem, ProblemKind, Report, SegmentState, Store, verify};
use chaperone_policy::Verdict;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

fn intact(folder: &Path) -> Report {
    let report = verify(folder).unwrap();
    assert!(report.is_intact(), "{report:#?}");
    report
}

fn only_problem(folder: &Path) -> Problem {
    let report = verify(folder).unwrap();
    let problems: Vec<_> = report.problems().cloned().collect();
    assert_eq!(problems.len(), 1, "{report:#?}");
    problems[0].clone()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let bytes = fs::read(path).unwrap();
    let mut lines: Vec<Vec<u8>> =
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

fn replace(line: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(line.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    *line = text.replacen(from, to, 1).into_bytes();
}

/// Two sessions that ended, and one whose supervisor was killed and which has an erased record.
fn history() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    session(folder.path(), "first");
    {
        let killed = begin(folder.path(), "killed");
        killed.append(command("git fetch", Verdict::Allow)).unwrap();
    }
    session(folder.path(), "second");
    Store::open(folder.path()).unwrap().erase("killed", 2).unwrap();
    folder
}

#[test]
fn a_history_that_nobody_touched_is_intact() {
    let folder = history();
    let report = intact(folder.path());
    let states: Vec<_> = report
        .segments
        .iter()
        .map(|segment| (segment.session.as_str(), segment.state, segment.records))
        .collect();
    assert_eq!(
        states,
        [
            ("first", SegmentState::Ended, 5),
            ("killed", SegmentState::Sealed, 2),
            ("second", SegmentState::Ended, 5),
        ]
    );
    assert_eq!(report.log.entries, 7);
}

#[test]
fn a_folder_that_is_not_there_is_intact_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    assert!(intact(&none).segments.is_empty());
    assert!(!none.exists());
}

#[test]
fn a_running_session_is_verified_as_far_as_it_has_come_and_not_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    segment.append(command("git status", Verdict::Allow)).unwrap();
    assert_eq!(intact(folder.path()).segments[0].state, SegmentState::Running);
    segment.append(command("git gc", Verdict::Allow)).unwrap();
    edit(&folder.path().join("segments/s.jsonl"), |lines| replace(&mut lines[1], "allow", "deny"));
    assert_eq!(only_problem(folder.path()).line, Some(2));
}

#[test]
fn a_killed_supervisor_leaves_a_segment_that_verification_seals_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), "s"));
    let report = intact(folder.path());
    assert_eq!(report.segments[0].state, SegmentState::Sealed);
    assert_eq!(report.log.entries, 2);
    // Once is enough.
    assert_eq!(intact(folder.path()), report);
    // From here on it is as closed as one that ended.
    edit(&folder.path().join("segments/s.jsonl"), |lines| replace(&mut lines[0], "full", "none"));
    assert_eq!(only_problem(folder.path()).line, Some(1));
}

#[test]
fn a_line_that_was_cut_short_is_told_and_no_alteration_where_the_supervisor_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    segment.append(command("git status", Verdict::Allow)).unwrap();
    drop(segment);
    let path = folder.path().join("segments/s.jsonl");
    edit(&path, |lines| lines[1].truncate(20));
    let report = intact(folder.path());
    assert!(report.segments[0].notes.iter().any(|note| note.contains("Line 2 was cut short")));
    // Sealed so, its half line is part of what is proved.
    edit(&path, |lines| lines[1].truncate(19));
    assert_eq!(only_problem(folder.path()).line, Some(2));
}

#[test]
fn a_line_that_is_cut_short_in_a_session_that_ended_is_an_alteration() {
    let folder = tempfile::tempdir().unwrap();
    session(folder.path(), "s");
    let path = folder.path().join("segments/s.jsonl");
    edit(&path, |lines| lines[4].truncate(20));
    assert!(!verify(folder.path()).unwrap().is_intact());
}

#[test]
fn an_edit_in_the_middle_is_named_at_its_line() {
    for line in 0..5 {
        let folder = history();
        let path = folder.path().join("segments/second.jsonl");
        edit(&path, |lines| replace(&mut lines[line], "\"time\":\"2", "\"time\":\"3"));
        let problem = only_problem(folder.path());
        assert_eq!((problem.file, problem.line), (path, Some(line as u64 + 1)));
        assert_eq!(problem.kind, ProblemKind::Altered);
    }
}

#[test]
fn a_record_that_was_taken_out_or_moved_is_named_where_it_is_missing() {
    let folder = history();
    let path = folder.path().join("segments/second.jsonl");
    edit(&path, |lines| drop(lines.remove(2)));
    let problem = verify(folder.path()).unwrap().problems().next().unwrap().clone();
    assert_eq!((problem.file, problem.line), (path, Some(3)));

    let folder = history();
    let path = folder.path().join("segments/second.jsonl");
    edit(&path, |lines| lines.swap(1, 2));
    let problem = verify(folder.path()).unwrap().problems().next().unwrap().clone();
    assert_eq!((problem.file, problem.line), (path, Some(2)));
}

#[test]
fn a_segment_that_lost_its_end_or_itself_is_missed() {
    let folder = history();
    let path = folder.path().join("segments/second.jsonl");
    edit(&path, |lines| lines.truncate(3));
    let problem = verify(folder.path()).unwrap().problems().next().unwrap().clone();
    assert_eq!((problem.file, problem.kind), (path.clone(), ProblemKind::Truncated));

    fs::remove_file(&path).unwrap();
    let problem = only_problem(folder.path());
    assert_eq!((problem.file, problem.kind), (path, ProblemKind::Missing));
}

#[test]
fn a_segment_that_the_device_log_does_not_know_is_named() {
    let folder = history();
    let path = folder.path().join("segments/forged.jsonl");
    fs::copy(folder.path().join("segments/second.jsonl"), &path).unwrap();
    let report = verify(folder.path()).unwrap();
    let forged = report.segments.iter().find(|segment| segment.session == "forged").unwrap();
    assert_eq!(forged.state, SegmentState::Unlisted);
    assert!(!report.is_intact());
}

#[test]
fn a_supervisor_that_was_killed_before_its_start_was_entered_is_no_forgery() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path(), "s"));
    fs::remove_file(folder.path().join("device.log")).unwrap();
    assert_eq!(intact(folder.path()).segments[0].state, SegmentState::Sealed);
}

#[test]
fn a_device_log_that_lost_a_line_or_all_is_named() {
    for line in 0..7 {
        let folder = history();
        let path = folder.path().join("device.log");
        edit(&path, |lines| drop(lines.remove(line)));
        let report = verify(folder.path()).unwrap();
        // The erasure is the last line: what it explained is what is missing without it.
        let expected =
            if line == 6 { folder.path().join("segments/killed.content.jsonl") } else { path };
        assert!(report.problems().any(|problem| problem.file == expected), "{line} {report:#?}");
    }
    let folder = history();
    fs::remove_file(folder.path().join("device.log")).unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.segments.iter().all(|segment| segment.state == SegmentState::Unlisted));
    assert!(report.segments.iter().all(|segment| !segment.problems.is_empty()));
}

#[test]
fn a_device_log_whose_last_line_was_cut_short_is_told_and_goes_on() {
    let folder = history();
    let path = folder.path().join("device.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"v\":1,\"ti");
    fs::write(&path, &bytes).unwrap();
    assert!(!verify(folder.path()).unwrap().is_intact());
    session(folder.path(), "third");
    let report = intact(folder.path());
    assert_eq!(report.log.notes, ["Line 8 was cut short when the power failed."]);
    edit(&path, |lines| replace(&mut lines[7], "ti", "to"));
    assert!(!verify(folder.path()).unwrap().is_intact());
}

#[test]
fn erased_content_is_told_as_erased_and_altered_content_as_altered() {
    let folder = history();
    let killed = &intact(folder.path()).segments[1];
    assert_eq!((killed.session.as_str(), killed.erased), ("killed", 2));
    let content = folder.path().join("segments/killed.content.jsonl");
    let text = fs::read_to_string(&content).unwrap();
    assert!(!text.contains("git fetch"), "{text}");
    assert!(text.contains("/work/shop"), "{text}");

    edit(&content, |lines| replace(&mut lines[0], "demo", "dome"));
    let problem = only_problem(folder.path());
    assert_eq!((problem.file, problem.line), (content, Some(1)));
    assert_eq!(problem.kind, ProblemKind::Altered);
}

#[test]
fn content_that_is_gone_without_a_recorded_erasure_is_missed() {
    let folder = history();
    let content = folder.path().join("segments/second.content.jsonl");
    edit(&content, |lines| {
        let length = lines[5].len() - 1;
        lines[5][..length].fill(b' ');
    });
    let problem = only_problem(folder.path());
    assert_eq!((problem.file, problem.kind), (content.clone(), ProblemKind::Missing));
    fs::remove_file(&content).unwrap();
    assert_eq!(only_problem(folder.path()).kind, ProblemKind::Missing);
}

#[test]
fn content_that_power_took_from_a_killed_session_is_told_and_no_alteration() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    segment.append(command("git status", Verdict::Allow)).unwrap();
    drop(segment);
    let content = folder.path().join("segments/s.content.jsonl");
    edit(&content, |lines| lines.truncate(5));
    let report = intact(folder.path());
    assert!(report.segments[0].notes.iter().any(|note| note.contains("lost with the power")));
    edit(&content, |lines| lines.truncate(4));
    assert!(!verify(folder.path()).unwrap().is_intact());
}

/// One alteration of one file.
#[derive(Debug, Clone)]
enum Alteration {
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    RemoveLine(prop::sample::Index),
    RepeatLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
}

fn alteration() -> impl Strategy<Value = Alteration> {
    use Alteration::*;
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), 1..=255_u8).prop_map(|(at, with)| Flip(at, with)),
        1 => index().prop_map(Remove),
        1 => (index(), prop_oneof![any::<u8>(), Just(b' '), Just(b'\n')])
            .prop_map(|(at, byte)| Insert(at, byte)),
        1 => index().prop_map(RemoveLine),
        1 => index().prop_map(RepeatLine),
        1 => (index(), index()).prop_map(|(a, b)| SwapLines(a, b)),
        1 => index().prop_map(Cut),
    ]
}

fn alter(bytes: &[u8], alteration: &Alteration) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    match alteration {
        Alteration::Flip(at, with) => changed[at.index(bytes.len())] ^= with,
        Alteration::Remove(at) => drop(changed.remove(at.index(bytes.len()))),
        Alteration::Insert(at, byte) => changed.insert(at.index(bytes.len() + 1), *byte),
        Alteration::Cut(at) => changed.truncate(at.index(bytes.len())),
        Alteration::RemoveLine(at) => {
            lines.remove(at.index(lines.len()));
            changed = lines.concat();
        }
        Alteration::RepeatLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
            changed = lines.concat();
        }
        Alteration::SwapLines(a, b) => {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            changed = lines.concat();
        }
    }
    changed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_alteration_of_a_sealed_segment_or_the_device_log_goes_unnoticed(
        file in prop::sample::select(vec![
            "segments/first.jsonl", "segments/killed.jsonl", "segments/second.jsonl", "device.log",
        ]),
        alteration in alteration(),
    ) {
        thread_local!(static HISTORY: tempfile::TempDir = {
            let folder = history();
            intact(folder.path());
            folder
        });
        let (report, original, path) = HISTORY.with(|folder| {
            let path: PathBuf = folder.path().join(file);
            let original = fs::read(&path).unwrap();
            fs::write(&path, alter(&original, &alteration)).unwrap();
            let report = verify(folder.path());
            let changed = fs::read(&path).unwrap() != original;
            fs::write(&path, &original).unwrap();
            (report.unwrap(), changed, path)
        });
        let changed = original;
        prop_assert_eq!(report.is_intact(), !changed, "{:#?}", report);
        // A log without its last entry, the erasure, is whole; what it explained is not.
        let explained = path.with_file_name("segments").join("killed.content.jsonl");
        prop_assert!(
            !changed
                || report.problems().any(|problem| problem.file == path)
                || (file == "device.log"
                    && report.problems().any(|problem| problem.file == explained)),
            "{:#?}", report
        );
    }
}
