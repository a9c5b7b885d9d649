//! The cases: what is sent, and how it has to end.

use crate::world::World;

/// How a case has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It arrives: it is honest.
    Reaches,
    /// It does not, and this is in what comes back.
    Refused(&'static str),
    /// A part of it may be answered; nothing arrives where it should not.
    Unseen,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// How many bytes are sent at a time.
    pub(crate) pieces: usize,
    pub(crate) ends: Ends,
}

pub(crate) const FORBIDDEN: Ends = Ends::Refused("403 Forbidden");
pub(crate) const BAD: Ends = Ends::Refused("400 Bad Request");
pub(crate) const CLOSED: Ends = Ends::Refused("");
/// The end of a SOCKS reply that says that the rules do not allow it.
const NOT_ALLOWED: Ends = Ends::Refused("\\x05\\x02\\x00\\x01");
/// What a client of HTTP/2 is told.
pub(crate) const HTTP_1: Ends = Ends::Refused("use HTTP/1.1");
/// A TLS alert.
pub(crate) const ALERT: Ends = Ends::Refused("\\x15\\x03\\x03");

pub(crate) fn case(name: impl Into<String>, bytes: impl AsRef<[u8]>, ends: Ends) -> Case {
    Case { name: name.into(), bytes: bytes.as_ref().to_vec(), pieces: usize::MAX, ends }
}

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = spellings(world);
    cases.extend(hosts(world));
    cases.extend(names_that_lead_elsewhere(world));
    cases.extend(fields(world));
    cases.extend(smuggled(world));
    cases.extend(tunnels(world));
    cases.extend(oversized(world));
    cases
}

fn get(authority: &str) -> String {
    format!("GET http://{authority}/ HTTP/1.1\r\n\r\n")
}

pub(crate) fn connect(authority: &str, then: &[u8]) -> Vec<u8> {
    [format!("CONNECT {authority} HTTP/1.1\r\n\r\n").as_bytes(), then].concat()
}

/// A request to connect to what is called so, and what follows.
pub(crate) fn socks(name: &str, port: u16, then: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    let head = [5, 1, 0, 5, 1, 0, 3, length];
    [&head, name.as_bytes(), &port.to_be_bytes(), then].concat()
}

fn within(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Every spelling of loopback reaches what is allowed there, and nothing else.
fn spellings(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:FFFF:7F00:0001]",
    ] {
        let bare = host.trim_matches(['[', ']']);
        for (port, ends) in [
            (world.allowed, [Ends::Reaches; 3]),
            (world.denied, [FORBIDDEN, FORBIDDEN, NOT_ALLOWED]),
        ] {
            let at = format!("{host}:{port}");
            let inside = within(&at);
            cases.push(case(format!("GET {at}"), get(&at), ends[0]));
            cases.push(case(format!("CONNECT {at}"), connect(&at, &inside), ends[1]));
            cases.push(case(format!("SOCKS {at}"), socks(bare, port, &inside), ends[2]));
        }
    }
    cases
}

/// Hosts that are not allowed, under every name that they could be given.
fn hosts(world: &World) -> Vec<Case> {
    let port = world.allowed;
    let mut cases = Vec::new();
    for (host, ends) in [
        ("allowed.example", Ends::Reaches),
        ("ALLOWED.Example", Ends::Reaches),
        ("allowed.example.", Ends::Reaches),
        ("a.wild.example", Ends::Reaches),
        ("denied.example", FORBIDDEN),
        ("DENIED.Example", FORBIDDEN),
        ("denied.example.", FORBIDDEN),
        ("denied.wild.example", FORBIDDEN),
        ("Denied.WILD.example.", FORBIDDEN),
        ("wild.example", FORBIDDEN),
        ("evilwild.example", FORBIDDEN),
        ("unlisted.example", FORBIDDEN),
        ("allowed.example.evil.example", FORBIDDEN),
        ("notallowed.example", FORBIDDEN),
        ("denied.example..", BAD),
        ("denied%2eexample", BAD),
        ("allowed.example%00.denied.example", BAD),
        ("allowed.example@denied.example", BAD),
        ("[fe80::1%25eth0]", BAD),
        ("xn--allowed-example", FORBIDDEN),
    ] {
        let at = format!("{host}:{port}");
        cases.push(case(format!("GET {at}"), get(&at), ends));
        // What no URL can hold closes a connection without many words.
        let ends = if ends == BAD { CLOSED } else { ends };
        cases.push(case(format!("CONNECT {at}"), connect(&at, &within(&at)), ends));
    }
    for name in ["denied.example", "DENIED.example.", "unlisted.example", "0x7f.2"] {
        cases.push(case(format!("SOCKS {name}"), socks(name, port, &within(name)), NOT_ALLOWED));
    }
    for name in ["allowed.example\0.denied.example", "denied.example\0", "denied example", ""] {
        let bytes = socks(name, port, &within("denied.example"));
        cases.push(case(format!("SOCKS {name:?}"), bytes, Ends::Refused("\\x05\\x08")));
    }
    cases.push(case(
        "SOCKS to a name",
        socks("allowed.example", port, &within("allowed.example")),
        Ends::Reaches,
    ));
    let v4 = |port: u16| {
        [&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1], &port.to_be_bytes()[..], &within("localhost")]
            .concat()
    };
    cases.push(case("SOCKS to an address", v4(world.allowed), Ends::Reaches));
    cases.push(case("SOCKS to another address", v4(world.denied), NOT_ALLOWED));
    let v6 = |address: &str| {
        let address: std::net::Ipv6Addr = address.parse().unwrap();
        [&[5, 1, 0, 5, 1, 0, 4], &address.octets()[..], &world.denied.to_be_bytes()].concat()
    };
    for address in ["::1", "::ffff:127.0.0.1", "::", "64:ff9b::7f00:1", "fe80::1"] {
        cases.push(case(format!("SOCKS {address}"), v6(address), NOT_ALLOWED));
    }
    cases.push(case("SOCKS version 4", [4, 1, 0, 80, 127, 0, 0, 1, 0], CLOSED));
    cases.push(case(
        "SOCKS to listen",
        [5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80],
        Ends::Refused("\\x05\\x07"),
    ));
    cases.push(case("SOCKS with a login", [5, 1, 2], Ends::Refused("\\x05\\xff")));
    cases
}

/// Names that are allowed, and lead to what is not.
fn names_that_lead_elsewhere(world: &World) -> Vec<Case> {
    let names = [
        "private",
        "metadata",
        "v6",
        "mapped",
        "translated",
        "6to4",
        "unique-local",
        "link-local",
        "zero",
        "zero-v6",
        "shared",
        "multicast",
        "broadcast",
        "denied-range",
        "other-loopback",
    ];
    let mut cases = Vec::new();
    for name in names {
        let at = format!("{name}.lead.example:{}", world.allowed);
        cases.push(case(format!("GET {at}"), get(&at), FORBIDDEN));
        cases.push(case(format!("CONNECT {at}"), connect(&at, b""), FORBIDDEN));
    }
    let at = format!("allowed.example:{}", world.denied);
    cases.push(case("an allowed name at another port", get(&at), FORBIDDEN));
    let at = format!("both.lead.example:{}", world.allowed);
    cases.push(case("a name with an address that may be", get(&at), Ends::Reaches));
    // Whichever comes first arrives, and the others, over the same connection, do not.
    let at = format!("rebinds.lead.example:{}", world.allowed);
    cases.push(case("a name that rebinds", get(&at).repeat(3), Ends::Unseen));
    cases.push(case("a name that rebinds, again", get(&at).repeat(3), Ends::Unseen));
    cases
}

/// Requests whose parts name different hosts.
fn fields(world: &World) -> Vec<Case> {
    let at = format!("allowed.example:{}", world.allowed);
    let head = |fields: &str| format!("GET http://{at}/ HTTP/1.1\r\n{fields}\r\n");
    let port = world.allowed;
    let denied = format!("denied.example:{port}");
    [
        ("no Host", head(""), Ends::Reaches),
        ("the same Host", head(&format!("Host: {at}\r\n")), Ends::Reaches),
        (
            "the same Host in capitals",
            head(&format!("HOST: ALLOWED.example.:{port}\r\n")),
            Ends::Reaches,
        ),
        ("another Host", head(&format!("Host: {denied}\r\n")), FORBIDDEN),
        ("another port", head("Host: allowed.example:1\r\n"), FORBIDDEN),
        ("no port", head("Host: allowed.example\r\n"), FORBIDDEN),
        ("two Hosts", head(&format!("Host: {at}\r\nHost: {denied}\r\n")), FORBIDDEN),
        ("the same Host twice", head(&format!("Host: {at}\r\nHost: {at}\r\n")), FORBIDDEN),
        ("two Hosts in one", head(&format!("Host: {at}, {denied}\r\n")), FORBIDDEN),
        ("an empty Host", head("Host:\r\n"), FORBIDDEN),
        ("a Host with a user", head(&format!("Host: x@{at}\r\n")), FORBIDDEN),
        ("a Host on a folded line", head(&format!("Host: {at}\r\n {denied}\r\n")), BAD),
        ("a space before the colon", head(&format!("Host : {denied}\r\n")), BAD),
        (
            "a Host that the connection drops",
            head(&format!("Connection: host\r\nHost: {at}\r\n")),
            Ends::Reaches,
        ),
        (
            "a Host for this connection",
            head(&format!("Connection: x-host\r\nX-Host: {denied}\r\n")),
            Ends::Reaches,
        ),
        ("only a path", format!("GET / HTTP/1.1\r\nHost: {at}\r\n\r\n"), BAD),
        ("two slashes", format!("GET //{denied}/ HTTP/1.1\r\nHost: {at}\r\n\r\n"), BAD),
        ("another scheme", get(&at).replace("http:", "https:"), BAD),
        ("a file", "GET file:///etc/passwd HTTP/1.1\r\n\r\n".into(), BAD),
        ("a scheme in capitals", get(&at).replace("http:", "HTTP:"), Ends::Reaches),
        ("no scheme", format!("GET {denied}/ HTTP/1.1\r\n\r\n"), BAD),
        ("a star", "OPTIONS * HTTP/1.1\r\nHost: allowed.example\r\n\r\n".into(), BAD),
        ("a tunnel to a URL", format!("CONNECT http://{at}/ HTTP/1.1\r\n\r\n"), BAD),
        ("a fragment", format!("GET http://denied.example#@{at}/ HTTP/1.1\r\n\r\n"), FORBIDDEN),
        ("a tunnel without a port", "CONNECT allowed.example HTTP/1.1\r\n\r\n".into(), BAD),
        ("a tunnel to port 0", "CONNECT allowed.example:0 HTTP/1.1\r\n\r\n".into(), BAD),
        (
            "a tunnel with another Host",
            format!("CONNECT {at} HTTP/1.1\r\nHost: {denied}\r\n\r\n"),
            FORBIDDEN,
        ),
        (
            "a tunnel with a body",
            format!("CONNECT {at} HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345"),
            BAD,
        ),
        ("a tunnel with a user", format!("CONNECT x@{at} HTTP/1.1\r\n\r\n"), BAD),
        ("HTTP/1.0", format!("GET http://{at}/ HTTP/1.0\r\n\r\n"), Ends::Reaches),
        ("HTTP/0.9", format!("GET http://{denied}/\r\n\r\n"), CLOSED),
        ("HTTP/2 to the proxy", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), HTTP_1),
        ("a line that ends with LF", format!("GET http://{denied}/ HTTP/1.1\n\n"), FORBIDDEN),
        (
            "a line in the target",
            format!("GET http://{at}/\r\nHost:{denied} HTTP/1.1\r\n\r\n"),
            CLOSED,
        ),
        ("a NUL in the target", format!("GET http://{at}\0{denied}/ HTTP/1.1\r\n\r\n"), CLOSED),
        ("a tab in the target", format!("GET\thttp://{denied}/ HTTP/1.1\r\n\r\n"), CLOSED),
        ("a backslash", format!("GET http://allowed.example\\@{denied}/ HTTP/1.1\r\n\r\n"), CLOSED),
    ]
    .into_iter()
    .map(|(name, bytes, ends)| case(name, bytes, ends))
    .collect()
}

/// Requests within requests.
fn smuggled(world: &World) -> Vec<Case> {
    let at = format!("allowed.example:{}", world.allowed);
    let denied = format!("denied.example:{}", world.allowed);
    let inner = format!("GET / HTTP/1.1\r\nHost: {denied}\r\n\r\n");
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let length = inner.len();
    let post =
        |fields: &str, body: &str| format!("POST http://{at}/ HTTP/1.1\r\n{fields}\r\n{body}");
    let with_both = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n");
    let mut cases: Vec<Case> = [
        ("a body of a length", post(&format!("Content-Length: {length}\r\n"), &inner), Ends::Reaches),
        ("a body in chunks", post("Transfer-Encoding: chunked\r\n", &chunk), Ends::Reaches),
        ("a length and chunks", post(&with_both, &format!("0\r\n\r\n{inner}")), Ends::Unseen),
        ("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), &inner), BAD),
        ("two equal lengths", post("Content-Length: 0\r\nContent-Length: 0\r\n", ""), Ends::Unseen),
        ("two lengths in one", post(&format!("Content-Length: 0, {length}\r\n"), &inner), BAD),
        ("a length with a sign", post("Content-Length: +0\r\n", &inner), BAD),
        ("a length in hexadecimal", post("Content-Length: 0x0\r\n", &inner), BAD),
        ("a negative length", post("Content-Length: -1\r\n", &inner), BAD),
        ("another encoding", post("Transfer-Encoding: xchunked\r\n", &inner), BAD),
        ("chunks, then identity", post("Transfer-Encoding: chunked, identity\r\n", &inner), BAD),
        ("chunks twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunk), BAD),
        ("an encoding behind a tab", post("Transfer-Encoding:\x0bchunked\r\n", &chunk), BAD),
        ("chunks of HTTP/1.0", post("Transfer-Encoding: chunked\r\n", &chunk).replace("1.1\r\nTransfer", "1.0\r\nTransfer"), BAD),
        ("a chunk that is longer than it says", post("Transfer-Encoding: chunked\r\n", &format!("1\r\nx{inner}")), Ends::Unseen),
        ("a chunk of a wrong size", post("Transfer-Encoding: chunked\r\n", &format!("zz\r\n{inner}")), Ends::Unseen),
        ("a request in a header", format!("GET http://{at}/ HTTP/1.1\r\nX: \n\n{inner}"), Ends::Unseen),
        ("a second request to another host", format!("{}{}", get(&at), get(&denied)), Ends::Unseen),
        ("a second request with only a path", format!("{}{inner}", get(&at)), Ends::Unseen),
        ("a second request in a refused one", format!("{}{inner}", get(&denied)), Ends::Unseen),
        ("an upgrade to HTTP/2", format!("GET http://{at}/ HTTP/1.1\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"), Ends::Reaches),
    ]
    .into_iter()
    .map(|(name, bytes, ends)| case(name, bytes, ends))
    .collect();
    let mut slowly = case("a denied request, byte by byte", get(&denied), FORBIDDEN);
    slowly.pieces = 1;
    cases.push(slowly);
    cases
}

/// What is said within a tunnel that was opened to an allowed host.
fn tunnels(world: &World) -> Vec<Case> {
    let at = format!("allowed.example:{}", world.allowed);
    let port = world.allowed;
    let denied = within("denied.example");
    let twice = [within(&at), within(&format!("denied.example:{port}"))].concat();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let with_target = |authority: &str| {
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes()
    };
    let bytes: Vec<(&str, Vec<u8>, Ends)> = vec![
        ("the same Host", within(&at), Ends::Reaches),
        ("the same Host without a port", within("allowed.example"), Ends::Reaches),
        ("the same target", with_target(&at), Ends::Reaches),
        ("another Host", denied.clone(), FORBIDDEN),
        ("another Host behind an empty line", [b"\r\n", &denied[..]].concat(), FORBIDDEN),
        ("another Host by another method", [b"QUERY".as_slice(), &denied[3..]].concat(), FORBIDDEN),
        ("another target", with_target(&format!("denied.example:{port}")), FORBIDDEN),
        ("another Host in the second request", twice, Ends::Unseen),
        ("another tunnel", connect(&format!("127.0.0.1:{}", world.denied), b"x"), BAD),
        ("HTTP/2", preface.to_vec(), HTTP_1),
        ("the same name in TLS", client_hello(Some("allowed.example")), Ends::Reaches),
        ("the same name in TLS in capitals", client_hello(Some("ALLOWED.example")), Ends::Reaches),
        ("another name in TLS", client_hello(Some("denied.example")), ALERT),
        ("no name in TLS", client_hello(None), ALERT),
        ("a name in TLS with a NUL", client_hello(Some("allowed.example\0.denied.example")), ALERT),
        ("an address in TLS", client_hello(Some("127.0.0.1")), ALERT),
        (
            "another name in TLS in small records",
            in_records(&client_hello(Some("denied.example")), 3),
            ALERT,
        ),
        (
            "the same name in TLS in small records",
            in_records(&client_hello(Some("allowed.example")), 3),
            Ends::Reaches,
        ),
        (
            "an empty record, then another name",
            [&[22, 3, 1, 0, 0], &client_hello(Some("denied.example"))[..]].concat(),
            ALERT,
        ),
        ("a name that is cut off", client_hello(Some("denied.example"))[..60].to_vec(), CLOSED),
    ];
    let mut cases = Vec::new();
    for (name, then, ends) in bytes {
        for pieces in [usize::MAX, 7] {
            let mut by_connect = case(format!("in a tunnel: {name}"), connect(&at, &then), ends);
            by_connect.pieces = pieces;
            let by_socks = socks("allowed.example", port, &then);
            let mut by_socks = case(format!("by SOCKS: {name}"), by_socks, ends);
            by_socks.pieces = pieces;
            cases.extend([by_connect, by_socks]);
        }
    }
    let address = format!("127.0.0.1:{port}");
    for (name, ends) in [(None, Ends::Reaches), (Some("denied.example"), ALERT)] {
        let bytes = connect(&address, &client_hello(name));
        cases.push(case(format!("TLS to an address as {name:?}"), bytes, ends));
    }
    cases
}

/// More than anybody reads.
fn oversized(world: &World) -> Vec<Case> {
    let at = format!("denied.example:{}", world.allowed);
    let long = "x".repeat(128 * 1024);
    let many: String = (0..2000).map(|n| format!("X-{n}: y\r\n")).collect();
    let get = |path: &str, fields: &str| format!("GET http://{at}/{path} HTTP/1.1\r\n{fields}\r\n");
    let endless_hello = [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], long.as_bytes()].concat();
    let allowed = format!("allowed.example:{}", world.allowed);
    vec![
        case("a long path", get(&long, ""), CLOSED),
        case("a long field", get("", &format!("X: {long}\r\n")), CLOSED),
        case("many fields", get("", &many), CLOSED),
        case("a long host", format!("GET http://{long}/ HTTP/1.1\r\n\r\n"), CLOSED),
        case("a long ClientHello", connect(&allowed, &endless_hello), ALERT),
        case("a request that never ends", format!("GET http://{at}/ HTTP/1.1\r\nX"), CLOSED),
        case("a greeting that never ends", [5, 255, 0], CLOSED),
        case("nothing but an empty line", "\r\n", CLOSED),
    ]
}

/// A ClientHello in one record.
pub(crate) fn client_hello(name: Option<&str>) -> Vec<u8> {
    let vector16 =
        |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let server_name = name.map(|name| {
        let list = vector16(&[&[0], &vector16(name.as_bytes())[..]].concat());
        [&[0, 0], &vector16(&list)[..]].concat()
    });
    let extensions = [&[0, 43, 0, 3, 2, 3, 4], &server_name.unwrap_or_default()[..]].concat();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector16(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1], &vector16(&message)[..]].concat()
}

/// The same message in records of so many bytes.
fn in_records(record: &[u8], size: usize) -> Vec<u8> {
    let pieces = record[5..].chunks(size);
    let length = |piece: &[u8]| u8::try_from(piece.len()).unwrap();
    pieces.flat_map(|piece| [&[22, 3, 1, 0, length(piece)], piece].concat()).collect()
}
