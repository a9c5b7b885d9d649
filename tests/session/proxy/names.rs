//! Programs that know of no proxy: their look-ups are answered inside, and what they connect to is
//! judged and carried under the name, in both tiers.

use super::upstream::proxy;
use super::{Tier, connections};
use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::UdpSocket;
use std::process::Command;

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
    nothing_arrived(&resolver)?;
    let outside = place.command("/usr/bin/bash").args(["-c", &send]).output()?;
    assert!(text(&outside.stdout).starts_with("14\n"), "{}", text(&outside.stderr));
    assert_eq!(resolver.recv(&mut [0; 100])?, 14, "from outside it arrives");
    Ok(())
}

fn nothing_arrived(socket: &UdpSocket) -> Result<()> {
    socket.set_nonblocking(true)?;
    let arrived = socket.recv(&mut [0; 100]);
    assert!(arrived.is_err(), "nothing arrived from inside");
    socket.set_nonblocking(false)?;
    Ok(())
}

/// What a program says of each of these things that it does with a socket for datagrams, after one
/// that asks a resolver as Go's own does and is told an address. They stand in a file that it runs.
const DATAGRAMS: &str = "import ctypes, socket, sys\n\
    to = ('127.0.0.1', int(sys.argv[1]))\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    def attempt(what, do):\n\
    \x20   try: print(what, do() or 'done')\n\
    \x20   except OSError as error: print(what, error.strerror)\n\
    def new(protocol=0): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, protocol)\n\
    query = b'\\x07\\x09\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x01a\\x03far\\x07example\\0\\0\\x01\\0\\x01'\n\
    asks = new()\n\
    asks.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n\
    asks.connect(('192.0.2.53', 53))\n\
    asks.getsockname(); asks.getpeername()\n\
    asks.send(query)\n\
    print('named', '.'.join(map(str, asks.recv(512)[-4:])))\n\
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
    six.connect(('2001:db8::53', 53))\n\
    six.send(query)\n\
    print('named', '.'.join(map(str, six.recv(512)[-4:])))\n\
    attempt('connect', lambda: new().connect(to))\n\
    attempt('bind', lambda: new().bind(('127.0.0.1', 0)))\n\
    attempt('sendto', lambda: new().sendto(b'secret', to))\n\
    attempt('sendmsg', lambda: new().sendmsg([b'secret'], [], 0, to))\n\
    attempt('connected sendto', lambda: asks.sendto(b'secret', to))\n\
    attempt('connected sendmsg', lambda: asks.sendmsg([b'secret'], [], 0, to))\n\
    attempt('connected elsewhere', lambda: asks.connect(to))\n\
    attempt('connected bind', lambda: asks.bind(('127.0.0.1', 0)))\n\
    nothing = bytes(16)\n\
    if libc.connect(asks.fileno(), nothing, 16): print('dissolved', ctypes.get_errno())\n\
    attempt('dissolved sendmsg', lambda: asks.sendmsg([b'secret'], [], 0, to))\n\
    attempt('echo', lambda: new(socket.IPPROTO_ICMP))\n\
    attempt('lite', lambda: new(136))\n\
    attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 17))\n\
    attempt('pair', lambda: socket.socketpair(socket.AF_INET, socket.SOCK_DGRAM))\n";

#[test]
fn a_socket_for_datagrams_leads_to_names_alone_where_the_network_is_the_machines() -> Result<()> {
    let elsewhere = UdpSocket::bind("127.0.0.1:0")?;
    let port = elsewhere.local_addr()?.port();
    let place = Place::new()?;
    fs::write(place.work().join("datagrams.py"), DATAGRAMS)?;
    let line = format!("python3 datagrams.py {port}");
    says_in(
        Tier::Reduced,
        &place,
        &line,
        "named 198.18.0.1\nnamed 198.18.0.1\nconnect Permission denied\n\
         bind Operation not permitted\nsendto Operation not permitted\n\
         sendmsg Transport endpoint is not connected\n\
         connected sendto Operation not permitted\nconnected sendmsg 6\n\
         connected elsewhere Permission denied\nconnected bind Operation not permitted\n\
         dissolved 22\ndissolved sendmsg 6\necho Operation not permitted\n\
         lite Operation not permitted\nraw Operation not permitted\n\
         pair Operation not permitted\n",
    )?;
    nothing_arrived(&elsewhere)?;
    // Without a resolver that could be asked, what comes before it is left out.
    let rest = DATAGRAMS.split_once("attempt('connect'").context("attempts")?.1;
    let setup = DATAGRAMS.split_once("query =").context("what comes first")?.0;
    let outside = format!("{setup}asks = new()\nattempt('connect'{rest}");
    fs::write(place.work().join("outside.py"), outside)?;
    let done = place.command("python3").args(["outside.py", &port.to_string()]).output()?;
    let said = text(&done.stdout);
    for what in ["connect done", "bind done", "sendto 6", "sendmsg 6", "connected sendmsg 6"] {
        assert!(said.lines().any(|line| line == what), "{what}: {said}{}", text(&done.stderr));
    }
    let mut room = [0; 100];
    assert_eq!(elsewhere.recv(&mut room)?, 6, "from outside it arrives");
    Ok(())
}

/// Dials what it is given, and says what it is told there. It is built without a C library, and asks
/// no proxy.
const DIALS: &str = r#"package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	for _, to := range os.Args[1:] {
		connection, err := net.DialTimeout("tcp", to, 10*time.Second)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Fprintf(connection, "GET /go HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", to)
		said, _ := io.ReadAll(connection)
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		fmt.Println(lines[len(lines)-1])
	}
}
"#;

#[test]
fn a_program_that_resolves_by_datagrams_alone_is_carried_and_judged() -> Result<()> {
    let place = Place::new()?;
    let (source, program) = (place.home().join("dials.go"), place.work().join("dials"));
    fs::write(&source, DIALS)?;
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", place.home().join("go"))
        .current_dir(place.home())
        .output()?;
    ensure!(built.status.success(), "{}", text(&built.stderr));
    says(
        &place,
        "./dials a.far.example:80 b.far.example:8080 other.example:5432",
        "CONNECT a.far.example:80, then GET /go\nCONNECT b.far.example:8080, then GET /go\n\
         dial tcp 198.18.0.3:5432: connect: permission denied\n",
    )?;
    let events = connections(&place)?;
    for (host, decision) in [
        ("a.far.example:80", "allow"),
        ("b.far.example:8080", "allow"),
        ("other.example:5432", "deny"),
    ] {
        let judged: Vec<_> = events.iter().filter(|it| it["action"] == host).collect();
        assert_eq!(judged.len(), 2, "once in each tier: {judged:?}");
        assert!(judged.iter().all(|it| it["decision"] == decision), "{judged:?}");
        assert!(judged.iter().all(|it| it["detail"]["asked_by"][0] == "./dials"), "{judged:?}");
    }
    Ok(())
}

#[test]
fn many_sockets_look_names_up_at_once_and_those_that_are_too_many_are_told_to_try_again()
-> Result<()> {
    let place = Place::new()?;
    fs::write(
        place.work().join("many.py"),
        "import socket\nheld, told = [], None\n\
         for _ in range(1000):\n\
         \x20   one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)\n\
         \x20   try: one.connect(('192.0.2.53', 53))\n\
         \x20   except OSError as error: told = error.strerror; break\n\
         \x20   held.append(one)\n\
         print(256 <= len(held) < 500, told)\n\
         for one in held: one.close()\n\
         print(socket.create_connection(('a.far.example', 80)) and 'after them')\n",
    )?;
    says_in(
        Tier::Reduced,
        &place,
        "ulimit -n 2000; python3 many.py",
        "True Resource temporarily unavailable\nafter them\n",
    )
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
