//! Segments whose supervisors were killed are entered in the device log as they were found.

use crate::device::{self, Entry, Final};
use crate::error::During;
use crate::hash::{Hash, Tree, leaf_hash};
use crate::layout::{Layout, check_name};
use crate::{Result, platform, read};
use std::fs::{self, File, TryLockError};
use std::io;

/// Seals every segment that is open and whose supervisor is gone, up to this size in bytes.
/// Costs nothing but a folder listing where there is none. Returns the sessions.
pub(crate) fn seal_dead(layout: &Layout, largest: u64) -> Result<Vec<String>> {
    let mut sealed = Vec::new();
    for session in open_sessions(layout)? {
        // Holding the marker's lock keeps others from sealing the same segment.
        if let Some(_marker) = claim(layout, &session)?
            && seal(layout, &session, largest)?
        {
            sealed.push(session);
        }
    }
    Ok(sealed)
}

/// The sessions that have a marker, sorted.
pub(crate) fn open_sessions(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.open();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).during("list", &folder),
    };
    let mut sessions = Vec::new();
    for entry in entries {
        let name = entry.during("list", &folder)?.file_name();
        sessions.extend(name.to_str().filter(|name| check_name(name).is_ok()).map(str::to_owned));
    }
    sessions.sort();
    Ok(sessions)
}

/// Whether a supervisor holds this session's marker.
pub(crate) fn is_live(layout: &Layout, session: &str) -> Result<bool> {
    let path = layout.marker(session);
    match platform::options().read(true).open(&path) {
        Ok(marker) => match marker.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error).during("lock", &path),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).during("open", &path),
    }
}

/// The locked marker of a session whose supervisor is gone.
fn claim(layout: &Layout, session: &str) -> Result<Option<File>> {
    let path = layout.marker(session);
    // A session that is just beginning holds this lock until its marker is locked.
    let _guard = device::lock(layout)?;
    let marker = match platform::options().read(true).write(true).open(&path) {
        Ok(marker) => marker,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).during("open", &path),
    };
    match marker.try_lock() {
        // Who sealed it in between has removed the marker; names are never used again.
        Ok(()) => Ok(path.exists().then_some(marker)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).during("lock", &path),
    }
}

fn seal(layout: &Layout, session: &str, largest: u64) -> Result<bool> {
    let path = layout.segment(session);
    let marker = layout.marker(session);
    match fs::metadata(&path) {
        Ok(found) if found.len() > largest => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Killed before it began, or taken away since: the device log knows which, and a
            // verification says so.
            fs::remove_file(&marker).during("remove", &marker)?;
            return Ok(false);
        }
        Err(error) => return Err(error).during("inspect", &path),
    }
    let mut started = false;
    let mut finished = false;
    let mut erased = Vec::new();
    for entry in read::entries(layout)? {
        match entry {
            Entry::Start { session: of, .. } => started |= of == session,
            Entry::End(of) | Entry::Sealed(of) => finished |= of.session == session,
            Entry::Erased { session: of, seq } if of == session => erased.push(seq),
            Entry::Erased { .. } | Entry::Torn => {}
        }
    }
    if !finished {
        for path in [&path, &layout.content(session)] {
            if let Ok(file) = platform::options().write(true).open(path) {
                file.sync_data().during("sync", path)?;
            }
        }
        let bytes = read::file(&path)?.unwrap_or_default();
        let beside = read::file(&layout.content(session))?.unwrap_or_default();
        let (lines, torn) = read::lines(&bytes);
        let leaves: Vec<Hash> = lines.iter().map(|line| leaf_hash(line)).collect();
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let missing =
            read::count_missing(&lines, &read::contents(&beside), |seq| erased.contains(&seq));
        let guard = device::lock(layout)?;
        if !started {
            let first = leaves.first().copied().unwrap_or(Hash::NONE);
            device::append(layout, &guard, Entry::Start { session: session.into(), first })?;
        }
        let sealed = Entry::Sealed(Final {
            session: session.into(),
            size: tree.size(),
            bytes: bytes.len() as u64,
            root: tree.root(),
            last: leaves.last().copied().unwrap_or(Hash::NONE),
            torn,
            missing,
        });
        device::append(layout, &guard, sealed)?;
    }
    fs::remove_file(&marker).during("remove", &marker)?;
    Ok(!finished)
}
