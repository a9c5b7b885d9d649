//! Listing, searching and counting: filters as SQL, and rows as what callers get.

use super::fill::StartDetail;
use super::{Cursor, Filter, Page, SHIFT, SessionState, SessionSummary};
use crate::event::EventKind;
use crate::layout::Layout;
use crate::{Error, Result, seal};
use chaperone_policy::Verdict;
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

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

pub(super) fn list(db: &Connection, filter: &Filter, words: Option<&str>) -> Result<Page> {
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

pub(super) fn count(db: &Connection, filter: &Filter, words: &str) -> Result<u64> {
    let Some(Selection { table, id: _, conditions, values }) = select(db, filter, Some(words))?
    else {
        return Ok(0);
    };
    let mut query =
        db.prepare_cached(&format!("SELECT count(*) FROM {table} WHERE {conditions}"))?;
    Ok(query.query_row(params_from_iter(values), |row| row.get(0))?)
}

/// The words that stand in an event's facets. Letters and digits only, so each is one token.
pub(super) fn facets(
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
pub(super) fn first_id(time: Timestamp) -> i64 {
    let most = (i64::MAX >> SHIFT) - 1;
    time.as_millisecond().clamp(0, most) << SHIFT
}

/// How many words of a search count: SQLite takes no expression that is deeper than 256.
const MOST_WORDS: usize = 32;

/// Each word in quotes, so that nothing in it is taken for an operator.
pub(super) fn query(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(MOST_WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    if words.is_empty() { String::new() } else { words.join(" AND ") + "*" }
}

pub(super) fn summary(layout: &Layout, row: &Row<'_>) -> rusqlite::Result<SessionSummary> {
    let id: String = row.get("id")?;
    let state: String = row.get("state")?;
    let state = match state.as_str() {
        "ended" => SessionState::Ended,
        "open" if seal::is_live(layout, &id).unwrap_or(false) => SessionState::Running,
        _ => SessionState::Killed,
    };
    let start: Option<String> = row.get("start")?;
    let start: StartDetail =
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
