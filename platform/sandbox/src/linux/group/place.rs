//! Where this user may make a control group (cgroups(7), version 2): a decision over what `/proc`
//! says and over how folders of the hierarchy look.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the kernel bounds in the children of a group (`cgroup.subtree_control`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Controllers {
    pub(super) memory: bool,
    /// Processes and threads.
    pub(super) pids: bool,
}

impl Controllers {
    /// Of the text of `cgroup.subtree_control`.
    pub(super) fn read(text: &str) -> Self {
        let has = |name| text.split_ascii_whitespace().any(|word| word == name);
        Self { memory: has("memory"), pids: has("pids") }
    }

    fn count(self) -> usize {
        usize::from(self.memory) + usize::from(self.pids)
    }
}

/// A group as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Groups may be made in it, and processes moved between those below it.
    pub(super) writable: bool,
    /// It is the machine's own: there alone processes may stand beside groups that are bounded.
    pub(super) is_root: bool,
    pub(super) controllers: Controllers,
}

/// Where a session's group is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) folder: PathBuf,
    pub(super) controllers: Controllers,
}

/// Why there is no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// Version 2 is not mounted, or this process is in none of its groups that can be seen.
    NoHierarchy,
    /// This user may make a group nowhere above this process.
    NotDelegated,
    /// What this user may make would be bounded in nothing.
    NoControllers,
}

/// The nearest group above this process's own that most can be bounded in. `mounts` is the text of
/// `/proc/self/mountinfo`, `groups` that of `/proc/self/cgroup`; `see` looks at a folder, which may
/// be gone.
///
/// A process moves only to where its user may write `cgroup.procs` of the group that both places
/// have in common, so nothing but what lies above its own comes into question. Its own group has
/// processes, and only the machine's root may have groups that are bounded beside those.
pub(super) fn choose(
    mounts: &str,
    groups: &str,
    see: impl Fn(&Path) -> Option<Seen>,
) -> Result<Chosen, Nowhere> {
    let (top, own) = own(mounts, groups).ok_or(Nowhere::NoHierarchy)?;
    let folders = own.ancestors().take_while(|folder| folder.starts_with(&top));
    let mut delegated = false;
    let mut best: Option<Chosen> = None;
    for folder in folders {
        let Some(Seen { writable: true, is_root, controllers }) = see(folder) else { continue };
        if folder == own && !is_root {
            continue;
        }
        delegated = true;
        let more = best.as_ref().map_or(0, |best| best.controllers.count());
        if controllers.count() > more {
            best = Some(Chosen { folder: folder.to_owned(), controllers });
        }
    }
    best.ok_or(if delegated { Nowhere::NoControllers } else { Nowhere::NotDelegated })
}

/// Where the hierarchy is mounted, and in it the folder of this process's group.
fn own(mounts: &str, groups: &str) -> Option<(PathBuf, PathBuf)> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    // A later mount lies over an earlier one.
    let mut found = mounts.lines().filter_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        // proc_pid_mountinfo(5): two ids, the device, what of the file system is mounted, and where.
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let below = Path::new(own).strip_prefix(root).ok()?;
        // With a namespace of its own this process may be in a group outside of it.
        let outside = below.components().any(|part| part.as_os_str() == "..");
        // Joined with nothing, a path gets a slash.
        let own = point.components().chain(below.components()).collect();
        (!outside).then_some((point, own))
    });
    found.next_back()
}

/// A path of `mountinfo`, in which spaces, tabs, line feeds and backslashes are octal numbers.
fn unescaped(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let number = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const BOTH: Controllers = Controllers { memory: true, pids: true };
    const PIDS: Controllers = Controllers { memory: false, pids: true };
    const NEITHER: Controllers = Controllers { memory: false, pids: false };

    /// systemd's usual mounts.
    const UNIFIED: &str = "\
23 29 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
35 24 0:27 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:5 - pstore pstore rw
";

    fn group(writable: bool, controllers: Controllers) -> Seen {
        Seen { writable, is_root: false, controllers }
    }

    fn chosen(
        mounts: &str,
        groups: &str,
        tree: &[(&str, Seen)],
    ) -> Result<(String, Controllers), Nowhere> {
        let tree: BTreeMap<&Path, Seen> =
            tree.iter().map(|(path, seen)| (Path::new(*path), *seen)).collect();
        let chosen = choose(mounts, groups, |path| tree.get(path).copied())?;
        Ok((chosen.folder.display().to_string(), chosen.controllers))
    }

    #[test]
    fn in_a_desktops_terminal_it_is_the_slice_that_systemd_gives_the_user() {
        let user = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
        let (app, own) =
            (format!("{user}/app.slice"), format!("{user}/app.slice/vte-spawn-7.scope"));
        let tree = |app_has| {
            [
                ("/sys/fs/cgroup", Seen { is_root: true, ..group(false, BOTH) }),
                ("/sys/fs/cgroup/user.slice", group(false, BOTH)),
                ("/sys/fs/cgroup/user.slice/user-1000.slice", group(false, BOTH)),
                (user, group(true, BOTH)),
                (app.as_str(), group(true, app_has)),
                (own.as_str(), group(true, NEITHER)),
            ]
        };
        let line = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-7.scope\n";
        assert_eq!(chosen(UNIFIED, line, &tree(BOTH)), Ok((app.clone(), BOTH)));
        // Where the nearest bounds less, it is the one above.
        assert_eq!(chosen(UNIFIED, line, &tree(PIDS)), Ok((user.to_owned(), BOTH)));
        assert_eq!(chosen(UNIFIED, line, &tree(NEITHER)), Ok((user.to_owned(), BOTH)));
    }

    #[test]
    fn what_systemd_delegates_of_processes_alone_is_taken_for_those() {
        let user = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
        let app = format!("{user}/app.slice");
        let tree = [(user, group(true, PIDS)), (app.as_str(), group(true, PIDS))];
        let line = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n";
        assert_eq!(chosen(UNIFIED, line, &tree), Ok((app.clone(), PIDS)));
        let none = [(user, group(true, NEITHER)), (app.as_str(), group(true, NEITHER))];
        assert_eq!(chosen(UNIFIED, line, &none), Err(Nowhere::NoControllers));
    }

    #[test]
    fn a_login_by_ssh_is_in_a_scope_of_the_systems() {
        let tree = [
            ("/sys/fs/cgroup", Seen { is_root: true, ..group(false, BOTH) }),
            ("/sys/fs/cgroup/user.slice", group(false, BOTH)),
            ("/sys/fs/cgroup/user.slice/user-1000.slice", group(false, BOTH)),
            ("/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope", group(false, NEITHER)),
        ];
        let line = "0::/user.slice/user-1000.slice/session-3.scope\n";
        assert_eq!(chosen(UNIFIED, line, &tree), Err(Nowhere::NotDelegated));
    }

    #[test]
    fn root_has_the_slice_above_its_service_or_scope() {
        let tree = [
            ("/sys/fs/cgroup", Seen { is_root: true, ..group(true, BOTH) }),
            ("/sys/fs/cgroup/system.slice", group(true, BOTH)),
            ("/sys/fs/cgroup/system.slice/runner.service", group(true, NEITHER)),
        ];
        let line = "0::/system.slice/runner.service\n";
        let slice = "/sys/fs/cgroup/system.slice".to_owned();
        assert_eq!(chosen(UNIFIED, line, &tree), Ok((slice, BOTH)));
    }

    #[test]
    fn a_group_with_processes_is_not_taken_unless_it_is_the_machines_own() {
        let line = "0::/\n";
        let machine = [("/sys/fs/cgroup", Seen { is_root: true, ..group(true, BOTH) })];
        assert_eq!(chosen(UNIFIED, line, &machine), Ok(("/sys/fs/cgroup".into(), BOTH)));
        // A container with a namespace of its own sees its own group as `/`.
        let container = [("/sys/fs/cgroup", group(true, NEITHER))];
        assert_eq!(chosen(UNIFIED, line, &container), Err(Nowhere::NotDelegated));
        // Docker mounts it read-only, which is not writable to root either.
        let read_only = [("/sys/fs/cgroup", group(false, NEITHER))];
        assert_eq!(chosen(UNIFIED, line, &read_only), Err(Nowhere::NotDelegated));
    }

    #[test]
    fn a_container_without_a_namespace_sees_a_part_under_its_whole_name() {
        let mounts = "\
41 30 0:26 /docker/a1 /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw
";
        let tree = [
            ("/sys/fs/cgroup", group(true, BOTH)),
            ("/sys/fs/cgroup/init", group(true, NEITHER)),
            ("/sys/fs", group(true, BOTH)),
        ];
        let found = chosen(mounts, "0::/docker/a1/init\n", &tree);
        assert_eq!(found, Ok(("/sys/fs/cgroup".into(), BOTH)));
        let elsewhere = chosen(mounts, "0::/docker/a11/init\n", &tree);
        assert_eq!(elsewhere, Err(Nowhere::NoHierarchy));
        let outside = chosen(UNIFIED, "0::/../b2\n", &tree);
        assert_eq!(outside, Err(Nowhere::NoHierarchy));
    }

    #[test]
    fn beside_version_1_it_has_no_controllers_and_another_place() {
        let mounts = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
        let groups = "8:pids:/\n4:memory:/a\n0::/\n";
        let root = Seen { is_root: true, ..group(true, NEITHER) };
        let tree = [("/sys/fs/cgroup/unified", root), ("/sys/fs/cgroup", group(true, BOTH))];
        assert_eq!(chosen(mounts, groups, &tree), Err(Nowhere::NoControllers));
    }

    #[test]
    fn without_version_2_there_is_no_place() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
        assert_eq!(chosen(mounts, "4:memory:/a\n", &[]), Err(Nowhere::NoHierarchy));
        assert_eq!(chosen(mounts, "0::/a\n", &[]), Err(Nowhere::NoHierarchy));
        assert_eq!(chosen(UNIFIED, "", &[]), Err(Nowhere::NoHierarchy));
    }

    #[test]
    fn a_mount_is_found_under_any_name_and_the_last_one_counts() {
        let mounts = "\
30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw
99 24 0:26 / /srv/a\\040b\\134c rw shared:4 master:2 - cgroup2 none rw
";
        let tree = [("/sys/fs/cgroup/s", group(true, BOTH)), ("/srv/a b\\c/s", group(true, PIDS))];
        assert_eq!(chosen(mounts, "0::/s/t\n", &tree), Ok(("/srv/a b\\c/s".into(), PIDS)));
    }
}
