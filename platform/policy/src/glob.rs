//! One glob over absolute paths. Most are a folder and a name at any depth beneath it
//! (`/w/**/.env*`), which is told from the name alone; the rest is left to `globset`.

use globset::{GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A glob, as the policy reads it. It covers what it names and everything beneath.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    /// Names of these kinds, each at any depth beneath the one before, the first beneath this
    /// folder.
    AnyDepth(PathBuf, Vec<Name>),
    /// Anything else.
    Whole(GlobMatcher),
}

#[derive(Debug, Clone)]
enum Name {
    /// It begins with the one and ends with the other.
    Around(String, String),
    Exact(String),
    Like(GlobMatcher),
}

impl Glob {
    /// Compiles a glob.
    ///
    /// # Errors
    /// What is none is given back.
    pub fn new(text: &str) -> Result<Self, String> {
        let compile = |glob: &str| {
            let mut glob = GlobBuilder::new(glob);
            glob.literal_separator(true)
                .backslash_escape(false)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|_| text.to_owned())
        };
        let name = |name: &str| {
            Ok(match name.split_once('*') {
                None if !name.contains(SPECIAL) => Name::Exact(name.to_owned()),
                Some((start, end)) if !start.contains(SPECIAL) && !end.contains(SPECIAL) => {
                    Name::Around(start.to_owned(), end.to_owned())
                }
                Some(_) | None => Name::Like(compile(name)?),
            })
        };
        let mut parts = text.split("/**/");
        let folder = parts.next().unwrap_or_default();
        let names: Vec<&str> = parts.collect();
        let plain = |name: &&str| !name.contains('/') && *name != "**";
        let how = match !names.is_empty() && names.iter().all(plain) && !folder.contains(SPECIAL) {
            true => {
                let folder = PathBuf::from(if folder.is_empty() { "/" } else { folder });
                How::AnyDepth(folder, names.into_iter().map(name).collect::<Result<_, String>>()?)
            }
            false => How::Whole(compile(text)?),
        };
        Ok(Self { text: text.to_owned(), how })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names this entry of a folder; what is named above is not asked.
    pub fn names(&self, folder: &Path, name: &OsStr) -> bool {
        match &self.how {
            How::AnyDepth(top, names) => names.split_last().is_some_and(|(last, above)| {
                last.is(name)
                    && folder
                        .strip_prefix(top)
                        .is_ok_and(|beneath| one_after_another(above, beneath))
            }),
            How::Whole(matcher) => matcher.is_match(folder.join(name)),
        }
    }

    /// Whether it names this path, or a folder above it.
    pub fn covers(&self, path: &Path) -> bool {
        match &self.how {
            How::AnyDepth(top, names) => {
                path.strip_prefix(top).is_ok_and(|beneath| one_after_another(names, beneath))
            }
            How::Whole(matcher) => path.ancestors().any(|path| matcher.is_match(path)),
        }
    }
}

/// Whether parts of a path are of these kinds, in this order, with whatever between them.
fn one_after_another(names: &[Name], path: &Path) -> bool {
    let mut parts = path.components();
    names.iter().all(|name| parts.any(|part| name.is(part.as_os_str())))
}

/// What begins something other than itself.
const SPECIAL: [char; 6] = ['*', '?', '[', ']', '{', '}'];

impl Name {
    fn is(&self, name: &OsStr) -> bool {
        let bytes = name.as_encoded_bytes();
        match self {
            Self::Around(start, end) => {
                bytes.len() >= start.len() + end.len()
                    && bytes.starts_with(start.as_bytes())
                    && bytes.ends_with(end.as_bytes())
            }
            Self::Exact(exact) => bytes == exact.as_bytes(),
            Self::Like(matcher) => matcher.is_match(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_what_globset_says() {
        let patterns = [
            "/w/**/.env",
            "/w/**/.env*",
            "/w/**/*.pem",
            "/w/**/.env.{a,b}",
            "/w/**/a?c",
            "/w/*/x",
            "/**/.env",
            "/w/**/x/.env",
            "/w [[]1[]]/**/.env",
            "/w/a*/**/b",
            "/w/**/*.*",
            "/w/**/.env.*.a",
            "/w/**/a*a",
            "/w/**/a/**/.env*",
            "/w/**/a/**/b/**/*.c",
            "/w/**/a/**",
            "/w/**/**/a",
            "/w/**/*",
        ];
        let paths = [
            "/w/.env",
            "/w/a/.env",
            "/w/a/b/.env.local",
            "/w/a.pem",
            "/w/x/a.pem/y",
            "/w/.env.a",
            "/w/.env.ab",
            "/w/q/abc",
            "/w/a/x",
            "/w/a/b/x",
            "/.env",
            "/v/.env",
            "/w",
            "/w/x/.env",
            "/w [1]/a/.env",
            "/w/ab/c/b",
            "/w/.envx/y",
            "/wx/.env",
            "/w/.env.a.a",
            "/w/a",
            "/w/aa",
            "/w/a/b/c/.env",
            "/w/b/a/q/b/x.c",
            "/w/b/a/x.c",
            "/w/env",
        ];
        for pattern in patterns {
            let glob = Glob::new(pattern).unwrap();
            let mut plain = GlobBuilder::new(pattern);
            let plain = plain.literal_separator(true).backslash_escape(false).build();
            let plain = plain.unwrap().compile_matcher();
            for path in paths.map(Path::new) {
                let expected = path.ancestors().any(|path| plain.is_match(path));
                assert_eq!(glob.covers(path), expected, "{pattern} covers {path:?}");
                if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
                    let named = plain.is_match(path);
                    assert_eq!(glob.names(folder, name), named, "{pattern} names {path:?}");
                }
            }
        }
    }
}
