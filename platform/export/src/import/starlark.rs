//! The part of Starlark that Codex's rule files are made of: calls with named arguments, whose
//! values are strings and lists. Anything else is an error, because nobody can know what it does.

use super::ImportError;
use super::node::{Node, Value};

/// One call at the top of the file, its arguments as a table.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Node,
}

/// Deeper than any rule.
const DEEPEST: usize = 16;

struct Parser<'t> {
    file: &'t str,
    text: &'t str,
    at: usize,
}

/// Every call of the file, in its order.
pub(super) fn calls(file: &str, text: &str) -> Result<Vec<Call>, ImportError> {
    let mut parser = Parser { file, text, at: 0 };
    let mut calls = Vec::new();
    loop {
        parser.skip();
        if parser.rest().is_empty() {
            return Ok(calls);
        }
        calls.push(parser.call()?);
    }
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line())
    }

    fn line(&self) -> usize {
        self.text.get(..self.at).unwrap_or_default().matches('\n').count() + 1
    }

    fn wrong(&self, expected: &str) -> ImportError {
        let found: String = self.rest().chars().take(20).collect();
        ImportError::Syntax {
            file: self.file.to_owned(),
            line: self.line(),
            format: "rules",
            found: format!("expected {expected}, found {found:?}"),
        }
    }

    /// Over white space, semicolons and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let space =
                rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';').len();
            self.at += space;
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str) -> Result<(), ImportError> {
        if self.eat(text) { Ok(()) } else { Err(self.wrong(&format!("`{text}`"))) }
    }

    fn word(&mut self) -> Option<&'t str> {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = rest.get(..end).filter(|word| !word.is_empty())?;
        self.at += end;
        Some(word)
    }

    fn call(&mut self) -> Result<Call, ImportError> {
        let place = self.place();
        let name = self.word().ok_or_else(|| self.wrong("a call such as prefix_rule(…)"))?;
        self.expect("(")?;
        let mut entries = Vec::new();
        while !self.eat(")") {
            self.skip();
            let key = self.word().ok_or_else(|| self.wrong("a named argument"))?;
            self.expect("=")?;
            entries.push((key.to_owned(), self.value(0)?));
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        let arguments = Node { place, value: Value::Table(entries) };
        Ok(Call { name: name.to_owned(), arguments })
    }

    fn value(&mut self, depth: usize) -> Result<Node, ImportError> {
        if depth > DEEPEST {
            return Err(ImportError::TooDeep { file: self.file.to_owned() });
        }
        self.skip();
        let place = self.place();
        let rest = self.rest();
        let value = if rest.starts_with(['"', '\'']) {
            Value::Text(self.string()?)
        } else if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.value(depth + 1)?);
                if !self.eat(",") {
                    self.expect("]")?;
                    break;
                }
            }
            Value::List(items)
        } else {
            match self.word() {
                Some("True") => Value::Boolean(true),
                Some("False") => Value::Boolean(false),
                Some("None") => Value::Null,
                Some(number) if number.chars().all(|c| c.is_ascii_digit()) => {
                    Value::Other(number.to_owned())
                }
                _ => return Err(self.wrong("a string or a list")),
            }
        };
        Ok(Node { place, value })
    }

    fn string(&mut self) -> Result<String, ImportError> {
        let rest = self.rest();
        let one = rest.get(..1).unwrap_or("\"");
        let three = one.repeat(3);
        let quote = if rest.starts_with(&three) { three.as_str() } else { one };
        self.at += quote.len();
        let mut out = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(quote) {
                self.at += quote.len();
                return Ok(out);
            }
            let mut characters = rest.chars();
            match characters.next() {
                Some('\\') => {
                    let escaped = characters.next();
                    let plain = match escaped {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('r') => '\r',
                        Some(c @ ('\\' | '"' | '\'')) => c,
                        _ => return Err(self.wrong("an escape that is known")),
                    };
                    out.push(plain);
                    self.at += 1 + escaped.map_or(0, char::len_utf8);
                }
                Some('\n') if quote.len() == 1 => return Err(self.wrong("the end of the string")),
                Some(c) => {
                    out.push(c);
                    self.at += c.len_utf8();
                }
                None => return Err(self.wrong("the end of the string")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_with_their_lines() {
        let text = "# rules\nprefix_rule(\n  pattern = [\"git\", ['push', \"pull\"]],\n)\n\
                    host_executable(name='x', paths=[]);\n";
        let calls = calls("a.rules", text).unwrap();
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["prefix_rule", "host_executable"]);
        let pattern = calls[0].arguments.get("pattern").unwrap();
        assert_eq!(
            (pattern.place.as_str(), pattern.shown()),
            ("a.rules:3", "[git, [push, pull]]".into())
        );
    }

    #[test]
    fn what_is_no_call_is_an_error_with_its_line() {
        for (text, line) in [
            ("x = 1", 1),
            ("\nprefix_rule(pattern=[\"a\"] + [\"b\"])", 2),
            ("prefix_rule(pattern=[\"a\"", 1),
            ("prefix_rule(\n\"a\")", 2),
            ("prefix_rule(a=\"x\n\")", 1),
            ("load(\"x\", y=\"\\q\")", 1),
            (&"prefix_rule(a=".repeat(3), 1),
            (&format!("f(a={})", "[".repeat(100)), 0),
        ] {
            match calls("a.rules", text) {
                Err(ImportError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text}"),
                Err(ImportError::TooDeep { .. }) => assert_eq!(line, 0),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
