//! From what was refused to a proposal; `files` gathers what concerns files. Each part is tried: what
//! would still be refused under the changed file is not proposed.

use super::change::{diff, with};
use super::{Change, Left, Proposal};
use crate::load::{Loaded, Question, load};
use crate::paths::Paths;
use chaperone_policy::{
    Access, Action, Class, Command, Decision, Facts, Policy, Verdict, command_scope, decide,
    decide_file,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// What was refused in one session, as it happened.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// Commands that were denied or asked about.
    pub(crate) commands: Vec<(Command, Decision)>,
    /// Addresses that were not reached: host and port.
    pub(crate) addresses: BTreeSet<(String, u16)>,
    /// Sockets of other programs.
    pub(crate) sockets: BTreeSet<String>,
    /// Names that run later outside of the sandbox, or govern it.
    pub(crate) protected: BTreeSet<PathBuf>,
    /// What no grant covers, to be written.
    pub(crate) writes: BTreeSet<PathBuf>,
    /// What no grant covers, to be read.
    pub(crate) reads: BTreeSet<PathBuf>,
    /// What cannot be told here of what was refused.
    pub(crate) unseen: Vec<String>,
}

/// What to change, by what was refused.
pub(crate) fn propose(
    refused: &Refused,
    loaded: &Loaded,
    question: &Question,
    paths: &Paths,
) -> Proposal {
    let file = paths.config.join("config.toml");
    let before = fs::read_to_string(&file).unwrap_or_default();
    let mut found = Found {
        loaded,
        question,
        paths,
        proposal: Proposal {
            diff: String::new(),
            changes: Vec::new(),
            denied: Vec::new(),
            secrets: Vec::new(),
            kept: Vec::new(),
            unseen: refused.unseen.clone(),
            after: before.clone(),
            before,
            file,
        },
    };
    let mut parts = found.files(refused);
    parts.extend(found.addresses(refused));
    parts.extend(found.commands(refused));
    for path in &refused.protected {
        let why = "It would run later outside of the sandbox, or governs it; change it yourself.";
        found.keep(path.display(), why);
    }
    for socket in &refused.sockets {
        let why = "A socket of another program is a way around the sandbox; if that is what you want, \
                   name it in filesystem.sockets yourself.";
        found.keep(socket, why);
    }
    let Found { mut proposal, .. } = found;
    let parts = proposal.tried(parts, question, paths);
    let changes: Vec<Change> = parts.into_iter().map(|part| part.change).collect();
    match with(&proposal.before, &changes) {
        Some(after) => {
            proposal.diff = diff(&proposal.file, &proposal.before, &after);
            proposal.after = after;
            proposal.changes = changes;
        }
        None => {
            proposal.kept.extend(
                changes.into_iter().map(|change| Left {
                    what: format!("{} {}", change.key, change.value),
                    why: "Your file cannot be changed by this, as it is written; add it yourself."
                        .into(),
                }),
            )
        }
    }
    if proposal.changes.is_empty() {
        proposal.diff.clear();
    }
    proposal
}

/// A part of a change, and what it is to allow.
pub(super) struct Part {
    pub(super) change: Change,
    pub(super) allows: Vec<Action>,
}

impl Proposal {
    /// The parts under which what they are for is allowed; the others are told as denied.
    fn tried(&mut self, parts: Vec<Part>, question: &Question, paths: &Paths) -> Vec<Part> {
        if parts.is_empty() {
            return parts;
        }
        let changes: Vec<Change> = parts.iter().map(|part| part.change.clone()).collect();
        let Some(policy) =
            with(&self.before, &changes).and_then(|text| policy_with(&text, question, paths))
        else {
            return parts;
        };
        let (good, bad): (Vec<Part>, Vec<Part>) = parts
            .into_iter()
            .partition(|part| part.allows.iter().all(|action| refusal(&policy, action).is_none()));
        for Part { change, allows } in bad {
            let why = allows.iter().find_map(|action| refusal(&policy, action));
            let why = why.map_or_else(String::new, |decision| by_whom(&decision));
            self.denied.push(Left { what: change.value, why });
        }
        good
    }
}

/// The policy as it would be if the user's file had this text.
fn policy_with(text: &str, question: &Question, paths: &Paths) -> Option<std::sync::Arc<Policy>> {
    let mut name = [0u8; 8];
    getrandom::fill(&mut name).ok()?;
    let folder = paths.cache.join(format!("learn-{:016x}", u64::from_ne_bytes(name)));
    crate::paths::private_dir(&folder).ok()?;
    let written = fs::write(folder.join("config.toml"), text);
    let asked = Paths { config: folder.clone(), ..paths.clone() };
    let loaded = load(question, &asked);
    // It is only ever read here; what is left of it harms nobody.
    let _ = fs::remove_dir_all(folder);
    written.ok()?;
    Some(loaded.ok()?.policy)
}

/// Why an action would not be allowed.
fn refusal(policy: &Policy, action: &Action) -> Option<Decision> {
    let decision = match action {
        Action::Read { path } => decide_file(policy, Access::Read, path)?,
        Action::Write { path } => decide_file(policy, Access::Write, path)?,
        Action::Run(_) | Action::Connect { .. } | Action::Http(_) => {
            decide(policy, &Facts::at(Timestamp::now()), action)
        }
    };
    (decision.verdict != Verdict::Allow).then_some(decision)
}

/// Who refuses, and why, as a sentence.
fn by_whom(decision: &Decision) -> String {
    let Decision { reason, origin, .. } = decision;
    let who = match origin.kind.class() {
        Class::Managed | Class::UserPolicy => "Your organisation denies this",
        Class::Workspace => "The workspace's own file denies this",
        Class::Base => "It would still be denied",
    };
    format!("{who} ({origin}). {reason}")
}

/// Whether somebody refuses whom the user's file does not overrule.
pub(super) fn is_final(decision: &Decision) -> bool {
    decision.origin.kind.class() != Class::Base
}

pub(super) struct Found<'a> {
    pub(super) loaded: &'a Loaded,
    question: &'a Question,
    pub(super) paths: &'a Paths,
    pub(super) proposal: Proposal,
}

impl Found<'_> {
    pub(super) fn keep(&mut self, what: impl ToString, why: &str) {
        let left = Left { what: what.to_string(), why: why.to_owned() };
        if !self.proposal.kept.contains(&left) {
            self.proposal.kept.push(left);
        }
    }

    pub(super) fn deny(&mut self, what: impl ToString, decision: &Decision) {
        let left = Left { what: what.to_string(), why: by_whom(decision) };
        if !self.proposal.denied.contains(&left) {
            self.proposal.denied.push(left);
        }
    }

    fn commands(&mut self, refused: &Refused) -> Vec<Part> {
        let mut parts: BTreeMap<Vec<String>, Part> = BTreeMap::new();
        for (command, decision) in &refused.commands {
            let said = shown(command);
            if is_final(decision) {
                self.deny(said, decision);
                continue;
            }
            let action = Action::Run(command.clone());
            let rule = |prefix: &[String]| Change {
                key: "commands.rule",
                value: serde_json::to_string(prefix).unwrap_or_default(),
                why: format!("Learned; before: {}", decision.reason),
            };
            let fits = |prefix: &Vec<String>| {
                // No words are the beginning of every command.
                if prefix.is_empty() {
                    return false;
                }
                let text = with(&self.proposal.before, &[rule(prefix)]);
                let policy = text.and_then(|text| policy_with(&text, self.question, self.paths));
                policy.is_some_and(|policy| refusal(&policy, &action).is_none())
            };
            // What an approval for a session would cover; else this very line; else what the rule
            // is about, since options may stand between its words.
            let scope = command_scope(&self.loaded.policy, command);
            let prefix = scope
                .and_then(|scope| [scope, line(command), ruled(decision)].into_iter().find(fits));
            let Some(prefix) = prefix else {
                self.keep(said, "What it is cannot be told safely by its first words.");
                continue;
            };
            let change = rule(&prefix);
            let part = parts.entry(prefix).or_insert(Part { change, allows: Vec::new() });
            part.allows.push(action);
        }
        parts.into_values().collect()
    }

    fn addresses(&mut self, refused: &Refused) -> Vec<Part> {
        let mut parts = Vec::new();
        for (host, port) in &refused.addresses {
            let named = if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            };
            let action = Action::Connect { host: host.clone(), port: *port };
            match refusal(&self.loaded.policy, &action) {
                Some(decision) if is_final(&decision) => self.deny(named, &decision),
                _ => parts.push(Part {
                    change: Change {
                        key: "network.allow",
                        why: format!("Lets the session connect to {named}."),
                        value: named,
                    },
                    allows: vec![action],
                }),
            }
        }
        parts
    }
}

/// The words of the rule that refused.
fn ruled(decision: &Decision) -> Vec<String> {
    let words = decision.rule.as_deref().and_then(|rule| rule.strip_prefix("commands.rule "));
    words.unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect()
}

/// A command's words, the first as people write it.
fn line(command: &Command) -> Vec<String> {
    let program = command.argv.first().map(|first| first.rsplit('/').next().unwrap_or(first));
    let rest = command.argv.iter().skip(1).cloned();
    program.map(ToOwned::to_owned).into_iter().chain(rest).collect()
}

fn shown(command: &Command) -> String {
    chaperone_approvals::shell_words(&command.argv)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
