//! Agents' own managed settings as a layer of a policy, with what could not be read of them.

mod claude_code;
mod codex;
mod gemini_cli;
mod layer;
mod node;
mod specifier;
mod starlark;
mod vscode;

use crate::Agent;
use layer::{LayerText, List};
use node::Node;
use serde::Serialize;

/// A layer that was put together from an agent's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The layer, a policy file in TOML: each entry with a comment that says where it came from.
    pub text: String,
    /// What the layer does not say, or says otherwise.
    pub lost: Vec<NotRead>,
}

/// A setting that the layer does not say, or says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotRead {
    /// Where it stands: `FILE:LINE`, or `FILE#POINTER` in JSON.
    pub place: String,
    /// What it says.
    pub value: String,
    /// The layer says it, but more widely than the agent reads it.
    pub wider: bool,
    /// The reason, in words.
    pub why: String,
}

/// Why nothing could be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is not in its format.
    #[error(
        "{file}, line {line}: this is no valid {format}: {found}; repair the file, or leave it out"
    )]
    Syntax {
        /// The file's name as it was given.
        file: String,
        /// From 1.
        line: usize,
        /// What the file should be.
        format: &'static str,
        /// What the parser met.
        found: String,
    },
    /// The file nests deeper than any settings do.
    #[error("{file}: it nests deeper than any settings file does; it is not read")]
    TooDeep {
        /// The file's name as it was given.
        file: String,
    },
    /// The file is none of the agent's.
    #[error("{file}: this is no file of {agent}'s managed settings; expected {expected}")]
    Unknown {
        /// The file's name as it was given.
        file: String,
        /// The agent's name in full.
        agent: &'static str,
        /// The files that are known.
        expected: &'static str,
    },
}

/// One import at work.
#[derive(Debug, Default)]
struct Reading {
    layer: LayerText,
    lost: Vec<NotRead>,
    /// Of the table of permissions that is being read, the paths that may not be written.
    unwritten: Vec<String>,
}

impl Reading {
    /// Notes a setting that the layer does not say.
    fn lose(&mut self, node: &Node, why: impl Into<String>) {
        self.note(&node.place, node.shown(), false, why.into());
    }

    /// Notes a setting that the layer says more widely than the agent reads it.
    fn widen(&mut self, node: &Node, why: impl Into<String>) {
        self.note(&node.place, node.shown(), true, why.into());
    }

    fn note(&mut self, place: &str, value: String, wider: bool, why: String) {
        self.lost.push(NotRead { place: place.to_owned(), value, wider, why });
    }

    /// Adds an entry to a list of the layer, or says why not.
    fn put(&mut self, list: List, text: &str, node: &Node) {
        if let Err(expected) = self.layer.put(list, text, &node.place) {
            self.lose(node, format!("A policy expects {expected} here."));
        }
    }

    /// Every text of a list of hosts, variables or paths.
    fn put_all(&mut self, list: List, node: &Node) {
        for item in node.texts() {
            self.put(list, item.text().unwrap_or_default(), item);
        }
        self.rest_of(node);
    }

    /// What of a list is no text.
    fn rest_of(&mut self, node: &Node) {
        if let Some(items) = node.list() {
            for item in items.iter().filter(|item| item.text().is_none()) {
                self.lose(item, "A text is expected here.");
            }
        } else if node.text().is_none() {
            self.lose(node, "A list of texts is expected here.");
        }
    }
}

/// Why a setting of the agent itself has no place in a policy.
const NO_KEY: &str = "Chaperone has no key for it.";

pub(crate) fn import(agent: Agent, files: &[(String, String)]) -> Result<Imported, ImportError> {
    let mut reading = Reading::default();
    for (file, text) in files {
        match agent {
            Agent::ClaudeCode => claude_code::read(&mut reading, file, text)?,
            Agent::Codex => codex::read(&mut reading, file, text)?,
            Agent::GeminiCli => gemini_cli::read(&mut reading, file, text)?,
            Agent::VsCode => vscode::read(&mut reading, file, text)?,
        }
    }
    let names: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    let title = format!("Read from {}'s {}.", agent.title(), names.join(" and "));
    Ok(Imported { text: reading.layer.into_toml(&title), lost: reading.lost })
}

/// The settings as a table.
fn table<'n>(
    node: &'n Node,
    file: &str,
    agent: Agent,
    expected: &'static str,
) -> Result<&'n [(String, Node)], ImportError> {
    node.table().ok_or_else(|| ImportError::Unknown {
        file: file.to_owned(),
        agent: agent.title(),
        expected,
    })
}
