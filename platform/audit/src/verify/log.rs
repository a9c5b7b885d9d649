//! The device log against itself: every line's sum and its link to the line before.

use crate::device::{Entry, Final, Line};
use crate::hash::{Hash, leaf_hash};
use crate::read;
use crate::report::{Problem, ProblemKind};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What the device log says, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) entries: u64,
    pub(super) sessions: HashMap<String, Known>,
    /// The sessions in the order in which they began.
    pub(super) order: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

/// What the device log says about one session.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) first: Option<Hash>,
    pub(super) end: Option<End>,
    pub(super) erased: HashSet<u64>,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) end: Final,
    /// By another, after the supervisor was killed.
    pub(super) sealed: bool,
}

impl Log {
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Self {
        let (lines, torn) = read::lines(bytes);
        let mut log = Self { entries: lines.len() as u64, ..Self::default() };
        let mut problem = |line: usize, kind: ProblemKind, what: String| {
            let line = Some(line as u64 + 1);
            log.problems.push(Problem { file: path.to_owned(), line, kind, what });
        };
        let decoded: Vec<Result<Line, String>> =
            lines.iter().map(|line| Line::decode(line)).collect();
        let mut prev = Hash::NONE;
        let mut after_bad = false;
        let mut entries = Vec::new();
        for (index, (bytes, line)) in lines.iter().zip(decoded).enumerate() {
            let leaf = leaf_hash(bytes);
            match line {
                Err(what) => {
                    // The next writer said that this line was cut short: its link tells whether
                    // this is still the line that it found.
                    let next = lines.get(index + 1).and_then(|next| Line::decode(next).ok());
                    if next.is_some_and(|next| next.entry == Entry::Torn && next.prev == leaf) {
                        log.notes.push(format!(
                            "Line {} was cut short when the power failed.",
                            index + 1
                        ));
                    } else {
                        problem(index, ProblemKind::Altered, format!("was altered: {what}."));
                        after_bad = true;
                        prev = leaf;
                        continue;
                    }
                }
                Ok(line) => {
                    if line.prev != prev && !after_bad {
                        let what = "does not follow the line before it: lines were removed, \
                                    added or moved here.";
                        problem(index, ProblemKind::Altered, what.into());
                    }
                    entries.push((index, line.entry));
                }
            }
            after_bad = false;
            prev = leaf;
        }
        if torn && !after_bad {
            problem(lines.len() - 1, ProblemKind::Truncated, "has no end.".into());
        }
        for (index, entry) in entries {
            if let Err(what) = log.learn(entry) {
                let line = Some(index as u64 + 1);
                let file = path.to_owned();
                log.problems.push(Problem { file, line, kind: ProblemKind::Altered, what });
            }
        }
        log
    }

    fn learn(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Torn => {}
            Entry::Start { session, first } => {
                let known = self.known(&session);
                if known.first.replace(first).is_some() {
                    return Err(format!("begins session {session} a second time."));
                }
            }
            Entry::End(end) => return self.end(end, false),
            Entry::Sealed(end) => return self.end(end, true),
            Entry::Erased { session, seq } => {
                self.known(&session).erased.insert(seq);
            }
        }
        Ok(())
    }

    fn end(&mut self, end: Final, sealed: bool) -> Result<(), String> {
        let session = end.session.clone();
        let known = self.known(&session);
        let unknown = known.first.is_none();
        let ended = known.end.is_some();
        known.end.get_or_insert(End { end, sealed });
        match (unknown, ended) {
            (true, _) => Err(format!("ends session {session}, which never began.")),
            (_, true) => Err(format!("ends session {session} a second time.")),
            _ => Ok(()),
        }
    }

    fn known(&mut self, session: &str) -> &mut Known {
        if !self.sessions.contains_key(session) {
            self.order.push(session.to_owned());
        }
        self.sessions.entry(session.to_owned()).or_default()
    }
}
