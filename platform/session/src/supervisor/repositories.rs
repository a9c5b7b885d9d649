//! What a session made that git takes orders from, outside too: repositories, whose hooks and
//! settings are the agent's, and rebases that are under way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More are not kept: who makes so many has been told enough.
const MOST: usize = 1000;
/// So many are named when the session ends.
const NAMED: usize = 5;

/// Their paths, as they were renamed since.
#[derive(Debug, Default)]
pub(crate) struct Repositories(BTreeSet<PathBuf>);

impl Repositories {
    /// A path that ends in `.git`, `HEAD`, `rebase-merge` or `rebase-apply` was made.
    pub(crate) fn made(&mut self, path: &Path) {
        if self.0.len() < MOST {
            self.0.insert(path.to_owned());
        }
    }

    /// Something was renamed, which may hold them, or the two changed places.
    pub(crate) fn moved(&mut self, from: &Path, to: &Path, exchanged: bool) {
        let moved = |path: PathBuf| match (path.strip_prefix(from), path.strip_prefix(to)) {
            (Ok(rest), _) => to.join(rest),
            (_, Ok(rest)) if exchanged => from.join(rest),
            _ => path,
        };
        self.0 = std::mem::take(&mut self.0).into_iter().map(moved).collect();
    }

    /// What is said of those that are there when the session ends, a line each; `theirs` are the
    /// folders whose repositories are the agent's business alone.
    pub(crate) fn left(&self, workspace: &Path, theirs: &[PathBuf]) -> Vec<String> {
        let ours = |path: &&PathBuf| {
            !theirs.iter().any(|folder| path.starts_with(folder)) && path.symlink_metadata().is_ok()
        };
        let paths = || self.0.iter().filter(ours).map(PathBuf::as_path);
        let mut lines = Vec::new();
        let folders: BTreeSet<_> = paths().filter_map(repository).collect();
        if !folders.is_empty() {
            lines.push(format!(
                "Repositories were made in this session: {}. Their hooks and settings are the agent's, \
                 and git runs them outside, too. Look at them before git runs there, also by \
                 `git status` in a repository that has one of them as a submodule.",
                named(&folders, workspace)
            ));
        }
        let folders: BTreeSet<_> = paths().filter_map(rebased).collect();
        if !folders.is_empty() {
            lines.push(format!(
                "A rebase is under way in {}: `git rebase --continue` runs what its list says \
                 (`git rebase --edit-todo` shows it).",
                named(&folders, workspace)
            ));
        }
        lines
    }
}

/// The folder that this makes a repository, if it does: by a `.git`, or by what is in it
/// (gitrepository-layout(5)).
fn repository(path: &Path) -> Option<&Path> {
    if path.ends_with(".git") {
        return path.parent();
    }
    let folder = if path.ends_with("HEAD") { path.parent()? } else { path };
    let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
    let is_whole = has("commondir") || has("objects") && has("refs");
    (has("HEAD") && is_whole).then_some(folder)
}

/// Where the rebase is under way whose own folder this is, if it is one.
fn rebased(path: &Path) -> Option<&Path> {
    let is_one = path.ends_with("rebase-merge") || path.ends_with("rebase-apply");
    path.parent().filter(|_| is_one)
}

/// A few of these folders in words, as they are seen from the workspace.
fn named(folders: &BTreeSet<&Path>, workspace: &Path) -> String {
    let name = |folder: &&Path| match folder.strip_prefix(workspace) {
        Ok(rest) if rest.as_os_str().is_empty() => "the workspace itself".to_owned(),
        Ok(rest) => format!("`{}`", rest.display()),
        Err(_) => format!("`{}`", folder.display()),
    };
    let mut names: Vec<_> = folders.iter().take(NAMED).map(name).collect();
    if folders.len() > NAMED {
        names.push(format!("and {} more", folders.len() - NAMED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_named_where_it_is_now() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let top = folder.path();
        let plain = ["plain/HEAD", "plain/objects", "plain/refs", "tree/HEAD", "tree/commondir"];
        let there = ["lib/.git", "swapped/.git", "cache/x/.git", ".git/rebase-merge", "head/HEAD"];
        for path in there.into_iter().chain(plain) {
            std::fs::create_dir_all(top.join(path))?;
        }
        let mut made = Repositories::default();
        for path in ["sub/.git", "other/.git", "gone/.git", "cache/x/.git", ".git/rebase-merge"] {
            made.made(&top.join(path));
        }
        for path in ["aside/.git", "tree/HEAD", "head/HEAD"] {
            made.made(&top.join(path));
        }
        made.moved(&top.join("aside/.git"), &top.join("plain"), false);
        made.moved(&top.join("sub"), &top.join("lib"), false);
        made.moved(&top.join("swapped"), &top.join("other"), true);
        let lines = made.left(top, &[top.join("cache")]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("session: `lib`, `plain`, `swapped`, `tree`. Their"),
            "{}",
            lines[0]
        );
        assert!(lines[1].contains("under way in `.git`:"), "{}", lines[1]);
        assert!(made.left(top, &[top.to_owned()]).is_empty());
        Ok(())
    }

    #[test]
    fn many_are_counted() {
        let paths: Vec<_> = (0..8).map(|number| PathBuf::from(format!("/w/{number}"))).collect();
        let folders: BTreeSet<_> = paths.iter().map(PathBuf::as_path).collect();
        assert!(named(&folders, Path::new("/w")).ends_with("`4`, and 3 more"));
    }
}
