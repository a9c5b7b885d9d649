//! `[permissions.NAME.filesystem]`: what a profile's commands may read and write.

use super::PROFILE;
use crate::Job;
use crate::commands::in_some_workspaces;
use crate::losses::Effect::{Missing, Narrower, Wider};
use crate::paths::{self, Base, Named};
use crate::quote::toml;
use chaperone_policy::Sourced;
use std::collections::BTreeMap;
use std::path::Path;

/// What is a pattern to Codex.
const SPECIAL: [char; 4] = ['*', '?', '[', ']'];

/// A profile's table: what each path may be used for, the strictest word for it.
#[derive(Default)]
struct Access {
    anywhere: BTreeMap<String, Use>,
    workspace: BTreeMap<String, Use>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Write,
    Read,
    Deny,
}

impl Use {
    fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Deny => "deny",
        }
    }
}

impl Access {
    /// Notes what a path may be used for; `false` where Codex has no word for the path.
    fn put(&mut self, named: &Named, text: &str, access: Use) -> bool {
        let (table, path) = match (named.base, text.is_empty()) {
            (Base::Workspace, true) if access == Use::Deny => {
                (&mut self.workspace, "**".to_owned())
            }
            (Base::Workspace, true) => (&mut self.workspace, ".".to_owned()),
            (Base::Workspace, false) => (&mut self.workspace, text.to_owned()),
            // Codex itself starts from there.
            (Base::Home | Base::Root, true) => return false,
            (Base::Home, false) => (&mut self.anywhere, format!("~/{text}")),
            (Base::Root, false) if text.contains(':') => (&mut self.anywhere, text.to_owned()),
            (Base::Root, false) => (&mut self.anywhere, format!("/{text}")),
        };
        let entry = table.entry(path).or_insert(access);
        *entry = (*entry).max(access);
        true
    }
}

pub(super) fn filesystem(job: &mut Job<'_>) -> Vec<String> {
    job.lost.done(&paths::KEYS);
    let files = job.policy.filesystem();
    let mut access = Access::default();
    for Sourced { value, origin } in &files.deny {
        let named = paths::name(value, job.context);
        let mut said = true;
        for text in denied_texts(&named) {
            said &= access.put(&named, &text, Use::Deny);
        }
        if !said {
            job.lost.part(
                "filesystem.deny",
                value.as_str(),
                origin,
                Missing,
                "Codex itself starts from there.",
            );
        } else if named.glob {
            job.lost.part(
                "filesystem.deny",
                value.as_str(),
                origin,
                Narrower,
                "Codex looks for what the pattern names when a command starts; what is made \
                 later is not covered.",
            );
        }
    }
    for Sourced { value, origin } in &files.deny_write {
        let named = paths::name(value, job.context);
        let text = if named.glob || named.is_odd(&SPECIAL) {
            let beginning = beginning(&named.rest);
            (!beginning.is_empty()).then_some(beginning)
        } else {
            Some(named.rest.clone())
        };
        match text {
            Some(text) if access.put(&named, &text, Use::Read) => {
                if named.glob || named.is_odd(&SPECIAL) {
                    job.lost.part(
                        "filesystem.deny_write",
                        value.as_str(),
                        origin,
                        Wider,
                        "Codex knows no patterns here: the whole folder before the pattern is \
                         not written.",
                    );
                }
            }
            Some(_) | None => job.lost.part(
                "filesystem.deny_write",
                value.as_str(),
                origin,
                Missing,
                "Codex keeps paths from being written, not patterns.",
            ),
        }
    }
    let grants = [
        ("filesystem.read", &files.read, Use::Read),
        ("filesystem.write", &files.write, Use::Write),
    ];
    for (key, list, access_for) in grants {
        for Sourced { value, origin } in list {
            let named = paths::name(value, job.context);
            if named.base == Base::Workspace && !named.glob {
                continue;
            }
            // To Codex the nearer entry wins, to the policy every denial does.
            let covered = |denials: &[Sourced<chaperone_policy::PathPattern>]| {
                let path = value.as_literal().unwrap_or(Path::new(""));
                denials.iter().any(|denial| denial.value.covers(path))
            };
            let denied =
                covered(&files.deny) || access_for == Use::Write && covered(&files.deny_write);
            let plain =
                !named.glob && !named.is_odd(&SPECIAL) && !in_some_workspaces(job.policy, origin);
            if denied || !plain || !access.put(&named, &named.rest, access_for) {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Missing,
                    "Codex grants plain paths only, in every workspace, and lets the nearer \
                     entry win.",
                );
            }
        }
    }
    let mut lines = Vec::new();
    let tables = [("", access.anywhere), (".\":workspace_roots\"", access.workspace)];
    for (name, table) in tables.into_iter().filter(|(_, table)| !table.is_empty()) {
        lines.extend([String::new(), format!("[permissions.{PROFILE}.filesystem{name}]")]);
        for (path, access) in table {
            lines.push(format!("{} = {}", toml(&path), toml(access.word())));
        }
    }
    lines
}

/// A pattern and what lies beneath it, without alternatives. Characters that are none of a pattern
/// stand as `?`.
fn denied_texts(named: &Named) -> Vec<String> {
    let blurred = |text: String| {
        if named.is_odd(&SPECIAL) {
            text.chars().map(|c| if SPECIAL.contains(&c) { '?' } else { c }).collect()
        } else {
            text
        }
    };
    let texts = named.plain().unwrap_or_else(|| vec![beginning(&named.rest)]);
    texts
        .into_iter()
        .map(blurred)
        .flat_map(|text: String| {
            let beneath = (text.contains(['*', '?', '[']) && !text.ends_with("/**"))
                .then(|| format!("{text}/**"));
            std::iter::once(text).chain(beneath)
        })
        .collect()
}

/// The folders before the first part that holds a glob character.
fn beginning(text: &str) -> String {
    let plain = |part: &&str| !part.contains(['*', '?', '[', '{']);
    let parts: Vec<&str> = text.split('/').take_while(plain).collect();
    parts.join("/")
}
