//! A disk that remembers what it was asked. Plans ask about many paths in few folders, and the
//! time of a start is mostly system calls.

use super::{Disk, Entry, Kind, Next, Seen};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The answers of another disk, each asked for once.
#[derive(Debug)]
pub(super) struct Known<'a> {
    disk: &'a dyn Disk,
    // By their bytes, which are hashed faster than what they mean.
    kinds: RefCell<HashMap<OsString, Option<Kind>>>,
    folders: RefCell<HashMap<OsString, Folder>>,
    canonical: RefCell<HashMap<OsString, Option<PathBuf>>>,
}

/// What is known of a folder.
#[derive(Debug)]
enum Folder {
    /// It was asked about so often, one name at a time.
    Asked(u8),
    /// All that is in it.
    Listed(HashMap<OsString, Kind>),
    /// It has too much in it, or cannot be listed.
    Unlisted,
}

/// From this question on, one listing costs less than asking for each name.
const WORTH_LISTING: u8 = 6;
/// A listing that is longer costs more.
const SHORT: usize = 512;

impl<'a> Known<'a> {
    pub(super) fn new(disk: &'a dyn Disk) -> Self {
        Self {
            disk,
            kinds: RefCell::default(),
            folders: RefCell::default(),
            canonical: RefCell::default(),
        }
    }

    fn ask(&self, path: &Path) -> Option<Kind> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return self.disk.kind(path);
        };
        let mut folders = self.folders.borrow_mut();
        let known = folders.entry(folder.as_os_str().to_owned()).or_insert(Folder::Asked(0));
        if let Folder::Asked(times) = known {
            *times += 1;
            if *times >= WORTH_LISTING {
                *known = match self.disk.few(folder, SHORT) {
                    Some(few) => {
                        Folder::Listed(few.into_iter().map(|it| (it.name, it.kind)).collect())
                    }
                    None => Folder::Unlisted,
                };
            }
        }
        match known {
            Folder::Listed(names) => names.get(name).copied(),
            Folder::Asked(_) | Folder::Unlisted => self.disk.kind(path),
        }
    }

    /// Without the memory of the path itself, but with that of its folder.
    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return self.disk.canonical(path);
        };
        let path = self.canonical(folder)?.join(name);
        match self.kind(&path)? {
            Kind::Link => self.disk.canonical(&path),
            Kind::Folder | Kind::File => Some(path),
        }
    }
}

impl Disk for Known<'_> {
    fn kind(&self, path: &Path) -> Option<Kind> {
        if let Some(kind) = self.kinds.borrow().get(path.as_os_str()) {
            return *kind;
        }
        let kind = self.ask(path);
        self.kinds.borrow_mut().insert(path.into(), kind);
        kind
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        if let Some(canonical) = self.canonical.borrow().get(path.as_os_str()) {
            return canonical.clone();
        }
        let canonical = self.resolve(path);
        self.canonical.borrow_mut().insert(path.into(), canonical.clone());
        canonical
    }

    fn readable(&self, path: &Path) -> bool {
        self.disk.readable(path)
    }

    fn children(&self, path: &Path) -> Option<Vec<Entry>> {
        self.disk.children(path)
    }

    fn few(&self, path: &Path, most: usize) -> Option<Vec<Entry>> {
        self.disk.few(path, most)
    }

    fn text(&self, path: &Path) -> Option<String> {
        self.disk.text(path)
    }

    fn walk(&self, folder: &Path, see: &(dyn Fn(Seen<'_>) -> Next + Sync)) -> bool {
        self.disk.walk(folder, see)
    }
}
