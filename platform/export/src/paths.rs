//! Paths of a policy as a fleet can share them: from the root, the home or the workspace.

use chaperone_policy::{Context, PathPattern, Sourced};
use std::path::Path;

/// The keys that hold such paths.
pub(crate) const KEYS: [&str; 4] =
    ["filesystem.read", "filesystem.write", "filesystem.deny", "filesystem.deny_write"];

/// What a path begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// The root of the file system, or a drive.
    Root,
    /// The user's home.
    Home,
    /// The workspace.
    Workspace,
}

/// A path or glob of the policy. It covers what it names and everything beneath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) base: Base,
    /// Without a slash at either end; empty for the base itself. Globs are those of the `globset`
    /// crate.
    pub(crate) rest: String,
    /// It is a pattern, not a path that stands as it is.
    pub(crate) glob: bool,
}

/// The paths of one key, and the agent's tools that it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathList<'a> {
    pub(crate) key: &'static str,
    pub(crate) list: &'a [Sourced<PathPattern>],
    pub(crate) tools: &'static [&'static str],
}

/// What the pattern names, on any machine: a policy knows one user's home and workspace, while a
/// managed file serves all of them.
pub(crate) fn name(pattern: &PathPattern, context: &Context) -> Named {
    let glob = pattern.as_literal().is_none();
    let text = pattern.as_str();
    let beneath = |folder: &Path| {
        let folder = folder.to_string_lossy();
        let folder = if glob { escape(&folder) } else { folder.into_owned() };
        let rest = text.strip_prefix(folder.trim_end_matches(['/', '\\']))?;
        (rest.is_empty() || rest.starts_with(['/', '\\'])).then(|| clean(rest))
    };
    if let Some(rest) = beneath(&context.workspace) {
        return Named { base: Base::Workspace, rest, glob };
    }
    if let Some(rest) = beneath(&context.home) {
        return Named { base: Base::Home, rest, glob };
    }
    Named { base: Base::Root, rest: clean(text), glob }
}

fn clean(text: &str) -> String {
    text.replace('\\', "/").trim_matches('/').to_owned()
}

/// As the policy writes a folder's own characters in front of a glob.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '?' | '*' | '[' | ']' | '{' | '}' => out.extend(['[', c, ']']),
            c => out.push(c),
        }
    }
    out
}

impl Named {
    /// The rest as globs without alternatives (`{a,b}`), which few agents know. A path that stands
    /// as it is has one. `None` where the braces are nested: those are left to the caller.
    pub(crate) fn plain(&self) -> Option<Vec<String>> {
        if !self.glob || !self.rest.contains('{') {
            return Some(vec![self.rest.clone()]);
        }
        alternatives(&self.rest)
    }

    /// Whether it holds one of these characters, which an agent reads as a pattern, while it is
    /// none.
    pub(crate) fn is_odd(&self, special: &[char]) -> bool {
        !self.glob && self.rest.contains(special)
    }
}

/// `a{b,c}d` is `abd` and `acd`; more than a handful of them is nothing that a person wrote.
fn alternatives(text: &str) -> Option<Vec<String>> {
    const MOST: usize = 64;
    let mut done = Vec::new();
    let mut open = vec![text.to_owned()];
    while let Some(text) = open.pop() {
        let Some(start) = text.find('{') else {
            done.push(text);
            continue;
        };
        let end = start + text.get(start..)?.find('}')?;
        let inner = text.get(start + 1..end)?;
        if inner.contains('{') || done.len() + open.len() > MOST {
            return None;
        }
        for part in inner.split(',').rev() {
            open.push(format!("{}{part}{}", text.get(..start)?, text.get(end + 1..)?));
        }
    }
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{Os, PathText};

    fn named(text: &str) -> Named {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/w [1]".into(),
            agent: None,
            os: Os::Linux,
        };
        name(&PathText::parse(text).unwrap().expand(&context), &context)
    }

    #[test]
    fn a_path_is_told_from_its_home_or_workspace_so_that_it_serves_everybody() {
        let table = [
            ("~/.kube", Base::Home, ".kube", false),
            ("~", Base::Home, "", false),
            ("/srv/data/", Base::Root, "srv/data", false),
            ("/", Base::Root, "", false),
            ("infra/**", Base::Workspace, "infra", false),
            ("**/secrets/**", Base::Workspace, "**/secrets", true),
            ("~/*.pem", Base::Home, "*.pem", true),
            ("/home/adam/x", Base::Root, "home/adam/x", false),
        ];
        for (text, base, rest, glob) in table {
            assert_eq!(named(text), Named { base, rest: rest.to_owned(), glob }, "{text}");
        }
    }

    #[test]
    fn alternatives_are_written_out() {
        assert_eq!(named("x/{a,b}/*.{c,d}").plain().unwrap().len(), 4);
        assert_eq!(named("{a,b}").plain().unwrap(), ["a", "b"]);
        assert_eq!(named("a").plain().unwrap(), ["a"]);
    }
}
