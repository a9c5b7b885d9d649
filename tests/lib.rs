//! Helpers shared by the cross-crate tests.

pub mod keychain;
#[cfg(target_os = "linux")]
mod names;
#[cfg(target_os = "linux")]
mod without;

#[cfg(target_os = "linux")]
pub use names::with_names;
#[cfg(target_os = "linux")]
pub use without::{with_none, without_namespaces};

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take that is waited for. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer.
///
/// # Errors
/// When there is none for half a minute.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > PATIENCE {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// The program that a variable names, or that stands beside this test in the target folder.
///
/// # Errors
/// When it has not been built; says how to.
pub fn built(variable: &str, name: &str, command: &str) -> Result<PathBuf> {
    let beside = || -> Option<PathBuf> {
        let test = std::env::current_exe().ok()?;
        Some(test.parent()?.parent()?.join(name))
    };
    let file = std::env::var_os(variable).map(PathBuf::from).or_else(beside).unwrap_or_default();
    if !file.is_file() {
        bail!(
            "{} does not exist. Build it with `{command}`, or name it in {variable}",
            file.display()
        );
    }
    Ok(file.canonicalize()?)
}

/// The `chaperone` command.
///
/// # Errors
/// When it has not been built.
pub fn chaperone() -> Result<PathBuf> {
    built("CHAPERONE_BIN", "chaperone", "cargo build -p chaperone-cli")
}
