//! Compound commands and functions: bash(1), "Compound Commands" and "Shell Function Definitions".

use super::parser::{Parser, is_name};
use super::quoting::Until;
use super::syntax::{Node, Word};
use crate::Way;

impl Parser<'_> {
    pub(super) fn compound(&mut self) -> Option<Vec<Node>> {
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

    pub(super) fn function(&mut self, name: String) -> Vec<Node> {
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
    pub(super) fn coprocess(&mut self) -> Vec<Node> {
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

    pub(super) fn conditional(&mut self) -> Vec<Node> {
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
    pub(super) fn body(&mut self) -> Vec<Node> {
        self.want("do");
        let nodes = self.some(&["done"]);
        self.want("done");
        nodes
    }

    pub(super) fn for_each(&mut self) -> Vec<Node> {
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

    pub(super) fn case(&mut self) -> Vec<Node> {
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
    pub(super) fn test(&mut self) -> Vec<Node> {
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
}
