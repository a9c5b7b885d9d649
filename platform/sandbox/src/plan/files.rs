//! The draft of a plan's files: what is granted, what is hidden or kept from change within that,
//! and how the two are said where there are no namespaces.

use super::walk::Patterns;
use super::{
    Access, Denied, Disk, GuardedBut, Kind, Loss, PathGrant, Refusal, carve, compute, git,
};
use chaperone_policy::{PathPattern, SourceKind, Sourced};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Files, being planned.
pub(super) struct Files<'a> {
    disk: &'a dyn Disk,
    home: &'a Path,
    pub(super) grants: Vec<PathGrant>,
    pub(super) hidden: Vec<PathBuf>,
    pub(super) read_only: Vec<PathBuf>,
    pub(super) guarded: Vec<String>,
    pub(super) guarded_but: Vec<GuardedBut>,
    pub(super) denied: Vec<Denied>,
    pub(super) shown: Vec<PathBuf>,
    /// The folders with a `.git` that a look for denied names has come by.
    pub(super) repositories: Vec<PathBuf>,
    pub(super) sockets: Vec<PathBuf>,
    pub(super) losses: Vec<Loss>,
    /// The paths of all grants, once they are settled.
    granted: HashSet<OsString>,
    /// The paths of the writable grants, once they are settled.
    writable: Vec<PathBuf>,
    /// Folders of protected paths, resolved once.
    folders: HashMap<PathBuf, Option<PathBuf>>,
}

impl<'a> Files<'a> {
    pub(super) fn new(disk: &'a dyn Disk, home: &'a Path) -> Self {
        Self {
            disk,
            home,
            grants: Vec::new(),
            hidden: Vec::new(),
            read_only: Vec::new(),
            guarded: Vec::new(),
            guarded_but: Vec::new(),
            denied: Vec::new(),
            shown: Vec::new(),
            repositories: Vec::new(),
            sockets: Vec::new(),
            losses: Vec::new(),
            granted: HashSet::new(),
            writable: Vec::new(),
            folders: HashMap::new(),
        }
    }

    /// Grants what exists. Nothing that holds the home folder is granted this way.
    pub(super) fn grant(&mut self, path: &Path, access: Access) {
        if let Some(path) = self.disk.canonical(path)
            && !self.home.starts_with(&path)
        {
            self.grants.push(PathGrant { path, access });
        }
    }

    /// Grants a folder of the system, also where somebody's home lies in it.
    pub(super) fn grant_system(&mut self, path: &Path) {
        if self.disk.kind(path).is_none() {
            return;
        }
        let Some(path) = self.disk.canonical(path) else { return };
        let home = [self.home.to_owned()];
        let parts = match self.home.starts_with(&path) {
            true => carve::carve(&path, &home, self.disk),
            false => vec![path],
        };
        let grant = |path| PathGrant { path, access: Access::Read };
        self.grants.extend(parts.into_iter().map(grant));
    }

    /// Grants what a policy names, in so many words.
    pub(super) fn grant_named(&mut self, path: &Path, access: Access) {
        let (key, does) = match access {
            Access::Read => ("read", "reads"),
            Access::Write | Access::Device => ("write", "changes"),
        };
        let Some(real) = self.disk.canonical(path) else {
            self.losses.push(Loss {
                id: "grant-without-path".into(),
                detail: format!("filesystem.{key} names {}, which does not exist.", path.display()),
                fix: format!(
                    "Create it before the session starts, or remove it from filesystem.{key}."
                ),
            });
            return;
        };
        if access != Access::Read && self.home.starts_with(&real) {
            self.losses.push(Loss {
                id: "grant-too-wide".into(),
                detail: format!(
                    "filesystem.{key} names {}, which holds the whole home folder; no agent {does} that.",
                    path.display()
                ),
                fix: "Name the folders that are needed.".into(),
            });
            return;
        }
        self.grants.push(PathGrant { path: real, access });
    }

    /// Grants the way to a socket of another program.
    pub(super) fn grant_socket(&mut self, path: &Path) {
        match self.disk.canonical(path) {
            Some(real) if self.disk.kind(&real) == Some(Kind::File) => {
                self.sockets.push(real.clone());
                self.grants.push(PathGrant { path: real, access: Access::Read });
            }
            _ => self.losses.push(Loss {
                id: "grant-without-path".into(),
                detail: format!(
                    "filesystem.sockets names {}, where nothing listens.",
                    path.display()
                ),
                fix: "Start what listens there before the session, or remove it from \
                      filesystem.sockets."
                    .into(),
            }),
        }
    }

    /// Leaves out what a wider grant gives already, and sorts. Everything below builds on it.
    pub(super) fn settle(&mut self) {
        self.grants.sort_by(|a, b| (&a.path, b.access).cmp(&(&b.path, a.access)));
        let mut kept: Vec<PathGrant> = Vec::with_capacity(self.grants.len());
        // The grants above the one in hand: sorted paths come right after what holds them.
        let mut above: Vec<usize> = Vec::new();
        for grant in self.grants.drain(..) {
            while above.last().is_some_and(|&at| !grant.path.starts_with(&kept[at].path)) {
                above.pop();
            }
            let gives = |wider: Access| {
                wider == grant.access || wider == Access::Write && grant.access == Access::Read
            };
            if !above.iter().any(|&at| gives(kept[at].access)) {
                above.push(kept.len());
                kept.push(grant);
            }
        }
        self.writable = kept
            .iter()
            .filter(|grant| grant.access == Access::Write)
            .map(|grant| grant.path.clone())
            .collect();
        self.granted = kept.iter().map(|grant| grant.path.clone().into_os_string()).collect();
        self.grants = kept;
    }

    /// Takes back what is denied, also what will be created under a denied name.
    pub(super) fn deny(&mut self, denials: &[Sourced<PathPattern>]) -> Result<(), Refusal> {
        let disk = self.disk;
        let globs: Vec<_> =
            denials.iter().filter(|denial| denial.value.as_literal().is_none()).collect();
        let patterns = Patterns::new(&globs)?;
        // By every name that leads there.
        let mut exact: HashMap<OsString, Vec<&PathPattern>> = HashMap::new();
        for Sourced { value, .. } in denials {
            let Some(path) = value.as_literal() else { continue };
            exact.entry(path.into()).or_default().push(value);
            if let Some(real) = disk.canonical(path).filter(|real| real != path) {
                exact.entry(real.into()).or_default().push(value);
            }
        }
        let denies = |path: &Path| {
            let named = |above: &Path| {
                let mut here = exact.get(above.as_os_str()).into_iter().flatten();
                here.any(|denial| compute::denies(denial, path, disk))
            };
            path.ancestors().any(named) || patterns.cover(path)
        };
        let before = self.grants.len();
        self.grants.retain(|grant| !denies(&grant.path));
        self.sockets.retain(|socket| !denies(socket));
        if self.grants.len() < before {
            self.settle();
        }
        let roots: Vec<_> = self.grants.iter().map(|grant| grant.path.clone()).collect();
        let mut denied: Vec<PathBuf> = exact.keys().map(PathBuf::from).collect();
        let found = patterns.existing_and_repositories(&roots, disk)?;
        self.repositories = found.repositories;
        for path in found.named {
            // The name of a link is denied for what it leads to.
            match disk.kind(&path) {
                Some(Kind::Link) => denied.extend(disk.canonical(&path)),
                _ => denied.push(path),
            }
        }
        denied.retain(|path| self.shows(path));
        for path in &denied {
            let mut kept = exceptions(denials, path, disk)?;
            kept.retain(|kept| !denies(kept));
            match kept.is_empty() {
                true => self.hide(path),
                false => self.hide_but(path, &kept),
            }
        }
        for Sourced { value, origin } in denials {
            match (value.as_literal(), value.exceptions()) {
                (Some(path), []) => self.protect(path),
                (Some(path), but) => {
                    self.guard_pattern(&globset::escape(&path.to_string_lossy()), texts(but)?);
                }
                (None, but) => self.guard_pattern(value.as_str(), texts(but)?),
            }
            let (glob, begins) = match value.as_literal() {
                Some(path) => (globset::escape(&path.to_string_lossy()), path.to_owned()),
                None => (value.as_str().to_owned(), super::walk::literal_prefix(value.as_str())),
            };
            if self.grants.iter().any(|grant| meets(&grant.path, &begins)) {
                let what = GuardedBut { glob, but: texts(value.exceptions())? };
                let by_default = origin.kind == SourceKind::BuiltIn;
                self.denied.push(Denied { what, by_default });
            }
        }
        Ok(())
    }

    /// Hides all of a folder but these paths, also what will appear there.
    pub(super) fn hide_all_but(&mut self, folder: &Path, kept: &[PathBuf]) {
        let folder = self.disk.canonical(folder).unwrap_or_else(|| folder.to_owned());
        if self.grants.iter().any(|grant| folder.starts_with(&grant.path)) {
            self.hide_but(&folder, kept);
            let text = |path: &Path| globset::escape(&path.to_string_lossy());
            let but = kept.iter().filter(|kept| kept.starts_with(&folder)).map(|kept| text(kept));
            let what = GuardedBut { glob: text(&folder), but: but.collect() };
            self.denied.push(Denied { what, by_default: true });
        }
    }

    /// Hides an existing path without links in it, where a grant would show it.
    pub(super) fn hide(&mut self, path: &Path) {
        if self.shows(path) && self.disk.kind(path).is_some_and(|kind| kind != Kind::Link) {
            self.hidden.push(path.to_owned());
        }
    }

    /// Whether a folder above is granted.
    fn shows(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|above| self.granted.contains(above.as_os_str()))
    }

    /// Hides what is in a folder, but for these paths.
    fn hide_but(&mut self, folder: &Path, kept: &[PathBuf]) {
        let Some(folder) = self.disk.canonical(folder) else { return };
        if self.grants.iter().any(|grant| folder.starts_with(&grant.path)) {
            self.shown.extend(kept.iter().filter(|kept| kept.starts_with(&folder)).cloned());
            for path in carve::carve(&folder, kept, self.disk) {
                self.hide(&path);
            }
        }
    }

    /// Keeps a path, existing or not, from being created or changed.
    pub(super) fn protect(&mut self, path: &Path) {
        let path = git::normal(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
        if self.is_writable(&path) {
            self.guard(&path);
        }
        let disk = self.disk;
        let real_folder = self
            .folders
            .entry(folder.to_owned())
            .or_insert_with(|| disk.kind(folder).and_then(|_| disk.canonical(folder)));
        // Where the folder is a link, its target is where the file would be.
        let Some(path) = real_folder.as_ref().map(|folder| folder.join(name)) else { return };
        if self.is_writable(&path) {
            self.guard(&path);
        }
        let real = match disk.kind(&path) {
            Some(Kind::Link) => disk.canonical(&path),
            Some(_) => Some(path.clone()),
            None => None,
        };
        if let Some(real) = real
            && self.is_writable(&real)
        {
            if real != path {
                self.guard(&real);
            }
            self.read_only.push(real);
        }
    }

    /// Keeps whatever a pattern names from being created or changed, but for these.
    pub(super) fn guard_pattern(&mut self, text: &str, but: Vec<String>) {
        let prefix = super::walk::literal_prefix(text);
        if !self.writable.iter().any(|grant| meets(grant, &prefix)) {
            return;
        }
        match but.is_empty() {
            true => self.guarded.push(text.to_owned()),
            false => self.guarded_but.push(GuardedBut { glob: text.to_owned(), but }),
        }
    }

    fn guard(&mut self, path: &Path) {
        self.guarded.push(globset::escape(&path.to_string_lossy()));
    }

    fn is_writable(&self, path: &Path) -> bool {
        self.writable.iter().any(|grant| path.starts_with(grant) && path != grant)
    }

    /// Sorts the lists and leaves out what another entry covers.
    pub(super) fn finish(&mut self) {
        outermost(&mut self.hidden);
        outermost(&mut self.read_only);
        let hidden = &self.hidden;
        self.read_only.retain(|path| !hidden.iter().any(|hidden| path.starts_with(hidden)));
        self.guarded.sort();
        self.guarded.dedup();
        self.guarded_but.sort();
        self.guarded_but.dedup();
        self.denied.sort();
        self.denied.dedup();
        self.shown.sort();
        self.shown.dedup();
    }

    /// Says with grants alone what would otherwise take mounts, and names what that cannot say.
    pub(super) fn without_namespaces(&mut self) {
        let hidden = std::mem::take(&mut self.hidden);
        self.denied.clear();
        self.shown.clear();
        let mut grants = Vec::with_capacity(self.grants.len());
        for grant in self.grants.drain(..) {
            match grant.access {
                Access::Write => grants.push(grant),
                Access::Read | Access::Device => grants.extend(
                    carve::carve(&grant.path, &hidden, self.disk)
                        .into_iter()
                        .map(|path| PathGrant { path, access: grant.access }),
                ),
            }
        }
        self.grants = grants;
        let left: Vec<_> = hidden
            .iter()
            .filter(|path| self.is_writable(path))
            .map(|path| path.display().to_string())
            .collect();
        if !left.is_empty() {
            self.losses.push(Loss {
                id: "secrets-in-workspace".into(),
                detail: format!(
                    "On this machine these cannot be hidden from reading, as they lie in a folder that the agent may write: {}.",
                    left.join(", ")
                ),
                fix: "Move them out of the folder, or reach the full tier (`chaperone doctor` says how).".into(),
            });
        }
    }
}

/// What exceptions of denials name beneath a denied path, as far as it exists.
fn exceptions(
    denials: &[Sourced<PathPattern>],
    path: &Path,
    disk: &dyn Disk,
) -> Result<Vec<PathBuf>, Refusal> {
    let mut found = Vec::new();
    if disk.kind(path) != Some(Kind::Folder) {
        return Ok(found);
    }
    for Sourced { value, origin } in denials {
        for exception in value.exceptions() {
            match exception.as_literal() {
                Some(literal) if literal.starts_with(path) => found.extend(disk.canonical(literal)),
                Some(_) => {}
                None => {
                    let own = Sourced { value: exception.clone(), origin: origin.clone() };
                    found.extend(Patterns::new(&[&own])?.existing(&[path.to_owned()], disk)?);
                }
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether one of these holds the other.
fn meets(grant: &Path, beginning: &Path) -> bool {
    grant.starts_with(beginning) || beginning.starts_with(grant)
}

/// Patterns as globs.
fn texts(patterns: &[PathPattern]) -> Result<Vec<String>, Refusal> {
    let text = |pattern: &PathPattern| pattern.glob().map(|glob| glob.text().to_owned());
    Ok(patterns.iter().map(text).collect::<Result<_, _>>()?)
}

/// Sorts paths and leaves out those beneath another.
fn outermost(paths: &mut Vec<PathBuf>) {
    paths.sort();
    paths.dedup_by(|later, earlier| later.starts_with(earlier));
}
