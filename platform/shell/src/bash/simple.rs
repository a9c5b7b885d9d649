//! Simple commands, and the assignments in front of them: bash(1), "Simple Commands".

use super::parser::Parser;
use super::quoting::{Pieces, Until};
use super::syntax::{Assignment, Node, Piece, Simple, Word};

impl Parser<'_> {
    pub(super) fn simple(&mut self) -> Vec<Node> {
        let start = self.at;
        let mut command = Simple::default();
        let mut end = start;
        loop {
            self.step();
            self.blanks();
            if let Some(redirection) = self.redirection() {
                command.redirections.push(redirection);
                end = self.at;
                continue;
            }
            let may_assign = command.words.is_empty()
                || command.words.first().and_then(Word::bare).is_some_and(|name| {
                    matches!(name, "export" | "declare" | "typeset" | "local" | "readonly")
                });
            if may_assign && let Some(assignment) = self.assignment() {
                command.assignments.push(assignment);
                end = self.at;
                continue;
            }
            let word = self.word(Until::Operator);
            if word.at.is_empty() {
                break;
            }
            command.words.push(word);
            end = self.at;
            if self.peek() == Some(b'(') || self.starts_parameters(&command) {
                return self.definition(&command);
            }
        }
        command.at = start..end;
        if command.words.is_empty()
            && command.assignments.is_empty()
            && command.redirections.is_empty()
        {
            self.unexpected();
            return Vec::new();
        }
        vec![Node::Simple(command)]
    }

    /// Whether `()` stands behind the one word so far.
    pub(super) fn starts_parameters(&mut self, command: &Simple) -> bool {
        let only = command.words.len() == 1
            && command.assignments.is_empty()
            && command.redirections.is_empty();
        let before = self.at;
        self.blanks();
        let found = only && self.peek() == Some(b'(');
        if !found {
            self.at = before;
        }
        found
    }

    pub(super) fn definition(&mut self, command: &Simple) -> Vec<Node> {
        let Simple { assignments, words, redirections, at: _ } = command;
        let name = match words.as_slice() {
            [name] if assignments.is_empty() && redirections.is_empty() => name.bare(),
            _ => None,
        };
        self.blanks();
        let Some(name) = name.map(str::to_owned) else {
            self.unexpected();
            return Vec::new();
        };
        self.bump();
        self.blanks();
        if self.peek() != Some(b')') {
            self.unexpected();
            return Vec::new();
        }
        self.bump();
        self.function(name)
    }

    /// `NAME=value`, `NAME+=value`, `NAME[index]=value`, `NAME=(values)`.
    pub(super) fn assignment(&mut self) -> Option<Assignment> {
        let start = self.at;
        let bytes = self.text.as_bytes().get(start..).unwrap_or_default();
        let length =
            bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        if length == 0 || bytes.first().is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let before = self.mark();
        let name = self.slice(start, start + length).to_owned();
        self.at = start + length;
        let mut inside = Pieces::default();
        if self.peek() == Some(b'[') {
            self.bump();
            self.index(&mut inside);
        }
        if self.peek() == Some(b'+') {
            self.bump();
        }
        if self.peek() != Some(b'=') {
            let indexed = self.at > start + length;
            if indexed && (self.failed() || self.before() == Some(b']')) {
                // A word, of which blanks may be a part.
                self.fail("an index that belongs to no assignment");
                return None;
            }
            self.reset(before);
            return None;
        }
        self.bump();
        let from = self.at;
        let mut value = if self.peek() == Some(b'(') {
            self.bash_only("an array");
            self.bump();
            self.array()
        } else {
            self.word(Until::Operator)
        };
        // Nothing is split or becomes file names here: bash(1), "PARAMETERS".
        for piece in &mut value.pieces {
            if let Piece::Unknown { splits } = piece {
                *splits = false;
            }
        }
        value.pieces.extend(inside.0.into_iter().filter(|piece| matches!(piece, Piece::Run(_))));
        value.at = from..self.at;
        Some(Assignment { name, value })
    }

    pub(super) fn array(&mut self) -> Word {
        let mut value =
            Word { pieces: vec![Piece::Unknown { splits: false }], at: self.at..self.at };
        loop {
            self.step();
            self.newlines();
            let word = self.word(Until::Operator);
            if word.at.is_empty() {
                break;
            }
            value.pieces.extend(word.pieces);
        }
        if self.peek() == Some(b')') {
            self.bump();
        } else {
            self.unexpected();
        }
        value
    }
}
