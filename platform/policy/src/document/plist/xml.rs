//! The XML form of property lists. `quick-xml` knows the markup; which elements may stand where is
//! told here, and nothing else may: no other element, no declarations of entities, no second value.

use super::super::SyntaxError;
use super::Budget;
use crate::Property;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::HashSet;

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads a text. The place of an error is an offset in it.
pub(super) fn parse(text: &str, budget: &mut Budget) -> Result<Property> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut xml = Xml { reader, at: 0 };
    xml.open_plist()?;
    let value = match xml.next()? {
        Some(Piece::Open(name)) => xml.value(&name, 1, budget)?,
        other => return Err(xml.found(other, "a value")),
    };
    match xml.next()? {
        Some(Piece::Close) => {}
        other => return Err(xml.found(other, "the end of <plist>")),
    }
    match xml.next()? {
        None => Ok(value),
        other => Err(xml.found(other, "the end of the text")),
    }
}

struct Xml<'t> {
    reader: Reader<&'t [u8]>,
    /// Where the piece that was read last begins.
    at: usize,
}

/// What stands between elements that are not text.
enum Piece {
    Open(String),
    Close,
    /// Text, or markup that no property list has.
    Foreign(String),
}

impl<'t> Xml<'t> {
    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { at: self.at, message: message.into() }
    }

    fn event(&mut self) -> Result<Event<'t>> {
        self.at = offset(self.reader.buffer_position());
        self.reader.read_event().map_err(|error| {
            let at = offset(self.reader.error_position());
            SyntaxError { at, message: error.to_string() }
        })
    }

    /// The declaration, the document type, and the root's start.
    fn open_plist(&mut self) -> Result<()> {
        loop {
            match self.event()? {
                Event::Decl(declaration) => {
                    let encoding = match declaration.encoding() {
                        None => continue,
                        Some(Ok(encoding)) => encoding.into_owned(),
                        Some(Err(error)) => return Err(self.error(error.to_string())),
                    };
                    if !["utf-8", "us-ascii"].iter().any(|one| encoding.eq_ignore_ascii_case(one)) {
                        return Err(self.error(format!("the encoding {encoding:?} for UTF-8")));
                    }
                }
                Event::DocType(kind) if kind.contains(['[', '%']) => {
                    return Err(self.error("a document type with declarations of its own"));
                }
                Event::DocType(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if is_blank(&text) => {}
                Event::Start(start) if start.name().as_ref() == "plist" => return Ok(()),
                Event::Start(start) => {
                    let name = start.name().as_ref().to_owned();
                    return Err(self.found(Some(Piece::Open(name)), "<plist>"));
                }
                Event::Eof => return Err(self.found(None, "<plist>")),
                _ => return Err(self.error("text before <plist>")),
            }
        }
    }

    /// What comes next beside text that means nothing; `None` at the end.
    fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            return Ok(Some(match self.event()? {
                Event::Start(start) => Piece::Open(start.name().as_ref().to_owned()),
                Event::End(_) => Piece::Close,
                Event::Eof => return Ok(None),
                Event::Comment(_) | Event::PI(_) => continue,
                Event::Text(text) if is_blank(&text) => continue,
                Event::Text(text) => Piece::Foreign(short(text.trim())),
                Event::CData(text) => Piece::Foreign(short(&text)),
                Event::GeneralRef(name) => Piece::Foreign(format!("&{};", short(&name))),
                Event::Decl(_) | Event::DocType(_) | Event::Empty(_) => {
                    Piece::Foreign("a declaration".to_owned())
                }
            }));
        }
    }

    fn found(&self, piece: Option<Piece>, expected: &str) -> SyntaxError {
        self.error(match piece {
            None => format!("the end of the text before {expected}"),
            Some(Piece::Open(name)) => format!("<{}> where {expected} belongs", short(&name)),
            Some(Piece::Close) => format!("the end of an element where {expected} belongs"),
            Some(Piece::Foreign(text)) => format!("{text} where {expected} belongs"),
        })
    }

    /// The value whose element has been opened, to its end.
    fn value(&mut self, name: &str, depth: usize, budget: &mut Budget) -> Result<Property> {
        let at = self.at;
        let here = |message: String| SyntaxError { at, message };
        budget.value(depth).map_err(here)?;
        let value = match name {
            "array" => return self.array(depth, budget),
            "dict" => return self.dictionary(depth, budget),
            "string" => Property::Text(self.text(budget)?),
            "true" | "false" => match self.text(budget)?.trim() {
                "" => Property::Boolean(name == "true"),
                text => return Err(here(format!("{} in <{name}/>", short(text)))),
            },
            "integer" | "real" | "date" | "data" => {
                let text = self.text(budget)?;
                scalar(name, text.trim())
                    .ok_or_else(|| here(format!("{} in <{name}>", short(text.trim()))))?
            }
            other => {
                return Err(here(format!("<{}>, which no property list has", short(other))));
            }
        };
        Ok(value)
    }

    fn array(&mut self, depth: usize, budget: &mut Budget) -> Result<Property> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Some(Piece::Open(name)) => items.push(self.value(&name, depth + 1, budget)?),
                Some(Piece::Close) => return Ok(Property::Array(items)),
                other => return Err(self.found(other, "a value or </array>")),
            }
        }
    }

    fn dictionary(&mut self, depth: usize, budget: &mut Budget) -> Result<Property> {
        let mut entries = Vec::new();
        let mut names = HashSet::new();
        loop {
            match self.next()? {
                Some(Piece::Open(name)) if name == "key" => {}
                Some(Piece::Close) => return Ok(Property::Dictionary(entries)),
                other => return Err(self.found(other, "<key> or </dict>")),
            }
            let at = self.at;
            let name = self.text(budget)?;
            if !names.insert(name.clone()) {
                let message = format!("the key {:?} a second time", short(&name));
                return Err(SyntaxError { at, message });
            }
            match self.next()? {
                Some(Piece::Open(element)) => {
                    let value = self.value(&element, depth + 1, budget)?;
                    entries.push((name, value));
                }
                other => return Err(self.found(other, "a value for the key")),
            }
        }
    }

    /// The text of the element that has been opened, to its end.
    fn text(&mut self, budget: &mut Budget) -> Result<String> {
        let mut content = String::new();
        loop {
            match self.event()? {
                Event::Text(text) => content.push_str(&text.xml10_content()),
                Event::CData(text) => content.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => {
                    let read = name
                        .resolve_char_ref()
                        .map_err(|error| self.error(format!("&{};: {error}", short(&name))))?;
                    let read = read.or(match &*name {
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "amp" => Some('&'),
                        "apos" => Some('\''),
                        "quot" => Some('"'),
                        _ => None,
                    });
                    let unknown = || self.error(format!("the unknown entity &{};", short(&name)));
                    content.push(read.ok_or_else(unknown)?);
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::End(_) => break,
                Event::Start(start) => {
                    let name = start.name().as_ref().to_owned();
                    return Err(self.found(Some(Piece::Open(name)), "text"));
                }
                Event::Eof => return Err(self.found(None, "the end of an element")),
                Event::Decl(_) | Event::DocType(_) | Event::Empty(_) => {
                    return Err(self.error("a declaration where text belongs"));
                }
            }
        }
        budget.bytes(content.len()).map_err(|message| self.error(message))?;
        Ok(content)
    }
}

fn scalar(name: &str, text: &str) -> Option<Property> {
    match name {
        "integer" => integer(text).map(Property::Integer),
        "real" => text.parse().ok().map(Property::Real),
        // Exactly what Apple's document type has: ISO 8601 in full, UTC.
        "date" => {
            let whole = text.len() == "2027-01-31T00:00:00Z".len() && text.ends_with('Z');
            text.parse::<Timestamp>().ok().filter(|_| whole).map(Property::Date)
        }
        _ => base64(text).map(Property::Data),
    }
}

/// Decimal or hexadecimal, with or without a sign, within 64 bits of either kind.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+')),
    };
    let number = sign * i128::from(number?);
    (number >= i128::from(i64::MIN)).then_some(number)
}

/// RFC 4648, section 4, with white space anywhere.
fn base64(text: &str) -> Option<Vec<u8>> {
    let plain = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, plain).decode(digits).ok()
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

fn short(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short}{more}")
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
