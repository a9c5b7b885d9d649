//! Reads policy layers from the operating system: which files, whose they are, and who else could
//! have written them. What the files say is `chaperone-policy`'s business.

#[cfg(all(unix, not(target_os = "macos")))]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(any(target_os = "macos", test))]
mod preferences;
pub mod remote;
#[cfg(unix)]
mod unix;
mod watch;
#[cfg(windows)]
mod windows;

// The system's own store of policies.
#[cfg(all(unix, not(target_os = "macos")))]
use linux as store;
#[cfg(target_os = "macos")]
use macos as store;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as store;
#[cfg(windows)]
use windows::files as system;

pub use watch::{WatchError, Watcher};
#[cfg(windows)]
pub use windows::{UserFolders, user_folders};

use chaperone_policy::{Layer, Reading, SourceKind};
use jiff::Timestamp;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The largest policy file that is read, in bytes. The largest honest one is a tenth of it.
pub const LARGEST: u64 = 1 << 20;

/// The name of a workspace's own policy file.
pub const WORKSPACE_FILE: &str = ".chaperone.toml";

/// Where the layers of one session are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// The folder of managed files.
    pub managed: PathBuf,
    /// The folder of recommended files.
    pub recommended: PathBuf,
    /// The user's own file.
    pub user: PathBuf,
    /// The workspace folder, whose [`WORKSPACE_FILE`] is read.
    pub workspace: Option<PathBuf>,
    /// `--policy` files, in the order given.
    pub command_line: Vec<PathBuf>,
    /// Who may have written the files.
    pub trust: Trust,
    /// What Chaperone is called in the system's own store of policies: the key below `HKLM` and
    /// `HKCU` on Windows, the domain of the preferences on macOS. `None` looks into none.
    pub store: Option<String>,
}

/// Where IT puts files on a system.
struct Folders {
    managed: PathBuf,
    recommended: PathBuf,
}

/// Who may have written a file so that its grants count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The user id that owns managed and recommended files: root's.
    pub owner: u32,
    /// The user id that sessions run as. Where it is the owner's, that user could have written
    /// the managed files, and they are untrusted.
    pub user: u32,
    /// The topmost folder whose ownership is checked, everything beneath included: `/`.
    pub top: PathBuf,
    /// The user's home folder. Whoever could replace a folder above it could replace all of it.
    pub home: PathBuf,
}

impl Locations {
    /// The locations of this machine for this process's user. `xdg_config_home` is the variable's
    /// value; a relative one is ignored, as the XDG specification says.
    pub fn system(
        home: &Path,
        xdg_config_home: Option<&Path>,
        workspace: Option<&Path>,
        command_line: Vec<PathBuf>,
    ) -> Self {
        let config = xdg_config_home
            .filter(|path| path.is_absolute())
            .map_or_else(|| home.join(".config"), Path::to_path_buf);
        let Folders { managed, recommended } = store::folders();
        Self {
            managed,
            recommended,
            user: config.join("chaperone/config.toml"),
            workspace: workspace.map(Path::to_path_buf),
            command_line,
            trust: Trust {
                owner: 0,
                user: system::user(),
                top: PathBuf::from("/"),
                home: home.to_path_buf(),
            },
            store: store::STORE.map(str::to_owned),
        }
    }
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("there is none")]
    Absent,
    #[error("{0} is no regular file")]
    NotAFile(PathBuf),
    #[error("{0} is a symbolic link, which is not followed here")]
    Link(PathBuf),
    #[error("{0} is larger than 1 MiB")]
    TooLarge(PathBuf),
    #[error("{path} is not UTF-8 text: byte {at} is not")]
    NotText { path: PathBuf, at: usize },
    #[error("{path} cannot be read: {error}")]
    Io { path: PathBuf, error: std::io::Error },
}

/// Whose file is expected, and so what its owner and mode must be.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(unix), expect(dead_code, reason = "who owns a file is only asked on Unix"))]
enum Expect<'a> {
    /// The owner's alone, with all folders above it, and no link on the way.
    Managed(&'a Trust),
    /// The user's or root's, with the folders above it.
    User(&'a Trust),
    /// Anybody's; a link is followed. The user named it.
    Named,
    /// Anybody's, and hostile: no link is followed at the end.
    Workspace,
}

/// A file's text, and why its grants do not count, if they do not.
struct Text {
    text: String,
    problem: Option<String>,
}

/// The policy files of a folder, in name order, and why their grants do not count.
struct Folder {
    names: Vec<OsString>,
    open: system::Open,
    problem: Option<String>,
}

/// Reads every layer, from the weakest kind to the strongest; the built-in defaults are not among
/// them. What is not there is listed as absent. It never fails: what cannot be read is a layer
/// that says so, and `merge` starts no session where that could hide a restriction.
pub fn read(locations: &Locations) -> Vec<Layer> {
    let Locations { managed, recommended, user, workspace, command_line, trust, store: _ } =
        locations;
    // One time for all: a file that is named twice is one layer.
    let now = Timestamp::now();
    let mut layers = folder(SourceKind::RecommendedFile, recommended, trust, now);
    layers.extend(folder(SourceKind::ManagedFile, managed, trust, now));
    layers.extend(store::layers(locations, now));
    layers.push(single(SourceKind::UserFile, user, Expect::User(trust), now));
    for path in command_line {
        layers.push(match single(SourceKind::CommandLine, path, Expect::Named, now) {
            // Somebody asked for this file: without it the session would not be the one meant.
            layer if layer.status == chaperone_policy::LayerStatus::Absent => Layer::unreadable(
                SourceKind::CommandLine,
                &path.to_string_lossy(),
                &format!("{} does not exist.", path.display()),
            ),
            layer => layer,
        });
    }
    if let Some(workspace) = workspace {
        let path = workspace.join(WORKSPACE_FILE);
        layers.push(single(SourceKind::WorkspaceFile, &path, Expect::Workspace, now));
    }
    layers
}

/// What can be told of sources without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    files: Vec<(PathBuf, Option<Seen>)>,
    locations: Locations,
    store: Option<String>,
    /// When one of the sources says something else without being written.
    until: Option<SystemTime>,
}

/// What changes when a file or folder does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    length: u64,
    written: Option<SystemTime>,
    changed: (i64, i64),
}

impl Stamp {
    /// Whether any source has been written, replaced, added or removed since, or has expired.
    pub fn is_outdated(&self) -> bool {
        self.until.is_some_and(|until| SystemTime::now() > until)
            || self.files.iter().any(|(path, before)| seen(path) != *before)
            || store::mark(&self.locations) != self.store
    }

    /// The stamp with more files, as they are now.
    #[must_use]
    pub fn with(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files.into_iter().map(stamped));
        self
    }

    /// The stamp, outdated after this time at the latest.
    #[must_use]
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(self.until.map_or(time, |before| before.min(time)));
        self
    }
}

/// The sources as they are now. Take it before reading them: what is written in between is then
/// read again.
pub fn stamp(locations: &Locations) -> Stamp {
    let Locations { managed, recommended, user, workspace, command_line, trust: _, store: _ } =
        locations;
    let mut paths = vec![user.clone()];
    paths.extend(workspace.iter().map(|folder| folder.join(WORKSPACE_FILE)));
    paths.extend(command_line.iter().cloned());
    for folder in [managed, recommended] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        paths.extend(entries.filter(|it| is_policy_file(&it.file_name())).map(|it| it.path()));
        paths.push(folder.clone());
    }
    Stamp {
        files: paths.into_iter().map(stamped).collect(),
        locations: locations.clone(),
        store: store::mark(locations),
        until: None,
    }
}

fn stamped(path: PathBuf) -> (PathBuf, Option<Seen>) {
    let seen = seen(&path);
    (path, seen)
}

fn seen(path: &Path) -> Option<Seen> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Seen {
        length: metadata.len(),
        written: metadata.modified().ok(),
        changed: system::changed(&metadata),
    })
}

fn folder(kind: SourceKind, path: &Path, trust: &Trust, now: Timestamp) -> Vec<Layer> {
    let expect = Expect::Managed(trust);
    let folder = match system::open_folder(path, expect) {
        Ok(folder) => folder,
        Err(error) => return vec![failed(kind, path, error)],
    };
    if folder.names.is_empty() {
        let mut layer = Layer::absent(kind, &path.to_string_lossy());
        layer.detail = "The folder holds no `*.toml` or `*.json` file.".to_owned();
        return vec![layer];
    }
    let read = |name: &OsString| {
        let path = path.join(name);
        match system::read_in(&folder.open, name, &path, expect) {
            Ok(Text { text, problem }) => {
                layer(kind, &path, text, folder.problem.clone().or(problem), now)
            }
            // It was there a moment ago: what it restricted cannot be known.
            Err(ReadError::Absent) => Layer::unreadable(
                kind,
                &path.to_string_lossy(),
                &format!("{} vanished while it was read.", path.display()),
            ),
            Err(error) => failed(kind, &path, error),
        }
    };
    folder.names.iter().map(read).collect()
}

fn single(kind: SourceKind, path: &Path, expect: Expect<'_>, now: Timestamp) -> Layer {
    match system::read_at(path, expect) {
        Ok(Text { text, problem }) => layer(kind, path, text, problem, now),
        Err(error) => failed(kind, path, error),
    }
}

fn layer(
    kind: SourceKind,
    path: &Path,
    text: String,
    problem: Option<String>,
    now: Timestamp,
) -> Layer {
    let layer = Layer::from_file(kind, &path.to_string_lossy(), &text)
        .with_reading(Reading::new(text.into_bytes(), now));
    match problem {
        Some(problem) => {
            layer.untrusted(&format!("{problem}, so its restrictions apply and its grants do not."))
        }
        None => layer,
    }
}

fn failed(kind: SourceKind, path: &Path, error: ReadError) -> Layer {
    let locator = path.to_string_lossy();
    match error {
        ReadError::Absent => Layer::absent(kind, &locator),
        error => {
            let mut detail = error.to_string();
            detail.push('.');
            Layer::unreadable(kind, &locator, &detail)
        }
    }
}

/// Whether a folder's entry is a policy file; editors' hidden copies are not.
fn is_policy_file(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    (name.ends_with(".toml") || name.ends_with(".json")) && !name.starts_with('.')
}

/// Text from bytes that were read up to one more than the largest size.
fn text(bytes: Vec<u8>, path: &Path) -> Result<String, ReadError> {
    if bytes.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge(path.to_path_buf()));
    }
    String::from_utf8(bytes).map_err(|error| ReadError::NotText {
        path: path.to_path_buf(),
        at: error.utf8_error().valid_up_to(),
    })
}
