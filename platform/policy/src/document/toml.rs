//! TOML to values. `toml_parser` knows the syntax; what its events amount to is told here, piece
//! by piece and without its own copies of the text: some hundred rules are read at every start.

use super::{Key, Made, Node, SyntaxError, Table, Value};
use std::borrow::Cow;
use std::mem;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::{Token, TokenKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Source, Span};

/// Arrays and inline tables in each other, at most.
const DEPTH: u32 = 80;

/// Keys on the way to a value, at most: each stands for a table in which the next one stands.
const KEYS: usize = 80;

/// Reads a text. Where it is no TOML, the errors say so, and the table holds what can be told.
pub(crate) fn parse(text: &str) -> (Table<'_>, Vec<SyntaxError>) {
    let source = Source::new(text);
    let mut errors = Vec::new();
    let mut builder = Builder::new(source);
    let mut tokens = Vec::new();
    let mut depth = 0i32;
    let mut starts_line = false;
    for token in source.lex() {
        let kind = token.kind();
        // A header begins a piece that can be read on its own.
        if kind == TokenKind::LeftSquareBracket && depth == 0 && starts_line {
            read(source, &mut tokens, &mut builder, &mut errors);
        }
        starts_line = kind == TokenKind::Newline || starts_line && kind == TokenKind::Whitespace;
        depth += match kind {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => -1,
            _ => 0,
        };
        tokens.push(token);
    }
    read(source, &mut tokens, &mut builder, &mut errors);
    let root = builder.finish(&mut errors);
    let mut errors: Vec<_> = errors.into_iter().map(SyntaxError::from).collect();
    errors.sort_by_key(|error| error.at);
    (root, errors)
}

fn read(
    source: Source<'_>,
    tokens: &mut Vec<Token>,
    builder: &mut Builder<'_>,
    errors: &mut Vec<ParseError>,
) {
    let mut validated = ValidateWhitespace::new(builder, source);
    parse_document(tokens, &mut RecursionGuard::new(&mut validated, DEPTH), errors);
    builder.close_open();
    tokens.clear();
}

impl From<ParseError> for SyntaxError {
    fn from(error: ParseError) -> Self {
        let at = error.unexpected().or(error.context()).map_or(0, |span| span.start());
        let mut message = error.description().to_owned();
        let words = error.expected().into_iter().flatten().filter_map(|expected| match expected {
            Expected::Literal("\n") => Some("a new line".to_owned()),
            Expected::Literal(literal) => Some(format!("`{literal}`")),
            Expected::Description(words) => Some((*words).to_owned()),
            _ => None,
        });
        for (number, words) in words.enumerate() {
            message += if number == 0 { ", expected " } else { " or " };
            message += &words;
        }
        Self { at, message }
    }
}

/// What a header opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// `[name]`
    Table,
    /// `[[name]]`
    Array,
}

/// A value that is not complete.
enum Open<'t> {
    Array {
        at: usize,
        items: Vec<Node<'t>>,
    },
    /// With the keys that lead to it.
    Table {
        at: usize,
        table: Table<'t>,
        outer: Vec<Key<'t>>,
    },
}

struct Builder<'t> {
    source: Source<'t>,
    root: Table<'t>,
    /// What the current header opened, and the table under it; the root's own keys before any.
    header: Option<(Header, usize, Vec<Key<'t>>)>,
    section: Table<'t>,
    in_header: Option<(Header, usize)>,
    /// The dotted key that is being read.
    keys: Vec<Key<'t>>,
    open: Vec<Open<'t>>,
}

impl<'t> Builder<'t> {
    fn new(source: Source<'t>) -> Self {
        Self {
            source,
            root: Table::new(Made::Header),
            header: None,
            section: Table::new(Made::Header),
            in_header: None,
            keys: Vec::new(),
            open: Vec::new(),
        }
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'t> {
        let text = self.source.input().get(span.start()..span.end()).unwrap_or_default();
        Raw::new_unchecked(text, encoding, span)
    }

    fn value(&mut self, node: Node<'t>, error: &mut dyn ErrorSink) {
        match self.open.last_mut() {
            Some(Open::Array { items, .. }) => items.push(node),
            Some(Open::Table { table, .. }) => assign(table, &mut self.keys, node, error),
            None => assign(&mut self.section, &mut self.keys, node, error),
        }
    }

    fn close(&mut self, error: &mut dyn ErrorSink) {
        let node = match self.open.pop() {
            Some(Open::Array { at, items }) => Node { at, value: Value::Array(items) },
            Some(Open::Table { at, table, outer }) => {
                self.keys = outer;
                Node { at, value: Value::Table(table) }
            }
            None => return,
        };
        self.value(node, error);
    }

    /// What a text leaves open at its end has been reported; it holds as far as it goes.
    fn close_open(&mut self) {
        while !self.open.is_empty() {
            self.close(&mut ());
        }
        self.keys.clear();
        self.in_header = None;
    }

    fn open_header(&mut self, header: Header, span: Span) {
        self.in_header = Some((header, span.start()));
        self.keys.clear();
    }

    fn close_header(&mut self, error: &mut dyn ErrorSink) {
        let Some((header, at)) = self.in_header.take() else { return };
        self.keep_section(error);
        self.header = Some((header, at, mem::take(&mut self.keys)));
    }

    /// Puts the section that ends where its header says.
    fn keep_section(&mut self, error: &mut dyn ErrorSink) {
        let section = mem::replace(&mut self.section, Table::new(Made::Header));
        let Some((header, at, mut path)) = self.header.take() else {
            self.root = section;
            return;
        };
        let Some(last) = path.pop() else { return };
        let mut table = &mut self.root;
        for key in path {
            let span = span_of(&key);
            let Some(inner) = implied(table, key) else {
                return duplicate(span, error);
            };
            table = inner;
        }
        let Some(node) = table.get_mut(&last.name) else {
            let node = Node { at, value: Value::Table(section) };
            let node = match header {
                Header::Table => node,
                Header::Array => Node { at, value: Value::Array(vec![node]) },
            };
            table.push(last, node);
            return;
        };
        let span = span_of(&last);
        match (&mut node.value, header) {
            (Value::Array(items), Header::Array) if is_array_of_headers(items) => {
                items.push(Node { at, value: Value::Table(section) });
            }
            (Value::Table(before), Header::Table) => {
                // Said twice, or said by dotted keys or braces before: no TOML, but still meant.
                if before.made != Made::Implied {
                    duplicate(span, error);
                }
                if before.made != Made::Inline {
                    before.made = Made::Header;
                }
                join(before, section, error);
            }
            _ => duplicate(span, error),
        }
    }

    fn finish(mut self, errors: &mut Vec<ParseError>) -> Table<'t> {
        self.keep_section(errors);
        self.root
    }
}

/// What a key leads to on the way to another: a table of this making where there is nothing yet.
fn on_the_way<'a, 't>(
    table: &'a mut Table<'t>,
    key: Key<'t>,
    made: Made,
) -> Option<&'a mut Value<'t>> {
    if !table.contains(&key.name) {
        let node = Node { at: key.at, value: Value::Table(Table::new(made)) };
        return Some(&mut table.push(key, node).value);
    }
    table.get_mut(&key.name).map(|node| &mut node.value)
}

/// The table that a header's path leads through.
fn implied<'a, 't>(table: &'a mut Table<'t>, key: Key<'t>) -> Option<&'a mut Table<'t>> {
    match on_the_way(table, key, Made::Implied)? {
        Value::Table(inner) if inner.made != Made::Inline => Some(inner),
        Value::Array(items) if is_array_of_headers(items) => match &mut items.last_mut()?.value {
            Value::Table(inner) => Some(inner),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `[[name]]` made it, and so may add to it.
fn is_array_of_headers(items: &[Node<'_>]) -> bool {
    let by_header =
        |item: &Node<'_>| matches!(&item.value, Value::Table(table) if table.made == Made::Header);
    items.first().is_some_and(by_header)
}

/// Puts a value where a dotted key says, which is used up.
fn assign<'t>(
    table: &mut Table<'t>,
    keys: &mut Vec<Key<'t>>,
    node: Node<'t>,
    error: &mut dyn ErrorSink,
) {
    let Some(last) = keys.pop() else { return };
    let mut table = table;
    for key in keys.drain(..) {
        let span = span_of(&key);
        table = match on_the_way(table, key, Made::Dotted) {
            Some(Value::Table(inner)) if inner.made == Made::Dotted => inner,
            _ => return duplicate(span, error),
        };
    }
    if table.contains(&last.name) {
        return duplicate(span_of(&last), error);
    }
    table.push(last, node);
}

/// Adds what a section says to what headers of tables in it said before.
fn join<'t>(before: &mut Table<'t>, section: Table<'t>, error: &mut dyn ErrorSink) {
    for (key, node) in section.into_entries() {
        match before.get_mut(&key.name) {
            None => {
                before.push(key, node);
            }
            Some(old) => {
                duplicate(span_of(&key), error);
                if let (Value::Table(old), Value::Table(new)) = (&mut old.value, node.value) {
                    join(old, new, &mut ());
                }
            }
        }
    }
}

fn span_of(key: &Key<'_>) -> Span {
    Span::new_unchecked(key.at, key.at + key.name.len())
}

fn duplicate(span: Span, error: &mut dyn ErrorSink) {
    error.report_error(ParseError::new("the key stands here twice").with_unexpected(span));
}

impl EventReceiver for Builder<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_header(Header::Table, span);
    }

    fn std_table_close(&mut self, _: Span, error: &mut dyn ErrorSink) {
        self.close_header(error);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_header(Header::Array, span);
    }

    fn array_table_close(&mut self, _: Span, error: &mut dyn ErrorSink) {
        self.close_header(error);
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        let (table, outer) = (Table::new(Made::Inline), mem::take(&mut self.keys));
        self.open.push(Open::Table { at: span.start(), table, outer });
        true
    }

    fn inline_table_close(&mut self, _: Span, error: &mut dyn ErrorSink) {
        self.close(error);
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open.push(Open::Array { at: span.start(), items: Vec::new() });
        true
    }

    fn array_close(&mut self, _: Span, error: &mut dyn ErrorSink) {
        self.close(error);
    }

    fn simple_key(&mut self, span: Span, kind: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut name = Cow::Borrowed("");
        self.raw(span, kind).decode_key(&mut name, error);
        let outer = self.open.iter().map(|open| match open {
            Open::Array { .. } => 0,
            Open::Table { outer, .. } => outer.len(),
        });
        let depth = self.keys.len() + outer.sum::<usize>();
        if depth == KEYS {
            let message = "a key that stands below eighty others";
            error.report_error(ParseError::new(message).with_unexpected(span));
        }
        // What follows is the same error.
        if depth <= KEYS {
            self.keys.push(Key { at: span.start(), name });
        }
    }

    fn scalar(&mut self, span: Span, kind: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        let raw = self.raw(span, kind);
        let value = match raw.decode_scalar(&mut text, error) {
            ScalarKind::String => Value::String(text),
            ScalarKind::Boolean(value) => Value::Boolean(value),
            ScalarKind::Integer(radix) => match i64::from_str_radix(&text, radix.value()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Other(raw.as_str().into()),
            },
            ScalarKind::Float | ScalarKind::DateTime => Value::Other(raw.as_str().into()),
        };
        self.value(Node { at: span.start(), value }, error);
    }

    fn newline(&mut self, _: Span, error: &mut dyn ErrorSink) {
        // A header that was not closed means what it says so far.
        self.close_header(error);
        if self.open.is_empty() {
            // A key that had no value.
            self.keys.clear();
        }
    }
}

#[cfg(test)]
mod tests;
