//! TOML to values. `toml_parser` knows the syntax; what its events amount to is told here, piece
//! by piece and without its own copies of the text: some hundred rules are read at every start.

mod plain;

use super::{Key, Made, Node, SyntaxError, Table, Value};
use crate::CommandRule;
use plain::{MANY, Opened, Piece, many_header};
use std::borrow::Cow;
use std::mem;
use std::num::IntErrorKind;
use std::sync::Arc;
use toml_datetime::Datetime;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::{Token, TokenKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Source, Span};

/// Arrays and inline tables in each other, at most.
const DEPTH: u32 = 80;

/// Keys on the way to a value, at most: each stands for a table in which the next one stands.
const KEYS: usize = 80;

/// Reads a text. Where it is no TOML, the errors say so, and the table holds what can be told. Of
/// the tables of which there may be thousands each that is plain is offered to `rule`, and left
/// unread.
pub(crate) fn parse<'t>(
    text: &'t str,
    rule: impl Fn(&Table<'t>) -> Option<Arc<CommandRule>>,
) -> (Table<'t>, Vec<SyntaxError>) {
    let mut builder = Builder::new(text);
    let mut scratch = Table::new(Made::Header);
    let mut at = 0;
    loop {
        scratch.clear();
        at = match Piece::read(text, at, &mut scratch) {
            Some(Piece { opened: Opened::ByMany(begin), end }) => {
                builder.add_many(begin, rule(&scratch));
                end
            }
            Some(piece) => builder.add(piece, &mut scratch),
            None => builder.read(at),
        };
        if at >= text.len() {
            break;
        }
    }
    builder.finish()
}

/// The same with nothing taken for plain, which the other is held to.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse_slowly(text: &str) -> (Table<'_>, Vec<SyntaxError>) {
    let mut builder = Builder::new(text);
    let mut at = 0;
    loop {
        at = builder.read(at);
        if at >= text.len() {
            return builder.finish();
        }
    }
}

/// The table of a piece that was left unread, from the offset of its header.
pub(crate) fn piece(text: &str, at: usize) -> Table<'_> {
    let mut table = Table::new(Made::Header);
    // It is plain, or it would have been read.
    let _ = Piece::read(text, at, &mut table);
    table
}

impl SyntaxError {
    /// An error in what begins at this offset of the text.
    fn new(error: &ParseError, begin: usize) -> Self {
        let at = begin + error.unexpected().or(error.context()).map_or(0, |span| span.start());
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
    text: &'t str,
    /// What `toml_parser` reads at the moment, and where in the text it begins.
    source: Source<'t>,
    begin: usize,
    root: Table<'t>,
    /// What the current header opened, and the table under it; the root's own keys before any.
    header: Option<(Header, usize, Vec<Key<'t>>)>,
    section: Table<'t>,
    /// Pieces of the header of which there are many, one after the other; where there are any, they
    /// take the place of the section.
    many: Vec<Node<'t>>,
    in_header: Option<(Header, usize)>,
    /// The dotted key that is being read.
    keys: Vec<Key<'t>>,
    open: Vec<Open<'t>>,
    errors: Vec<SyntaxError>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            source: Source::new(""),
            begin: 0,
            root: Table::new(Made::Header),
            header: None,
            section: Table::new(Made::Header),
            many: Vec::new(),
            in_header: None,
            keys: Vec::new(),
            open: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds a piece that is read into a table already, and gives its end.
    fn add(&mut self, Piece { opened, end }: Piece<'t>, table: &mut Table<'t>) -> usize {
        if let Opened::By(header, at, keys) = opened {
            self.keep_section();
            self.header = Some((header, at, keys));
        }
        mem::swap(&mut self.section, table);
        end
    }

    /// Adds a piece of the header of which there are many.
    fn add_many(&mut self, at: usize, rule: Option<Arc<CommandRule>>) {
        if self.many.is_empty() {
            self.keep_section();
        }
        self.many.push(Node { at, value: Value::Piece(rule) });
    }

    /// Has `toml_parser` read the piece that begins at this offset, and gives its end.
    fn read(&mut self, begin: usize) -> usize {
        let text = self.text;
        let source = Source::new(text.get(begin..).unwrap_or_default());
        let mut tokens: Vec<Token> = Vec::new();
        let mut depth = 0i32;
        let mut starts_line = false;
        let mut end = text.len();
        for token in source.lex() {
            let kind = token.kind();
            // A header begins a piece that can be read on its own.
            if kind == TokenKind::LeftSquareBracket && depth == 0 && starts_line {
                end = begin + token.span().start();
                break;
            }
            starts_line =
                kind == TokenKind::Newline || starts_line && kind == TokenKind::Whitespace;
            depth += match kind {
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => 1,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => -1,
                _ => 0,
            };
            tokens.push(token);
        }
        if let Some(last) = self.many.pop() {
            self.keep_many();
            self.header = Some(many_header(last.at));
            self.section = piece(text, last.at);
        }
        (self.source, self.begin) = (source, begin);
        let mut errors: Vec<ParseError> = Vec::new();
        let mut validated = ValidateWhitespace::new(self, source);
        parse_document(&tokens, &mut RecursionGuard::new(&mut validated, DEPTH), &mut errors);
        self.close_open();
        self.errors.extend(errors.iter().map(|error| SyntaxError::new(error, begin)));
        end
    }

    /// Where a span of what is being read begins in the text.
    fn at(&self, span: Span) -> usize {
        self.begin + span.start()
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'t> {
        let text = self.source.input().get(span.start()..span.end()).unwrap_or_default();
        Raw::new_unchecked(text, encoding, span)
    }

    fn value(&mut self, node: Node<'t>) {
        let Self { section, keys, open, errors, .. } = self;
        match open.last_mut() {
            Some(Open::Array { items, .. }) => items.push(node),
            Some(Open::Table { table, .. }) => assign(table, keys, node, errors),
            None => assign(section, keys, node, errors),
        }
    }

    fn close(&mut self) {
        let node = match self.open.pop() {
            Some(Open::Array { at, items }) => Node { at, value: Value::Array(items) },
            Some(Open::Table { at, table, outer }) => {
                self.keys = outer;
                Node { at, value: Value::Table(table) }
            }
            None => return,
        };
        self.value(node);
    }

    /// What a text leaves open at its end has been reported; it holds as far as it goes.
    fn close_open(&mut self) {
        let reported = self.errors.len();
        while !self.open.is_empty() {
            self.close();
        }
        self.errors.truncate(reported);
        self.keys.clear();
        self.in_header = None;
    }

    fn open_header(&mut self, header: Header, span: Span) {
        self.in_header = Some((header, self.at(span)));
        self.keys.clear();
    }

    fn close_header(&mut self) {
        let Some((header, at)) = self.in_header.take() else { return };
        self.keep_section();
        self.header = Some((header, at, mem::take(&mut self.keys)));
    }

    /// Puts the section that ends where its header says.
    fn keep_section(&mut self) {
        if !self.many.is_empty() {
            return self.keep_many();
        }
        let section = mem::replace(&mut self.section, Table::new(Made::Header));
        match self.header.take() {
            Some(header) => self.keep(header, Value::Table(section)),
            None => self.root = section,
        }
    }

    /// Puts the pieces of the header of which there are many.
    fn keep_many(&mut self) {
        let mut many = mem::take(&mut self.many);
        let Some(first) = many.first() else { return };
        let known = self.errors.len();
        self.keep(many_header(first.at), first.value.clone());
        // Where the first one has its place, so have those that follow at once.
        match self::many(&mut self.root, self.text).filter(|_| self.errors.len() == known) {
            Some(items) if items.len() == 1 => *items = many,
            Some(items) => items.extend(many.drain(1..)),
            None => {
                for node in many.drain(1..) {
                    self.keep(many_header(node.at), node.value);
                }
            }
        }
    }

    /// Puts what a header opened.
    fn keep(&mut self, (header, begin, mut path): (Header, usize, Vec<Key<'t>>), value: Value<'t>) {
        let Self { text, root, errors, .. } = self;
        let Some(last) = path.pop() else { return };
        let mut table = root;
        for key in path {
            let at = key.at;
            let Some(inner) = implied(table, key, text) else {
                return duplicate(at, errors);
            };
            table = inner;
        }
        let at = last.at;
        match (table.get_mut(&last.name).map(|node| &mut node.value), header, value) {
            (None, Header::Table, value) => {
                table.push(last, Node { at: begin, value });
            }
            (None, Header::Array, value) => {
                let items = vec![Node { at: begin, value }];
                table.push(last, Node { at: begin, value: Value::Array(items) });
            }
            (Some(Value::Array(items)), Header::Array, value) if is_array_of_headers(items) => {
                items.push(Node { at: begin, value });
            }
            (Some(Value::Table(before)), Header::Table, Value::Table(section)) => {
                // Said twice, or said by dotted keys or braces before: no TOML, but still meant.
                if before.made != Made::Implied {
                    duplicate(at, errors);
                }
                if before.made != Made::Inline {
                    before.made = Made::Header;
                }
                join(before, section, errors);
            }
            _ => duplicate(at, errors),
        }
    }

    fn finish(mut self) -> (Table<'t>, Vec<SyntaxError>) {
        self.keep_section();
        self.errors.sort_by_key(|error| error.at);
        (self.root, self.errors)
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
fn implied<'a, 't>(
    table: &'a mut Table<'t>,
    key: Key<'t>,
    text: &'t str,
) -> Option<&'a mut Table<'t>> {
    passable(on_the_way(table, key, Made::Implied)?, text)
}

/// The table that a value is on the way of a header.
fn passable<'a, 't>(value: &'a mut Value<'t>, text: &'t str) -> Option<&'a mut Table<'t>> {
    match value {
        Value::Table(inner) if inner.made != Made::Inline => Some(inner),
        Value::Array(items) if is_array_of_headers(items) => {
            let Node { at, value } = items.last_mut()?;
            if let Value::Piece(_) = value {
                *value = Value::Table(piece(text, *at));
            }
            match value {
                Value::Table(inner) => Some(inner),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The tables of which there may be many, where there are any.
fn many<'a, 't>(root: &'a mut Table<'t>, text: &'t str) -> Option<&'a mut Vec<Node<'t>>> {
    let (outer, inner) = MANY;
    let table = passable(&mut root.get_mut(outer)?.value, text)?;
    match &mut table.get_mut(inner)?.value {
        Value::Array(items) if is_array_of_headers(items) => Some(items),
        _ => None,
    }
}

/// Whether `[[name]]` made it, and so may add to it.
fn is_array_of_headers(items: &[Node<'_>]) -> bool {
    let by_header = |item: &Node<'_>| match &item.value {
        Value::Table(table) => table.made == Made::Header,
        value => matches!(value, Value::Piece(_)),
    };
    items.first().is_some_and(by_header)
}

/// Puts a value where a dotted key says, which is used up.
fn assign<'t>(
    table: &mut Table<'t>,
    keys: &mut Vec<Key<'t>>,
    node: Node<'t>,
    errors: &mut Vec<SyntaxError>,
) {
    let Some(last) = keys.pop() else { return };
    let mut table = table;
    for key in keys.drain(..) {
        let at = key.at;
        table = match on_the_way(table, key, Made::Dotted) {
            Some(Value::Table(inner)) if inner.made == Made::Dotted => inner,
            _ => return duplicate(at, errors),
        };
    }
    if table.contains(&last.name) {
        return duplicate(last.at, errors);
    }
    table.push(last, node);
}

/// Adds what a section says to what headers of tables in it said before.
fn join<'t>(before: &mut Table<'t>, section: Table<'t>, errors: &mut Vec<SyntaxError>) {
    for (key, node) in section.into_entries() {
        match before.get_mut(&key.name) {
            None => {
                before.push(key, node);
            }
            Some(old) => {
                duplicate(key.at, errors);
                if let (Value::Table(old), Value::Table(new)) = (&mut old.value, node.value) {
                    join(old, new, &mut Vec::new());
                }
            }
        }
    }
}

fn duplicate(at: usize, errors: &mut Vec<SyntaxError>) {
    errors.push(SyntaxError { at, message: "the key stands here twice".to_owned() });
}

impl EventReceiver for Builder<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_header(Header::Table, span);
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close_header();
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_header(Header::Array, span);
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close_header();
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        let (table, outer) = (Table::new(Made::Inline), mem::take(&mut self.keys));
        self.open.push(Open::Table { at: self.at(span), table, outer });
        true
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open.push(Open::Array { at: self.at(span), items: Vec::new() });
        true
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
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
            self.keys.push(Key { at: self.at(span), name });
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
                Err(wrong) => {
                    // A base with no digits is no number; one that is too large is the keys' matter.
                    if *wrong.kind() == IntErrorKind::Empty {
                        let message = radix.invalid_description();
                        error.report_error(ParseError::new(message).with_unexpected(span));
                    }
                    Value::Other(raw.as_str().into())
                }
            },
            ScalarKind::Float => Value::Other(raw.as_str().into()),
            ScalarKind::DateTime => {
                // Told by its first `-` or `:` alone; whether it is one is for its own parser.
                if let Err(wrong) = raw.as_str().parse::<Datetime>() {
                    error.report_error(ParseError::new(wrong.to_string()).with_unexpected(span));
                }
                Value::Other(raw.as_str().into())
            }
        };
        self.value(Node { at: self.at(span), value });
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        // A header that was not closed means what it says so far.
        self.close_header();
        if self.open.is_empty() {
            // A key that had no value.
            self.keys.clear();
        }
    }
}

#[cfg(test)]
mod tests;
