//! Programs that know of no proxy: their look-ups are answered inside, and what they connect to is
//! judged and carried under the name, in both tiers.

use super::upstream::proxy;
use super::{Tier, connections};
use crate::place::{Place, text};
use anyhow::Result;
use std::net::UdpSocket;

/// The same in both tiers.
fn says(place: &Place, line: &str, expected: &str) -> Result<()> {
    [Tier::Full, Tier::Reduced]
        .into_iter()
        .try_for_each(|tier| says_in(tier, place, line, expected))
}

/// A line of shell in a session whose hosts are behind another proxy, and without the variables
/// that name the session's own, which is left as `$ours`.
fn says_in(tier: Tier, place: &Place, line: &str, expected: &str) -> Result<()> {
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"*.far.example\", \"198.51.100.7:8080\"]\n\
         upstream = \"http://127.0.0.1:{}\"\n",
        proxy()?
    ))?;
    let script = format!(
        "exec 2>&1; PATH=/usr/local/bin:/usr/bin:/bin; ours=${{http_proxy#http://}}; \
         unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY \
         NODE_USE_ENV_PROXY; {line}"
    );
    let mut run = place.chaperone(["run", "--unattended", "--", "bash", "-c", &script])?;
    tier.leave(&mut run);
    let done = run.output()?;
    assert_eq!(text(&done.stdout), expected, "{tier:?}: {line}: {}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_name_has_an_address_inside_that_no_machine_has_and_no_query_leaves() -> Result<()> {
    says(
        &Place::new()?,
        "getent ahosts a.far.example | sort -u | grep -c STREAM; \
         getent hosts a.far.example b.far.example A.far.EXAMPLE | tr -s ' '; \
         python3 -c \"import socket; print(socket.gethostbyname('anything.example'))\"; \
         node -e \"require('dns').resolve4('b.far.example', (e, a) => console.log(e ?? a[0]))\"; \
         getent ahosts a.localhost | tr -s ' ' | grep -c ^198",
        "1\n198.18.0.1 a.far.example\n198.18.0.2 b.far.example\n198.18.0.1 A.far.EXAMPLE\n\
         198.18.0.3\n198.18.0.2\n0\n",
    )
}

#[test]
fn no_look_up_reaches_a_resolver_outside() -> Result<()> {
    let resolver = UdpSocket::bind("127.0.0.1:0")?;
    let port = resolver.local_addr()?.port();
    let place = Place::new()?;
    let send = format!(
        "python3 -c \"import socket\nfor to in ('127.0.0.1', {port}), ('192.0.2.1', 53):\n\
         \x20   try: print(socket.socket(2, 2).sendto(b'secret.example', to))\n\
         \x20   except OSError as error: print(error.strerror)\""
    );
    // A datagram to the session's own loopback leaves it as little as one to elsewhere.
    says_in(Tier::Full, &place, &send, "14\nNetwork is unreachable\n")?;
    says_in(Tier::Reduced, &place, &send, &"Operation not permitted\n".repeat(2))?;
    resolver.set_nonblocking(true)?;
    let mut room = [0; 100];
    assert!(resolver.recv(&mut room).is_err(), "nothing arrived from inside");
    let outside = place.command("/usr/bin/bash").args(["-c", &send]).output()?;
    assert!(text(&outside.stdout).starts_with("14\n"), "{}", text(&outside.stderr));
    assert_eq!(resolver.recv(&mut room)?, 14, "from outside it arrives");
    Ok(())
}

#[test]
fn programs_that_ask_no_proxy_reach_what_the_policy_allows() -> Result<()> {
    let place = Place::new()?;
    says(
        &place,
        "curl -sS http://a.far.example/curl; \
         node -e \"fetch('http://a.far.example:8080/fetch').then(r => r.text()).then(t => \
         console.log(t.trim()))\"; \
         python3 -c \"import urllib.request as u; \
         print(u.urlopen('http://b.far.example/python').read().decode().strip())\"; \
         exec 3<>/dev/tcp/a.far.example/81; \
         printf 'GET /bash HTTP/1.1\\r\\nHost: a.far.example:81\\r\\nConnection: close\\r\\n\\r\\n' >&3; \
         tail -n 1 <&3; \
         python3 -c \"import socket; s = socket.socket(socket.AF_INET6); \
         s.connect(('::ffff:' + socket.gethostbyname('a.far.example'), 82)); \
         s.sendall(b'GET /v6 HTTP/1.1\\r\\nHost: a.far.example:82\\r\\nConnection: close\\r\\n\\r\\n'); \
         print(s.makefile().read().splitlines()[-1])\"; \
         curl -sS -x socks5://$ours http://b.far.example:83/socks; \
         curl -sS -p -x http://$ours http://$(getent hosts b.far.example | cut -d' ' -f1):84/x \
         -H 'Host: b.far.example:84'",
        "CONNECT a.far.example:80, then GET /curl\n\
         CONNECT a.far.example:8080, then GET /fetch\n\
         CONNECT b.far.example:80, then GET /python\n\
         CONNECT a.far.example:81, then GET /bash\n\
         CONNECT a.far.example:82, then GET /v6\n\
         CONNECT b.far.example:83, then GET /socks\n\
         CONNECT b.far.example:84, then GET /x\n",
    )?;
    let events = connections(&place)?;
    for (host, program) in
        [("a.far.example:80", "curl"), ("a.far.example:8080", "node"), ("b.far.example:83", "curl")]
    {
        let reached: Vec<_> = events.iter().filter(|it| it["action"] == host).collect();
        assert_eq!(reached.len(), 2, "once in each tier: {reached:?}");
        for reached in reached {
            assert_eq!(reached["detail"]["asked_by"][0], program, "{reached}");
        }
    }
    assert!(events.iter().all(|event| event["decision"] == "allow"), "{events:?}");
    Ok(())
}

#[test]
fn an_address_that_is_allowed_is_reached_without_asking_the_proxy() -> Result<()> {
    let place = Place::new()?;
    says(
        &place,
        "curl -sS http://198.51.100.7:8080/x; \
         python3 -c \"import socket; s = socket.create_connection(('198.51.100.7', 8080)); \
         s.sendall(b'GET /y HTTP/1.1\\r\\nHost: 198.51.100.7:8080\\r\\nConnection: close\\r\\n\\r\\n'); \
         print(s.makefile().read().splitlines()[-1])\"",
        "CONNECT 198.51.100.7:8080, then GET /x\nCONNECT 198.51.100.7:8080, then GET /y\n",
    )
}

#[test]
fn what_is_refused_is_named_by_the_program_that_wanted_it() -> Result<()> {
    let place = Place::new()?;
    says(
        &place,
        "curl -sS http://other.example/ | head -2 | cut -d. -f1,2; \
         curl -sS https://other.example/ 2>&1 | grep -o 'connect to other.example port 443'; \
         ssh -F none -o BatchMode=yes git@other.example true 2>&1 | tr -d '\\r'; \
         bash -c 'exec 3<>/dev/tcp/db.example/5432' 2>&1 | tail -n 1 | cut -d: -f3-; \
         curl -sS telnet://198.51.100.8:5432 2>&1 | grep -o 'connect to 198.51.100.8 port 5432'; \
         for at in 198.18.99.99 192.0.2.1 169.254.169.254; do curl -s http://$at/ | head -n 1; \
         curl -s http://$at:8080/; echo $?; done",
        "chaperone: denied: a connection to other.example:80\n  other.example is not among the \
         hosts that are allowed\nconnect to other.example port 443\nssh: connect to host \
         other.example port 22: Permission denied\n /dev/tcp/db.example/5432: Permission denied\n\
         connect to 198.51.100.8 port 5432\n\
         chaperone: denied: a connection to 198.18.99.99:80\n7\n\
         chaperone: denied: a connection to 192.0.2.1:80\n7\n\
         chaperone: denied: a connection to 169.254.169.254:80\n7\n",
    )?;
    let events = connections(&place)?;
    for (host, program) in [("other.example:22", "ssh"), ("db.example:5432", "bash")] {
        let refused: Vec<_> = events.iter().filter(|it| it["action"] == host).collect();
        assert_eq!(refused.len(), 2, "once in each tier: {refused:?}");
        for refused in refused {
            assert_eq!(refused["decision"], "deny", "{refused}");
            assert_eq!(refused["detail"]["asked_by"][0], program, "{refused}");
        }
    }
    assert!(events.iter().any(|it| it["action"] == "other.example:443"), "{events:?}");
    Ok(())
}
