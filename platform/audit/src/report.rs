//! What a verification found, as data for exit codes, tables and JSON.

use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// The result of verifying a history folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The device log.
    pub log: LogReport,
    /// Every segment that is there, or that the device log names, in the log's order.
    pub segments: Vec<SegmentReport>,
}

/// What was found of the device log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// The file.
    pub file: PathBuf,
    /// How many entries it has.
    pub entries: u64,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
}

/// What was found of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// The session's id.
    pub session: String,
    /// The file.
    pub file: PathBuf,
    /// How it stands.
    pub state: SegmentState,
    /// How many lines it has.
    pub records: u64,
    /// How many fields were erased, and recorded as erased.
    pub erased: u64,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
}

/// How a segment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentState {
    /// Its session ended, and its root is in the device log.
    Ended,
    /// Its supervisor was killed; what was found of it is in the device log.
    Sealed,
    /// Its session is running.
    Running,
    /// Its supervisor was killed, and its root is not in the device log yet.
    Unsealed,
    /// The device log names it, and it is not there.
    Missing,
    /// It is there, and the device log does not name it.
    Unlisted,
}

/// One thing that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// In which file.
    pub file: PathBuf,
    /// In which line, counted from 1, where that can be told.
    pub line: Option<u64>,
    /// What kind of thing.
    pub kind: ProblemKind,
    /// In plain words, to follow the place.
    pub what: String,
}

/// The kinds of things that a verification finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// Bytes were changed, added or moved.
    Altered,
    /// Something was there and is not.
    Missing,
    /// The end was cut off.
    Truncated,
    /// Something is there that the device log does not know.
    Unlisted,
}

impl Report {
    /// Whether everything is as it was recorded.
    pub fn is_intact(&self) -> bool {
        self.problems().next().is_none()
    }

    /// Everything that is not.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let segments = self.segments.iter().flat_map(|segment| &segment.problems);
        self.log.problems.iter().chain(segments)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}
