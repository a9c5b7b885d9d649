//! How the index learns what is new: the device log tells of sessions, their ends and erasures;
//! the segments that are open are read on from where reading stopped.

use super::query::{facets, first_id};
use super::{SHIFT, hosts, observed};
use crate::device::{Entry, Line};
use crate::error::During;
use crate::event::{Event, EventKind};
use crate::layout::Layout;
use crate::record::{Content, Digest, Record};
use crate::{Result, platform, read};
use chaperone_policy::Verdict;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// How many events are added in one transaction: enough to be fast, few enough that another
/// program that refreshes at the same time does not wait long.
const BATCH: usize = 20_000;

/// What a session's first event says that its summary shows.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StartDetail {
    pub(super) agent: Option<String>,
    pub(super) agent_version: Option<String>,
    pub(super) workspace: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) command: Option<Vec<String>>,
    pub(super) tier: Option<String>,
    pub(super) revision: Option<String>,
}

pub(super) fn refresh(layout: &Layout, db: &mut Connection) -> Result<u64> {
    let read: u64 = db.query_row("SELECT read FROM log", [], |row| row.get(0))?;
    let log = new_entries(&layout.log(), read)?;
    if log.restarted {
        // Not the log that this index was built from.
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(
            "DELETE FROM events; DELETE FROM sessions; DELETE FROM words; DELETE FROM observed;
             DELETE FROM hosts; UPDATE log SET read = 0;",
        )?;
        change.commit()?;
    }
    let mut sessions: Vec<&str> = Vec::new();
    for entry in &log.entries {
        if let Entry::Start { session, .. } = entry {
            sessions.push(session);
        }
    }
    if !sessions.is_empty() {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for session in sessions {
            change.execute("INSERT OR IGNORE INTO sessions (id) VALUES (?)", [session])?;
        }
        change.commit()?;
    }
    let open: Vec<(i64, String)> = db
        .prepare_cached("SELECT number, id FROM sessions WHERE state = 'open'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut added = 0;
    for (number, session) in open {
        // One batch a time, until there is nothing more.
        loop {
            let batch = read_on(layout, db, number, &session)?;
            added += batch as u64;
            if batch < BATCH {
                break;
            }
        }
    }
    // Only now: until here, an interrupted refresh is simply done again.
    if !log.entries.is_empty() {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut erased = false;
        for entry in &log.entries {
            match entry {
                Entry::Start { .. } | Entry::Torn => {}
                Entry::End(end) => close(&change, &end.session, "ended")?,
                Entry::Sealed(end) => close(&change, &end.session, "killed")?,
                Entry::Erased { session, seq } => {
                    erase(layout, &change, session, *seq)?;
                    erased = true;
                }
            }
        }
        change.execute("UPDATE log SET read = ? WHERE read < ?", [log.end, log.end])?;
        change.commit()?;
        if erased {
            // What was erased is not to stay in merged segments of the full-text index, nor in
            // the write-ahead log.
            db.execute("INSERT INTO words (words) VALUES ('optimize')", [])?;
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
    }
    Ok(added)
}

struct NewEntries {
    entries: Vec<Entry>,
    end: u64,
    restarted: bool,
}

fn new_entries(path: &Path, read: u64) -> Result<NewEntries> {
    let mut new = NewEntries { entries: Vec::new(), end: read, restarted: false };
    let Some((mut file, length)) = open(path)? else {
        new.restarted = read > 0;
        return Ok(new);
    };
    if length < read {
        new.restarted = true;
        new.end = 0;
    }
    file.seek(SeekFrom::Start(new.end)).during("read", path)?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line).during("read", path)? {
        new.end += line.len() as u64 + 1;
        new.entries.extend(Line::decode(&line).ok().map(|line| line.entry));
    }
    Ok(new)
}

fn open(path: &Path) -> Result<Option<(File, u64)>> {
    match platform::options().read(true).open(path) {
        Ok(file) => {
            let length = file.metadata().during("inspect", path)?.len();
            Ok(Some((file, length)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).during("open", path),
    }
}

/// The next line that is complete, without its line feed.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    reader.read_until(b'\n', line)?;
    Ok(line.pop() == Some(b'\n'))
}

/// Reads one session on by at most one batch; returns how many lines that were.
fn read_on(layout: &Layout, db: &mut Connection, number: i64, session: &str) -> Result<usize> {
    let path = layout.segment(session);
    let Some((mut file, length)) = open(&path)? else { return Ok(0) };
    let seen: u64 = db
        .prepare_cached("SELECT records_read FROM sessions WHERE number = ?")?
        .query_row([number], |row| row.get(0))?;
    if length == seen {
        return Ok(0);
    }
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Somebody else may have read it on since.
    let (mut records_read, mut contents_read): (u64, u64) = change.query_row(
        "SELECT records_read, contents_read FROM sessions WHERE number = ?",
        [number],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    // Measured again, as who held the database before may have read beyond the length above.
    let length = file.metadata().during("inspect", &path)?.len();
    if length < records_read {
        forget(&change, number)?;
        (records_read, contents_read) = (0, 0);
    }
    file.seek(SeekFrom::Start(records_read)).during("read", &path)?;
    // Not beyond: contents are written first, so those opened below hold what these records are
    // about, and perhaps not what a record that comes while we read is about.
    let mut records = BufReader::new(file.take(length - records_read));
    let mut contents = Contents::open(&layout.content(session), contents_read)?;
    let mut inserter = Inserter { change: &change, number, next: None };
    let mut line = Vec::new();
    let mut count = 0;
    while count < BATCH && next_line(&mut records, &mut line).during("read", &path)? {
        records_read += line.len() as u64 + 1;
        count += 1;
        // What is no record is verification's to tell.
        if let Ok(record) = serde_json::from_slice::<Record>(&line) {
            let beside = contents.of(record.seq)?;
            inserter.insert(&read::join(record, |field| {
                beside
                    .iter()
                    .find(|(name, ..)| name == field)
                    .map(|(_, digest, value)| (*digest, value.clone()))
            }))?;
        }
    }
    change.execute(
        "UPDATE sessions SET records_read = ?, contents_read = ? WHERE number = ?",
        (records_read, contents.read, number),
    )?;
    change.commit()?;
    Ok(count)
}

/// The contents of a session, which stand in the order of their records.
struct Contents {
    reader: Option<BufReader<File>>,
    /// The bytes of the lines that were given out.
    read: u64,
    waiting: Option<(u64, u64, Beside)>,
}

type Beside = (String, Digest, Value);

impl Contents {
    fn open(path: &Path, read: u64) -> Result<Self> {
        let reader = match open(path)? {
            Some((mut file, _)) => {
                file.seek(SeekFrom::Start(read)).during("read", path)?;
                Some(BufReader::new(file))
            }
            None => None,
        };
        Ok(Self { reader, read, waiting: None })
    }

    /// The contents of this record; those of earlier ones are skipped.
    fn of(&mut self, seq: u64) -> Result<Vec<Beside>> {
        let mut found = Vec::new();
        let mut line = Vec::new();
        loop {
            if let Some((of, length, beside)) = self.waiting.take() {
                if of > seq {
                    self.waiting = Some((of, length, beside));
                    return Ok(found);
                }
                self.read += length;
                if of == seq {
                    found.push(beside);
                }
            }
            let Some(reader) = &mut self.reader else { return Ok(found) };
            if !next_line(reader, &mut line).during("read", Path::new("contents"))? {
                self.reader = None;
                return Ok(found);
            }
            let length = line.len() as u64 + 1;
            match serde_json::from_slice::<Content<'_>>(&line) {
                Ok(content) => {
                    let value = serde_json::from_str(content.content.get())?;
                    let beside = (content.field.to_string(), content.digest(), value);
                    self.waiting = Some((content.seq, length, beside));
                }
                // Erased.
                Err(_) => self.read += length,
            }
        }
    }
}

struct Inserter<'a> {
    change: &'a Transaction<'a>,
    number: i64,
    /// The id after the last, which is free as long as the millisecond is the same.
    next: Option<i64>,
}

impl Inserter<'_> {
    /// The number of a rule that would have stopped something.
    fn observed(&self, rule: &observed::Rule) -> Result<i64> {
        let rule = serde_json::to_string(rule)?;
        self.change
            .prepare_cached("INSERT OR IGNORE INTO observed (rule) VALUES (?)")?
            .execute([&rule])?;
        let mut query = self.change.prepare_cached("SELECT number FROM observed WHERE rule = ?")?;
        Ok(query.query_row([&rule], |row| row.get(0))?)
    }

    fn insert(&mut self, event: &Event) -> Result<()> {
        let first = first_id(event.time);
        let after = first + (1 << SHIFT);
        let id = match self.next {
            Some(next) if (first..after).contains(&next) => next,
            _ => self
                .change
                .prepare_cached("SELECT max(id) FROM events WHERE id >= ? AND id < ?")?
                .query_row([first, after], |row| row.get::<_, Option<i64>>(0))?
                .map_or(first, |last| last + 1),
        };
        self.next = Some(id + 1);
        let observed = observed::rule_of(event).map(|rule| self.observed(&rule)).transpose()?;
        let added = self
            .change
            .prepare_cached(
                "INSERT OR IGNORE INTO events (id, session, seq, kind, decision, observed, line)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute((
                id,
                self.number,
                event.seq,
                event.kind.as_str(),
                event.decision.map(|decision| decision.to_string()),
                observed,
                serde_json::to_string(event)?,
            ))?;
        if added == 0 {
            return Ok(()); // the same place twice, which verification tells
        }
        self.change
            .prepare_cached("INSERT INTO words (rowid, text, facets) VALUES (?, ?, ?)")?
            .execute((id, words(event), facets_of(self.number, event)))?;
        hosts::add(self.change, self.number, event)?;
        let count = |verdict: Verdict| u64::from(event.decision == Some(verdict));
        let time = event.time.as_millisecond();
        self.change
            .prepare_cached(
                "UPDATE sessions SET events = events + 1, last = ?,
                 allowed = allowed + ?, asked = asked + ?, denied = denied + ? WHERE number = ?",
            )?
            .execute((
                time,
                count(Verdict::Allow),
                count(Verdict::Ask),
                count(Verdict::Deny),
                self.number,
            ))?;
        match event.kind {
            EventKind::SessionStart => {
                self.change.execute(
                    "UPDATE sessions SET start = ?, started = ? WHERE number = ?",
                    (serde_json::to_string(&start_detail(event))?, time, self.number),
                )?;
            }
            EventKind::SessionEnd => {
                self.change.execute(
                    "UPDATE sessions SET exit = ? WHERE number = ?",
                    (event.detail.get("exit").and_then(Value::as_i64), self.number),
                )?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Field by field, so that one of an unexpected shape hides no other.
fn start_detail(event: &Event) -> StartDetail {
    let text = |key: &str| event.detail.get(key)?.as_str().map(str::to_owned);
    StartDetail {
        agent: text("agent"),
        agent_version: text("agent_version"),
        workspace: text("workspace"),
        branch: text("branch"),
        command: event
            .detail
            .get("command")
            .and_then(|command| Vec::<String>::deserialize(command).ok()),
        tier: text("tier"),
        revision: text("revision"),
    }
}

fn facets_of(session: i64, event: &Event) -> String {
    facets(Some(session), Some(&event.kind), event.decision).join(" ")
}

/// All that a person may look for.
fn words(event: &Event) -> String {
    fn collect(value: &Value, words: &mut String) {
        match value {
            Value::String(text) => {
                words.push_str(text);
                words.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
            Value::Object(map) => map
                .iter()
                .filter(|(key, _)| *key != "argv") // the action has them, joined
                .for_each(|(_, value)| collect(value, words)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut words = String::new();
    for text in [&event.action, &event.rule, &event.reason, &event.by].into_iter().flatten() {
        words.push_str(text);
        words.push('\n');
    }
    if let Some(origin) = &event.origin {
        words.push_str(&origin.locator);
        words.push('\n');
    }
    for value in event.detail.values() {
        collect(value, &mut words);
    }
    words
}

fn close(change: &Transaction<'_>, session: &str, state: &str) -> Result<()> {
    change.execute("UPDATE sessions SET state = ? WHERE id = ?", [state, session])?;
    Ok(())
}

/// Forgets what was read of a session, which is then read from its beginning.
fn forget(change: &Transaction<'_>, number: i64) -> Result<()> {
    change.execute(
        "DELETE FROM words WHERE rowid IN (SELECT id FROM events WHERE session = ?)",
        [number],
    )?;
    change.execute("DELETE FROM events WHERE session = ?", [number])?;
    change.execute("DELETE FROM hosts WHERE session = ?", [number])?;
    change.execute(
        "UPDATE sessions SET records_read = 0, contents_read = 0, start = NULL, exit = NULL,
         events = 0, allowed = 0, asked = 0, denied = 0 WHERE number = ?",
        [number],
    )?;
    Ok(())
}

/// Takes out of the index what a record was about.
fn erase(layout: &Layout, change: &Transaction<'_>, session: &str, seq: u64) -> Result<()> {
    let found: Option<(i64, i64)> = change
        .query_row(
            "SELECT events.id, session FROM events
             WHERE session = (SELECT number FROM sessions WHERE id = ?) AND seq = ?",
            (session, seq),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let bytes = read::file(&layout.segment(session))?.unwrap_or_default();
    let record = read::lines(&bytes)
        .0
        .into_iter()
        .filter_map(|line| serde_json::from_slice::<Record>(line).ok())
        .find(|record| record.seq == seq);
    let (Some((id, number)), Some(record)) = (found, record) else { return Ok(()) };
    let event = read::join(record, |_| None);
    change
        .execute("UPDATE events SET line = ? WHERE id = ?", (serde_json::to_string(&event)?, id))?;
    change.execute("DELETE FROM words WHERE rowid = ?", [id])?;
    change.execute(
        "INSERT INTO words (rowid, text, facets) VALUES (?, ?, ?)",
        (id, words(&event), facets_of(number, &event)),
    )?;
    if hosts::is_about(&event.kind) {
        hosts::renew(change, number)?;
    }
    if event.kind == EventKind::SessionStart {
        change.execute(
            "UPDATE sessions SET start = ? WHERE number = ?",
            (serde_json::to_string(&start_detail(&event))?, number),
        )?;
    }
    Ok(())
}
