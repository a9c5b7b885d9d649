//! `[credentials]`: what goes into requests in place of what the agent holds. Each entry grants, so
//! one that is not whole is dropped, in every layer.

use super::values::describe;
use super::{Entry, Reader};
use crate::document::{Node, Table, Value};
use crate::injection::{self, BasicLogin, Injection, InjectionPlace};
use crate::{CredentialsSettings, FindingStatus, Located, UrlPath};

const KEY: &str = "credentials.inject";
const KNOWN: [&str; 10] =
    ["secret", "host", "header", "template", "basic", "query", "env", "methods", "paths", "when"];
const ARRAY: &str = "an array of tables";

/// What has been read of one entry.
#[derive(Default)]
struct Draft {
    secret: Option<String>,
    host: Option<crate::HostPattern>,
    header: Option<String>,
    template: Option<String>,
    basic: Option<BasicLogin>,
    query: Option<String>,
    env: Option<String>,
    methods: Vec<String>,
    paths: Vec<UrlPath>,
    when: Option<Box<crate::When>>,
}

impl<'t> Reader<'t> {
    pub(super) fn credentials(&mut self, value: &Node<'t>, repaired: bool) -> CredentialsSettings {
        let mut settings = CredentialsSettings::default();
        let Some(entries) = self.section("credentials", value, &["inject", "closed"]) else {
            if self.managed() {
                settings.closed = Some(self.located(value, false, true));
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "inject" => settings.inject = self.injections(value, repaired),
                _ => settings.closed = self.closed("credentials.closed", value, repaired),
            }
        }
        settings
    }

    fn injections(&mut self, value: &Node<'t>, repaired: bool) -> Vec<Located<Injection>> {
        let Value::Array(items) = &value.value else {
            let expected = match value.value {
                Value::Table(_) => "`[[credentials.inject]]`, with two brackets",
                _ => ARRAY,
            };
            self.wrong(value, KEY, expected, FindingStatus::Dropped);
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items {
            let Value::Table(table) = &item.value else {
                let expected = "a table with `secret`, `host`, and `header`, `basic` or `query`";
                self.wrong(item, KEY, expected, FindingStatus::Dropped);
                continue;
            };
            let before = self.findings.len();
            let read = self.injection(item, table);
            // A part that nobody knows could have narrowed it.
            if self.findings.len() > before || repaired {
                for finding in self.findings.get_mut(before..).unwrap_or_default() {
                    finding.status = FindingStatus::Dropped;
                }
                continue;
            }
            out.extend(read.map(|read| self.located(item, false, read)));
        }
        out
    }

    fn injection(&mut self, at: &Node<'t>, table: &Table<'t>) -> Option<Injection> {
        let mut draft = Draft::default();
        for own in table.entries() {
            let Some(Entry { name, repaired: _, value }) = self.entry(KEY, table, own, &KNOWN)
            else {
                continue;
            };
            match name {
                "secret" => draft.secret = self.injected(value, name, injection::secret),
                "host" => draft.host = self.injected(value, name, injection::host),
                "header" => draft.header = self.injected(value, name, injection::header),
                "template" => draft.template = self.injected(value, name, injection::template),
                "basic" => draft.basic = self.injected(value, name, injection::basic),
                "query" => draft.query = self.injected(value, name, injection::query),
                "env" => draft.env = self.injected(value, name, injection::env),
                "methods" => draft.methods = self.injected_list(value, name, injection::method),
                "paths" => draft.paths = self.injected_list(value, name, UrlPath::parse),
                _ => draft.when = self.when("credentials.inject.when", value).map(Box::new),
            }
        }
        let Draft { secret, host, header, template, basic, query, env, methods, paths, when } =
            draft;
        let mut missing = |name: &str, expected: &str| {
            if table.get(name).is_none() {
                let found = format!("an entry without `{name}`");
                self.find(at.at, format!("{KEY}.{name}"), expected, found, FindingStatus::Dropped);
            }
        };
        missing("secret", "the name of a credential, such as \"anthropic\"");
        missing("host", "a host, such as \"api.anthropic.com\"");
        let has = |name: &str| table.get(name).is_some();
        let needs = match (has("header"), has("basic") || has("query"), has("template")) {
            (false, false, _) => {
                Some(("header", "`header`, `basic` or `query`, or more of them", "none of them"))
            }
            (false, true, true) => {
                Some(("template", "the header that it is for, as `header`", "`template` alone"))
            }
            _ => None,
        };
        if let Some((name, expected, found)) = needs {
            self.find(at.at, format!("{KEY}.{name}"), expected, found, FindingStatus::Dropped);
        }
        let template = template.unwrap_or_else(|| "{}".to_owned());
        let header = header.map(|name| InjectionPlace::Header { name, template });
        let others = [basic.map(InjectionPlace::Basic), query.map(InjectionPlace::Query)];
        let places = header.into_iter().chain(others.into_iter().flatten()).collect();
        Some(Injection { secret: secret?, host: host?, places, env, methods, paths, when })
    }

    /// A text, or a finding.
    fn injected<T, E: Into<String>>(
        &mut self,
        value: &Node<'t>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let expected = match value.value.string().map(parse) {
            Some(Ok(parsed)) => return Some(parsed),
            Some(Err(expected)) => expected.into(),
            None => "a string".to_owned(),
        };
        let (key, found) = (format!("{KEY}.{name}"), describe(&value.value));
        self.find(value.at, key, expected, found, FindingStatus::Dropped);
        None
    }

    /// A list of texts that is not empty, or findings.
    fn injected_list<T>(
        &mut self,
        value: &Node<'t>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        match &value.value {
            Value::Array(items) if !items.is_empty() => {
                items.iter().filter_map(|item| self.injected(item, name, &parse)).collect()
            }
            other => {
                let (key, found) = (format!("{KEY}.{name}"), describe(other));
                let expected = "an array of strings that is not empty";
                self.find(value.at, key, expected, found, FindingStatus::Dropped);
                Vec::new()
            }
        }
    }
}
