//! TLS that is opened: a client that trusts the session's authority, a host that proves itself, and
//! between them a key that the client never holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

mod http2;

use chaperone_egress::{
    Answer, Binding, Budget, Connections, Entrance, Judge, Key, Opener, Place, Question, Ruling,
    Target, Trust, Waiting, by_the_system, serve,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const REAL: &str = "sk-ant-real-0123456789";
const PHANTOM: &str = "sk-ant-phantom-9876";

/// Allows what may be, and keeps the questions beyond whether a connection may be made.
struct Desk {
    opener: Option<Arc<Opener>>,
    bindings: Vec<Arc<Binding>>,
    asked: Mutex<Vec<Question>>,
    budgets: Mutex<Vec<Arc<Budget>>>,
    told: Mutex<Vec<(&'static str, Option<String>)>>,
}

impl Judge for Desk {
    fn judge(&self, _: &Target, question: Question, answer: Answer) -> Option<Waiting> {
        match question {
            Question::Connect { .. } | Question::Address { .. } => answer(Ruling::Allow),
            question => {
                let allowed = matches!(question, Question::Credential(_));
                self.asked.lock().unwrap().push(question);
                let denied = || Ruling::Deny("chaperone: denied\n  The test says so.".to_owned());
                answer(if allowed { Ruling::Allow } else { denied() });
            }
        }
        None
    }

    fn opener(&self, _: &Target) -> Option<Arc<Opener>> {
        self.opener.clone()
    }

    fn told(&self, _: &Target) -> Vec<(&'static str, Option<String>)> {
        self.told.lock().unwrap().clone()
    }

    fn budgets(&self, _: &Target) -> Vec<Arc<Budget>> {
        self.budgets.lock().unwrap().clone()
    }

    fn bindings(&self, _: &Target) -> Vec<Arc<Binding>> {
        self.bindings.clone()
    }
}

/// Opens TLS to who is known by this certificate, as PEM.
fn opens_for(trusted: &str) -> Opener {
    Opener::new(Arc::new(Trust::new(trusted))).unwrap()
}

fn binding() -> Arc<Binding> {
    let place = Place::Header {
        name: "authorization".into(),
        before: "Bearer ".into(),
        after: String::new(),
    };
    let fetch = || Ok(Key::new(REAL.as_bytes().to_vec()));
    let (covers, phantom) = (Box::new(|_: &str, _: &str| true), Some(PHANTOM.to_owned()));
    Arc::new(Binding::new("anthropic", place, phantom, covers, Arc::new(fetch)))
}

/// A host that believes itself to be `localhost`, and answers every request with `answer`.
struct Host {
    at: SocketAddr,
    authority: CertificateDer<'static>,
    pem: String,
    /// The head of each request.
    heads: Receiver<String>,
}

fn host(answer: &'static [&'static str]) -> Host {
    let (config, authority, pem) = certified();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let at = listener.local_addr().unwrap();
    let (send, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, send) = (Arc::clone(&config), send.clone());
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                while let Some(head) = head(&mut stream) {
                    // The test may be over.
                    let _ = send.send(head);
                    for part in answer {
                        stream.write_all(part.as_bytes()).unwrap();
                        stream.flush().unwrap();
                    }
                }
            });
        }
    });
    Host { at, authority, pem, heads }
}

/// TLS as `localhost`, and who says that it is that, as PEM, too.
fn certified() -> (ServerConfig, CertificateDer<'static>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    (config, authority.der().clone(), authority.pem())
}

/// Reads to the end of a head; nothing where there is none.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

struct Stage {
    proxy: SocketAddr,
    desk: Arc<Desk>,
    connections: Arc<Connections>,
}

fn stage(opener: Option<Opener>, bindings: Vec<Arc<Binding>>) -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let opener = opener.map(Arc::new);
    let (asked, budgets, told) = Default::default();
    let desk = Arc::new(Desk { opener, bindings, asked, budgets, told });
    let judge = Arc::clone(&desk) as Arc<dyn Judge>;
    let (connections, resolve) = (Arc::new(Connections::default()), Arc::new(by_the_system));
    let entrances = vec![(Entrance::Proxy, listener)];
    serve(entrances, judge, Arc::clone(&connections), resolve).unwrap();
    Stage { proxy, desk, connections }
}

impl Stage {
    fn tunnel(&self, port: u16) -> TcpStream {
        let mut stream = TcpStream::connect(self.proxy).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "CONNECT localhost:{port} HTTP/1.1\r\n\r\n").unwrap();
        assert!(head(&mut stream).unwrap().starts_with("HTTP/1.1 200 "));
        stream
    }

    /// A client of the host, through the proxy, that trusts this authority alone.
    fn client(
        &self,
        port: u16,
        trusted: CertificateDer<'static>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, self.tunnel(port))
    }

    fn own_client(&self, port: u16) -> StreamOwned<ClientConnection, TcpStream> {
        let pem = self.desk.opener.as_ref().unwrap().certificate().to_owned();
        self.client(port, CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
    }

    fn asked(&self) -> Vec<Question> {
        self.desk.asked.lock().unwrap().clone()
    }
}

fn ask(stream: &mut impl Write, fields: &str) {
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 2\r\n\r\n{{}}"
    )
    .unwrap();
}

const OK: &[&str] = &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"];

#[test]
fn the_host_sees_the_key_and_the_client_holds_the_phantom() {
    let host = host(OK);
    let opener = opens_for(&host.pem);
    let stage = stage(Some(opener), vec![binding()]);
    let mut client = stage.own_client(host.at.port());
    for _ in 0..2 {
        ask(&mut client, &format!("Authorization: Bearer {PHANTOM}\r\nAccept-Encoding: gzip\r\n"));
        assert!(head(&mut client).unwrap().starts_with("HTTP/1.1 200 OK"));
        client.read_exact(&mut [0; 2]).unwrap();
        let seen = host.heads.recv().unwrap();
        assert!(seen.contains(&format!("Authorization: Bearer {REAL}\r\n")), "{seen}");
        assert!(!seen.contains(PHANTOM) && seen.contains("identity"), "{seen}");
    }
    assert_eq!(stage.asked(), [(); 2].map(|()| Question::Credential("anthropic".into())));
}

#[test]
fn what_the_host_repeats_of_the_key_is_covered_and_what_it_streams_is_not_held_back() {
    let host = host(&[
        "HTTP/1.1 200 OK\r\nX-Echo: Bearer sk-ant-real-0123456789\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "10\r\nyou sent sk-ant-\r\n",
        "10\r\nreal-0123456789!\r\n",
        "9\r\nno more s\r\n",
        "0\r\n\r\n",
    ]);
    let opener = opens_for(&host.pem);
    let stage = stage(Some(opener), vec![binding()]);
    let mut client = stage.own_client(host.at.port());
    ask(&mut client, &format!("Authorization: Bearer {PHANTOM}\r\n"));
    let head = head(&mut client).unwrap();
    assert!(head.contains("**********************\r\n") && !head.contains(REAL), "{head}");
    let mut body = String::new();
    while !body.ends_with("0\r\n\r\n") {
        let mut part = [0; 64];
        let count = client.read(&mut part).unwrap();
        body.push_str(std::str::from_utf8(&part[..count]).unwrap());
    }
    let text: String = body.split("\r\n").skip(1).step_by(2).collect();
    assert_eq!(text, "you sent **********************!no more s");
}

#[test]
fn a_host_that_a_credential_is_bound_to_takes_no_other() {
    let host = host(OK);
    let opener = opens_for(&host.pem);
    let stage = stage(Some(opener), vec![binding()]);
    let mut client = stage.own_client(host.at.port());
    for (fields, said) in [
        (
            "Authorization: Bearer sk-ant-mine\r\n",
            "a request's authorization field carries another",
        ),
        ("X-Api-Key: sk-ant-mine\r\n", "a request's x-api-key field carries another"),
        ("Cookie: session=1\r\n", "a request's cookie field carries another"),
    ] {
        ask(&mut client, fields);
        let answer = head(&mut client).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let length = answer.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        client.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
        assert_eq!(stage.asked().pop(), Some(Question::Foreign(said.into())));
    }
    assert!(host.heads.try_recv().is_err(), "nothing reached the host");
    // The same goes through where nothing is bound, which shows that it would have reached it.
    let unbound = opens_for(&host.pem);
    let unbound = self::stage(Some(unbound), Vec::new());
    let mut client = unbound.own_client(host.at.port());
    ask(&mut client, "X-Api-Key: sk-ant-mine\r\n");
    assert!(host.heads.recv().unwrap().contains("sk-ant-mine"));
    // Where nothing is bound, the phantom is worth nothing.
    ask(&mut client, &format!("Authorization: Bearer {PHANTOM}\r\n"));
    assert!(host.heads.recv().unwrap().contains(PHANTOM));
}

#[test]
fn a_host_that_does_not_prove_itself_gets_no_key() {
    let host = host(OK);
    let stage = stage(Some(opens_for("")), vec![binding()]);
    let mut client = stage.own_client(host.at.port());
    ask(&mut client, &format!("Authorization: Bearer {PHANTOM}\r\n"));
    let answer = head(&mut client).unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.to_lowercase().contains("certificate"), "{answer}");
    assert!(host.heads.try_recv().is_err());
}

#[test]
fn without_tls_no_key_is_put_on_the_wire_and_nothing_else_goes_there_either() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stage = stage(Some(opens_for("")), vec![binding()]);
    let mut plain = TcpStream::connect(stage.proxy).unwrap();
    let request = |field: &str| format!("GET http://localhost:{port}/ HTTP/1.1\r\n{field}\r\n");
    for field in [format!("Authorization: Bearer {PHANTOM}\r\n"), "X-Api-Key: mine\r\n".into()] {
        plain.write_all(request(&field).as_bytes()).unwrap();
        let answer = head(&mut plain).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let length = answer.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        plain.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
    }
    let mut raw = stage.tunnel(port);
    raw.write_all(b"\x10\x0c\0\x04MQTT and a password").unwrap();
    let closed = raw
        .read(&mut [0])
        .map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |n| n == 0);
    assert!(closed);
    let (mut accepted, _) = listener.accept().unwrap();
    let mut seen = Vec::new();
    accepted.read_to_end(&mut seen).unwrap();
    assert_eq!(seen, b"");
    assert_eq!(
        stage.asked(),
        [
            Question::Foreign("\"anthropic\" goes over TLS alone".into()),
            Question::Foreign("a request's x-api-key field carries another".into()),
            Question::Foreign("what is no HTTPS could carry any other".into()),
        ]
    );
}

#[test]
fn a_client_that_trusts_another_authority_is_told_of_and_where_nothing_is_opened_goes_through() {
    let host = host(OK);
    let stage = stage(Some(opens_for(&host.pem)), vec![binding()]);
    let mut pinned = stage.client(host.at.port(), host.authority.clone());
    pinned.conn.complete_io(&mut pinned.sock).unwrap_err();
    // The alert is on its way when the client gives up.
    drop(pinned);
    while stage.asked().is_empty() {
        thread::yield_now();
    }
    let said = "it does not trust the session's certificate".to_owned();
    assert_eq!(stage.asked(), [Question::Distrusted(said)]);

    let unopened = self::stage(None, Vec::new());
    let mut pinned = unopened.client(host.at.port(), host.authority.clone());
    ask(&mut pinned, "");
    assert!(head(&mut pinned).unwrap().starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_host_is_told_what_the_policy_says_in_place_of_what_the_client_does() {
    let host = host(OK);
    let stage = stage(Some(opens_for(&host.pem)), Vec::new());
    *stage.desk.told.lock().unwrap() =
        vec![("anthropic-allowed-org-ids", Some("one,two".to_owned())), ("restrict-org-ids", None)];
    let mut client = stage.own_client(host.at.port());
    for fields in [
        "",
        "Anthropic-Allowed-Org-Ids: mine\r\nanthropic-allowed-org-ids: too\r\n",
        "Restrict-Org-Ids: mine\r\nRestrict-Org-Ids: too\r\n",
    ] {
        ask(&mut client, fields);
        assert!(head(&mut client).unwrap().starts_with("HTTP/1.1 200 OK"));
        client.read_exact(&mut [0; 2]).unwrap();
        let seen = host.heads.recv().unwrap().to_lowercase();
        let lines: Vec<&str> = seen.lines().filter(|line| line.contains("org-ids")).collect();
        assert_eq!(lines, ["anthropic-allowed-org-ids: one,two"]);
    }
    // What cannot be seen is refused: another protocol, and TLS that is not opened.
    let mut raw = stage.tunnel(host.at.port());
    raw.write_all(b"\x10\x0c\0\x04MQTT").unwrap();
    assert_eq!(raw.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(stage.asked(), [Question::Unseen("what is said is not HTTP".into())]);
    let unopened = self::stage(None, Vec::new());
    let mut pinned = unopened.client(host.at.port(), host.authority.clone());
    ask(&mut pinned, "");
    assert!(head(&mut pinned).is_some(), "what tells nothing passes");
    assert!(host.heads.recv().is_ok());
    unopened.desk.told.lock().unwrap().push(("openai-allowed-organization-ids", None));
    let mut pinned = unopened.client(host.at.port(), host.authority.clone());
    pinned.conn.complete_io(&mut pinned.sock).unwrap_err();
    assert_eq!(unopened.asked(), [Question::Unseen("what is said is encrypted".into())]);
}
