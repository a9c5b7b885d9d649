//! What a credential is called: in policies, on the command line and in the keychain.

use std::fmt;

/// Characters of a name, at most.
const LONGEST: usize = 64;

/// The name of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a credential: a name is 1 to 64 lower-case letters, digits, `-`, \
     `_` and `.`, and begins with a letter or a digit, such as `anthropic` or `npm-publish`"
)]
pub struct BadName(String);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// Says what a name looks like.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let begins = bytes.first().copied().is_some_and(plain);
        let rest = bytes.iter().all(|byte| plain(*byte) || b"-_.".contains(byte));
        if begins && rest && bytes.len() <= LONGEST {
            return Ok(Self(text.to_owned()));
        }
        Err(BadName(text.chars().take(LONGEST).flat_map(char::escape_default).collect()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_word_that_no_path_and_no_terminal_takes_for_anything_else() {
        let long = "a".repeat(LONGEST);
        for (text, taken) in [
            ("anthropic", true),
            ("npm-publish_2.eu", true),
            ("1password", true),
            (long.as_str(), true),
            ("", false),
            (".", false),
            ("..", false),
            ("-a", false),
            ("a/b", false),
            ("Anthropic", false),
            ("schlüssel", false),
            ("a b", false),
            ("a\n", false),
            ("a\0", false),
            (&format!("{long}a"), false),
        ] {
            assert_eq!(Name::parse(text).is_ok(), taken, "{text:?}");
        }
        let said = Name::parse("\u{1b}[2J").unwrap_err().to_string();
        assert!(said.starts_with(r"`\u{1b}[2J` cannot be"), "{said}");
    }
}
