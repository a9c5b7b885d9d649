//! The tokens that a command rule begins with.

use serde::ser::{Serialize, Serializer};
use std::fmt;

/// Tokens, in one piece of memory: thousands of rules are read at every start. Each ends with a NUL,
/// which no argument of a command can hold (execve(2)).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandPrefix(Box<str>);

const END: char = '\0';

impl CommandPrefix {
    /// Whether a token can be one of a command: it is not empty and holds no NUL.
    pub fn is_token(text: &str) -> bool {
        !text.is_empty() && !text.contains(END)
    }

    /// The tokens, as far as they can be those of a command. What stands before the first that
    /// cannot is a shorter prefix, which covers more.
    pub fn new<T: AsRef<str>>(tokens: impl IntoIterator<Item = T, IntoIter: Clone>) -> Self {
        let tokens = tokens.into_iter().take_while(|token| Self::is_token(token.as_ref()));
        let length = tokens.clone().map(|token| token.as_ref().len() + 1).sum();
        let mut text = String::with_capacity(length);
        for token in tokens {
            text.push_str(token.as_ref());
            text.push(END);
        }
        Self(text.into_boxed_str())
    }

    /// The tokens.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let end = rest.bytes().position(|byte| byte == 0)?;
            let (token, after) = (rest.get(..end)?, rest.get(end + 1..)?);
            rest = after;
            Some(token)
        })
    }

    /// The program's name, or its whole path.
    pub fn first(&self) -> Option<&str> {
        self.iter().next()
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == 0).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens with something between them.
    pub fn join(&self, between: &str) -> String {
        let mut out = String::with_capacity(self.0.len());
        for (at, token) in self.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { between });
            out.push_str(token);
        }
        out
    }

    /// All tokens as one text, of which equal prefixes have equal ones.
    pub(crate) fn whole(&self) -> &str {
        &self.0
    }

    /// The same for the first `length` tokens; `None` where there are fewer.
    pub(crate) fn beginning(&self, length: usize) -> Option<&str> {
        let Some(last) = length.checked_sub(1) else { return Some("") };
        let (end, _) = self.0.match_indices(END).nth(last)?;
        self.0.get(..=end)
    }
}

impl fmt::Debug for CommandPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for CommandPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<const N: usize> PartialEq<[&str; N]> for CommandPrefix {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.iter().eq(other.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_tokens_that_a_command_can_have() {
        let prefix = CommandPrefix::new(["git", "push", "--force"]);
        assert_eq!(prefix, ["git", "push", "--force"]);
        assert_eq!((prefix.len(), prefix.first()), (3, Some("git")));
        assert_eq!(prefix.join(" "), "git push --force");
        assert_eq!(format!("{prefix:?}"), r#"["git", "push", "--force"]"#);
        assert_eq!(CommandPrefix::new(["git", "", "push"]), ["git"]);
        assert_eq!(CommandPrefix::new(["a\0b"]), CommandPrefix::default());
        assert_ne!(CommandPrefix::new(["ab"]), CommandPrefix::new(["a", "b"]));
    }

    #[test]
    fn the_beginning_of_a_prefix_is_that_of_the_shorter_one() {
        let prefix = CommandPrefix::new(["git", "push"]);
        assert_eq!(prefix.beginning(0), Some(CommandPrefix::default().whole()));
        assert_eq!(prefix.beginning(1), Some(CommandPrefix::new(["git"]).whole()));
        assert_eq!(prefix.beginning(2), Some(prefix.whole()));
        assert_eq!(prefix.beginning(3), None);
    }
}
