//! Patterns for the names of environment variables: letters with `*` for anything.

use std::fmt;

/// A name, or a pattern in which `*` stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(String);

impl NamePattern {
    /// Reads a pattern. Fails on an empty one and on characters that no variable's name has.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_*-.()".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err("a variable's name, with `*` for any run of characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// What can still be read of a text that is no pattern, with `*` for what cannot. It covers
    /// more than the text meant, so it may only restrict.
    pub(crate) fn salvage(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_*-.()".contains(c);
        let read: String = text.trim().chars().map(|c| if allowed(c) { c } else { '*' }).collect();
        Self::parse(&read).ok()
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names one variable, without `*`.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the name is matched exactly as it is spelled: how a pass matches.
    pub fn matches(&self, name: &str) -> bool {
        star_matches(self.0.as_bytes(), name.as_bytes())
    }

    /// Whether the name is matched, capitals or not: how a deny matches, since programs that read
    /// `npm_config_token` and `NPM_CONFIG_TOKEN` are the same programs.
    pub fn matches_any_case(&self, name: &str) -> bool {
        star_matches(self.0.to_ascii_uppercase().as_bytes(), name.to_ascii_uppercase().as_bytes())
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Greedy matching with one point to return to: linear but for the stars.
fn star_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            back = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        let table = [
            ("*TOKEN*", "GITHUB_TOKEN", true),
            ("*TOKEN*", "TOKEN", true),
            ("*TOKEN*", "TOKE", false),
            ("LC_*", "LC_ALL", true),
            ("LC_*", "XLC_ALL", false),
            ("*_A_*_B", "X_A_Y_A_Z_B", true),
            ("PATH", "PATH", true),
            ("PATH", "path", false),
            ("*", "", true),
        ];
        for (pattern, name, expected) in table {
            let pattern = NamePattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(name), expected, "{pattern} on {name}");
        }
        assert!(NamePattern::parse("*token*").unwrap().matches_any_case("NPM_TOKEN"));
        assert!(NamePattern::parse("").is_err());
        assert!(NamePattern::parse("A B").is_err());
    }
}
