//! The little that Chaperone tells people about a repository, read from its files: no git is run,
//! because a repository's own configuration can make git run anything.

use std::fs;
use std::path::{Path, PathBuf};

/// The branch that is checked out in a workspace, or the first seven digits of a detached commit.
pub(crate) fn branch(workspace: &Path) -> Option<String> {
    let head = fs::read_to_string(git_dir(workspace)?.join("HEAD")).ok()?;
    let head = head.trim();
    match head.strip_prefix("ref: refs/heads/") {
        Some(branch) => Some(branch.to_owned()),
        None => (head.len() >= 40).then(|| head[..7].to_owned()),
    }
}

/// `.git` itself, or where the `.git` file of a linked worktree or submodule points; looked for in
/// the workspace and its ancestors.
fn git_dir(workspace: &Path) -> Option<PathBuf> {
    let dot_git = workspace.ancestors().map(|dir| dir.join(".git")).find(|path| path.exists())?;
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let text = fs::read_to_string(&dot_git).ok()?;
    let target = text.trim().strip_prefix("gitdir: ")?;
    Some(dot_git.parent()?.join(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_of_a_checkout_a_worktree_and_a_detached_head() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main");
        fs::create_dir_all(main.join(".git/worktrees/topic")).unwrap();
        fs::create_dir_all(main.join("src")).unwrap();
        fs::write(main.join(".git/HEAD"), "ref: refs/heads/trunk\n").unwrap();
        assert_eq!(branch(&main.join("src")).as_deref(), Some("trunk"));

        let topic = dir.path().join("topic");
        fs::create_dir(&topic).unwrap();
        fs::write(topic.join(".git"), "gitdir: ../main/.git/worktrees/topic\n").unwrap();
        fs::write(main.join(".git/worktrees/topic/HEAD"), "ref: refs/heads/a/b\n").unwrap();
        assert_eq!(branch(&topic).as_deref(), Some("a/b"));

        fs::write(main.join(".git/HEAD"), "0123456789abcdef0123456789abcdef01234567\n").unwrap();
        assert_eq!(branch(&main).as_deref(), Some("0123456"));
    }
}
