//! `if` and `for`: `if /?` and `for /?`.

use super::Reader;
use crate::walk::Base;
use crate::{Dialect, Way};
use std::ops::Range;

impl Reader<'_> {
    /// A word of `if` or `for`, up to a blank, `=` or an operator; quotes belong to it.
    fn token(&mut self) -> Range<usize> {
        while matches!(self.operator(), Some(' ' | '\t' | ',' | ';')) {
            self.at += 1;
        }
        let start = self.at;
        while self.at < self.chars.len()
            && !matches!(
                self.operator(),
                Some(' ' | '\t' | ',' | ';' | '=' | '\n' | '&' | '|' | '<' | '>' | '(' | ')')
            )
        {
            self.at += 1;
        }
        start..self.at
    }

    fn lower(&self, range: Range<usize>) -> String {
        self.value(range).to_ascii_lowercase()
    }

    /// `if [/i] [not] exist F | defined X | errorlevel N | A==B | A equ B`, a command, and `else`.
    pub(super) fn condition(&mut self) {
        let start = self.at;
        self.at += "if".len();
        if !self.test() {
            return self.stop(start, "`if` of cmd, and what is behind it");
        }
        self.branch();
    }

    /// What is asked; whether it could be followed.
    fn test(&mut self) -> bool {
        let word = loop {
            let word = self.token();
            let text = self.lower(word.clone());
            if text != "/i" && text != "not" {
                break text;
            }
        };
        if matches!(word.as_str(), "exist" | "defined" | "errorlevel" | "cmdextversion") {
            return !self.token().is_empty();
        }
        if word.is_empty() || word.starts_with('/') {
            return false;
        }
        self.blanks();
        if self.take("==") {
            while self.operator() == Some('=') {
                self.at += 1;
            }
            return !self.token().is_empty();
        }
        let comparison = self.token();
        let known = ["equ", "neq", "lss", "leq", "gtr", "geq"];
        known.contains(&self.lower(comparison).as_str()) && !self.token().is_empty()
    }

    /// What is done then, and what else.
    fn branch(&mut self) {
        self.separators();
        if self.operator() != Some('(') {
            return self.within(Way::Branch, None, Self::line);
        }
        self.within(Way::Branch, None, Self::block);
        let after = self.at;
        self.blanks();
        if self.keyword() == "else" {
            self.at += "else".len();
            return self.branch();
        }
        self.at = after;
    }

    /// `for [/d | /r [F] | /l | /f [OPTIONS]] %i in (SET) do COMMAND`.
    pub(super) fn repetition(&mut self) {
        let start = self.at;
        self.at += "for".len();
        let mut by_lines = false;
        let mut words = 0;
        loop {
            let word = self.token();
            let text = self.lower(word.clone());
            by_lines |= text == "/f";
            if text == "in" && words > 0 {
                break;
            }
            words += 1;
            // Options hold `=`, which is quoted; a path holds none.
            if word.is_empty() || words > 5 {
                return self.stop(start, "`for` of cmd, and what is behind it");
            }
        }
        self.separators();
        let set = self.parentheses();
        if let Some(set) = set.clone().filter(|_| by_lines) {
            self.lines_of(set);
        }
        self.separators();
        if set.is_none() || self.keyword() != "do" {
            return self.stop(start, "`for` of cmd, and what is behind it");
        }
        self.at += "do".len();
        self.within(Way::Loop, None, Self::line);
    }

    /// What stands in the parentheses of `for`.
    fn parentheses(&mut self) -> Option<Range<usize>> {
        if !self.take("(") {
            return None;
        }
        let start = self.at;
        while self.at < self.chars.len() && self.operator() != Some(')') {
            self.at += 1;
        }
        let set = start..self.at;
        self.take(")").then_some(set)
    }

    /// `for /f %i in ('COMMAND')` runs the command in a processor of its own; with `usebackq` it
    /// stands in backquotes.
    fn lines_of(&mut self, set: Range<usize>) {
        let whole = self.value(set.clone());
        let whole = whole.trim();
        let Some(quote) = whole.chars().next().filter(|own| matches!(own, '\'' | '`')) else {
            return;
        };
        let at = self.span(set);
        let inner = whole.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let Some(inner) = inner.filter(|inner| !inner.contains('\0')) else {
            self.walker.unread(at, "a text that is only known when it runs");
            return;
        };
        let base = Base::Whole(at);
        self.walker.within(Way::Substitution, |walker| walker.text(inner, Dialect::Cmd, base));
    }
}
