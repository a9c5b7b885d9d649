//! Where things are: the checkout, the build folder, this developer's cache; and how a command is
//! made that does not inherit what `cargo run` added to xtask's own environment.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One checkout and the folders that belong to it.
pub(crate) struct Project {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's build folder, shared by every part.
    pub(crate) target: PathBuf,
    /// Downloads that outlive a checkout.
    pub(crate) cache: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        // The one of this start: checkouts may share a build folder, and so this program.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = manifest.ancestors().nth(2).context("xtask is not in installers/xtask")?;
        if !root.join("Cargo.lock").exists() {
            bail!("{} is not a checkout any more; run `cargo xtask` in one", root.display());
        }
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir()?.join(dir),
            None => root.join("target"),
        };
        let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
            (Some(dir), _) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
            (_, Some(home)) => Path::new(&home).join(".cache"),
            _ => target.join("cache"),
        };
        Ok(Self { root: root.to_path_buf(), target, cache: cache.join("chaperone-dev") })
    }

    /// A folder of xtask's own below the build folder: logs, stamps, generated files.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let dir = self.target.join("xtask");
        fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
        Ok(dir)
    }

    /// A command that starts in the checkout, as if typed by hand there.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        if env::var_os("CI").is_some() {
            // Nothing is built twice there: it would take longer, and gigabytes more.
            command.env("CARGO_INCREMENTAL", "0");
        }
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            let ours = ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p));
            if ours || ["CARGO", "CARGO_PRIMARY_PACKAGE", "RUST_RECURSION_COUNT"].contains(&name) {
                command.env_remove(name);
            }
            // `cargo run` puts the toolchain's libraries here, and they would outlive it in
            // sessions and in the other toolchain that the cross checks may use.
            if name == "LD_LIBRARY_PATH" {
                let toolchain = env::var_os("RUSTUP_HOME")
                    .map(PathBuf::from)
                    .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".rustup")));
                let kept: Vec<_> = env::split_paths(&value)
                    .filter(|p| !p.starts_with(&self.target))
                    .filter(|p| !toolchain.as_ref().is_some_and(|t| p.starts_with(t)))
                    .collect();
                match env::join_paths(&kept) {
                    Ok(joined) if !kept.is_empty() => command.env(name, joined),
                    _ => command.env_remove(name),
                };
            }
        }
        command
    }

    /// `npm` in a folder of the checkout.
    pub(crate) fn npm(&self, dir: impl AsRef<Path>) -> Command {
        let mut command = self.command("npm");
        command.current_dir(self.root.join(dir));
        command
    }

    /// What the chaperone command is called in a build of this profile (`debug` or `release`).
    pub(crate) fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }
}

/// How many bytes are left where this folder is; `None` where that cannot be told.
pub(crate) fn room(folder: &Path) -> Option<u64> {
    let out = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    // POSIX: a line of headings, then "Filesystem 1024-blocks Used Available Capacity Mounted on".
    let line = text.lines().nth(1)?;
    Some(line.split_whitespace().nth(3)?.parse::<u64>().ok()? << 10)
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

/// Where a program is, if `PATH` has it.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A fingerprint of files' contents and names, for stamps ("built from exactly this").
pub(crate) fn fingerprint(paths: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let mut pending: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let mut children = fs::read_dir(&path)?
                .map(|entry| entry.map(|e| e.path()))
                .collect::<Result<Vec<_>, _>>()?;
            children.sort();
            pending.extend(children.into_iter().rev());
        } else if path.is_file() {
            path.hash(&mut hasher);
            fs::read(&path)?.hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}
