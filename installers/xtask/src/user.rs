//! Runs the built tests a second time as an ordinary user, where xtask itself is root: a sandbox
//! behaves differently for the two. The user `chaperone-test` is made for it and kept.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::progress::Log;
use crate::project::Project;
use crate::tools::cargo_tool_path;

const USER: &str = "chaperone-test";

/// Makes the ordinary user where there is none yet.
pub(crate) fn make(project: &Project, log: &Log) -> Result<()> {
    if !Command::new("id").args(["-u", USER]).output()?.status.success() {
        log.run(project.command("useradd").args(["--create-home", "--shell", "/bin/sh", USER]))?;
    }
    Ok(())
}

/// Runs nextest over the already built tests as the ordinary user.
pub(crate) fn nextest(project: &Project, log: &Log, filter: &str) -> Result<()> {
    make(project, log)?;
    let scratch = project.scratch()?;
    // What cargo would tell nextest; the user can neither come to this cargo nor write its folder.
    let metadata = scratch.join("cargo-metadata.json");
    let mut cargo = project.command("cargo");
    let out = log.output(cargo.args(["metadata", "--format-version", "1", "--locked"]))?;
    fs::write(&metadata, out)?;
    let binaries = scratch.join("binaries.json");
    let mut list = project.command("cargo");
    list.args(["nextest", "list", "--workspace", "--list-type", "binaries-only"]);
    list.args(["--message-format", "json", "--color", "never"]);
    fs::write(&binaries, log.output(&mut list)?)?;
    let nextest = scratch.join("cargo-nextest");
    let found = cargo_tool_path("cargo-nextest").context("cargo-nextest is not installed")?;
    fs::copy(&found, &nextest).with_context(|| format!("could not copy {}", found.display()))?;

    let own = scratch.join("cargo");
    let found = std::env::var_os("CARGO").context("the variable CARGO, which cargo sets")?;
    fs::copy(&found, &own).with_context(|| format!("could not copy {}", found.display()))?;

    let mut words: Vec<OsString> =
        ["runuser", "-u", USER, "--", "env", "-i"].map(Into::into).into();
    words.push(format!("HOME=/home/{USER}").into());
    words.push(format!("USER={USER}").into());
    words.extend(["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"].map(Into::into));
    // Snapshots lie in the workspace, for which this user has no cargo to ask.
    words.push(format!("INSTA_WORKSPACE_ROOT={}", project.root.display()).into());
    words.push("INSTA_UPDATE=no".into());
    words.push(format!("CARGO={}", own.display()).into());
    if std::env::var_os("CI").is_some() {
        words.push("CI=true".into());
    }
    words.push(nextest.into());
    words.extend(["nextest", "run", "--no-tests=fail", "--cargo-metadata"].map(Into::into));
    words.push(metadata.into());
    words.push("--binaries-metadata".into());
    words.push(binaries.into());
    words.extend(["-E", filter].map(Into::into));

    let mut command = match hidden(&[&project.root, &project.target])? {
        hidden if hidden.is_empty() => project.command("env"),
        hidden => {
            let mut unshare = project.command("unshare");
            unshare.args(["--mount", "--", "sh", "-euc", &opening(&hidden), "sh"]);
            unshare
        }
    };
    log.run(command.args(words))
}

/// Of the folders that the user must read, those below an ancestor that it may not enter, as in a
/// checkout below root's home, each with the outermost such ancestor.
fn hidden(folders: &[&PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for folder in folders {
        let mut ancestors: Vec<&Path> = folder.ancestors().skip(1).collect();
        ancestors.reverse();
        for ancestor in ancestors {
            let mut test = Command::new("runuser");
            test.args(["-u", USER, "--", "test", "-x"]).arg(ancestor);
            if !test.status().context("could not start runuser")?.success() {
                found.push((ancestor.to_path_buf(), folder.to_path_buf()));
                break;
            }
        }
    }
    Ok(found)
}

/// A script that, in a mount namespace of its own, covers each closed ancestor with an empty folder
/// that holds nothing but the folders to be read, at their usual paths, and then runs its arguments.
/// The paths must stay: tests have them compiled in.
fn opening(hidden: &[(PathBuf, PathBuf)]) -> String {
    let mut script = "mount --make-rprivate /\n".to_owned();
    let quote = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    for (index, (_, folder)) in hidden.iter().enumerate() {
        let hold = format!("/run/chaperone-xtask-{index}");
        script += &format!("mkdir -p {hold}\nmount --bind {} {hold}\n", quote(folder));
    }
    let mut covered = Vec::new();
    for (ancestor, _) in hidden {
        if !covered.contains(ancestor) {
            covered.push(ancestor.clone());
            script += &format!("mount -t tmpfs -o mode=755 none {}\n", quote(ancestor));
        }
    }
    for (index, (_, folder)) in hidden.iter().enumerate() {
        let folder = quote(folder);
        script +=
            &format!("mkdir -p {folder}\nmount --bind /run/chaperone-xtask-{index} {folder}\n");
    }
    script + "cd /\nexec \"$@\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_ancestor_is_covered_once_and_holds_only_what_is_read() {
        let script = opening(&[
            ("/root".into(), "/root/it's/src".into()),
            ("/root".into(), "/root/target".into()),
        ]);
        assert_eq!(
            script.lines().collect::<Vec<_>>(),
            [
                "mount --make-rprivate /",
                "mkdir -p /run/chaperone-xtask-0",
                r"mount --bind '/root/it'\''s/src' /run/chaperone-xtask-0",
                "mkdir -p /run/chaperone-xtask-1",
                "mount --bind '/root/target' /run/chaperone-xtask-1",
                "mount -t tmpfs -o mode=755 none '/root'",
                r"mkdir -p '/root/it'\''s/src'",
                r"mount --bind /run/chaperone-xtask-0 '/root/it'\''s/src'",
                "mkdir -p '/root/target'",
                "mount --bind /run/chaperone-xtask-1 '/root/target'",
                "cd /",
                "exec \"$@\"",
            ]
        );
    }
}
