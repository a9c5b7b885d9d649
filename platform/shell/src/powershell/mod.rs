//! PowerShell, Windows PowerShell 5.1 and PowerShell 7 alike: where they read a text differently,
//! that is said. What they call a syntax error runs nothing of the text: the whole is then unread.
//!
//! Its language is specified for version 3 only ("Windows PowerShell Language Specification"), so
//! that this follows what the two do; neither runs where Chaperone is built and tested.

mod cmdlets;
mod commands;
mod expressions;
mod names;
mod quoting;
mod statements;

use crate::walk::{Base, Input, Walker};
use crate::{Way, Word};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

/// Statements, parentheses, blocks and strings in one another.
const DEEPEST: usize = 40;

/// Reads a text and walks through it.
pub(crate) fn walk(walker: &mut Walker, text: &str, base: &Base) {
    let lower = text.replace('`', "").to_ascii_lowercase();
    if lower.contains("psdefaultparametervalues") {
        let why = "$PSDefaultParameterValues, which changes what a cmdlet is given";
        walker.unread(base.map(&(0..text.len())), why);
    }
    if lower.contains("alias:") {
        walker
            .unread(base.map(&(0..text.len())), "the drive of aliases, which say what names mean");
    }
    let outside = walker.ways();
    let mut reader = Reader {
        walker,
        text: text.into(),
        base: base.clone(),
        at: 0,
        depth: 0,
        failed: false,
        outside,
        functions: HashSet::new(),
        keeps_functions: !lower.contains("function:"),
        variables: Vec::new(),
        input: Input::Inherited,
        last_type: (0, String::new()),
    };
    reader.all();
}

struct Reader<'w> {
    walker: &'w mut Walker,
    /// The text that is being read, and where it stands.
    text: Rc<str>,
    base: Base,
    at: usize,
    depth: usize,
    /// After a failure it stands at the end of its text, so that every loop ends by itself.
    failed: bool,
    /// How many ways lead to the text as a whole.
    outside: usize,
    /// Functions that are defined by now, whatever comes; in lower case.
    functions: HashSet<String>,
    /// Nowhere is a function taken away or changed by its name.
    keeps_functions: bool,
    /// What was set by now and changes what a command means.
    variables: Vec<(String, Word)>,
    /// What the command that is read next is given.
    input: Input,
    /// The type that was read last: where it begins, and how it is written.
    last_type: (usize, String),
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    /// The character behind the next one.
    fn peek_second(&self) -> Option<char> {
        let mut rest = self.text.get(self.at..)?.chars();
        rest.next();
        rest.next()
    }

    fn starts_with(&self, text: &str) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn span(&self, range: Range<usize>) -> Range<usize> {
        self.base.map(&range)
    }

    fn unread(&mut self, from: usize, why: impl Into<String>) {
        let at = self.span(from..self.at.max(from));
        self.walker.unread(at, why);
    }

    /// The text is none that PowerShell takes, or none that can be followed.
    fn fail(&mut self, why: &str) {
        if !self.failed {
            let (start, end) = (self.at.min(self.text.len()), self.text.len());
            let early = if start == end { ", where the text ends" } else { "" };
            self.walker.unread(self.base.map(&(start..end)), format!("{why}{early}"));
        }
        self.failed = true;
        self.at = self.text.len();
    }

    fn unexpected(&mut self) {
        self.fail("syntax that the shell does not have");
    }

    fn expect(&mut self, text: &str) {
        if !self.take(text) {
            self.unexpected();
        }
    }

    /// Goes into something; nothing is read at the limit.
    fn nested(&mut self, read: impl FnOnce(&mut Self)) {
        if self.depth == DEEPEST {
            return self.fail("it is nested too deeply to be read");
        }
        self.depth += 1;
        read(self);
        self.depth -= 1;
    }

    fn within(&mut self, way: Way, read: impl FnOnce(&mut Self)) {
        self.walker.enter(way);
        read(self);
        self.walker.leave();
    }

    /// Reads another text, which stands at this base.
    fn elsewhere(&mut self, text: &str, base: Base, read: impl FnOnce(&mut Self)) {
        let outer = (std::mem::replace(&mut self.text, text.into()), self.at);
        let outer_base = std::mem::replace(&mut self.base, base);
        self.at = 0;
        read(self);
        (self.text, self.at) = outer;
        self.base = outer_base;
        if self.failed {
            self.at = self.text.len();
        }
    }

    /// Blanks, comments and joined lines.
    fn blanks(&mut self) {
        while let Some(next) = self.peek() {
            match (next, self.peek_second()) {
                ('#', _) => {
                    while self.peek().is_some_and(|next| !is_newline(next)) {
                        self.bump();
                    }
                }
                ('<', Some('#')) => {
                    let rest = self.text.get(self.at + 2..).unwrap_or_default();
                    match rest.find("#>") {
                        Some(length) => self.at += 2 + length + 2,
                        None => self.fail("a comment that is not closed"),
                    }
                }
                ('`', Some(joined)) if is_newline(joined) || is_blank(joined) => {
                    self.at += 1;
                    if !self.take("\r\n") {
                        self.bump();
                    }
                }
                _ if is_blank(next) => {
                    self.bump();
                }
                _ => return,
            }
        }
    }

    /// The same, and ends of lines.
    fn lines(&mut self) {
        self.blanks();
        while self.peek().is_some_and(is_newline) {
            self.bump();
            self.blanks();
        }
    }
}

/// A blank of PowerShell's, which ends of lines are not: U+2028 is one.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && !is_newline(c)
}

fn is_newline(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

/// Word processors' quotes are quotes.
fn is_single_quote(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}'..='\u{201b}')
}

fn is_double_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}'..='\u{201e}')
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2013}'..='\u{2015}')
}

/// Ends every word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '&' | '(' | ')' | ',' | ';' | '{' | '|' | '}')
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A variable's name can begin with this.
fn begins_variable(c: char) -> bool {
    is_name(c) || matches!(c, '$' | '?' | '^' | ':')
}
