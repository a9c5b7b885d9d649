//! The same in HTTP/2, where TLS is opened: frames by their exact bytes (RFC 9113), over one
//! connection through a tunnel to `ruled.example`, to a server that speaks HTTP/2.

use crate::cases::connect;
use crate::world::{Log, REACHED, RULES, check, check_request, proxy};
use chaperone_egress::{Opener, Trust};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "ruled.example";

/// What a stream came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// It was answered by the server.
    Reached,
    /// The proxy answered, and this is in what it said.
    Said(&'static str),
    /// The stream was reset, or the connection ended, before anything was passed on.
    Reset,
}

const DENIED: End = End::Said("chaperone: denied");
const MALFORMED: End = End::Said("cannot be passed on");

type Fields<'f> = Vec<(&'f str, String)>;

struct Stage {
    proxy: SocketAddr,
    port: u16,
    trusted: CertificateDer<'static>,
    escapes: Log,
}

fn stage() -> Stage {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([HOST.to_owned()]).unwrap();
    let own = own.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let escapes = Log::default();
    let log = Arc::clone(&escapes);
    thread::spawn(move || server(listener, Arc::new(config), log));
    let opener = Arc::new(Opener::new(Arc::new(Trust::new(&authority.pem()))).unwrap());
    let trusted = CertificateDer::from_pem_slice(opener.certificate().as_bytes()).unwrap();
    Stage { proxy: proxy(port, RULES, Some(opener)), port, trusted, escapes }
}

/// Answers every request, and tells of those that it should not have got.
fn server(listener: TcpListener, config: Arc<ServerConfig>, log: Log) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, log) = (TlsAcceptor::from(Arc::clone(&config)), Arc::clone(&log));
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let log = Arc::clone(&log);
                    async move {
                        let (head, body) = request.into_parts();
                        // A client may end it early.
                        let _ = body.collect().await;
                        let host = head.uri.authority().map(|own| own.as_str().to_owned());
                        let fields = head.headers.get_all("host").iter();
                        let hosts: Vec<String> = fields
                            .map(|own| String::from_utf8_lossy(own.as_bytes()).into_owned())
                            .chain(host.clone())
                            .collect();
                        let path = head.uri.path_and_query().map_or("", |own| own.as_str());
                        let start = format!("{} {path}", head.method);
                        for host in hosts {
                            check(Some(&host), &log, &start);
                        }
                        check_request(&host.unwrap_or_default(), &log, &start);
                        let body = Full::new(Bytes::from_static(REACHED.as_bytes()));
                        Ok::<_, Infallible>(Response::new(body))
                    }
                });
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let server = http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Fields as literals that nobody remembers (RFC 7541, section 6.2.2).
fn block(fields: &[(&str, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value.as_bytes()] {
            match text.len() {
                length @ 0..127 => block.push(u8::try_from(length).unwrap()),
                length => {
                    let mut rest = length - 127;
                    block.push(127);
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend(text);
        }
    }
    block
}

fn headers(stream: u32, fields: &[(&str, String)]) -> Vec<u8> {
    let block = block(fields);
    let mut pieces = block.chunks(16 * 1024).peekable();
    let mut frames = Vec::new();
    let mut kind = (HEADERS, END_STREAM);
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        frames.extend(frame(kind.0, kind.1 | last, stream, piece));
        kind = (CONTINUATION, 0);
    }
    frames
}

impl Stage {
    fn connection(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut stream = TcpStream::connect(self.proxy).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&connect(&format!("{HOST}:{}", self.port), b"")).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(HOST).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        tls.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
        tls
    }

    /// A request with these pseudo-fields in the place of the usual ones, and these fields.
    fn request<'f>(&self, pseudo: &[(&'f str, &str)], fields: &[(&'f str, &str)]) -> Fields<'f> {
        let usual = [
            (":method", "GET".to_owned()),
            (":scheme", "https".to_owned()),
            (":authority", format!("{HOST}:{}", self.port)),
            (":path", "/".to_owned()),
        ];
        let mut all: Fields<'f> = usual.to_vec();
        for (name, value) in pseudo {
            match all.iter_mut().find(|(own, _)| own == name) {
                Some((_, own)) => *own = (*value).to_owned(),
                None => all.push((name, (*value).to_owned())),
            }
        }
        all.retain(|(_, value)| value != "-");
        all.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all
    }
}

/// What one stream comes to, once it or its connection has ended.
fn end(tls: &mut impl Read, stream: u32) -> (String, bool) {
    let mut body = Vec::new();
    let was_reset = loop {
        let mut head = [0; 9];
        match tls.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return ("nothing comes back".to_owned(), false);
            }
            Err(_) => break true,
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if tls.read_exact(&mut payload).is_err() {
            break true;
        }
        let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match head[3] {
            GOAWAY => break true,
            RST_STREAM if of == stream => break true,
            DATA if of == stream => body.extend(payload),
            _ => {}
        }
        let ends = matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0;
        if ends && of == stream {
            break false;
        }
    };
    (String::from_utf8_lossy(&body).into_owned(), was_reset)
}

fn holds(expected: &End, (body, was_reset): &(String, bool)) -> bool {
    match expected {
        End::Reached => body.contains(REACHED) && !was_reset,
        End::Said(said) => body.contains(said) && !body.contains(REACHED),
        End::Reset => *was_reset && !body.contains(REACHED),
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn no_request_of_http_2_gets_around_the_host_or_a_rule() {
    let stage = stage();
    let port = stage.port;
    let at = format!("{HOST}:{port}");
    let other = format!("denied.example:{port}");
    let allowed = format!("allowed.example:{port}");
    let long = "x".repeat(100_000);
    let (at, other, allowed, long) = (&*at, &*other, &*allowed, &*long);
    type Pairs<'p> = &'p [(&'p str, &'p str)];
    let table: &[(Pairs, Pairs, End)] = &[
        (&[], &[], End::Reached),
        (&[(":path", "/public?x=/admin")], &[], End::Reached),
        (&[(":method", "POST")], &[("te", "trailers")], End::Reached),
        (&[(":authority", HOST)], &[], End::Reached),
        (&[(":authority", "RULED.Example.")], &[], End::Reached),
        (&[], &[("host", at)], End::Reached),
        (&[(":authority", "-")], &[("host", at)], End::Reached),
        // Another host over the connection of this one, however it is named.
        (&[(":authority", other)], &[], DENIED),
        (&[(":authority", allowed)], &[], DENIED),
        (&[(":authority", "ruled.example:1")], &[], DENIED),
        (&[(":authority", "127.0.0.1")], &[], DENIED),
        (&[(":authority", "ruled.example.evil.example")], &[], DENIED),
        (&[(":authority", "")], &[], End::Reset),
        (&[(":authority", "denied.example@ruled.example")], &[], MALFORMED),
        (&[(":authority", "ruled.example/@denied.example")], &[], End::Reset),
        (&[(":authority", "ruled.example denied.example")], &[], End::Reset),
        (&[(":authority", "ruled.example\r\nhost: denied.example")], &[], End::Reset),
        (&[], &[("host", other)], DENIED),
        (&[], &[("host", at), ("host", other)], DENIED),
        (&[], &[("host", at), ("host", at)], DENIED),
        (&[], &[("host", "ruled.example, denied.example")], DENIED),
        (&[(":authority", other)], &[("host", at)], DENIED),
        (&[(":authority", "-")], &[("host", other)], DENIED),
        // Pseudo-fields that are not as they have to be.
        (&[], &[(":authority", other)], End::Reset),
        (&[], &[(":path", "/admin")], End::Reset),
        (&[], &[(":method", "DELETE")], End::Reset),
        (&[], &[("x", "y"), (":path", "/admin")], End::Reset),
        (&[(":status", "200")], &[], End::Reset),
        (&[(":unknown", "x")], &[], End::Reset),
        (&[(":path", "-")], &[], End::Reset),
        (&[(":path", "")], &[], End::Reset),
        (&[(":method", "-")], &[], End::Reset),
        (&[(":method", "")], &[], End::Reset),
        (&[(":scheme", "-")], &[], End::Reset),
        (&[(":scheme", "http")], &[], MALFORMED),
        (&[(":scheme", "file")], &[], MALFORMED),
        (&[(":path", "*")], &[], MALFORMED),
        (&[(":method", "OPTIONS"), (":path", "*")], &[], MALFORMED),
        (&[(":path", "/ HTTP/1.1\r\nHost: denied.example\r\n\r\nGET /admin")], &[], End::Reset),
        (&[(":method", "GET /admin HTTP/1.1\r\nx: ")], &[], End::Reset),
        // Tunnels, and other protocols within (RFC 8441), are not offered.
        (&[(":method", "CONNECT"), (":scheme", "-"), (":path", "-")], &[], MALFORMED),
        (
            &[(":method", "CONNECT"), (":scheme", "-"), (":path", "-"), (":authority", other)],
            &[],
            MALFORMED,
        ),
        (&[(":method", "CONNECT"), (":protocol", "websocket")], &[], End::Reset),
        // What concerns one connection has no place here, nor what would smuggle in HTTP/1.1.
        (&[], &[("connection", "upgrade"), ("upgrade", "websocket")], End::Reset),
        (&[], &[("transfer-encoding", "chunked")], End::Reset),
        (&[], &[("te", "gzip")], End::Reset),
        (&[], &[("x", "y\r\nhost: denied.example")], End::Reset),
        (&[], &[("x\r\nhost", "denied.example")], End::Reset),
        (&[], &[("Host", other)], End::Reset),
        (&[(":method", "POST")], &[("content-length", "5")], End::Reset),
        (&[(":method", "POST")], &[("content-length", "0"), ("content-length", "0")], MALFORMED),
        (&[(":method", "POST")], &[("content-length", "+0")], End::Reset),
        (&[], &[("x", long)], End::Said("")),
        // Rules about requests.
        (&[(":path", "/admin")], &[], DENIED),
        (&[(":path", "/Admin/x?y")], &[], DENIED),
        (&[(":path", "//admin")], &[], DENIED),
        (&[(":path", "/x/../admin")], &[], DENIED),
        (&[(":path", "/x/%2e%2e/admin")], &[], DENIED),
        (&[(":path", "/%61dmin")], &[], DENIED),
        (&[(":path", "/admin;x=1")], &[], DENIED),
        (&[(":path", "/x%5c..%5cadmin")], &[], DENIED),
        (&[(":path", "admin")], &[], End::Reset),
        (&[(":path", "https://ruled.example/admin")], &[], End::Reset),
        (&[(":method", "DELETE"), (":path", "/x")], &[], DENIED),
        (&[(":method", "delete"), (":path", "/x")], &[], DENIED),
        (&[(":method", "POST")], &[("x-http-method-override", "DELETE")], DENIED),
        (&[(":method", "POST"), (":path", "/?_method=DELETE")], &[], DENIED),
    ];
    let mut wrong = Vec::new();
    for (pseudo, fields, expected) in table {
        let mut tls = stage.connection();
        let request = stage.request(pseudo, fields);
        tls.write_all(&headers(1, &request)).unwrap();
        let came = end(&mut tls, 1);
        if !holds(expected, &came) {
            wrong.push(format!("{pseudo:?} {:.60?}: {expected:?}, {came:?}", fields));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(*stage.escapes.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn each_request_of_a_connection_is_judged_by_itself() {
    let stage = stage();
    let mut tls = stage.connection();
    let denied: [(&str, &str); 3] =
        [(":path", "/admin"), (":authority", "allowed.example"), (":method", "DELETE")];
    let mut stream = 1;
    for _ in 0..3 {
        for one in &denied {
            let fields = stage.request(&[*one], &[]);
            tls.write_all(&headers(stream, &fields)).unwrap();
            tls.write_all(&headers(stream + 2, &stage.request(&[], &[]))).unwrap();
            let came = end(&mut tls, stream);
            assert!(holds(&DENIED, &came), "{one:?}: {came:?}");
            // Another of the same connection is not held up by it, nor let through for it.
            tls.write_all(&headers(stream + 4, &stage.request(&[], &[]))).unwrap();
            assert!(holds(&End::Reached, &end(&mut tls, stream + 4)));
            stream += 6;
        }
    }
    assert_eq!(*stage.escapes.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_client_that_opens_streams_and_resets_them_at_once_is_sent_away() {
    let stage = stage();
    let mut tls = stage.connection();
    let request = stage.request(&[], &[]);
    let cancel = 8u32.to_be_bytes();
    let is_over = (0..20_000u32).any(|number| {
        let stream = 2 * number + 1;
        let both = [headers(stream, &request), frame(RST_STREAM, 0, stream, &cancel)].concat();
        tls.write_all(&both).is_err()
    });
    // Where everything was taken, the connection is over all the same.
    let (_, was_reset) = if is_over { (String::new(), true) } else { end(&mut tls, u32::MAX) };
    assert!(was_reset);
    // Others are served.
    let mut other = stage.connection();
    other.write_all(&headers(1, &request)).unwrap();
    assert!(holds(&End::Reached, &end(&mut other, 1)));
}

#[test]
fn endless_heads_and_too_many_streams_end_at_a_bound() {
    let stage = stage();
    let mut tls = stage.connection();
    let part = block(&[("x", "y".repeat(1000))]);
    let mut is_over = tls.write_all(&frame(HEADERS, 0, 1, &part)).is_err();
    for _ in 0..20_000 {
        is_over = is_over || tls.write_all(&frame(CONTINUATION, 0, 1, &part)).is_err();
    }
    assert!(is_over || end(&mut tls, 1).1);

    let mut tls = stage.connection();
    // Bodies that do not end hold their streams.
    let post = block(&stage.request(&[(":method", "POST")], &[]));
    for number in 0..400u32 {
        tls.write_all(&frame(HEADERS, END_HEADERS, 2 * number + 1, &post)).unwrap();
    }
    // Of so many at a time the last is refused, and the first lives.
    assert!(holds(&End::Reset, &end(&mut tls, 799)));
    tls.write_all(&frame(SETTINGS, ACK, 0, &[])).unwrap();
    tls.write_all(&frame(DATA, END_STREAM, 1, b"x")).unwrap();
    assert!(holds(&End::Reached, &end(&mut tls, 1)));
}
