//! A text under way: where the reader stands, what it may still spend, blanks and words of the grammar.

use super::quoting::is_meta;
use super::syntax::{HereDocument, Node, Piece};
use crate::Dialect;
use crate::walk::Base;
use std::ops::Range;

/// Compound commands and substitutions in one another.
const DEEPEST: usize = 40;
/// Steps for one text, those in texts within it included: many times what an honest one takes.
pub(super) const MOST_STEPS: u32 = 2_000_000;

const RESERVED: [&str; 20] = [
    "if", "then", "elif", "else", "fi", "case", "esac", "for", "select", "while", "until", "do",
    "done", "function", "{", "}", "!", "[[", "]]", "coproc",
];

/// Where reading stopped, and why.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) at: Range<usize>,
    pub(super) why: String,
}

/// A text under way. After a failure it stands at its end, so that every loop ends by itself and
/// what was read so far is kept.
#[derive(Debug)]
pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) dialect: Dialect,
    depth: usize,
    pub(super) steps: u32,
    pub(super) failure: Option<Failure>,
    /// What is only bash's, in a text for any `sh`.
    pub(super) foreign: Vec<Failure>,
    pub(super) documents: Vec<HereDocument>,
    /// Here-documents whose lines are still to come.
    pub(super) pending: Vec<usize>,
    /// The commands in the arithmetic that was read last.
    pub(super) ran: Vec<Piece>,
    /// Names are evaluated as numbers somewhere: their values may have commands in an index.
    pub(super) arithmetic: bool,
}

/// A place to go back to.
pub(super) struct Mark {
    at: usize,
    depth: usize,
    failure: Option<Failure>,
    foreign: usize,
    documents: usize,
    pending: usize,
    arithmetic: bool,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            depth: 0,
            steps: 0,
            failure: None,
            foreign: Vec::new(),
            documents: Vec::new(),
            pending: Vec::new(),
            ran: Vec::new(),
            arithmetic: false,
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// The byte in front.
    pub(super) fn before(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at.checked_sub(1)?).copied()
    }

    /// Goes one character on.
    pub(super) fn bump(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
        self.finish_character();
    }

    /// To the end of the character that is begun.
    pub(super) fn finish_character(&mut self) {
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    pub(super) fn fail(&mut self, why: &str) {
        if self.failure.is_none() {
            let (start, end) = (self.at.min(self.text.len()), self.text.len());
            let early = if start == end { ", where the text ends" } else { "" };
            self.failure = Some(Failure { at: start..end, why: format!("{why}{early}") });
        }
        self.at = self.text.len();
    }

    pub(super) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn at_its_limit(&self) -> bool {
        self.steps > MOST_STEPS || self.depth > DEEPEST
    }

    pub(super) fn step(&mut self) {
        self.steps = self.steps.saturating_add(1);
        if self.steps > MOST_STEPS {
            self.fail("it is too complicated to be read");
        }
    }

    /// Enters something; `false` at the limit.
    pub(super) fn deeper(&mut self) -> bool {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.fail("it is nested too deeply to be read");
        }
        self.depth <= DEEPEST
    }

    pub(super) fn shallower(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// What stands here is not read alike by every `sh`.
    pub(super) fn bash_only(&mut self, what: &str) {
        self.bash_only_at(self.at, what);
    }

    pub(super) fn bash_only_at(&mut self, start: usize, what: &str) {
        if self.dialect == Dialect::Sh {
            let why = format!("{what}, which not every sh reads alike");
            self.foreign.push(Failure { at: start..self.text.len(), why });
        }
    }

    pub(super) fn expect(&mut self, byte: u8) {
        self.blanks();
        if self.peek() == Some(byte) {
            self.bump();
        } else {
            self.unexpected();
        }
    }

    pub(super) fn unexpected(&mut self) {
        self.fail("syntax that the shell does not have");
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            depth: self.depth,
            failure: self.failure.clone(),
            foreign: self.foreign.len(),
            documents: self.documents.len(),
            pending: self.pending.len(),
            arithmetic: self.arithmetic,
        }
    }

    pub(super) fn reset(&mut self, mark: Mark) {
        let Mark { at, depth, failure, foreign, documents, pending, arithmetic } = mark;
        (self.at, self.depth, self.failure, self.arithmetic) = (at, depth, failure, arithmetic);
        self.foreign.truncate(foreign);
        self.documents.truncate(documents);
        self.pending.truncate(pending);
    }

    /// Reads another text with what is left of the limits.
    pub(super) fn elsewhere(
        &mut self,
        text: &str,
        base: Base,
        read: impl FnOnce(&mut Parser<'_>) -> Vec<Node>,
    ) -> Vec<Node> {
        if !self.deeper() {
            return Vec::new();
        }
        let mut inner = Parser::new(text, self.dialect);
        (inner.depth, inner.steps) = (self.depth, self.steps);
        inner.documents = std::mem::take(&mut self.documents);
        let nodes = read(&mut inner);
        let Parser { steps, failure, foreign, documents, arithmetic, .. } = inner;
        (self.steps, self.documents) = (steps, documents);
        self.arithmetic |= arithmetic;
        let outside = |Failure { at, why }| Failure { at: base.map(&at), why };
        self.foreign.extend(foreign.into_iter().map(outside));
        self.shallower();
        if let Some(failure) = failure
            && self.failure.is_none()
        {
            self.failure = Some(outside(failure));
            self.at = self.text.len();
        }
        vec![Node::Elsewhere(base, text.to_owned(), nodes)]
    }

    /// Blanks, comments and joined lines.
    pub(super) fn blanks(&mut self) {
        loop {
            match (self.peek(), self.peek_at(1)) {
                (Some(b' ' | b'\t'), _) => self.bump(),
                (Some(b'\\'), Some(b'\n')) => self.at += 2,
                (Some(b'#'), _) if self.before().is_none_or(is_meta) => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.bump();
                    }
                }
                _ => break,
            }
        }
    }

    pub(super) fn newlines(&mut self) {
        self.blanks();
        while self.peek() == Some(b'\n') {
            self.newline();
            self.blanks();
        }
    }

    pub(super) fn newline(&mut self) {
        self.bump();
        for index in std::mem::take(&mut self.pending) {
            self.here_document(index);
        }
    }

    /// The word that begins here as far as nothing of it is quoted, lines joined.
    pub(super) fn bare_word(&self) -> String {
        let mut out = String::new();
        let mut bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        loop {
            match bytes {
                [b'\\', b'\n', rest @ ..] => bytes = rest,
                [byte, rest @ ..] if !is_meta(*byte) && out.len() < 16 => {
                    out.push(char::from(*byte));
                    bytes = rest;
                }
                _ => return out,
            }
        }
    }

    pub(super) fn skip_bare_word(&mut self) {
        while let Some(byte) = self.peek() {
            match (byte, self.peek_at(1)) {
                (b'\\', Some(b'\n')) => self.at += 2,
                _ if is_meta(byte) => break,
                _ => self.bump(),
            }
        }
    }

    /// The word of the grammar that begins here.
    pub(super) fn reserved(&self) -> Option<&'static str> {
        let word = self.bare_word();
        RESERVED.into_iter().find(|reserved| *reserved == word)
    }

    pub(super) fn want(&mut self, word: &str) {
        self.newlines();
        if self.reserved() == Some(RESERVED.into_iter().find(|own| *own == word).unwrap_or("")) {
            self.skip_bare_word();
        } else {
            self.unexpected();
        }
    }
}

/// A name: bash(1), "DEFINITIONS".
pub(super) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
