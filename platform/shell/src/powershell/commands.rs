//! Commands: their names, arguments and redirections, and who carries them out.

use super::names::{Who, who};
use super::{
    Reader, begins_variable, ends_word, is_dash, is_double_quote, is_name, is_single_quote,
};
use crate::walk::Command;
use crate::wrappers::windows_name;
use crate::{MANY, ONE, Redirection, Way, What, Word};
use chaperone_policy::changes_meaning;

/// One argument.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub(super) word: Word,
    pub(super) form: Form,
    /// The values, where commas stand between several.
    pub(super) list: Vec<Word>,
}

/// How an argument is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `-Name`; its value stands behind it.
    Parameter,
    /// `-Name:value`.
    ParameterWithValue,
    /// A word or a string.
    Text,
    /// `{ … }`, whose commands are listed.
    Block,
    /// What only running it would tell.
    Other,
}

impl Reader<'_> {
    pub(super) fn made(
        &self,
        words: Vec<Word>,
        redirections: Vec<Redirection>,
        from: usize,
    ) -> Command {
        Command {
            words,
            variables: self.variables.clone(),
            redirections,
            at: self.span(from..self.at),
            input: self.input.clone(),
        }
    }

    /// `[&] name argument …`.
    pub(super) fn command(&mut self) {
        let start = self.at;
        let operator = self.invocation();
        let Some(name) = self.argument() else {
            // An operator with nothing behind it on its line; without one, the caller sees to it.
            if operator.is_some() {
                self.unexpected();
            }
            return;
        };
        let (mut arguments, mut redirections) = (Vec::new(), Vec::new());
        let mut end = self.at;
        loop {
            self.blanks();
            let before = self.at;
            redirections.extend(self.redirections());
            if self.failed || (self.at == before && self.ends_command()) {
                break;
            }
            if self.at == before {
                match self.argument() {
                    Some(argument) if argument.word.known() == Some("--%") => {
                        if argument.word.written != "--%" {
                            self.unread(before, "what stands behind a quoted `--%`");
                        }
                        arguments.push(argument);
                        arguments.push(self.verbatim());
                    }
                    Some(argument) => arguments.push(argument),
                    None => return self.unexpected(),
                }
            }
            end = self.at;
        }
        if self.failed {
            // What there is of it is named all the same.
            arguments.push(Argument {
                word: Word { value: MANY.to_owned(), ..self.word(String::new(), self.at) },
                form: Form::Other,
                list: Vec::new(),
            });
        }
        // Blanks behind it are no part of it.
        let after = std::mem::replace(&mut self.at, end);
        let written = self.text.get(start..end).unwrap_or_default();
        let end = start + written.trim_end().len();
        self.at = end;
        self.run(operator, name, &arguments, redirections, start);
        self.at = after;
    }

    /// `&` or `.` in front of a name, text or block.
    fn invocation(&mut self) -> Option<char> {
        let second = self.peek_second();
        let found = match self.peek()? {
            '&' => second != Some('&'),
            '.' => second.is_none_or(|next| {
                ends_word(next) || next == '$' || is_single_quote(next) || is_double_quote(next)
            }),
            _ => false,
        };
        let operator = self.peek().filter(|_| found)?;
        self.bump();
        self.blanks();
        Some(operator)
    }

    fn run(
        &mut self,
        operator: Option<char>,
        name: Argument,
        arguments: &[Argument],
        redirections: Vec<Redirection>,
        start: usize,
    ) {
        if name.form == Form::Block {
            // Its commands are listed.
            if !redirections.is_empty() {
                let command = self.made(Vec::new(), redirections, start);
                self.walker.found(What::Builtin, &command);
            }
            return;
        }
        let is_name = matches!(name.form, Form::Text | Form::Parameter);
        let known = name.word.known().filter(|_| is_name).unwrap_or_default().to_owned();
        let lower = windows_name(&known);
        let words = |first: Word, shown: bool| {
            let rest =
                arguments.iter().map(|own| if shown { own.word.clone() } else { native(own) });
            std::iter::once(first).chain(rest).collect::<Vec<Word>>()
        };
        if self.functions.contains(&lower) {
            let command = self.made(words(name.word, true), redirections, start);
            return self.walker.found(What::Function, &command);
        }
        let is_path = lower.contains('/');
        let is_script = [".ps1", ".psm1", ".psd1"].iter().any(|end| lower.ends_with(end));
        if is_script || (operator == Some('.') && is_path) {
            let command = self.made(words(name.word, true), redirections, start);
            self.walker.found(What::Builtin, &command);
            return self.unread(start, format!("the commands of the file {known}"));
        }
        let (who, cmdlet) = who(&lower);
        if who != Who::Shell {
            let value = match name.word.token() {
                token if is_name && !token.is_empty() => windows_name(token),
                _ => ONE.to_owned(),
            };
            let first = Word { value, ..name.word.clone() };
            let command = self.made(words(first, false), redirections.clone(), start);
            self.walker.program(&command);
        }
        if who != Who::Program {
            let command = self.made(words(name.word, true), redirections, start);
            if who == Who::Shell {
                self.walker.found(What::Builtin, &command);
            }
            self.cmdlet(cmdlet, arguments, &command, start);
        }
    }

    /// An argument that begins here, if one does.
    pub(super) fn argument(&mut self) -> Option<Argument> {
        self.blanks();
        let start = self.at;
        let first = self.single()?;
        let valued = first.form == Form::ParameterWithValue;
        let mut list = if valued { first.list.clone() } else { vec![first.word.clone()] };
        loop {
            let after = self.at;
            self.blanks();
            if first.form == Form::Parameter || !self.take(",") {
                self.at = after;
                break;
            }
            self.lines();
            match self.single() {
                Some(more) => list.push(more.word),
                None => {
                    self.unexpected();
                    break;
                }
            }
        }
        if list.len() < 2 {
            return Some(Argument { list, ..first });
        }
        let form = if valued { first.form } else { Form::Other };
        Some(Argument { word: self.many(start), form, list })
    }

    /// An argument without those that commas join to it.
    fn single(&mut self) -> Option<Argument> {
        let start = self.at;
        let second = self.peek_second();
        let made = |word: Word, form: Form| Some(Argument { word, form, list: Vec::new() });
        match self.peek()? {
            '{' => {
                self.operand();
                let form = if self.text.as_bytes().get(self.at.wrapping_sub(1)) == Some(&b'}') {
                    Form::Block
                } else {
                    Form::Other
                };
                made(self.many(start), form)
            }
            '(' => self.opaque(start),
            '$' if matches!(second, Some('(')) => self.opaque(start),
            '$' if second.is_some_and(|next| begins_variable(next) || next == '{') => {
                let braced = second == Some('{');
                self.variable();
                let next = self.peek();
                let goes_on = next.is_some_and(|next| {
                    let apart = matches!(next, '.' | '[')
                        || (!braced && (next == '=' || self.starts_with("::")));
                    !ends_word(next) && !apart
                });
                self.at = start;
                if goes_on { self.bare_argument(start) } else { self.opaque(start) }
            }
            '@' if second.is_some_and(|next| {
                begins_variable(next)
                    || matches!(next, '(' | '{')
                    || is_single_quote(next)
                    || is_double_quote(next)
            }) =>
            {
                self.text_or_opaque(start)
            }
            '@' => {
                self.unexpected();
                None
            }
            quote if is_single_quote(quote) || is_double_quote(quote) => self.text_or_opaque(start),
            dash if is_dash(dash) && second.is_some_and(begins_parameter) => self.parameter(start),
            '<' | '>' => {
                self.unexpected();
                None
            }
            next if ends_word(next) => None,
            _ => self.bare_argument(start),
        }
    }

    /// Something of which only running it tells the value.
    fn opaque(&mut self, start: usize) -> Option<Argument> {
        self.operand()?;
        Some(Argument { word: self.many(start), form: Form::Other, list: Vec::new() })
    }

    /// A string, unless a member of it is meant.
    fn text_or_opaque(&mut self, start: usize) -> Option<Argument> {
        match self.operand()? {
            Some(word) => Some(Argument { word, form: Form::Text, list: Vec::new() }),
            None => Some(Argument { word: self.many(start), form: Form::Other, list: Vec::new() }),
        }
    }

    fn bare_argument(&mut self, start: usize) -> Option<Argument> {
        let mut value = String::new();
        self.bare(&mut value);
        Some(Argument { word: self.word(value, start), form: Form::Text, list: Vec::new() })
    }

    /// `-Name` or `-Name:value`; with a quote in its midst it is a word.
    fn parameter(&mut self, start: usize) -> Option<Argument> {
        self.bump();
        let ends = |next: char| ends_word(next) || matches!(next, '.' | '[' | ':');
        while let Some(next) = self.peek().filter(|next| !ends(*next)) {
            if is_single_quote(next) || is_double_quote(next) {
                self.at = start;
                return self.bare_argument(start);
            }
            self.bump();
        }
        let mut value = self.text.get(start..self.at).unwrap_or_default().to_owned();
        if value.contains('$') || value.contains('`') {
            // Taken as it is written, which a program may see otherwise.
            value.push('\0');
        }
        if self.peek() != Some(':') {
            let splits = self.peek().is_some_and(|next| matches!(next, '.' | '['));
            if splits {
                // What follows becomes an argument of its own, or does not.
                value = MANY.to_owned();
            }
            let word = self.word(value, start);
            return Some(Argument { word, form: Form::Parameter, list: Vec::new() });
        }
        self.bump();
        let colon = self.at;
        self.blanks();
        let apart = self.at != colon;
        let inner = self.single();
        let joined = inner.as_ref().and_then(|own| own.word.known()).filter(|_| !apart);
        let whole = match joined {
            Some(text) => format!("{value}:{text}"),
            None => MANY.to_owned(),
        };
        let list = inner.into_iter().map(|own| own.word).collect();
        Some(Argument { word: self.word(whole, start), form: Form::ParameterWithValue, list })
    }

    /// What stands behind `--%`: nothing of it is read but variables like `%X%`.
    fn verbatim(&mut self) -> Argument {
        self.blanks();
        let start = self.at;
        let mut quoted = false;
        while let Some(next) = self.peek() {
            let ends =
                matches!(next, '\r' | '\n') || (!quoted && (next == '|' || self.starts_with("&&")));
            if ends {
                break;
            }
            quoted ^= is_double_quote(next);
            self.bump();
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        self.at = start + written.trim_end().len();
        Argument { word: self.many(start), form: Form::Other, list: Vec::new() }
    }

    /// `>f`, `2>>f`, `*>f`; `2>&1` names no file.
    pub(super) fn redirections(&mut self) -> Vec<Redirection> {
        let mut files = Vec::new();
        loop {
            self.blanks();
            let rest = self.text.get(self.at..).unwrap_or_default().as_bytes();
            let stream = match rest {
                [b'1'..=b'6' | b'*', b'>', ..] => 1,
                [b'>', ..] => 0,
                [b'<', ..] => {
                    self.fail("`<`, which no PowerShell has");
                    return files;
                }
                _ => return files,
            };
            let merges = matches!(rest.get(stream + 1..), Some([b'&', b'1' | b'2', ..]));
            self.at += stream + 1;
            if merges {
                self.at += 2;
                continue;
            }
            self.take(">");
            self.blanks();
            match self.single() {
                Some(file) => files.push(Redirection { writes: true, file: file.word }),
                None => {
                    self.unexpected();
                    return files;
                }
            }
        }
    }

    /// What a variable of the environment that is set changes.
    pub(super) fn assigned(&mut self, target: &str, operator: &str, from: usize) {
        let lower = target.to_ascii_lowercase().replace('`', "");
        if lower.contains("alias:") || lower.contains("function:") {
            return self.unread(from, "what a name means is changed");
        }
        let plain = target.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let plain = plain.or_else(|| target.strip_prefix('$')).unwrap_or(target);
        let Some((_, name)) = plain.split_once(':').filter(|_| lower.contains("env:")) else {
            return;
        };
        if !name.chars().all(is_name) {
            return self.unread(from, "a variable that is only known when it runs");
        }
        let upper = name.to_ascii_uppercase();
        if upper == "PATH" || changes_meaning(&upper) {
            let value = self.text.get(from..self.at).unwrap_or_default().trim_end();
            let quoted = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let known = quoted.filter(|own| operator == "=" && !own.contains('\''));
            let value = known.map_or("\0\0".to_owned(), str::to_owned);
            let word = self.word(value, from);
            self.variables.retain(|(own, _)| *own != upper);
            self.variables.push((upper, Word { verbatim: None, ..word }));
        }
    }

    /// A text that is read as PowerShell once more.
    pub(super) fn again(&mut self, way: Way, word: &Word) {
        self.walker.enter(way);
        self.walker.word(word, crate::Dialect::PowerShell);
        self.walker.leave();
    }
}

/// What can follow the dash of a parameter.
fn begins_parameter(next: char) -> bool {
    next.is_alphabetic() || matches!(next, '_' | '?')
}

/// The argument as a program gets it. Windows PowerShell leaves out an empty one, and takes quotes
/// within one and a backslash at its end for those of its own command line.
fn native(argument: &Argument) -> Word {
    let word = argument.word.clone();
    let clear = word.known().is_some_and(|own| {
        let splits = own.contains(char::is_whitespace) && own.ends_with('\\');
        !own.is_empty()
            && !own.contains('"')
            && !splits
            && !own.starts_with(|c| c != '-' && is_dash(c))
    });
    if clear { word } else { Word { value: MANY.to_owned(), verbatim: None, ..word } }
}
