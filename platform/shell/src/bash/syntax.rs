//! A text as a tree: only what is needed to tell which commands it runs, and how they are reached.

use crate::{MANY, ONE, Way};
use std::ops::Range;

/// A part of a text.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Simple(Simple),
    /// Commands that are reached in this way.
    Within(Way, Vec<Node>),
    /// A compound command with redirections of its own.
    Redirected(Vec<Node>, Vec<Redirect>),
    /// `name() { … }`.
    Function(String, Vec<Node>),
    /// Words that are expanded, and are no command.
    Expanded(Vec<Word>),
    /// Commands of another text: of a here-document, or between backquotes.
    Elsewhere(super::Base, String, Vec<Node>),
}

/// A command of words.
#[derive(Debug, Clone, Default)]
pub(super) struct Simple {
    pub(super) assignments: Vec<Assignment>,
    pub(super) words: Vec<Word>,
    pub(super) redirections: Vec<Redirect>,
    pub(super) at: Range<usize>,
}

/// `NAME=value`.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: Word,
}

/// A word, as the pieces that it is put together from.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text {
        text: String,
        quoted: bool,
    },
    /// What only running it would tell; `splits` where it can become several words, or none.
    Unknown {
        splits: bool,
    },
    /// Commands that are run on the way.
    Run(Vec<Node>),
}

impl Word {
    /// The text, where the word is nothing else and nothing of it is quoted.
    pub(super) fn bare(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }

    pub(super) fn splits(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Unknown { splits: true }))
    }

    /// The value, in which a NUL stands for what is not known.
    pub(super) fn value(&self) -> String {
        if self.splits() {
            return MANY.to_owned();
        }
        let mut value = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text { text, quoted: _ } => value.push_str(text),
                Piece::Unknown { splits: _ } => value.push('\0'),
                Piece::Run(_) => {}
            }
        }
        if value == MANY { ONE.to_owned() } else { value }
    }
}

/// What stands behind `<`, `>` and their relatives.
#[derive(Debug, Clone)]
pub(super) enum Redirect {
    File {
        writes: bool,
        input: bool,
        file: Word,
    },
    /// `2>&1`: no file.
    Duplicate(Word),
    /// The index of a here-document.
    Here(usize),
    /// `<<< word`.
    HereString(Word),
}

/// A here-document.
#[derive(Debug, Clone, Default)]
pub(super) struct HereDocument {
    pub(super) delimiter: String,
    pub(super) quoted: bool,
    pub(super) strips_tabs: bool,
    /// What it says, once its lines have been read.
    pub(super) body: Word,
    /// Its lines stand in the text as they are.
    pub(super) verbatim: bool,
}
