//! Host sets: the hosts that a package registry or a forge is made of, under one name.
//!
//! They are data, compiled in. A set has what fetching needs, over HTTPS alone: publishing has hosts
//! of its own in many registries, and a session asks about those. Whoever changes a set's hosts
//! raises its version.

use crate::host;
use crate::nearest::nearest;

/// The port that a set's hosts are reached at.
pub(crate) const PORT: u16 = 443;

/// Hosts that one name stands for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostSet {
    /// As `network.allow` and agent files name it.
    pub name: &'static str,
    /// From 1; another with each change of the hosts.
    pub version: u32,
    /// What it is for, as one sentence.
    pub about: &'static str,
    /// Names, or everything beneath one (`*.name`); port 443 of each.
    pub hosts: &'static [&'static str],
}

/// Every host set, in the order of their names.
pub const HOST_SETS: [HostSet; 10] = [
    HostSet {
        name: "crates",
        version: 1,
        about: "Rust's crates: the sparse index and the files.",
        hosts: &["index.crates.io", "static.crates.io"],
    },
    HostSet {
        name: "github",
        version: 1,
        about: "GitHub: repositories over HTTPS, its API, archives, raw files and releases.",
        hosts: &[
            "api.github.com",
            "codeload.github.com",
            "github.com",
            "media.githubusercontent.com",
            "objects.githubusercontent.com",
            "raw.githubusercontent.com",
            "release-assets.githubusercontent.com",
        ],
    },
    HostSet {
        name: "go",
        version: 1,
        about: "Go's modules and toolchains, and the database of their checksums.",
        hosts: &["proxy.golang.org", "sum.golang.org"],
    },
    HostSet {
        name: "maven",
        version: 1,
        about: "Java's packages: the central repository, for Maven and Gradle.",
        hosts: &["repo.maven.apache.org", "repo1.maven.org"],
    },
    HostSet {
        name: "npm",
        version: 1,
        about: "Node's packages, for npm, pnpm, Yarn and Bun.",
        hosts: &["registry.npmjs.org", "registry.yarnpkg.com"],
    },
    HostSet { name: "nuget", version: 1, about: ".NET's packages.", hosts: &["api.nuget.org"] },
    HostSet {
        name: "packagist",
        version: 1,
        about: "PHP's package index; the packages themselves lie where their authors keep them.",
        hosts: &["repo.packagist.org"],
    },
    HostSet {
        name: "playwright",
        version: 1,
        about: "The browsers that Playwright downloads.",
        hosts: &["cdn.playwright.dev", "playwright.download.prss.microsoft.com"],
    },
    HostSet {
        name: "pypi",
        version: 1,
        about: "Python's packages, for pip, uv and Poetry.",
        hosts: &["files.pythonhosted.org", "pypi.org"],
    },
    HostSet {
        name: "rubygems",
        version: 1,
        about: "Ruby's packages, for RubyGems and Bundler.",
        hosts: &["index.rubygems.org", "rubygems.org"],
    },
];

impl HostSet {
    /// The set of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        HOST_SETS.iter().find(|set| set.name == name)
    }

    /// The set whose name was meant, if this is a slip of the keyboard.
    pub(crate) fn near(name: &str) -> Option<&'static Self> {
        let names = HOST_SETS.iter().map(|set| set.name);
        nearest(&name.to_ascii_lowercase(), names).and_then(Self::named)
    }

    /// The entry that names this host and port. `host` is a name in any case, without a final dot.
    pub fn entry(&self, host: &str, port: u16) -> Option<&'static str> {
        let names = |entry: &&'static str| match entry.strip_prefix("*.") {
            Some(own) => host::is_beneath(host, own),
            None => host.eq_ignore_ascii_case(entry),
        };
        self.hosts.iter().copied().filter(|_| port == PORT).find(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostPattern, HostSpec};

    #[test]
    fn a_set_names_its_hosts_over_https_and_nothing_else() {
        for set in &HOST_SETS {
            for host in set.hosts {
                let asked = host.replace("*.", "any.");
                assert_eq!(set.entry(&asked, 443), Some(*host));
                assert_eq!(set.entry(&asked.to_uppercase(), 443), Some(*host));
                assert_eq!(set.entry(&asked, 80), None, "{host} without TLS");
                assert_eq!(set.entry(&format!("x{asked}"), 443), None, "another than {host}");
                assert_eq!(set.entry(&format!("{asked}.example"), 443), None, "beyond {host}");
            }
        }
    }

    #[test]
    fn the_sets_are_in_order_and_each_of_their_hosts_is_a_pattern_of_few_hosts() {
        assert!(HOST_SETS.iter().map(|set| set.name).is_sorted());
        for HostSet { name, version, about, hosts } in &HOST_SETS {
            assert!(*version > 0 && about.ends_with('.') && hosts.is_sorted(), "{name}");
            for host in *hosts {
                match HostPattern::parse(host).unwrap() {
                    HostPattern { host: HostSpec::Name(own), port: None } => {
                        assert!(own == *host && own.contains('.'), "{host}");
                    }
                    HostPattern { host: HostSpec::Beneath(own), port: None } => {
                        assert!(own.split('.').count() > 1, "{host} is a whole ending");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// What each version of a set held, as its digest: a set that changes gets a new version and a
    /// new line here, and the line of the old version goes.
    #[test]
    fn a_set_that_changes_has_a_new_version() {
        let now = HOST_SETS.map(|HostSet { name, version, about: _, hosts }| {
            let digest = crate::digest(hosts.join("\n").as_bytes());
            format!("{name} {version} {}", &digest[..16])
        });
        let known = [
            "crates 1 8f84c236f0e04b42",
            "github 1 883dc144a9c8f34c",
            "go 1 de77e7ca3146cc62",
            "maven 1 cbb028b7c83d0dc7",
            "npm 1 daf54a8715541c66",
            "nuget 1 7117c828d2afa4e2",
            "packagist 1 4189e62695dc2b69",
            "playwright 1 a5e21003e1575de2",
            "pypi 1 1280fb19fbb6ddee",
            "rubygems 1 99f0a55a58065fc5",
        ];
        assert_eq!(now, known);
    }

    #[test]
    fn a_slip_finds_the_set_that_was_meant() {
        let near = |name| HostSet::near(name).map(|set| set.name);
        assert_eq!(near("crate"), Some("crates"));
        assert_eq!(near("PyPI"), Some("pypi"));
        assert_eq!(near("intranet"), None);
    }
}
