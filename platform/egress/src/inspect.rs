//! Holds what is said at the beginning of a tunnel to what the tunnel was asked for.

use crate::Question;
use crate::dial::Way;
use crate::hello::{Hello, hello};
use crate::target::{Host, Target};
use crate::tunnel::{read_more, write_all};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long a client may take over its first message, once it has begun it.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// A fatal alert, `unrecognized_name` (RFC 8446, section 6.2): clients say something like it.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What the inside says first, once it agrees with the target: the host that a TLS client names
/// must be the one that was asked for, and a client that was let through to a name must name it.
///
/// # Errors
/// What ends the tunnel: the stream failed, or it disagrees, which was recorded and said.
pub(crate) async fn agreeing(
    way: &Way,
    target: &Target,
    inside: &TcpStream,
    mut first: Vec<u8>,
) -> io::Result<Vec<u8>> {
    let mut until = None;
    let said = loop {
        match hello(&first) {
            Hello::Other => return Ok(first),
            Hello::Tls(name) if agrees(target, name.as_deref()) => return Ok(first),
            Hello::Tls(Some(name)) => break format!("its TLS asks for {name:?}"),
            Hello::Tls(None) => break "its TLS does not say for which host it asks".to_owned(),
            Hello::Broken => break "its TLS cannot be read".to_owned(),
            Hello::Unfinished => {}
        }
        let more = read_more(inside, &mut first);
        let count = match until {
            Some(until) => timeout_at(until, more).await.map_err(|_| ErrorKind::TimedOut)??,
            // A client that says nothing may wait for the server.
            None => more.await?,
        };
        until.get_or_insert_with(|| Instant::now() + FIRST_MESSAGE);
        match count {
            0 if first.is_empty() => return Ok(first),
            0 => break "its TLS ends before it has begun".to_owned(),
            _ => {}
        }
    };
    // It is refused whatever the answer; that it was recorded is what is waited for.
    let _ = way.ask(target, Question::Disagreement(said)).await;
    let _ = write_all(inside, &ALERT).await;
    Err(ErrorKind::PermissionDenied.into())
}

/// Whether a client may name this host, or none, on its way to the target. A literal address is
/// not named (RFC 6066, section 3); what is named beside one is another host.
fn agrees(target: &Target, name: Option<&str>) -> bool {
    match (&target.host, name.map(Host::parse)) {
        (Host::Address(_), None) => true,
        (Host::Address(address), Some(Ok(Host::Name(name)))) => {
            name == "localhost" && address.is_loopback()
        }
        (asked, Some(Ok(named))) => *asked == named,
        (_, None | Some(Err(_))) => false,
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
}
