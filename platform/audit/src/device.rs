//! The device log: who writes appends one line under a lock, chained to the line before it.
//!
//! Each line also ends with the hash of its own bytes, so that the last one, which nothing
//! follows yet, cannot be changed by accident unnoticed.

use crate::error::During;
use crate::hash::{Hash, leaf_hash};
use crate::layout::Layout;
use crate::{Error, Result, platform};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};

const VERSION: u32 = 1;

/// What the device log says about a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Entry {
    /// A session began; this is the leaf of its first record.
    Start { session: String, first: Hash },
    /// A session ended.
    End(Final),
    /// A supervisor did not live to end its session: this is what was found of it.
    Sealed(Final),
    /// The contents of one record were erased.
    Erased { session: String, seq: u64 },
    /// The line before this one was cut short when the power failed; `prev` is its hash.
    Torn,
}

/// The state of a segment that will not grow any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Final {
    pub(crate) session: String,
    /// How many lines it has, and so how many leaves its tree.
    pub(crate) size: u64,
    /// How many bytes it has.
    pub(crate) bytes: u64,
    /// The root of its tree.
    pub(crate) root: Hash,
    /// The last leaf, which names the line where an alteration at the end begins.
    pub(crate) last: Hash,
    /// Whether its last line was cut short, and so is no record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) torn: bool,
    /// How many contents had been lost with the power, not erased.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) missing: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One line of the device log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) v: u32,
    #[serde(with = "crate::record::milliseconds")]
    pub(crate) time: Timestamp,
    #[serde(flatten)]
    pub(crate) entry: Entry,
    pub(crate) prev: Hash,
}

impl Line {
    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.pop(); // the closing brace, which follows the sum instead
        let sum = Hash::of(&[&bytes]);
        bytes.extend_from_slice(format!("{SUM}{sum}\"}}").as_bytes());
        Ok(bytes)
    }

    /// Reads a line, which has to be exactly what `encode` wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let sum_length = SUM.len() + 64 + 2;
        let (body, sum) = bytes
            .split_at_checked(bytes.len().saturating_sub(sum_length))
            .ok_or("it is too short")?;
        if sum != format!("{SUM}{}\"}}", Hash::of(&[body])).as_bytes() {
            return Err("its sum does not match".into());
        }
        let line: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if line.v != VERSION {
            return Err(format!("it is of version {}, which this program does not know", line.v));
        }
        Ok(line)
    }
}

const SUM: &str = ",\"sum\":\"";

/// The right to write to the device log, and to create or seal segments.
#[derive(Debug)]
pub(crate) struct Guard(#[expect(dead_code, reason = "unlocks when it is dropped")] File);

/// Waits for the right to write to the device log.
pub(crate) fn lock(layout: &Layout) -> Result<Guard> {
    let path = layout.lock();
    let file = match platform::options().read(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            platform::options().read(true).write(true).create(true).truncate(false).open(&path)
        }
        // Not created and not writable where another user, such as root, only looks.
        opened => opened,
    }
    .during("open", &path)?;
    file.lock().during("lock", &path)?;
    Ok(Guard(file))
}

/// Appends an entry and returns once it is on the disk.
pub(crate) fn append(layout: &Layout, _guard: &Guard, entry: Entry) -> Result<()> {
    let path = layout.log();
    let mut options = platform::options();
    let fresh = !path.exists();
    let mut file =
        options.read(true).append(true).create(true).open(&path).during("open", &path)?;
    let length = file.metadata().during("inspect", &path)?.len();
    let tail = read_tail(&mut file, length).during("read", &path)?;
    let mut bytes = Vec::new();
    let prev = match tail.strip_suffix(b"\n") {
        Some(line) => leaf_hash(line),
        None if tail.is_empty() => Hash::NONE,
        None => {
            bytes.push(b'\n');
            push(&mut bytes, Entry::Torn, leaf_hash(&tail))?
        }
    };
    push(&mut bytes, entry, prev)?;
    if let Err(source) = file.write_all(&bytes) {
        // Leaves the log as it was, so that the next writer finds no torn line. If that fails
        // too, the next writer says so in the log.
        let _ = file.set_len(length);
        return Err(Error::Io { doing: "write", path, source });
    }
    file.sync_data().during("sync", &path)?;
    if fresh {
        platform::sync_folder(layout.root())?;
    }
    Ok(())
}

fn push(bytes: &mut Vec<u8>, entry: Entry, prev: Hash) -> Result<Hash> {
    let line = Line { v: VERSION, time: Timestamp::now(), entry, prev }.encode()?;
    bytes.extend_from_slice(&line);
    bytes.push(b'\n');
    Ok(leaf_hash(&line))
}

/// The last line, with its line feed unless it was cut short.
fn read_tail(file: &mut File, length: u64) -> std::io::Result<Vec<u8>> {
    let mut span = 4096;
    loop {
        let start = length.saturating_sub(span);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.take(length - start).read_to_end(&mut tail)?;
        let body = tail.strip_suffix(b"\n").unwrap_or(&tail);
        if let Some(feed) = body.iter().rposition(|byte| *byte == b'\n') {
            tail.drain(..=feed);
            return Ok(tail);
        }
        if start == 0 {
            return Ok(tail);
        }
        span *= 2;
    }
}
