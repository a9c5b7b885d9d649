//! System packages: which this machine lacks, why each is needed, and one `apt-get` for them all.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{is_root, which};

/// A Debian package and the reason that is shown before it is installed.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
}

const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why }
}

/// To build the command.
pub(crate) const COMPILER: &[Package] =
    &[package("build-essential", "compiles the bundled SQLite and links programs")];

/// To build and open the window.
pub(crate) const WINDOW: &[Package] = &[
    package("build-essential", "compiles the bundled SQLite and links programs"),
    package("pkg-config", "finds the libraries below"),
    package("libwebkit2gtk-4.1-dev", "shows the window"),
    package("libayatana-appindicator3-dev", "puts the icon in the tray"),
    package("librsvg2-dev", "draws icons"),
];

/// To run the tests of whole sessions.
pub(crate) const TESTS: &[Package] = &[
    package("openssh-client", "an SSH agent and keys, with which git signs in a session"),
    package("libwrap0", "a library of the SSH server that git clones from"),
    package("dbus", "a private message bus for a keychain"),
    package("gnome-keyring", "a keychain, which keeps credentials in tests"),
    package("openjdk-17-jdk-headless", "speaks TLS as programs in Java do, the same way"),
    package("golang-go", "builds a program that looks names up by its own means"),
    package("rclone", "speaks TLS as programs in Go do, through a session's proxy"),
];

/// To test the window without a screen.
pub(crate) const WINDOW_TEST: &[Package] = &[
    package("xvfb", "a screen in memory for the window test"),
    package("dbus", "a private message bus for the window test"),
    package("gnome-keyring", "a keychain, which the window keeps a credential in"),
    package("webkit2gtk-driver", "clicks and reads in the window under test"),
    package("fonts-dejavu-core", "letters for the window's pictures"),
];

/// To run what is deployed to fleets.
pub(crate) const MDM_TEST: &[Package] = &[
    package(
        "shellcheck",
        "finds what is no plain shell in the scripts for Jamf, Intune and others",
    ),
    package("ansible-core", "runs the role that deploys policy files"),
    package("sqlite3", "writes the table that osquery reads"),
];

/// To try control groups, which no test may change on this machine.
pub(crate) const GROUPS_TEST: &[Package] =
    &[package("qemu-system-x86", "a virtual machine with control groups as systemd lays them out")];

/// To type-check for other systems. What only one of the two ways needs is added by `cross`.
pub(crate) const CROSS: &[Package] = &[
    package("gcc-mingw-w64-x86-64", "compiles the bundled SQLite for Windows"),
    package("python3-venv", "holds the C compiler for macOS, a Python package"),
];

/// To try what only Windows has.
pub(crate) const WINE: &[Package] = &[
    package("gcc-mingw-w64-x86-64", "builds programs for Windows"),
    package("wine", "runs programs for Windows, with a registry of their own"),
    package("wine64", "the same"),
];

/// Debian's second Rust toolchain, where rustup cannot add targets.
pub(crate) const DEBIAN_RUST: &[Package] = &[
    package("rustc-web", "type-checks for Windows and macOS, as rustup cannot add targets here"),
    package("cargo-web", "the same"),
    package("rust-web-src", "the standard library's source, built for those systems"),
];

/// To look at the pages in a plain browser, and to drive one in a session.
const CHROMIUM: &[Package] =
    &[package("chromium", "shows pages: the window's for pictures, and what agents build")];

/// What must be installed for a browser: nothing where one is, or where none is a package.
pub(crate) fn browser_package() -> &'static [Package] {
    let packaged = fs::read_to_string("/etc/os-release")
        .is_ok_and(|text| text.lines().any(|line| line == "ID=debian"));
    if browser().is_some() || !packaged { &[] } else { CHROMIUM }
}

/// A browser that pictures can be taken with.
pub(crate) fn browser() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .find_map(|name| which(name))
}

/// To measure.
pub(crate) const BENCH: &[Package] = &[
    package("hyperfine", "times whole commands"),
    package("bubblewrap", "the yardstick that Chaperone's start is compared with"),
    package("socat", "the yardstick that the proxy is compared with"),
    package("python3", "opens and reads files as agents' tools do"),
];

/// Installs those of `packages` that are missing, after saying which and why.
///
/// # Errors
/// When something is missing and cannot be installed; the message says what to do by hand.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let mut seen = BTreeSet::new();
    let packages: Vec<Package> = packages.iter().copied().filter(|p| seen.insert(p.name)).collect();
    if which("dpkg-query").is_none() {
        bail!(
            "this is {}, and xtask installs system packages on Debian and Ubuntu only.\n\
             Install what corresponds to these, then add --no-install:\n{}",
            system_name(),
            describe(&packages)
        );
    }
    let missing = missing(&packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    println!("These system packages are missing and will be installed:\n{}", describe(&missing));
    let names: Vec<&str> = missing.iter().map(|p| p.name).collect();
    let by_hand = format!("apt-get update && apt-get install -y {}", names.join(" "));
    if !is_root() && which("sudo").is_none() {
        bail!("installing needs root, and there is no sudo here. As root, run:\n    {by_hand}");
    }
    // An old package list names files that are gone; a new one costs seconds.
    apt(&["update", "-q"]).with_context(|| format!("could not read package lists ({by_hand})"))?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(&names);
    apt(&arguments).with_context(|| {
        format!("could not install on {}; to see why, run:\n    {by_hand}", system_name())
    })?;
    println!();
    Ok(())
}

/// Which of `packages` dpkg does not know as installed.
fn missing(packages: &[Package]) -> Result<Vec<Package>> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Abbrev} ${Package} ${Provides}\n"]);
    query.args(packages.iter().map(|p| p.name));
    let out = query.output().context("could not start dpkg-query")?;
    let known = String::from_utf8_lossy(&out.stdout).into_owned();
    let installed: BTreeSet<&str> = known
        .lines()
        .filter(|line| line.starts_with("ii"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    Ok(packages.iter().copied().filter(|p| !installed.contains(p.name)).collect())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    command.args(arguments);
    // Only for root: sudo drops it, and dpkg then asks on the terminal, where a person is.
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().context("could not start apt-get")?;
    if !status.success() {
        bail!("apt-get {} ended with {status}", arguments[0]);
    }
    Ok(())
}

fn describe(packages: &[Package]) -> String {
    let width = packages.iter().map(|p| p.name.len()).max().unwrap_or(0);
    packages
        .iter()
        .map(|p| format!("    {:width$}  {}", p.name, p.why))
        .collect::<Vec<_>>()
        .join("\n")
}

fn system_name() -> String {
    fs::read_to_string("/etc/os-release")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("PRETTY_NAME="))?;
            Some(line.trim_start_matches("PRETTY_NAME=").trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| std::env::consts::OS.to_owned())
}
