//! Which agents are on this machine, and which one a command starts.

use super::{AgentFile, all, mentioning};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// An agent that is installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What we know of it.
    pub agent: &'static AgentFile,
    /// The agent file's name.
    pub name: String,
    /// As people write it.
    pub title: String,
    /// Where it was found.
    pub path: PathBuf,
}

impl Found {
    /// Its version, as its installation says; the agent itself is not run to be asked.
    pub fn version(&self) -> Option<String> {
        let real = self.path.canonicalize().ok()?;
        // The native installer names the program by its version.
        let name = real.file_name()?.to_string_lossy().into_owned();
        if name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('.') {
            return Some(name);
        }
        real.ancestors().skip(1).take(4).find_map(|folder| {
            let text = std::fs::read_to_string(folder.join("package.json")).ok()?;
            let package: serde_json::Value = serde_json::from_str(&text).ok()?;
            let version = package.get("version")?.as_str()?;
            Some(version.to_owned())
        })
    }
}

/// The agents on this machine: the first of each that `PATH` has, else where installers put it.
pub fn find_installed(environment: &BTreeMap<String, String>, home: &Path) -> Vec<Found> {
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    all()
        .filter_map(|agent| {
            let in_path = agent.find.commands.iter().filter_map(|name| in_path(name, path));
            let places = agent.find.places.iter().map(|place| expand(place, home));
            let path = in_path.chain(places).find(|path| path.is_file())?;
            Some(Found { agent, name: agent.name.clone(), title: agent.title.clone(), path })
        })
        .collect()
}

/// The agent that a command starts: by its program's name, or by the package that the program or
/// the script behind its interpreter lies in.
pub fn detect(command: &[OsString]) -> Option<&'static AgentFile> {
    let program = Path::new(command.first()?);
    let named = program.file_name()?;
    let is_interpreter = ["node", "bun", "deno"].iter().any(|name| named == OsStr::new(name));
    let program = match (is_interpreter, command.get(1)) {
        (true, Some(script)) => Path::new(script),
        _ => program,
    };
    let name = program.file_name()?.to_string_lossy();
    let real = if program.components().count() > 1 { program.canonicalize().ok() } else { None };
    let real = real.map(|real| real.to_string_lossy().into_owned()).unwrap_or_default();
    // Most commands start no agent: reading all files to find that out would cost them more than
    // the rest of this function.
    let words = if real.contains("node_modules") { String::new() } else { format!("\"{name}\"") };
    mentioning(&words).find(|agent| {
        let in_package = |package: &String| real.contains(&format!("/node_modules/{package}/"));
        agent.find.commands.iter().any(|command| *command == name)
            || agent.find.packages.iter().any(in_package)
    })
}

/// What must be readable for a command to start: its program without links, and what lies beside.
pub fn program(
    command: &[OsString],
    agent: Option<&AgentFile>,
    environment: &BTreeMap<String, String>,
    home: &Path,
) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let own = agent.map(|agent| agent.find.program.as_slice()).unwrap_or_default();
    paths.extend(own.iter().map(|folder| expand(folder, home)).filter(|folder| folder.is_dir()));
    let search = environment.get("PATH").map(String::as_str).unwrap_or_default();
    // The program, and the script that an interpreter is given.
    for word in command.iter().take(2) {
        let path = Path::new(word);
        let found = if path.components().count() > 1 {
            std::path::absolute(path).ok().filter(|path| path.is_file())
        } else {
            in_path(&word.to_string_lossy(), search)
        };
        let Some(found) = found else { continue };
        let Ok(real) = found.canonicalize() else { continue };
        let modules = real.ancestors().filter(|above| above.ends_with("node_modules"));
        match modules.last() {
            // A package takes its platform's part from a package beside it.
            Some(modules) => paths.push(modules.to_owned()),
            None => paths.extend([found, real]),
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

fn in_path(name: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// `~` is home.
pub(super) fn expand(text: &str, home: &Path) -> PathBuf {
    match text.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(text),
    }
}
