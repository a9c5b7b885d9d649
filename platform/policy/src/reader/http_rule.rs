//! `[[network.rule]]`: hosts, methods and paths, and what becomes of requests that match.

use super::rule::verdict;
use super::values::{describe, scalars};
use super::{Entry, Reader};
use crate::document::{Node, Table, Value};
use crate::{FindingStatus, HostPattern, HostSpec, HttpRule, Located, UrlPath, Verdict, When};
use std::sync::Arc;

const KEY: &str = "network.rule";
const KNOWN: [&str; 6] = ["host", "methods", "paths", "decision", "reason", "when"];
const METHODS: &str = "an array of methods, such as [\"POST\", \"PUT\"]";

/// What has been read of one rule.
#[derive(Default)]
struct Draft {
    host: Option<HostPattern>,
    methods: Vec<String>,
    paths: Vec<UrlPath>,
    decision: Option<Verdict>,
    reason: Option<Box<str>>,
    when: Option<Box<When>>,
    /// Something in it is not what it should be.
    broken: bool,
    /// It holds a key that nobody knows, which could have been a condition.
    unknown: bool,
}

impl<'t> Reader<'t> {
    pub(super) fn http_rules(
        &mut self,
        value: &Node<'t>,
        repaired: bool,
    ) -> Vec<Located<Arc<HttpRule>>> {
        let mut rules = Vec::new();
        let mut read = |reader: &mut Self, item: &Node<'t>, repaired, expected| {
            if let Value::Table(table) = &item.value {
                rules.extend(reader.http_rule(item, table, repaired));
                return;
            }
            let managed = reader.managed();
            let status = if managed { FindingStatus::Strictest } else { FindingStatus::Dropped };
            reader.wrong(item, KEY, expected, status);
            rules.extend(managed.then(|| reader.unread_http_rule(item)));
        };
        match &value.value {
            Value::Array(items) => {
                for item in items {
                    read(self, item, repaired, "a table with `host` and `decision`");
                }
            }
            Value::Table(_) => {
                let managed = self.managed();
                let status = if managed { FindingStatus::Partly } else { FindingStatus::Dropped };
                self.wrong(value, KEY, "`[[network.rule]]`, with two brackets", status);
                if managed {
                    read(self, value, true, "");
                }
            }
            _ => read(self, value, true, "an array of tables"),
        }
        rules
    }

    /// What a managed rule becomes of which nothing can be read: every request is asked about.
    pub(super) fn unread_http_rule(&self, at: &Node<'t>) -> Located<Arc<HttpRule>> {
        let rule = HttpRule {
            host: HostPattern { host: HostSpec::Any, port: None },
            methods: Vec::new(),
            paths: Vec::new(),
            decision: Verdict::Ask,
            reason: None,
            when: None,
        };
        self.located(at, true, Arc::new(rule))
    }

    fn http_rule(
        &mut self,
        at: &Node<'t>,
        table: &Table<'t>,
        restricts_only: bool,
    ) -> Option<Located<Arc<HttpRule>>> {
        let first_finding = self.findings.len();
        let Draft { host, methods, paths, decision, reason, when, broken, unknown } =
            self.http_draft(at, table);
        let allows = decision == Some(Verdict::Allow);
        let drop = match allows {
            true => broken || unknown || restricts_only,
            false => broken && !self.managed(),
        };
        if broken || drop {
            let status = match (drop, host.is_some()) {
                (true, _) => FindingStatus::Dropped,
                (false, true) => FindingStatus::Partly,
                (false, false) => FindingStatus::Strictest,
            };
            for finding in self.findings.get_mut(first_finding..).unwrap_or_default() {
                finding.status = status;
            }
        }
        if drop {
            return None;
        }
        // What of it could not be read is left out, with which it covers more.
        let Some(host) = host else { return Some(self.unread_http_rule(at)) };
        let decision = decision.unwrap_or(Verdict::Deny);
        let rule = HttpRule { host, methods, paths, decision, reason, when };
        Some(self.located(at, restricts_only || broken, Arc::new(rule)))
    }

    fn http_draft(&mut self, at: &Node<'t>, table: &Table<'t>) -> Draft {
        let mut draft = Draft::default();
        for own in table.entries() {
            let before = self.findings.len();
            let entry = self.entry(KEY, table, own, &KNOWN);
            draft.unknown |= self.findings.len() > before;
            let Some(Entry { name, repaired, value }) = entry else { continue };
            draft.broken |= repaired;
            match name {
                "host" => {
                    let text = value.value.string();
                    match text.ok_or("a string".into()).and_then(HostPattern::parse) {
                        Ok(host) => draft.host = Some(host),
                        Err(expected) => {
                            self.http_part(value, name, &expected, &mut draft);
                            let texts = scalars(value, self.document());
                            draft.host =
                                texts.iter().find_map(|(text, _)| HostPattern::salvage(text));
                        }
                    }
                }
                "methods" => {
                    let method = |text: &str| {
                        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                        let fits = !text.is_empty() && text.bytes().all(token);
                        fits.then(|| text.to_ascii_uppercase()).ok_or(METHODS)
                    };
                    draft.methods = self.http_list(value, name, METHODS, method, &mut draft);
                }
                "paths" => {
                    let expected = "an array of paths, such as [\"/repos/acme\"]";
                    draft.paths = self.http_list(value, name, expected, UrlPath::parse, &mut draft);
                }
                "decision" => {
                    draft.decision = verdict(value.value.string());
                    if draft.decision.is_none() {
                        let expected = "\"allow\", \"ask\" or \"deny\"";
                        self.http_part(value, name, expected, &mut draft);
                    }
                }
                "reason" => match value.value.string() {
                    Some(text) => draft.reason = Some(text.into()),
                    None => self.http_part(value, name, "a string", &mut draft),
                },
                _ => {
                    draft.when = self.when("network.rule.when", value).map(Box::new);
                    draft.broken |= draft.when.is_none();
                }
            }
        }
        let named = |name: &str| table.get(name).is_some();
        if draft.host.is_none() && !named("host") {
            self.http_part(at, "host", "a host, such as \"api.acme.example\"", &mut draft);
        }
        if draft.decision.is_none() && !named("decision") {
            self.http_part(at, "decision", "\"allow\", \"ask\" or \"deny\"", &mut draft);
        }
        draft
    }

    /// A list that narrows a rule: where an entry of it is broken it narrows nothing.
    fn http_list<T>(
        &mut self,
        value: &Node<'t>,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        draft: &mut Draft,
    ) -> Vec<T> {
        let items = match &value.value {
            Value::Array(items) if !items.is_empty() => items,
            _ => {
                self.http_part(value, name, expected, draft);
                return Vec::new();
            }
        };
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            match item.value.string().ok_or("a string").and_then(&parse) {
                Ok(parsed) => out.push(parsed),
                Err(expected) => self.http_part(item, name, expected, draft),
            }
        }
        if out.len() == items.len() { out } else { Vec::new() }
    }

    /// A finding about a part of a rule; its status is settled when the whole rule is read.
    fn http_part(&mut self, value: &Node<'t>, name: &str, expected: &str, draft: &mut Draft) {
        let found = match &value.value {
            Value::Table(_) => format!("a rule without `{name}`"),
            other => describe(other),
        };
        draft.broken = true;
        self.find(value.at, format!("{KEY}.{name}"), expected, found, FindingStatus::Dropped);
    }
}
