//! The value of a credential, for as long as it must be in memory: it is overwritten when it is
//! dropped, and never shown.

use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a value, at least: a shorter one would be found in texts that do not hold it, and
/// guessed.
pub const SHORTEST: usize = 8;
/// Bytes of a value, at most: what Credential Manager takes (`CRED_MAX_CREDENTIAL_BLOB_SIZE`).
pub const LONGEST: usize = 2560;

/// The value of a credential.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

/// Why bytes are no value. None of them is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// There is nothing.
    #[error("no value was given: it is read from standard input, to its end")]
    Empty,
    /// There is too little.
    #[error("the value has fewer than {SHORTEST} characters, so it is not taken for a key")]
    Short,
    /// There is too much.
    #[error("the value has more than {LONGEST} bytes, which not every keychain keeps")]
    Long,
    /// It could not stand in a request's header.
    #[error(
        "the value holds something else than printable ASCII, or begins or ends with a blank, so \
         no request could carry it: give the bare key, on one line"
    )]
    Characters,
}

impl Secret {
    /// Takes a value as it was read, perhaps with the end of its line, of which nothing is left
    /// behind.
    ///
    /// # Errors
    /// Says what is wrong, and nothing of what was read.
    pub fn take(mut read: Vec<u8>) -> Result<Self, BadSecret> {
        let line = read.strip_suffix(b"\n").unwrap_or(&read);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let printable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let judged = match (line.len(), line) {
            (0, _) => Err(BadSecret::Empty),
            (..SHORTEST, _) => Err(BadSecret::Short),
            (length, _) if length > LONGEST => Err(BadSecret::Long),
            (_, [b' ', ..] | [.., b' ']) => Err(BadSecret::Characters),
            _ if !printable => Err(BadSecret::Characters),
            _ => Ok(Self(line.to_vec())),
        };
        read.zeroize();
        judged
    }

    /// The value itself: printable ASCII without blanks at its ends.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_that_a_header_can_carry() {
        let long = "k".repeat(LONGEST);
        let table: &[(&str, Result<&str, BadSecret>)] = &[
            ("sk-ant-1234", Ok("sk-ant-1234")),
            ("sk-ant-1234\n", Ok("sk-ant-1234")),
            ("sk-ant-1234\r\n", Ok("sk-ant-1234")),
            ("with a blank", Ok("with a blank")),
            (&long, Ok(&long)),
            ("", Err(BadSecret::Empty)),
            ("\n", Err(BadSecret::Empty)),
            ("short", Err(BadSecret::Short)),
            ("sk-ant-1234\n\n", Err(BadSecret::Characters)),
            (" sk-ant-1234", Err(BadSecret::Characters)),
            ("sk-ant-1234 \n", Err(BadSecret::Characters)),
            ("two\nlines of it", Err(BadSecret::Characters)),
            ("schlüssel-1234", Err(BadSecret::Characters)),
            ("nul\0nul\0nul", Err(BadSecret::Characters)),
        ];
        for (text, expected) in table {
            let taken = Secret::take(text.as_bytes().to_vec());
            let shown = taken.as_ref().map(|secret| secret.reveal());
            assert_eq!(shown, expected.as_ref().map(|own| own.as_bytes()), "{text:?}");
        }
        assert_eq!(Secret::take((long + "k").into_bytes()), Err(BadSecret::Long));
    }

    #[test]
    fn it_does_not_show_itself() {
        let secret = Secret::take(b"sk-ant-1234".to_vec()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
