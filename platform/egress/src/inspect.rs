//! Holds what is said at the beginning of a tunnel to what the tunnel was asked for.

use crate::Question;
use crate::dial::Way;
use crate::hello::{Hello, hello};
use crate::outside::Outside;
use crate::target::{Host, Target};
use crate::tunnel::{last_word, read_more};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long a client may take over its first message, once it has begun it.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// The method of a request is shorter (RFC 9110, section 16.1.1, lists them).
const LONGEST_METHOD: usize = 32;

/// A fatal alert, `unrecognized_name` (RFC 8446, section 6.2): clients say something like it.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A fatal alert, `access_denied` (the same section).
const DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// How HTTP/2 begins (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client is told that begins HTTP/2 without TLS: settings, and then to go away, because
/// HTTP/1.1 is required (RFC 9113, sections 6.5, 6.8 and 7).
pub(crate) fn http1_required() -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    const HTTP_1_1_REQUIRED: [u8; 4] = [0, 0, 0, 0xd];
    const SAID: &[u8] = b"chaperone: HTTP/2 is passed on within TLS alone; without it use HTTP/1.1";
    let length = [0, 0, 8 + SAID.len() as u8];
    let nowhere = [0; 4];
    [&SETTINGS, &length[..], &[GOAWAY, 0], &nowhere, &nowhere, &HTTP_1_1_REQUIRED, SAID].concat()
}

/// What a tunnel carries, with what the inside has said of it already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Bytes, which agree with what was asked for as far as they say.
    Bytes(Vec<u8>),
    /// Requests of HTTP/1, each of which has to agree.
    Requests(Vec<u8>),
}

/// Waits for the first that is said in a tunnel. The host that a TLS client names must be the one
/// that was asked for, and a client that was let through to a name must name it. Where the outside
/// speaks first, it is a protocol that names no hosts.
///
/// # Errors
/// What ends the tunnel: a stream failed, or what is said disagrees, which was recorded and said.
pub(crate) async fn agreeing(
    way: &Way,
    target: &Target,
    inside: &TcpStream,
    outside: &mut Outside,
    mut first: Vec<u8>,
) -> io::Result<Inside> {
    let mut until = (!first.is_empty()).then(|| Instant::now() + FIRST_MESSAGE);
    let said = loop {
        match (hello(&first), request(&first)) {
            (Hello::Tls(name), _) if agrees(target, name.as_deref()) => {
                return Ok(Inside::Bytes(first));
            }
            (Hello::Tls(Some(name)), _) => break format!("its TLS asks for {name:?}"),
            (Hello::Tls(None), _) => {
                break "its TLS does not say for which host it asks".to_owned();
            }
            (Hello::Broken, _) => break "its TLS cannot be read".to_owned(),
            (Hello::Unfinished, _) => {}
            (Hello::Other, Request::Unfinished) => {}
            (Hello::Other, Request::Http1) => return Ok(Inside::Requests(first)),
            (Hello::Other, Request::Http2) if matches!(target.host, Host::Name(_)) => {
                break "HTTP/2 without TLS may ask for any".to_owned();
            }
            (Hello::Other, Request::Http2 | Request::Other) => return Ok(Inside::Bytes(first)),
        }
        let is_first = first.is_empty();
        let more = read_more(inside, &mut first);
        let count = match until {
            Some(until) => timeout_at(until, more).await.map_err(|_| ErrorKind::TimedOut)??,
            // A client that says nothing may wait for the server.
            None => tokio::select! {
                count = more => count?,
                spoken = outside.speaks(), if is_first => {
                    spoken?;
                    return Ok(Inside::Bytes(first));
                }
            },
        };
        until.get_or_insert_with(|| Instant::now() + FIRST_MESSAGE);
        match count {
            0 if is_first => return Ok(Inside::Bytes(first)),
            0 => break "what it says ends before it has begun".to_owned(),
            _ => {}
        }
    };
    // It is refused whatever the answer; that it was recorded is what is waited for.
    let _ = way.ask(target, Question::Disagreement(said)).await;
    if matches!(first[..], [crate::hello::HANDSHAKE, ..]) {
        let _ = last_word(inside, &ALERT).await;
    } else if request(&first) == Request::Http2 {
        let _ = last_word(inside, &http1_required()).await;
    }
    Err(ErrorKind::PermissionDenied.into())
}

/// Asks about what requests cannot be told in. `first` is what the inside has said.
///
/// # Errors
/// When it is refused, which has been said.
pub(crate) async fn unseen(
    way: &Way,
    target: &Target,
    inside: &TcpStream,
    first: &[u8],
) -> io::Result<()> {
    let encrypted = matches!(first, [crate::hello::HANDSHAKE, ..]);
    let what = if encrypted { "what is said is encrypted" } else { "what is said is not HTTP" };
    if way.ask(target, Question::Unseen(what.to_owned())).await.is_ok() {
        return Ok(());
    }
    if encrypted {
        let _ = last_word(inside, &DENIED).await;
    } else if request(first) == Request::Http2 {
        let _ = last_word(inside, &http1_required()).await;
    }
    Err(ErrorKind::PermissionDenied.into())
}

/// Whether a TLS client may name this host, or none, on its way to the target. A literal address is
/// not named (RFC 6066, section 3).
fn agrees(target: &Target, name: Option<&str>) -> bool {
    match (&target.host, name.map(Host::parse)) {
        (Host::Address(_), None) => true,
        (_, Some(Ok(named))) => target.goes_by(&named),
        (_, None | Some(Err(_))) => false,
    }
}

/// Whether these bytes begin a request of HTTP/1.
pub(crate) fn is_request(bytes: &[u8]) -> bool {
    request(bytes) == Request::Http1
}

/// What the first bytes are, if they are a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Unfinished,
    Http1,
    /// The preface of RFC 9113, section 3.4.
    Http2,
    Other,
}

/// Servers skip empty lines before a request, and take methods that they do not know (RFC 9112,
/// section 2.2).
fn request(bytes: &[u8]) -> Request {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = bytes.get(start.unwrap_or(bytes.len())..).unwrap_or_default();
    let is_method = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let method = line.iter().take_while(|byte| is_method(byte)).count();
    match line.get(method..).unwrap_or_default() {
        _ if method > LONGEST_METHOD || (method == 0 && !line.is_empty()) => Request::Other,
        [] | [b' '] => Request::Unfinished,
        [b' ', b'*', ..] if line.starts_with(b"PRI") => Request::Http2,
        [b' ', b'/' | b'*' | b'h' | b'H', ..] => Request::Http1,
        [b' ', ..] if line.starts_with(b"CONNECT") => Request::Http1,
        _ => Request::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_inside_has_to_be_the_one_that_was_asked_for() {
        let table = [
            ("api.acme.example:443", Some("api.acme.example"), true),
            ("api.acme.example:443", Some("API.acme.example."), true),
            ("api.acme.example:443", Some("paste.example"), false),
            ("api.acme.example:443", Some("api.acme.example\0.paste.example"), false),
            ("api.acme.example:443", Some(""), false),
            ("api.acme.example:443", None, false),
            ("192.0.2.1:443", None, true),
            ("192.0.2.1:443", Some("192.0.2.1"), true),
            ("192.0.2.1:443", Some("paste.example"), false),
            ("127.0.0.1:443", Some("localhost"), true),
            ("192.0.2.1:443", Some("localhost"), false),
        ];
        for (target, name, expected) in table {
            let asked = Target::parse(target, None).unwrap();
            assert_eq!(agrees(&asked, name), expected, "{target} {name:?}");
        }
    }

    #[test]
    fn a_request_is_told_from_other_protocols_by_its_first_bytes() {
        let table: &[(&[u8], Request)] = &[
            (b"GET / HTTP/1.1\r\n", Request::Http1),
            (b"\r\n\nGET / HTTP/1.1\r\n", Request::Http1),
            (b"get /", Request::Http1),
            (b"OPTIONS * HTTP/1.1", Request::Http1),
            (b"GET http://a.example/ HTTP/1.1", Request::Http1),
            (b"M-SEARCH *", Request::Http1),
            (b"CONNECT a.example:443 HTTP/1.1", Request::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Request::Http2),
            (b"SSH-2.0-OpenSSH\r\n", Request::Other),
            (b"PING\r\n", Request::Other),
            (b"NICK ada\r\n", Request::Other),
            (b"\x10\x0c\0\x04MQTT", Request::Other),
            (b" GET / HTTP/1.1", Request::Other),
            (b"", Request::Unfinished),
            (b"\r\n", Request::Unfinished),
            (b"G", Request::Unfinished),
            (b"GET ", Request::Unfinished),
        ];
        for (bytes, expected) in table {
            assert_eq!(request(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }
}
