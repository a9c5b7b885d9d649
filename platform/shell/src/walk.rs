//! Collects what is found, follows programs that start others, and keeps the limits.

use crate::wrappers::{self, Starts};
use crate::{
    Dialect, Found, LONGEST, Reading, Redirection, Unread, Way, What, Word, bash, cmd, powershell,
};
use std::ops::Range;

/// Texts in texts: `bash -c "bash -c '…'"`.
const DEEPEST: usize = 8;
/// More commands than a person reads.
const MOST: usize = 1000;

/// Where a text stands in the one that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// As it is, from here on.
    Exact(usize),
    /// Somewhere in here, with quotes or escapes.
    Whole(Range<usize>),
}

impl Base {
    pub(crate) fn map(&self, inner: &Range<usize>) -> Range<usize> {
        match self {
            Self::Exact(start) => start + inner.start..start + inner.end,
            Self::Whole(whole) => whole.clone(),
        }
    }

    /// The base of what stands at this base of the text.
    pub(crate) fn of(&self, inner: &Self) -> Self {
        match (self, inner) {
            (Self::Exact(start), Self::Exact(more)) => Self::Exact(start + more),
            (_, Self::Whole(inner)) => Self::Whole(self.map(inner)),
            (Self::Whole(whole), Self::Exact(_)) => Self::Whole(whole.clone()),
        }
    }
}

/// What a command reads from its standard input.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// Whatever the whole text has.
    Inherited,
    /// Only running it would tell.
    Unknown,
    /// This text.
    Text(Word),
}

/// A command as a dialect has read it.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) words: Vec<Word>,
    pub(crate) variables: Vec<(String, Word)>,
    pub(crate) redirections: Vec<Redirection>,
    pub(crate) at: Range<usize>,
    pub(crate) input: Input,
}

#[derive(Debug)]
pub(crate) struct Walker {
    reading: Reading,
    ways: Vec<Way>,
    depth: usize,
}

impl Walker {
    pub(crate) fn new(text: &str) -> Self {
        let reading = Reading { text: text.to_owned(), ..Reading::default() };
        Self { reading, ways: Vec::new(), depth: 0 }
    }

    pub(crate) fn finish(self) -> Reading {
        let mut reading = self.reading;
        let whole = reading.text.len();
        for Unread { at, .. } in &mut reading.unread {
            *at = at.start.min(whole)..at.end.min(whole);
        }
        reading.unread.dedup();
        reading
    }

    pub(crate) fn unread(&mut self, at: Range<usize>, why: impl Into<String>) {
        if self.reading.unread.len() < MOST {
            self.reading.unread.push(Unread { at, why: why.into() });
        }
    }

    /// What the walk finds is reached in this way.
    pub(crate) fn within(&mut self, way: Way, walk: impl FnOnce(&mut Self)) {
        self.enter(way);
        walk(self);
        self.leave();
    }

    /// From here on to [`leave`](Self::leave), what is found is reached in this way.
    pub(crate) fn enter(&mut self, way: Way) {
        self.ways.push(way);
    }

    pub(crate) fn leave(&mut self) {
        self.ways.pop();
    }

    /// How many ways lead here.
    pub(crate) fn ways(&self) -> usize {
        self.ways.len()
    }

    /// A text of some shell, which stands at this base of the one that was given.
    pub(crate) fn text(&mut self, text: &str, dialect: Dialect, base: Base) {
        let at = base.map(&(0..text.len()));
        if text.len() > LONGEST {
            self.unread(at, format!("it is longer than {LONGEST} bytes"));
            return;
        }
        if text.contains('\0') {
            self.unread(at, "a text with a NUL in it");
            return;
        }
        if self.depth == DEEPEST {
            self.unread(at, "it is nested too deeply to be read");
            return;
        }
        self.depth += 1;
        match dialect {
            Dialect::Sh | Dialect::Bash | Dialect::Zsh => bash::walk(self, text, dialect, &base),
            Dialect::PowerShell => powershell::walk(self, text, &base),
            Dialect::Cmd => cmd::walk(self, text, &base),
        }
        self.depth -= 1;
    }

    /// The command that is given as it is: what it starts beyond itself.
    pub(crate) fn argv(&mut self, argv: &[&str]) {
        let mut start = 0;
        let words: Vec<Word> = argv
            .iter()
            .map(|text| {
                let at = start..start + text.len();
                start = at.end + 1;
                let value = text.replace('\0', "\u{fffd}");
                Word { value, written: (*text).to_owned(), verbatim: Some(at.start), at }
            })
            .collect();
        let command = Command {
            at: 0..start.saturating_sub(1),
            words,
            variables: Vec::new(),
            redirections: Vec::new(),
            input: Input::Inherited,
        };
        self.beyond(&command);
    }

    pub(crate) fn found(&mut self, what: What, command: &Command) {
        if self.reading.commands.len() == MOST {
            self.unread(command.at.clone(), format!("there are more than {MOST} commands"));
            return;
        }
        if self.reading.commands.len() > MOST {
            return;
        }
        let Command { words, variables, redirections, at, input: _ } = command.clone();
        self.reading.commands.push(Found {
            what,
            words,
            variables,
            redirections,
            at,
            reached: self.ways.clone(),
        });
    }

    /// A program, with what it starts in turn.
    pub(crate) fn program(&mut self, command: &Command) {
        let Some(name) = command.words.first() else { return };
        if wrappers::base_name(name).is_none() {
            self.unread(name.at.clone(), "a name that is only known when it runs");
        }
        self.found(What::Program, command);
        self.beyond(command);
    }

    /// What a program starts because its arguments say so.
    pub(crate) fn beyond(&mut self, command: &Command) {
        if self.ways.len() > 64 {
            self.unread(command.at.clone(), "it is nested too deeply to be read");
            return;
        }
        let Command { words, variables, redirections: _, at, input } = command;
        let Some(name) = words.first().and_then(wrappers::base_name) else { return };
        for starts in wrappers::starts(name, words) {
            match starts {
                Starts::Command(inner) => {
                    let at = match (inner.first(), inner.last()) {
                        (Some(first), Some(last)) => first.at.start..last.at.end.max(first.at.end),
                        _ => at.clone(),
                    };
                    let inner = Command {
                        words: inner,
                        variables: variables.clone(),
                        redirections: Vec::new(),
                        at,
                        input: input.clone(),
                    };
                    let way = Way::Wrapper(name.to_owned());
                    self.within(way, |this| this.program(&inner));
                }
                Starts::Text(dialect, text) => {
                    let way = Way::Shell(name.to_owned());
                    self.within(way, |this| this.word(&text, dialect));
                }
                Starts::Input(dialect) => match input {
                    Input::Text(text) => {
                        let way = Way::Shell(name.to_owned());
                        self.within(way, |this| this.word(text, dialect));
                    }
                    Input::Unknown => self.unread(
                        at.clone(),
                        "a shell that reads commands which are only known when it runs",
                    ),
                    Input::Inherited if self.depth > 0 => self
                        .unread(at.clone(), "a shell that reads its commands from somewhere else"),
                    // A shell as it is started on a terminal: there is no text at all.
                    Input::Inherited => {}
                },
                Starts::Unread(at, why) => self.unread(at, why),
            }
        }
    }

    /// A word whose value is a text of some shell.
    pub(crate) fn word(&mut self, word: &Word, dialect: Dialect) {
        match word.known() {
            Some(text) => {
                let base = match word.verbatim {
                    Some(start) => Base::Exact(start),
                    None => Base::Whole(word.at.clone()),
                };
                self.text(text, dialect, base);
            }
            None => self.unread(word.at.clone(), "a text that is only known when it runs"),
        }
    }
}
