//! The index over the segments, for browsing and searching. It can be deleted at any time, and no
//! session waits for it: a supervisor reads it where a connection is asked for to a host that no list
//! names, and without it no host is familiar.

mod credentials;
mod database;
mod fill;
mod hosts;
mod observed;
mod query;

use crate::Result;
use crate::event::{Event, EventKind};
use crate::layout::Layout;
use chaperone_policy::Verdict;
pub use credentials::CredentialUse;
use database::{connect, is_damage, prepare, remove};
pub use hosts::HostReport;
use jiff::Timestamp;
pub use observed::Observed;
use query::{count, list, query, summary};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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

    /// What was let pass because a policy only observed, by the rule that would have stopped it:
    /// the most frequent first.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn observed(&mut self, since: Option<Timestamp>) -> Result<Vec<Observed>> {
        self.read(|db| observed::report(db, since))
    }

    /// The hosts that a session was about, or all sessions were that heard of one since then, in the
    /// order in which they were first heard of.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn hosts(
        &mut self,
        session: Option<&str>,
        since: Option<Timestamp>,
    ) -> Result<Vec<HostReport>> {
        self.read(|db| hosts::hosts(db, session, since))
    }

    /// What each session had to do with one `host:port`, by the sessions' ids, the latest first. None
    /// is about the hosts that were too many to be told apart.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn host(&mut self, host: Option<&str>) -> Result<Vec<(String, HostReport)>> {
        self.read(|db| hosts::sessions(db, host))
    }

    /// The last use of each credential, by name.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn credentials(&mut self) -> Result<Vec<CredentialUse>> {
        self.read(credentials::last)
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
