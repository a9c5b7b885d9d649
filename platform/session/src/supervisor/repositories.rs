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
    /// A path that ends in `.git`, `rebase-merge` or `rebase-apply` was made.
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
        let (made, rebased): (Vec<_>, Vec<_>) =
            self.0.iter().filter(ours).partition(|path| path.ends_with(".git"));
        let mut lines = Vec::new();
        let folders: Vec<_> = made.iter().filter_map(|path| path.parent()).collect();
        if !folders.is_empty() {
            lines.push(format!(
                "Repositories were made in this session: {}. Their hooks and settings are the agent's, \
                 and git runs them outside, too. Look at them before git runs there, also by \
                 `git status` in a repository that has one of them as a submodule.",
                named(&folders, workspace)
            ));
        }
        let folders: Vec<_> = rebased.iter().filter_map(|path| path.parent()).collect();
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

/// A few of these folders in words, as they are seen from the workspace.
fn named(folders: &[&Path], workspace: &Path) -> String {
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
        for path in ["lib/.git", "swapped/.git", "cache/x/.git", ".git/rebase-merge"] {
            std::fs::create_dir_all(top.join(path))?;
        }
        let mut made = Repositories::default();
        for path in ["sub/.git", "other/.git", "gone/.git", "cache/x/.git", ".git/rebase-merge"] {
            made.made(&top.join(path));
        }
        made.moved(&top.join("sub"), &top.join("lib"), false);
        made.moved(&top.join("swapped"), &top.join("other"), true);
        let lines = made.left(top, &[top.join("cache")]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("session: `lib`, `swapped`. Their"), "{}", lines[0]);
        assert!(lines[1].contains("under way in `.git`:"), "{}", lines[1]);
        assert!(made.left(top, &[top.to_owned()]).is_empty());
        Ok(())
    }

    #[test]
    fn many_are_counted() {
        let paths: Vec<_> = (0..8).map(|number| PathBuf::from(format!("/w/{number}"))).collect();
        let folders: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
        assert!(named(&folders, Path::new("/w")).ends_with("`4`, and 3 more"));
    }
}
