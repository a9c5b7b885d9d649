//! The database file: opened, made, and replaced where it cannot be used.

use crate::error::During;
use crate::{Error, Result, platform};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Changes whenever the schema does: an index of another version is built anew.
const VERSION: i64 = 3;

pub(super) fn connect(path: &Path) -> Result<Connection> {
    // One at a time: switching a new database to its log does not wait for others that do.
    let turn = path.with_extension("lock");
    let turn = platform::options().append(true).create(true).open(&turn).during("open", &turn)?;
    turn.lock().during("lock", path)?;
    // Made here so that only its owner can read it; SQLite gives its other files the same mode. One
    // that is there is not opened: closing it would drop this process's locks on it (fcntl(2)).
    match platform::options().append(true).create_new(true).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).during("create", path);
        }
        Ok(_) | Err(_) => {}
    }
    let mut db = Connection::open(path)?;
    // The window, the CLI and supervisors' children may all be reading at once.
    db.busy_timeout(Duration::from_secs(10))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // In KiB: the first refresh of a long history adds to four trees at once.
    db.pragma_update(None, "cache_size", -32 * 1024)?;
    prepare(&mut db)?;
    Ok(db)
}

pub(super) fn prepare(db: &mut Connection) -> Result<()> {
    // What is erased from the history is not to stay in the index's free pages.
    db.pragma_update(None, "secure_delete", "ON")?;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
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

pub(super) fn remove(path: &Path) -> Result<()> {
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
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::OtherIndex(_) | Error::Encode(_) => true,
        Error::Index(rusqlite::Error::SqliteFailure(failure, message)) => match failure.code {
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::TypeMismatch
            | ErrorCode::ConstraintViolation => true,
            _ => message.as_deref().is_some_and(is_foreign),
        },
        Error::Index(rusqlite::Error::SqlInputError { msg, .. }) => is_foreign(msg),
        Error::Index(error) => matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::InvalidColumnName(_)
        ),
        _ => false,
    }
}

/// Whether SQLite says with this that a table or column of ours is not there.
fn is_foreign(message: &str) -> bool {
    ["no such table", "no such column", "has no column", "vtable constructor failed"]
        .iter()
        .any(|words| message.contains(words))
}
