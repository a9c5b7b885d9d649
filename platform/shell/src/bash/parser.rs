//! The grammar: lists, pipelines, compound commands, redirections, here-documents.

use super::quoting::{Pieces, Until, is_meta};
use super::syntax::{Assignment, HereDocument, Node, Piece, Redirect, Simple, Word};
use crate::walk::Base;
use crate::{Dialect, Way};
use std::ops::Range;

/// Compound commands and substitutions in one another.
const DEEPEST: usize = 40;
/// Steps for one text, those in texts within it included: many times what an honest one takes.
pub(super) const MOST_STEPS: u32 = 2_000_000;

const RESERVED: [&str; 20] = [
    "if", "then", "elif", "else", "fi", "case", "esac", "for", "select", "while", "until", "do",
    "done", "function", "{", "}", "!", "[[", "]]", "coproc",
];

/// Where reading stopped, and why.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) at: Range<usize>,
    pub(super) why: String,
}

/// A text under way. After a failure it stands at its end, so that every loop ends by itself and
/// what was read so far is kept.
#[derive(Debug)]
pub(super) struct Parser<'t> {
    text: &'t str,
    pub(super) at: usize,
    pub(super) dialect: Dialect,
    depth: usize,
    pub(super) steps: u32,
    pub(super) failure: Option<Failure>,
    /// What is only bash's, in a text for any `sh`.
    pub(super) foreign: Vec<Failure>,
    pub(super) documents: Vec<HereDocument>,
    /// Here-documents whose lines are still to come.
    pending: Vec<usize>,
    /// The commands in the arithmetic that was read last.
    pub(super) ran: Vec<Piece>,
    /// Names are evaluated as numbers somewhere: their values may have commands in an index.
    pub(super) arithmetic: bool,
}

/// A place to go back to.
pub(super) struct Mark {
    at: usize,
    depth: usize,
    failure: Option<Failure>,
    foreign: usize,
    documents: usize,
    pending: usize,
    arithmetic: bool,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            depth: 0,
            steps: 0,
            failure: None,
            foreign: Vec::new(),
            documents: Vec::new(),
            pending: Vec::new(),
            ran: Vec::new(),
            arithmetic: false,
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// The byte in front.
    pub(super) fn before(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at.checked_sub(1)?).copied()
    }

    /// Goes one character on.
    pub(super) fn bump(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
        self.finish_character();
    }

    /// To the end of the character that is begun.
    pub(super) fn finish_character(&mut self) {
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    pub(super) fn fail(&mut self, why: &str) {
        if self.failure.is_none() {
            let (start, end) = (self.at.min(self.text.len()), self.text.len());
            let early = if start == end { ", where the text ends" } else { "" };
            self.failure = Some(Failure { at: start..end, why: format!("{why}{early}") });
        }
        self.at = self.text.len();
    }

    pub(super) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn at_its_limit(&self) -> bool {
        self.steps > MOST_STEPS || self.depth > DEEPEST
    }

    pub(super) fn step(&mut self) {
        self.steps = self.steps.saturating_add(1);
        if self.steps > MOST_STEPS {
            self.fail("it is too complicated to be read");
        }
    }

    /// Enters something; `false` at the limit.
    pub(super) fn deeper(&mut self) -> bool {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.fail("it is nested too deeply to be read");
        }
        self.depth <= DEEPEST
    }

    pub(super) fn shallower(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// What stands here is not read alike by every `sh`.
    pub(super) fn bash_only(&mut self, what: &str) {
        self.bash_only_at(self.at, what);
    }

    fn bash_only_at(&mut self, start: usize, what: &str) {
        if self.dialect == Dialect::Sh {
            let why = format!("{what}, which not every sh reads alike");
            self.foreign.push(Failure { at: start..self.text.len(), why });
        }
    }

    pub(super) fn expect(&mut self, byte: u8) {
        self.blanks();
        if self.peek() == Some(byte) {
            self.bump();
        } else {
            self.unexpected();
        }
    }

    fn unexpected(&mut self) {
        self.fail("syntax that the shell does not have");
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            depth: self.depth,
            failure: self.failure.clone(),
            foreign: self.foreign.len(),
            documents: self.documents.len(),
            pending: self.pending.len(),
            arithmetic: self.arithmetic,
        }
    }

    pub(super) fn reset(&mut self, mark: Mark) {
        let Mark { at, depth, failure, foreign, documents, pending, arithmetic } = mark;
        (self.at, self.depth, self.failure, self.arithmetic) = (at, depth, failure, arithmetic);
        self.foreign.truncate(foreign);
        self.documents.truncate(documents);
        self.pending.truncate(pending);
    }

    /// Reads another text with what is left of the limits.
    pub(super) fn elsewhere(
        &mut self,
        text: &str,
        base: Base,
        read: impl FnOnce(&mut Parser<'_>) -> Vec<Node>,
    ) -> Vec<Node> {
        if !self.deeper() {
            return Vec::new();
        }
        let mut inner = Parser::new(text, self.dialect);
        (inner.depth, inner.steps) = (self.depth, self.steps);
        inner.documents = std::mem::take(&mut self.documents);
        let nodes = read(&mut inner);
        let Parser { steps, failure, foreign, documents, arithmetic, .. } = inner;
        (self.steps, self.documents) = (steps, documents);
        self.arithmetic |= arithmetic;
        let outside = |Failure { at, why }| Failure { at: base.map(&at), why };
        self.foreign.extend(foreign.into_iter().map(outside));
        self.shallower();
        if let Some(failure) = failure
            && self.failure.is_none()
        {
            self.failure = Some(outside(failure));
            self.at = self.text.len();
        }
        vec![Node::Elsewhere(base, text.to_owned(), nodes)]
    }

    /// A whole text.
    pub(super) fn script(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        nodes.append(&mut self.list(&[]));
        if !self.failed() && self.at < self.text.len() {
            self.unexpected();
        }
        if !self.failed() && !self.pending.is_empty() {
            self.fail("a here-document without its end");
        }
        nodes
    }

    /// Blanks, comments and joined lines.
    pub(super) fn blanks(&mut self) {
        loop {
            match (self.peek(), self.peek_at(1)) {
                (Some(b' ' | b'\t'), _) => self.bump(),
                (Some(b'\\'), Some(b'\n')) => self.at += 2,
                (Some(b'#'), _) if self.before().is_none_or(is_meta) => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.bump();
                    }
                }
                _ => break,
            }
        }
    }

    fn newlines(&mut self) {
        self.blanks();
        while self.peek() == Some(b'\n') {
            self.newline();
            self.blanks();
        }
    }

    fn newline(&mut self) {
        self.bump();
        for index in std::mem::take(&mut self.pending) {
            self.here_document(index);
        }
    }

    /// Commands up to one of these words, a `)` or `;;` where a command could begin, or the end.
    pub(super) fn list(&mut self, ends: &[&str]) -> Vec<Node> {
        let mut nodes = Vec::new();
        if !self.deeper() {
            return nodes;
        }
        loop {
            self.step();
            self.newlines();
            match self.peek() {
                None | Some(b')') => break,
                Some(b';') => {
                    if !matches!(self.peek_at(1), Some(b';' | b'&')) {
                        self.unexpected();
                    }
                    break;
                }
                _ if self.reserved().is_some_and(|word| ends.contains(&word)) => break,
                _ => {}
            }
            let before = self.at;
            let node = self.and_or();
            self.blanks();
            match (self.peek(), self.peek_at(1)) {
                (Some(b'&'), _) => {
                    self.bump();
                    nodes.push(Node::Within(Way::Background, node));
                }
                (Some(b';'), Some(b';' | b'&')) => nodes.extend(node),
                (Some(b';' | b'\n'), _) => {
                    if self.peek() == Some(b'\n') {
                        self.newline();
                    } else {
                        self.bump();
                    }
                    nodes.extend(node);
                }
                (None | Some(b')'), _) => nodes.extend(node),
                _ => {
                    nodes.extend(node);
                    // After a compound command a closing word may stand without a separator.
                    let closes = self.reserved().is_some_and(|word| ends.contains(&word));
                    if !closes || self.at == before {
                        self.unexpected();
                    }
                }
            }
        }
        self.shallower();
        nodes
    }

    /// A list that must not be empty.
    pub(super) fn some(&mut self, ends: &[&str]) -> Vec<Node> {
        let nodes = self.list(ends);
        if nodes.is_empty() {
            self.unexpected();
        }
        nodes
    }

    fn and_or(&mut self) -> Vec<Node> {
        let mut nodes = self.pipeline();
        loop {
            self.blanks();
            let way = match (self.peek(), self.peek_at(1)) {
                (Some(b'&'), Some(b'&')) => Way::And,
                (Some(b'|'), Some(b'|')) => Way::Or,
                _ => return nodes,
            };
            self.at += 2;
            self.newlines();
            let right = self.pipeline();
            nodes.push(Node::Within(way, right));
        }
    }

    fn pipeline(&mut self) -> Vec<Node> {
        self.blanks();
        match self.reserved() {
            Some("!") => {
                self.bump();
                if !self.deeper() {
                    return Vec::new();
                }
                let node = self.pipeline();
                self.shallower();
                return vec![Node::Within(Way::Negated, node)];
            }
            _ if self.time() => {
                let node = if self.ends_command() { Vec::new() } else { self.pipeline() };
                return vec![Node::Within(Way::Timed, node)];
            }
            _ => {}
        }
        let mut nodes = self.command();
        loop {
            self.blanks();
            match (self.peek(), self.peek_at(1)) {
                (Some(b'|'), Some(b'|')) => return nodes,
                (Some(b'|'), next) => {
                    if next == Some(b'&') {
                        self.bash_only("|&");
                        self.bump();
                    }
                    self.bump();
                    self.newlines();
                    let right = self.command();
                    nodes.push(Node::Within(Way::Pipe, right));
                }
                _ => return nodes,
            }
        }
    }

    fn ends_command(&mut self) -> bool {
        self.blanks();
        matches!(self.peek(), None | Some(b'\n' | b';' | b')'))
    }

    /// `time [-p] [--]` in front of a pipeline, where it is a word of the shell.
    fn time(&mut self) -> bool {
        if self.dialect == Dialect::Sh || self.bare_word() != "time" {
            return false;
        }
        self.skip_bare_word();
        for option in ["-p", "--"] {
            self.blanks();
            if self.bare_word() == option {
                self.skip_bare_word();
            }
        }
        true
    }

    /// The word that begins here as far as nothing of it is quoted, lines joined.
    fn bare_word(&self) -> String {
        let mut out = String::new();
        let mut bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        loop {
            match bytes {
                [b'\\', b'\n', rest @ ..] => bytes = rest,
                [byte, rest @ ..] if !is_meta(*byte) && out.len() < 16 => {
                    out.push(char::from(*byte));
                    bytes = rest;
                }
                _ => return out,
            }
        }
    }

    fn skip_bare_word(&mut self) {
        while let Some(byte) = self.peek() {
            match (byte, self.peek_at(1)) {
                (b'\\', Some(b'\n')) => self.at += 2,
                _ if is_meta(byte) => break,
                _ => self.bump(),
            }
        }
    }

    /// The word of the grammar that begins here.
    fn reserved(&self) -> Option<&'static str> {
        let word = self.bare_word();
        RESERVED.into_iter().find(|reserved| *reserved == word)
    }

    fn want(&mut self, word: &str) {
        self.newlines();
        if self.reserved() == Some(RESERVED.into_iter().find(|own| *own == word).unwrap_or("")) {
            self.skip_bare_word();
        } else {
            self.unexpected();
        }
    }

    fn command(&mut self) -> Vec<Node> {
        self.blanks();
        if !self.deeper() {
            return Vec::new();
        }
        let nodes = match self.compound() {
            Some(nodes) => self.redirected(nodes),
            None => self.simple(),
        };
        self.shallower();
        nodes
    }

    /// Redirections behind a compound command.
    fn redirected(&mut self, nodes: Vec<Node>) -> Vec<Node> {
        let mut redirections = Vec::new();
        self.blanks();
        while let Some(redirection) = self.redirection() {
            redirections.push(redirection);
            self.blanks();
        }
        if redirections.is_empty() { nodes } else { vec![Node::Redirected(nodes, redirections)] }
    }

    fn compound(&mut self) -> Option<Vec<Node>> {
        if self.peek() == Some(b'(') {
            if self.peek_at(1) == Some(b'(') {
                let start = self.at;
                if self.arithmetic(2) {
                    self.bash_only_at(start, "((…))");
                    let at = self.at..self.at;
                    return Some(vec![Node::Expanded(vec![Word {
                        pieces: std::mem::take(&mut self.ran),
                        at,
                    }])]);
                }
            }
            self.bump();
            return Some(self.nested(Way::Subshell));
        }
        let word = self.reserved()?;
        if matches!(word, "[[" | "function" | "coproc" | "select") {
            self.bash_only(word);
        }
        self.skip_bare_word();
        Some(match word {
            "{" => {
                let nodes = self.some(&["}"]);
                self.want("}");
                nodes
            }
            "if" => self.conditional(),
            "while" | "until" => {
                let mut nodes = self.some(&["do"]);
                nodes.extend(self.body());
                vec![Node::Within(Way::Loop, nodes)]
            }
            "for" | "select" => self.for_each(),
            "case" => self.case(),
            "[[" => self.test(),
            "function" => {
                self.blanks();
                let name = self.word(Until::Operator).bare().unwrap_or_default().to_owned();
                self.blanks();
                if self.peek() == Some(b'(') {
                    self.bump();
                    self.expect(b')');
                }
                self.function(name)
            }
            "coproc" => self.coprocess(),
            _ => {
                self.unexpected();
                Vec::new()
            }
        })
    }

    fn function(&mut self, name: String) -> Vec<Node> {
        if name.is_empty() {
            self.unexpected();
        }
        self.newlines();
        let is_compound = self.peek() == Some(b'(')
            || matches!(
                self.reserved(),
                Some("{" | "if" | "while" | "until" | "for" | "select" | "case" | "[[")
            );
        if !is_compound {
            self.unexpected();
        }
        vec![Node::Function(name, self.command())]
    }

    /// `coproc [NAME] command`: a name stands only before a compound command.
    fn coprocess(&mut self) -> Vec<Node> {
        self.blanks();
        let before = self.mark();
        let name = self.word(Until::Operator);
        self.blanks();
        if self.peek() != Some(b'(') && self.reserved().is_none() {
            self.reset(before);
        } else if !name.bare().is_some_and(is_name) {
            self.unexpected();
        }
        vec![Node::Within(Way::Coprocess, self.command())]
    }

    fn conditional(&mut self) -> Vec<Node> {
        let mut nodes = self.some(&["then"]);
        self.want("then");
        nodes.extend(self.some(&["elif", "else", "fi"]));
        while self.reserved() == Some("elif") {
            self.skip_bare_word();
            nodes.extend(self.some(&["then"]));
            self.want("then");
            nodes.extend(self.some(&["elif", "else", "fi"]));
        }
        if self.reserved() == Some("else") {
            self.skip_bare_word();
            nodes.extend(self.some(&["fi"]));
        }
        self.want("fi");
        vec![Node::Within(Way::Branch, nodes)]
    }

    /// `do … done`.
    fn body(&mut self) -> Vec<Node> {
        self.want("do");
        let nodes = self.some(&["done"]);
        self.want("done");
        nodes
    }

    fn for_each(&mut self) -> Vec<Node> {
        self.blanks();
        let mut nodes = Vec::new();
        if self.peek() == Some(b'(') && self.peek_at(1) == Some(b'(') {
            self.bash_only("for ((…))");
            if !self.arithmetic(2) {
                self.unexpected();
            }
            let pieces = std::mem::take(&mut self.ran);
            nodes.push(Node::Expanded(vec![Word { pieces, at: self.at..self.at }]));
        } else {
            if !self.word(Until::Operator).bare().is_some_and(is_name) {
                self.unexpected();
            }
            self.newlines();
            if self.bare_word() == "in" {
                self.skip_bare_word();
                let mut words = Vec::new();
                loop {
                    self.blanks();
                    let word = self.word(Until::Operator);
                    if word.pieces.is_empty() && word.at.is_empty() {
                        break;
                    }
                    words.push(word);
                }
                nodes.push(Node::Expanded(words));
            }
        }
        self.blanks();
        if self.peek() == Some(b';') {
            self.bump();
        }
        self.newlines();
        if self.reserved() == Some("{") {
            self.skip_bare_word();
            nodes.extend(self.some(&["}"]));
            self.want("}");
        } else {
            nodes.extend(self.body());
        }
        vec![Node::Within(Way::Loop, nodes)]
    }

    fn case(&mut self) -> Vec<Node> {
        self.blanks();
        let mut nodes = vec![Node::Expanded(vec![self.word(Until::Operator)])];
        self.newlines();
        if self.bare_word() == "in" {
            self.skip_bare_word();
        } else {
            self.unexpected();
        }
        loop {
            self.newlines();
            if self.failed() || self.peek().is_none() {
                self.unexpected();
                break;
            }
            if self.reserved() == Some("esac") {
                self.skip_bare_word();
                break;
            }
            if self.peek() == Some(b'(') {
                self.bump();
            }
            loop {
                self.blanks();
                let pattern = self.word(Until::Operator);
                if pattern.at.is_empty() {
                    self.unexpected();
                }
                nodes.push(Node::Expanded(vec![pattern]));
                self.blanks();
                if self.peek() != Some(b'|') {
                    break;
                }
                self.bump();
            }
            self.expect(b')');
            nodes.extend(self.list(&["esac"]));
            if self.peek() == Some(b';') {
                self.bump(); // `;;`, `;&` or `;;&`: the list has seen to it
                self.bump();
                if self.peek() == Some(b'&') && self.before() == Some(b';') {
                    self.bump();
                }
            } else if self.reserved() != Some("esac") {
                self.unexpected();
            }
        }
        vec![Node::Within(Way::Branch, nodes)]
    }

    /// The rest of `[[ … ]]`.
    fn test(&mut self) -> Vec<Node> {
        let mut words = Vec::new();
        let mut until = Until::Operator;
        loop {
            self.step();
            self.newlines();
            let operator = match (self.peek(), self.peek_at(1)) {
                (None, _) => {
                    self.unexpected();
                    break;
                }
                (Some(b'&'), Some(b'&')) | (Some(b'|'), Some(b'|')) => 2,
                (Some(b'<' | b'>'), Some(b'(')) => 0,
                (Some(b'(' | b')'), _) if until == Until::Operator => 1,
                (Some(b'<' | b'>'), _) => 1,
                _ => 0,
            };
            if operator > 0 {
                self.at += operator;
                continue;
            }
            let word = self.word(until);
            match word.bare() {
                Some("]]") => break,
                Some("=~" | "==" | "!=" | "=") => until = Until::Pattern,
                Some("-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" | "-v" | "-R") => {
                    self.arithmetic = true;
                    until = Until::Operator;
                }
                _ => until = Until::Operator,
            }
            if word.at.is_empty() {
                self.unexpected();
                break;
            }
            words.push(word);
        }
        vec![Node::Expanded(words)]
    }

    fn simple(&mut self) -> Vec<Node> {
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
    fn starts_parameters(&mut self, command: &Simple) -> bool {
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

    fn definition(&mut self, command: &Simple) -> Vec<Node> {
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
    fn assignment(&mut self) -> Option<Assignment> {
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

    fn array(&mut self) -> Word {
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

    /// A redirection, if one begins here: bash(1), "REDIRECTION".
    fn redirection(&mut self) -> Option<Redirect> {
        let start = self.at;
        let bytes = self.text.as_bytes().get(start..).unwrap_or_default();
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let named = match bytes {
            [b'{', rest @ ..] => rest
                .iter()
                .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
                .filter(|end| *end > 0 && rest.get(*end) == Some(&b'}'))
                .map_or(0, |end| end + 2),
            _ => 0,
        };
        let number = digits.max(named);
        let operators = ["&>>", "&>", "<<<", "<<-", "<<", "<&", "<>", "<", ">>", ">&", ">|", ">"];
        let rest = self.text.get(start + number..).unwrap_or_default();
        let operator = operators.into_iter().find(|operator| rest.starts_with(operator))?;
        if (operator.starts_with('&') && number > 0)
            || (matches!(operator, "<" | ">") && rest.as_bytes().get(1) == Some(&b'('))
        {
            return None;
        }
        if operator.starts_with('&') || operator == "<<<" || named > 0 {
            self.bash_only(if named > 0 { "{name}>" } else { operator });
        }
        self.at = start + number + operator.len();
        self.blanks();
        if matches!(operator, "<<" | "<<-") {
            return Some(self.here(operator == "<<-"));
        }
        let word = self.word(Until::Operator);
        if word.at.is_empty() {
            self.unexpected();
        }
        let is_number = word
            .bare()
            .is_some_and(|text| text.trim_end_matches('-').bytes().all(|b| b.is_ascii_digit()));
        Some(match operator {
            "<<<" => Redirect::HereString(word),
            "<&" => Redirect::Duplicate(word),
            ">&" if is_number => Redirect::Duplicate(word),
            "<" => Redirect::File {
                writes: false,
                input: digits == 0 || rest_is(bytes, b"0"),
                file: word,
            },
            "<>" => Redirect::File { writes: true, input: true, file: word },
            _ => Redirect::File { writes: true, input: false, file: word },
        })
    }

    /// The delimiter of a here-document, whose lines come later.
    fn here(&mut self, strips_tabs: bool) -> Redirect {
        let start = self.at;
        let word = self.word(Until::Operator);
        let written = self.slice(start, self.at);
        if word.at.is_empty() || written.contains(['$', '`', '\n']) {
            self.fail("a here-document whose end is not plain");
        }
        let quoted = written.contains(['\'', '"', '\\']);
        let mut delimiter = String::new();
        for piece in &word.pieces {
            match piece {
                Piece::Text { text, quoted: _ } => delimiter.push_str(text),
                // A pattern means nothing here.
                Piece::Unknown { splits: true } => {}
                _ => self.fail("a here-document whose end is not plain"),
            }
        }
        self.documents.push(HereDocument {
            delimiter,
            quoted,
            strips_tabs,
            ..HereDocument::default()
        });
        let index = self.documents.len() - 1;
        self.pending.push(index);
        Redirect::Here(index)
    }

    /// The lines of a here-document: from here to its delimiter.
    fn here_document(&mut self, index: usize) {
        let Some(document) = self.documents.get(index).cloned() else { return };
        let HereDocument { delimiter, quoted, strips_tabs, .. } = document;
        let start = self.at;
        let mut body = String::new();
        let mut joined = false; // the line goes on from the one before
        let mut verbatim = true;
        loop {
            self.step();
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                self.fail("a here-document without its end");
                return;
            }
            let line = rest.split_inclusive('\n').next().unwrap_or_default();
            self.at += line.len();
            let shown = if strips_tabs && !joined { line.trim_start_matches('\t') } else { line };
            verbatim &= shown.len() == line.len();
            if !joined && shown.strip_suffix('\n').unwrap_or(shown) == delimiter {
                break;
            }
            body.push_str(shown);
            let backslashes =
                line.trim_end_matches('\n').bytes().rev().take_while(|b| *b == b'\\').count();
            joined = !quoted && backslashes % 2 == 1;
        }
        let base = if verbatim { Base::Exact(start) } else { Base::Whole(start..self.at) };
        let word = if quoted {
            Word { pieces: vec![Piece::Text { text: body, quoted: true }], at: start..self.at }
        } else {
            let mut pieces = Vec::new();
            self.elsewhere(&body, base.clone(), |inner| {
                let mut out = Pieces::default();
                while let Some(byte) = inner.peek() {
                    inner.step();
                    inner.in_double_quotes(byte, &mut out, 0);
                }
                pieces = out.0;
                Vec::new()
            });
            for piece in &mut pieces {
                match piece {
                    Piece::Run(nodes) => {
                        let inner = std::mem::take(nodes);
                        *nodes = vec![Node::Elsewhere(base.clone(), body.clone(), inner)];
                    }
                    Piece::Unknown { splits } => *splits = false,
                    Piece::Text { .. } => {}
                }
            }
            Word { pieces, at: start..self.at }
        };
        if let Some(document) = self.documents.get_mut(index) {
            document.verbatim = verbatim && quoted;
            document.body = word;
        }
    }
}

fn rest_is(bytes: &[u8], digit: &[u8]) -> bool {
    bytes.starts_with(digit) && bytes.get(digit.len()) == Some(&b'<')
}

/// A name: bash(1), "DEFINITIONS".
fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
