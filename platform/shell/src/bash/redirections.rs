//! Redirections and here-documents: bash(1), "REDIRECTION".

use super::parser::Parser;
use super::quoting::{Pieces, Until};
use super::syntax::{HereDocument, Node, Piece, Redirect, Word};
use crate::walk::Base;

impl Parser<'_> {
    /// A redirection, if one begins here: bash(1), "REDIRECTION".
    pub(super) fn redirection(&mut self) -> Option<Redirect> {
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
    pub(super) fn here(&mut self, strips_tabs: bool) -> Redirect {
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
    pub(super) fn here_document(&mut self, index: usize) {
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
