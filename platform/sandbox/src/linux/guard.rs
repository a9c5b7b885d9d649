//! Which paths are guarded: pure, over paths without symbolic links.

use crate::enforce::LaunchError;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The plan's guarded paths. Each covers what it names and everything beneath.
#[derive(Debug)]
pub(super) struct Guard {
    /// Most are exact, and are looked up instead of matched.
    exact: BTreeSet<Vec<u8>>,
    globs: GlobSet,
}

impl Guard {
    pub(super) fn new(patterns: &[String]) -> Result<Self, LaunchError> {
        let mut exact = BTreeSet::new();
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            match literal(pattern) {
                Some(path) => {
                    exact.insert(path.into_bytes());
                }
                None => {
                    // As the policy reads them.
                    let glob = GlobBuilder::new(pattern)
                        .literal_separator(true)
                        .backslash_escape(false)
                        .build()
                        .map_err(|error| LaunchError::Invalid(error.to_string()))?;
                    globs.add(glob);
                }
            }
        }
        let globs = globs.build().map_err(|error| LaunchError::Invalid(error.to_string()))?;
        Ok(Self { exact, globs })
    }

    /// Whether a path, or a folder above it, is guarded.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        let ends = bytes.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        let mut prefixes = ends.map(|(end, _)| &bytes[..end]).chain([bytes]);
        prefixes.any(|prefix| {
            self.exact.contains(prefix)
                || (!self.globs.is_empty() && self.globs.is_match(OsStr::from_bytes(prefix)))
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
fn literal(pattern: &str) -> Option<String> {
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
        Guard::new(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
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
