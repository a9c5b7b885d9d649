//! Erasing what a record was about, without breaking the proof that there was such a record.

use crate::device::{self, Entry};
use crate::error::During;
use crate::layout::{Layout, check_name};
use crate::record::Content;
use crate::{Error, Result, platform, read};
use std::io::{Seek, SeekFrom, Write};

/// Overwrites the contents of one record where they stand, so that a supervisor that is still
/// appending is not disturbed. That it was done is entered in the device log first.
pub(crate) fn erase(layout: &Layout, session: &str, seq: u64) -> Result<()> {
    check_name(session)?;
    let path = layout.content(session);
    let nothing = || Error::NotFound(format!("content of record {seq} of session `{session}`"));
    let bytes = read::file(&path)?.ok_or_else(nothing)?;
    let mut spans = Vec::new();
    let mut start = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        if serde_json::from_slice::<Content<'_>>(line).is_ok_and(|content| content.seq == seq) {
            spans.push((start, line.len()));
        }
        start += line.len() as u64 + 1;
    }
    if spans.is_empty() {
        return Err(nothing());
    }
    let guard = device::lock(layout)?;
    device::append(layout, &guard, Entry::Erased { session: session.into(), seq })?;
    drop(guard);
    let mut file = platform::options().write(true).open(&path).during("open", &path)?;
    for (start, length) in spans {
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.write_all(&vec![b' '; length]))
            .during("erase from", &path)?;
    }
    file.sync_data().during("sync", &path)
}
