//! The bytes of a segment: one record a line, and the contents beside it.
//!
//! A record holds its own place, the hash of the record before it, and for each field that can
//! be erased a digest: `SHA-256(salt ‖ content)`, with `content` the exact JSON beside it.

use crate::event::{EventKind, NewEvent, Subject};
use crate::hash::Hash;
use crate::redact::Redactor;
use crate::{Error, Result};
use chaperone_policy::{Origin, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The version of records and contents that this code writes.
pub(crate) const VERSION: u32 = 1;

/// The name under which the action's content stands.
pub(crate) const ACTION: &str = "action";

/// What stands in a record for a field whose content is beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Digest {
    pub(crate) sha256: Hash,
}

/// One line of a segment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) v: u32,
    pub(crate) seq: u64,
    #[serde(with = "milliseconds")]
    pub(crate) time: Timestamp,
    pub(crate) session: String,
    pub(crate) kind: EventKind,
    pub(crate) action: Option<Digest>,
    pub(crate) decision: Option<Verdict>,
    pub(crate) rule: Option<String>,
    pub(crate) origin: Option<Origin>,
    pub(crate) reason: Option<String>,
    pub(crate) by: Option<String>,
    pub(crate) detail: Map<String, Value>,
    pub(crate) prev: Hash,
}

impl Record {
    /// The fields whose content is beside the record, with their digests.
    pub(crate) fn digests(&self) -> impl Iterator<Item = (&str, Digest)> {
        let action = self.action.map(|digest| (ACTION, digest));
        let detail = self.detail.iter();
        action
            .into_iter()
            .chain(detail.filter_map(|(name, value)| Some((name.as_str(), digest_in(value)?))))
    }
}

/// The digest that a detail's value is, if it is one.
pub(crate) fn digest_in(value: &Value) -> Option<Digest> {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("sha256") => {
            Digest::deserialize(value).ok()
        }
        _ => None,
    }
}

/// One line of a content file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Content<'a> {
    pub(crate) v: u32,
    pub(crate) seq: u64,
    #[serde(borrow)]
    pub(crate) field: std::borrow::Cow<'a, str>,
    pub(crate) salt: Salt,
    #[serde(borrow)]
    pub(crate) content: &'a RawValue,
}

impl Content<'_> {
    pub(crate) fn digest(&self) -> Digest {
        digest(self.salt, self.content)
    }
}

/// Sixteen random bytes, fresh for each content, so that equal contents look different.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Salt([u8; 16]);

impl Salt {
    fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Salt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

fn digest(salt: Salt, content: &RawValue) -> Digest {
    Digest { sha256: Hash::of(&[&salt.0, content.get().as_bytes()]) }
}

/// A redacted event, ready but for its place in the segment.
#[derive(Debug)]
pub(crate) struct Draft {
    record: Record,
    contents: Vec<(String, Salt, Box<RawValue>)>,
}

/// The bytes that one event adds to the two files, line feeds included.
pub(crate) struct Encoded {
    pub(crate) line: Vec<u8>,
    pub(crate) contents: Vec<u8>,
}

impl Draft {
    /// Redacts an event, and replaces by its digest what is kept beside the record.
    pub(crate) fn new(session: &str, event: NewEvent, redactor: &Redactor) -> Result<Self> {
        let NewEvent {
            kind,
            time,
            action,
            decision,
            rule,
            origin,
            reason,
            by,
            mut detail,
            private,
        } = event;
        let redact = |text: Option<String>| text.map(|text| redactor.redact(&text));
        let mut contents = Vec::new();
        let mut aside = |name: &str, value: &Value| -> Result<Digest> {
            let content = serde_json::value::to_raw_value(value)?;
            let salt = Salt::random()?;
            let digest = digest(salt, &content);
            contents.push((name.to_owned(), salt, content));
            Ok(digest)
        };
        let action = action
            .map(|subject| match subject {
                Subject::Text(text) => redactor.redact(&text),
                Subject::Arguments(argv) => redactor.redact(&join(&redactor.arguments(&argv))),
            })
            .map(|text| aside(ACTION, &Value::String(text)))
            .transpose()?;
        redactor.values(&mut detail);
        let mut private = private;
        redactor.values(&mut private);
        for (name, value) in &private {
            detail.insert(name.clone(), serde_json::to_value(aside(name, value)?)?);
        }
        let record = Record {
            v: VERSION,
            seq: 0,
            time: time.unwrap_or_else(Timestamp::now),
            session: session.to_owned(),
            kind,
            action,
            decision,
            rule: redact(rule),
            origin,
            reason: redact(reason),
            by: redact(by),
            detail,
            prev: Hash::NONE,
        };
        Ok(Self { record, contents })
    }

    /// Gives it its place.
    pub(crate) fn encode(mut self, seq: u64, prev: Hash) -> Result<Encoded> {
        self.record.seq = seq;
        self.record.prev = prev;
        let mut line = serde_json::to_vec(&self.record)?;
        line.push(b'\n');
        let mut contents = Vec::new();
        for (field, salt, content) in &self.contents {
            let content = Content { v: VERSION, seq, field: field.into(), salt: *salt, content };
            serde_json::to_writer(&mut contents, &content)?;
            contents.push(b'\n');
        }
        Ok(Encoded { line, contents })
    }
}

/// Joins arguments into one line that a shell would take apart again in the same way.
pub(crate) fn join(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,^~[]".contains(c);
    let mut line = String::new();
    for argument in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        if !argument.is_empty() && argument.chars().all(plain) {
            line.push_str(argument);
        } else {
            line.push('\'');
            line.push_str(&argument.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    line
}

/// Times in RFC 3339 with exactly three decimals, in UTC.
pub(crate) mod milliseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{time:.3}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The same for times that may be missing.
pub(crate) mod maybe_milliseconds {
    use jiff::Timestamp;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::milliseconds::serialize(time, to),
            None => to.serialize_none(),
        }
    }
}
