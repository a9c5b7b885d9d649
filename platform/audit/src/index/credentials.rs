//! Credentials: which session used each last, and for which host. No value is anywhere near.

use crate::Result;
use crate::event::{Event, NAME};
use jiff::Timestamp;
use rusqlite::Connection;

/// The last use of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUse {
    /// Its name.
    pub name: String,
    /// The session's id.
    pub session: String,
    /// `host:port`; none where it was erased.
    pub host: Option<String>,
    /// When the session used it there first.
    pub time: Timestamp,
}

/// The last use of each, by name.
pub(super) fn last(db: &Connection) -> Result<Vec<CredentialUse>> {
    // With a maximum, SQLite takes the other columns from its row.
    let mut query = db.prepare_cached(
        "SELECT line, max(id), json_extract(line, '$.detail.' || ?) AS name FROM events
         WHERE kind = 'credential' AND name IS NOT NULL GROUP BY name ORDER BY name",
    )?;
    let mut rows = query.query([NAME])?;
    let mut uses = Vec::new();
    while let Some(row) = rows.next()? {
        let event: Event = serde_json::from_str(&row.get::<_, String>(0)?)?;
        let Event { session, action: host, time, .. } = event;
        uses.push(CredentialUse { name: row.get(2)?, session, host, time });
    }
    Ok(uses)
}
