//! The PowerShell scripts. They are not run here, since there is no PowerShell on this system: their
//! grammar is checked, and that they read nothing but what the command gives.

use super::{form, paths, script};
use crate::place::installers;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use tree_sitter::{Node, Parser};

const SCRIPTS: [&str; 3] = ["intune/detect.ps1", "intune/remediate.ps1", "intune/compliance.ps1"];

/// Where the text stops being PowerShell, counted from 1; `None` where all of it is.
fn broken(text: &str) -> Result<Option<usize>> {
    fn first(node: Node<'_>) -> Option<Node<'_>> {
        if node.is_error() || node.is_missing() {
            return Some(node);
        }
        node.children(&mut node.walk()).find_map(first)
    }
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into())?;
    let tree = parser.parse(text, None).context("it was not parsed to its end")?;
    Ok(first(tree.root_node()).map(|node| node.start_position().row + 1))
}

#[test]
fn every_powershell_script_parses_and_without_any_one_brace_it_does_not() -> Result<()> {
    let folder = fs::read_dir(installers().join("intune"))?;
    let names = folder.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    let there = names.iter().filter(|name| name.ends_with(".ps1")).count();
    assert_eq!(there, SCRIPTS.len(), "{names:?}");
    for name in SCRIPTS {
        let text = script(name)?;
        assert_eq!(broken(&text)?, None, "{name}");
        for (at, brace) in text.match_indices(['{', '}']) {
            let without = [&text[..at], &text[at + 1..]].concat();
            assert!(broken(&without)?.is_some(), "{name} without the {brace} at {at}");
        }
        for wrong in ["if ($status) {", "$answer = 'never ends", "if { exit 1 }", "$x = @(1,"] {
            assert!(broken(&format!("{text}\n{wrong}\n"))?.is_some(), "{name} with {wrong}");
        }
    }
    Ok(())
}

#[test]
fn the_powershell_scripts_read_keys_that_the_command_gives_and_nothing_else() -> Result<()> {
    let mut known = BTreeSet::new();
    paths(&serde_json::from_str(&form("partly.json")?)?, "", &mut known);
    for name in SCRIPTS {
        let script = script(name)?;
        let read: BTreeSet<&str> = script
            .split("$status.")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| c != '.' && !c.is_ascii_lowercase()).next())
            .map(|path| path.trim_end_matches('.'))
            .collect();
        let unknown: Vec<&&str> = read.iter().filter(|path| !known.contains(**path)).collect();
        assert!(unknown.is_empty(), "{name} reads {unknown:?}");
        assert_eq!(read.is_empty(), name == "intune/remediate.ps1", "{name}");
        assert_eq!(script.lines().take_while(|line| line.starts_with("# ")).count(), 2, "{name}");
        assert!(!script.contains("Import-Module") && !script.contains("Invoke-"), "{name}");
    }
    Ok(())
}
