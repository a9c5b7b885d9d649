//! Requests to the proxy, as they are read of a connection: what is judged is what is dialled and
//! what is sent, and whoever reads that next reads the same. What could be read in two ways goes
//! nowhere.
#![no_main]

use chaperone_egress::fuzzing::{Judged, heads, judged};
use chaperone_egress::{Host, Target};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::http::request::{Builder, Parts};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Method, Version};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use url::Url;

/// Where a tunnel leads that requests come through.
static FIXED: LazyLock<[Target; 2]> =
    LazyLock::new(|| ["api.acme.example:443", "127.0.0.1:80"].map(|it| target(it, None).unwrap()));

/// Fields that concern one connection alone, or that name the method once more.
const HOP: [&str; 9] = [
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "http2-settings",
];
const OVERRIDING: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

fuzz_target!(|bytes: &[u8]| {
    for head in heads(bytes) {
        check(&head, None);
        FIXED.iter().for_each(|fixed| check(&head, Some(fixed)));
    }
    if let Some(head) = head_of_http2(&String::from_utf8_lossy(bytes)) {
        check(&head, Some(&FIXED[0]));
    }
});

fn check(head: &Parts, fixed: Option<&Target>) {
    let Some(seen) = judged(head.clone(), fixed) else { return };
    is_said_once(&head.headers);
    let Judged { target: to, is_tunnel, asked, sent, through } = &seen;
    assert_eq!(target(&to.to_string(), None).as_ref(), Some(to), "it is one spelling");
    assert_eq!(asked.method, head.method.as_str());
    match fixed {
        Some(fixed) => assert!(to == fixed && !is_tunnel, "{head:?} leaves its tunnel for {to}"),
        None => assert_eq!(*is_tunnel, head.method == Method::CONNECT),
    }
    // Whoever resolves the same target by the rules of browsers comes to the same host.
    if let Some(authority) = head.uri.authority() {
        let usual = if head.version == Version::HTTP_2 { to.port } else { 80 };
        let text = format!("http://{authority}/");
        if let Some(read) = obliging(&text, if *is_tunnel { to.port } else { usual }) {
            assert!(goes_by(to, &read), "{text:?} is judged as {to}, and read as {read}");
        }
        assert!(!authority.as_str().contains('@'), "{authority}");
    }
    if let Some(said) = head.headers.get(HOST) {
        let text = format!("http://{}/", said.to_str().expect("a Host field that agrees is text"));
        if let Some(read) = obliging(&text, to.port) {
            assert!(goes_by(to, &read) || read.port == 80, "{text:?} beside {to}");
            assert!(goes_by(&Target { port: read.port, ..to.clone() }, &read), "{text:?} {to}");
        }
    }
    if *is_tunnel {
        return;
    }
    for (sent, is_named) in [(sent, false), (through, true)] {
        is_as_judged(head, &seen, sent);
        if head.version == Version::HTTP_2 || !is_named {
            continue;
        }
        let read = Url::parse(&sent.uri.to_string()).expect("what another proxy gets is a URL");
        assert_eq!(port_and_host(&read, 80).as_ref(), Some(to), "{}", sent.uri);
        // Read again, it is judged the same, and is the same when it is sent again.
        let again = judged(sent.clone(), None).expect("what was sent on is a request");
        assert_eq!((&again.target, again.is_tunnel), (to, false));
        assert_eq!(again.asked.method, asked.method);
        assert_eq!(
            (&again.asked.upgrade, &again.asked.overridden),
            (&asked.upgrade, &asked.overridden)
        );
        assert_eq!(again.through.headers, sent.headers);
        assert_eq!(again.through.uri, sent.uri);
    }
}

/// What is sent is the request that was judged, and carries nothing that was for the proxy.
fn is_as_judged(head: &Parts, Judged { target: to, asked, .. }: &Judged, sent: &Parts) {
    assert_eq!(sent.method.as_str(), asked.method);
    let path = sent.uri.path();
    // `*` is no path, and is said to another proxy by none.
    assert!(path == asked.path || asked.path == "*" && path == "/", "{path:?} {asked:?}");
    assert_eq!(sent.uri.query(), head.uri.query());
    if head.version == Version::HTTP_2 {
        assert!(!sent.headers.contains_key(HOST), "the host is named twice");
        let authority = sent.uri.authority().expect("an authority").as_str();
        assert_eq!(target(authority, Some(443)).as_ref(), Some(to));
    } else {
        let hosts: Vec<_> = sent.headers.get_all(HOST).iter().collect();
        let [host] = hosts[..] else { panic!("{hosts:?}") };
        assert_eq!(host.to_str().ok().and_then(|it| target(it, Some(80))).as_ref(), Some(to));
    }
    let trailers = |name: &str| {
        name == "te" && head.version == Version::HTTP_2 && sent.headers[name] == "trailers"
    };
    for name in HOP {
        assert!(!sent.headers.contains_key(name) || trailers(name), "{name}: {sent:?}");
    }
    match &asked.upgrade {
        Some(_) => assert_eq!(sent.headers["connection"], "upgrade"),
        None => {
            assert!(!sent.headers.contains_key("upgrade"), "{sent:?}");
            assert!(!sent.headers.contains_key("connection"), "{sent:?}");
        }
    }
    let overriding = OVERRIDING.iter().any(|name| sent.headers.contains_key(*name));
    assert!(!overriding || asked.overridden.is_some(), "{asked:?}");
}

/// A request in which something stands twice, or nobody could know where it ends, goes nowhere.
fn is_said_once(headers: &HeaderMap) {
    let all = |name| headers.get_all(name).iter().collect::<Vec<_>>();
    assert!(all(HOST).len() <= 1, "{headers:?}");
    let (lengths, encodings) = (all(CONTENT_LENGTH), all(TRANSFER_ENCODING));
    assert!(lengths.len() + encodings.len() <= 1, "{headers:?}");
    for length in lengths {
        assert!(!length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit));
    }
    for value in headers.values() {
        assert!(!value.as_bytes().iter().any(|byte| b"\0\r\n".contains(byte)), "{value:?}");
    }
}

/// Where the most obliging client would go that is given this URL.
fn obliging(url: &str, usual: u16) -> Option<Target> {
    port_and_host(&Url::parse(url).ok()?, usual)
}

/// A URL of `http` names no port where it names that of HTTP.
fn port_and_host(url: &Url, usual: u16) -> Option<Target> {
    let named = url.authority().rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let port =
        if named.is_some() { url.port_or_known_default()? } else { url.port().unwrap_or(usual) };
    Target::new(url.host_str()?, port).ok()
}

/// Whether this names the target: only loopback has a name beside its address.
fn goes_by(target: &Target, read: &Target) -> bool {
    let is_local = matches!(&target.host, Host::Address(address) if address.is_loopback());
    let is_host = read.host == target.host || is_local && read.host.to_string() == "localhost";
    is_host && read.port == target.port
}

fn target(text: &str, usual: Option<u16>) -> Option<Target> {
    Target::parse(text, usual).ok()
}

/// A head as HTTP/2 has it: a method, an authority and a path, each on its line, and fields.
fn head_of_http2(text: &str) -> Option<Parts> {
    let mut lines = text.lines();
    let (method, authority, path) = (lines.next()?, lines.next()?, lines.next()?);
    let path: PathAndQuery = path.parse().ok()?;
    let uri = Uri::builder().scheme("https").authority(authority).path_and_query(path).build();
    let mut builder = Builder::new().version(Version::HTTP_2).method(method).uri(uri.ok()?);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        builder = builder.header(name, value);
    }
    Some(builder.body(()).ok()?.into_parts().0)
}
