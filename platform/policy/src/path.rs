//! Paths and globs as the policy names them. A pattern covers what it names and all beneath it.

use crate::{Context, Glob, Os};
use globset::GlobBuilder;
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

/// A path or glob as a layer writes it: absolute, from `~`, or from the workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathText(String);

impl PathText {
    /// Checks a path or glob.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.contains('\0') {
            return Err("a path or a glob");
        }
        if text.starts_with('~') && text != "~" && !text.starts_with("~/") {
            return Err("`~` or `~/…`: other people's homes are written in full");
        }
        if text.starts_with('$') || names_variable(text) {
            return Err("a path: variables are not expanded here, `~` is");
        }
        if text.split('/').any(|part| part == "..") {
            return Err("a path without `..`");
        }
        if has_glob(text) && build(text).is_err() {
            return Err("a glob: `*`, `?`, `**`, `[a-z]`, `{a,b}`, each bracket closed");
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks the path of one file outside of the workspace, whose content a session does not choose.
    ///
    /// # Errors
    /// Says what was expected.
    pub(crate) fn parse_file(text: &str) -> Result<Self, &'static str> {
        if has_glob(text) || !(text.starts_with("~/") || is_absolute(text, Os::Windows)) {
            return Err("a file's path, absolute or from `~`, no glob");
        }
        Self::parse(text)
    }

    /// What can still be read of a text that is no path: the part before what cannot be read.
    /// It covers more than the text meant, so it may only restrict.
    pub(crate) fn salvage(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('\0');
        let text = match text.strip_prefix("$HOME").or_else(|| text.strip_prefix("${HOME}")) {
            Some(rest) => format!("~{rest}"),
            None => text.to_owned(),
        };
        if !has_glob(&text) && text.split('/').any(|part| part == "..") {
            // Where it leads is plain; `expand` resolves it.
            return Self::parse(&text.replace("..", "")).ok().map(|_| Self(text));
        }
        let good: Vec<&str> = text
            .split('/')
            .take_while(|part| part.is_empty() || *part != ".." && Self::parse(part).is_ok())
            .collect();
        let read = good.join("/");
        // An empty rest of an absolute path would be the root of everything.
        let read = if read.is_empty() && text.starts_with('/') { "/".to_owned() } else { read };
        Self::parse(&read).ok()
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern that it stands for in a session: `~` is the home, a relative one begins at the
    /// workspace.
    pub fn expand(&self, context: &Context) -> PathPattern {
        let text = &self.0;
        let (base, rest) = if text == "~" {
            (Some(&context.home), "")
        } else if let Some(rest) = text.strip_prefix("~/") {
            (Some(&context.home), rest)
        } else if is_absolute(text, context.os) {
            (None, text.as_str())
        } else {
            (Some(&context.workspace), text.as_str())
        };
        PathPattern::new(base.map(PathBuf::as_path), rest)
    }
}

impl fmt::Display for PathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An absolute path or glob. It covers what it names and everything beneath that, but for what its
/// exceptions cover.
#[derive(Debug, Clone)]
pub struct PathPattern {
    text: String,
    literal: Option<PathBuf>,
    /// Compiled when it is first asked: most sessions never ask.
    glob: OnceLock<Option<Glob>>,
    exceptions: Vec<PathPattern>,
}

impl PathPattern {
    /// `rest` below `base`, or `rest` itself where it is absolute.
    fn new(base: Option<&Path>, rest: &str) -> Self {
        // `a/**` and `a` cover the same, and the second can be mounted.
        let mut rest = rest;
        loop {
            let shorter = rest.trim_end_matches('/');
            let shorter =
                if shorter == "**" { "" } else { shorter.strip_suffix("/**").unwrap_or(shorter) };
            if shorter.len() == rest.len() {
                break;
            }
            rest = shorter;
        }
        if has_glob(rest) {
            let text = match base {
                Some(base) => {
                    let base = base.to_string_lossy();
                    format!("{}/{}", globset::escape(base.trim_end_matches('/')), clean_text(rest))
                }
                None => clean_text(rest),
            };
            return Self { text, literal: None, glob: OnceLock::new(), exceptions: Vec::new() };
        }
        let path = match base {
            Some(base) => base.join(rest),
            None if rest.is_empty() => PathBuf::from("/"),
            None => PathBuf::from(rest),
        };
        Self::literal(clean(&path))
    }

    /// A pattern for one path, which is taken as it stands, glob characters included.
    pub fn literal(path: PathBuf) -> Self {
        Self {
            text: path.to_string_lossy().into_owned(),
            literal: Some(path),
            glob: OnceLock::new(),
            exceptions: Vec::new(),
        }
    }

    /// The same pattern, but for what these cover.
    #[must_use]
    pub(crate) fn but(self, exceptions: Vec<PathPattern>) -> Self {
        Self { exceptions, ..self }
    }

    /// The glob that covers what it does, without its exceptions; of one that is none after all,
    /// its text.
    ///
    /// # Errors
    /// The policy has checked its patterns, so this is a fault of ours.
    pub fn glob(&self) -> Result<Glob, String> {
        match &self.literal {
            Some(path) => Glob::new(&globset::escape(&path.to_string_lossy())),
            None => Glob::new(&self.text),
        }
    }

    /// What it does not cover, although its text does.
    pub fn exceptions(&self) -> &[PathPattern] {
        &self.exceptions
    }

    /// Whether it names something within what `wider` covers: it is the more precise of the two,
    /// or says the same.
    pub(crate) fn is_within(&self, wider: &Self) -> bool {
        // A wildcard of `wider` matches the wildcards that stand in its place here, and what it
        // names in letters must stand here in the same letters.
        let text = match &self.literal {
            Some(_) => Cow::Borrowed(self.text.as_str()),
            None => unescaped(&self.text),
        };
        match &wider.literal {
            // Most are compared in vain, which is told soonest by their letters.
            Some(path) => {
                text.starts_with(&wider.text) && Path::new(text.as_ref()).starts_with(path)
            }
            None => wider.covers(Path::new(text.as_ref())),
        }
    }

    /// The whole pattern as text; a glob of the `globset` crate where it is not literal, in which
    /// `*` and `?` do not cross a `/`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path, where the pattern is one and no glob.
    pub fn as_literal(&self) -> Option<&Path> {
        self.literal.as_deref()
    }

    /// Whether the pattern covers this absolute path: names it or one of its ancestors.
    /// A `..` in the path is resolved by its text.
    pub fn covers(&self, path: &Path) -> bool {
        let path = clean(path);
        let named = match &self.literal {
            Some(own) => path.starts_with(own),
            None => {
                match self.glob.get_or_init(|| Glob::new(&self.text).ok()) {
                    Some(glob) => glob.covers(&path),
                    // Checked when it was read; if it ever fails, it covers its fixed beginning.
                    None => path.starts_with(fixed_beginning(&self.text)),
                }
            }
        };
        named && !self.exceptions.iter().any(|exception| exception.covers(&path))
    }

    /// The longest folder above everything that the pattern can name: where a search begins.
    pub fn root(&self) -> PathBuf {
        match &self.literal {
            Some(path) => path.clone(),
            None => fixed_beginning(&self.text),
        }
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
            && self.literal.is_some() == other.literal.is_some()
            && self.exceptions == other.exceptions
    }
}

impl Eq for PathPattern {}

impl Hash for PathPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether it names a variable as Windows does: `%TEMP%`, unlike the `%20` of an address.
fn names_variable(text: &str) -> bool {
    let is_name = |part: &str| {
        part.len() > 2
            && part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_()".contains(c))
    };
    // What stands between two signs is every part but the first and the last.
    let parts: Vec<&str> = text.split('%').collect();
    parts.len() > 2 && parts[1..parts.len() - 1].iter().any(|part| is_name(part))
}

fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn build(text: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build()
}

fn is_absolute(text: &str, os: Os) -> bool {
    let drive = || {
        let bytes = text.as_bytes();
        bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
    };
    text.starts_with('/') || os == Os::Windows && (text.starts_with('\\') || drive())
}

/// The folders before the first part that holds a glob character.
fn fixed_beginning(text: &str) -> PathBuf {
    let parts: Vec<&str> = text.split('/').take_while(|part| !has_glob(part)).collect();
    PathBuf::from(if parts.len() <= 1 { "/".to_owned() } else { parts.join("/") })
}

/// A glob whose escaped characters stand for themselves: `globset::escape` puts each in brackets
/// of its own.
fn unescaped(glob: &str) -> Cow<'_, str> {
    if !glob.contains('[') {
        return Cow::Borrowed(glob);
    }
    let mut out = String::with_capacity(glob.len());
    let mut rest = glob;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut class = from.chars().skip(1);
        match (class.next(), class.next()) {
            (Some(only), Some(']')) => {
                out.push(only);
                rest = &from[2 + only.len_utf8()..];
            }
            _ => {
                out.push('[');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Without empty and `.` parts.
fn clean_text(text: &str) -> String {
    let parts: Vec<&str> =
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if text.starts_with('/') { format!("/{}", parts.join("/")) } else { parts.join("/") }
}

/// `.` left out and `..` resolved by the text alone: no link is followed.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/w [1]".into(),
            agent: None,
            os: Os::Linux,
        }
    }

    fn pattern(text: &str) -> PathPattern {
        PathText::parse(text).unwrap().expand(&context())
    }

    #[test]
    fn a_pattern_covers_what_it_names_and_what_lies_beneath() {
        let table = [
            ("~/.kube", "/home/ada/.kube", true),
            ("~/.kube", "/home/ada/.kube/config", true),
            ("~/.kube", "/home/ada/.kubectl", false),
            ("~/.kube", "/home/ada/x/../.kube/config", true),
            ("/srv/data/", "/srv/data/x", true),
            ("infra/**", "/home/ada/w [1]/infra", true),
            ("infra/**", "/home/ada/w [1]/infra/a/b", true),
            ("infra/**", "/home/ada/w [1]/src", false),
            ("**/secrets/**", "/home/ada/w [1]/a/b/secrets/key", true),
            ("**/secrets/**", "/home/ada/w [1]/secrets/key", true),
            ("**/secrets/**", "/home/ada/w [1]/secretsx/key", false),
            ("**/secrets/**", "/srv/secrets/key", false),
            ("*.pem", "/home/ada/w [1]/a.pem", true),
            ("*.pem", "/home/ada/w [1]/x/a.pem", false),
            ("**/*.pem", "/home/ada/w [1]/x/a.pem", true),
            ("/", "/etc/passwd", true),
            ("**", "/home/ada/w [1]/x", true),
            (".", "/home/ada/w [1]/x", true),
        ];
        for (text, path, expected) in table {
            assert_eq!(pattern(text).covers(Path::new(path)), expected, "{text} on {path}");
        }
    }

    #[test]
    fn a_folder_and_all_beneath_it_is_a_literal_path() {
        assert_eq!(pattern("infra/**").as_literal(), Some(Path::new("/home/ada/w [1]/infra")));
        assert_eq!(pattern("~").as_literal(), Some(Path::new("/home/ada")));
        assert_eq!(pattern("**/secrets/**").as_literal(), None);
        assert_eq!(pattern("/srv/*/x").root(), Path::new("/srv"));
    }

    #[test]
    fn a_pattern_is_within_another_that_covers_all_it_names() {
        let table = [
            ("~/.ssh", "~/.ssh", true),
            ("~/.ssh/known_hosts", "~/.ssh", true),
            ("~/.ssh/*.pub", "~/.ssh", true),
            ("~", "~/.ssh", false),
            ("~/.*", "~/.ssh", false),
            ("~/.ss[h]", "~/.ssh", true),
            (".env", "**/.env*", true),
            ("apps/web/.env.test", "**/.env*", true),
            ("**/.env.example", "**/.env*", true),
            ("apps/**/.env.test", "**/.env*", true),
            ("**/.env*", "**/.env*", true),
            ("**/.*", "**/.env*", false),
            ("**", "**/.env*", false),
            ("apps", "**/.env*", false),
            ("**/*", "**/.env*", false),
        ];
        for (text, wider, expected) in table {
            assert_eq!(pattern(text).is_within(&pattern(wider)), expected, "{text} in {wider}");
        }
    }

    #[test]
    fn a_pattern_does_not_cover_its_exceptions() {
        let but = pattern("**/.env*").but(vec![pattern("**/.env.example"), pattern("a/.env")]);
        for (path, expected) in [
            (".env", true),
            ("x/.env.local", true),
            ("x/.env.example", false),
            ("x/.env.example/y", false),
            ("a/.env", false),
            ("b/a/.env", true),
        ] {
            assert_eq!(but.covers(&context().workspace.join(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_and_its_beginning_can_still_be_read() {
        let table = [
            ("", None),
            ("~bob/x", None),
            ("../x", Some("../x")),
            ("~/.kube/[", Some("~/.kube")),
            ("/srv/{a/b", Some("/srv")),
            ("/srv/../etc", Some("/srv/../etc")),
            ("$HOME/.aws", Some("~/.aws")),
            ("%TEMP%/x", None),
            ("C:/Users/%USERNAME%/x", Some("C:/Users")),
        ];
        for (text, read) in table {
            assert!(PathText::parse(text).is_err(), "{text}");
            assert_eq!(PathText::salvage(text).as_ref().map(PathText::as_str), read, "{text}");
        }
    }
}
