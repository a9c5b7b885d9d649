//! Expressions: they start nothing by themselves, but what stands in their parentheses and strings
//! does, and methods can.

use super::names::{is_harmless_method, is_harmless_type};
use super::{
    Reader, begins_variable, ends_word, is_dash, is_double_quote, is_name, is_single_quote,
};
use crate::{Way, Word};

/// Operators of letters that stand between two operands.
const BINARY: &[&str] = &[
    "eq",
    "ne",
    "ge",
    "gt",
    "lt",
    "le",
    "like",
    "notlike",
    "match",
    "notmatch",
    "replace",
    "contains",
    "notcontains",
    "in",
    "notin",
    "split",
    "is",
    "isnot",
    "as",
    "f",
    "and",
    "or",
    "xor",
    "join",
    "shl",
    "shr",
    "band",
    "bor",
    "bxor",
];
const UNARY: [&str; 5] = ["not", "bnot", "split", "isplit", "csplit"];

impl Reader<'_> {
    /// Whether a statement that begins here is an expression and no command.
    pub(super) fn begins_expression(&self) -> bool {
        let second = self.peek_second();
        match self.peek() {
            Some('$') => {
                second.is_some_and(|next| begins_variable(next) || matches!(next, '(' | '{'))
            }
            Some('@' | '(' | '{' | '[' | ',' | '+') => true,
            Some('!') => !second.is_some_and(is_name),
            Some(quote) if is_single_quote(quote) || is_double_quote(quote) => true,
            Some(dash) if is_dash(dash) => match second {
                Some(next) if next.is_alphabetic() => {
                    self.letters_are(&UNARY) || self.letters_are(&["join"])
                }
                Some('_' | '?') => false,
                _ => true,
            },
            Some('.') => {
                second.is_some_and(|next| next.is_ascii_digit()) && self.number().is_some()
            }
            Some(digit) if digit.is_ascii_digit() => self.number().is_some(),
            _ => false,
        }
    }

    /// Whether the operator of letters that begins here is one of these.
    fn letters_are(&self, known: &[&str]) -> bool {
        let letters = self.operator_letters();
        known.iter().any(|own| own.eq_ignore_ascii_case(letters))
    }

    /// The letters behind a dash.
    fn operator_letters(&self) -> &str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let dash = rest.chars().next().map_or(0, char::len_utf8);
        let rest = rest.get(dash..).unwrap_or_default();
        let length = rest.bytes().take(16).take_while(u8::is_ascii_alphabetic).count();
        rest.get(..length).unwrap_or_default()
    }

    /// How long the number is that begins here; what only begins like one is a name: `7z`.
    fn number(&self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let bytes = rest.as_bytes();
        let digits = |from: usize, is: fn(&u8) -> bool| {
            bytes.get(from..).unwrap_or_default().iter().take_while(|byte| is(byte)).count()
        };
        let mut length = if rest.starts_with("0x") || rest.starts_with("0X") {
            2 + digits(2, u8::is_ascii_hexdigit)
        } else {
            let mut length = digits(0, u8::is_ascii_digit);
            let next = bytes.get(length + 1);
            let is_dot = bytes.get(length) == Some(&b'.')
                && next != Some(&b'.')
                && (length > 0 || next.is_some_and(u8::is_ascii_digit));
            if is_dot {
                length += 1 + digits(length + 1, u8::is_ascii_digit);
            }
            if bytes.get(length).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
                let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
                let exponent = digits(length + 1 + sign, u8::is_ascii_digit);
                if exponent > 0 {
                    length += 1 + sign + exponent;
                }
            }
            length
        };
        let suffix = digits(length, u8::is_ascii_alphabetic);
        let letters = rest.get(length..length + suffix)?.to_ascii_lowercase();
        let kind = ["kb", "mb", "gb", "tb", "pb"]
            .iter()
            .find_map(|multiplier| letters.strip_suffix(multiplier))
            .unwrap_or(&letters);
        // PowerShell 7 has more of them, which are names in Windows PowerShell.
        if !matches!(kind, "" | "l" | "d") {
            return None;
        }
        length += suffix;
        let next = rest.get(length..)?.chars().next();
        let ends = next
            .is_none_or(|next| ends_word(next) || is_dash(next) || "!#%*+./<=>]?:".contains(next));
        ends.then_some(length)
    }

    /// An expression. `typed` where a type stands in front that is read already; `lists` where
    /// commas belong to it. The word, where it is nothing but one string.
    pub(super) fn expression(&mut self, typed: bool, lists: bool) -> Option<Word> {
        let mut only = None;
        self.nested(|this| only = this.operands(typed, lists));
        only
    }

    fn operands(&mut self, mut typed: bool, lists: bool) -> Option<Word> {
        let mut only: Option<Word> = None;
        let mut several = typed;
        loop {
            if typed {
                let start = self.at;
                self.postfix(start, true);
                self.blanks();
            } else {
                self.lines();
            }
            // Signs in front, and types.
            loop {
                match self.peek() {
                    Some('!' | '+') => {
                        self.bump();
                    }
                    Some(',') if lists && !typed => {
                        self.bump();
                    }
                    Some(dash) if is_dash(dash) => {
                        if self.peek_second().is_some_and(char::is_alphabetic) {
                            if !self.letters_are(&UNARY) && !self.letters_are(&["join"]) {
                                break;
                            }
                            self.at += dash.len_utf8() + self.operator_letters().len();
                        } else {
                            self.bump();
                        }
                    }
                    Some('[') => {
                        let start = self.at;
                        self.type_name();
                        self.postfix(start, true);
                        self.blanks();
                        typed = true;
                        several = true;
                        continue;
                    }
                    _ => break,
                }
                (typed, several) = (false, true);
                self.lines();
            }
            let operand = self.operand();
            match operand {
                Some(word) => only = word,
                None if typed => {}
                None => {
                    self.unexpected();
                    return None;
                }
            }
            typed = false;
            if !self.operator(lists) {
                break;
            }
            several = true;
        }
        only.filter(|_| !several)
    }

    /// What stands behind an operand, where another one follows.
    fn operator(&mut self, lists: bool) -> bool {
        loop {
            self.blanks();
            if self.starts_with("++") || self.starts_with("--") {
                self.at += 2;
                continue;
            }
            break;
        }
        let Some(next) = self.peek() else { return false };
        if is_dash(next) {
            let letters = self.operator_letters().to_ascii_lowercase();
            if letters.is_empty() {
                if self.peek_second() == Some('=') {
                    return false;
                }
                self.bump();
                return true;
            }
            // `-ieq` and `-ceq` say whether letters' case counts.
            let own = letters.strip_prefix(['i', 'c']).unwrap_or("");
            let known = BINARY.contains(&letters.as_str()) || BINARY.contains(&own);
            if !known {
                self.unexpected();
                return false;
            }
            self.at += next.len_utf8() + letters.len();
            return true;
        }
        let length = match (next, self.peek_second()) {
            ('.', Some('.')) | ('?', Some('?')) => 2,
            ('+' | '*' | '/' | '%', Some('=')) => return false,
            ('*', Some('>')) => return false,
            ('+' | '*' | '/' | '%' | '?' | ':', _) => 1,
            (',', _) if lists => 1,
            _ => return false,
        };
        if self.starts_with("??=") {
            return false;
        }
        self.at += length;
        true
    }

    /// `=`, `+=` and their like.
    pub(super) fn assignment(&mut self) -> Option<&'static str> {
        ["=", "+=", "-=", "*=", "/=", "%=", "??="].into_iter().find(|own| self.take(own))
    }

    /// An operand; its word, where it is a string of which something is known.
    pub(super) fn operand(&mut self) -> Option<Option<Word>> {
        let start = self.at;
        let mut literal = None;
        match (self.peek()?, self.peek_second()) {
            ('$' | '@', Some('(')) => {
                self.bump();
                self.group(Self::in_parentheses);
            }
            ('(', _) => self.group(Self::parentheses),
            ('@', Some('{')) => {
                self.bump();
                self.nested(Self::table);
            }
            ('{', _) => self.block(Way::Block),
            ('$', Some(next)) if begins_variable(next) || next == '{' => {
                self.variable();
            }
            ('@', Some(next)) if begins_variable(next) => {
                self.variable();
            }
            (next, _) if next.is_ascii_digit() || next == '.' => match self.number() {
                Some(length) if length > 0 => self.at += length,
                _ => {
                    self.unexpected();
                    return Some(None);
                }
            },
            _ => {
                let value = self.string()?;
                literal = Some(self.word(value, start));
            }
        }
        let end = self.at;
        self.postfix(start, false);
        Some(literal.filter(|_| self.at == end))
    }

    /// `( … )` in an expression: what it writes becomes a value.
    fn group(&mut self, read: fn(&mut Self)) {
        let input = std::mem::replace(&mut self.input, crate::walk::Input::Inherited);
        self.within(Way::Substitution, read);
        self.input = input;
    }

    /// `{ key = statement … }` behind `@`.
    fn table(&mut self) {
        self.expect("{");
        loop {
            self.lines();
            while self.take(";") {
                self.lines();
            }
            if self.take("}") || self.failed {
                return;
            }
            let before = self.at;
            while self.peek().is_some_and(is_name) {
                self.bump();
            }
            if self.at == before {
                self.expression(false, false);
            }
            self.lines();
            self.expect("=");
            self.lines();
            let before = self.at;
            self.nested(Self::value);
            if self.at == before {
                return self.unexpected();
            }
        }
    }

    /// The value of an entry: any statement.
    fn value(&mut self) {
        if self.peek().is_some_and(|next| !matches!(next, ')' | '}' | ';')) {
            self.statement(false);
        }
    }

    /// Members, indices and calls directly behind an operand or a type.
    fn postfix(&mut self, start: usize, is_type: bool) {
        let mut of_type = is_type;
        loop {
            let after = if self.starts_with("?.") || self.starts_with("?[") { 1 } else { 0 };
            let rest = self.text.get(self.at + after..).unwrap_or_default();
            let second = rest.chars().nth(1);
            match rest.chars().next() {
                // Another type, and no index.
                Some('[') if of_type => return,
                Some('[') => {
                    self.at += after + 1;
                    self.nested(|this| {
                        this.lines();
                        if this.peek() != Some(']') {
                            this.expression(false, true);
                        }
                        this.lines();
                    });
                    self.expect("]");
                }
                Some('.') if second != Some('.') => {
                    self.at += after + 1;
                    self.member(start, None);
                }
                Some(':') if second == Some(':') => {
                    self.at += 2;
                    match self.last_type.clone() {
                        (of_start, of) if of_type => self.member(of_start, Some(&of)),
                        _ => self.member(start, None),
                    }
                }
                _ => return,
            }
            of_type = false;
            if self.failed {
                return;
            }
        }
    }

    /// A member's name, and what it is called with; `of` says of which type, if of one.
    fn member(&mut self, start: usize, of: Option<&str>) {
        self.lines();
        let from = self.at;
        let mut name = None;
        match self.peek() {
            Some('$') => {
                self.variable();
            }
            Some('(') => self.group(Self::parentheses),
            Some(next) if is_name(next) => {
                while self.peek().is_some_and(is_name) {
                    self.bump();
                }
                name = self.text.get(from..self.at).map(str::to_ascii_lowercase);
            }
            Some(_) => match self.string() {
                Some(own) => name = Some(own.to_ascii_lowercase()),
                None => return self.unexpected(),
            },
            None => return self.unexpected(),
        }
        if self.peek() == Some('[') && self.is_generic_call() {
            self.type_name();
        }
        let behind = self.text.get(self.at + 1..).unwrap_or_default().trim_start();
        let by_name = self.peek() == Some('(') && !behind.starts_with('{');
        let is_call = match self.peek() {
            Some('(') => {
                self.call();
                true
            }
            Some('{') => {
                self.block(Way::Block);
                true
            }
            _ => false,
        };
        let harmless = match (&name, of) {
            // `.ForEach('Start')` calls a method of this name.
            (Some(name), None) => is_harmless_method(name) && !(by_name && name == "foreach"),
            (Some(_), Some(of)) => is_harmless_type(of),
            (None, _) => false,
        };
        if is_call && !harmless && !self.failed {
            self.unread(start, "a method, which could start anything");
        }
    }

    /// `.Method[type](…)`.
    fn is_generic_call(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.bytes().take(200).position(|byte| byte == b']');
        let inside = end.and_then(|end| rest.get(1..end));
        let is_type = inside.is_some_and(|own| {
            own.starts_with(char::is_alphabetic)
                && own.chars().all(|c| is_name(c) || matches!(c, '.' | ',' | ' '))
        });
        is_type && end.is_some_and(|end| rest.as_bytes().get(end + 1) == Some(&b'('))
    }

    /// `( a, b )` behind a method.
    pub(super) fn call(&mut self) {
        self.expect("(");
        self.nested(|this| {
            loop {
                this.lines();
                while this.take(",") {
                    this.lines();
                }
                if this.failed || this.peek() == Some(')') {
                    return;
                }
                let before = this.at;
                this.expression(false, false);
                // `Parameter(Mandatory = $true)` of an attribute.
                this.blanks();
                this.take("=");
                if this.at == before {
                    return this.unexpected();
                }
            }
        });
        self.expect(")");
    }

    /// `[type]`, or an attribute with its arguments.
    pub(super) fn type_name(&mut self) {
        let start = self.at;
        self.expect("[");
        self.nested(|this| {
            loop {
                match this.peek() {
                    Some('[') => this.type_name(),
                    Some('(') => this.attribute(),
                    Some(next)
                        if is_name(next)
                            || next.is_whitespace()
                            || matches!(next, '.' | ',' | '+' | '`' | '\\' | '=' | '*' | '-') =>
                    {
                        this.bump();
                    }
                    _ => return,
                }
            }
        });
        self.expect("]");
        let own = self.text.get(start..self.at).unwrap_or_default().to_ascii_lowercase();
        if has_two_words(&own) {
            // `[git push]` is a command of the name `[git`.
            self.at = start;
            self.unexpected();
        } else if own.contains("scriptblock") && !self.failed {
            self.unread(start, "a block that may be made from a text");
        }
        self.last_type = (start, own);
    }

    /// The arguments of an attribute: `Name` alone, `Name = value`, or values.
    fn attribute(&mut self) {
        self.expect("(");
        self.nested(|this| {
            loop {
                this.lines();
                match this.peek() {
                    Some(')') | None => return,
                    Some(',' | '=') => {
                        this.bump();
                    }
                    Some(next) if next.is_alphabetic() => {
                        while this.peek().is_some_and(is_name) {
                            this.bump();
                        }
                    }
                    Some(_) => {
                        let before = this.at;
                        this.expression(false, false);
                        if this.at == before {
                            return this.unexpected();
                        }
                    }
                }
            }
        });
        self.expect(")");
    }
}

/// Whether a blank stands between two names of a type.
fn has_two_words(name: &str) -> bool {
    let outside = name.split('(').next().unwrap_or_default();
    let mut words = outside.split_whitespace().peekable();
    while let (Some(word), Some(next)) = (words.next(), words.peek()) {
        let apart = [',', '[', '=', ']'];
        if !word.ends_with(apart) && !next.starts_with(apart) {
            return true;
        }
    }
    false
}
