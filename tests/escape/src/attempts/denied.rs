//! Paths that the policy denies within a folder that it grants: in the workspace, and in one that
//! may only be read.

use crate::Told::{Mark, Secret};
use crate::attempts::files::{IN_WORKSPACE, openat2, relative, rename2};
use crate::sys::{
    Got, NOTHING, by_descriptor, call, open, open_at, owned, read_all, run, text, write_mark,
};
use crate::{Attempt, Needs, Place};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn all() -> Vec<Attempt> {
    [in_the_workspace(), made(), in_what_is_read()].concat()
}

fn in_the_workspace() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("denied-read", "Opens a denied file in the workspace.", Secret, |p| {
            fs::read(p.denied())
        })
        .shows(IN_WORKSPACE),
        Attempt::new(
            "denied-pattern",
            "Opens a file that matches a denied pattern.",
            Secret,
            |p| fs::read(p.work().join("denied.pem")),
        )
        .shows(IN_WORKSPACE),
        Attempt::new("denied-dots", "Climbs to a denied file with `..`.", Secret, |p| {
            std::env::set_current_dir(p.work().join("src"))?;
            fs::read(Path::new("../denied").join(p.name()))
        })
        .shows(IN_WORKSPACE),
        Attempt::new("denied-proc-root", "Names it by `/proc/self/root`.", Secret, |p| {
            by_proc_root(&p.denied())
        })
        .shows(IN_WORKSPACE),
        Attempt::new("denied-proc-cwd", "Names it by `/proc/self/cwd`.", Secret, |p| {
            std::env::set_current_dir(p.work())?;
            fs::read(Path::new("/proc/self/cwd/denied").join(p.name()))
        })
        .shows(IN_WORKSPACE),
        Attempt::new(
            "denied-root-of-another",
            "Names it by the root of a process that nothing hides it from.",
            Secret,
            |p| by_root_of_victim(p, &p.denied()),
        ),
        Attempt::new("denied-symlink", "Makes a link to it and opens that.", Secret, |p| {
            by_link(p, &p.denied())
        })
        .shows(IN_WORKSPACE),
        Attempt::new(
            "denied-link-copied",
            "Copies a link that leads to its folder, and goes by the copy.",
            Secret,
            |p| by_copied_link(p, &p.work().join("src/link")),
        )
        .shows(IN_WORKSPACE),
        Attempt::new("denied-openat2", "Opens it by `openat2`; no session has it.", Secret, |p| {
            read_all(&openat2(libc::AT_FDCWD, &p.denied(), libc::O_RDONLY, 0)?)
        }),
        Attempt::new("denied-openat2-beneath", "The same beneath the workspace.", Secret, |p| {
            beneath(&p.work(), &p.denied())
        }),
        Attempt::new("denied-at-folder", "Opens it relative to its held folder.", Secret, |p| {
            at_folder(&p.denied())
        })
        .shows(IN_WORKSPACE),
        Attempt::new("denied-reopened", "Reopens an `O_PATH` descriptor of it.", Secret, |p| {
            fs::read(by_descriptor(&open(p.denied(), libc::O_PATH)?))
        })
        .shows(IN_WORKSPACE),
        Attempt::new("denied-hard-link", "Links a denied file to another name.", Secret, |p| {
            by_hard_link(p, &p.denied())
        }),
        Attempt::new(
            "denied-linked-fd",
            "Links a held descriptor of it by `/proc`.",
            Secret,
            |p| {
                let file = open(p.denied(), libc::O_PATH)?;
                let link = p.scratch()?.join("link");
                let (from, to) = (text(by_descriptor(&file))?, text(&link)?);
                let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
                call!(libc::SYS_linkat, here, from.as_ptr(), here, to.as_ptr(), follow)?;
                fs::read(link)
            },
        ),
        Attempt::new("denied-rename", "Renames a denied file to another name.", Secret, |p| {
            by_rename(p, &p.denied())
        }),
        Attempt::new("denied-exchanged", "Exchanges it with a file of its own.", Secret, |p| {
            by_exchange(p, &p.denied())
        }),
        Attempt::new("denied-pattern-rename", "Renames what matches a pattern.", Secret, |p| {
            let (from, to) = (p.work().join("denied.pem"), p.scratch()?.join("moved"));
            fs::rename(&from, &to)?;
            let got = fs::read(&to);
            fs::rename(to, from)?;
            got
        }),
        Attempt::new("denied-folder-rename", "Renames a denied folder.", Secret, |p| {
            let (from, to) = (p.work().join("denied"), p.scratch()?.join("moved"));
            fs::rename(&from, &to)?;
            let got = fs::read(to.join("secret"));
            fs::rename(to, from)?;
            got
        }),
        Attempt::new(
            "denied-folder-exchanged",
            "Exchanges a denied folder with one of its own.",
            Secret,
            |p| {
                let (from, own) = (p.work().join("denied"), p.scratch()?.join("own"));
                fs::create_dir(&own)?;
                rename2(&from, &own, libc::RENAME_EXCHANGE)?;
                let got = fs::read(own.join("secret"));
                rename2(&from, &own, libc::RENAME_EXCHANGE)?;
                got
            },
        ),
        Attempt::new(
            "denied-cloned-tree",
            "Clones the workspace's mount, without what covers parts of it.",
            Secret,
            |p| {
                let path = text(p.work())?;
                let flags = libc::OPEN_TREE_CLONE;
                let tree = owned(call!(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags))?;
                let name = Path::new("denied").join(p.name());
                read_all(&open_at(tree.as_raw_fd(), name, libc::O_RDONLY)?)
            },
        )
        .needs(Needs::Root),
    ])
}

/// What comes to bear a denied name.
fn made() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("denied-later", "Makes a denied folder that was not there.", Secret, |p| {
            fs::create_dir(p.work().join("later"))?;
            let deadline = Instant::now() + Duration::from_secs(2);
            loop {
                match fs::read(p.work().join("later/secret")) {
                    Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
                    result if Instant::now() > deadline => return result,
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        }),
        Attempt::new("denied-made", "Makes a file that matches a denied pattern.", Mark, |p| {
            write_mark(p, p.scratch()?.join("new.pem"))
        }),
        Attempt::new("denied-name-renamed", "Renames a file to a denied name.", Mark, |p| {
            fs::rename(p.scratch_file(&p.mark())?, p.scratch()?.join("new.pem")).and(NOTHING)
        }),
        Attempt::new("denied-name-hard-link", "Links a file to a denied name.", Mark, |p| {
            fs::hard_link(p.scratch_file(&p.mark())?, p.scratch()?.join("new.pem")).and(NOTHING)
        }),
        Attempt::new("denied-name-symlink", "Makes a denied name a link to a file.", Mark, |p| {
            symlink(p.scratch_file(&p.mark())?, p.scratch()?.join("new.pem")).and(NOTHING)
        }),
        Attempt::new("denied-name-exchanged", "Exchanges a file for a denied one.", Mark, |p| {
            rename2(&p.scratch_file(&p.mark())?, &p.denied(), libc::RENAME_EXCHANGE)
        }),
        Attempt::new("denied-name-replaced", "Renames a file over a denied one.", Mark, |p| {
            fs::rename(p.scratch_file(&p.mark())?, p.denied()).and(NOTHING)
        }),
        Attempt::new("denied-folder-renamed-to", "Renames a folder to a denied name.", Mark, |p| {
            fs::rename(folder(p)?, p.work().join("later")).and(NOTHING)
        }),
        Attempt::new(
            "denied-folder-symlink",
            "Makes a denied folder's name a link to a folder.",
            Mark,
            |p| symlink(folder(p)?, p.work().join("later")).and(NOTHING),
        ),
    ])
}

fn in_what_is_read() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("mixed-read", "Opens a denied file in a folder that it reads.", Secret, |p| {
            fs::read(p.mixed())
        }),
        Attempt::new("mixed-dots", "Climbs to it with `..` from what it reads.", Secret, |p| {
            std::env::set_current_dir(p.base().join("mixed/open"))?;
            fs::read(Path::new("../denied").join(p.name()))
        }),
        Attempt::new("mixed-proc-root", "Names that file by `/proc/self/root`.", Secret, |p| {
            by_proc_root(&p.mixed())
        }),
        Attempt::new("mixed-root-of-another", "Names it by a victim's root.", Secret, |p| {
            by_root_of_victim(p, &p.mixed())
        }),
        Attempt::new("mixed-symlink", "Makes a link in the workspace to that file.", Secret, |p| {
            by_link(p, &p.mixed())
        }),
        Attempt::new(
            "mixed-link-copied",
            "Copies a link to its folder into the workspace.",
            Secret,
            |p| by_copied_link(p, &p.base().join("mixed/open/link")),
        ),
        Attempt::new(
            "mixed-openat2",
            "Opens that file by `openat2`; no session has it.",
            Secret,
            |p| read_all(&openat2(libc::AT_FDCWD, &p.mixed(), libc::O_RDONLY, 0)?),
        ),
        Attempt::new(
            "mixed-openat2-beneath",
            "The same beneath the folder that it reads.",
            Secret,
            |p| beneath(&p.base().join("mixed"), &p.mixed()),
        ),
        Attempt::new("mixed-at-folder", "Opens that file relative to its folder.", Secret, |p| {
            at_folder(&p.mixed())
        }),
        Attempt::new("mixed-reopened", "Reopens a held descriptor of that file.", Secret, |p| {
            fs::read(by_descriptor(&open(p.mixed(), libc::O_PATH)?))
        }),
        Attempt::new("mixed-hard-link", "Links that file into the workspace.", Secret, |p| {
            by_hard_link(p, &p.mixed())
        }),
        Attempt::new("mixed-rename", "Renames that file into the workspace.", Secret, |p| {
            by_rename(p, &p.mixed())
        }),
        Attempt::new("mixed-exchanged", "Exchanges that file with its own.", Secret, |p| {
            by_exchange(p, &p.mixed())
        }),
    ])
}

fn by_proc_root(file: &Path) -> Got {
    fs::read(Path::new("/proc/self/root").join(relative(file)))
}

fn by_root_of_victim(p: &Place, file: &Path) -> Got {
    fs::read(Path::new("/proc").join(p.victim()?.to_string()).join("root").join(relative(file)))
}

fn by_link(p: &Place, file: &Path) -> Got {
    let link = p.scratch()?.join("link");
    symlink(file, &link)?;
    fs::read(link)
}

/// `link` leads to the denied folder.
fn by_copied_link(p: &Place, link: &Path) -> Got {
    let copy = p.scratch()?.join("copy");
    run(p, Command::new("cp").arg("-P").args([link, &copy]))?;
    fs::read(copy.join(p.name()))
}

fn beneath(top: &Path, file: &Path) -> Got {
    let folder = open(top, libc::O_PATH | libc::O_DIRECTORY)?;
    let within = file.strip_prefix(top).map_err(io::Error::other)?;
    read_all(&openat2(folder.as_raw_fd(), within, libc::O_RDONLY, libc::RESOLVE_BENEATH)?)
}

fn at_folder(file: &Path) -> Got {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return NOTHING };
    let folder = open(folder, libc::O_PATH | libc::O_DIRECTORY)?;
    read_all(&open_at(folder.as_raw_fd(), name, libc::O_RDONLY)?)
}

fn by_hard_link(p: &Place, file: &Path) -> Got {
    let link = p.scratch()?.join("link");
    fs::hard_link(file, &link)?;
    fs::read(link)
}

fn by_rename(p: &Place, file: &Path) -> Got {
    let moved = p.scratch()?.join("moved");
    fs::rename(file, &moved)?;
    fs::read(moved)
}

fn by_exchange(p: &Place, file: &Path) -> Got {
    let own = p.scratch_file("mine")?;
    rename2(file, &own, libc::RENAME_EXCHANGE)?;
    fs::read(own)
}

/// A folder of its own with its mark in it.
fn folder(p: &Place) -> io::Result<PathBuf> {
    let own = p.scratch()?.join("own");
    fs::create_dir(&own)?;
    write_mark(p, own.join("file"))?;
    Ok(own)
}
