//! The command processor of Windows as `cmd /c TEXT` reads: `cmd /?`, `if /?`, `for /?`, `start /?`.
//! Its grammar is written down nowhere, so that what is not plain is told as unread.
//!
//! Variables are put in before a line is read, so that `%X%` can hold commands of its own: nobody
//! can tell what a line with one starts.

mod chars;
mod control;
mod internal;
mod words;

use crate::walk::{Base, Command, Input, Walker};
use crate::wrappers::{base_name, windows_name};
use crate::{Redirection, Way, What, Word};
use chars::Char;
use internal::{Named, named};
use std::ops::Range;

/// Blocks, conditions and loops in one another.
const DEEPEST: usize = 40;

/// Reads a text and walks through it.
pub(crate) fn walk(walker: &mut Walker, text: &str, base: &Base) {
    let (chars, notes) = chars::read(text);
    for (at, why) in notes {
        walker.unread(base.map(&at), why);
    }
    let outside = walker.ways();
    let mut reader = Reader {
        walker,
        base,
        text,
        chars,
        at: 0,
        outside,
        open: 0,
        variables: Vec::new(),
        input: Input::Inherited,
    };
    reader.list();
    if reader.at < reader.chars.len() {
        reader.unexpected();
    }
}

struct Reader<'w> {
    walker: &'w mut Walker,
    base: &'w Base,
    text: &'w str,
    chars: Vec<Char>,
    at: usize,
    /// How many ways lead to the text as a whole.
    outside: usize,
    /// Blocks that are open.
    open: usize,
    /// What was set by now and changes what a command means.
    variables: Vec<(String, Word)>,
    input: Input,
}

impl Reader<'_> {
    fn span(&self, range: Range<usize>) -> Range<usize> {
        self.base.map(&chars::span(self.chars.get(range).unwrap_or_default(), self.text.len()))
    }

    /// What stands from here to the end is not read.
    fn stop(&mut self, from: usize, why: &str) {
        let at = self.span(from..self.chars.len());
        self.walker.unread(at, why);
        self.at = self.chars.len();
    }

    fn unexpected(&mut self) {
        self.stop(self.at, "syntax that the shell does not have");
    }

    /// The next character, where it is an operator.
    fn operator(&self) -> Option<char> {
        self.operator_at(self.at)
    }

    fn operator_at(&self, at: usize) -> Option<char> {
        self.chars.get(at).filter(|own| own.bare).map(|own| own.value)
    }

    fn take(&mut self, operator: &str) -> bool {
        let there = operator
            .chars()
            .enumerate()
            .all(|(offset, wanted)| self.operator_at(self.at + offset) == Some(wanted));
        if there {
            self.at += operator.len();
        }
        there
    }

    fn blanks(&mut self) {
        while matches!(self.operator(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// Blanks, and what counts as one in front of a command.
    fn separators(&mut self) {
        while matches!(self.operator(), Some(' ' | '\t' | ',' | ';' | '=')) {
            self.at += 1;
        }
    }

    /// Whether a command ends here.
    fn ends(&self) -> bool {
        match self.operator() {
            Some('&' | '|' | '\n') => true,
            Some(')') => self.open > 0,
            Some(_) => false,
            None => self.at >= self.chars.len(),
        }
    }

    /// Commands up to the end of the text, or to the parenthesis that ends their block.
    fn list(&mut self) {
        loop {
            self.separators();
            while self.take("\n") {
                self.separators();
            }
            if self.at >= self.chars.len() || (self.open > 0 && self.operator() == Some(')')) {
                return;
            }
            self.line();
            if !self.take("\n") {
                return;
            }
        }
    }

    /// Commands up to the end of the line: what `if` and `for` have for a body.
    fn line(&mut self) {
        loop {
            self.joined(&["||", "&&", "|"]);
            // One that stands last is allowed: `git push &`.
            if !self.take("&") {
                return;
            }
            self.separators();
            if self.ends() && self.operator() != Some('&') {
                return;
            }
        }
    }

    /// Commands that these operators join, the loosest first.
    fn joined(&mut self, operators: &[&str]) {
        let Some((operator, tighter)) = operators.split_first() else { return self.command() };
        self.joined(tighter);
        // `|` is no half of `||`.
        while !(*operator == "|" && self.operator_at(self.at + 1) == Some('|'))
            && self.take(operator)
        {
            let (way, input) = match *operator {
                "||" => (Way::Or, None),
                "&&" => (Way::And, None),
                _ => (Way::Pipe, Some(Input::Unknown)),
            };
            self.within(way, input, |this| this.joined(tighter));
        }
    }

    fn within(&mut self, way: Way, input: Option<Input>, walk: impl FnOnce(&mut Self)) {
        if self.walker.ways() > self.outside + DEEPEST {
            return self.stop(self.at, "it is nested too deeply to be read");
        }
        let before = input.map(|input| std::mem::replace(&mut self.input, input));
        self.walker.enter(way);
        walk(self);
        self.walker.leave();
        if let Some(before) = before {
            self.input = before;
        }
    }

    fn command(&mut self) {
        self.separators();
        while self.take("@") {
            self.separators();
        }
        if self.operator() == Some('(') {
            return self.block();
        }
        match self.keyword().as_str() {
            "if" => self.condition(),
            "for" => self.repetition(),
            _ if self.ends() => self.unexpected(),
            _ => self.simple(),
        }
    }

    /// `( a & b )`, and its redirections.
    fn block(&mut self) {
        let start = self.at;
        if self.open == DEEPEST {
            return self.stop(start, "it is nested too deeply to be read");
        }
        self.at += 1;
        self.open += 1;
        self.list();
        self.open -= 1;
        if !self.take(")") {
            if self.at < self.chars.len() {
                return self.unexpected();
            }
            let at = self.span(self.chars.len()..self.chars.len());
            return self.walker.unread(at, "a parenthesis that is not closed");
        }
        let from = self.at;
        let mut redirections = Vec::new();
        loop {
            self.blanks();
            match self.redirection(true) {
                Some(redirection) => redirections.extend(redirection),
                None => break,
            }
        }
        if !redirections.is_empty() {
            let at = self.span(from..self.at);
            self.found(What::Builtin, Vec::new(), redirections, at);
        }
    }

    /// The name that stands here, in lower case, where a blank or nothing follows.
    fn keyword(&self) -> String {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let name = rest.iter().take(16).take_while(|own| own.value.is_ascii_alphabetic());
        let name: String = name.map(|own| own.value.to_ascii_lowercase()).collect();
        let ends = rest.get(name.len()).is_none_or(|own| {
            own.bare && matches!(own.value, ' ' | '\t' | ',' | ';' | '=' | '\n' | '(' | '/')
        });
        if ends { name } else { String::new() }
    }

    fn value(&self, range: Range<usize>) -> String {
        self.chars.get(range).unwrap_or_default().iter().map(|own| own.value).collect()
    }

    /// A program or internal command with its words and redirections.
    fn simple(&mut self) {
        let start = self.at;
        let (mut own, mut redirections): (Vec<Char>, Vec<Redirection>) = (Vec::new(), Vec::new());
        while !self.ends() {
            // A number is the handle only where it stands by itself.
            let alone = own.last().is_none_or(|last| last.bare && " \t,;=".contains(last.value));
            if let Some(redirection) = self.redirection(alone) {
                redirections.extend(redirection);
                continue;
            }
            own.extend(self.chars.get(self.at));
            self.at += 1;
        }
        let mut end = self.at;
        while end > start && matches!(self.operator_at(end - 1), Some(' ' | '\t')) {
            end -= 1;
        }
        let at = self.span(start..end);
        let words = words::split(&own, self.text, self.base);
        if words.is_empty() {
            if redirections.is_empty() {
                return self.unexpected();
            }
            return self.found(What::Builtin, Vec::new(), redirections, at);
        }
        let opens = own.windows(2).any(|pair| match pair {
            [blank, open] => blank.value == ' ' && open.bare && open.value == '(',
            _ => false,
        });
        if opens {
            // Wine's cmd reads a block there, behind `if`.
            self.walker.unread(at.clone(), "a parenthesis in the midst of a command");
        }
        self.run(&own, words, redirections, at);
    }

    /// Who carries out what these words name.
    fn run(
        &mut self,
        own: &[Char],
        words: Vec<Word>,
        redirections: Vec<Redirection>,
        at: Range<usize>,
    ) {
        let named = named(own);
        if let Named::Internal(name) = named {
            self.found(What::Builtin, words.clone(), redirections, at.clone());
            return self.internal(name, own, &words, at);
        }
        let mut words = words;
        if let Some(first) = words.first_mut() {
            first.value = windows_name(&first.value);
        }
        match named {
            Named::Unclear(why) => self.walker.unread(at.clone(), why),
            Named::EndsAtSlash => {
                self.walker.unread(at.clone(), "a `/` behind a name, where cmd may end it");
                if let Some(first) = words.first_mut()
                    && let Some((name, option)) = first.value.clone().split_once('/')
                {
                    let option = Word { value: format!("/{option}"), ..first.clone() };
                    first.value = name.to_owned();
                    words.insert(1, option);
                }
            }
            Named::Internal(_) | Named::Program => {}
        }
        let command = self.made(words, redirections, at);
        if command.words.first().and_then(base_name) != Some("cmd") {
            return self.walker.program(&command);
        }
        self.walker.found(What::Program, &command);
        let words = self.another(own, command.words.clone());
        self.walker.beyond(&Command { words, ..command });
    }

    /// `cmd /c TEXT`: the text is what stands there, and not the words of a program.
    fn another(&self, own: &[Char], words: Vec<Word>) -> Vec<Word> {
        let mut at = 0;
        let mut quoted = false;
        // The name, then options.
        while let Some(next) = own.get(at).filter(|next| quoted || !" \t".contains(next.value)) {
            quoted ^= next.value == '"';
            at += 1;
        }
        for (count, word) in words.iter().enumerate().skip(1) {
            let blanks = own.iter().skip(at).take_while(|own| " \t".contains(own.value)).count();
            at += blanks;
            let option = own.iter().skip(at).take_while(|own| !" \t".contains(own.value)).count();
            let text = word.token().to_ascii_lowercase();
            if option != text.chars().count() || !text.starts_with('/') {
                return words;
            }
            if text.len() == 2 && matches!(text.as_str(), "/c" | "/k" | "/r") {
                let rest = own.get(at + option..).unwrap_or_default();
                let skipped = rest.iter().take_while(|own| " \t".contains(own.value)).count();
                let rest = rest.get(skipped..).unwrap_or_default();
                let value: String = rest.iter().map(|own| own.value).collect();
                if value.is_empty() {
                    return words;
                }
                let place = chars::span(rest, self.text.len());
                let written = self.text.get(place.clone()).unwrap_or_default().to_owned();
                let value = chars::without_outer_quotes(&value);
                let verbatim = match self.base {
                    Base::Exact(from) => written
                        .find(&value)
                        .filter(|own| *own < 2)
                        .map(|own| from + place.start + own),
                    Base::Whole(_) => None,
                };
                let text = Word { value, written, at: self.base.map(&place), verbatim };
                return words.into_iter().take(count + 1).chain([text]).collect();
            }
            at += option;
        }
        words
    }

    fn made(&self, words: Vec<Word>, redirections: Vec<Redirection>, at: Range<usize>) -> Command {
        let (variables, input) = (self.variables.clone(), self.input.clone());
        Command { words, variables, redirections, at, input }
    }

    fn found(
        &mut self,
        what: What,
        words: Vec<Word>,
        redirections: Vec<Redirection>,
        at: Range<usize>,
    ) {
        let command = self.made(words, redirections, at);
        self.walker.found(what, &command);
    }

    /// `>F`, `>>F`, `<F`, `2>F`, and `2>&1`, which names no file.
    fn redirection(&mut self, alone: bool) -> Option<Option<Redirection>> {
        let digit = self.operator().is_some_and(|own| own.is_ascii_digit());
        let handle = usize::from(alone && digit);
        let arrow = self.operator_at(self.at + handle)?;
        if !matches!(arrow, '<' | '>') {
            return None;
        }
        let before = self.at;
        self.at += handle + 1;
        if arrow == '>' {
            self.take(">");
        } else {
            self.input = Input::Unknown;
        }
        if self.take("&") {
            self.at += usize::from(self.operator().is_some_and(|own| own.is_ascii_digit()));
            return Some(None);
        }
        self.separators();
        let start = self.at;
        while !self.ends()
            && !matches!(self.operator(), Some(' ' | '\t' | '<' | '>' | ',' | ';' | '='))
        {
            self.at += 1;
        }
        let own = self.chars.get(start..self.at).unwrap_or_default();
        let Some(file) = words::split(own, self.text, self.base).into_iter().next() else {
            let at = self.span(before..self.at);
            self.walker.unread(at, "a redirection without a file");
            return Some(None);
        };
        Some(Some(Redirection { writes: arrow == '>', file }))
    }
}
