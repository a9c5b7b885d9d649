//! Linux: where Chaperone's files lie. The system keeps no store of policies beside them.

use crate::{Folders, Locations};
use chaperone_policy::Layer;
use jiff::Timestamp;
use std::fs;
use std::path::PathBuf;

/// There is none.
pub(crate) const STORE: Option<&str> = None;

/// Where IT puts files.
pub(crate) fn folders() -> Folders {
    Folders {
        managed: PathBuf::from("/etc/chaperone/policy.d"),
        recommended: PathBuf::from("/etc/chaperone/recommended.d"),
    }
}

/// The layers of the system's own store of policies: none.
pub(crate) fn layers(_: &Locations, _: Timestamp) -> Vec<Layer> {
    Vec::new()
}

/// The folders in which the system keeps that store: none.
pub(crate) fn files() -> Vec<PathBuf> {
    Vec::new()
}

/// What differs whenever those layers do.
pub(crate) fn mark(_: &Locations) -> Option<String> {
    None
}

/// Whether a file that seems to be this user's may be root's: in a user namespace to which root
/// does not belong, what is root's seems to be the overflow user's, who is nobody there
/// (user_namespaces(7), "Unmapped user and group IDs"). So does what is anybody else's.
pub(crate) fn hides_root(uid: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let overflow = read("/proc/sys/kernel/overflowuid").trim().parse();
    overflow == Ok(uid) && is_unmapped(&read("/proc/self/uid_map"), &[0, uid])
}

/// Whether a namespace has none of these users. Each line has the first user inside, the first
/// outside, and how many there are; a map that cannot be read hides nobody.
fn is_unmapped(map: &str, users: &[u32]) -> bool {
    let ranges: Option<Vec<_>> = map
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().ok());
            let (inside, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
            Some(inside..inside + count)
        })
        .collect();
    let has = |ranges: &Vec<std::ops::Range<u64>>, user: &u32| {
        ranges.iter().any(|range| range.contains(&u64::from(*user)))
    };
    ranges.is_some_and(|ranges| !ranges.is_empty() && !users.iter().any(|user| has(&ranges, user)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_hidden_but_where_neither_root_nor_the_overflow_user_belongs() {
        let hidden = |map| is_unmapped(map, &[0, 65534]);
        assert!(hidden("      1000       1000          1\n"));
        assert!(hidden("1000 1000 1\n2000 100000 1000\n"));
        assert!(!hidden("         0          0 4294967295\n"), "the machine's own");
        assert!(!hidden("0 1000 1\n"), "its user is root there");
        assert!(!hidden("1000 1000 1\n65534 65534 1\n"), "a real nobody");
        assert!(!hidden("1000 1000 1\n2000 100000 65536\n"), "a real nobody");
        assert!(!hidden("") && !hidden("one two three\n"));
    }
}
