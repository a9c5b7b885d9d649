//! The questions that a plan asks of the file system, and the two that answer them: the real disk
//! and, for tests and for plans made elsewhere, one made of a map.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What stands at a path, without following a symbolic link in its last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything else: a file, a device, a socket.
    File,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name alone.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// What a walk comes by.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// An entry of a folder.
    Entry {
        /// The folder's path.
        folder: &'a Path,
        /// The name alone.
        name: &'a OsStr,
        /// What it is.
        kind: Kind,
    },
    /// A folder that is there and cannot be listed.
    Unlisted(&'a Path),
}

/// How a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Into this folder, too.
    Enter,
    /// Past this entry.
    Pass,
    /// No further.
    Stop,
}

/// The file system, as far as a plan asks.
pub trait Disk: std::fmt::Debug {
    /// What stands at `path`; nothing if it is absent or out of the supervisor's sight.
    fn kind(&self, path: &Path) -> Option<Kind>;
    /// The path without symbolic links, if something stands there.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
    /// Whether the supervisor's user may read it, a file or a folder.
    fn readable(&self, path: &Path) -> bool;
    /// The entries of a folder, in no particular order; nothing if it cannot be listed.
    fn children(&self, path: &Path) -> Option<Vec<Entry>>;
    /// The same, and nothing if there are more than `most`.
    fn few(&self, path: &Path, most: usize) -> Option<Vec<Entry>>;
    /// The text of a small file (at most 1 MiB; what is not UTF-8 stands as U+FFFD).
    fn text(&self, path: &Path) -> Option<String>;
    /// Shows everything beneath a folder, in no particular order, by the entries of folders alone:
    /// nothing is opened but folders, and no link is followed. `false` where `see` has stopped it.
    fn walk(&self, folder: &Path, see: &(dyn Fn(Seen<'_>) -> Next + Sync)) -> bool {
        let Some(entries) = self.children(folder) else {
            return self.kind(folder).is_none() || see(Seen::Unlisted(folder)) != Next::Stop;
        };
        for Entry { name, kind } in entries {
            match see(Seen::Entry { folder, name: &name, kind }) {
                Next::Enter if !self.walk(&folder.join(&name), see) => return false,
                Next::Enter | Next::Pass => {}
                Next::Stop => return false,
            }
        }
        true
    }
}

/// This machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// A configuration file larger than this is not one that git or a person wrote.
const TEXT_LIMIT: u64 = 1 << 20;

impl Disk for RealDisk {
    fn kind(&self, path: &Path) -> Option<Kind> {
        fs::symlink_metadata(path).ok().map(|metadata| kind_of(metadata.file_type()))
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        fs::canonicalize(path).ok()
    }

    fn readable(&self, path: &Path) -> bool {
        fs::File::open(path).is_ok()
    }

    fn children(&self, path: &Path) -> Option<Vec<Entry>> {
        self.few(path, usize::MAX)
    }

    fn few(&self, path: &Path, most: usize) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).ok()? {
            let entry = entry.ok()?;
            if entries.len() == most {
                return None;
            }
            entries.push(Entry { name: entry.file_name(), kind: kind_of(entry.file_type().ok()?) });
        }
        Some(entries)
    }

    fn text(&self, path: &Path) -> Option<String> {
        let mut bytes = Vec::new();
        let file = fs::File::open(path).ok()?;
        // A named pipe or a device in place of a configuration file must not stop the start.
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        file.take(TEXT_LIMIT).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[cfg(target_os = "linux")]
    fn walk(&self, folder: &Path, see: &(dyn Fn(Seen<'_>) -> Next + Sync)) -> bool {
        crate::system::walk(folder, see)
    }
}

fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::File
    }
}

/// A file system made of a map, for tests and for plans of other machines.
#[derive(Debug, Clone, Default)]
pub struct MapDisk {
    nodes: BTreeMap<PathBuf, Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Folder,
    File { text: String, readable: bool },
    Link(PathBuf),
}

impl MapDisk {
    /// An empty root.
    pub fn new() -> Self {
        let mut disk = Self::default();
        disk.nodes.insert("/".into(), Node::Folder);
        disk
    }

    /// Adds a folder and those above it.
    #[must_use]
    pub fn folder(mut self, path: impl AsRef<Path>) -> Self {
        self.above(path.as_ref());
        self.nodes.insert(path.as_ref().into(), Node::Folder);
        self
    }

    /// Adds an empty file and the folders above it.
    #[must_use]
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        self.with_text(path, "")
    }

    /// Adds a file with this text and the folders above it.
    #[must_use]
    pub fn with_text(mut self, path: impl AsRef<Path>, text: impl Into<String>) -> Self {
        self.above(path.as_ref());
        self.nodes.insert(path.as_ref().into(), Node::File { text: text.into(), readable: true });
        self
    }

    /// Adds a file that the supervisor's user may not read.
    #[must_use]
    pub fn unreadable(mut self, path: impl AsRef<Path>) -> Self {
        self.above(path.as_ref());
        self.nodes
            .insert(path.as_ref().into(), Node::File { text: String::new(), readable: false });
        self
    }

    /// Adds a symbolic link to an absolute target.
    #[must_use]
    pub fn link(mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        self.above(path.as_ref());
        self.nodes.insert(path.as_ref().into(), Node::Link(target.as_ref().into()));
        self
    }

    fn above(&mut self, path: &Path) {
        for above in path.ancestors().skip(1) {
            self.nodes.entry(above.into()).or_insert(Node::Folder);
        }
    }

    fn resolve(&self, path: &Path, depth: u8) -> Option<PathBuf> {
        if depth > 40 {
            return None;
        }
        let mut at = PathBuf::from("/");
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
                    at.pop();
                }
                std::path::Component::Normal(name) => {
                    at.push(name);
                    match self.nodes.get(&at)? {
                        Node::Link(target) => at = self.resolve(target, depth + 1)?,
                        Node::Folder | Node::File { .. } => {}
                    }
                }
                _ => {}
            }
        }
        self.nodes.contains_key(&at).then_some(at)
    }

    /// The node at a path whose folders, but not its last component, are followed.
    fn node(&self, path: &Path) -> Option<&Node> {
        let Some(name) = path.file_name() else { return self.nodes.get(path) };
        let folder = self.resolve(path.parent()?, 0)?;
        self.nodes.get(&folder.join(name))
    }
}

impl Disk for MapDisk {
    fn kind(&self, path: &Path) -> Option<Kind> {
        self.node(path).map(|node| match node {
            Node::Folder => Kind::Folder,
            Node::Link(_) => Kind::Link,
            Node::File { .. } => Kind::File,
        })
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        self.resolve(path, 0)
    }

    fn readable(&self, path: &Path) -> bool {
        self.resolve(path, 0)
            .and_then(|path| self.nodes.get(&path))
            .is_some_and(|node| !matches!(node, Node::File { readable: false, .. }))
    }

    fn children(&self, path: &Path) -> Option<Vec<Entry>> {
        let folder = self.resolve(path, 0)?;
        matches!(self.nodes.get(&folder)?, Node::Folder).then_some(())?;
        Some(
            self.nodes
                .range(folder.clone()..)
                .take_while(|(path, _)| path.starts_with(&folder))
                .filter(|(path, _)| path.parent() == Some(&folder))
                .filter_map(|(path, _)| {
                    Some(Entry { name: path.file_name()?.to_owned(), kind: self.kind(path)? })
                })
                .collect(),
        )
    }

    fn few(&self, path: &Path, most: usize) -> Option<Vec<Entry>> {
        self.children(path).filter(|entries| entries.len() <= most)
    }

    fn text(&self, path: &Path) -> Option<String> {
        match self.nodes.get(&self.resolve(path, 0)?)? {
            Node::File { text, readable: true } => Some(text.clone()),
            _ => None,
        }
    }
}
