//! Where a workspace's repository lies, and which of its files are not the agent's to change:
//! the hooks and the configuration, which git runs programs from.

use super::gitconfig::{self, Setting};
use super::{Disk, Kind, Loss};
use std::path::{Component, Path, PathBuf};

/// What a plan takes from git.
#[derive(Debug, Default)]
pub(super) struct Git {
    /// Repositories outside the workspace that belong to it.
    pub(super) write: Vec<PathBuf>,
    /// Files and folders outside the workspace that git reads at each command.
    pub(super) read: Vec<PathBuf>,
    /// Not created and not changed, where it lies beneath something writable.
    pub(super) protect: Vec<PathBuf>,
    /// What of git does not work in this session.
    pub(super) losses: Vec<Loss>,
}

/// How many files a chain of `include` may have; git's own limit.
const INCLUDE_DEPTH: u8 = 10;

/// What lies in a repository's own folder and names programs, or another folder to take them
/// from (`commondir`, see gitrepository-layout(5)).
const OWN: &[&str] = &["hooks", "config", "config.worktree", "commondir"];

/// The same for the folder that a linked worktree has in the main repository.
const OWN_OF_WORKTREE: &[&str] = &["commondir", "gitdir", "config.worktree"];

/// Looks at the workspace's repository, or, in a folder of clones, at each of them.
pub(super) fn look(workspace: &Path, home: &Path, config_home: &Path, disk: &dyn Disk) -> Git {
    let mut git = Git::default();
    let mut global = Vec::new();
    for file in
        [Path::new("/etc/gitconfig"), &home.join(".gitconfig"), &config_home.join("git/config")]
    {
        include(file, home, disk, INCLUDE_DEPTH, &mut global, &mut git.read);
    }
    for setting in global.iter().filter(|setting| setting.section == "core") {
        if matches!(setting.name.as_str(), "excludesfile" | "attributesfile") {
            git.read.push(expand(&setting.value, home, workspace));
        }
    }
    let roots = roots(workspace, disk);
    for root in &roots {
        git.repository(root, home, disk);
        git.hooks_path(&global, root, home, disk);
    }
    if roots.is_empty() {
        git.above(workspace, home, disk);
    }
    git
}

/// The workspace itself if it is a repository, else the repositories directly in it.
pub(super) fn roots(workspace: &Path, disk: &dyn Disk) -> Vec<PathBuf> {
    let is_root = |folder: &Path| disk.kind(&folder.join(".git")).is_some();
    if is_root(workspace) {
        return vec![workspace.to_owned()];
    }
    let children = disk.children(workspace).unwrap_or_default();
    let folders = children.into_iter().filter(|entry| entry.kind == Kind::Folder);
    let mut roots: Vec<_> =
        folders.map(|entry| workspace.join(entry.name)).filter(|folder| is_root(folder)).collect();
    roots.sort();
    roots
}

impl Git {
    /// One working tree that was there before the session.
    fn repository(&mut self, root: &Path, home: &Path, disk: &dyn Disk) {
        let dot = root.join(".git");
        match disk.kind(&dot) {
            Some(Kind::Folder) => self.own_folder(&dot, root, home, disk),
            Some(Kind::File) => {
                self.protect.push(dot.clone());
                if !self.elsewhere(&dot, root, home, disk) {
                    self.losses.push(Loss {
                        id: "git-folder-elsewhere".into(),
                        detail: format!(
                            "{} names a repository that does not name this folder in return, so git does not work here.",
                            dot.display()
                        ),
                        fix: format!(
                            "Run `git worktree repair {}` in the main repository, or work in a clone.",
                            root.display()
                        ),
                    });
                }
            }
            Some(Kind::Link) => self.protect.push(dot),
            None => {}
        }
    }

    /// A `.git` that is a file: `gitdir: PATH`. True if what it names belongs to this folder.
    fn elsewhere(&mut self, dot: &Path, root: &Path, home: &Path, disk: &dyn Disk) -> bool {
        let Some(text) = disk.text(dot) else { return false };
        let Some(target) = text.trim_end().strip_prefix("gitdir:") else { return false };
        let Some(gitdir) = disk.canonical(&root.join(target.trim())) else { return false };
        if let Some(common) = disk.text(&gitdir.join("commondir")) {
            return self.linked_worktree(&gitdir, common.trim(), dot, home, disk);
        }
        // A submodule: its configuration names its working tree.
        let names_us = tree(&gitdir, disk).as_deref() == Some(root);
        if names_us {
            self.write.push(gitdir.clone());
            self.own_folder(&gitdir, root, home, disk);
        }
        names_us
    }

    /// The main repository counts only if its own record of this worktree leads back here:
    /// `.git` lies in the workspace, and whoever wrote it could name any repository.
    fn linked_worktree(
        &mut self,
        gitdir: &Path,
        common: &str,
        dot: &Path,
        home: &Path,
        disk: &dyn Disk,
    ) -> bool {
        let Some(common) = disk.canonical(&gitdir.join(common)) else { return false };
        let Some(back) = disk.text(&gitdir.join("gitdir")) else { return false };
        let back = gitdir.join(back.trim_end());
        let leads_back = back.file_name() == dot.file_name()
            && back.parent().and_then(|folder| disk.canonical(folder)).as_deref() == dot.parent();
        let is_ours = gitdir.parent() == Some(&common.join("worktrees"))
            && disk.kind(&common.join("HEAD")) == Some(Kind::File)
            && disk.kind(&common.join("objects")) == Some(Kind::Folder);
        if leads_back && is_ours {
            self.write.push(common.clone());
            self.own_folder(&common, dot.parent().unwrap_or(&common), home, disk);
        }
        leads_back && is_ours
    }

    /// A repository's own folder: hooks and configuration, also those of its submodules and of
    /// its other worktrees.
    fn own_folder(&mut self, folder: &Path, root: &Path, home: &Path, disk: &dyn Disk) {
        self.protect.extend(OWN.iter().map(|name| folder.join(name)));
        for entry in disk.children(&folder.join("worktrees")).unwrap_or_default() {
            let worktree = folder.join("worktrees").join(entry.name);
            self.protect.extend(OWN_OF_WORKTREE.iter().map(|name| worktree.join(name)));
            self.submodules(&worktree.join("modules"), home, disk);
        }
        self.submodules(&folder.join("modules"), home, disk);

        let mut settings = Vec::new();
        let mut included = Vec::new();
        for name in ["config", "config.worktree"] {
            include(&folder.join(name), home, disk, INCLUDE_DEPTH, &mut settings, &mut included);
        }
        // A file that the configuration includes is configuration, wherever it lies.
        self.protect.extend(included.iter().cloned());
        self.read.extend(included);
        self.hooks_path(&settings, root, home, disk);
    }

    /// Each has a folder like a repository's, and a file in its working tree that leads there.
    fn submodules(&mut self, modules: &Path, home: &Path, disk: &dyn Disk) {
        for entry in disk.children(modules).unwrap_or_default() {
            if entry.kind != Kind::Folder {
                continue;
            }
            let module = modules.join(entry.name);
            if disk.kind(&module.join("HEAD")) != Some(Kind::File) {
                // A submodule's name may have slashes.
                self.submodules(&module, home, disk);
                continue;
            }
            let tree = tree(&module, disk);
            let dot = tree.as_ref().map(|tree| tree.join(".git"));
            self.protect.extend(dot.filter(|dot| disk.kind(dot).is_some()));
            self.own_folder(&module, tree.as_deref().unwrap_or(&module), home, disk);
        }
    }

    /// `core.hooksPath` moves the hooks; a relative one starts where hooks run, the tree's top.
    fn hooks_path(&mut self, settings: &[Setting], root: &Path, home: &Path, disk: &dyn Disk) {
        for setting in settings {
            if setting.section != "core" || setting.name != "hookspath" || setting.value.is_empty()
            {
                continue;
            }
            let hooks = expand(&setting.value, home, root);
            if disk.kind(&hooks).is_some_and(|kind| kind == Kind::File) {
                continue; // `/dev/null`: no hooks at all.
            }
            if root.starts_with(&hooks) {
                self.losses.push(Loss {
                    id: "hooks-above-workspace".into(),
                    detail: format!(
                        "core.hooksPath is {}, which holds the whole workspace, so hooks cannot be kept from the agent.",
                        hooks.display()
                    ),
                    fix: "Give git's hooks a folder of their own.".into(),
                });
                continue;
            }
            self.protect.push(hooks.clone());
            self.read.push(hooks);
        }
    }

    /// A workspace inside a repository: git looks for `.git` above, which is not granted.
    fn above(&mut self, workspace: &Path, home: &Path, disk: &dyn Disk) {
        let above = workspace.ancestors().skip(1).take_while(|folder| !home.starts_with(folder));
        if let Some(top) =
            above.into_iter().find(|folder| disk.kind(&folder.join(".git")).is_some())
        {
            self.losses.push(Loss {
                id: "workspace-inside-repository".into(),
                detail: format!(
                    "The workspace lies inside the repository {}, so git does not work in this session.",
                    top.display()
                ),
                fix: format!("Start with `--workspace {}`.", top.display()),
            });
        }
    }
}

/// The working tree that a submodule's own folder names, where there is one.
fn tree(module: &Path, disk: &dyn Disk) -> Option<PathBuf> {
    let settings = gitconfig::settings(&disk.text(&module.join("config"))?);
    let named = settings.iter().rfind(|own| own.section == "core" && own.name == "worktree")?;
    disk.canonical(&module.join(&named.value))
}

/// Reads a configuration file and those that it includes; conditions are not weighed, since what
/// holds for one command may hold for the next.
fn include(
    file: &Path,
    home: &Path,
    disk: &dyn Disk,
    depth: u8,
    settings: &mut Vec<Setting>,
    files: &mut Vec<PathBuf>,
) {
    let Some(text) = disk.text(file) else { return };
    for setting in gitconfig::settings(&text) {
        if setting.name == "path" && matches!(setting.section.as_str(), "include" | "includeif") {
            let path = expand(&setting.value, home, file.parent().unwrap_or(file));
            if depth > 0 {
                include(&path, home, disk, depth - 1, settings, files);
            }
            files.push(path);
        } else {
            settings.push(setting);
        }
    }
}

/// A path of git's configuration: `~/` is home, a relative one starts at `base`.
fn expand(value: &str, home: &Path, base: &Path) -> PathBuf {
    let path = match value.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => base.join(value),
    };
    normal(&path)
}

/// Removes `.` and `..` from an absolute path by its text alone, for paths that may not exist.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
