//! The index over the segments, for browsing and searching. It is never on a session's path:
//! supervisors do not know of it, and it can be deleted at any time.

mod fill;

use crate::error::During;
use crate::event::{Event, EventKind};
use crate::layout::Layout;
use crate::{Error, Result, platform, seal};
use chaperone_policy::Verdict;
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Changes whenever the schema does: an index of another version is built anew.
const VERSION: i64 = 1;

/// How many bits of an event's id tell apart what happened in one millisecond.
const SHIFT: u32 = 20;

/// An index over one history folder.
#[derive(Debug)]
pub struct Index {
    layout: Layout,
    /// None: in memory.
    path: Option<PathBuf>,
    db: Connection,
}

/// Which events to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only of this session.
    pub session: Option<String>,
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only with this decision.
    pub decision: Option<Verdict>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
    /// Only those older than the page that ended here.
    pub before: Option<Cursor>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { session: None, kind: None, decision: None, since: None, limit: 100, before: None }
    }
}

/// Where a page ended. Written as text, because it does not fit into a JavaScript number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// Some events, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
}

/// One session at a glance. Texts are none where they were not known, or were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionSummary {
    /// The session's id.
    pub id: String,
    /// How it stands.
    pub state: SessionState,
    /// The agent's name.
    pub agent: Option<String>,
    /// Its version.
    pub agent_version: Option<String>,
    /// The workspace.
    pub workspace: Option<String>,
    /// The branch that was checked out in it.
    pub branch: Option<String>,
    /// The agent's command line.
    pub command: Option<Vec<String>>,
    /// The sandbox's tier.
    pub tier: Option<String>,
    /// The managed policy's revision.
    pub revision: Option<String>,
    /// When it began.
    #[serde(with = "crate::record::milliseconds")]
    pub started: Timestamp,
    /// When it ended, or when its supervisor recorded the last event before it was killed.
    #[serde(with = "crate::record::maybe_milliseconds")]
    pub ended: Option<Timestamp>,
    /// The exit status, of a session that ended.
    pub exit: Option<i64>,
    /// How many events it has.
    pub events: u64,
    /// How many of them are decisions or answers that allow.
    pub allowed: u64,
    /// How many of them ask.
    pub asked: u64,
    /// How many of them deny.
    pub denied: u64,
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Its supervisor lives.
    Running,
    /// It came to its end.
    Ended,
    /// Its supervisor was killed.
    Killed,
}

impl Index {
    /// Opens the index of a history folder, or begins a new one where there is none that can be
    /// used. `refresh` then reads what is new.
    ///
    /// # Errors
    /// If the folder is not there, or the index can be neither used nor replaced.
    pub fn open(folder: &Path) -> Result<Self> {
        let layout = Layout::new(folder);
        let path = folder.join("index.sqlite");
        let db = match connect(&path) {
            Ok(db) => db,
            Err(error) if is_damage(&error) => {
                remove(&path)?;
                connect(&path)?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { layout, path: Some(path), db })
    }

    /// An index that is kept nowhere: for a folder that is another user's.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn in_memory(folder: &Path) -> Result<Self> {
        let mut db = Connection::open_in_memory()?;
        prepare(&mut db)?;
        Ok(Self { layout: Layout::new(folder), path: None, db })
    }

    /// Reads what was added to the history since the last time, by its bytes: nothing that was
    /// read is read again. Returns how many events are new.
    ///
    /// # Errors
    /// If the history cannot be read. A damaged index is built anew instead.
    pub fn refresh(&mut self) -> Result<u64> {
        if self.path.as_ref().is_some_and(|path| !path.exists()) {
            self.renew()?;
        }
        match fill::refresh(&self.layout, &mut self.db) {
            Err(error) if is_damage(&error) => {
                self.renew()?;
                fill::refresh(&self.layout, &mut self.db)
            }
            result => result,
        }
    }

    /// Lists events, the newest first.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn list(&mut self, filter: &Filter) -> Result<Page> {
        self.read(|db| list(db, filter, None))
    }

    /// Lists the events in which all words of a text occur, the last also as a beginning.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn search(&mut self, text: &str, filter: &Filter) -> Result<Page> {
        let query = query(text);
        if query.is_empty() {
            return Ok(Page { events: Vec::new(), next: None });
        }
        self.read(|db| list(db, filter, Some(&query)))
    }

    /// How many events a search would list on all of its pages together.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn count(&mut self, text: &str, filter: &Filter) -> Result<u64> {
        let query = query(text);
        if query.is_empty() {
            return Ok(0);
        }
        let filter = Filter { before: None, ..filter.clone() };
        self.read(|db| count(db, &filter, &query))
    }

    /// All sessions, the latest first.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn sessions(&mut self) -> Result<Vec<SessionSummary>> {
        let layout = self.layout.clone();
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT * FROM sessions WHERE started IS NOT NULL ORDER BY started DESC, number DESC",
            )?;
            let rows = query.query_map([], |row| summary(&layout, row))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One session at a glance.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn session(&mut self, session: &str) -> Result<Option<SessionSummary>> {
        let layout = self.layout.clone();
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT * FROM sessions WHERE id = ? AND started IS NOT NULL")?;
            Ok(query.query_row([session], |row| summary(&layout, row)).optional()?)
        })
    }

    /// All events of a session, in order.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn story(&mut self, session: &str) -> Result<Vec<Event>> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT line FROM events
                 WHERE session = (SELECT number FROM sessions WHERE id = ?) ORDER BY seq",
            )?;
            let rows = query.query_map([session], |row| row.get::<_, String>(0))?;
            rows.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
        })
    }

    /// One event.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn show(&mut self, session: &str, seq: u64) -> Result<Option<Event>> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT line FROM events
                 WHERE session = (SELECT number FROM sessions WHERE id = ?) AND seq = ?",
            )?;
            let line: Option<String> =
                query.query_row((session, seq), |row| row.get(0)).optional()?;
            Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
        })
    }

    /// Reads from the database, and if it turns out to be damaged, builds it anew and reads again.
    fn read<T>(&mut self, what: impl Fn(&Connection) -> Result<T>) -> Result<T> {
        match what(&self.db) {
            Err(error) if is_damage(&error) => {
                self.renew()?;
                fill::refresh(&self.layout, &mut self.db)?;
                what(&self.db)
            }
            result => result,
        }
    }

    /// Begins a new index in place of this one.
    fn renew(&mut self) -> Result<()> {
        match &self.path {
            Some(path) => {
                remove(path)?;
                self.db = connect(path)?;
            }
            None => {
                self.db = Connection::open_in_memory()?;
                prepare(&mut self.db)?;
            }
        }
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection> {
    // Made here so that only its owner can read it; SQLite gives its other files the same mode.
    platform::options().append(true).create(true).open(path).during("open", path)?;
    let mut db = Connection::open(path)?;
    // The window, the CLI and supervisors' children may all be reading at once.
    db.busy_timeout(Duration::from_secs(10))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    prepare(&mut db)?;
    Ok(db)
}

fn prepare(db: &mut Connection) -> Result<()> {
    // What is erased from the history is not to stay in the index's free pages.
    db.pragma_update(None, "secure_delete", "ON")?;
    let change = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => {}
        0 => {
            change.execute_batch(include_str!("schema.sql"))?;
            change.pragma_update(None, "user_version", VERSION)?;
        }
        _ => return Err(Error::OtherIndex(version)),
    }
    change.commit()?;
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = Path::new(&name);
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).during("remove", path);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether an index has to be built anew: no database, damaged, of another version, or with
/// something in it that this program would not have written.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::OtherIndex(_) | Error::Encode(_) => true,
        Error::Index(rusqlite::Error::SqliteFailure(failure, _)) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::TypeMismatch
                | ErrorCode::ConstraintViolation
                | ErrorCode::Unknown // such as a missing table
        ),
        Error::Index(error) => matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::InvalidColumnName(_)
                | rusqlite::Error::SqlInputError { .. }
        ),
        _ => false,
    }
}

/// Which rows a filter is about: of which table, under which conditions, with which values.
struct Selection {
    table: &'static str,
    id: &'static str,
    conditions: String,
    values: Vec<Sql>,
}

/// None: no row, because there is no such session.
fn select(db: &Connection, filter: &Filter, words: Option<&str>) -> Result<Option<Selection>> {
    let Filter { session, kind, decision, since, limit: _, before } = filter;
    let mut number: Option<i64> = None;
    if let Some(session) = session {
        number = db
            .prepare_cached("SELECT number FROM sessions WHERE id = ?")?
            .query_row([session], |row| row.get(0))
            .optional()?;
        if number.is_none() {
            return Ok(None);
        }
    }
    let mut conditions = vec!["true".to_owned()];
    let mut values: Vec<Sql> = Vec::new();
    let mut also = |condition: String, value: Sql| {
        conditions.push(condition);
        values.push(value);
    };
    let (table, id) = if let Some(words) = words {
        let facets = facets(number, kind.as_ref(), *decision).join(" AND ");
        let facets = if facets.is_empty() { facets } else { format!(" AND facets : ({facets})") };
        also("words MATCH ?".into(), Sql::Text(format!("text : ({words}){facets}")));
        ("words", "words.rowid")
    } else {
        if let Some(number) = number {
            also("session = ?".into(), Sql::Integer(number));
        }
        if let Some(kind) = kind {
            also("kind = ?".into(), Sql::Text(kind.to_string()));
        }
        if let Some(decision) = decision {
            also("decision = ?".into(), Sql::Text(decision.to_string()));
        }
        ("events", "events.id")
    };
    if let Some(since) = since {
        also(format!("{id} >= ?"), Sql::Integer(first_id(*since)));
    }
    if let Some(Cursor(before)) = before {
        let before = before.parse().map_err(|_| Error::NotFound(format!("page `{before}`")))?;
        also(format!("{id} < ?"), Sql::Integer(before));
    }
    Ok(Some(Selection { table, id, conditions: conditions.join(" AND "), values }))
}

fn list(db: &Connection, filter: &Filter, words: Option<&str>) -> Result<Page> {
    let mut page = Page { events: Vec::new(), next: None };
    let Some(Selection { table, id, conditions, values }) = select(db, filter, words)? else {
        return Ok(page);
    };
    // The full-text table finds and orders, and each event is then fetched by its id.
    let join = if table == "events" { "" } else { "CROSS JOIN events ON events.id = words.rowid" };
    let limit = filter.limit;
    let mut query = db.prepare_cached(&format!(
        "SELECT events.id, events.line FROM {table} {join} WHERE {conditions}
         ORDER BY {id} DESC LIMIT {limit}"
    ))?;
    let mut rows = query.query(params_from_iter(values))?;
    let mut last = 0_i64;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        page.events.push(serde_json::from_str(&row.get::<_, String>(1)?)?);
    }
    let full = page.events.len() == limit && limit > 0;
    page.next = full.then(|| Cursor(last.to_string()));
    Ok(page)
}

fn count(db: &Connection, filter: &Filter, words: &str) -> Result<u64> {
    let Some(Selection { table, id: _, conditions, values }) = select(db, filter, Some(words))?
    else {
        return Ok(0);
    };
    let mut query =
        db.prepare_cached(&format!("SELECT count(*) FROM {table} WHERE {conditions}"))?;
    Ok(query.query_row(params_from_iter(values), |row| row.get(0))?)
}

/// The words that stand in an event's facets. Letters and digits only, so each is one token.
fn facets(
    session: Option<i64>,
    kind: Option<&EventKind>,
    decision: Option<Verdict>,
) -> Vec<String> {
    let letters = |word: &str| -> String { word.chars().filter(|c| c.is_alphanumeric()).collect() };
    let mut facets = Vec::new();
    facets.extend(session.map(|number| format!("session{number}")));
    facets.extend(kind.map(|kind| format!("kind{}", letters(kind.as_str()))));
    facets.extend(decision.map(|decision| format!("decision{decision}")));
    facets
}

/// The smallest id that an event of this moment can have.
fn first_id(time: Timestamp) -> i64 {
    let most = (i64::MAX >> SHIFT) - 1;
    time.as_millisecond().clamp(0, most) << SHIFT
}

/// Each word in quotes, so that nothing in it is taken for an operator.
fn query(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    if words.is_empty() { String::new() } else { words.join(" AND ") + "*" }
}

fn summary(layout: &Layout, row: &Row<'_>) -> rusqlite::Result<SessionSummary> {
    let id: String = row.get("id")?;
    let state: String = row.get("state")?;
    let state = match state.as_str() {
        "ended" => SessionState::Ended,
        "open" if seal::is_live(layout, &id).unwrap_or(false) => SessionState::Running,
        _ => SessionState::Killed,
    };
    let start: Option<String> = row.get("start")?;
    let start: fill::StartDetail =
        start.and_then(|start| serde_json::from_str(&start).ok()).unwrap_or_default();
    let time = |column: &str| -> rusqlite::Result<Option<Timestamp>> {
        let time: Option<i64> = row.get(column)?;
        Ok(time.and_then(|time| Timestamp::from_millisecond(time).ok()))
    };
    Ok(SessionSummary {
        agent: start.agent,
        agent_version: start.agent_version,
        workspace: start.workspace,
        branch: start.branch,
        command: start.command,
        tier: start.tier,
        revision: start.revision,
        started: time("started")?.unwrap_or_default(),
        ended: if state == SessionState::Running { None } else { time("last")? },
        exit: row.get("exit")?,
        events: row.get("events")?,
        allowed: row.get("allowed")?,
        asked: row.get("asked")?,
        denied: row.get("denied")?,
        id,
        state,
    })
}
