//! Secrets that show by where they stand: after an option, an assignment or a header's name.
//!
//! A text is read as shells and JSON write it, flat: quotes end words, and a value in quotes goes
//! to the closing one. So what is quoted twice is read as well as what is not.

use super::Span;
use super::names::is_secret_name;

/// Which program's options are being read, for those whose short options hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Program {
    #[default]
    Other,
    Curl,
    MySql,
    SshPass,
    Docker,
    DockerLogin,
    Redis,
    OpenSsl,
}

/// What a word says about what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// The next word is a secret of this kind.
    Value(&'static str),
    /// The next word is `user:password`.
    AfterColon,
    /// The secret stands in this word, from this byte on.
    Here(usize),
    /// `user:password` stands in this word, from this byte on.
    HereAfterColon(usize),
}

impl Program {
    /// Takes a word of a command line, and says what follows it.
    pub(super) fn word(&mut self, word: &str) -> Next {
        let Some(option) = word.strip_prefix('-') else {
            self.name(word.rsplit(['/', '\\']).next().unwrap_or(word));
            if *self == Self::OpenSsl && word.len() > 5 && word.starts_with("pass:") {
                return Next::Here("pass:".len());
            }
            return Next::Nothing;
        };
        let attached = word.len() > 2 && !option.starts_with('-');
        match (*self, option.chars().next()) {
            (Self::MySql, Some('p')) if attached && !option.starts_with("port") => Next::Here(2),
            (Self::SshPass, Some('p')) if attached => Next::Here(2),
            (Self::SshPass | Self::DockerLogin, Some('p')) if option == "p" => {
                Next::Value("password")
            }
            (Self::Redis, Some('a')) if option == "a" => Next::Value("password"),
            (Self::Curl, _) if matches!(option, "u" | "U" | "-user" | "-proxy-user") => {
                Next::AfterColon
            }
            (Self::Curl, Some('u' | 'U')) if attached => Next::HereAfterColon(2),
            _ => {
                let name = option.trim_start_matches('-');
                if is_secret_name(name) && !name.starts_with("no-") {
                    Next::Value(kind(name))
                } else {
                    Next::Nothing
                }
            }
        }
    }

    fn name(&mut self, name: &str) {
        *self = match (name, *self) {
            ("curl", _) => Self::Curl,
            ("mysql" | "mysqldump" | "mysqladmin" | "mysqlimport" | "mariadb", _) => Self::MySql,
            ("sshpass", _) => Self::SshPass,
            ("docker" | "podman", _) => Self::Docker,
            ("login", Self::Docker) => Self::DockerLogin,
            ("redis-cli", _) => Self::Redis,
            ("openssl", _) => Self::OpenSsl,
            (_, program) => program,
        };
    }
}

/// The kind of secret that a name speaks of.
pub(super) fn kind(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    if name.contains("token") {
        "token"
    } else if name.contains("pass") || name.contains("pwd") {
        "password"
    } else if name.contains("key") {
        "key"
    } else {
        "secret"
    }
}

/// Finds the values of options, assignments, fields and headers that are secret by name.
pub(super) fn find(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut program = Program::default();
    let mut at = 0;
    // Where the word ends that was last read as one: it is not read again from its middle.
    let mut word_end = 0;
    while at < bytes.len() {
        if !is_name(bytes[at]) {
            if matches!(bytes[at], b';' | b'|' | b'&' | b'\n' | b'(') {
                program = Program::default();
            }
            at += 1;
            continue;
        }
        let start = at;
        let end = start + bytes[start..].iter().take_while(|byte| is_name(**byte)).count();
        at = end;
        let found = after_name(text, start, end).or_else(|| {
            if start < word_end {
                return None;
            }
            word_end = end + bare(&bytes[end..]);
            match program.word(&text[start..word_end]) {
                Next::Nothing => None,
                Next::Here(from) => non_empty(start + from, word_end, "password"),
                Next::HereAfterColon(from) => after_colon(text, start + from, word_end),
                Next::Value(kind) => {
                    let (start, end) = value(bytes, spaces(bytes, word_end)?)?;
                    (!text[start..end].starts_with('-')).then_some((start, end, kind))
                }
                Next::AfterColon => {
                    let (start, end) = value(bytes, spaces(bytes, word_end)?)?;
                    after_colon(text, start, end)
                }
            }
        });
        if let Some((start, end, kind)) = found
            && !is_reference(&text[start..end])
        {
            spans.push(Span { start, end, kind: kind.into() });
            at = end;
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

type Found = (usize, usize, &'static str);

/// What is secret after a name that an equals sign, a colon or a space follows.
fn after_name(text: &str, start: usize, end: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    let name = &text[start..end];
    let word = name.trim_start_matches('-');
    if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
        let (from, to) = value(bytes, spaces(bytes, end)?)?;
        let length = text[from..to].bytes().take_while(|b| is_token68(*b)).count();
        let digit = text[from..from + length].bytes().any(|byte| byte.is_ascii_digit());
        return if length >= 8 && digit { Some((from, from + length, "bearer")) } else { None };
    }
    let header = ["authorization", "proxy-authorization", "cookie", "set-cookie"]
        .iter()
        .any(|header| word.eq_ignore_ascii_case(header));
    if !header && !is_secret_name(word) {
        return None;
    }
    // `"name":` and `\"name\":` as JSON has them, also inside of a quoted text.
    let escape = usize::from(bytes.get(end) == Some(&b'\\'));
    let quoted = start > 0
        && matches!(bytes[start - 1], b'"' | b'\'')
        && bytes.get(end + escape) == Some(&bytes[start - 1]);
    let next = if quoted { end + escape + 1 } else { end };
    let separator = spaces(bytes, next).unwrap_or(next);
    match bytes.get(separator)? {
        b':' => {
            let after = spaces(bytes, separator + 1).unwrap_or(separator + 1);
            if quoted {
                let (start, end) = value(bytes, after)?;
                return non_empty(start, end, kind(word));
            }
            if header || (word.contains('-') && !name.starts_with('-')) {
                return header_value(text, after);
            }
            // Prose has colons too; a secret has a digit, or is longer than most words.
            let (start, end) = value(bytes, after)?;
            let likely =
                end - start >= 16 || text[start..end].bytes().any(|byte| byte.is_ascii_digit());
            if likely && after > separator + 1 { Some((start, end, kind(word))) } else { None }
        }
        b'=' => {
            let after =
                separator + bytes[separator..].iter().take_while(|byte| **byte == b'=').count();
            let spaced = spaces(bytes, after).unwrap_or(after);
            if separator == next && spaced == after {
                let (start, end) = value(bytes, after)?;
                return non_empty(start, end, kind(word));
            }
            // Spaces around the sign are an assignment only where the value is quoted.
            if !matches!(bytes.get(spaced)?, b'"' | b'\'') {
                return None;
            }
            let (start, end) = value(bytes, spaced)?;
            non_empty(start, end, kind(word))
        }
        _ => None,
    }
}

/// A header's value goes to the end of its line or quote; its scheme (`Bearer`) stays.
fn header_value(text: &str, start: usize) -> Option<Found> {
    let rest = &text[start..];
    let length = rest.find(['\n', '\r', '"', '\'', '`']).unwrap_or(rest.len());
    let value = rest[..length].trim_end();
    let scheme = match value.split_once(' ') {
        Some((scheme, token)) if !token.trim().is_empty() && scheme.len() < 12 => scheme.len() + 1,
        _ => 0,
    };
    non_empty(start + scheme, start + value.len(), "header")
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// The first byte after one or more blanks.
fn spaces(bytes: &[u8], at: usize) -> Option<usize> {
    let blanks = bytes.get(at..)?.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (blanks > 0).then_some(at + blanks)
}

/// The value that starts here: what its quotes enclose, or a bare word.
fn value(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let escaped = bytes.get(at) == Some(&b'\\');
    let open = at + usize::from(escaped);
    let quote = *bytes.get(open)?;
    if !matches!(quote, b'"' | b'\'') {
        let length = bare(&bytes[at..]);
        return (length > 0).then_some((at, at + length));
    }
    let start = open + 1;
    let mut end = start;
    while let Some(byte) = bytes.get(end) {
        if escaped && *byte == b'\\' {
            break;
        }
        if *byte == quote {
            break;
        }
        // Single quotes know no escapes.
        end += if *byte == b'\\' && quote == b'"' { 2 } else { 1 };
    }
    Some((start, end.min(bytes.len())))
}

/// How long the bare word is with which this begins.
fn bare(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| !byte.is_ascii_whitespace() && !b"\"'`;&|<>()\\".contains(byte))
        .count()
}

fn non_empty(start: usize, end: usize, kind: &'static str) -> Option<Found> {
    (start < end).then_some((start, end, kind))
}

fn after_colon(text: &str, start: usize, end: usize) -> Option<Found> {
    let colon = text[start..end].find(':')?;
    non_empty(start + colon + 1, end, "password")
}

/// Whether a value only names a variable (`$TOKEN`, `${TOKEN}`, `$(pass show x)`), or was
/// redacted before.
fn is_reference(value: &str) -> bool {
    if let Some(kind) = value.strip_prefix("[redacted:").and_then(|rest| rest.strip_suffix(']')) {
        return kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    }
    let Some(name) = value.strip_prefix('$') else { return false };
    name.is_empty()
        || name.starts_with(['{', '('])
        || name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
