//! What programs outside of the sandbox would run later: hooks, settings, start-up files.

use crate::Told::{Later, Mark, Prop};
use crate::attempts::files::{openat2, race};
use crate::stage::LATER;
use crate::sys::{
    Got, NOTHING, by_descriptor, call, open, open_at, run, shell, text, write_all, write_mark,
};
use crate::{Attempt, Known, Needs, Place};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Git follows what lies in a repository, whoever made it.
const ORDERS: Known = Known::Left("What git takes orders from");

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("hook-new", "Writes a git hook that was not there.", Mark, |p| {
            write_mark(p, p.work().join(".git/hooks/post-checkout"))
        }),
        Attempt::new("hook-changed", "Appends to a git hook that is there.", Mark, |p| {
            let hook = p.work().join(".git/hooks/pre-commit");
            write_all(&open(hook, libc::O_WRONLY | libc::O_APPEND)?, &p.mark())
        }),
        Attempt::new("hook-replaced", "Renames a program over a git hook.", Mark, |p| {
            fs::rename(p.scratch_file(&p.mark())?, p.work().join(".git/hooks/pre-commit"))?;
            NOTHING
        }),
        Attempt::new("hook-linked-out", "Gives a hook a second name and writes that.", Mark, |p| {
            let link = p.scratch()?.join("link");
            fs::hard_link(p.work().join(".git/hooks/pre-commit"), &link)?;
            write_mark(p, link)
        }),
        Attempt::new("hook-linked-in", "Gives a program the name of a hook.", Mark, |p| {
            fs::hard_link(p.scratch_file(&p.mark())?, p.work().join(".git/hooks/post-merge"))?;
            NOTHING
        }),
        Attempt::new("hook-symlink", "Makes a hook that is a link to a program.", Mark, |p| {
            symlink(p.scratch_file(&p.mark())?, p.work().join(".git/hooks/post-merge"))?;
            NOTHING
        }),
        Attempt::new(
            "hooks-through-link",
            "Writes a hook through a link to the folder.",
            Mark,
            |p| {
                let link = p.scratch()?.join("link");
                symlink(p.work().join(".git/hooks"), &link)?;
                write_mark(p, link.join("post-merge"))
            },
        ),
        Attempt::new("hooks-at-folder", "Writes a hook relative to a held folder.", Mark, |p| {
            let folder = open(p.work().join(".git/hooks"), libc::O_PATH)?;
            let flags = libc::O_CREAT | libc::O_WRONLY;
            write_all(&open_at(folder.as_raw_fd(), "post-merge", flags)?, &p.mark())
        }),
        Attempt::new("hooks-by-chdir", "Writes a hook from within the folder.", Mark, |p| {
            std::env::set_current_dir(p.work().join(".git/hooks"))?;
            write_mark(p, "post-merge")
        }),
        Attempt::new("hooks-by-proc", "Writes a hook by `/proc/self/cwd`.", Mark, |p| {
            write_mark(p, "/proc/self/cwd/.git/hooks/post-merge")
        }),
        Attempt::new("hooks-by-held-name", "Writes a hook by `/proc/self/fd/N/name`.", Mark, |p| {
            let folder = open(p.work().join(".git"), libc::O_PATH)?;
            write_mark(p, by_descriptor(&folder).join("hooks/post-merge"))
        }),
        Attempt::new("hooks-unnamed", "Names a nameless file as a hook.", Mark, |p| {
            let file = open(p.scratch()?, libc::O_TMPFILE | libc::O_RDWR)?;
            write_all(&file, &p.mark())?;
            let to = text(p.work().join(".git/hooks/post-merge"))?;
            let (from, here) = (text(by_descriptor(&file))?, libc::AT_FDCWD);
            let follow = libc::AT_SYMLINK_FOLLOW;
            call!(libc::SYS_linkat, here, from.as_ptr(), here, to.as_ptr(), follow).and(NOTHING)
        }),
        Attempt::new(
            "hooks-folder-renamed",
            "Renames the hooks' folder and makes another.",
            Mark,
            |p| {
                let hooks = p.work().join(".git/hooks");
                fs::rename(&hooks, p.scratch()?.join("old"))?;
                fs::create_dir(&hooks)?;
                write_mark(p, hooks.join("post-merge"))
            },
        ),
        Attempt::new(
            "hooks-folder-exchanged",
            "Exchanges the hooks' folder for another.",
            Mark,
            |p| {
                let own = p.scratch()?.join("hooks");
                fs::create_dir(&own)?;
                write_mark(p, own.join("post-merge"))?;
                let (from, to) = (text(own)?, text(p.work().join(".git/hooks"))?);
                let (here, how) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
                call!(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), how).and(NOTHING)
            },
        ),
        Attempt::new(
            "hooks-folder-mounted",
            "Mounts a folder of its own over the hooks.",
            Mark,
            |p| {
                let own = p.scratch()?.join("hooks");
                fs::create_dir(&own)?;
                let (from, to) = (text(&own)?, text(p.work().join(".git/hooks"))?);
                let none = std::ptr::null::<u8>();
                call!(libc::SYS_mount, from.as_ptr(), to.as_ptr(), none, libc::MS_BIND, none)?;
                let covered = write_mark(p, own.join("post-merge"));
                call!(libc::SYS_umount2, to.as_ptr(), libc::MNT_DETACH)?;
                covered?;
                // The mount is gone again; that it could be made is what counts.
                write_mark(p, p.work().join(".git/hooks/post-merge"))
            },
        )
        .needs(Needs::Root),
        Attempt::new(
            "repository-renamed",
            "Renames `.git`, and makes one with a hook.",
            Mark,
            |p| {
                let git = p.work().join(".git");
                fs::rename(&git, p.scratch()?.join("old"))?;
                fs::create_dir_all(git.join("hooks"))?;
                write_mark(p, git.join("hooks/post-merge"))
            },
        ),
        Attempt::new("repository-linked", "Puts a link in the place of `.git`.", Mark, |p| {
            let (git, own) = (p.work().join(".git"), p.scratch()?.join("git"));
            fs::create_dir_all(own.join("hooks"))?;
            write_mark(p, own.join("hooks/post-merge"))?;
            fs::rename(&git, p.scratch()?.join("old"))?;
            symlink(own, git).and(NOTHING)
        }),
        Attempt::new(
            "repository-redirected",
            "Puts a `.git` file in its folder's place.",
            Mark,
            |p| {
                let git = p.work().join(".git");
                fs::rename(&git, p.scratch()?.join("old"))?;
                // What git follows from there is in the agent's hands: hooks and configuration.
                write_mark(p, &git)?;
                fs::remove_file(&git)?;
                fs::create_dir(&git)?;
                write_mark(p, git.join("config"))
            },
        ),
        Attempt::new("repository-elsewhere", "Names another common folder for git.", Mark, |p| {
            write_mark(p, p.work().join(".git/commondir"))
        }),
        Attempt::new(
            "git-config-append",
            "Appends to the repository's configuration.",
            Mark,
            |p| {
                let config = p.work().join(".git/config");
                write_all(&open(config, libc::O_WRONLY | libc::O_APPEND)?, &p.mark())
            },
        ),
        Attempt::new("git-config-by-git", "Lets git set `core.hooksPath`.", Mark, |p| {
            run(p, Command::new("git").args(["config", "core.hooksPath", &p.mark()]))
        }),
        Attempt::new("git-config-alias", "Lets git set an alias that runs a program.", Mark, |p| {
            run(p, Command::new("git").args(["config", "alias.st", &format!("!{}", p.mark())]))
        }),
        Attempt::new("git-config-include", "Lets git include another file.", Mark, |p| {
            run(p, Command::new("git").args(["config", "--add", "include.path", &p.mark()]))
        }),
        Attempt::new("git-config-user", "Lets git change the user's configuration.", Mark, |p| {
            let home = p.home();
            let mark = p.mark();
            let mut git = Command::new("git");
            run(p, git.env("HOME", home).args(["config", "--global", "core.editor", &mark]))
        }),
        Attempt::new("git-config-worktree", "Writes the configuration of a worktree.", Mark, |p| {
            write_mark(p, p.work().join(".git/config.worktree"))
        }),
        Attempt::new("git-submodule-hook", "Writes a submodule's hook.", Mark, |p| {
            write_mark(p, p.work().join(".git/modules/part/hooks/post-checkout"))
        }),
        Attempt::new("git-submodule-config", "Writes a submodule's configuration.", Mark, |p| {
            let config = p.work().join(".git/modules/part/config");
            write_all(&open(config, libc::O_WRONLY | libc::O_APPEND)?, &p.mark())
        }),
        Attempt::new("git-modules-renamed", "Renames the submodules' folder.", Mark, |p| {
            let modules = p.work().join(".git/modules");
            fs::rename(&modules, p.scratch()?.join("old"))?;
            fs::create_dir_all(modules.join("part/hooks"))?;
            write_mark(p, modules.join("part/hooks/post-checkout"))
        }),
        Attempt::new(
            "git-submodule-redirected",
            "Leads the `.git` of a submodule that is there to a repository of its own.",
            Later,
            |p| {
                let own = repository(p)?;
                follow(p, &own)?;
                let file = open(p.work().join("part/.git"), libc::O_WRONLY | libc::O_TRUNC)?;
                write_all(&file, &format!("gitdir: {}/.git\n", own.display()))
            },
        )
        .afterwards(|p| Ok(p.work().join("part")), &["status"]),
        Attempt::new(
            "repository-hook",
            "Makes a repository with a hook, which runs when somebody commits there.",
            Later,
            |p| {
                let hooks = repository(p)?.join(".git/hooks");
                fs::create_dir_all(&hooks)?;
                fs::rename(program(p)?, hooks.join("pre-commit")).and(NOTHING)
            },
        )
        .afterwards(made, &COMMIT)
        .shows(ORDERS),
        Attempt::new(
            "repository-setting",
            "Makes one with a setting that `git status` there follows (`core.fsmonitor`).",
            Later,
            |p| follow(p, &repository(p)?),
        )
        .afterwards(made, &["status"])
        .shows(ORDERS),
        Attempt::new(
            "repository-clone",
            "Clones the repository that is there, with a hook in the clone.",
            Later,
            |p| {
                run(p, git(&p.work(), &["clone", "-q", "."]).arg(made(p)?))?;
                let hooks = made(p)?.join(".git/hooks");
                fs::create_dir_all(&hooks)?;
                fs::rename(program(p)?, hooks.join("pre-commit")).and(NOTHING)
            },
        )
        .afterwards(made, &COMMIT)
        .shows(ORDERS),
        Attempt::new(
            "repository-plain",
            "Makes a folder that is a repository without a `.git`, with such a setting.",
            Later,
            |p| {
                let folder = p.scratch()?.join("aside");
                run(p, Command::new("git").args(["init", "-q"]).arg(&folder))?;
                run(p, &mut git(&folder, &["config", "core.worktree", "."]))?;
                follow(p, &folder)?;
                fs::rename(folder.join(".git"), made(p)?).and(NOTHING)
            },
        )
        .afterwards(made, &["status"])
        .shows(ORDERS),
        Attempt::new(
            "repository-submodule",
            "Makes one a submodule of the repository that is there, where somebody asks `git status`.",
            Later,
            |p| {
                let own = repository(p)?;
                run(p, &mut git(&own, &COMMIT))?;
                let head = run(p, &mut git(&own, &["rev-parse", "HEAD"]))?;
                let head = String::from_utf8_lossy(&head).trim().to_owned();
                let at = own.strip_prefix(p.work()).map_err(io::Error::other)?;
                let entry = format!("160000,{head},{}", at.display());
                let add = ["update-index", "--add", "--cacheinfo", &entry];
                run(p, &mut git(&p.work(), &add))?;
                follow(p, &own)
            },
        )
        .afterwards(|p| Ok(p.work()), &["status"])
        .shows(ORDERS),
        Attempt::new(
            "repository-worktree",
            "Makes a linked worktree whose `commondir` leads to a repository of its own.",
            Later,
            |p| {
                let own = p.scratch()?.join("own");
                run(p, Command::new("git").args(["init", "-q"]).arg(&own))?;
                follow(p, &own)?;
                let (tree, folder) = (made(p)?, p.work().join(".git/worktrees").join(p.name()));
                fs::create_dir(&tree)?;
                fs::create_dir_all(&folder)?;
                for (file, text) in [
                    (tree.join(".git"), format!("gitdir: {}\n", folder.display())),
                    (folder.join("gitdir"), format!("{}/.git\n", tree.display())),
                    (folder.join("commondir"), format!("{}/.git\n", own.display())),
                    (folder.join("HEAD"), "ref: refs/heads/main\n".to_owned()),
                ] {
                    fs::write(file, text)?;
                }
                NOTHING
            },
        )
        .afterwards(made, &["status"])
        .shows(ORDERS),
        Attempt::new(
            "repository-deeper",
            "Gives that setting to a repository that is there, deeper in the workspace.",
            Later,
            |p| follow(p, &deeper(p)?),
        )
        .afterwards(deeper, &["status"])
        .shows(ORDERS),
        Attempt::new(
            "rebase-left",
            "Leaves a rebase under way whose list runs a program when somebody continues it.",
            Later,
            |p| {
                run(p, &mut git(&p.work(), &COMMIT))?;
                let list = format!("printf 'break\\nexec {}\\n' >", program(p)?.display());
                let mut rebase = git(&p.work(), &["rebase", "-q", "-i", "HEAD"]);
                run(p, rebase.env("GIT_SEQUENCE_EDITOR", list))
            },
        )
        .afterwards(|p| Ok(p.work()), &["rebase", "--continue"])
        .shows(ORDERS)
        .alone(),
        Attempt::new("direnv-made", "Makes an `.envrc` that was not there.", Mark, |p| {
            write_mark(p, p.work().join(".envrc"))
        }),
        Attempt::new(
            "direnv-openat2",
            "Makes it with the flags of `openat2`; no session has it.",
            Mark,
            |p| {
                let flags = libc::O_CREAT | libc::O_WRONLY;
                let file = openat2(libc::AT_FDCWD, &p.work().join(".envrc"), flags, 0)?;
                write_all(&file, &p.mark())
            },
        ),
        Attempt::new("direnv-renamed", "Renames a file to `.envrc`.", Mark, |p| {
            fs::rename(p.scratch_file(&p.mark())?, p.work().join(".envrc")).and(NOTHING)
        }),
        Attempt::new("direnv-hard-link", "Links a file as `.envrc`.", Mark, |p| {
            fs::hard_link(p.scratch_file(&p.mark())?, p.work().join(".envrc")).and(NOTHING)
        }),
        Attempt::new("direnv-symlink", "Makes `.envrc` a link to a file.", Mark, |p| {
            symlink(p.scratch_file(&p.mark())?, p.work().join(".envrc")).and(NOTHING)
        }),
        Attempt::new(
            "direnv-exchanged",
            "Exchanges a link for `.envrc`, made meanwhile.",
            Mark,
            |p| {
                let own = p.scratch_file(&p.mark())?;
                let aside = p.scratch()?.join("aside");
                symlink(p.work().join(".envrc"), &aside)?;
                fs::write(&aside, fs::read(own)?).and(NOTHING)
            },
        ),
        Attempt::new("direnv-copied", "Lets `cp` make `.envrc`.", Mark, |p| {
            shell(p, p.scratch_file(&p.mark())?, "cp \"$1\" .envrc")
        }),
        Attempt::new("direnv-unpacked", "Lets `tar` unpack an `.envrc`.", Mark, |p| {
            let script = "cd \"$1\" && printf %s \"$MARK\" > .envrc-x && \
                      tar -cf a.tar --transform 's/-x//' .envrc-x && \
                      tar -xf a.tar -C ../.. && cat ../../.envrc";
            shell(p, p.scratch()?, script)
        }),
        Attempt::new("settings-made", "Makes an agent's folder and its settings.", Mark, |p| {
            fs::create_dir(p.work().join(".claude"))?;
            write_mark(p, p.work().join(".claude/settings.json"))
        }),
        Attempt::new("settings-moved-in", "Makes a folder aside and renames it.", Mark, |p| {
            let aside = p.scratch()?.join("aside");
            fs::create_dir(&aside)?;
            write_mark(p, aside.join("settings.json"))?;
            fs::rename(aside, p.work().join(".claude")).and(NOTHING)
        }),
        Attempt::new("settings-linked-folder", "Makes an agent's folder a link.", Mark, |p| {
            let aside = p.scratch()?.join("aside");
            fs::create_dir(&aside)?;
            write_mark(p, aside.join("settings.json"))?;
            symlink(aside, p.work().join(".claude")).and(NOTHING)
        }),
        Attempt::new("settings-nested-move", "Renames a folder two levels above.", Mark, |p| {
            let aside = p.scratch()?.join("a");
            fs::create_dir_all(aside.join("workflows"))?;
            write_mark(p, aside.join("workflows/build.yml"))?;
            fs::rename(p.work().join(".github"), p.scratch()?.join("old"))?;
            fs::rename(aside, p.work().join(".github")).and(NOTHING)
        }),
        Attempt::new("settings-of-tools", "Makes a list of tool servers.", Mark, |p| {
            write_mark(p, p.work().join(".mcp.json"))
        }),
        Attempt::new("task-changed", "Changes an editor's tasks that are there.", Mark, |p| {
            write_mark(p, p.work().join(".vscode/tasks.json"))
        }),
        Attempt::new(
            "task-folder-replaced",
            "Replaces the folder of an editor's tasks.",
            Mark,
            |p| {
                let folder = p.work().join(".vscode");
                fs::rename(&folder, p.scratch()?.join("old"))?;
                fs::create_dir(&folder)?;
                write_mark(p, folder.join("tasks.json"))
            },
        ),
        Attempt::new(
            "task-removed-first",
            "Removes an editor's tasks and makes new ones.",
            Mark,
            |p| {
                fs::remove_file(p.work().join(".vscode/tasks.json"))?;
                write_mark(p, p.work().join(".vscode/tasks.json"))
            },
        ),
        Attempt::new("container-made", "Makes a development container.", Mark, |p| {
            fs::create_dir(p.work().join(".devcontainer"))?;
            write_mark(p, p.work().join(".devcontainer/devcontainer.json"))
        }),
        Attempt::new("workflow-made", "Adds a CI workflow beside others.", Mark, |p| {
            write_mark(p, p.work().join(".github/workflows/more.yml"))
        }),
        Attempt::new(
            "workflow-cut",
            "Truncates a workflow and writes it by a mapping.",
            Mark,
            |p| {
                let file = open(p.work().join(".github/workflows/build.yml"), libc::O_RDWR)?;
                let mark = p.mark();
                call!(libc::SYS_ftruncate, file.as_raw_fd(), mark.len())?;
                let (both, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
                let at = call!(libc::SYS_mmap, 0, 4096, both, shared, file.as_raw_fd(), 0)?;
                // SAFETY: the file is as long as the mark, and mapped for writing.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        mark.as_ptr(),
                        at as usize as *mut u8,
                        mark.len(),
                    );
                }
                NOTHING
            },
        ),
        Attempt::new("pipeline-by-node", "Makes a CI definition as a named pipe.", Mark, |p| {
            let path = text(p.work().join("Jenkinsfile"))?;
            let (here, kind) = (libc::AT_FDCWD, libc::S_IFREG | 0o600);
            call!(libc::SYS_mknodat, here, path.as_ptr(), kind, 0)?;
            write_mark(p, p.work().join("Jenkinsfile"))
        }),
        Attempt::new("hook-manager", "Makes a hook manager's folder with a hook.", Mark, |p| {
            fs::create_dir(p.work().join(".husky"))?;
            write_mark(p, p.work().join(".husky/pre-commit"))
        }),
        Attempt::new("own-policy", "Writes Chaperone's file in the workspace.", Mark, |p| {
            write_mark(p, p.work().join(".chaperone.toml"))
        }),
        Attempt::new("user-policy", "Writes the user's own policy.", Mark, |p| {
            write_mark(p, p.home().join(".config/chaperone/config.toml"))
        }),
        Attempt::new("user-shell", "Appends to the user's shell start-up file.", Mark, |p| {
            let file = p.home().join(".bashrc");
            write_all(&open(file, libc::O_WRONLY | libc::O_APPEND)?, &p.mark())
        }),
        Attempt::new("user-shell-by-shell", "Lets a shell append to it.", Mark, |p| {
            shell(p, p.home(), "printf %s \"$MARK\" >> \"$1/.bashrc\"")
        }),
        Attempt::new("user-autostart", "Makes an entry that starts at sign-in.", Mark, |p| {
            fs::create_dir_all(p.home().join(".config/autostart"))?;
            write_mark(p, p.home().join(".config/autostart/x.desktop"))
        }),
        Attempt::new("user-service", "Makes a service of the user's own.", Mark, |p| {
            fs::create_dir_all(p.home().join(".config/systemd/user"))?;
            write_mark(p, p.home().join(".config/systemd/user/x.service"))
        }),
        Attempt::new("user-keys", "Adds a key that may sign in.", Mark, |p| {
            write_mark(p, p.home().join(".ssh/authorized_keys"))
        }),
        Attempt::new("user-agent", "Changes an agent's settings in the home folder.", Mark, |p| {
            write_mark(p, p.home().join(".claude/settings.json"))
        }),
        Attempt::new("user-program", "Puts a program where the user's are found.", Mark, |p| {
            fs::create_dir_all(p.home().join(".local/bin"))?;
            write_mark(p, p.home().join(".local/bin/git"))
        }),
        Attempt::new("workspace-replaced", "Renames the workspace and makes another.", Mark, |p| {
            let (work, aside) = (p.work(), p.home().join("aside"));
            fs::rename(&work, &aside)?;
            fs::create_dir(&work)?;
            fs::create_dir(work.join(".husky"))?;
            let made = write_mark(p, work.join(".husky/pre-commit"));
            fs::rename(aside.join("ran"), work.join("ran"))?;
            made
        }),
        Attempt::new("kept-write", "Writes what the policy keeps from change.", Prop, |p| {
            write_mark(p, p.kept())
        }),
        Attempt::new("kept-remove", "Removes what the policy keeps from change.", Prop, |p| {
            fs::remove_file(p.kept()).and(NOTHING)
        }),
        Attempt::new("kept-folder-moved", "Renames the folder that is kept.", Prop, |p| {
            fs::rename(p.work().join("kept"), p.scratch()?.join("moved")).and(NOTHING)
        }),
        Attempt::new("kept-mode", "Makes what is kept executable.", Prop, |p| {
            fs::set_permissions(p.kept(), fs::Permissions::from_mode(0o777)).and(NOTHING)
        }),
        Attempt::new("kept-times", "Makes what is kept look new.", Prop, |p| {
            let path = text(p.kept())?;
            let none = std::ptr::null::<u8>();
            call!(libc::SYS_utimensat, libc::AT_FDCWD, path.as_ptr(), none, 0).and(NOTHING)
        }),
        Attempt::new("kept-linked-out", "Gives what is kept another name to write.", Prop, |p| {
            let link = p.scratch()?.join("link");
            fs::hard_link(p.kept(), &link)?;
            write_mark(p, link)
        }),
        Attempt::new("race-name", "Swaps letters of a name while it makes the file.", Mark, |p| {
            race_name(p)
        }),
        Attempt::new(
            "race-guarded-link",
            "Swaps a link's target between two folders.",
            Mark,
            |p| {
                let folder = p.scratch()?;
                let (link, next) = (folder.join("link"), folder.join("next"));
                let hooks = p.work().join(".git/hooks");
                let made = hooks.join("post-merge");
                race(
                    || {
                        for target in [&folder, &hooks] {
                            // It may be in the middle of the other.
                            let _ = symlink(target, &next);
                            let _ = fs::rename(&next, &link);
                        }
                    },
                    || drop(fs::write(link.join("post-merge"), p.mark())),
                    || made.exists(),
                )
            },
        ),
        Attempt::new(
            "race-guarded-folder",
            "Renames a folder while files appear in it.",
            Mark,
            |p| {
                let (a, b) = (p.scratch()?.join("a"), p.work().join(".idea"));
                fs::create_dir(&a)?;
                race(
                    || {
                        // Either may be in the other's way.
                        let _ = fs::rename(&a, &b);
                        let _ = fs::rename(&b, &a);
                    },
                    || drop(fs::write(b.join("workspace.xml"), p.mark())),
                    || b.join("workspace.xml").exists(),
                )?;
                if a.join("workspace.xml").exists() {
                    fs::rename(a, b)?;
                }
                NOTHING
            },
        ),
    ])
}

/// Git's words that commit nothing, as somebody of no machine in particular.
const COMMIT: [&str; 8] = [
    "-c",
    "user.name=Ada",
    "-c",
    "user.email=ada@acme.example",
    "commit",
    "-q",
    "--allow-empty",
    "--message=x",
];

fn git(folder: &Path, words: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(words);
    git
}

/// Where an attempt makes what git is used in afterwards.
fn made(p: &Place) -> io::Result<PathBuf> {
    Ok(p.scratch()?.join("made"))
}

/// A repository that is there, below the workspace's own.
fn deeper(p: &Place) -> io::Result<PathBuf> {
    Ok(p.work().join("deeper/there"))
}

/// A new repository where it makes one.
fn repository(p: &Place) -> io::Result<PathBuf> {
    let folder = made(p)?;
    run(p, Command::new("git").args(["init", "-q"]).arg(&folder))?;
    Ok(folder)
}

/// A program that leaves what it finds in its environment where nothing of a session may write.
fn program(p: &Place) -> io::Result<PathBuf> {
    let text = format!("#!/bin/sh\nprintf %s \"${LATER}\" > '{}'\n", p.later().display());
    let file = p.scratch_file(&text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// Names that program in a repository's settings, where git runs it whenever it looks at the files:
/// the last that is done there, so that nothing is run before somebody comes.
fn follow(p: &Place, folder: &Path) -> Got {
    run(p, git(folder, &["config", "core.fsmonitor"]).arg(program(p)?))
}

/// Makes `.envrX` again and again while another thread swaps its last letter.
fn race_name(p: &Place) -> Got {
    use std::sync::atomic::{AtomicU8, Ordering};
    let path = text(p.work().join(".envrb"))?.into_bytes_with_nul();
    let bytes: Vec<AtomicU8> = path.into_iter().map(AtomicU8::new).collect();
    let last = &bytes[bytes.len() - 2];
    let mark = p.mark();
    race(
        || {
            last.store(b'c', Ordering::Relaxed);
            std::thread::yield_now();
            last.store(b'b', Ordering::Relaxed);
        },
        || {
            let flags = libc::O_CREAT | libc::O_WRONLY;
            let (here, at) = (libc::AT_FDCWD, bytes.as_ptr());
            if let Ok(file) = crate::sys::owned(call!(libc::SYS_openat, here, at, flags, 0o600)) {
                // The next round tries again.
                let _ = write_all(&file, &mark);
            }
        },
        || p.work().join(".envrc").exists(),
    )
}
