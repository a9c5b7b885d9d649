//! What stands behind `$` and between backquotes.

use super::parser::Parser;
use super::quoting::Pieces;
use super::syntax::{Node, Piece};
use crate::walk::Base;
use crate::{Dialect, Way};

impl Parser<'_> {
    /// `$…`, in double quotes or not.
    pub(super) fn dollar(&mut self, out: &mut Pieces, quoted: bool) {
        self.bump();
        match self.peek() {
            Some(b'(') => {
                if self.peek_at(1) == Some(b'(') && self.arithmetic(2) {
                    out.0.append(&mut self.ran);
                } else {
                    self.bump();
                    let nodes = self.nested(Way::Substitution);
                    out.0.push(Piece::Run(nodes));
                }
                out.unknown(!quoted);
            }
            Some(b'[') if self.dialect != Dialect::Sh => {
                self.bump();
                self.index(out);
                out.unknown(!quoted);
            }
            Some(b'{') => {
                self.bump();
                self.parameter(out, quoted);
                out.unknown(!quoted);
            }
            Some(b'\'') if !quoted => {
                self.bash_only("$'…'");
                self.bump();
                self.ansi_quoted(out);
            }
            Some(b'"') if !quoted => {
                self.bash_only("$\"…\"");
                self.bump();
                self.double_quoted(out);
                // What it says in another language is in a file.
                out.unknown(false);
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    self.bump();
                }
                // zsh and bash read an index here only where braces stand; zsh does without them.
                if self.dialect == Dialect::Zsh && self.peek() == Some(b'[') {
                    self.bump();
                    self.index(out);
                }
                out.unknown(!quoted);
            }
            Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!' | b'0'..=b'9') => {
                self.bump();
                out.unknown(!quoted || matches!(self.before(), Some(b'@' | b'*')));
            }
            // `$=x` and its like.
            Some(b'=' | b'^' | b'~' | b'+') if self.dialect == Dialect::Zsh => out.unknown(true),
            _ => out.text("$", quoted),
        }
    }

    /// The commands up to the `)` that ends them.
    pub(super) fn nested(&mut self, way: Way) -> Vec<Node> {
        if !self.deeper() {
            return Vec::new();
        }
        let nodes = if way == Way::Subshell { self.some(&[]) } else { self.list(&[]) };
        self.expect(b')');
        self.shallower();
        vec![Node::Within(way, nodes)]
    }

    /// `<(…)` and `>(…)`.
    pub(super) fn process_substitution(&mut self, out: &mut Pieces) {
        self.bash_only("a process substitution");
        self.bump();
        self.bump();
        let nodes = self.nested(Way::ProcessSubstitution);
        out.0.push(Piece::Run(nodes));
        out.unknown(false);
    }

    /// `` `…` ``: a backslash before `$`, `` ` `` and `\` is taken away, and the rest is read.
    pub(super) fn backquoted(&mut self, out: &mut Pieces, quoted: bool) {
        let start = self.at;
        self.bump();
        let inside = self.at;
        let mut text = String::new();
        let mut verbatim = true;
        loop {
            let Some(byte) = self.peek() else {
                self.fail("a backquote that is not closed");
                return;
            };
            let from = self.at;
            self.bump();
            match (byte, self.peek()) {
                (b'`', _) => break,
                (b'\\', Some(next))
                    if matches!(next, b'$' | b'`' | b'\\') || (next == b'"' && quoted) =>
                {
                    verbatim = false;
                    self.bump();
                    text.push(char::from(next));
                }
                _ => {
                    let more = self.slice(from, self.at).to_owned();
                    text.push_str(&more);
                }
            }
        }
        let base = if verbatim { Base::Exact(inside) } else { Base::Whole(start..self.at) };
        let nodes = self.elsewhere(&text, base, |inner| inner.script());
        out.0.push(Piece::Run(vec![Node::Within(Way::Substitution, nodes)]));
        out.unknown(!quoted);
    }

    /// The rest of `${…}`. Only the commands in it matter: its value is not known.
    fn parameter(&mut self, out: &mut Pieces, quoted: bool) {
        if !self.deeper() {
            return;
        }
        if matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'|')) {
            // `${ command; }` of newer shells: what looks like a value runs commands.
            self.fail("`${` with commands in it");
            return;
        }
        if self.dialect == Dialect::Zsh && self.peek() == Some(b'(') {
            self.fail("flags of zsh in `${`");
            return;
        }
        let is_name = |byte: Option<u8>| {
            byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'*'))
        };
        let indirect = self.peek() == Some(b'!') && is_name(self.peek_at(1));
        if indirect {
            self.arithmetic = true; // the name that it stands for may have an index
        }
        if indirect || (self.peek() == Some(b'#') && is_name(self.peek_at(1))) {
            self.bump();
        }
        match self.peek() {
            Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_' => {
                while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    self.bump();
                }
            }
            Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => self.bump(),
            _ => {
                self.fail("`${` without a name");
                return;
            }
        }
        if self.peek() == Some(b'[') {
            self.bump();
            self.index(out);
        }
        let operator = self.peek();
        let names = indirect && self.peek_at(1) == Some(b'}');
        match (operator, self.peek_at(1)) {
            (Some(b'@'), _) if !names => {
                self.fail("`${…@…}`, which can run what a variable says");
                return;
            }
            (Some(b':'), Some(next)) if !matches!(next, b'-' | b'=' | b'?' | b'+') => {
                self.arithmetic = true; // where a part begins, and how long it is
            }
            (
                Some(b'}' | b':' | b'-' | b'=' | b'?' | b'+' | b'#' | b'%' | b'/' | b'^' | b','),
                _,
            )
            | (Some(b'@' | b'*'), _) => {}
            _ => {
                self.fail("syntax that the shell does not have");
                return;
            }
        }
        let patterns = matches!(operator, Some(b'#' | b'%' | b'/' | b'^' | b','));
        // Single quotes quote unless double ones do already, where it is no pattern.
        let single = !quoted || patterns;
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'}' => {
                    self.bump();
                    self.shallower();
                    return;
                }
                b'\\' => {
                    self.bump();
                    self.bump();
                }
                b'\'' if single => {
                    self.bump();
                    let _ = self.until_quote();
                }
                b'"' => {
                    self.bump();
                    let mut inner = Pieces::default();
                    self.double_quoted(&mut inner);
                    out.0.extend(runs(inner.0));
                }
                b'$' => {
                    let mut inner = Pieces::default();
                    self.dollar(&mut inner, quoted);
                    out.0.extend(runs(inner.0));
                }
                b'`' => {
                    let mut inner = Pieces::default();
                    self.backquoted(&mut inner, quoted);
                    out.0.extend(runs(inner.0));
                }
                b'<' | b'>' if self.peek_at(1) == Some(b'(') && !quoted => {
                    let mut inner = Pieces::default();
                    self.process_substitution(&mut inner);
                    out.0.extend(runs(inner.0));
                }
                _ => self.bump(),
            }
        }
        self.fail("`${` that is not closed");
    }

    /// The rest of `[…]` behind a variable's name.
    pub(super) fn index(&mut self, out: &mut Pieces) {
        self.arithmetic = true;
        if !self.deeper() {
            return;
        }
        let mut open = 1;
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'[' => open += 1,
                b']' => open -= 1,
                _ => {}
            }
            if open == 0 {
                self.bump();
                self.shallower();
                return;
            }
            self.in_arithmetic(byte, out);
        }
        self.fail("an index that is not closed");
    }

    /// `((…))` or `$((…))`, whose parentheses begin here: true where it is one, with the commands
    /// in it in `ran`. Otherwise nothing has been read: it is a subshell in a subshell.
    pub(super) fn arithmetic(&mut self, parentheses: usize) -> bool {
        let before = self.mark();
        self.ran.clear();
        for _ in 0..parentheses {
            self.bump();
        }
        if !self.deeper() {
            return true;
        }
        let mut out = Pieces::default();
        let mut open = 0;
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                // It quotes where the parentheses are counted, and not where commands are put in.
                b'\'' => {
                    self.fail("a single quote in arithmetic");
                    return true;
                }
                b'(' => open += 1,
                b')' if open > 0 => open -= 1,
                b')' => {
                    if self.peek_at(1) != Some(b')') {
                        break;
                    }
                    self.bump();
                    self.bump();
                    self.shallower();
                    self.arithmetic = true;
                    self.ran = runs(out.0);
                    return true;
                }
                _ => {}
            }
            self.in_arithmetic(byte, &mut out);
        }
        if self.failed() && self.at_its_limit() {
            return true;
        }
        self.reset(before);
        false
    }

    fn in_arithmetic(&mut self, byte: u8, out: &mut Pieces) {
        match byte {
            b'"' => {
                self.bump();
                self.double_quoted(out);
            }
            b'\\' => {
                self.bump();
                self.bump();
            }
            b'$' => self.dollar(out, true),
            b'`' => self.backquoted(out, true),
            _ => self.bump(),
        }
    }
}

/// Only the commands of these pieces.
pub(super) fn runs(pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.into_iter().filter(|piece| matches!(piece, Piece::Run(_))).collect()
}
