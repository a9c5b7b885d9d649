//! Files that were refused, as the grants that the user's policy would need for them.

use super::propose::{Found, Part, Refused, is_final};
use super::{Change, Left};
use chaperone_policy::{Access, Action, Verdict, decide_file};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What every program of the machine is made of, or governs it. Who may write there is outside of
/// any sandbox in a moment, so it is never proposed to be written.
const SYSTEM: &[&str] = &[
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/root", "/run",
    "/sbin", "/snap", "/sys", "/usr", "/var",
];

/// From so many files on, it is their folder that is needed.
const MANY: usize = 2;

impl Found<'_> {
    pub(super) fn files(&mut self, refused: &Refused) -> Vec<Part> {
        let writes = self.wanted(&refused.writes, Access::Write);
        let writes = gathered(&writes, &self.paths.home);
        let reads = self.wanted(&refused.reads, Access::Read);
        let reads: BTreeSet<PathBuf> = reads
            .into_iter()
            // What may be written may be read.
            .filter(|path| !writes.iter().any(|granted| path.starts_with(granted)))
            .collect();
        let reads = gathered(&reads, &self.paths.home);
        let mut parts = Vec::new();
        for (key, paths) in [("filesystem.read", reads), ("filesystem.write", writes)] {
            let write = key == "filesystem.write";
            for path in paths {
                let value = in_home(&path, &self.paths.home);
                let what = if write { "read and write" } else { "read" };
                parts.push(Part {
                    change: Change { key, why: format!("Lets the session {what} {value}."), value },
                    allows: vec![if write {
                        Action::Write { path }
                    } else {
                        Action::Read { path }
                    }],
                });
            }
        }
        parts
    }

    /// Of paths that were refused, those that a grant could name.
    fn wanted(&mut self, refused: &BTreeSet<PathBuf>, access: Access) -> BTreeSet<PathBuf> {
        let mut wanted = BTreeSet::new();
        for asked in refused {
            let Some(path) = nameable(asked) else { continue };
            let home = &self.paths.home;
            let shown = in_home(&path, home);
            match decide_file(&self.loaded.policy, access, &path) {
                Some(decision) if decision.verdict != Verdict::Allow && is_final(&decision) => {
                    self.deny(shown, &decision);
                }
                Some(decision) if decision.verdict != Verdict::Allow => {
                    let why = format!(
                        "It is hidden on purpose ({}). {}",
                        decision.origin, decision.reason
                    );
                    self.secret(shown, why);
                }
                _ if self.paths.own().iter().any(|own| path.starts_with(own)) => {
                    self.keep(shown, "It is Chaperone's own; no session reaches it.");
                }
                _ if access == Access::Write
                    && !path.starts_with(home)
                    && SYSTEM.iter().any(|system| path.starts_with(system)) =>
                {
                    self.keep(shown, "It is the system's; what is written there runs outside.");
                }
                _ if home.starts_with(&path) => {
                    let why = "It would take the whole home folder; make a folder for it there.";
                    self.keep(in_home(asked, home), why);
                }
                _ if !may(&path, access) => {
                    self.keep(shown, "This user may not do that outside of a session either.");
                }
                _ if path.to_string_lossy().contains(['*', '?', '[', '{']) => {
                    self.keep(shown, "Its name would be read as a pattern; add it yourself.");
                }
                _ => {
                    wanted.insert(path);
                }
            }
        }
        wanted
    }

    fn secret(&mut self, what: String, why: String) {
        let left = Left { what, why };
        if !self.proposal.secrets.contains(&left) {
            self.proposal.secrets.push(left);
        }
    }
}

/// What there is of a path: a grant names something that exists. A name that was to be made needs
/// the folder that it was to be made in.
fn nameable(path: &Path) -> Option<PathBuf> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    existing.canonicalize().ok()
}

/// The fewest paths that cover these without granting a folder for a single file, or the home.
fn gathered(paths: &BTreeSet<PathBuf>, home: &Path) -> BTreeSet<PathBuf> {
    let mut files: BTreeMap<&Path, usize> = BTreeMap::new();
    for folder in paths.iter().filter(|path| !path.is_dir()).filter_map(|path| path.parent()) {
        *files.entry(folder).or_default() += 1;
    }
    let wide = |folder: &Path| home.starts_with(folder);
    let whole =
        |folder: &Path| files.get(folder).is_some_and(|count| *count >= MANY) && !wide(folder);
    let gathered: BTreeSet<PathBuf> = paths
        .iter()
        .map(|path| match path.parent() {
            Some(folder) if !path.is_dir() && whole(folder) => folder.to_owned(),
            _ => path.clone(),
        })
        .collect();
    let covered = |path: &Path| {
        path.ancestors().skip(1).any(|above| gathered.contains(above) && above.is_dir())
    };
    gathered.iter().filter(|path| !covered(path)).cloned().collect()
}

/// As people write it in their own policy.
fn in_home(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Ok(rest) => format!("~/{}", rest.display()),
        Err(_) => path.display().to_string(),
    }
}

/// Whether this user may do it where no sandbox is in the way.
fn may(path: &Path, access: Access) -> bool {
    use rustix::fs::Access as Wanted;
    let wanted = match access {
        Access::Read => Wanted::READ_OK,
        Access::Write => Wanted::WRITE_OK,
    };
    rustix::fs::access(path, wanted).is_ok()
}
