//! Type checks for Windows and macOS on Linux: with rustup's targets where it has or can add them,
//! else with Debian's second toolchain, which brings the standard library as source.
//! Every crate but the window's shell is checked; what runs under Wine is in `wine`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, DEBIAN_RUST};
use crate::progress::Log;
use crate::project::Project;
use crate::runner::Outcome;

/// The system to check for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Windows,
    Macos,
}

impl Target {
    fn triple(self) -> &'static str {
        match self {
            Self::Windows => "x86_64-pc-windows-gnu",
            Self::Macos => "aarch64-apple-darwin",
        }
    }
}

/// Which Rust checks for the other systems on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    Rustup,
    Debian,
}

/// The C compiler for macOS, from the Python package index.
const ZIGLANG: &str = "ziglang==0.15.2";

pub(crate) fn check(project: &Project, log: &Log, target: Target) -> Result<Outcome> {
    let (mut cargo, by) = cargo(project, log, target, "check")?;
    cargo.args(["--workspace", "--exclude", "chaperone-desktop", "--all-targets"]);
    if target == Target::Macos {
        cargo.env("CC_aarch64_apple_darwin", mac_compiler(project, log)?);
        cargo.env("AR_aarch64_apple_darwin", "ar");
        // Compile scripts ask Apple's tools for this unless it is set; its value is not used.
        cargo.env("SDKROOT", "/");
    }
    log.run(&mut cargo)?;
    Ok(Outcome::Passed(format!(
        "every crate but src-tauri, with its tests, by {by}; checked, not run"
    )))
}

/// A command of cargo's for another system, and by which Rust.
pub(crate) fn cargo(
    project: &Project,
    log: &Log,
    target: Target,
    command: &str,
) -> Result<(Command, &'static str)> {
    let (mut cargo, by) = match toolchain(project, log, target)? {
        Toolchain::Rustup => (project.command("cargo"), "rustup's target"),
        Toolchain::Debian => {
            let mut cargo = project.command("/usr/bin/cargo");
            let path = std::env::var("PATH").unwrap_or_default();
            cargo.env("PATH", format!("/usr/bin:{path}"));
            cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC_WRAPPER");
            cargo.env("RUSTC_BOOTSTRAP", "1");
            (cargo, "Debian's rustc-web and its standard library's source")
        }
    };
    // Apart from the main build: another compiler version would make each rebuild the other's.
    cargo.env("CARGO_TARGET_DIR", project.target.join("cross"));
    cargo.args([command, "--target", target.triple()]);
    if by.starts_with("Debian") {
        cargo.arg("-Zbuild-std=std,panic_abort,panic_unwind");
    }
    Ok((cargo, by))
}

fn toolchain(project: &Project, log: &Log, target: Target) -> Result<Toolchain> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let rustup = installed.as_ref().is_ok_and(|out| out.status.success());
    let has = |triple: &str| {
        let Ok(out) = &installed else { return false };
        String::from_utf8_lossy(&out.stdout).lines().any(|line| line == triple)
    };
    if has(target.triple()) {
        return Ok(Toolchain::Rustup);
    }
    let debian = || Path::new("/usr/bin/cargo").exists() && debian_source().is_some();
    if debian() {
        return Ok(Toolchain::Debian);
    }
    if rustup {
        let mut add = project.command("rustup");
        if log.run(add.args(["target", "add", target.triple()])).is_ok() {
            return Ok(Toolchain::Rustup);
        }
    }
    packages::install(DEBIAN_RUST).context(
        "rustup could not add the target, and Debian's Rust with its source could not be installed",
    )?;
    if debian() {
        return Ok(Toolchain::Debian);
    }
    bail!("neither rustup's target {} nor Debian's rustc-web is to be had here", target.triple())
}

/// Debian's package of the standard library's source, where `-Zbuild-std` looks for it.
fn debian_source() -> Option<PathBuf> {
    let out = Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(out.stdout).ok()?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
    source.exists().then_some(source)
}

/// A C compiler for macOS: zig's, behind a script that drops the options which only Apple's knows.
fn mac_compiler(project: &Project, log: &Log) -> Result<PathBuf> {
    let venv = project.cache.join("ziglang");
    let python = venv.join("bin/python3");
    let works =
        |log: &Log| log.run(project.command(&python).args(["-m", "ziglang", "version"])).is_ok();
    if !python.exists() || !works(log) {
        fs::create_dir_all(&project.cache)
            .with_context(|| format!("could not make {}", project.cache.display()))?;
        log.run(project.command("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        log.run(project.command(&python).args(["-m", "pip", "install", "--quiet", ZIGLANG]))?;
    }
    let wrapper = project.scratch()?.join("aarch64-apple-darwin-cc");
    fs::write(&wrapper, wrapper_script(&python))
        .with_context(|| format!("could not write {}", wrapper.display()))?;
    make_executable(&wrapper)?;
    Ok(wrapper)
}

fn wrapper_script(python: &Path) -> String {
    format!(
        r#"#!/bin/sh
# Compiles C for macOS with zig; written by cargo xtask.
skip=
for word do
    shift
    if [ -n "$skip" ]; then skip=; continue; fi
    case $word in
        --target=*|-mmacosx-version-min=*|-mmacos-version-min=*) ;;
        -arch) skip=1 ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec '{}' -m ziglang cc -target aarch64-macos "$@"
"#,
        python.display()
    )
}

#[cfg(unix)]
fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}
