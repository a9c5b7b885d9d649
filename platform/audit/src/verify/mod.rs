//! Verification: the device log against itself, and every segment against the log.

mod log;
mod segment;

use crate::error::During;
use crate::layout::Layout;
use crate::report::{LogReport, Problem, ProblemKind, Report, SegmentReport, SegmentState};
use crate::{Result, device, read, seal};
use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

/// How many problems of one file are told; the first is the one that matters.
const TOLD: usize = 20;

/// Verifies a history folder. Segments whose supervisors were killed are sealed first, where
/// this user may write; running sessions are verified as far as they have come.
///
/// # Errors
/// If the folder cannot be read. What is wrong with what was read is in the report.
pub fn verify(folder: &Path) -> Result<Report> {
    let layout = Layout::new(folder);
    let mut notes = Vec::new();
    if folder.exists()
        && let Err(error) = seal::seal_dead(&layout, u64::MAX)
    {
        notes.push(format!("Segments that were left open could not be sealed: {error}."));
    }
    // Nobody begins or ends a session while it is looked which there are.
    let guard = layout.log().exists().then(|| device::lock(&layout));
    let bytes = read::file(&layout.log())?.unwrap_or_default();
    let files = segment_files(&layout)?;
    let open: HashSet<String> = seal::open_sessions(&layout)?.into_iter().collect();
    let mut live = HashSet::new();
    for session in &open {
        if seal::is_live(&layout, session)? {
            live.insert(session.clone());
        }
    }
    drop(guard);

    let mut log = log::Log::read(&layout.log(), &bytes);
    let unlisted = files.iter().filter(|session| !log.sessions.contains_key(session.as_str()));
    let sessions: Vec<String> = log.order.iter().chain(unlisted).cloned().collect();
    let mut segments = Vec::new();
    for session in sessions {
        let known = log.sessions.get(&session);
        let state = match known {
            Some(_) if !files.contains(&session) => SegmentState::Missing,
            Some(known) => match &known.end {
                Some(end) if end.sealed => SegmentState::Sealed,
                Some(_) => SegmentState::Ended,
                None if live.contains(&session) => SegmentState::Running,
                None => SegmentState::Unsealed,
            },
            // A supervisor can be killed before it enters its start; its marker is there then.
            None if open.contains(&session) && !live.contains(&session) => SegmentState::Unsealed,
            None => SegmentState::Unlisted,
        };
        if state == SegmentState::Unsealed && !open.contains(&session) {
            log.problems.push(Problem {
                file: layout.log(),
                line: None,
                kind: ProblemKind::Missing,
                what: format!("the end of session {session} is missing."),
            });
        }
        segments.push(segment::verify(&layout, &session, state, known)?);
    }
    notes.extend(log.notes);
    log.problems.truncate(TOLD);
    let log = LogReport { file: layout.log(), entries: log.entries, problems: log.problems, notes };
    Ok(Report { log, segments })
}

/// The sessions that have a segment, by name.
fn segment_files(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.segments();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).during("list", &folder),
    };
    let mut sessions = Vec::new();
    for entry in entries {
        let name = entry.during("list", &folder)?.file_name();
        sessions.extend(name.to_str().and_then(Layout::session_of).map(str::to_owned));
    }
    sessions.sort();
    Ok(sessions)
}
