//! Lists and pipelines: what stands between commands.

use super::parser::Parser;
use super::syntax::Node;
use crate::{Dialect, Way};

impl Parser<'_> {
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

    pub(super) fn command(&mut self) -> Vec<Node> {
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
}
