//! Which existing paths a glob names, found by listing folders alone: no file is opened and no
//! link is followed.

use super::{Disk, Kind};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::{Path, PathBuf};

/// More entries than any working tree that people search; beyond it a pattern is refused rather
/// than answered in part.
const MOST_ENTRIES: usize = 4_000_000;

/// Not searched: the kernel's own trees hold no files of anyone's.
const KERNEL: &[&str] = &["/proc", "/sys", "/dev"];

/// A set of globs over absolute paths. Each covers what it matches and everything beneath.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    texts: Vec<String>,
    all: GlobSet,
    /// The greatest number of components that a match can have, if there is one.
    depth: Option<usize>,
}

/// A search that would have had to look at too much.
#[derive(Debug)]
pub(super) struct TooLarge {
    /// The folder that was being searched.
    pub(super) root: PathBuf,
}

impl Patterns {
    /// Compiles globs that the policy has already checked; what is none after all is given back.
    pub(super) fn new(texts: Vec<String>) -> Result<Self, String> {
        let mut all = GlobSetBuilder::new();
        let mut depth = Some(0);
        for text in &texts {
            // As the policy reads them.
            let glob =
                GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build();
            all.add(glob.map_err(|_| text.clone())?);
            let parts = (!text.contains("**")).then(|| text.split('/').count());
            depth = depth.zip(parts).map(|(most, parts): (usize, _)| most.max(parts));
        }
        match all.build() {
            Ok(all) => Ok(Self { texts, all, depth }),
            Err(_) => Err(texts.join(", ")),
        }
    }

    /// The patterns as they were given.
    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether the path, or a folder above it, is named.
    pub(super) fn cover(&self, path: &Path) -> bool {
        !self.texts.is_empty() && path.ancestors().any(|path| self.all.is_match(path))
    }

    /// The existing paths beneath `grants` that the patterns name, topmost only. A folder that
    /// cannot be listed counts as named, as its owner could open it later.
    pub(super) fn existing(
        &self,
        grants: &[PathBuf],
        disk: &dyn Disk,
    ) -> Result<Vec<PathBuf>, TooLarge> {
        let mut roots: Vec<PathBuf> = Vec::new();
        for text in &self.texts {
            let prefix = literal_prefix(text);
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
        let mut found = Vec::new();
        let mut left = MOST_ENTRIES;
        for root in roots {
            if disk.kind(&root) == Some(Kind::Folder) {
                self.walk(&mut root.clone(), disk, &mut left, &mut found)
                    .ok_or(TooLarge { root })?;
            }
        }
        Ok(found)
    }

    /// `None` when the search has become too large.
    fn walk(
        &self,
        folder: &mut PathBuf,
        disk: &dyn Disk,
        left: &mut usize,
        found: &mut Vec<PathBuf>,
    ) -> Option<()> {
        let Some(entries) = disk.children(folder) else {
            if disk.kind(folder).is_some() {
                found.push(folder.clone());
            }
            return Some(());
        };
        *left = left.checked_sub(entries.len())?;
        let deeper = self.depth.is_none_or(|most| folder.components().count() + 1 < most);
        for entry in entries {
            folder.push(&entry.name);
            if self.all.is_match(&*folder) {
                found.push(folder.clone());
            } else if deeper && entry.kind == Kind::Folder {
                self.walk(folder, disk, left, found)?;
            }
            folder.pop();
        }
        Some(())
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

    fn existing(patterns: &[&str], grants: &[&str], disk: &MapDisk) -> Vec<PathBuf> {
        let patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
        let grants: Vec<_> = grants.iter().map(PathBuf::from).collect();
        Patterns::new(patterns).unwrap().existing(&grants, disk).unwrap()
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
    fn a_covered_path_is_one_that_is_named_or_lies_beneath() {
        let patterns = Patterns::new(vec!["/h/.*".into(), "/w/**/secrets".into()]).unwrap();
        assert!(patterns.cover(Path::new("/h/.cargo/bin")));
        assert!(patterns.cover(Path::new("/w/a/secrets/b")));
        assert!(!patterns.cover(Path::new("/h/cargo/bin")));
        assert!(!patterns.cover(Path::new("/w/a/secret")));
    }
}
