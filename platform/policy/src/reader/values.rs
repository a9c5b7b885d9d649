//! Values by their types: ordered ones, lists that grant, lists that restrict.

use super::{Entry, Reader};
use crate::document::{Node, Table, Value, toml_piece};
use crate::{FindingStatus, Located, Os, PathText, Scope, Scopes, When};

impl<'t> Reader<'t> {
    pub(super) fn located<T>(&self, at: &Node<'t>, restricts_only: bool, value: T) -> Located<T> {
        Located { value, line: self.line(at.at), restricts_only }
    }

    /// A finding about a value that is not what its key wants.
    pub(super) fn wrong(
        &mut self,
        value: &Node<'t>,
        key: &str,
        expected: &str,
        status: FindingStatus,
    ) {
        self.find(value.at, key, expected, describe(&value.value), status);
    }

    /// The entries of a section, or `None` with a finding where it is no table.
    pub(super) fn section<'v>(
        &mut self,
        name: &str,
        value: &'v Node<'t>,
        known: &[&'static str],
    ) -> Option<Vec<Entry<'v, 't>>> {
        match &value.value {
            Value::Table(table) => Some(self.entries(name, table, known)),
            _ => {
                let status = self.fallen();
                self.wrong(value, name, "a table", status);
                None
            }
        }
    }

    /// What becomes of a broken value whose key has a strictest one.
    pub(super) fn fallen(&self) -> FindingStatus {
        if self.managed() { FindingStatus::Strictest } else { FindingStatus::Dropped }
    }

    /// An ordered value; a broken one falls to `strictest` in a managed layer.
    pub(super) fn ordered<T>(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
        expected: &str,
        strictest: T,
        parse: impl Fn(&Value<'t>) -> Option<T>,
    ) -> Option<Located<T>> {
        if let Some(parsed) = parse(&value.value) {
            return Some(self.located(value, repaired, parsed));
        }
        let status = self.fallen();
        self.wrong(value, key, expected, status);
        self.managed().then(|| self.located(value, repaired, strictest))
    }

    /// A finding where only a managed layer may say this, and this is none.
    pub(super) fn is_for_managed(&mut self, key: &str, value: &Node<'t>) -> bool {
        if !self.managed() {
            let expected = "no such key here: only a managed layer may say it";
            self.wrong(value, key, expected, FindingStatus::Dropped);
        }
        self.managed()
    }

    /// `closed`, which only a managed layer may say.
    pub(super) fn closed(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
    ) -> Option<Located<bool>> {
        if !self.is_for_managed(key, value) {
            return None;
        }
        self.ordered(key, value, repaired, "true or false", true, |value| match value {
            Value::Boolean(closed) => Some(*closed),
            _ => None,
        })
    }

    pub(super) fn paths(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
    ) -> Vec<Located<PathText>> {
        self.grants(key, value, repaired, PathText::parse)
    }

    /// A list that grants: what is broken is dropped, in every layer.
    pub(super) fn grants<T, E: AsRef<str>>(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<Located<T>> {
        let Value::Array(items) = &value.value else {
            self.wrong(value, key, "an array of strings", FindingStatus::Dropped);
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items {
            match item.value.string().map(&parse) {
                None => self.wrong(item, key, "a string", FindingStatus::Dropped),
                Some(Err(expected)) => {
                    self.wrong(item, key, expected.as_ref(), FindingStatus::Dropped);
                }
                Some(Ok(parsed)) if !repaired => out.push(self.located(item, false, parsed)),
                Some(Ok(_)) => {}
            }
        }
        out
    }

    /// A list that restricts. In a managed layer what is broken denies what can be read of it; the
    /// line of the first of which nothing can be read is returned beside.
    pub(super) fn denials<T, E: AsRef<str>>(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
        parse: impl Fn(&str) -> Result<T, E>,
        salvage: impl Fn(&str) -> Option<T>,
    ) -> (Vec<Located<T>>, Option<usize>) {
        let mut out = Vec::new();
        let mut unread = None;
        let mut broken = |reader: &mut Self, item: &Node<'t>, expected: &str| {
            if !reader.managed() {
                reader.wrong(item, key, expected, FindingStatus::Dropped);
                return Vec::new();
            }
            let read: Vec<_> = scalars(item, reader.document())
                .into_iter()
                .filter_map(|(text, at)| {
                    let line = reader.line(at);
                    let value = parse(&text).ok().or_else(|| salvage(&text))?;
                    Some(Located { value, line, restricts_only: true })
                })
                .collect();
            if read.is_empty() {
                unread = unread.or(Some(reader.line(item.at)));
                reader.wrong(item, key, expected, FindingStatus::Strictest);
            } else {
                reader.wrong(item, key, expected, FindingStatus::Partly);
            }
            read
        };
        let Value::Array(items) = &value.value else {
            return (broken(self, value, "an array of strings"), unread);
        };
        for item in items {
            match item.value.string().map(&parse) {
                Some(Ok(parsed)) => out.push(self.located(item, repaired, parsed)),
                Some(Err(expected)) => out.extend(broken(self, item, expected.as_ref())),
                None => out.extend(broken(self, item, "a string")),
            }
        }
        (out, unread)
    }

    /// A condition; `None` with findings where any part of it is broken.
    pub(super) fn when(&mut self, key: &str, value: &Node<'t>) -> Option<When> {
        let status = self.condition_status();
        let Value::Table(table) = &value.value else {
            self.wrong(value, key, "a table such as { os = \"linux\" }", status);
            return None;
        };
        let mut when = When::default();
        let mut whole = true;
        for (name, value) in table.entries() {
            let known = ["os", "agent", "workspace"];
            let full = format!("{key}.{}", name.name);
            let Some(texts) = strings(value) else {
                self.wrong(value, &full, "a string or an array of strings", status);
                whole = false;
                continue;
            };
            for (text, at) in texts {
                let expected = match name.name.as_ref() {
                    "os" => match Os::parse(text) {
                        Some(os) => {
                            when.os.push(os);
                            continue;
                        }
                        None => "\"linux\", \"macos\" or \"windows\"",
                    },
                    "agent" => {
                        when.agent.push(text.to_owned());
                        continue;
                    }
                    "workspace" => match PathText::parse(text) {
                        Ok(path) => {
                            when.workspace.push(path);
                            continue;
                        }
                        Err(expected) => expected,
                    },
                    _ => {
                        self.unknown_key(key, name, &known);
                        whole = false;
                        break;
                    }
                };
                self.find(at, full.as_str(), expected, format!("\"{text}\""), status);
                whole = false;
            }
        }
        whole.then_some(when)
    }

    fn condition_status(&self) -> FindingStatus {
        if self.managed() { FindingStatus::Partly } else { FindingStatus::Dropped }
    }
}

/// `["once", "command", "session"]`.
pub(super) fn scopes(value: &Value<'_>) -> Option<Scopes> {
    let Value::Array(items) = value else { return None };
    let mut widest = None;
    for item in items {
        let word = item.value.string()?;
        widest = widest.max(Some(Scope::ALL.into_iter().find(|own| own.to_string() == word)?));
    }
    Some(Scopes { widest: widest? })
}

/// A size as text, or a number of bytes.
pub(super) fn bytes(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::String(text) => crate::units::parse_bytes(text),
        _ => whole(value),
    }
}

/// A whole number that is not negative.
pub(super) fn whole(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// A value as a finding shows it.
pub(super) fn describe(value: &Value<'_>) -> String {
    match value {
        Value::String(text) => {
            let short: String = text.chars().take(60).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            format!("{short:?}{more}")
        }
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Other(text) | Value::Unread(text) => text.to_string(),
        Value::Array(items) if items.is_empty() => "an empty array".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) | Value::Piece(_) => "a table".to_owned(),
    }
}

/// A string, or every string of an array; `None` where there is anything else.
pub(super) fn strings<'v>(value: &'v Node<'_>) -> Option<Vec<(&'v str, usize)>> {
    match &value.value {
        Value::String(text) => Some(vec![(text, value.at)]),
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| Some((item.value.string()?, item.at))).collect()
        }
        _ => None,
    }
}

/// Every scalar in a value, at any depth, as text.
pub(super) fn scalars<'t>(value: &Node<'t>, document: &'t str) -> Vec<(String, usize)> {
    fn gather<'t>(value: &Node<'t>, document: &'t str, out: &mut Vec<(String, usize)>) {
        let all = |table: &Table<'t>, out: &mut Vec<_>| {
            table.entries().iter().for_each(|(_, value)| gather(value, document, out));
        };
        match &value.value {
            Value::Array(items) => items.iter().for_each(|item| gather(item, document, out)),
            Value::Table(table) => all(table, out),
            Value::Piece(_) => all(&toml_piece(document, value.at), out),
            Value::String(text) => out.push((text.to_string(), value.at)),
            Value::Unread(_) => {}
            other => out.push((describe(other), value.at)),
        }
    }
    let mut out = Vec::new();
    gather(value, document, &mut out);
    out
}
