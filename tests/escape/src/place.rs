//! What attempts know of the stage, as lines of text that a process inside can read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The stage as one attempt sees it.
#[derive(Debug, Clone, Default)]
pub struct Place {
    facts: BTreeMap<String, String>,
    name: &'static str,
}

impl Place {
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl ToString) {
        self.facts.insert(key.into(), value.to_string());
    }

    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let lines = self.facts.iter().map(|(key, value)| format!("{key} {value}\n"));
        fs::write(file, lines.collect::<String>())
    }

    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        let facts = text.lines().filter_map(|line| line.split_once(' '));
        let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(Self { facts, name: "" })
    }

    pub(crate) fn named(&self, name: &'static str) -> Self {
        Self { facts: self.facts.clone(), name }
    }

    /// The attempt's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// A fact of the stage.
    pub(crate) fn fact(&self, key: &str) -> io::Result<&str> {
        let missing = || io::Error::other(format!("the stage has no {key}"));
        self.facts.get(key).map(String::as_str).ok_or_else(missing)
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> io::Result<T> {
        self.fact(key)?.parse().map_err(|_| io::Error::other(format!("{key} is no number")))
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.facts.get("base").map(PathBuf::from).unwrap_or_default()
    }

    /// The user's home; the workspace lies in it.
    pub(crate) fn home(&self) -> PathBuf {
        self.base().join("home")
    }

    /// The workspace.
    pub(crate) fn work(&self) -> PathBuf {
        self.home().join("work")
    }

    /// Outside of every grant.
    pub(crate) fn other(&self) -> PathBuf {
        self.base().join("other")
    }

    /// A secret outside of every grant.
    pub(crate) fn secret(&self) -> PathBuf {
        self.other().join("secret")
    }

    /// This attempt's own file in a folder of the workspace that the policy denies; it holds the
    /// secret.
    pub(crate) fn denied(&self) -> PathBuf {
        self.work().join("denied").join(self.name)
    }

    /// The same in a folder that is granted to be read but for this.
    pub(crate) fn mixed(&self) -> PathBuf {
        self.base().join("mixed/denied").join(self.name)
    }

    /// This attempt's own file outside of every grant; it holds the secret.
    pub(crate) fn prop(&self) -> PathBuf {
        self.other().join("props").join(self.name)
    }

    /// This attempt's own folder outside of every grant; `inner` in it is a file.
    pub(crate) fn prop_folder(&self) -> PathBuf {
        self.other().join("folders").join(self.name)
    }

    /// Where this attempt's program writes when it is run outside afterwards.
    pub(crate) fn later(&self) -> PathBuf {
        self.other().join("later").join(self.name)
    }

    /// This attempt's own file in a folder that is granted to be read.
    pub(crate) fn readable(&self) -> PathBuf {
        self.base().join("readable").join(self.name)
    }

    /// This attempt's own file in a folder of the workspace that the policy keeps from change.
    pub(crate) fn kept(&self) -> PathBuf {
        self.work().join("kept").join(self.name)
    }

    /// This attempt's own folder in the workspace, made on first use.
    pub(crate) fn scratch(&self) -> io::Result<PathBuf> {
        let folder = self.work().join("scratch").join(self.name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A new file in that folder.
    pub(crate) fn scratch_file(&self, text: &str) -> io::Result<PathBuf> {
        let file = self.scratch()?.join("file");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// What this attempt leaves, or is named by, wherever it gets.
    pub(crate) fn mark(&self) -> String {
        mark(self.name)
    }

    /// The process that stands for this attempt outside.
    pub(crate) fn victim(&self) -> io::Result<i32> {
        self.number(&format!("victim-{}", self.name))
    }

    /// Where in each victim's memory a word lies, and behind it the secret.
    pub(crate) fn word(&self) -> io::Result<usize> {
        self.number(&format!("word-{}", self.name))
    }

    /// A file that the program of a denied command leaves.
    pub(crate) fn ran(&self) -> PathBuf {
        ran(&self.work(), self.name)
    }
}

pub(crate) fn mark(name: &str) -> String {
    format!("escaped={name};")
}

pub(crate) fn ran(work: &Path, name: &str) -> PathBuf {
    work.join("ran").join(name)
}
