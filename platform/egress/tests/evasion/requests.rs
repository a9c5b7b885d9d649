//! Ways around rules about requests: what names a denied path or method otherwise, and what is not
//! seen at all.

use crate::cases::{
    ALERT, CLOSED, Case, Ends, FORBIDDEN, HTTP_1, case, client_hello, connect, socks,
};
use crate::world::World;

/// The same request to the proxy, and through tunnels of both kinds.
fn by_each_way(name: &str, world: &World, host: &str, head: &str, ends: Ends) -> Vec<Case> {
    let at = format!("{host}:{}", world.allowed);
    let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
    let (method, path) = line.split_once(' ').unwrap();
    let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
    let within = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\n{fields}\r\n");
    let whole = format!("{method} http://{at}{path} HTTP/1.1\r\nHost: {at}\r\n{fields}\r\n");
    let tunnel = connect(&at, within.as_bytes());
    let by_socks = socks(host, world.allowed, within.as_bytes());
    let name = |way: &str| format!("{way}: {name} {line}");
    vec![
        case(name("to the proxy"), whole, ends),
        case(name("by CONNECT"), tunnel, ends),
        case(name("by SOCKS"), by_socks, ends),
    ]
}

pub(crate) fn ruled(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    for (head, ends) in [
        ("GET /", Ends::Reaches),
        ("POST /public/x?y=/admin", Ends::Reaches),
        ("GET /public/%61bc", Ends::Reaches),
        ("GET /@scope%2fname", Ends::Reaches),
        ("GET /administrators", Ends::Reaches),
        ("GET /admin", FORBIDDEN),
        ("GET /admin/", FORBIDDEN),
        ("GET /admin/users?x", FORBIDDEN),
        ("GET /Admin", FORBIDDEN),
        ("GET /%61dmin", FORBIDDEN),
        ("GET /%41DMIN/x", FORBIDDEN),
        ("GET /admin%2fusers", FORBIDDEN),
        ("GET //admin", FORBIDDEN),
        ("GET /x//admin", FORBIDDEN),
        ("GET /./admin", FORBIDDEN),
        ("GET /x/../admin", FORBIDDEN),
        ("GET /x/%2e%2e/admin", FORBIDDEN),
        ("GET /x/.%2E/admin", FORBIDDEN),
        ("GET /x%2f..%2fadmin", FORBIDDEN),
        ("GET /x/..%2fadmin", FORBIDDEN),
        ("GET /x%252f..%252fadmin", FORBIDDEN),
        ("GET /%2561dmin", FORBIDDEN),
        ("GET /%25%36%31dmin", FORBIDDEN),
        ("GET /admin;x=1", FORBIDDEN),
        ("GET /;x/admin", FORBIDDEN),
        ("GET /x/..;/admin", FORBIDDEN),
        ("GET /admin%3bx", FORBIDDEN),
        ("GET /admin%00", FORBIDDEN),
        ("GET /admin%0d%0a", FORBIDDEN),
        ("GET /x%5c..%5cadmin", FORBIDDEN),
        ("GET /%c0%afadmin", FORBIDDEN),
        ("GET /admin%", FORBIDDEN),
        ("DELETE /x", FORBIDDEN),
        ("delete /x", FORBIDDEN),
        ("POST /x\nX-HTTP-Method-Override: DELETE", FORBIDDEN),
        ("POST /x\nx-http-method: DELETE", FORBIDDEN),
        ("POST /x\nX-Method-Override: DELETE", FORBIDDEN),
        ("POST /x?_method=DELETE", FORBIDDEN),
        ("POST /x?a=b&%5Fmethod=DELETE", FORBIDDEN),
        ("POST /x?a=b;_method=DELETE", FORBIDDEN),
        ("GET /x?$httpMethod=DELETE", FORBIDDEN),
    ] {
        cases.extend(by_each_way("ruled", world, "ruled.example", head, ends));
    }
    for (head, ends) in [
        ("GET /open/x", Ends::Reaches),
        ("GET /open", Ends::Reaches),
        ("GET /", FORBIDDEN),
        ("GET /Open", FORBIDDEN),
        ("GET /open/../x", FORBIDDEN),
        ("GET /open/%2e%2e/x", FORBIDDEN),
        ("GET /open%2f..%2fx", FORBIDDEN),
        ("GET /open/..;/x", FORBIDDEN),
        ("GET /opened", FORBIDDEN),
        ("POST /open", FORBIDDEN),
        ("get /open", FORBIDDEN),
        ("OPTIONS *", FORBIDDEN),
    ] {
        // The form without a host is for tunnels alone.
        let all = by_each_way("open", world, "open.example", head, ends);
        cases.extend(all.into_iter().skip(usize::from(head == "OPTIONS *")));
    }
    let at = format!("ruled.example:{}", world.allowed);
    let two = format!("GET http://{at}/ HTTP/1.1\r\n\r\nGET http://{at}/admin HTTP/1.1\r\n\r\n");
    cases.push(case("a second request on the same connection", two, Ends::Unseen));
    let backslash = format!("GET http://{at}/x\\..\\admin HTTP/1.1\r\n\r\n");
    cases.push(case("a backslash", backslash, CLOSED));
    let fragment = format!("GET http://{at}/x#/../admin HTTP/1.1\r\n\r\n");
    cases.push(case("a fragment", fragment, Ends::Unseen));
    cases.extend(unseen(world, "ruled.example"));
    cases
}

/// What requests cannot be told in.
fn unseen(world: &World, host: &str) -> Vec<Case> {
    let port = world.allowed;
    let at = format!("{host}:{port}");
    let tls = client_hello(Some(host));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    vec![
        case("TLS by CONNECT", connect(&at, &tls), ALERT),
        case("TLS by SOCKS", socks(host, port, &tls), ALERT),
        case("another protocol by CONNECT", connect(&at, b"SSH-2.0-x\r\n"), CLOSED),
        case("another protocol by SOCKS", socks(host, port, b"\x10\x0c\0\x04MQTT"), CLOSED),
        case("HTTP/2 by SOCKS", socks(host, port, preface), HTTP_1),
    ]
}

pub(crate) fn reading(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let upgrade = "GET /\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                   Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==";
    let overridden = "GET /\nX-HTTP-Method-Override: DELETE";
    let chunked = "POST /\nTransfer-Encoding: chunked";
    for (head, ends) in [
        ("GET /a//b/../c", Ends::Reaches),
        ("OPTIONS /", Ends::Reaches),
        ("POST /", FORBIDDEN),
        ("PUT /", FORBIDDEN),
        ("PATCH /", FORBIDDEN),
        ("DELETE /", FORBIDDEN),
        ("TRACE /", FORBIDDEN),
        ("PROPPATCH /", FORBIDDEN),
        ("get /", FORBIDDEN),
        ("GeT /", FORBIDDEN),
        ("GETX /", FORBIDDEN),
        (overridden, FORBIDDEN),
        (upgrade, FORBIDDEN),
        (chunked, FORBIDDEN),
    ] {
        cases.extend(by_each_way("reading", world, "allowed.example", head, ends));
    }
    cases.extend(unseen(world, "allowed.example"));
    cases
}
