//! What a session made or changed that git takes orders from, outside too: repositories, whose hooks
//! and settings are the agent's, and rebases that are under way.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// More are not kept: who makes so many has been told enough.
const MOST: usize = 1000;
/// So many are named when the session ends.
const NAMED: usize = 5;

/// How far the time of a file's change may lie behind the clock: it is the kernel's last tick
/// (`ktime_get_coarse_real_ts64`), 10 ms at most.
const TICK: Duration = Duration::from_millis(10);

/// Their paths, as they were renamed since.
#[derive(Debug)]
pub(crate) struct Repositories {
    made: BTreeSet<PathBuf>,
    /// Those that were there before and are not kept from the session.
    before: BTreeSet<PathBuf>,
    since: SystemTime,
}

impl Repositories {
    /// From now on; `before` are folders with a `.git` that the session may change.
    pub(crate) fn new(before: &[PathBuf]) -> Self {
        let since = SystemTime::now() - TICK;
        Self { made: BTreeSet::new(), before: before.iter().cloned().collect(), since }
    }

    /// A path that ends in `.git`, `HEAD`, `rebase-merge` or `rebase-apply` was made.
    pub(crate) fn made(&mut self, path: &Path) {
        if self.made.len() < MOST {
            self.made.insert(path.to_owned());
        }
    }

    /// Something was renamed, which may hold them, or the two changed places.
    pub(crate) fn moved(&mut self, from: &Path, to: &Path, exchanged: bool) {
        let moved = |path: PathBuf| match (path.strip_prefix(from), path.strip_prefix(to)) {
            (Ok(rest), _) => to.join(rest),
            (_, Ok(rest)) if exchanged => from.join(rest),
            _ => path,
        };
        for paths in [&mut self.made, &mut self.before] {
            *paths = std::mem::take(paths).into_iter().map(moved).collect();
        }
    }

    /// What is said of those that are there when the session ends, a line each; `theirs` are the
    /// folders whose repositories are the agent's business alone.
    pub(crate) fn left(&self, workspace: &Path, theirs: &[PathBuf]) -> Vec<String> {
        let ours = |path: &&PathBuf| {
            !theirs.iter().any(|folder| path.starts_with(folder)) && path.symlink_metadata().is_ok()
        };
        let paths = || self.made.iter().filter(ours).map(PathBuf::as_path);
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
        // A `.git` of the session's own has been named.
        let changed = self.before.iter().filter(ours).map(PathBuf::as_path).filter(|folder| {
            !folders.contains(folder) && changed(&folder.join(".git"), self.since)
        });
        let changed: BTreeSet<_> = changed.collect();
        if !changed.is_empty() {
            lines.push(format!(
                "The hooks or settings of repositories that were there before changed during this \
                 session: {}. Git runs them outside, too. Look at them before git runs there.",
                named(&changed, workspace)
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

/// Whether what names programs in a `.git`, or leads elsewhere, has changed.
fn changed(dot: &Path, since: SystemTime) -> bool {
    let hooks = dot.join("hooks");
    let own = ["config", "config.worktree", "commondir"].map(|name| dot.join(name));
    let within = fs::read_dir(&hooks).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_file = dot.symlink_metadata().is_ok_and(|dot| !dot.is_dir());
    let itself = is_file.then(|| dot.to_owned());
    own.into_iter().chain(within).chain([hooks]).chain(itself).any(|path| {
        path.symlink_metadata().is_ok_and(|found| {
            let (seconds, nanoseconds) = (found.ctime(), found.ctime_nsec());
            let time = Duration::new(seconds.unsigned_abs(), nanoseconds as u32);
            seconds > 0 && UNIX_EPOCH + time >= since
        })
    })
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
            fs::create_dir_all(top.join(path))?;
        }
        let mut made = Repositories::new(&[]);
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
    fn what_changed_of_what_was_there_is_named() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let top = folder.path();
        let names = ["same", "hook", "hooks", "setting", "led", "moved", "anew"];
        let paths = names.map(|name| top.join("deep").join(name));
        for path in &paths {
            fs::create_dir_all(path.join(".git/hooks"))?;
            fs::write(path.join(".git/config"), "")?;
            fs::write(path.join(".git/hooks/old"), "")?;
        }
        fs::create_dir_all(top.join("tree"))?;
        fs::write(top.join("tree/.git"), "gitdir: x")?;
        let last = fs::metadata(top.join("tree/.git"))?.modified()?;
        while SystemTime::now() <= last + 2 * TICK {
            std::thread::yield_now();
        }
        let before: Vec<_> = paths.iter().cloned().chain([top.join("tree")]).collect();
        let mut all = Repositories::new(&before);
        assert!(all.left(top, &[]).is_empty());
        let at = |name: &str| top.join("deep").join(name);
        fs::write(at("hook/.git/hooks/old"), "x")?;
        fs::write(at("hooks/.git/hooks/new"), "x")?;
        fs::write(at("setting/.git/config"), "x")?;
        fs::write(at("same/.git/HEAD"), "x")?;
        fs::remove_dir_all(at("led/.git"))?;
        fs::write(at("led/.git"), "gitdir: x")?;
        fs::rename(at("moved"), top.join("aside"))?;
        all.moved(&at("moved"), &top.join("aside"), false);
        fs::write(top.join("aside/.git/config"), "x")?;
        all.made(&at("anew/.git"));
        fs::write(at("anew/.git/config"), "x")?;
        let lines = all.left(top, &[]);
        let named = "session: `aside`, `deep/hook`, `deep/hooks`, `deep/led`, `deep/setting`. Git";
        assert!(lines.len() == 2 && lines[1].contains(named), "{lines:?}");
        Ok(())
    }

    #[test]
    fn many_are_counted() {
        let paths: Vec<_> = (0..8).map(|number| PathBuf::from(format!("/w/{number}"))).collect();
        let folders: BTreeSet<_> = paths.iter().map(PathBuf::as_path).collect();
        assert!(named(&folders, Path::new("/w")).ends_with("`4`, and 3 more"));
    }
}
