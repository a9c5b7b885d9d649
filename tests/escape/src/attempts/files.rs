//! Files outside of every grant, and files that may only be read.

use crate::Told::{Mark, Prop, Secret};
use crate::stage::{FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS};
use crate::sys::{
    Got, NOTHING, by_descriptor, call, check, open, open_at, owned, read_all, refused, run, shell,
    text, write_all, write_mark,
};
use crate::{Attempt, Known, Needs};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// In the reduced tier, what lies in the workspace can be read.
pub(crate) const IN_WORKSPACE: Known = Known::Loss("secrets-in-workspace");
/// Landlock knows files' contents and folders' entries, not what is known of a file by its name.
const ATTRIBUTES: Known = Known::Left("What a file is called, and is");

pub(crate) fn all() -> Vec<Attempt> {
    let mut all = Vec::from([
        Attempt::new("read-key", "Opens a private key in the home folder.", Secret, |p| {
            fs::read(p.home().join(".ssh/id_ed25519"))
        }),
        Attempt::new("read-dots", "Climbs out of the workspace with `..`.", Secret, |p| {
            fs::read(p.work().join("src/../../../other/secret"))
        }),
        Attempt::new("read-proc-root", "Goes round by `/proc/self/root`.", Secret, |p| {
            fs::read(Path::new("/proc/self/root").join(relative(&p.secret())))
        }),
        Attempt::new("read-proc-cwd", "Goes round by `/proc/self/cwd`.", Secret, |_| {
            fs::read("/proc/self/cwd/../../other/secret")
        }),
        Attempt::new("read-task-root", "Goes round by the root of a thread.", Secret, |p| {
            fs::read(Path::new("/proc/thread-self/root").join(relative(&p.secret())))
        }),
        Attempt::new(
            "read-at-folder",
            "Opens a file relative to an `O_PATH` folder.",
            Secret,
            |p| {
                let folder = open(p.other(), libc::O_PATH | libc::O_DIRECTORY)?;
                read_all(&open_at(folder.as_raw_fd(), "secret", libc::O_RDONLY)?)
            },
        ),
        Attempt::new("read-reopened", "Reopens an `O_PATH` descriptor for reading.", Secret, |p| {
            fs::read(by_descriptor(&open(p.secret(), libc::O_PATH)?))
        }),
        Attempt::new("read-by-chdir", "Changes into the folder and opens by name.", Secret, |p| {
            std::env::set_current_dir(p.other())?;
            fs::read("secret")
        }),
        Attempt::new("read-by-fchdir", "Changes into an `O_PATH` folder.", Secret, |p| {
            let folder = open(p.other(), libc::O_PATH | libc::O_DIRECTORY)?;
            call!(libc::SYS_fchdir, folder.as_raw_fd())?;
            fs::read("secret")
        }),
        Attempt::new(
            "read-openat2",
            "Opens by `openat2`, whose flags lie in memory; no session has it.",
            Secret,
            |p| read_all(&openat2(libc::AT_FDCWD, &p.secret(), libc::O_RDONLY, 0)?),
        ),
        Attempt::new("read-openat2-root", "The same with `/` for its root.", Secret, |p| {
            let root = open("/", libc::O_PATH | libc::O_DIRECTORY)?;
            read_all(&openat2(
                root.as_raw_fd(),
                &p.secret(),
                libc::O_RDONLY,
                libc::RESOLVE_IN_ROOT,
            )?)
        }),
        Attempt::new("read-openat2-beneath", "The same beneath `/`.", Secret, |p| {
            let root = open("/", libc::O_PATH | libc::O_DIRECTORY)?;
            let path = p.secret();
            read_all(&openat2(
                root.as_raw_fd(),
                relative(&path),
                libc::O_RDONLY,
                libc::RESOLVE_BENEATH,
            )?)
        }),
        Attempt::new(
            "read-openat2-path",
            "The same for an `O_PATH` descriptor, which it reopens.",
            Secret,
            |p| {
                let held = openat2(libc::AT_FDCWD, &p.secret(), libc::O_PATH, 0)?;
                fs::read(by_descriptor(&held))
            },
        ),
        Attempt::new("read-symlink", "Makes a link to the file and opens the link.", Secret, |p| {
            let link = p.scratch()?.join("link");
            symlink(p.secret(), &link)?;
            fs::read(link)
        }),
        Attempt::new("read-symlinked-folder", "Links a folder above the file.", Secret, |p| {
            let link = p.scratch()?.join("link");
            symlink(p.base(), &link)?;
            fs::read(link.join("other/secret"))
        }),
        Attempt::new("read-link-chain", "Chains links of relative parts.", Secret, |p| {
            let folder = p.scratch()?;
            symlink("../../../..", folder.join("up"))?;
            symlink("up/other", folder.join("over"))?;
            fs::read(folder.join("over/secret"))
        }),
        Attempt::new(
            "read-hard-link",
            "Gives the file a second name in the workspace.",
            Secret,
            |p| {
                let link = p.scratch()?.join("link");
                fs::hard_link(p.prop(), &link)?;
                fs::read(link)
            },
        ),
        Attempt::new(
            "read-linked-fd",
            "Links an `O_PATH` descriptor's file by `/proc`.",
            Secret,
            |p| {
                let file = open(p.prop(), libc::O_PATH)?;
                let (from, to) = (text(by_descriptor(&file))?, text(p.scratch()?.join("link"))?);
                let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
                call!(libc::SYS_linkat, here, from.as_ptr(), here, to.as_ptr(), follow)?;
                fs::read(p.scratch()?.join("link"))
            },
        ),
        Attempt::new("read-linked-empty", "Links a descriptor by `AT_EMPTY_PATH`.", Secret, |p| {
            let file = open(p.prop(), libc::O_PATH)?;
            let to = text(p.scratch()?.join("link"))?;
            let flags = libc::AT_EMPTY_PATH;
            let fd = file.as_raw_fd();
            call!(libc::SYS_linkat, fd, c"".as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags)?;
            fs::read(p.scratch()?.join("link"))
        })
        .needs(Needs::Machine("a kernel that links by descriptor without a capability (6.10)")),
        Attempt::new("read-renamed", "Renames the file into the workspace.", Secret, |p| {
            let to = p.scratch()?.join("moved");
            fs::rename(p.prop(), &to)?;
            fs::read(to)
        }),
        Attempt::new("read-exchanged", "Exchanges the file with one of its own.", Secret, |p| {
            let own = p.scratch_file("mine")?;
            rename2(&p.prop(), &own, libc::RENAME_EXCHANGE)?;
            fs::read(own)
        }),
        Attempt::new(
            "read-folder-renamed",
            "Renames the folder into the workspace.",
            Secret,
            |p| {
                let to = p.scratch()?.join("moved");
                fs::rename(p.prop_folder(), &to)?;
                fs::read(to.join("inner"))
            },
        ),
        Attempt::new("list-folder", "Lists a folder outside.", Secret, |p| {
            let deadline = Instant::now() + Duration::from_secs(2);
            let folder = p.other().join("watched");
            while Instant::now() < deadline {
                if let Some(entry) = fs::read_dir(&folder)?.next() {
                    return Ok(entry?.file_name().as_bytes().to_vec());
                }
            }
            NOTHING
        }),
        Attempt::new(
            "watch-folder",
            "Watches a folder outside for names (`inotify`).",
            Secret,
            |p| {
                let watch = owned(call!(libc::SYS_inotify_init1, 0))?;
                let path = text(p.other().join("watched"))?;
                call!(
                    libc::SYS_inotify_add_watch,
                    watch.as_raw_fd(),
                    path.as_ptr(),
                    libc::IN_CREATE
                )?;
                arrived(&watch)
            },
        ),
        Attempt::new(
            "watch-machine",
            "Watches a file system for names (`fanotify`).",
            Secret,
            |p| {
                let flags = libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_FID | libc::FAN_REPORT_DIR_FID;
                let flags = flags | libc::FAN_REPORT_NAME;
                let watch = owned(call!(libc::SYS_fanotify_init, flags, 0))?;
                let path = text(p.other().join("watched"))?;
                let (add, mask) = (libc::FAN_MARK_ADD, libc::FAN_CREATE);
                let fd = watch.as_raw_fd();
                call!(libc::SYS_fanotify_mark, fd, add, mask, libc::AT_FDCWD, path.as_ptr())?;
                arrived(&watch)
            },
        )
        .needs(Needs::Machine("a file system that fanotify can watch")),
        Attempt::new(
            "read-by-handle",
            "Opens the file by its handle, without a path.",
            Secret,
            |p| {
                let mut handle = [0u32; 34];
                handle[0] = 128;
                let (mut mount, path) = (0i32, text(p.secret())?);
                let (here, to) = (libc::AT_FDCWD, handle.as_mut_ptr());
                call!(libc::SYS_name_to_handle_at, here, path.as_ptr(), to, &raw mut mount, 0)?;
                let top = open(p.base(), libc::O_RDONLY)?;
                let opened =
                    call!(libc::SYS_open_by_handle_at, top.as_raw_fd(), to, libc::O_RDONLY);
                read_all(&owned(opened)?)
            },
        )
        .needs(Needs::Root),
        Attempt::new("read-bind-mount", "Mounts the folder into the workspace.", Secret, |p| {
            let (from, to) = (text(p.other())?, text(p.scratch()?)?);
            let none = std::ptr::null::<u8>();
            call!(libc::SYS_mount, from.as_ptr(), to.as_ptr(), none, libc::MS_BIND, none)?;
            let got = fs::read(p.scratch()?.join("secret"));
            call!(libc::SYS_umount2, to.as_ptr(), libc::MNT_DETACH)?;
            got
        })
        .needs(Needs::Root),
        Attempt::new("read-cloned-tree", "Clones the folder's mount (`open_tree`).", Secret, |p| {
            let path = text(p.other())?;
            let flags = libc::OPEN_TREE_CLONE;
            let tree = owned(call!(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags))?;
            read_all(&open_at(tree.as_raw_fd(), "secret", libc::O_RDONLY)?)
        })
        .needs(Needs::Root),
        Attempt::new("read-chroot", "Makes the folder its root.", Secret, |p| {
            let path = text(p.other())?;
            call!(libc::SYS_chroot, path.as_ptr())?;
            fs::read("/secret")
        })
        .needs(Needs::Root),
        Attempt::new(
            "read-second-domain",
            "Confines itself anew, with everything granted.",
            Secret,
            |p| {
                call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
                let rights = 0x1fffu64;
                let rules =
                    owned(call!(libc::SYS_landlock_create_ruleset, &raw const rights, 8, 0))?;
                let root = open("/", libc::O_PATH)?;
                let mut rule = [0u8; 12];
                rule[..8].copy_from_slice(&rights.to_ne_bytes());
                rule[8..].copy_from_slice(&root.as_raw_fd().to_ne_bytes());
                call!(libc::SYS_landlock_add_rule, rules.as_raw_fd(), 1, rule.as_ptr(), 0)?;
                call!(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0)?;
                fs::read(p.secret())
            },
        ),
        Attempt::new(
            "read-as-interpreter",
            "Names the file as a script's interpreter.",
            Secret,
            |p| {
                let tool = p.work().join("denied/tool");
                let script = p.scratch_file(&format!("#!{}\n", tool.display()))?;
                fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
                run(p, &mut Command::new(script))
            },
        )
        .shows(IN_WORKSPACE),
        Attempt::new("read-by-shell", "Lets a shell open it for another program.", Secret, |p| {
            shell(p, p.secret(), "exec 7<\"$1\" && cat <&7")
        }),
        Attempt::new(
            "read-attribute",
            "Reads an extended attribute of a file outside.",
            Secret,
            |p| {
                let (path, mut value) = (text(p.prop())?, [0u8; 128]);
                let name = c"user.secret";
                let (to, room) = (value.as_mut_ptr(), value.len());
                let got = call!(libc::SYS_getxattr, path.as_ptr(), name.as_ptr(), to, room)?;
                Ok(value[..got as usize].to_vec())
            },
        )
        .shows(ATTRIBUTES)
        .needs(Needs::Machine("a file system with extended attributes of users")),
        Attempt::new("read-link-text", "Reads where a link outside leads.", Secret, |p| {
            Ok(fs::read_link(p.prop().with_extension("link"))?.as_os_str().as_bytes().to_vec())
        })
        .shows(ATTRIBUTES),
        Attempt::new("write", "Opens a file outside for writing.", Prop, |p| {
            write_mark(p, p.prop())
        }),
        Attempt::new("append", "Appends to a file outside.", Prop, |p| {
            write_all(&open(p.prop(), libc::O_WRONLY | libc::O_APPEND)?, &p.mark())
        }),
        Attempt::new("write-readable", "Writes a file that it may read.", Prop, |p| {
            write_mark(p, p.readable())
        }),
        Attempt::new(
            "write-reopened",
            "Reopens what it reads for writing, by `/proc`.",
            Prop,
            |p| write_mark(p, by_descriptor(&open(p.readable(), libc::O_RDONLY)?)),
        ),
        Attempt::new(
            "write-mapped",
            "Maps a file that it reads as shared and writable.",
            Prop,
            |p| {
                let file = open(p.readable(), libc::O_RDWR)?;
                let (protection, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
                let at = call!(libc::SYS_mmap, 0, 8, protection, shared, file.as_raw_fd(), 0)?;
                // SAFETY: the kernel has just mapped these bytes for writing.
                unsafe { (at as usize as *mut u64).write_unaligned(7) };
                NOTHING
            },
        ),
        Attempt::new("truncate", "Truncates by name, without opening.", Prop, |p| {
            let path = text(p.readable())?;
            call!(libc::SYS_truncate, path.as_ptr(), 0).and(NOTHING)
        }),
        Attempt::new(
            "openat2-truncating",
            "Truncates with the flags of `openat2`; no session has it.",
            Prop,
            |p| {
                openat2(libc::AT_FDCWD, &p.readable(), libc::O_RDONLY | libc::O_TRUNC, 0)
                    .and(NOTHING)
            },
        ),
        Attempt::new("open-truncating", "Opens for reading, and truncates with that.", Prop, |p| {
            open(p.readable(), libc::O_RDONLY | libc::O_TRUNC).and(NOTHING)
        }),
        Attempt::new("remove", "Removes a file outside.", Prop, |p| {
            fs::remove_file(p.prop()).and(NOTHING)
        }),
        Attempt::new("remove-readable", "Removes a file that it may read.", Prop, |p| {
            fs::remove_file(p.readable()).and(NOTHING)
        }),
        Attempt::new("remove-folder", "Removes a folder outside.", Prop, |p| {
            fs::remove_dir_all(p.prop_folder()).and(NOTHING)
        }),
        Attempt::new("replace", "Renames a file of its own over one outside.", Prop, |p| {
            fs::rename(p.scratch_file(&p.mark())?, p.prop()).and(NOTHING)
        }),
        Attempt::new("whiteout", "Renames leaving a whiteout behind.", Prop, |p| {
            rename2(&p.prop(), &p.scratch()?.join("moved"), libc::RENAME_WHITEOUT)
        })
        .needs(Needs::Machine("a kernel and a file system that make whiteouts for users")),
        Attempt::new("make-folder", "Makes a folder outside.", Mark, |p| {
            fs::create_dir(p.other().join(p.mark())).and(NOTHING)
        }),
        Attempt::new("make-pipe", "Makes a named pipe outside.", Mark, |p| {
            let path = text(p.other().join(p.mark()))?;
            let (here, kind) = (libc::AT_FDCWD, libc::S_IFIFO | 0o600);
            call!(libc::SYS_mknodat, here, path.as_ptr(), kind, 0).and(NOTHING)
        }),
        Attempt::new("make-link", "Makes a symbolic link outside.", Mark, |p| {
            symlink("/", p.other().join(p.mark())).and(NOTHING)
        }),
        Attempt::new("make-hard-link", "Gives a file of its own a name outside.", Mark, |p| {
            fs::hard_link(p.scratch_file("")?, p.other().join(p.mark())).and(NOTHING)
        }),
        Attempt::new("make-socket", "Binds a socket to a name outside.", Mark, |p| {
            // Short enough for an address.
            std::env::set_current_dir(p.other())?;
            std::os::unix::net::UnixListener::bind(p.mark()).and(NOTHING)
        }),
        Attempt::new("make-unnamed", "Makes a nameless file outside and names it.", Mark, |p| {
            let file = open(p.other(), libc::O_TMPFILE | libc::O_WRONLY)?;
            let (from, to) = (text(by_descriptor(&file))?, text(p.other().join(p.mark()))?);
            let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
            call!(libc::SYS_linkat, here, from.as_ptr(), here, to.as_ptr(), follow).and(NOTHING)
        }),
        Attempt::new("make-at-folder", "Makes a file relative to an `O_PATH` folder.", Mark, |p| {
            let folder = open(p.other(), libc::O_PATH)?;
            let flags = libc::O_CREAT | libc::O_WRONLY;
            open_at(folder.as_raw_fd(), p.mark(), flags).and(NOTHING)
        }),
        Attempt::new("make-through-link", "Makes a file through a dangling link.", Mark, |p| {
            let link = p.scratch()?.join("link");
            symlink(p.other().join(p.mark()), &link)?;
            fs::write(link, "").and(NOTHING)
        }),
        Attempt::new("mode", "Changes a file's mode.", Prop, |p| {
            fs::set_permissions(p.prop(), fs::Permissions::from_mode(0o777)).and(NOTHING)
        }),
        Attempt::new("mode-by-fd", "Changes the mode of a file that it reads.", Prop, |p| {
            let file = File::open(p.readable())?;
            file.set_permissions(fs::Permissions::from_mode(0o777)).and(NOTHING)
        }),
        Attempt::new("mode-by-proc", "Changes a mode by an `O_PATH` descriptor.", Prop, |p| {
            let file = open(p.prop(), libc::O_PATH)?;
            fs::set_permissions(by_descriptor(&file), fs::Permissions::from_mode(0o777))
                .and(NOTHING)
        }),
        Attempt::new("mode-new-call", "Changes a mode by `fchmodat2`.", Prop, |p| {
            let path = text(p.prop())?;
            call!(452, libc::AT_FDCWD, path.as_ptr(), 0o777, 0).and(NOTHING)
        })
        .needs(Needs::Machine("Linux 6.6")),
        Attempt::new("owner", "Gives a file to another user.", Prop, |p| {
            std::os::unix::fs::chown(p.prop(), Some(65533), None).and(NOTHING)
        })
        .needs(Needs::Root),
        Attempt::new("times", "Changes a file's times.", Prop, |p| {
            let path = text(p.prop())?;
            let times = [[1i64, 0], [1, 0]];
            call!(libc::SYS_utimensat, libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), 0)
                .and(NOTHING)
        }),
        Attempt::new("times-by-fd", "Changes the times of a file that it reads.", Prop, |p| {
            File::open(p.readable())?.set_modified(std::time::UNIX_EPOCH).and(NOTHING)
        }),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("times-old-call", "Changes times by `utimes`.", Prop, |p| {
            let path = text(p.prop())?;
            let times = [[1i64, 0], [1, 0]];
            call!(libc::SYS_utimes, path.as_ptr(), times.as_ptr()).and(NOTHING)
        }),
        Attempt::new("attribute", "Sets an extended attribute.", Prop, |p| {
            let path = text(p.prop())?;
            let (name, value) = (c"user.mark", c"x");
            call!(libc::SYS_setxattr, path.as_ptr(), name.as_ptr(), value.as_ptr(), 1, 0)
                .and(NOTHING)
        })
        .needs(Needs::Machine("a file system with extended attributes of users")),
        Attempt::new("attribute-by-fd", "Sets an attribute of a file that it reads.", Prop, |p| {
            let file = open(p.readable(), libc::O_RDONLY)?;
            let (name, value) = (c"user.mark", c"x");
            let fd = file.as_raw_fd();
            call!(libc::SYS_fsetxattr, fd, name.as_ptr(), value.as_ptr(), 1, 0).and(NOTHING)
        })
        .needs(Needs::Machine("a file system with extended attributes of users")),
        Attempt::new("attribute-new-call", "Sets an attribute by `setxattrat`.", Prop, |p| {
            let (path, name, value) = (text(p.prop())?, c"user.mark", c"x");
            let arguments = [value.as_ptr() as u64, 1];
            let (here, at) = (libc::AT_FDCWD, arguments.as_ptr());
            call!(463, here, path.as_ptr(), 0, name.as_ptr(), at, 16).and(NOTHING)
        })
        .needs(Needs::Machine("Linux 6.13")),
        Attempt::new(
            "flags-by-fd",
            "Sets flags of a file that it reads, as chattr does.",
            Prop,
            |p| {
                let file = open(p.readable(), libc::O_RDONLY)?;
                let mut flags: libc::c_long = 0;
                call!(libc::SYS_ioctl, file.as_raw_fd(), FS_IOC_GETFLAGS, &raw mut flags)?;
                // Not part of dumps.
                flags |= 0x40;
                call!(libc::SYS_ioctl, file.as_raw_fd(), FS_IOC_SETFLAGS, &raw const flags)
                    .and(NOTHING)
            },
        )
        .needs(Needs::Machine("a file system with flags")),
        Attempt::new("more-flags-by-fd", "Sets flags by the newer command.", Prop, |p| {
            let file = open(p.readable(), libc::O_RDONLY)?;
            let mut attributes = [0u32; 7];
            call!(libc::SYS_ioctl, file.as_raw_fd(), FS_IOC_FSGETXATTR, attributes.as_mut_ptr())?;
            attributes[0] |= 0x80;
            let command = FS_IOC_FSSETXATTR;
            call!(libc::SYS_ioctl, file.as_raw_fd(), command, attributes.as_ptr()).and(NOTHING)
        })
        .needs(Needs::Machine("a file system with flags")),
        Attempt::new("flags-new-call", "Sets flags by `file_setattr`.", Prop, |p| {
            let path = text(p.prop())?;
            let mut attributes = [0u64; 3];
            let here = libc::AT_FDCWD;
            call!(468, here, path.as_ptr(), attributes.as_mut_ptr(), 24, 0)?;
            attributes[0] |= 0x80;
            call!(469, here, path.as_ptr(), attributes.as_ptr(), 24, 0).and(NOTHING)
        })
        .needs(Needs::Machine("Linux 6.17, and a file system with flags")),
        Attempt::new("race-link", "Swaps a link's target while it writes through it.", Prop, |p| {
            let folder = p.scratch()?;
            let (link, next) = (folder.join("link"), folder.join("next"));
            let own = p.scratch_file("")?;
            race(
                || {
                    for target in [&own, &p.prop()] {
                        // It may be in the middle of the other.
                        let _ = symlink(target, &next);
                        let _ = fs::rename(&next, &link);
                    }
                },
                || drop(fs::write(&link, p.mark())),
                || fs::read(p.prop()).is_ok_and(|bytes| bytes.starts_with(b"escaped")),
            )
        }),
        Attempt::new(
            "race-folder",
            "Swaps a folder for a link while it writes below.",
            Mark,
            |p| {
                let folder = p.scratch()?;
                let (name, aside, link) = (folder.join("a"), folder.join("b"), folder.join("c"));
                fs::create_dir(&name)?;
                symlink(p.other(), &link)?;
                race(
                    || {
                        for (from, to) in
                            [(&name, &aside), (&link, &name), (&name, &link), (&aside, &name)]
                        {
                            // The other side makes nothing in its way that lasts.
                            let _ = fs::rename(from, to);
                        }
                    },
                    || drop(fs::write(name.join(p.mark()), "")),
                    || p.other().join(p.mark()).exists(),
                )
            },
        ),
    ]);
    all.extend(super::denied::all());
    all
}

pub(crate) fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

pub(crate) fn openat2(folder: i32, path: &Path, flags: i32, resolve: u64) -> io::Result<OwnedFd> {
    let path = text(path)?;
    let mode = if flags & libc::O_CREAT == 0 { 0 } else { 0o600 };
    // `struct open_how`: flags, mode, resolve.
    let how = [flags as u64, mode, resolve];
    owned(call!(libc::SYS_openat2, folder, path.as_ptr(), how.as_ptr(), 24))
}

pub(crate) fn rename2(from: &Path, to: &Path, flags: u32) -> Got {
    let (from, to) = (text(from)?, text(to)?);
    let here = libc::AT_FDCWD;
    call!(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), flags).and(NOTHING)
}

/// What arrives on a descriptor within two seconds.
fn arrived(fd: &OwnedFd) -> Got {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, and it outlives the call.
    match check(unsafe { libc::poll(&raw mut poll, 1, 2000) })? {
        0 => Err(refused("nothing came")),
        _ => read_all(fd),
    }
}

/// Runs `act` again and again for a moment while a thread runs `swap`, or until it has worked.
pub(crate) fn race(swap: impl Fn() + Sync, act: impl Fn(), worked: impl Fn() -> bool) -> Got {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap();
            }
        });
        let start = Instant::now();
        let mut rounds = 0;
        // A busy machine may take long over a few of them.
        while (start.elapsed() < Duration::from_millis(100) || rounds < 30)
            && start.elapsed() < Duration::from_millis(600)
            && !worked()
        {
            act();
            rounds += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    NOTHING
}
