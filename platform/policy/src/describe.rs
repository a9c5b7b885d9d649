//! A command in plain words, for the people who answer requests.

use crate::decide::overwrites;
use crate::{Command, subject};
use serde::Serialize;

/// What a person wants to know of a command before allowing it, each as a short phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandFacts {
    /// Whether it can be undone.
    pub undoable: CommandFact,
    /// Whether something leaves the laptop.
    pub leaves_laptop: CommandFact,
}

/// An answer, and the words for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandFact {
    /// Yes, no, or not known.
    pub holds: Option<bool>,
    /// Without a full stop.
    pub text: String,
}

/// What will happen, as one sentence without a full stop: `Publish commits from this repository
/// to origin, branch main`.
pub fn sentence(command: &Command) -> String {
    let tokens = subject(command);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    known_sentence(&words, &tokens).unwrap_or_else(|| format!("Run `{}`", display(&tokens)))
}

fn known_sentence(words: &[&str], tokens: &[String]) -> Option<String> {
    let operands = |from: usize| -> Vec<String> {
        words.iter().skip(from).filter(|w| !w.starts_with('-')).map(|w| visible(w)).collect()
    };
    let value_of = |options: &[&str]| -> Option<String> {
        let at = words.iter().position(|word| options.contains(word))?;
        words.get(at + 1).map(|word| visible(word))
    };
    let first_or = |from: usize, otherwise: &str| {
        operands(from).into_iter().next().unwrap_or_else(|| otherwise.to_owned())
    };
    Some(match words {
        ["git", "push", ..] => push_sentence(&operands(2), tokens.get(2..).unwrap_or_default()),
        ["npm" | "pnpm" | "yarn" | "bun", "publish", ..] | ["yarn", "npm", "publish", ..] => {
            match value_of(&["--registry"]) {
                Some(registry) => format!("Publish this package to {registry}"),
                None => "Publish this package to the npm registry".to_owned(),
            }
        }
        ["cargo", "publish", ..] => match value_of(&["-p", "--package"]) {
            Some(package) => format!("Publish the crate {package} to its registry"),
            None => "Publish this crate to its registry".to_owned(),
        },
        ["twine", "upload", ..] | ["uv" | "poetry", "publish", ..] => {
            "Publish this package to the Python package index".to_owned()
        }
        ["gem", "push", ..] => format!("Publish {} to RubyGems", first_or(2, "this gem")),
        ["docker" | "podman", "push", ..] => {
            format!("Publish the image {}", first_or(2, "of this project"))
        }
        ["docker", "image", "push", ..] => {
            format!("Publish the image {}", first_or(3, "of this project"))
        }
        ["gh", "pr", "merge", ..] => {
            format!("Merge pull request {}", first_or(3, "of this branch"))
        }
        ["gh", "release", "create", ..] => {
            format!("Publish the release {} on GitHub", first_or(3, "of this repository"))
        }
        ["gh", "repo", "delete", ..] => {
            format!(
                "Delete the repository {} on GitHub",
                first_or(3, "that this folder belongs to")
            )
        }
        ["kubectl", "apply", ..] => {
            let file = value_of(&["-f", "--filename", "-k", "--kustomize"]);
            format!("Apply {} to the cluster", file.unwrap_or_else(|| "changes".to_owned()))
        }
        ["kubectl", "delete", ..] => {
            let file = value_of(&["-f", "--filename", "-k", "--kustomize"]);
            let what = file.unwrap_or_else(|| operands(2).join(" "));
            format!("Delete {} from the cluster", if what.is_empty() { "things" } else { &what })
        }
        ["terraform" | "tofu", "apply", ..] => "Change real infrastructure".to_owned(),
        ["terraform" | "tofu", "destroy", ..] => "Remove real infrastructure".to_owned(),
        ["ssh", ..] => format!("Open a shell on {}", first_or(1, "another machine")),
        ["curl" | "wget", ..] => {
            let url = operands(1).into_iter().find(|word| word.contains("://"))?;
            format!("Contact {url}")
        }
        ["rm", ..] if !operands(1).is_empty() => format!("Remove {}", operands(1).join(", ")),
        _ => return None,
    })
}

fn push_sentence(operands: &[String], arguments: &[String]) -> String {
    let has = |names: &[&str]| arguments.iter().any(|a| names.contains(&a.as_str()));
    let remote = operands.first().map_or("its usual place", String::as_str);
    let branches: Vec<&str> = operands
        .iter()
        .skip(1)
        .map(|refspec| refspec.trim_start_matches('+').rsplit(':').next().unwrap_or_default())
        .map(|name| name.strip_prefix("refs/heads/").unwrap_or(name))
        .collect();
    let named = match branches.as_slice() {
        [] => String::new(),
        [one] => format!(", branch {one}"),
        more => format!(", branches {}", more.join(", ")),
    };
    let removes =
        has(&["-d", "--delete"]) || arguments.iter().any(|argument| argument.starts_with(':'));
    if removes {
        return format!("Delete {} on {remote}", named.trim_start_matches(", "));
    }
    if has(&["--mirror", "--all", "--branches"]) {
        return format!("Publish every branch of this repository to {remote}");
    }
    let tags = if has(&["--tags"]) { ", with all tags" } else { "" };
    if overwrites(arguments) {
        return format!(
            "Replace what is published on {remote}{named} with this repository's commits{tags}"
        );
    }
    format!("Publish commits from this repository to {remote}{named}{tags}")
}

/// What is known of a command's consequences.
pub fn facts(command: &Command) -> CommandFacts {
    let tokens = subject(command);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let (undoable, leaves_laptop) = match words.as_slice() {
        ["git", "push", ..] if overwrites(tokens.get(2..).unwrap_or_default()) => (
            no("Cannot be undone: it replaces or deletes what is published"),
            yes("Commits leave the laptop"),
        ),
        ["git", "push" | "send-pack", ..] => {
            (no("Hard to undo: others may have fetched it"), yes("Commits leave the laptop"))
        }
        ["npm" | "pnpm" | "yarn" | "bun" | "uv" | "poetry", "publish", ..]
        | ["yarn", "npm", "publish", ..]
        | ["twine", "upload", ..]
        | ["gem", "push", ..] => (
            no("Cannot be undone: a published version stays taken"),
            yes("The package leaves the laptop"),
        ),
        ["cargo", "publish", ..] => (
            no("Cannot be undone: a version can be yanked, never removed"),
            yes("The crate leaves the laptop"),
        ),
        ["docker" | "podman", "push", ..] | ["docker", "image", "push", ..] => {
            (no("Hard to undo: others may have pulled it"), yes("The image leaves the laptop"))
        }
        ["gh", "pr", "merge", ..] => {
            (yes("Can be undone with a revert"), yes("The change happens on GitHub"))
        }
        ["gh", "release", "create", ..] => (
            no("Hard to undo: others may have downloaded it"),
            yes("The release leaves the laptop"),
        ),
        ["gh", "repo", "delete", ..] => {
            (no("Cannot be undone"), yes("The change happens on GitHub"))
        }
        ["kubectl", "apply", ..] => (
            yes("Can be undone by applying the former state"),
            yes("The change happens in the cluster"),
        ),
        ["kubectl", "delete", ..] => {
            (no("Cannot be undone"), yes("The change happens in the cluster"))
        }
        ["terraform" | "tofu", "apply", ..] => (
            no("Hard to undo: some changes replace what was there"),
            yes("The change happens in real infrastructure"),
        ),
        ["terraform" | "tofu", "destroy", ..] => {
            (no("Cannot be undone"), yes("The change happens in real infrastructure"))
        }
        ["rm", ..] => (no("Cannot be undone"), no("Nothing leaves the laptop")),
        ["ssh" | "scp" | "rsync" | "curl" | "wget", ..] => {
            (unknown("Not known"), unknown("Something may leave the laptop"))
        }
        _ => (unknown("Not known"), unknown("Not known")),
    };
    CommandFacts { undoable, leaves_laptop }
}

fn yes(text: &str) -> CommandFact {
    CommandFact { holds: Some(true), text: text.to_owned() }
}

fn no(text: &str) -> CommandFact {
    CommandFact { holds: Some(false), text: text.to_owned() }
}

fn unknown(text: &str) -> CommandFact {
    CommandFact { holds: None, text: text.to_owned() }
}

/// The tokens as a shell would take them, what cannot be seen made visible, shortened at the end.
fn display(tokens: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@+,%~^".contains(c);
    let words: Vec<String> = tokens
        .iter()
        .map(|token| {
            let token = visible(token);
            if !token.is_empty() && token.chars().all(plain) {
                token
            } else {
                format!("'{}'", token.replace('\'', "'\\''"))
            }
        })
        .collect();
    let whole = words.join(" ");
    match whole.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", whole.get(..end).unwrap_or_default()),
        None => whole,
    }
}

/// Control characters and those that change the direction of text, written out: Unicode TR36.
fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if hidden(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

#[cfg(test)]
mod tests;
