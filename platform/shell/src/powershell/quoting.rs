//! Strings, here-strings, variables and what is escaped.

use super::{
    Reader, begins_variable, ends_word, is_blank, is_double_quote, is_name, is_newline,
    is_single_quote,
};
use crate::walk::Base;
use crate::{MANY, Way, Word};

impl Reader<'_> {
    /// What stands behind an opening `'`, up to its end.
    pub(super) fn single_quoted(&mut self, out: &mut String) {
        while let Some(next) = self.bump() {
            if is_single_quote(next) {
                match self.peek().filter(|next| is_single_quote(*next)) {
                    Some(doubled) => {
                        self.bump();
                        out.push(doubled);
                    }
                    None => return,
                }
            } else {
                out.push(next);
            }
        }
        self.fail("a quote that is not closed");
    }

    /// What stands behind an opening `"`, up to its end; what it runs on the way is walked through.
    pub(super) fn double_quoted(&mut self, out: &mut String) {
        while let Some(next) = self.peek() {
            if is_double_quote(next) {
                self.bump();
                match self.peek().filter(|next| is_double_quote(*next)) {
                    Some(doubled) => {
                        self.bump();
                        out.push(doubled);
                    }
                    None => return,
                }
            } else {
                self.expandable(out, false);
            }
        }
        self.fail("a quote that is not closed");
    }

    /// One character where variables are put in.
    fn expandable(&mut self, out: &mut String, here: bool) {
        match self.peek() {
            Some('$') => self.dollar(out, here),
            Some('`') => self.escaped(out),
            _ => out.extend(self.bump()),
        }
    }

    /// A backtick and what it escapes.
    fn escaped(&mut self, out: &mut String) {
        self.bump();
        match self.bump() {
            None => out.push('`'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            // An escape in PowerShell 7 and the letter itself in Windows PowerShell, or no character
            // that an argument can hold.
            Some('e' | 'u' | '0') => out.push('\0'),
            Some(other) => out.push(other),
        }
    }

    /// `$x`, `${x}` or `$( … )` in a string or a bare word.
    fn dollar(&mut self, out: &mut String, here: bool) {
        match self.peek_second() {
            Some('(') => {
                self.at += 2;
                out.push('\0');
                self.nested(|this| this.counted(here));
            }
            Some('{') => {
                self.variable();
                out.push('\0');
            }
            Some(next) if begins_variable(next) => {
                self.variable();
                out.push('\0');
            }
            _ => out.extend(self.bump()),
        }
    }

    /// What stands in `$( … )` in a string. Its end is found by counting parentheses, whatever is
    /// quoted; outside here-strings, `""` stands for one quote. Only then is it read.
    fn counted(&mut self, here: bool) {
        let (start, mut inner, mut exact, mut open) = (self.at, String::new(), true, 1);
        loop {
            let Some(next) = self.bump() else {
                return self.fail("a parenthesis that is not closed");
            };
            let doubled = self.peek().filter(|next| is_double_quote(*next));
            match (next, doubled) {
                ('(', _) => open += 1,
                (')', _) => open -= 1,
                (quote, Some(doubled)) if !here && (quote == '`' || is_double_quote(quote)) => {
                    self.bump();
                    inner.push(doubled);
                    exact = false;
                    continue;
                }
                _ => {}
            }
            if open == 0 {
                break;
            }
            inner.push(next);
        }
        let end = self.at - 1;
        let within = if exact { Base::Exact(start) } else { Base::Whole(start..end) };
        let base = self.base.of(&within);
        self.elsewhere(&inner, base, |this| {
            this.within(Way::Substitution, |this| this.all());
        });
    }

    /// A variable, from its `$` or `@` on; its name.
    pub(super) fn variable(&mut self) -> String {
        self.bump();
        let start = self.at;
        if self.take("{") {
            let mut name = String::new();
            loop {
                match self.peek() {
                    Some('}') => {
                        self.bump();
                        return name;
                    }
                    Some('`') => self.escaped(&mut name),
                    Some('{') | None => {
                        self.unexpected();
                        return name;
                    }
                    Some(_) => name.extend(self.bump()),
                }
            }
        }
        if self.bump().is_some_and(|first| !matches!(first, '$' | '?' | '^')) {
            while let Some(next) = self.peek() {
                let more = is_name(next)
                    || next == '?'
                    || (next == ':' && self.peek_second() != Some(':'));
                if !more {
                    break;
                }
                self.bump();
            }
        }
        self.text.get(start..self.at).unwrap_or_default().to_owned()
    }

    /// A bare word: quotes may stand in its midst.
    pub(super) fn bare(&mut self, out: &mut String) {
        while let Some(next) = self.peek() {
            if ends_word(next) {
                break;
            }
            if is_single_quote(next) {
                self.bump();
                self.single_quoted(out);
            } else if is_double_quote(next) {
                self.bump();
                self.nested(|this| this.double_quoted(out));
            } else {
                self.expandable(out, false);
            }
        }
    }

    /// A string that begins here, if one does; its value.
    pub(super) fn string(&mut self) -> Option<String> {
        let mut value = String::new();
        match (self.peek()?, self.peek_second()) {
            (quote, _) if is_single_quote(quote) => {
                self.bump();
                self.single_quoted(&mut value);
            }
            (quote, _) if is_double_quote(quote) => {
                self.bump();
                self.nested(|this| this.double_quoted(&mut value));
            }
            ('@', Some(quote)) if is_single_quote(quote) => {
                self.here_string(&mut value, is_single_quote, false);
            }
            ('@', Some(quote)) if is_double_quote(quote) => {
                self.nested(|this| this.here_string(&mut value, is_double_quote, true));
            }
            _ => return None,
        }
        Some(value)
    }

    /// `@'`, the rest of the line empty, and lines up to one that begins with `'@`.
    fn here_string(&mut self, out: &mut String, is_quote: fn(char) -> bool, expands: bool) {
        self.bump();
        self.bump();
        while self.peek().is_some_and(is_blank) {
            self.bump();
        }
        if !self.peek().is_some_and(is_newline) {
            return self.fail("a here-string that does not begin on a line of its own");
        }
        if !self.take("\r\n") {
            self.bump();
        }
        // In front of the end a line ends, which is not part of the value.
        let mut before = 0;
        loop {
            if self.peek().is_some_and(is_quote) && self.peek_second() == Some('@') {
                self.bump();
                self.bump();
                out.truncate(before);
                return;
            }
            loop {
                match self.peek() {
                    None => return self.fail("a here-string without its end"),
                    Some(next) if is_newline(next) => {
                        before = out.len();
                        let line = if self.starts_with("\r\n") { "\r\n" } else { "\n" };
                        self.at += line.len();
                        out.push_str(line);
                        break;
                    }
                    Some(_) if expands => self.expandable(out, true),
                    Some(_) => out.extend(self.bump()),
                }
            }
        }
    }

    /// A word that stands from here to where the reader is.
    pub(super) fn word(&self, value: String, from: usize) -> Word {
        let written = self.text.get(from..self.at).unwrap_or_default().to_owned();
        let inside = written.find(&value).filter(|at| !value.is_empty() && *at <= 4);
        let rest = inside.and_then(|at| written.get(at + value.len()..));
        // Nothing but quotes around it.
        let is_quote =
            |c: char| is_single_quote(c) || is_double_quote(c) || c == '@' || is_newline(c);
        let around = inside.and_then(|at| written.get(..at)).zip(rest);
        let plain =
            around.is_some_and(|(before, after)| before.chars().chain(after.chars()).all(is_quote));
        let verbatim = match (&self.base, inside) {
            (Base::Exact(start), Some(inside)) if plain => Some(start + from + inside),
            _ => None,
        };
        Word { value, written, at: self.span(from..self.at), verbatim }
    }

    /// A word of which nothing is known, not even whether it is one.
    pub(super) fn many(&self, from: usize) -> Word {
        Word { verbatim: None, ..self.word(MANY.to_owned(), from) }
    }
}
