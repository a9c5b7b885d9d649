//! HTTP requests, and rules about them: a request as a rule sees it, and what a rule matches.
//!
//! A path is judged in the readings that a server may take it in. One that honest clients do not
//! send, and that servers are known to read differently, has no reading.

use crate::{Glob, HostPattern, Verdict, When};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// A request that is about to be sent to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// A host name in lower case or an IP literal, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// As it is sent: methods are told apart by case (RFC 9110, section 9.1).
    pub method: String,
    /// As it is sent, without the query.
    pub path: String,
    /// The protocol that it would switch to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<String>,
    /// The field or parameter of it that names another method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<String>,
}

/// Methods that ask for nothing but an answer (RFC 9110, section 9.2.1), without TRACE, which gives
/// back what the proxy may have added.
const READING: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

impl HttpRequest {
    /// Where it goes: `api.acme.example:443/repos`.
    pub fn target(&self) -> String {
        let Self { host, port, path, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}{path}")
        } else {
            format!("{host}:{port}{path}")
        }
    }

    /// Whether a path, as it is sent, lies within one of these in every reading of it.
    pub(crate) fn is_within(path: &str, paths: &[UrlPath]) -> bool {
        let covered = |reading: &String| paths.iter().any(|own| own.covers(reading, false));
        readings(path).is_ok_and(|readings| readings.iter().all(covered))
    }

    /// Whether it only reads, as far as its head says: no other protocol follows it, and nothing
    /// in it names another method.
    pub(crate) fn only_reads(&self) -> bool {
        READING.contains(&self.method.as_str())
            && self.upgrade.is_none()
            && self.overridden.is_none()
    }
}

impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target())
    }
}

/// One entry of `[[network.rule]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Which hosts.
    pub host: HostPattern,
    /// Which methods, in capitals; empty is every method.
    pub methods: Vec<String>,
    /// Which paths; empty is every path.
    pub paths: Vec<UrlPath>,
    /// What becomes of a request that matches.
    pub decision: Verdict,
    /// Why, in plain words.
    pub reason: Option<Box<str>>,
    /// Where the rule holds.
    pub when: Option<Box<When>>,
}

impl HttpRule {
    /// The rule in the policy's own words: `network.rule api.acme.example POST /repos`.
    pub fn name(&self) -> String {
        let mut words = vec![format!("network.rule {}", self.host)];
        if !self.methods.is_empty() {
            words.push(self.methods.join(","));
        }
        words.extend(self.paths.iter().map(ToString::to_string));
        words.join(" ")
    }

    /// The rule as the list of values shows it.
    pub(crate) fn show(&self) -> serde_json::Value {
        let Self { host, methods, paths, decision, reason, when: _ } = self;
        let paths: Vec<&str> = paths.iter().map(UrlPath::as_str).collect();
        serde_json::json!({
            "host": host.to_string(), "methods": methods, "paths": paths,
            "decision": decision, "reason": reason,
        })
    }

    /// Whether every request to its hosts matches.
    pub(crate) fn is_about_all(&self) -> bool {
        self.methods.is_empty() && self.paths.is_empty()
    }

    /// Whether it matches a request whose path has these readings. What restricts matches if one of
    /// them does, and whatever the case: some servers take no notice of it. What allows matches if
    /// each of them does, as it is written.
    pub(crate) fn matches(&self, request: &HttpRequest, readings: &[String]) -> bool {
        let restricts = self.decision != Verdict::Allow;
        let method = |own: &String| match restricts {
            true => own.eq_ignore_ascii_case(&request.method),
            false => *own == request.method,
        };
        let covered = |path: &String| self.paths.iter().any(|own| own.covers(path, restricts));
        self.host.matches(&request.host, request.port)
            && (self.methods.is_empty() || self.methods.iter().any(method))
            && (self.paths.is_empty()
                || if restricts {
                    readings.iter().any(covered)
                } else {
                    readings.iter().all(covered)
                })
    }
}

/// A path of URLs, or a glob over them. It covers what it names and everything beneath.
#[derive(Debug, Clone)]
pub struct UrlPath {
    text: String,
    /// Where it is a glob: as it is written, and in lower case.
    globs: Option<Box<(Glob, Glob)>>,
}

impl PartialEq for UrlPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for UrlPath {}

const EXPECTED: &str = "a path that begins with /, without a query, %-escapes, dot segments or ;";

impl UrlPath {
    /// Reads `/repos/acme`, `/users/*/keys`, `/v1/**/secrets`.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let odd = |c: char| c.is_control() || matches!(c, ' ' | '%' | '?' | '#' | ';' | '\\');
        let Some(whole) = text.strip_prefix('/').filter(|_| !text.contains(odd)) else {
            return Err(EXPECTED);
        };
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut segments = whole.strip_suffix('/').unwrap_or(whole).split('/');
        if !whole.is_empty() && segments.any(|own| matches!(own, "" | "." | "..")) {
            return Err(EXPECTED);
        }
        let globs = match text.contains(['*', '[', ']', '{', '}']) {
            true => {
                let glob = |text: &str| Glob::new(text).map_err(|_| "a path or a glob");
                Some(Box::new((glob(text)?, glob(&text.to_lowercase())?)))
            }
            false => None,
        };
        Ok(Self { text: text.to_owned(), globs })
    }

    /// As it was written, without a slash at its end.
    pub fn as_str(&self) -> &str {
        if self.text.is_empty() { "/" } else { &self.text }
    }

    fn covers(&self, path: &str, any_case: bool) -> bool {
        if !path.starts_with('/') {
            return false;
        }
        match (&self.globs, any_case) {
            (Some(globs), false) => globs.0.covers(Path::new(path)),
            (Some(globs), true) => globs.1.covers(Path::new(&path.to_lowercase())),
            (None, false) => is_beneath(path, &self.text),
            (None, true) => is_beneath(&path.to_lowercase(), &self.text.to_lowercase()),
        }
    }
}

fn is_beneath(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What servers may take a path for, %-escapes resolved and without a slash at its end: where a
/// slash is escaped, as the names of scoped packages have it, both with and without it.
///
/// # Errors
/// Why servers disagree about what it names (RFC 3986, sections 3.3 and 6.2.2).
pub(crate) fn readings(path: &str) -> Result<Vec<String>, &'static str> {
    if path == "*" {
        return Ok(vec!["*".to_owned()]);
    }
    if !path.starts_with('/') {
        return Err("it does not begin with a slash");
    }
    let (mut split, mut kept) = (Vec::new(), Vec::new());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, escaped) = match (*first, after) {
            (b'%', [high, low, ..]) => (hexadecimal(*high, *low), true),
            (b'%', _) => (None, true),
            (byte, _) => (Some(byte), false),
        };
        rest = if escaped { after.get(2..).unwrap_or_default() } else { after };
        match byte.ok_or("it has a broken %-escape")? {
            b'\\' => return Err("it has a backslash"),
            b';' => return Err("it has a parameter, after a ;"),
            0..0x20 | 0x7f => return Err("it has a control character"),
            b' ' | 0x80.. if !escaped => return Err("it has a character that is not escaped"),
            b'/' if escaped => {
                split.push(b'/');
                kept.extend(b"%2F");
            }
            byte => {
                split.push(byte);
                kept.push(byte);
            }
        }
    }
    let is_escape =
        |bytes: &[u8]| matches!(bytes, [b'%', high, low] if hexadecimal(*high, *low).is_some());
    if split.windows(3).any(is_escape) {
        return Err("it is escaped twice");
    }
    let mut readings: Vec<String> = Vec::new();
    for bytes in [split, kept] {
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let text = text.strip_suffix('/').unwrap_or(&text);
        let mut segments = text.split('/').skip(1);
        if segments.clone().any(|segment| matches!(segment, "." | "..")) {
            return Err("it has a dot segment");
        }
        if segments.any(str::is_empty) {
            return Err("it has an empty segment");
        }
        if readings.iter().all(|known| known != text) {
            readings.push(text.to_owned());
        }
    }
    Ok(readings)
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_readings_that_servers_take_it_in() {
        let table: &[(&str, &[&str])] = &[
            ("/", &[""]),
            ("/repos/acme/", &["/repos/acme"]),
            ("/re%70os/%61cme", &["/repos/acme"]),
            ("/b%C3%BCcher", &["/bücher"]),
            ("/100%25", &["/100%"]),
            ("/a%20b", &["/a b"]),
            ("/@acme%2fui", &["/@acme/ui", "/@acme%2Fui"]),
            ("*", &["*"]),
        ];
        for (path, expected) in table {
            assert_eq!(readings(path).unwrap(), *expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_servers_read_differently_has_none() {
        for path in [
            "",
            "repos",
            "//repos",
            "/a//b",
            "/a%2f%2fb",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a%2f..%2fb",
            "/a/..%2fb",
            "/a;x=1/b",
            "/a%3bx/b",
            "/a\\b",
            "/a%5cb",
            "/a%252fb",
            "/a%25%32%66b",
            "/a%00",
            "/a%0d%0ab",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a%ff",
            "/a%c0%af..",
            "/bücher",
            "/a b",
        ] {
            assert!(readings(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_pattern_covers_what_it_names_and_all_beneath() {
        let table = [
            ("/", "/anything", true),
            ("/repos/acme", "/repos/acme", true),
            ("/repos/acme/", "/repos/acme/ui", true),
            ("/repos/acme", "/repos/acme-evil", false),
            ("/repos/acme", "/repos", false),
            ("/users/*/keys", "/users/ada/keys/1", true),
            ("/users/*/keys", "/users/ada/b/keys", false),
            ("/v1/**/secrets", "/v1/a/b/secrets", true),
            ("/repos/acme", "/Repos/acme", false),
        ];
        for (pattern, path, expected) in table {
            let parsed = UrlPath::parse(pattern).unwrap();
            let path = &readings(path).unwrap()[0];
            assert_eq!(parsed.covers(path, false), expected, "{pattern} {path}");
        }
        assert!(UrlPath::parse("/Users/*").unwrap().covers("/uSERS/x", true));
        for text in
            ["", "repos", "//", "/a//b", "/a/../b", "/a?b", "/a#b", "/a%20", "/a;b", "/a b", "/[a"]
        {
            assert!(UrlPath::parse(text).is_err(), "{text:?}");
        }
    }
}
