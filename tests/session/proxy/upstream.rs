//! An organisation's own proxy between the session's and the net.

use super::{Tier, connections, in_both_tiers};
use crate::bundle::https::head;
use crate::place::{Place, text};
use anyhow::Result;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Answers every request itself, with what it was asked for.
pub(super) fn proxy() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // Until the test's process ends.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut asked = line(&head(&mut stream)?);
    if asked.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        asked = format!("{asked}, then {}", line(&head(&mut stream)?));
    }
    let length = asked.len() + 1;
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
    Ok(write!(stream, "{answer} {length}\r\n\r\n{asked}\n")?)
}

fn line(head: &str) -> String {
    head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned()
}

#[test]
fn connections_leave_through_the_organisations_proxy_which_resolves_their_names() -> Result<()> {
    let (place, upstream) = (Place::new()?, proxy()?);
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nupstream = \"http://127.0.0.1:{upstream}\"\n\
         upstream_bypass = [\"past.example\"]\n\
         allow = [\"far.example\", \"intranet\", \"past.example\", \"relayed.example:8080\"]\n"
    ))?;
    let script = "exec 2>&1; curl -sS http://far.example/a; curl -sSp http://far.example:8080/b; \
                  curl -sS http://10.0.0.1/ | sed -n 2p; curl -sS http://intranet/ | sed -n 2p; \
                  curl -sS http://past.example/ | sed -n 1p; \
                  curl -sS http://relayed.example:8080/";
    in_both_tiers(&place, None, script, |tier: Tier, done| {
        let said = text(&done.stdout);
        let lines: Vec<&str> = said.lines().collect();
        let [request, tunnel, address, near, past, relayed] = lines[..] else {
            anyhow::bail!("{tier:?}: {said}{}", text(&done.stderr));
        };
        assert_eq!(request, "GET http://far.example/a", "{tier:?}");
        assert_eq!(tunnel, "CONNECT far.example:8080, then GET /b", "{tier:?}");
        assert!(address.contains("10.0.0.1 is a private address"), "{tier:?}: {address}");
        assert!(near.contains("only where network.upstream_bypass names it"), "{tier:?}: {near}");
        assert!(past.contains("past.example:80 could not be reached"), "{tier:?}: {past}");
        assert_eq!(relayed, "GET http://relayed.example:8080/", "{tier:?}");
        Ok(())
    })?;
    let events = connections(&place)?;
    assert!(
        events.iter().any(|it| it["action"] == "far.example:80" && it["decision"] == "allow"),
        "{events:?}"
    );
    Ok(())
}
