//! Which paths are guarded: pure, over paths without symbolic links.

use crate::enforce::LaunchError;
use crate::plan::GuardedBut;
use chaperone_policy::Glob;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The plan's guarded paths. Each covers what it names and everything beneath.
#[derive(Debug)]
pub(super) struct Guard {
    /// Most are exact, and are looked up instead of matched.
    exact: BTreeSet<Vec<u8>>,
    /// Each with its exceptions.
    globs: Vec<(Glob, Vec<Glob>)>,
}

impl Guard {
    pub(super) fn new<'g>(
        guarded: &[String],
        with_exceptions: impl IntoIterator<Item = &'g GuardedBut>,
    ) -> Result<Self, LaunchError> {
        let mut exact = BTreeSet::new();
        let mut globs = Vec::new();
        let glob = |text: &String| {
            Glob::new(text).map_err(|text| LaunchError::Invalid(format!("`{text}` is no glob")))
        };
        for pattern in guarded {
            match literal(pattern) {
                Some(path) => {
                    exact.insert(path.into_bytes());
                }
                None => globs.push((glob(pattern)?, Vec::new())),
            }
        }
        for GuardedBut { glob: guarded, but } in with_exceptions {
            globs.push((glob(guarded)?, but.iter().map(glob).collect::<Result<_, _>>()?));
        }
        Ok(Self { exact, globs })
    }

    /// Whether a path, or a folder above it, is guarded.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        let ends = bytes.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        let mut prefixes = ends.map(|(end, _)| &bytes[..end]).chain([bytes]);
        prefixes.any(|prefix| self.exact.contains(prefix))
            || self.globs.iter().any(|(glob, but)| {
                glob.covers(path) && !but.iter().any(|exception| exception.covers(path))
            })
    }

    /// The exact guarded paths beneath this one, relative to it.
    pub(super) fn beneath(&self, path: &Path) -> impl Iterator<Item = &Path> {
        let mut start = path.as_os_str().as_bytes().to_vec();
        start.push(b'/');
        let length = start.len();
        let from = start.clone();
        self.exact
            .range(from..)
            .take_while(move |exact| exact.starts_with(&start))
            .map(move |exact| Path::new(OsStr::from_bytes(&exact[length..])))
    }

    /// Whether what lies in a folder has to be looked at before the folder gets another name.
    pub(super) fn has_patterns(&self) -> bool {
        !self.globs.is_empty()
    }
}

/// The path that a pattern stands for, if it stands for one alone: `globset::escape` puts each
/// special character in brackets of its own.
pub(super) fn literal(pattern: &str) -> Option<String> {
    let mut path = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        match next {
            '[' => {
                path.push(rest.next()?);
                if rest.next()? != ']' {
                    return None;
                }
            }
            '*' | '?' | '{' | '}' | ']' => return None,
            other => path.push(other),
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(patterns: &[&str]) -> Guard {
        Guard::new(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>(), &[]).unwrap()
    }

    #[test]
    fn an_exception_is_free_and_guarded_where_another_pattern_names_it() {
        let but = GuardedBut { glob: "/w/**/.env*".into(), but: vec!["/w/**/.env.example".into()] };
        let guard = |patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            Guard::new(&patterns, std::slice::from_ref(&but)).unwrap()
        };
        let covers = |guard: &Guard, path| guard.covers(Path::new(path));
        let alone = guard(&[]);
        assert!(covers(&alone, "/w/a/.env") && covers(&alone, "/w/.env/x"));
        assert!(!covers(&alone, "/w/a/.env.example") && alone.has_patterns());
        assert!(covers(&guard(&["/w/**/*.example"]), "/w/a/.env.example"));
    }

    #[test]
    fn a_guarded_path_covers_what_is_beneath_it_and_nothing_beside_it() {
        let guard = guard(&["/w/.claude", "/w/a[*]b", "/w/**/.envrc"]);
        for covered in
            ["/w/.claude", "/w/.claude/settings.json", "/w/a*b", "/w/.envrc", "/w/x/y/.envrc/z"]
        {
            assert!(guard.covers(Path::new(covered)), "{covered}");
        }
        for free in ["/w", "/w/.claude2", "/w/.claud", "/w/axb", "/w/x/envrc", "/", "/v/.envrc"] {
            assert!(!guard.covers(Path::new(free)), "{free}");
        }
    }

    #[test]
    fn what_is_guarded_beneath_a_folder_is_listed() {
        let guard = guard(&["/w/.github/hooks", "/w/.github/workflows", "/w/.githooks", "/w/x/*"]);
        let beneath = |path| guard.beneath(Path::new(path)).collect::<Vec<_>>();
        assert_eq!(beneath("/w/.github"), [Path::new("hooks"), Path::new("workflows")]);
        assert_eq!(beneath("/w/.git"), [] as [&Path; 0]);
        assert_eq!(beneath("/w/.githooks"), [] as [&Path; 0]);
    }

    #[test]
    fn a_pattern_that_names_one_path_is_told_from_one_that_matches() {
        assert_eq!(literal("/w/[[]x[]]"), Some("/w/[x]".into()));
        for pattern in ["/w/*", "/w/?", "/w/[ab]", "/w/{a,b}", "/w/[!a]", "/w/["] {
            assert_eq!(literal(pattern), None, "{pattern}");
        }
    }
}
