//! The documents: what they link to is there.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The documents, and the headings of each as links name them.
fn documents() -> Result<Vec<(PathBuf, String, Vec<String>)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut found = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    found.push(root.join("profiles/README.md"));
    for entry in fs::read_dir(root.join("docs"))? {
        let path = entry?.path();
        found.extend(Some(path).filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    let mut documents = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path)?;
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let anchor = |heading: &str| -> String {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        let headings = headings.map(anchor).collect();
        documents.push((path, text, headings));
    }
    Ok(documents)
}

#[test]
fn every_link_of_the_documents_leads_somewhere() -> Result<()> {
    let documents = documents()?;
    let mut dead = Vec::new();
    for (path, text, _) in &documents {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().context("a folder")?.join(file),
            };
            let target = target.canonicalize().ok();
            let leads = target.is_some_and(|target| {
                let known = documents.iter().find(|(path, ..)| *path == target);
                anchor.is_empty()
                    || known.is_some_and(|(.., headings)| headings.iter().any(|one| one == anchor))
            });
            if !leads {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    ensure!(dead.is_empty(), "{}", dead.join("\n"));
    Ok(())
}
