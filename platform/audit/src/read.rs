//! The bytes of history files taken apart again, without judging them.

use crate::device::{Entry, Line};
use crate::error::During;
use crate::event::Event;
use crate::layout::Layout;
use crate::record::{ACTION, Content, Digest, Record, digest_in};
use crate::{Result, platform};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

/// A whole file. One that is not there is `None`.
pub(crate) fn file(path: &Path) -> Result<Option<Vec<u8>>> {
    let mut options = platform::options();
    let mut bytes = Vec::new();
    match options.read(true).open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes).during("read", path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).during("open", path),
    };
    Ok(Some(bytes))
}

/// The lines of a file without their line feeds, and whether the last one was cut short.
pub(crate) fn lines(bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    if bytes.is_empty() {
        return (Vec::new(), false);
    }
    let (body, torn) = match bytes.strip_suffix(b"\n") {
        Some(body) => (body, false),
        None => (bytes, true),
    };
    (body.split(|byte| *byte == b'\n').collect(), torn)
}

/// The contents of a session by record and field. Lines that are none, such as erased ones and
/// one that is cut short, are left out.
pub(crate) fn contents(bytes: &[u8]) -> HashMap<(u64, String), Content<'_>> {
    lines(bytes)
        .0
        .into_iter()
        .filter_map(|line| serde_json::from_slice::<Content<'_>>(line).ok())
        .map(|content| ((content.seq, content.field.clone().into_owned()), content))
        .collect()
}

/// Whether a line of a content file was erased: it is overwritten with spaces.
pub(crate) fn is_erased(line: &[u8]) -> bool {
    line.iter().all(|byte| *byte == b' ')
}

/// The readable entries of the device log.
pub(crate) fn entries(layout: &Layout) -> Result<Vec<Entry>> {
    let bytes = file(&layout.log())?.unwrap_or_default();
    Ok(lines(&bytes)
        .0
        .into_iter()
        .filter_map(|line| Some(Line::decode(line).ok()?.entry))
        .collect())
}

/// How many contents of these records are neither there nor erased.
pub(crate) fn count_missing(
    records: &[&[u8]],
    contents: &HashMap<(u64, String), Content<'_>>,
    erased: impl Fn(u64) -> bool,
) -> u64 {
    let mut missing = 0;
    for record in records.iter().filter_map(|line| serde_json::from_slice::<Record>(line).ok()) {
        for (field, _) in record.digests() {
            if !contents.contains_key(&(record.seq, field.to_owned())) && !erased(record.seq) {
                missing += 1;
            }
        }
    }
    missing
}

/// A record with its contents: what is not there counts as erased, and what does not match its
/// digest is not shown.
pub(crate) fn join(record: Record, content: impl Fn(&str) -> Option<(Digest, Value)>) -> Event {
    let Record {
        v: _,
        seq,
        time,
        session,
        kind,
        action,
        decision,
        rule,
        origin,
        reason,
        by,
        mut detail,
        prev: _,
    } = record;
    let mut erased = Vec::new();
    let mut altered = Vec::new();
    let mut resolve = |field: &str, digest: Digest| match content(field) {
        Some((found, value)) if found == digest => Some(value),
        Some(_) => {
            altered.push(field.to_owned());
            None
        }
        None => {
            erased.push(field.to_owned());
            None
        }
    };
    let action = action
        .and_then(|digest| resolve(ACTION, digest))
        .and_then(|action| action.as_str().map(str::to_owned));
    for (field, value) in &mut detail {
        if let Some(digest) = digest_in(value) {
            *value = resolve(field, digest).unwrap_or_default();
        }
    }
    Event {
        seq,
        time,
        session,
        kind,
        action,
        decision,
        rule,
        origin,
        reason,
        by,
        detail,
        erased,
        altered,
    }
}
