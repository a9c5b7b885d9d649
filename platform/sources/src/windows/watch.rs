//! Hears of changes in the registry and in folders, and of Group Policy that was applied. What the
//! system tells is that something is new nearby; only what then differs in a source is told on.

use super::registry::{Hive, Open};
use crate::watch::{ATTEMPTS, around, paths};
use crate::{Locations, Stamp, stamp};
use std::collections::BTreeSet;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::null;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_SUCCESS, HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_NOTIFY_CHANGE_ATTRIBUTES, FILE_NOTIFY_CHANGE_DIR_NAME, FILE_NOTIFY_CHANGE_FILE_NAME,
    FILE_NOTIFY_CHANGE_LAST_WRITE, FILE_NOTIFY_CHANGE_SECURITY, FILE_NOTIFY_CHANGE_SIZE,
    FindCloseChangeNotification, FindFirstChangeNotificationW,
};
use windows_sys::Win32::System::GroupPolicy::{RegisterGPNotification, UnregisterGPNotification};
use windows_sys::Win32::System::Registry::{
    REG_NOTIFY_CHANGE_LAST_SET, REG_NOTIFY_CHANGE_NAME, REG_NOTIFY_CHANGE_SECURITY,
    RegNotifyChangeKeyValue,
};
use windows_sys::Win32::System::SystemServices::MAXIMUM_WAIT_OBJECTS;
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects, WaitForSingleObject,
};

/// How long what is heard is collected, in milliseconds: a folder that others work in is busy.
const COLLECT: u32 = 50;

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    stop: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.set();
        // A thread that panicked watches no more, which is what is wanted.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Watching {
    pub(crate) fn new(
        locations: &Locations,
        others: Vec<PathBuf>,
        tell: Sender<()>,
    ) -> io::Result<Self> {
        let stop = Arc::new(Event::new()?);
        let ending = Arc::clone(&stop);
        let sources = Sources { locations: locations.clone(), others };
        let (ready, is_ready) = channel();
        let listen = move || {
            // The system forgets what a thread asked for when the thread ends, so this one asks.
            let policies = [GroupPolicy::new(true), GroupPolicy::new(false)];
            let mut ears = sources.ears();
            let mut before = sources.stamp();
            let _ = ready.send(());
            while heard(&ending, &policies, &ears) {
                drop(ears);
                ears = sources.ears();
                let now = sources.stamp();
                if now != before && tell.send(()).is_err() {
                    return;
                }
                before = now;
            }
        };
        let thread = thread::Builder::new().name("sources".into()).spawn(listen)?;
        // Nothing that is written from now on may be missed.
        let _ = is_ready.recv();
        Ok(Self { stop, thread: Some(thread) })
    }

    /// The thread follows what comes and goes.
    pub(crate) fn follow(&mut self) {}
}

/// Waits until something is heard; `false` when it is time to end.
fn heard(ending: &Event, policies: &[Option<GroupPolicy>], ears: &[Ear]) -> bool {
    let mut handles = vec![ending.0];
    handles.extend(policies.iter().flatten().map(|policy| policy.event.0));
    handles.extend(ears.iter().map(Ear::handle));
    // What is beyond is polled.
    handles.truncate(MAXIMUM_WAIT_OBJECTS as usize);
    let count = u32::try_from(handles.len()).unwrap_or_default();
    // SAFETY: the handles are open as long as what was given.
    let woken = unsafe { WaitForMultipleObjects(count, handles.as_ptr(), 0, INFINITE) };
    let at = woken.wrapping_sub(WAIT_OBJECT_0);
    // SAFETY: the handle is open.
    at > 0 && at < count && unsafe { WaitForSingleObject(ending.0, COLLECT) } == WAIT_TIMEOUT
}

/// What is listened to.
struct Sources {
    locations: Locations,
    others: Vec<PathBuf>,
}

impl Sources {
    fn stamp(&self) -> Stamp {
        let within = |path: &PathBuf| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).chain([path.clone()]).collect::<BTreeSet<_>>()
        };
        stamp(&self.locations).with(self.others.iter().flat_map(within))
    }

    /// Asks to hear of the next change, of whatever is there now.
    fn ears(&self) -> Vec<Ear> {
        let mut ears = Vec::new();
        for _ in 0..ATTEMPTS {
            ears.clear();
            let (keys, folders) = (self.keys(), self.folders());
            let ask = |(hive, path, own): &(Hive, String, bool)| Ear::of_key(*hive, path, *own);
            ears.extend(keys.iter().filter_map(ask));
            ears.extend(folders.iter().filter_map(|folder| Ear::of_folder(folder)));
            // What was made or removed meanwhile would not be heard of.
            if self.keys() == keys && self.folders() == folders {
                break;
            }
        }
        ears
    }

    /// The policies' key in either hive and those above it that exist, each with whether it is the
    /// policies' own. A key that is deleted says so in the one above it, and that may be next.
    fn keys(&self) -> Vec<(Hive, String, bool)> {
        let Some(own) = &self.locations.store else { return Vec::new() };
        fn above<'p>(path: &&'p str) -> Option<&'p str> {
            path.rsplit_once('\\').map(|(above, _)| above)
        }
        let paths: Vec<&str> = std::iter::successors(Some(own.as_str()), above).collect();
        let keys = [Hive::Machine, Hive::User]
            .into_iter()
            .flat_map(|hive| paths.iter().map(move |path| (hive, (*path).to_owned(), path == own)));
        keys.filter(|(hive, path, _)| matches!(Open::new(*hive, path), Ok(Some(_)))).collect()
    }

    fn folders(&self) -> BTreeSet<PathBuf> {
        let mut sources = paths(&self.locations);
        sources.extend(self.others.iter().cloned());
        sources.iter().flat_map(|source| around(source)).map(Path::to_path_buf).collect()
    }
}

/// Hears of one change. Each key has an event of its own, because asking for another would reset
/// the one that is set ("RegNotifyChangeKeyValue").
enum Ear {
    /// The key is closed before the event, which closing it sets.
    Key(#[expect(dead_code, reason = "it is heard of while it is open")] Open, Event),
    Folder(HANDLE),
}

impl Ear {
    fn of_key(hive: Hive, path: &str, own: bool) -> Option<Self> {
        let key = Open::new(hive, path).ok().flatten()?;
        let event = Event::new().ok()?;
        let content = REG_NOTIFY_CHANGE_LAST_SET | REG_NOTIFY_CHANGE_SECURITY;
        let filter = REG_NOTIFY_CHANGE_NAME | if own { content } else { 0 };
        // SAFETY: the key and the event are open.
        let result = unsafe {
            RegNotifyChangeKeyValue(key.handle(), own.into(), filter, event.0, true.into())
        };
        (result == ERROR_SUCCESS).then_some(Self::Key(key, event))
    }

    fn of_folder(folder: &Path) -> Option<Self> {
        let path: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
        let filter = FILE_NOTIFY_CHANGE_FILE_NAME
            | FILE_NOTIFY_CHANGE_DIR_NAME
            | FILE_NOTIFY_CHANGE_ATTRIBUTES
            | FILE_NOTIFY_CHANGE_SIZE
            | FILE_NOTIFY_CHANGE_LAST_WRITE
            | FILE_NOTIFY_CHANGE_SECURITY;
        // SAFETY: the path ends with a zero.
        let handle = unsafe { FindFirstChangeNotificationW(path.as_ptr(), 0, filter) };
        (handle != INVALID_HANDLE_VALUE && !handle.is_null()).then_some(Self::Folder(handle))
    }

    fn handle(&self) -> HANDLE {
        match self {
            Self::Key(_, event) => event.0,
            Self::Folder(handle) => *handle,
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Self::Folder(handle) = self {
            // SAFETY: the handle is open and this is its only owner.
            unsafe { FindCloseChangeNotification(*handle) };
        }
    }
}

/// An event of the system's, which resets itself when it was waited for.
#[derive(Debug)]
struct Event(HANDLE);

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Event {}
// SAFETY: and from several at once ("Event objects").
unsafe impl Sync for Event {}

impl Event {
    fn new() -> io::Result<Self> {
        // SAFETY: neither attributes nor a name are given.
        let handle = unsafe { CreateEventW(null(), 0, 0, null()) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }

    fn set(&self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.0) };
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the handle is open and this is its only owner.
        unsafe { CloseHandle(self.0) };
    }
}

/// Group Policy, of the machine or of the user.
struct GroupPolicy {
    event: Event,
}

impl GroupPolicy {
    /// `None` where the system has none.
    fn new(machine: bool) -> Option<Self> {
        let event = Event::new().ok()?;
        // SAFETY: the event is open until it is unregistered.
        let registered = unsafe { RegisterGPNotification(event.0, machine.into()) };
        (registered != 0).then_some(Self { event })
    }
}

impl Drop for GroupPolicy {
    fn drop(&mut self) {
        // SAFETY: the event is open and registered.
        unsafe { UnregisterGPNotification(self.event.0) };
    }
}
