//! Which existing paths a glob names, found by listing folders alone: no file is opened and no
//! link is followed.

use super::{Denied, Disk, Kind, Next, Seen};
use chaperone_policy::{Glob, PathPattern, SourceKind, Sourced};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// More folders than any working tree that people search; beyond it a pattern is refused rather
/// than answered in part.
const MOST_FOLDERS: usize = 400_000;

/// Not searched: the kernel's own trees hold no files of anyone's.
const KERNEL: &[&str] = &["/proc", "/sys", "/dev"];

/// Folders that package managers fill with what anybody can download, and nobody edits. The built-in
/// defaults name nothing in them, so they are not searched for what only those name.
const FILLED: &[&[u8]] = &[b"node_modules"];
/// The same for git's own storage, whose names are hashes: a folder and the one that it lies in.
const STORAGE: [&[u8]; 2] = [b".git", b"objects"];

/// A set of globs over absolute paths. Each covers what it matches and everything beneath, but for
/// its exceptions.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    all: Vec<Pattern>,
    /// The greatest number of components that a match can have, if there is one.
    depth: Option<usize>,
}

#[derive(Debug)]
struct Pattern {
    glob: Glob,
    but: Vec<Glob>,
    /// Only the built-in defaults name it.
    by_default: bool,
}

/// What a search has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What the patterns name, topmost only.
    pub(super) named: Vec<PathBuf>,
    /// The folders that have a `.git`.
    pub(super) repositories: Vec<PathBuf>,
}

/// A search that would have had to look at too much.
#[derive(Debug)]
pub(super) struct TooLarge {
    /// The folder that was being searched.
    pub(super) root: PathBuf,
}

impl Patterns {
    /// Compiles the globs of a list, which the policy has already checked; what is none after all
    /// is given back.
    pub(super) fn new(list: &[&Sourced<PathPattern>]) -> Result<Self, String> {
        let pattern = |Sourced { value, origin }: &Sourced<PathPattern>| {
            let but = value.exceptions().iter().map(PathPattern::glob).collect::<Result<_, _>>()?;
            let by_default = origin.kind == SourceKind::BuiltIn;
            Ok(Pattern { glob: value.glob()?, but, by_default })
        };
        Ok(Self::of(list.iter().copied().map(pattern).collect::<Result<_, String>>()?))
    }

    /// Compiles globs of a plan.
    pub(crate) fn denied<'d>(list: impl Iterator<Item = &'d Denied>) -> Result<Self, String> {
        let pattern = |Denied { what, by_default }: &Denied| {
            let but = what.but.iter().map(|text| Glob::new(text)).collect::<Result<_, _>>()?;
            Ok(Pattern { glob: Glob::new(&what.glob)?, but, by_default: *by_default })
        };
        Ok(Self::of(list.map(pattern).collect::<Result<_, String>>()?))
    }

    fn of(all: Vec<Pattern>) -> Self {
        let mut depth = Some(0);
        for own in &all {
            let text = own.glob.text();
            let parts = (!text.contains("**")).then(|| text.split('/').count());
            depth = depth.zip(parts).map(|(most, parts): (usize, _)| most.max(parts));
        }
        Self { all, depth }
    }

    /// Whether the path, or a folder above it, is named, and is no exception.
    pub(super) fn cover(&self, path: &Path) -> bool {
        self.all.iter().any(|own| own.glob.covers(path) && !own.excepts(path))
    }

    /// The existing paths beneath `grants` that the patterns name, topmost only. A folder that
    /// cannot be listed counts as named, as its owner could open it later.
    pub(super) fn existing(
        &self,
        grants: &[PathBuf],
        disk: &dyn Disk,
    ) -> Result<Vec<PathBuf>, TooLarge> {
        self.among(grants, disk, MOST_FOLDERS).map(|found| found.named)
    }

    /// The same, and the folders that were passed on the way and have a `.git`.
    pub(super) fn existing_and_repositories(
        &self,
        grants: &[PathBuf],
        disk: &dyn Disk,
    ) -> Result<Found, TooLarge> {
        self.among(grants, disk, MOST_FOLDERS)
    }

    /// The same, however long that takes.
    pub(crate) fn all_existing(&self, grants: &[PathBuf], disk: &dyn Disk) -> Vec<PathBuf> {
        self.among(grants, disk, usize::MAX).map(|found| found.named).unwrap_or_default()
    }

    fn among(
        &self,
        grants: &[PathBuf],
        disk: &dyn Disk,
        most_folders: usize,
    ) -> Result<Found, TooLarge> {
        let mut roots: Vec<PathBuf> = Vec::new();
        for own in &self.all {
            let prefix = literal_prefix(own.glob.text());
            for grant in grants {
                if KERNEL.iter().any(|kernel| grant.starts_with(kernel)) {
                    continue;
                }
                if prefix.starts_with(grant) {
                    roots.push(prefix.clone());
                } else if grant.starts_with(&prefix) {
                    roots.push(grant.clone());
                }
            }
        }
        roots.sort();
        roots.dedup_by(|later, earlier| later.starts_with(earlier));
        let mut found = Found::default();
        for root in roots {
            if disk.kind(&root) == Some(Kind::Folder) {
                self.search(&root, disk, most_folders, &mut found)?;
            }
        }
        Ok(found)
    }

    fn search(
        &self,
        root: &Path,
        disk: &dyn Disk,
        most_folders: usize,
        found: &mut Found,
    ) -> Result<(), TooLarge> {
        let thorough = self.all.iter().any(|own| !own.by_default);
        let left = AtomicUsize::new(most_folders);
        let all = Mutex::new(std::mem::take(found));
        let all_of = || all.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |path| all_of().named.push(path);
        let complete = disk.walk(root, &|seen| {
            let (folder, name, kind) = match seen {
                Seen::Entry { folder, name, kind } => (folder, name, kind),
                Seen::Unlisted(folder) => {
                    find(folder.to_owned());
                    return Next::Pass;
                }
            };
            if self.all.iter().any(|own| own.names(folder, name)) {
                find(folder.join(name));
                return Next::Pass;
            }
            if name == ".git" {
                all_of().repositories.push(folder.to_owned());
            }
            if kind != Kind::Folder {
                return Next::Pass;
            }
            let bytes = name.as_encoded_bytes();
            let above = || folder.as_os_str().as_encoded_bytes();
            let filled =
                FILLED.contains(&bytes) || bytes == STORAGE[1] && above().ends_with(STORAGE[0]);
            let deeper = (thorough || !filled)
                && self.depth.is_none_or(|most| folder.components().count() + 1 < most);
            match deeper {
                false => Next::Pass,
                true if left.fetch_sub(1, Ordering::Relaxed) == 0 => Next::Stop,
                true => Next::Enter,
            }
        });
        *found = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        if complete { Ok(()) } else { Err(TooLarge { root: root.to_owned() }) }
    }
}

impl Pattern {
    /// Whether an entry of a folder is named, and is no exception.
    fn names(&self, folder: &Path, name: &OsStr) -> bool {
        self.glob.names(folder, name) && (self.but.is_empty() || !self.excepts(&folder.join(name)))
    }

    fn excepts(&self, path: &Path) -> bool {
        self.but.iter().any(|but| but.covers(path))
    }
}

/// The folders of a glob before its first wildcard.
pub(super) fn literal_prefix(glob: &str) -> PathBuf {
    let mut prefix = PathBuf::from("/");
    let is_wild = |part: &&str| part.contains(['*', '?', '[', '{']);
    prefix.extend(glob.split('/').skip(1).take_while(|part| !is_wild(part)));
    prefix
}

#[cfg(test)]
mod tests {
    use super::super::MapDisk;
    use super::*;
    use chaperone_policy::{Context, Origin, PathText};

    fn existing(patterns: &[&str], grants: &[&str], disk: &MapDisk) -> Vec<PathBuf> {
        let patterns = patterns.iter().map(|text| sourced(text, SourceKind::UserFile));
        search(&patterns.collect::<Vec<_>>(), grants, disk)
    }

    fn sourced(text: &str, kind: SourceKind) -> Sourced<PathPattern> {
        let context = Context {
            home: "/h".into(),
            workspace: "/w".into(),
            agent: None,
            os: chaperone_policy::Os::Linux,
        };
        let value = PathText::parse(text).unwrap().expand(&context);
        Sourced { value, origin: Origin { kind, ..Origin::built_in() } }
    }

    fn search(patterns: &[Sourced<PathPattern>], grants: &[&str], disk: &MapDisk) -> Vec<PathBuf> {
        let grants: Vec<_> = grants.iter().map(PathBuf::from).collect();
        let patterns = Patterns::new(&patterns.iter().collect::<Vec<_>>()).unwrap();
        patterns.existing(&grants, disk).unwrap()
    }

    #[test]
    fn a_match_is_named_once_and_not_searched() {
        let disk = MapDisk::new()
            .file("/w/a/secrets/one")
            .file("/w/a/secrets/deep/secrets/two")
            .file("/w/secrets.txt");
        assert_eq!(existing(&["/w/**/secrets"], &["/w"], &disk), [Path::new("/w/a/secrets")]);
    }

    #[test]
    fn only_what_is_granted_is_searched() {
        let disk = MapDisk::new().file("/w/x.pem").file("/home/u/y.pem").file("/usr/z.pem");
        assert_eq!(
            existing(&["/**/*.pem"], &["/w", "/usr"], &disk),
            [Path::new("/usr/z.pem"), Path::new("/w/x.pem")]
        );
    }

    #[test]
    fn a_pattern_without_two_stars_stays_at_its_depth() {
        let disk = MapDisk::new().file("/w/keys/a.key").file("/w/keys/deep/b.key");
        assert_eq!(existing(&["/w/keys/*.key"], &["/w"], &disk), [Path::new("/w/keys/a.key")]);
    }

    #[test]
    fn what_a_package_manager_filled_is_searched_for_what_somebody_denied() {
        let disk = MapDisk::new()
            .file("/w/.env")
            .file("/w/node_modules/x/.env")
            .file("/w/.git/objects/.env")
            .file("/w/objects/.env");
        let of = |kinds: &[SourceKind]| {
            let list: Vec<_> = kinds.iter().map(|kind| sourced("**/.env*", *kind)).collect();
            search(&list, &["/w"], &disk)
        };
        let by_default = [Path::new("/w/.env"), Path::new("/w/objects/.env")];
        assert_eq!(of(&[SourceKind::BuiltIn]), by_default);
        assert_eq!(of(&[SourceKind::BuiltIn, SourceKind::ManagedFile]).len(), 4);
    }

    #[test]
    fn a_covered_path_is_one_that_is_named_or_lies_beneath() {
        let list = ["/h/.*", "/w/**/secrets"].map(|text| sourced(text, SourceKind::UserFile));
        let patterns = Patterns::new(&list.iter().collect::<Vec<_>>()).unwrap();
        assert!(patterns.cover(Path::new("/h/.cargo/bin")));
        assert!(patterns.cover(Path::new("/w/a/secrets/b")));
        assert!(!patterns.cover(Path::new("/h/cargo/bin")));
        assert!(!patterns.cover(Path::new("/w/a/secret")));
    }
}
