//! The plain part of TOML: bare keys, strings on one line without escapes, whole numbers, booleans,
//! arrays and inline tables. Policies hardly have more, and some thousand rules are read at every
//! start. What is not plain, and what is no TOML, is left to `toml_parser`.

use super::{Header, KEYS, Key, Made, Node, Table, Value};
use std::borrow::Cow;

/// Arrays and inline tables in each other, at most.
const DEPTH: u32 = 8;

/// The keys in the header of the tables of which a text may have thousands. They are read when they
/// are asked for.
pub(super) const MANY: (&str, &str) = ("commands", "rule");
const MANY_HEADER: &str = "[[commands.rule]]";

/// What is found where a piece begins, which reaches from one header to the next.
pub(super) struct Piece<'t> {
    pub(super) opened: Opened<'t>,
    /// Where the next piece begins.
    pub(super) end: usize,
}

/// What opens a piece.
pub(super) enum Opened<'t> {
    /// Nothing: it stands before any header.
    Root,
    /// A header, with its offset and keys.
    By(Header, usize, Vec<Key<'t>>),
    /// The header of which there are many, with its offset.
    ByMany(usize),
}

impl<'t> Piece<'t> {
    /// Reads the piece that begins at this offset into an empty table; `None` where anything in it
    /// is not plain.
    pub(super) fn read(text: &'t str, at: usize, table: &mut Table<'t>) -> Option<Self> {
        let mut reader = Reader { text, bytes: text.as_bytes(), at };
        reader.blank();
        let opened = match reader.peek() {
            Some(b'[') => reader.header()?,
            _ => Opened::Root,
        };
        reader.keys_and_values(table)?;
        Some(Self { opened, end: reader.at })
    }
}

/// What opens a piece of the header of which there are many, at this offset.
pub(super) fn many_header<'t>(at: usize) -> (Header, usize, Vec<Key<'t>>) {
    let (outer, inner) = MANY;
    let first = at + "[[".len();
    let second = first + outer.len() + ".".len();
    let key = |at, name| Key { at, name: Cow::Borrowed(name) };
    (Header::Array, at, vec![key(first, outer), key(second, inner)])
}

/// A position in the text. What returns `None` has met something that is not plain.
struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Takes this byte, if it is the next one.
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// Goes on while the bytes are of this kind.
    fn skip(&mut self, kind: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|byte| kind(*byte)) {
            self.at += 1;
        }
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Goes on to the first control character that is no tab, or to one of these, if it is nearer.
    fn skip_text(&mut self, stops: [u8; 2]) {
        loop {
            // Eight at once: the lowest bit that is set belongs to the first byte that is sought.
            while let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
                let bytes = u64::from_le_bytes(*eight);
                let is = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
                let found = below(bytes, 0x20) | is(0x7f) | is(stops[0]) | is(stops[1]);
                if found != 0 {
                    self.at += found.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            let ends = |byte| byte < 0x20 || byte == 0x7f || stops.contains(&byte);
            match self.peek() {
                Some(b'\t') => self.at += 1,
                Some(byte) if !ends(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// Up to the next header or the end of the text.
    fn keys_and_values(&mut self, table: &mut Table<'t>) -> Option<()> {
        loop {
            self.empty_lines()?;
            if matches!(self.peek(), None | Some(b'[')) {
                return Some(());
            }
            self.key_and_value(table, DEPTH)?;
            self.line_end()?;
        }
    }

    /// Blanks, a comment, and the end of the line or of the text.
    fn line_end(&mut self) -> Option<()> {
        if self.peek() == Some(b'\n') {
            self.at += 1;
            return Some(());
        }
        self.blank();
        if self.take(b'#').is_some() {
            self.skip_text([b'\n'; 2]);
        }
        match self.peek() {
            None => Some(()),
            Some(b'\n') => self.take(b'\n'),
            Some(b'\r') => {
                self.at += 1;
                self.take(b'\n')
            }
            Some(_) => None,
        }
    }

    /// Up to the first thing that is neither a blank, a comment nor the end of a line.
    fn empty_lines(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                Some(b'\n' | b' ' | b'\t') => self.at += 1,
                Some(b'#' | b'\r') => self.line_end()?,
                _ => return Some(()),
            }
        }
    }

    fn key(&mut self) -> Option<Key<'t>> {
        let at = self.at;
        self.skip(|byte| BARE[usize::from(byte)]);
        let name = self.text.get(at..self.at).filter(|name| !name.is_empty())?;
        Some(Key { at, name: Cow::Borrowed(name) })
    }

    /// `[a.b]` or `[[a.b]]`, to the end of its line.
    fn header(&mut self) -> Option<Opened<'t>> {
        let at = self.at;
        if self.text.get(at..)?.starts_with(MANY_HEADER) {
            self.at += MANY_HEADER.len();
            self.line_end()?;
            return Some(Opened::ByMany(at));
        }
        self.take(b'[')?;
        let header = match self.take(b'[') {
            Some(()) => Header::Array,
            None => Header::Table,
        };
        let mut keys = Vec::with_capacity(2);
        loop {
            self.blank();
            keys.push(self.key()?);
            self.blank();
            if self.take(b'.').is_none() {
                break;
            }
            if keys.len() == KEYS {
                return None;
            }
        }
        self.take(b']')?;
        if header == Header::Array {
            self.take(b']')?;
        }
        self.line_end()?;
        Some(Opened::By(header, at, keys))
    }

    fn key_and_value(&mut self, table: &mut Table<'t>, depth: u32) -> Option<()> {
        let key = self.key()?;
        if self.bytes.get(self.at..)?.starts_with(b" = ") {
            self.at += 3;
        } else {
            self.blank();
            self.take(b'=')?;
        }
        self.blank();
        let value = self.value(depth)?;
        if table.contains(&key.name) {
            return None;
        }
        table.push(key, value);
        Some(())
    }

    fn value(&mut self, depth: u32) -> Option<Node<'t>> {
        let at = self.at;
        let value = match self.peek()? {
            quote @ (b'"' | b'\'') => self.string(quote)?,
            b'[' => self.array(depth.checked_sub(1)?)?,
            b'{' => self.inline_table(depth.checked_sub(1)?)?,
            _ => self.word()?,
        };
        Some(Node { at, value })
    }

    fn string(&mut self, quote: u8) -> Option<Value<'t>> {
        self.at += 1;
        let start = self.at;
        self.skip_text(if quote == b'"' { [quote, b'\\'] } else { [quote; 2] });
        let text = self.text.get(start..self.at)?;
        self.take(quote)?;
        // Three quotes open a string of many lines.
        if text.is_empty() && self.peek() == Some(quote) {
            return None;
        }
        Some(Value::String(Cow::Borrowed(text)))
    }

    fn array(&mut self, depth: u32) -> Option<Value<'t>> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.empty_lines()?;
            if self.take(b']').is_some() {
                return Some(Value::Array(items));
            }
            items.push(self.value(depth)?);
            self.empty_lines()?;
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Value::Array(items));
            }
        }
    }

    fn inline_table(&mut self, depth: u32) -> Option<Value<'t>> {
        self.at += 1;
        let mut table = Table::new(Made::Inline);
        loop {
            self.blank();
            if table.entries().is_empty() && self.take(b'}').is_some() {
                return Some(Value::Table(table));
            }
            self.key_and_value(&mut table, depth)?;
            self.blank();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Value::Table(table));
            }
        }
    }

    /// `true`, `false`, or a whole number in the plainest spelling.
    fn word(&mut self) -> Option<Value<'t>> {
        let start = self.at;
        self.skip(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}' | b'#'));
        match self.text.get(start..self.at)? {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            digits => {
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'));
                Some(Value::Integer(digits.parse().ok().filter(|_| plain)?))
            }
        }
    }
}

/// Which bytes a bare key may have.
const BARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte == 0x2d || byte == 0x5f;
        byte += 1;
    }
    table
};

/// One in each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each of eight bytes that is below `limit`, as far as the first such byte.
fn below(bytes: u64, limit: u8) -> u64 {
    bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & (ONES << 7)
}
