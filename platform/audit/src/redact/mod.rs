//! Secrets are taken out before anything is written: the values of this session's secret
//! variables wherever they appear, and whatever has the look or the place of a secret.
//!
//! Each takes time linear in its input. A secret becomes `[redacted:KIND]`.

mod names;
mod places;
mod tokens;

use names::{is_secret_name, is_secret_variable};
use places::{Next, Program};
use serde_json::{Map, Value};
use std::fmt;

/// The shortest value of a secret variable that is looked for everywhere: shorter ones would
/// black out ordinary text and are no secrets worth the name.
const SHORTEST: usize = 6;

/// Knows the secrets of this session's environment, and what secrets look like.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Values with their variables' names, the longest value first.
    known: Vec<(String, String)>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.known.iter().map(|(_, name)| name.as_str()).collect();
        f.debug_struct("Redactor").field("known", &names).finish()
    }
}

/// A secret in a text: its bytes, and what kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    kind: String,
}

impl Redactor {
    /// Learns the values of the variables whose names say that they are secret.
    pub fn from_environment<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut known: Vec<(String, String)> = variables
            .into_iter()
            .filter(|(name, value)| {
                value.as_ref().len() >= SHORTEST
                    && is_secret_variable(name.as_ref(), value.as_ref())
            })
            .map(|(name, value)| (value.as_ref().to_owned(), name.as_ref().to_owned()))
            .collect();
        known.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        known.dedup_by(|a, b| a.0 == b.0);
        Self { known }
    }

    /// The text without its secrets.
    pub fn redact(&self, text: &str) -> String {
        replace(text, self.spans(text))
    }

    /// The arguments of a program without their secrets: also those that stand alone, after the
    /// option that names them.
    pub fn arguments(&self, argv: &[String]) -> Vec<String> {
        let mut program = Program::default();
        let mut next = Next::Nothing;
        let mut result = Vec::with_capacity(argv.len());
        for argument in argv {
            let mut spans = self.spans(argument);
            let mut secret = |start: usize, kind: &str| {
                if start < argument.len() {
                    spans.push(Span { start, end: argument.len(), kind: kind.into() });
                }
            };
            match std::mem::replace(&mut next, Next::Nothing) {
                Next::Value(kind) if !argument.starts_with('-') => secret(0, kind),
                Next::AfterColon if argument.contains(':') => {
                    secret(argument.find(':').map_or(0, |colon| colon + 1), "password");
                }
                _ => match (option_value(argument), program.word(argument)) {
                    (Some((start, kind)), _) => secret(start, kind),
                    (None, Next::Here(start)) => secret(start, "password"),
                    (None, Next::HereAfterColon(start)) => {
                        if let Some(colon) = argument[start..].find(':') {
                            secret(start + colon + 1, "password");
                        }
                    }
                    (None, what) => next = what,
                },
            }
            result.push(replace(argument, spans));
        }
        result
    }

    /// Redacts every text in these values, at any depth; arrays of texts as arguments.
    pub fn values(&self, values: &mut Map<String, Value>) {
        for (name, value) in values {
            match value {
                Value::String(text) if is_secret_name(name) => {
                    *text = format!("[redacted:{}]", places::kind(name));
                }
                value => self.value(value),
            }
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(text),
            Value::Object(map) => self.values(map),
            Value::Array(items) => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                match texts {
                    Some(argv) => {
                        *items = self.arguments(&argv).into_iter().map(Value::from).collect();
                    }
                    None => items.iter_mut().for_each(|item| self.value(item)),
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn spans(&self, text: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        for (value, name) in &self.known {
            spans.extend(text.match_indices(value.as_str()).map(|(start, found)| Span {
                start,
                end: start + found.len(),
                kind: name.clone(),
            }));
        }
        tokens::find_tokens(text, &mut spans);
        if !is_path(text) {
            tokens::find_private_keys(text, &mut spans);
            tokens::find_in_addresses(text, &mut spans);
            places::find(text, &mut spans);
        }
        spans
    }
}

/// Whether a text is one plain path or name, as most are: nothing in it stands after a name that
/// calls it secret.
fn is_path(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+,~%".contains(&byte))
}

/// Where the value begins in `--password=…`, which may have blanks in it.
fn option_value(argument: &str) -> Option<(usize, &'static str)> {
    let (name, _) = argument.strip_prefix("--")?.split_once('=')?;
    is_secret_name(name).then(|| ("--".len() + name.len() + 1, places::kind(name)))
}

/// Replaces the spans; where some overlap, what they cover together becomes one.
fn replace(text: &str, mut spans: Vec<Span>) -> String {
    if spans.is_empty() {
        return text.to_owned();
    }
    spans.sort_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    let mut spans = spans.into_iter().peekable();
    while let Some(Span { start, mut end, kind }) = spans.next() {
        while let Some(next) = spans.next_if(|next| next.start < end) {
            end = end.max(next.end);
        }
        result.push_str(&text[done..start]);
        result.push_str("[redacted:");
        result.push_str(&kind);
        result.push(']');
        done = end;
    }
    result.push_str(&text[done..]);
    result
}

#[cfg(test)]
mod tests;
