//! Statements: lists, pipelines, conditions, loops, functions and classes.

use super::names::{Who, who};
use super::{Reader, ends_word, is_name, is_newline};
use crate::walk::Input;
use crate::{Way, What};

/// Words that begin a statement of their own, where nothing stands directly behind them.
const KEYWORDS: &[&str] = &[
    "begin",
    "break",
    "catch",
    "class",
    "configuration",
    "continue",
    "data",
    "do",
    "dynamicparam",
    "else",
    "elseif",
    "end",
    "enum",
    "exit",
    "filter",
    "finally",
    "for",
    "foreach",
    "function",
    "if",
    "param",
    "process",
    "return",
    "switch",
    "throw",
    "trap",
    "try",
    "using",
    "while",
    "workflow",
];

impl Reader<'_> {
    /// Statements up to the end of the text.
    pub(super) fn all(&mut self) {
        self.statements();
        if !self.failed && self.at < self.text.len() {
            self.unexpected();
        }
    }

    /// Statements up to the end of the text or to what closes something.
    pub(super) fn statements(&mut self) {
        // `process { … }` is a part of its block only in front of all statements.
        let mut parts = true;
        loop {
            self.lines();
            while self.take(";") {
                self.lines();
            }
            if matches!(self.peek(), None | Some(')' | '}')) {
                return;
            }
            let before = self.at;
            self.nested(|this| parts = this.statement(parts));
            if self.at == before {
                return self.unexpected();
            }
        }
    }

    /// `( … )`, its beginning included. A pipeline stands there and no statement, so that a keyword
    /// is a name like any other; what follows it is read as what it would be elsewhere.
    pub(super) fn parentheses(&mut self) {
        let start = self.at;
        self.lines();
        self.take("(");
        self.lines();
        if let Some(word) = self.keyword() {
            self.unread(self.at, format!("`{word}` in parentheses, where it is a name"));
        }
        self.at = start;
        self.in_parentheses();
    }

    /// The same with statements in it, as behind `$` and `@`.
    pub(super) fn in_parentheses(&mut self) {
        self.lines();
        self.expect("(");
        self.nested(Self::statements);
        self.expect(")");
    }

    /// `{ … }`, its beginning included.
    fn body(&mut self) {
        self.lines();
        self.expect("{");
        self.nested(Self::statements);
        self.expect("}");
    }

    /// A block that somebody runs, or nobody.
    pub(super) fn block(&mut self, way: Way) {
        let input = std::mem::replace(&mut self.input, Input::Unknown);
        self.within(way, Self::body);
        self.input = input;
    }

    /// The keyword that begins here.
    fn keyword(&self) -> Option<&'static str> {
        let rest = self.text.get(self.at..)?;
        let length = rest.bytes().take(16).take_while(u8::is_ascii_alphabetic).count();
        let ends = rest.get(length..)?.chars().next().is_none_or(ends_word);
        let word = rest.get(..length).filter(|_| ends)?;
        KEYWORDS.iter().copied().find(|own| own.eq_ignore_ascii_case(word))
    }

    /// Takes the keyword, where it is the next.
    fn next_keyword(&mut self, word: &str) -> bool {
        let before = self.at;
        self.lines();
        let found = self.keyword() == Some(word);
        self.at = if found { self.at + word.len() } else { before };
        found
    }

    /// One statement; whether parts of a block can still follow.
    pub(super) fn statement(&mut self, parts: bool) -> bool {
        while self.peek() == Some(':') && self.peek_second().is_some_and(char::is_alphabetic) {
            // A label. What is none is read as a command's name.
            let before = self.at;
            self.bump();
            while self.peek().is_some_and(is_name) {
                self.bump();
            }
            if !self.peek().is_none_or(ends_word) {
                self.at = before;
                break;
            }
            self.lines();
        }
        if self.peek() == Some('[') {
            return self.after_type();
        }
        let Some(word) = self.keyword() else {
            self.chain(false);
            return false;
        };
        let is_part = matches!(word, "begin" | "process" | "end" | "dynamicparam");
        if is_part && !parts {
            self.chain(false);
            return false;
        }
        self.at += word.len();
        match word {
            "if" => self.condition(),
            "while" => {
                self.within(Way::Loop, |this| {
                    this.parentheses();
                    this.body();
                });
            }
            "do" => self.within(Way::Loop, |this| {
                this.body();
                this.lines();
                // `while` or `until`
                while this.peek().is_some_and(|next| next.is_ascii_alphabetic()) {
                    this.bump();
                }
                this.parentheses();
            }),
            "for" => self.within(Way::Loop, |this| {
                this.parentheses();
                this.body();
            }),
            "foreach" => self.for_each(),
            "switch" => self.switch(),
            "function" | "filter" | "workflow" => self.function(),
            "param" => self.parameters(),
            _ if is_part => self.body(),
            "try" => self.attempt(),
            "trap" => {
                self.lines();
                self.types();
                self.block(Way::Trap);
            }
            "data" => self.data(),
            "class" | "enum" => self.class(),
            "return" | "throw" | "exit" => {
                self.blanks();
                if !self.ends_command() {
                    self.chain(false);
                }
            }
            "break" | "continue" => {
                self.blanks();
                // A label; what follows it is read as the next statement.
                while self.peek().is_some_and(is_name) {
                    self.bump();
                }
            }
            "using" => self.using(),
            "configuration" => self.fail("`configuration`, which is not read here"),
            // `else`, `catch` and their like without their beginning.
            _ => self.unexpected(),
        }
        parts && (word == "param" || is_part || word == "using")
    }

    /// Types and attributes in front of a declaration, or of an expression.
    fn after_type(&mut self) -> bool {
        self.type_name();
        let after = self.at;
        self.lines();
        if self.peek() == Some('[') {
            return self.after_type_again();
        }
        let declares = matches!(
            self.keyword(),
            Some("param" | "class" | "enum" | "function" | "filter" | "workflow" | "configuration")
        );
        if declares {
            return self.statement(true);
        }
        self.at = after;
        self.chain(true);
        false
    }

    fn after_type_again(&mut self) -> bool {
        let mut parts = false;
        self.nested(|this| parts = this.after_type());
        parts
    }

    /// Pipelines that `&&` and `||` join. `typed` where a type stands in front that is read already.
    pub(super) fn chain(&mut self, typed: bool) {
        let input = self.input.clone();
        self.pipeline(typed);
        loop {
            self.continued();
            let way = if self.take("&&") {
                Way::And
            } else if self.take("||") {
                Way::Or
            } else {
                break;
            };
            self.lines();
            self.input = input.clone();
            self.within(way, |this| this.pipeline(false));
        }
        self.input = input;
        // Beside what follows, which needs nothing between.
        let background = self.take("&");
        self.blanks();
        if !background && !self.ends_command() {
            self.unexpected();
        }
    }

    /// Goes to a `|` on a later line, where one follows.
    fn continued(&mut self) {
        self.blanks();
        let before = self.at;
        if self.peek().is_some_and(is_newline) {
            self.lines();
            if self.peek() != Some('|') && !self.starts_with("&&") {
                self.at = before;
            }
        }
    }

    fn pipeline(&mut self, typed: bool) {
        self.element(typed);
        loop {
            self.continued();
            if self.peek() != Some('|') || self.starts_with("||") {
                return;
            }
            self.bump();
            self.lines();
            self.within(Way::Pipe, |this| this.element(false));
        }
    }

    /// An expression, an assignment or a command.
    fn element(&mut self, typed: bool) {
        self.blanks();
        let start = self.at;
        if !typed && !self.begins_expression() {
            let before = self.at;
            self.command();
            self.input = Input::Unknown;
            if self.at == before {
                self.unexpected();
            }
            return;
        }
        let literal = self.expression(typed, true);
        self.blanks();
        let target = self.text.get(start..self.at).unwrap_or_default().trim_end().to_owned();
        if let Some(operator) = self.assignment() {
            self.lines();
            let from = self.at;
            let input = std::mem::replace(&mut self.input, Input::Inherited);
            self.nested(|this| {
                this.statement(false);
            });
            self.input = input;
            self.assigned(&target, operator, from);
            return;
        }
        let redirections = self.redirections();
        if !redirections.is_empty() {
            let command = self.made(Vec::new(), redirections, start);
            self.walker.found(What::Builtin, &command);
        }
        self.input = literal.map_or(Input::Unknown, Input::Text);
    }

    /// Whether nothing more of a command stands here.
    pub(super) fn ends_command(&self) -> bool {
        self.peek()
            .is_none_or(|next| is_newline(next) || matches!(next, ';' | '|' | '&' | ')' | '}'))
    }

    fn condition(&mut self) {
        self.within(Way::Branch, |this| {
            this.parentheses();
            this.body();
            while this.next_keyword("elseif") {
                this.parentheses();
                this.body();
            }
            if this.next_keyword("else") {
                this.body();
            }
        });
    }

    /// `foreach ($x in a) { b }`.
    fn for_each(&mut self) {
        self.within(Way::Loop, |this| {
            this.lines();
            this.expect("(");
            this.lines();
            if this.peek() != Some('$') {
                return this.unexpected();
            }
            this.variable();
            this.lines();
            let is_in = this.text.get(this.at..this.at + 2);
            if !is_in.is_some_and(|word| word.eq_ignore_ascii_case("in")) {
                return this.unexpected();
            }
            this.at += 2;
            this.nested(Self::statements);
            this.expect(")");
            this.body();
        });
    }

    /// `switch [-flags] (a) { condition { b } … }`.
    fn switch(&mut self) {
        self.within(Way::Branch, |this| {
            this.lines();
            while this.peek().is_some_and(|next| !matches!(next, '(' | '{')) {
                // An option, or the file that is behind `-file`.
                if this.argument().is_none() {
                    return this.unexpected();
                }
                this.lines();
            }
            if this.peek() == Some('(') {
                this.parentheses();
                this.lines();
            }
            this.expect("{");
            loop {
                this.lines();
                while this.take(";") {
                    this.lines();
                }
                if this.take("}") || this.failed {
                    return;
                }
                if this.argument().is_none() {
                    return this.unexpected();
                }
                this.nested(Self::body);
            }
        });
    }

    /// `function name(parameters) { … }`.
    fn function(&mut self) {
        self.blanks();
        let mut name = String::new();
        self.bare(&mut name);
        if name.is_empty() {
            return self.unexpected();
        }
        let scopes = ["global:", "script:", "local:", "private:"];
        let lower = name.to_ascii_lowercase();
        let plain = scopes.iter().find_map(|scope| lower.strip_prefix(scope)).unwrap_or(&lower);
        let plain = plain.to_owned();
        self.lines();
        if self.peek() == Some('(') {
            self.parameters();
        }
        self.block(Way::Function(name));
        // An alias goes before it, and where it stands within something, it may not come about.
        let always = self.walker.ways() == self.outside && self.depth == 1 && self.keeps_functions;
        let is_plain = plain.chars().all(|own| is_name(own) || own == '-');
        if always && is_plain && who(&plain).0 == Who::Program {
            self.functions.insert(plain);
        }
    }

    /// `( [type]$name = value, … )`.
    fn parameters(&mut self) {
        self.lines();
        self.expect("(");
        self.nested(|this| {
            loop {
                this.lines();
                match this.peek() {
                    Some(',') => {
                        this.bump();
                    }
                    Some('[') => this.type_name(),
                    Some('$') => {
                        this.variable();
                        this.lines();
                        if this.take("=") {
                            this.lines();
                            this.expression(false, false);
                        }
                    }
                    _ => return,
                }
            }
        });
        self.expect(")");
    }

    fn attempt(&mut self) {
        self.body();
        while self.next_keyword("catch") {
            self.lines();
            self.types();
            self.within(Way::Branch, Self::body);
        }
        if self.next_keyword("finally") {
            self.body();
        }
    }

    /// Types with commas between them.
    fn types(&mut self) {
        while self.peek() == Some('[') {
            self.type_name();
            self.lines();
            if self.take(",") {
                self.lines();
            }
        }
    }

    /// `data [name] [-SupportedCommand a, b] { … }`.
    fn data(&mut self) {
        self.lines();
        while self.peek().is_some_and(|next| next != '{') {
            if self.argument().is_none() {
                return self.unexpected();
            }
            self.lines();
        }
        self.body();
    }

    /// A class or enum: methods are blocks, properties can have values.
    fn class(&mut self) {
        self.blanks();
        let start = self.at;
        while self.peek().is_some_and(is_name) {
            self.bump();
        }
        let name = self.text.get(start..self.at).unwrap_or_default().to_owned();
        while self.peek().is_some_and(|next| next != '{') {
            // What it is made from.
            self.lines();
            match self.peek() {
                Some('[') => self.type_name(),
                Some(next) if is_name(next) || matches!(next, ':' | ',' | '.') => {
                    self.bump();
                }
                _ => break,
            }
        }
        self.expect("{");
        self.within(Way::Function(name), |this| this.nested(Self::members));
        self.expect("}");
    }

    fn members(&mut self) {
        loop {
            self.lines();
            match self.peek() {
                Some(';' | ':' | ',') => {
                    self.bump();
                }
                Some('[') => self.type_name(),
                Some('$') => {
                    self.variable();
                }
                Some('=') => {
                    self.bump();
                    self.lines();
                    self.expression(false, false);
                }
                Some('(') => self.call(),
                Some('{') => self.body(),
                Some(next) if is_name(next) => {
                    self.bump();
                }
                _ => return,
            }
        }
    }

    /// `using namespace X`, which runs nothing; what else can be used does.
    fn using(&mut self) {
        let start = self.at;
        self.blanks();
        let what = self.argument();
        while self.argument().is_some() {}
        let harmless = what.is_some_and(|own| {
            own.word.known().is_some_and(|word| word.eq_ignore_ascii_case("namespace"))
        });
        if !harmless {
            self.unread(start, "a module or an assembly, whose commands stand somewhere else");
        }
    }
}
