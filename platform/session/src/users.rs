//! The people who use this machine, for root, who answers for all of them.

use std::path::PathBuf;

/// Somebody with a home on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The first group's id.
    pub gid: u32,
    /// The home folder, which is there.
    pub home: PathBuf,
}

/// Whether this process may look at what is other people's.
#[cfg(unix)]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether this process may look at what is other people's.
#[cfg(not(unix))]
pub fn is_root() -> bool {
    false
}

/// Everybody else with a home: the local accounts that are people's, and whoever owns a folder in
/// `/home`, since accounts of a directory service are in no file. In the order of their ids.
#[cfg(unix)]
pub fn others() -> Vec<Person> {
    use nix::unistd::{Uid, User};
    use std::os::unix::fs::MetadataExt;

    let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let local = local.lines().filter_map(uid_of_a_person);
    let homes = std::fs::read_dir("/home").into_iter().flatten().flatten();
    let homes = homes.filter_map(|home| Some(home.metadata().ok()?.uid()));
    let mut ids: Vec<u32> = local.chain(homes.filter(|uid| PEOPLE.contains(uid))).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .filter_map(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten())
        .filter(|user| user.dir.is_dir() && user.uid != Uid::current())
        .map(|user| Person {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
        })
        .collect()
}

/// Nobody is asked about others there.
#[cfg(not(unix))]
pub fn others() -> Vec<Person> {
    Vec::new()
}

/// Ids of people rather than of services (login.defs(5), `UID_MIN`), without `nobody`.
#[cfg(unix)]
const PEOPLE: std::ops::Range<u32> = 1000..65534;

/// The id in a line of passwd(5), if it is a person's.
#[cfg(unix)]
fn uid_of_a_person(line: &str) -> Option<u32> {
    let uid = line.split(':').nth(2)?.parse().ok()?;
    PEOPLE.contains(&uid).then_some(uid)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_from_services() {
        assert_eq!(uid_of_a_person("ada:x:1000:1000::/home/ada:/bin/sh"), Some(1000));
        assert_eq!(uid_of_a_person("daemon:x:1:1::/:/usr/sbin/nologin"), None);
        assert_eq!(uid_of_a_person("nobody:x:65534:65534::/:/bin/false"), None);
        assert_eq!(uid_of_a_person("broken"), None);
    }
}
