//! One segment: its records' links, its root against the device log, and its contents.

use super::log::Known;
use super::{Problem, ProblemKind, Result, SegmentReport, SegmentState, TOLD};
use crate::hash::{Hash, Tree, leaf_hash};
use crate::layout::Layout;
use crate::read;
use crate::record::{Content, Digest, Record};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The problems of one file, by line.
struct Problems<'a> {
    file: &'a Path,
    list: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, line: Option<u64>, kind: ProblemKind, what: impl Into<String>) {
        self.list.push(Problem { file: self.file.to_owned(), line, kind, what: what.into() });
    }

    fn has(&self, line: u64) -> bool {
        self.list.iter().rev().take(3).any(|problem| problem.line == Some(line))
    }
}

pub(super) fn verify(
    layout: &Layout,
    session: &str,
    state: SegmentState,
    known: Option<&Known>,
) -> Result<SegmentReport> {
    let file = layout.segment(session);
    let mut report = SegmentReport {
        session: session.to_owned(),
        file: file.clone(),
        state,
        records: 0,
        erased: 0,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let mut problems = Problems { file: &file, list: Vec::new() };
    let Some(bytes) = read::file(&file)? else {
        if state == SegmentState::Missing {
            problems.add(None, ProblemKind::Missing, "is missing; the device log names it.");
        }
        report.problems = problems.list;
        return Ok(report);
    };
    let (lines, torn) = read::lines(&bytes);
    report.records = lines.len() as u64;
    match state {
        SegmentState::Unlisted => {
            let what = "is not in the device log: it was added, or its start was removed there.";
            problems.add(None, ProblemKind::Unlisted, what);
        }
        SegmentState::Unsealed => report
            .notes
            .push("Its supervisor was killed, and its end is not in the device log.".into()),
        SegmentState::Sealed => {
            report.notes.push("Its supervisor was killed; it was sealed as it was found.".into())
        }
        SegmentState::Ended | SegmentState::Running | SegmentState::Missing => {}
    }
    let end = known.and_then(|known| known.end.as_ref()).map(|end| &end.end);
    // Only a writer that is at work, or was killed, leaves half a line.
    let half = torn && end.map_or(state != SegmentState::Unlisted, |end| end.torn);
    if half && state != SegmentState::Running {
        report.notes.push(format!("Line {} was cut short.", lines.len()));
    }
    let whole = if half { &lines[..lines.len() - 1] } else { &lines[..] };
    let leaves: Vec<Hash> = lines.iter().map(|line| leaf_hash(line)).collect();
    let records = links(&mut problems, session, whole, &leaves, end.map(|end| end.last));
    against_log(&mut problems, known, &leaves, bytes.len() as u64, half);
    problems.list.truncate(TOLD);
    report.problems = problems.list;
    contents(layout, session, state, known, &records, &mut report)?;
    Ok(report)
}

/// Checks each record's place and its link to the record before it.
fn links(
    problems: &mut Problems<'_>,
    session: &str,
    lines: &[&[u8]],
    leaves: &[Hash],
    last: Option<Hash>,
) -> Vec<Record> {
    let parsed: Vec<Result<Record, serde_json::Error>> =
        lines.iter().map(|line| serde_json::from_slice(line)).collect();
    let mut expected = 1;
    for (index, record) in parsed.iter().enumerate() {
        let line = index as u64 + 1;
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let what = format!("is no record any more: {error}.");
                problems.add(Some(line), ProblemKind::Altered, what);
                expected += 1;
                continue;
            }
        };
        if record.session != session {
            let what = format!("belongs to session {}.", record.session);
            problems.add(Some(line), ProblemKind::Altered, what);
        } else if record.seq != expected {
            let what = format!("holds record {} where record {expected} belongs.", record.seq);
            problems.add(Some(line), ProblemKind::Altered, what);
        }
        expected = record.seq.saturating_add(1);
        let before = index.checked_sub(1).map_or(Hash::NONE, |index| leaves[index]);
        if record.prev == before || problems.has(line) || problems.has(line - 1) {
            continue;
        }
        // Either the line before was altered, or this one's link. What follows tells, if it does
        // not know this line as it is; where nothing follows, a link is rarely what one edits.
        let refuted = match parsed.get(index + 1) {
            Some(next) => next.as_ref().is_ok_and(|next| next.prev != leaves[index]),
            None => last.is_some_and(|last| last != leaves[index]),
        };
        if refuted || index == 0 {
            let what = "was altered: it does not follow the line before it.";
            problems.add(Some(line), ProblemKind::Altered, what);
        } else {
            let what = format!("was altered: it is not what line {line} follows.");
            problems.add(Some(line - 1), ProblemKind::Altered, what);
        }
    }
    parsed.into_iter().flatten().collect()
}

/// Checks the segment against what the device log holds of it.
fn against_log(
    problems: &mut Problems<'_>,
    known: Option<&Known>,
    leaves: &[Hash],
    bytes: u64,
    half: bool,
) {
    let Some(known) = known else { return };
    let first = leaves.first().copied().unwrap_or(Hash::NONE);
    let unfinished_first = half && leaves.len() == 1;
    if known.first.is_some_and(|known| known != first) && !unfinished_first && !problems.has(1) {
        let what = "was altered: it is not the first record that the device log names.";
        problems.add(Some(1), ProblemKind::Altered, what);
    }
    let Some(end) = known.end.as_ref().map(|end| &end.end) else { return };
    let size = leaves.len() as u64;
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    if size == end.size && bytes == end.bytes && tree.root() == end.root {
        return;
    }
    if size < end.size {
        let what = format!("the segment ends here, {} of its lines are missing.", end.size - size);
        problems.add(Some(size.max(1)), ProblemKind::Truncated, what);
    } else if size > end.size {
        let what = format!("was added: the device log has {} lines.", end.size);
        problems.add(Some(end.size + 1), ProblemKind::Altered, what);
    } else if problems.list.is_empty() {
        let line = leaves.last().filter(|last| **last != end.last || bytes != end.bytes);
        let what = "was altered: the segment's root is not the one in the device log.";
        problems.add(line.map(|_| size), ProblemKind::Altered, what);
    }
}

/// Checks that each content is what its record's digest says, or was erased and recorded so.
fn contents(
    layout: &Layout,
    session: &str,
    state: SegmentState,
    known: Option<&Known>,
    records: &[Record],
    report: &mut SegmentReport,
) -> Result<()> {
    let file: PathBuf = layout.content(session);
    let bytes = read::file(&file)?.unwrap_or_default();
    let (lines, torn) = read::lines(&bytes);
    let mut expected: HashMap<(u64, String), Digest> = HashMap::new();
    for record in records {
        let digests = record.digests();
        expected.extend(digests.map(|(field, digest)| ((record.seq, field.to_owned()), digest)));
    }
    let mut problems = Problems { file: &file, list: Vec::new() };
    let records_end = records.last().map_or(0, |record| record.seq);
    let ended = state == SegmentState::Ended;
    for (index, line) in lines.iter().enumerate() {
        let number = Some(index as u64 + 1);
        if read::is_erased(line) && !(torn && line.is_empty()) {
            continue;
        }
        let content = match serde_json::from_slice::<Content<'_>>(line) {
            Ok(content) => content,
            // Contents are written first, so a killed supervisor may leave half of one.
            Err(_) if torn && index + 1 == lines.len() && !ended => continue,
            Err(error) => {
                let what = format!("is no content any more: {error}.");
                problems.add(number, ProblemKind::Altered, what);
                continue;
            }
        };
        match expected.remove(&(content.seq, content.field.clone().into_owned())) {
            Some(digest) if digest == content.digest() => {}
            Some(_) => {
                let what = format!("was altered: it is not what record {} was about.", content.seq);
                problems.add(number, ProblemKind::Altered, what);
            }
            // A record that was never written, because its supervisor was killed in between.
            None if content.seq > records_end && !ended => {}
            None => {
                let what = format!("belongs to no field of record {}.", content.seq);
                problems.add(number, ProblemKind::Altered, what);
            }
        }
    }
    let erased = |seq: u64| known.is_some_and(|known| known.erased.contains(&seq));
    let (gone, missing): (Vec<_>, Vec<_>) = expected.keys().partition(|(seq, _)| erased(*seq));
    report.erased = gone.len() as u64;
    let end = known.and_then(|known| known.end.as_ref()).map(|end| &end.end);
    let lost = match (state, end) {
        (SegmentState::Unsealed, _) => missing.len() as u64,
        (_, end) => end.map_or(0, |end| end.missing),
    };
    if missing.len() as u64 > lost && problems.list.is_empty() {
        let first = missing.into_iter().min().cloned().unwrap_or_default();
        let what = format!(
            "the content of record {} ({}) is missing, and no erasure of it is recorded.",
            first.0, first.1
        );
        problems.add(None, ProblemKind::Missing, what);
    } else if lost > 0 && !missing.is_empty() {
        report.notes.push(format!("{} contents were lost with the power.", missing.len()));
    }
    problems.list.truncate(TOLD);
    report.problems.append(&mut problems.list);
    Ok(())
}
