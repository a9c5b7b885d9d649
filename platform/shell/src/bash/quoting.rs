//! The characters of a word: quotes, escapes, and where a word ends.

use super::parser::Parser;
use super::syntax::{Piece, Word};
use crate::Dialect;

/// Where the end of a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At blanks and operators.
    Operator,
    /// The same, but parentheses and bars belong to it: a pattern in `[[ … ]]`.
    Pattern,
}

/// Text under way, joined as long as it is quoted alike.
#[derive(Debug, Default)]
pub(super) struct Pieces(pub(super) Vec<Piece>);

impl Pieces {
    pub(super) fn text(&mut self, more: &str, quoted: bool) {
        match self.0.last_mut() {
            Some(Piece::Text { text, quoted: known }) if *known == quoted => text.push_str(more),
            _ => self.0.push(Piece::Text { text: more.to_owned(), quoted }),
        }
    }

    pub(super) fn unknown(&mut self, splits: bool) {
        self.0.push(Piece::Unknown { splits });
    }
}

/// Ends a word where nothing is quoted.
pub(super) fn is_meta(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>')
}

impl Parser<'_> {
    /// Reads a word; it has no pieces where there is none.
    pub(super) fn word(&mut self, until: Until) -> Word {
        let start = self.at;
        let mut out = Pieces::default();
        let mut parentheses = 0;
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'<' | b'>' if self.peek_at(1) == Some(b'(') && until == Until::Operator => {
                    self.process_substitution(&mut out);
                }
                b'(' if until == Until::Pattern => {
                    parentheses += 1;
                    self.bump();
                    out.text("(", false);
                }
                b')' if parentheses > 0 => {
                    parentheses -= 1;
                    self.bump();
                    out.text(")", false);
                }
                b'|' if until == Until::Pattern && self.peek_at(1) != Some(b'|') => {
                    self.bump();
                    out.text("|", false);
                }
                b' ' | b'\t' if parentheses > 0 => {
                    self.bump();
                    out.text(" ", false);
                }
                byte if is_meta(byte) => break,
                b'\\' => self.escape(&mut out),
                b'\'' => {
                    self.bump();
                    let text = self.until_quote();
                    out.text(text, true);
                }
                b'"' => {
                    self.bump();
                    self.double_quoted(&mut out);
                }
                b'$' => self.dollar(&mut out, false),
                b'`' => self.backquoted(&mut out, false),
                _ => {
                    let text = self.plain(|byte| {
                        is_meta(byte) || matches!(byte, b'\\' | b'\'' | b'"' | b'$' | b'`')
                    });
                    out.text(text, false);
                }
            }
        }
        if parentheses > 0 {
            self.fail("a parenthesis that is not closed");
        }
        let pieces = self.expand(out.0);
        if matches!(self.peek(), Some(b'<' | b'>'))
            && self.at > start
            && self.slice(start, self.at).bytes().all(|byte| byte.is_ascii_digit())
        {
            // It belongs to a redirection, which cannot stand here.
            self.fail("syntax that the shell does not have");
        }
        Word { pieces, at: start..self.at }
    }

    /// Everything up to a byte that ends it; at least one character.
    fn plain(&mut self, ends: impl Fn(u8) -> bool) -> &str {
        let start = self.at;
        self.bump();
        while self.peek().is_some_and(|byte| !ends(byte)) {
            self.bump();
        }
        self.slice(start, self.at)
    }

    /// `\x` outside of quotes.
    fn escape(&mut self, out: &mut Pieces) {
        self.bump();
        match self.peek() {
            None => out.text("\\", true),
            Some(b'\n') => self.bump(),
            Some(_) => {
                let start = self.at;
                self.bump();
                let text = self.slice(start, self.at).to_owned();
                out.text(&text, true);
            }
        }
    }

    /// The rest of `'…'`.
    pub(super) fn until_quote(&mut self) -> &str {
        let start = self.at;
        while let Some(byte) = self.peek() {
            if byte == b'\'' {
                let end = self.at;
                self.bump();
                return self.slice(start, end);
            }
            self.bump();
        }
        self.fail("a quote that is not closed");
        ""
    }

    /// The rest of `"…"`.
    pub(super) fn double_quoted(&mut self, out: &mut Pieces) {
        out.text("", true);
        while let Some(byte) = self.peek() {
            self.step();
            if byte == b'"' {
                self.bump();
                return;
            }
            self.in_double_quotes(byte, out, b'"');
        }
        self.fail("a quote that is not closed");
    }

    /// What stands between double quotes, or in a here-document whose delimiter is not quoted; a
    /// backslash takes its meaning from `quote`, too.
    pub(super) fn in_double_quotes(&mut self, byte: u8, out: &mut Pieces, quote: u8) {
        match byte {
            b'\\' => {
                self.bump();
                match self.peek() {
                    Some(b'\n') => self.bump(),
                    Some(next) if matches!(next, b'$' | b'`' | b'\\') || next == quote => {
                        self.bump();
                        out.text(char::from(next).encode_utf8(&mut [0; 4]), true);
                    }
                    _ => out.text("\\", true),
                }
            }
            b'$' => self.dollar(out, true),
            b'`' => self.backquoted(out, true),
            _ => {
                let text = self.plain(|byte| matches!(byte, b'\\' | b'$' | b'`') || byte == quote);
                out.text(text, true);
            }
        }
    }

    /// The rest of `$'…'`: bash(1), "QUOTING". `None` in place of what is no text.
    pub(super) fn ansi_quoted(&mut self, out: &mut Pieces) {
        let mut bytes: Vec<u8> = Vec::new();
        let mut ended = false; // at a NUL, which bash takes for the end of the text
        while let Some(byte) = self.peek() {
            self.step();
            let start = self.at;
            self.bump();
            let pushed: Vec<u8> = match byte {
                b'\'' => {
                    match String::from_utf8(bytes) {
                        Ok(text) => out.text(&text, true),
                        Err(_) => out.unknown(false),
                    }
                    return;
                }
                b'\\' => self.ansi_escape(),
                _ => self.slice(start, self.at).as_bytes().to_vec(),
            };
            ended |= pushed.contains(&0);
            if !ended {
                bytes.extend(pushed);
            }
        }
        self.fail("a quote that is not closed");
    }

    fn ansi_escape(&mut self) -> Vec<u8> {
        let Some(byte) = self.peek() else { return vec![b'\\'] };
        let start = self.at;
        self.bump();
        let one = match byte {
            b'a' => 7,
            b'b' => 8,
            b'e' | b'E' => 27,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'\'' | b'"' | b'?' => byte,
            b'0'..=b'7' => {
                self.at = start;
                #[expect(clippy::cast_possible_truncation, reason = "bash keeps eight bits")]
                let value = self.digits(8, 3).unwrap_or_default() as u8;
                value
            }
            b'x' => match self.digits(16, 2) {
                #[expect(clippy::cast_possible_truncation, reason = "two digits")]
                Some(value) => value as u8,
                None => return b"\\x".to_vec(),
            },
            b'u' | b'U' => {
                let most = if byte == b'u' { 4 } else { 8 };
                let character = self.digits(16, most).map(char::from_u32);
                return match character {
                    Some(Some(c)) => c.encode_utf8(&mut [0; 4]).as_bytes().to_vec(),
                    Some(None) => vec![0xff], // no text, so not known
                    None => vec![b'\\', byte],
                };
            }
            b'c' => match self.peek() {
                Some(control) if control.is_ascii() => {
                    self.bump();
                    control.to_ascii_uppercase() & 0x1f
                }
                _ => return vec![0xff],
            },
            _ => {
                return [b"\\", self.slice(start, self.at).as_bytes()].concat();
            }
        };
        vec![one]
    }

    fn digits(&mut self, base: u32, most: usize) -> Option<u32> {
        let start = self.at;
        let mut value = 0u32;
        while self.at - start < most
            && let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(base))
        {
            value = value.wrapping_mul(base).wrapping_add(digit);
            self.bump();
        }
        (self.at > start).then_some(value)
    }

    /// Tilde, braces and patterns, in what is not quoted.
    fn expand(&mut self, mut pieces: Vec<Piece>) -> Vec<Piece> {
        // What is quoted or not known stands as a letter: neither can be a part of a pattern.
        let mut bare = String::new();
        for piece in &pieces {
            match piece {
                Piece::Text { text, quoted: false } => bare.push_str(text),
                Piece::Text { .. } | Piece::Unknown { .. } => bare.push('q'),
                Piece::Run(_) => {}
            }
        }
        if bare != "[" && bare != "[[" && (is_pattern(&bare) || is_braces(&bare)) {
            pieces.push(Piece::Unknown { splits: true });
        }
        if self.dialect == Dialect::Zsh && bare.starts_with('=') && bare.len() > 1 {
            pieces.push(Piece::Unknown { splits: false });
        }
        if let Some(Piece::Text { text, quoted: false }) = pieces.first_mut()
            && text.starts_with('~')
        {
            let rest = text.find('/').map_or(String::new(), |slash| text[slash..].to_owned());
            *text = rest;
            pieces.insert(0, Piece::Unknown { splits: false });
        }
        pieces
    }
}

/// Whether it stands for several words: bash(1), "Brace Expansion".
fn is_braces(bare: &str) -> bool {
    let Some((_, rest)) = bare.split_once('{') else { return false };
    let Some((inside, _)) = rest.rsplit_once('}') else { return false };
    inside.contains(',') || inside.contains("..")
}

/// Whether file names could take its place: bash(1), "Pattern Matching".
fn is_pattern(bare: &str) -> bool {
    let bracket = bare.split_once('[').is_some_and(|(_, rest)| rest.contains(']'));
    bracket || bare.contains(['*', '?'])
}
