//! The history folder as supervisors use it: begin a session, seal what others left open.

use crate::device::{self, Entry};
use crate::event::NewEvent;
use crate::layout::{Layout, check_name};
use crate::redact::Redactor;
use crate::seal::seal_dead;
use crate::segment::Segment;
use crate::{Error, Result, platform};
use std::fs;
use std::path::Path;

/// The largest segment that is sealed while a session starts: hashing it takes about 10 ms.
/// Larger ones wait for a verification.
const SEAL_AT_BEGIN: u64 = 4 << 20;

/// A history folder, open for writing.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
}

impl Store {
    /// Opens a history folder, and creates it if it is not there.
    ///
    /// # Errors
    /// If it cannot be created, or is not this user's alone.
    pub fn open(folder: &Path) -> Result<Self> {
        let layout = Layout::new(folder);
        for folder in [layout.root().to_owned(), layout.segments(), layout.open()] {
            platform::create_folder(&folder)?;
        }
        Ok(Self { layout })
    }

    /// Begins a session: when this returns, its segment and its start in the device log are on
    /// the disk.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the session must not start then, and nothing of it
    /// is left.
    pub fn begin(&self, session: &str, redactor: Redactor, start: NewEvent) -> Result<Segment> {
        let segment = self.begin_meanwhile(session, redactor, start)?;
        segment.begun()?;
        Ok(segment)
    }

    /// The same without waiting for the disk: [`Segment::begun`] does. Segments whose supervisors
    /// were killed are sealed on the way.
    ///
    /// # Errors
    /// Whatever kept it from being written; nothing of the session is left.
    pub fn begin_meanwhile(
        &self,
        session: &str,
        redactor: Redactor,
        start: NewEvent,
    ) -> Result<Segment> {
        check_name(session)?;
        let guard = device::lock(&self.layout)?;
        let files = [
            self.layout.segment(session),
            self.layout.content(session),
            self.layout.marker(session),
        ];
        if files.iter().any(|file| file.symlink_metadata().is_ok()) {
            return Err(Error::SessionExists(session.into()));
        }
        let remove = move || {
            for file in files {
                let _ = fs::remove_file(file); // the error that counts is on its way already
            }
        };
        let (segment, first) = match Segment::create(&self.layout, session, redactor, start) {
            Ok(created) => created,
            Err(error) => {
                remove();
                return Err(error);
            }
        };
        let (layout, session) = (self.layout.clone(), session.to_owned());
        segment.serve(move |shared| {
            let entry = Entry::Start { session, first };
            let begun = shared.sync_new().and_then(|()| device::append(&layout, &guard, entry));
            if begun.is_err() {
                remove();
            }
            drop(guard);
            if begun.is_ok() {
                // Not this session's concern: what cannot be sealed now is sealed by the next.
                let _ = seal_dead(&layout, SEAL_AT_BEGIN);
            }
            shared.settle(begun);
        })?;
        Ok(segment)
    }

    /// Erases what one event was about (its action, and all that was recorded as private). The
    /// record stays, and verification says that this was erased, by the device log.
    ///
    /// # Errors
    /// If there is no such content, or it cannot be overwritten.
    pub fn erase(&self, session: &str, seq: u64) -> Result<()> {
        crate::erase::erase(&self.layout, session, seq)
    }
}
