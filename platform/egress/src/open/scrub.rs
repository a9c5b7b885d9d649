//! Takes keys out of what a host answers, should it repeat them, as they are or as hosts write them
//! down: in Base64, in addresses, in JSON. Each is covered by as many asterisks, so nothing else of
//! an answer changes, and only what could be the beginning of one waits for what follows.

use super::Key;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::ext::ReasonPhrase;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::response::Parts;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use zeroize::Zeroizing;

const COVER: u8 = b'*';

/// Takes keys out of one stream of bytes.
pub(crate) struct Scrub {
    /// The keys, in every form that is known.
    keys: Vec<Key>,
    /// What could be the beginning of a key.
    held: Vec<u8>,
}

impl Scrub {
    pub(crate) fn new(keys: &[Arc<Key>]) -> Self {
        Self { keys: keys.iter().flat_map(|key| forms(key)).collect(), held: Vec::new() }
    }

    /// Takes them out of the head of an answer.
    pub(crate) fn head(&self, head: &mut Parts) {
        self.fields(&mut head.headers);
        let phrase = head.extensions.get::<ReasonPhrase>();
        if phrase.is_some_and(|phrase| self.covered(phrase.as_bytes()).is_some()) {
            head.extensions.remove::<ReasonPhrase>();
        }
    }

    fn fields(&self, headers: &mut HeaderMap) {
        let names = headers.keys().filter(|name| {
            let holds = |key: &Key| contains(name.as_str().as_bytes(), &key.to_ascii_lowercase());
            self.keys.iter().any(holds)
        });
        for name in names.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            let Some(covered) = self.covered(value.as_bytes()) else { continue };
            *value =
                HeaderValue::from_bytes(&covered).unwrap_or_else(|_| HeaderValue::from_static("*"));
        }
    }

    /// The bytes with every whole key in them covered, where there is one.
    pub(crate) fn covered(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut covered: Option<Vec<u8>> = None;
        for key in &self.keys {
            let mut from = 0;
            while let Some(at) = find(bytes.get(from..).unwrap_or_default(), key) {
                let out = covered.get_or_insert_with(|| bytes.to_vec());
                let place = out.get_mut(from + at..from + at + key.len()).unwrap_or_default();
                place.fill(COVER);
                from += at + 1;
            }
        }
        covered
    }

    /// What can be passed on, now that this has come.
    fn pass(&mut self, data: Bytes) -> Bytes {
        let whole = match self.held.is_empty() {
            true => data,
            false => {
                self.held.extend_from_slice(&data);
                Bytes::from(std::mem::take(&mut self.held))
            }
        };
        let mut whole = self.covered(&whole).map_or(whole, Bytes::from);
        let begins = |key: &Key| {
            let most = whole.len().min(key.len().saturating_sub(1));
            (1..=most).rev().find(|length| whole.ends_with(key.get(..*length).unwrap_or_default()))
        };
        let held = self.keys.iter().filter_map(begins).max().unwrap_or(0);
        self.held = whole.split_off(whole.len() - held).to_vec();
        whole
    }

    /// What was held, now that nothing follows.
    fn rest(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.held))
    }
}

/// A key as it is, and as it is written down elsewhere.
fn forms(key: &[u8]) -> Vec<Key> {
    let mut forms = vec![Key::new(key.to_vec())];
    let mut add = |form: Vec<u8>| {
        let form = Key::new(form);
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    // In Base64 it begins at the first, second or third of three bytes, as in a login. What shares
    // a character with its neighbours, two bytes at most, is not looked for.
    for before in 0..3 {
        let bytes = Zeroizing::new([&[0; 2][..before.min(2)], key].concat());
        let (start, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for engine in [BASE64_STANDARD, BASE64_URL_SAFE] {
            let whole = Zeroizing::new(engine.encode(&*bytes));
            add(whole.as_bytes().get(start..end).unwrap_or_default().to_vec());
        }
    }
    // In an address (RFC 3986, section 2.1), in either case, and in a form of HTML.
    let (mut upper, mut lower) = (Key::default(), Key::default());
    for byte in key {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if plain {
            upper.push(*byte);
            lower.push(*byte);
        } else {
            upper.extend(format!("%{byte:02X}").bytes());
            lower.extend(format!("%{byte:02x}").bytes());
        }
    }
    add(url::form_urlencoded::byte_serialize(key).collect::<String>().into_bytes());
    add(std::mem::take(&mut *upper));
    add(std::mem::take(&mut *lower));
    // In JSON (RFC 8259, section 7), where a slash may be escaped.
    for escaped in [&b"\"\\"[..], b"\"\\/"] {
        let mut json = Vec::with_capacity(key.len() * 2);
        for byte in key {
            json.extend(escaped.contains(byte).then_some(b'\\'));
            json.push(*byte);
        }
        add(json);
    }
    forms
}

fn find(bytes: &[u8], key: &[u8]) -> Option<usize> {
    let first = *key.first()?;
    let mut from = 0;
    // The first byte is looked for by itself: hardly any of a long answer is one.
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        if bytes.get(from + at..)?.starts_with(key) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn contains(bytes: &[u8], key: &[u8]) -> bool {
    find(bytes, key).is_some()
}

/// An answer's body without keys.
pub(crate) struct Scrubbed {
    inner: Incoming,
    scrub: Scrub,
    /// What comes behind what was held.
    next: Option<Frame<Bytes>>,
    has_ended: bool,
}

impl Scrubbed {
    pub(crate) fn new(inner: Incoming, scrub: Scrub) -> Self {
        Self { inner, scrub, next: None, has_ended: false }
    }
}

impl Body for Scrubbed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(Ok(next)));
        }
        while !self.has_ended {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.has_ended = true;
                    break;
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    let passed = self.scrub.pass(data);
                    if !passed.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(passed))));
                    }
                }
                Err(frame) => {
                    let Ok(mut fields) = frame.into_trailers() else { continue };
                    self.scrub.fields(&mut fields);
                    let rest = self.scrub.rest();
                    if rest.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::trailers(fields))));
                    }
                    self.next = Some(Frame::trailers(fields));
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
            }
        }
        let rest = self.scrub.rest();
        Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.scrub.held.is_empty() && self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // What is held has been taken from it already.
        let held = self.scrub.held.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrub(keys: &[&str]) -> Scrub {
        let key = |key: &&str| Arc::new(Key::new(key.as_bytes().to_vec()));
        Scrub::new(&keys.iter().map(key).collect::<Vec<_>>())
    }

    fn passed(keys: &[&str], parts: &[&[u8]]) -> String {
        let mut scrub = scrub(keys);
        let mut out = Vec::new();
        for part in parts {
            out.extend(scrub.pass(Bytes::copy_from_slice(part)));
        }
        out.extend(scrub.rest());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_key_is_covered_however_it_is_cut_and_nothing_else_is() {
        let text = b"a key: sk-1-sk-1-sk and sk-1-sk-2, and half of it sk-1-sk";
        for size in 1..text.len() {
            let parts: Vec<&[u8]> = text.chunks(size).collect();
            let out = passed(&["sk-1-sk-1-sk", "sk-1-sk-2"], &parts);
            assert_eq!(out.len(), text.len());
            assert_eq!(out, "a key: ************ and *********, and half of it sk-1-sk", "{size}");
        }
    }

    #[test]
    fn a_key_is_known_as_hosts_write_it_down() {
        let key = "k\"ey/with+all=that~is\\odd";
        let bytes = key.as_bytes();
        let json = key.replace('\\', "\\\\").replace('"', "\\\"");
        let mut written = vec![
            key.to_owned(),
            json.replace('/', "\\/"),
            json,
            url::form_urlencoded::byte_serialize(bytes).collect(),
            bytes
                .iter()
                .map(|own| match own {
                    b'a'..=b'z' | b'~' => char::from(*own).to_string(),
                    _ => format!("%{own:02x}"),
                })
                .collect(),
        ];
        assert!(
            written.iter().all(|form| passed(&[key], &[form.as_bytes()]) == "*".repeat(form.len()))
        );
        written.clear();
        for name in ["", "x", "xy", "git", "x-access-token"] {
            let login = format!("{name}:{key}");
            for form in [BASE64_STANDARD.encode(&login), BASE64_URL_SAFE.encode(&login)] {
                let out = passed(&[key], &[form.as_bytes()]);
                let left = out.trim_end_matches('=').replace(COVER as char, "");
                // The name, and what shares a character with the key.
                assert!(left.len() <= (name.len() + 1) * 8 / 6 + 2, "{form} {out}");
            }
        }
    }

    #[test]
    fn what_can_be_no_key_is_not_held_back() {
        let mut scrub = scrub(&["sk-secret"]);
        let event = Bytes::from_static(b"data: {\"text\": \"hello\"}\n\n");
        assert_eq!(scrub.pass(event.clone()), event);
        assert_eq!(scrub.pass(Bytes::from_static(b"ask-se")), "a");
        assert_eq!(scrub.pass(Bytes::from_static(b"ven")), "sk-seven");
        assert!(scrub.rest().is_empty());
    }

    #[test]
    fn a_head_repeats_no_key_in_values_names_or_its_phrase() {
        let mut response = hyper::Response::new(());
        let headers = response.headers_mut();
        headers.insert("x-echo", HeaderValue::from_static("Bearer sk-SECRET!"));
        headers.insert("x-sk-secret", HeaderValue::from_static("1"));
        headers.insert("x-other", HeaderValue::from_static("kept"));
        let phrase = ReasonPhrase::from_static(b"OK sk-SECRET");
        response.extensions_mut().insert(phrase);
        let (mut head, ()) = response.into_parts();
        scrub(&["sk-SECRET"]).head(&mut head);
        let fields: Vec<_> = head.headers.iter().map(|(name, own)| (name.as_str(), own)).collect();
        let value = HeaderValue::from_static;
        assert_eq!(fields, [("x-echo", &value("Bearer *********!")), ("x-other", &value("kept"))]);
        assert!(head.extensions.get::<ReasonPhrase>().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_key_passes_and_no_byte_is_lost(
            text in "[ab]{0,40}", cuts in proptest::collection::vec(1usize..7, 0..12),
        ) {
            let mut rest = text.as_bytes();
            let mut parts = Vec::new();
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            let out = passed(&["abaab", "bbb"], &parts);
            prop_assert_eq!(out.len(), text.len());
            prop_assert!(!out.contains("abaab") && !out.contains("bbb"), "{} {}", text, out);
            for (before, after) in text.bytes().zip(out.bytes()) {
                prop_assert!(after == before || after == COVER);
            }
        }
    }
}
