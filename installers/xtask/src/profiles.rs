//! `cargo xtask profiles`: writes what is generated from the table of keys, for editors, Group
//! Policy, Intune, configuration profiles and people. A test fails where a file is stale.

mod adml;
mod admx;
mod group_policy;
mod jamf;
mod json_schema;
mod keys;
mod manifest;
mod mobileconfig;
mod patterns;
mod plist;
mod reference;
mod toml;
mod words;
mod xml;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use keys::Level;

/// Writes one of the files.
type Generator = fn() -> Result<String>;

/// Every generated file, below the checkout.
const FILES: [(&str, Generator); 10] = [
    ("profiles/schema/policy.schema.json", json_schema::write),
    ("profiles/policy.toml", toml::write),
    ("profiles/windows/chaperone.admx", admx::write),
    ("profiles/windows/en-US/chaperone.adml", adml::write),
    ("profiles/macos/chaperone.mobileconfig", mobileconfig::write),
    ("profiles/macos/dev.chaperone.desktop.manifest.plist", || manifest::write(Level::Managed)),
    ("profiles/macos/dev.chaperone.desktop.recommended.manifest.plist", || {
        manifest::write(Level::Recommended)
    }),
    ("profiles/macos/jamf.schema.json", || jamf::write(Level::Managed)),
    ("profiles/macos/jamf.recommended.schema.json", || jamf::write(Level::Recommended)),
    ("docs/keys.md", reference::write),
];

/// Writes the files below `root`, or with `check` only says which of them are stale.
pub(crate) fn run(root: &Path, check: bool) -> Result<ExitCode> {
    let stale = stale(root)?;
    if check && !stale.is_empty() {
        println!("{}", advice(&stale));
        return Ok(ExitCode::FAILURE);
    }
    for (name, text) in &stale {
        let path = root.join(name);
        let folder = path.parent().context("a generated file stands in no folder")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        println!("{name}");
    }
    println!("{} of {} files were stale", stale.len(), FILES.len());
    Ok(ExitCode::SUCCESS)
}

/// The files that are not what they should be, with what they should be.
fn stale(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut stale = Vec::new();
    for (name, generate) in FILES {
        let text = generate().with_context(|| format!("could not generate {name}"))?;
        // A checkout may have other line ends.
        let found = fs::read_to_string(root.join(name)).ok().map(|found| found.replace('\r', ""));
        if found.as_ref() != Some(&text) {
            stale.push((name, text));
        }
    }
    Ok(stale)
}

fn advice(stale: &[(&str, String)]) -> String {
    let names: Vec<&str> = stale.iter().map(|(name, _)| *name).collect();
    format!(
        "stale, run `cargo xtask profiles` and commit what it writes:\n  {}",
        names.join("\n  ")
    )
}
