//! The writer of one session's segment. It has no lock that another session could hold.
//!
//! An event is written before `append` returns; durable kinds are on the disk by then, the
//! others within a second, by a thread that sleeps while there is nothing to do. The same thread
//! has the beginning on the disk before.

use crate::device::{self, Entry, Final};
use crate::error::During;
use crate::event::NewEvent;
use crate::hash::{Hash, Tree, leaf_hash};
use crate::layout::Layout;
use crate::record::Draft;
use crate::redact::Redactor;
use crate::{Error, Result, platform};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long allowed actions may stay in the page cache before the disk is told to keep them.
/// Half of what promise 7 gives, so that the other half is left for the disk.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// One session's segment, open for writing. All threads of a supervisor can share it.
///
/// Dropped without `end`, it counts as the segment of a killed supervisor: the next session, or
/// the next verification, seals it as it is.
#[derive(Debug)]
pub struct Segment {
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    session: String,
    layout: Layout,
    redactor: Redactor,
    records: File,
    contents: File,
    /// Locked for as long as this supervisor lives, which is how others know that it does.
    _marker: File,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    begun: Begun,
    tree: Tree,
    last: Option<Hash>,
    bytes: u64,
    content_bytes: u64,
    /// How much of the contents is known to be on the disk.
    contents_synced: u64,
    /// Something was written that the disk has not been told to keep.
    dirty: bool,
    /// How often the thread has told it, the beginning aside.
    flushes: u64,
    failed: Option<String>,
    ended: bool,
    stopping: bool,
    /// What is dirty should not wait for more.
    hasty: bool,
}

/// Whether the beginning is on the disk.
#[derive(Debug, Default)]
enum Begun {
    #[default]
    Waiting,
    Yes,
    No(Error),
    /// Whoever asked first was told why.
    Told,
}

impl Segment {
    /// Creates the files and writes the first record. The caller holds the device lock, removes
    /// what is left if this fails, and calls `serve` otherwise.
    pub(crate) fn create(
        layout: &Layout,
        session: &str,
        redactor: Redactor,
        start: NewEvent,
    ) -> Result<(Self, Hash)> {
        let new = |path: &Path| {
            let mut options = platform::options();
            options.append(true).create_new(true).open(path).during("create", path)
        };
        let draft = Draft::new(session, start, &redactor)?;
        let marker = new(&layout.marker(session))?;
        marker.lock().during("lock", &layout.marker(session))?;
        let shared = Shared {
            session: session.to_owned(),
            layout: layout.clone(),
            redactor,
            records: new(&layout.segment(session))?,
            contents: new(&layout.content(session))?,
            _marker: marker,
            state: Mutex::default(),
            wake: Condvar::new(),
        };
        let (_, first) = shared.write(&mut shared.lock(), draft)?;
        Ok((Self { shared: Arc::new(shared), flusher: Mutex::new(None) }, first))
    }

    /// Starts the thread, which has the beginning on the disk and then flushes.
    pub(crate) fn serve(&self, begin: impl FnOnce(&Shared) + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            begin(&shared);
            shared.flush();
        };
        let started = thread::Builder::new().name("history".into()).spawn(work);
        let started = started.during("start the thread for", &self.shared.layout.segments())?;
        *self.flusher.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }

    /// Waits until the segment and its start in the device log are on the disk.
    ///
    /// # Errors
    /// Whatever kept them from it; the session must not start then, and nothing of it is left.
    pub fn begun(&self) -> Result<()> {
        let waiting = |state: &mut State| matches!(state.begun, Begun::Waiting);
        let waited = self.shared.wake.wait_while(self.shared.lock(), waiting);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut state.begun, Begun::Told) {
            Begun::Waiting | Begun::Yes => {
                state.begun = Begun::Yes;
                Ok(())
            }
            Begun::No(error) => Err(error),
            Begun::Told => Err(Error::Failed("it could not begin".into())),
        }
    }

    /// The session's id.
    pub fn session(&self) -> &str {
        &self.shared.session
    }

    /// Records an event and returns its sequence number. When this returns, the event survives
    /// the death of the process; if it is a session's start or end, a request, an answer, an ask
    /// or a denial, also the loss of power.
    ///
    /// # Errors
    /// Whatever kept it from being recorded. The caller must not let happen what this was about.
    pub fn append(&self, event: NewEvent) -> Result<u64> {
        let durable = event.is_durable();
        let draft = Draft::new(&self.shared.session, event, &self.shared.redactor)?;
        self.begun()?;
        let mut state = self.shared.lock();
        if state.ended {
            return Err(Error::Ended(self.shared.session.clone()));
        }
        let (seq, _) = self.shared.write(&mut state, draft)?;
        if durable {
            // Others may append meanwhile: what they write comes after, and is theirs to sync.
            drop(state);
            self.shared.sync()?;
        } else if !state.dirty {
            state.dirty = true;
            drop(state);
            self.shared.wake.notify_all();
        }
        Ok(seq)
    }

    /// Records the session's end and enters the segment's root in the device log.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the segment is then sealed by the next session.
    /// A second call is refused.
    pub fn end(&self, event: NewEvent) -> Result<()> {
        let draft = Draft::new(&self.shared.session, event, &self.shared.redactor)?;
        self.begun()?;
        let mut state = self.shared.lock();
        if state.ended {
            return Err(Error::Ended(self.shared.session.clone()));
        }
        let (_, last) = self.shared.write(&mut state, draft)?;
        state.ended = true;
        let end = Entry::End(Final {
            session: self.shared.session.clone(),
            size: state.tree.size(),
            bytes: state.bytes,
            root: state.tree.root(),
            last,
            torn: false,
            missing: 0,
        });
        drop(state);
        self.stop_flusher();
        self.shared.sync()?;
        let layout = &self.shared.layout;
        device::append(layout, &device::lock(layout)?, end)?;
        let marker = layout.marker(&self.shared.session);
        fs::remove_file(&marker).during("remove", &marker)
    }

    /// Has what was written go to the disk now, without waiting for it: the session ends, and its
    /// end has less to wait for.
    pub fn hasten(&self) {
        self.shared.lock().hasty = true;
        self.shared.wake.notify_all();
    }

    fn stop_flusher(&self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = flusher {
            let _ = thread.join(); // it does not panic, and what it failed at is in the state
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.stop_flusher();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record and its contents. If it fails, both files are as they were before, or
    /// nothing more can be written: never is a half record followed by another.
    fn write(&self, state: &mut State, draft: Draft) -> Result<(u64, Hash)> {
        if let Some(why) = &state.failed {
            return Err(Error::Failed(why.clone()));
        }
        let seq = state.tree.size() + 1;
        let encoded = draft.encode(seq, state.last.unwrap_or(Hash::NONE))?;
        // Contents first: whoever finds a record finds what it is about.
        let written = (&self.contents)
            .write_all(&encoded.contents)
            .during("write", &self.layout.content(&self.session))
            .and_then(|()| {
                (&self.records)
                    .write_all(&encoded.line)
                    .during("write", &self.layout.segment(&self.session))
            });
        if let Err(error) = written {
            let restored = self
                .records
                .set_len(state.bytes)
                .and_then(|()| self.contents.set_len(state.content_bytes));
            if restored.is_err() {
                state.failed = Some(error.to_string());
            }
            return Err(error);
        }
        let line = encoded.line.strip_suffix(b"\n").unwrap_or(&encoded.line);
        let leaf = leaf_hash(line);
        state.tree.push(leaf);
        state.last = Some(leaf);
        state.bytes += encoded.line.len() as u64;
        state.content_bytes += encoded.contents.len() as u64;
        Ok((seq, leaf))
    }

    /// Has everything on the disk. After a failure the kernel may have dropped what it could not
    /// write, so nothing more is accepted.
    fn sync(&self) -> Result<()> {
        self.sync_contents_so_far()?;
        let synced = self.sync_records();
        if let Err(error) = &synced {
            self.lock().failed = Some(error.to_string());
        }
        synced
    }

    fn sync_contents_so_far(&self) -> Result<()> {
        let bytes = {
            let state = self.lock();
            if state.contents_synced >= state.content_bytes {
                return Ok(());
            }
            state.content_bytes
        };
        let synced = self.sync_contents();
        let mut state = self.lock();
        match &synced {
            Ok(()) => state.contents_synced = state.contents_synced.max(bytes),
            Err(error) => state.failed = Some(error.to_string()),
        }
        synced
    }

    /// Says whether the beginning is on the disk.
    pub(crate) fn settle(&self, begun: Result<()>) {
        let mut state = self.lock();
        match begun {
            Ok(()) => state.begun = Begun::Yes,
            Err(error) => {
                state.begun = Begun::No(error);
                state.stopping = true;
            }
        }
        drop(state);
        self.wake.notify_all();
    }

    /// The same for files that are new, and so have to be found in their folders after a loss of
    /// power.
    pub(crate) fn sync_new(&self) -> Result<()> {
        self.sync()?;
        platform::sync_folder(&self.layout.segments())?;
        platform::sync_folder(&self.layout.open())
    }

    fn sync_contents(&self) -> Result<()> {
        self.contents.sync_data().during("sync", &self.layout.content(&self.session))
    }

    fn sync_records(&self) -> Result<()> {
        self.records.sync_data().during("sync", &self.layout.segment(&self.session))
    }

    /// The flusher: sleeps until something is dirty, lets more come in, and has it on the disk.
    fn flush(&self) {
        let mut state = self.lock();
        while !state.stopping {
            if !state.dirty {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self
                .wake
                .wait_timeout_while(state, FLUSH_AFTER, |state| !state.stopping && !state.hasty)
                .unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if state.ended {
                break; // what is left goes to the disk with the end
            }
            let hasty = std::mem::take(&mut state.hasty);
            // The end, which is soon to be recorded, has the records on the disk.
            state.dirty = hasty;
            drop(state);
            // The failure is in the state, for the next append.
            let _ = if hasty { self.sync_contents_so_far() } else { self.sync() };
            state = self.lock();
            state.flushes += 1;
            self.wake.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventKind, Store};

    #[test]
    fn allowed_actions_reach_the_disk_on_their_own_and_nothing_else_wakes_the_flusher() {
        assert!(FLUSH_AFTER <= Duration::from_millis(500));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let start = NewEvent::new(EventKind::SessionStart);
        let segment = store.begin("s", Redactor::default(), start).unwrap();
        segment.append(NewEvent::new(EventKind::Request)).unwrap();
        assert!(!segment.shared.lock().dirty);

        for _ in 0..3 {
            segment.append(NewEvent::new(EventKind::Command)).unwrap();
        }
        // Far longer than promised, for a machine that is busy with other tests.
        let long = Duration::from_secs(60);
        let (state, waited) = segment
            .shared
            .wake
            .wait_timeout_while(segment.shared.lock(), long, |state| state.flushes == 0)
            .unwrap();
        assert!(!waited.timed_out());
        assert!(!state.dirty);
        assert_eq!(state.flushes, 1);
    }

    #[test]
    fn an_end_that_could_not_be_recorded_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let start = NewEvent::new(EventKind::SessionStart);
        let segment = store.begin("s", Redactor::default(), start).unwrap();
        segment.shared.lock().failed = Some("the disk is gone".into());
        let refused = segment.end(NewEvent::session_end(0));
        assert!(matches!(refused, Err(Error::Failed(_))));
        segment.shared.lock().failed = None;
        segment.end(NewEvent::session_end(0)).unwrap();
    }
}
