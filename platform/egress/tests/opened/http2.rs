//! The same where both sides speak HTTP/2: what is asked for goes on stream by stream, as it comes.

use super::{OK, PHANTOM, REAL, Stage, binding, certified, host, opens_for, stage};
use bytes::Bytes;
use chaperone_egress::{Binding, Budget, Question, Usage};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2 as client;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::net::{Shutdown, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A body of what is sent here.
struct Parts(UnboundedReceiver<Frame<Bytes>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

fn data(text: &str) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(text.as_bytes()))
}

/// A request as the host gets it, with what its answer's body is sent by.
type Got = (Request<Incoming>, UnboundedSender<Frame<Bytes>>);

/// A host that speaks HTTP/2 alone, and what it gets.
fn http2_host(connections: &Arc<AtomicU64>) -> (u16, String, UnboundedReceiver<Got>) {
    let (mut config, _, pem) = certified();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, got) = unbounded_channel::<Got>();
    let connections = Arc::clone(connections);
    let serve = async move {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, send) = (acceptor.clone(), send.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (parts, body) = unbounded_channel();
                    let echoed = request.headers().get(AUTHORIZATION).cloned();
                    // The test may be over.
                    let _ = send.send((request, parts));
                    let mut response = Response::new(Parts(body));
                    if let Some(echoed) = echoed {
                        response.headers_mut().insert("x-echo", echoed);
                    }
                    async { Ok::<_, Infallible>(response) }
                });
                let stream = acceptor.accept(stream).await.unwrap();
                let server = server::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    thread::spawn(move || runtime().block_on(serve));
    (port, pem, got)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A client that offers this, with what is then spoken.
async fn connected(
    stage: &Stage,
    port: u16,
    alpn: &[&str],
) -> (tokio_rustls::client::TlsStream<TcpStream>, Option<Vec<u8>>, std::net::TcpStream) {
    let socket = std::net::TcpStream::connect(stage.proxy).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = TcpStream::from_std(socket.try_clone().unwrap()).unwrap();
    let ask = format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    let mut roots = RootCertStore::empty();
    let pem = stage.desk.opener.as_ref().unwrap().certificate();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|own| own.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let spoken = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    (tls, spoken, socket)
}

/// A client that speaks HTTP/2 with the host.
struct Pair {
    stage: Stage,
    got: UnboundedReceiver<Got>,
    sender: client::SendRequest<Parts>,
    /// What the client speaks over.
    socket: std::net::TcpStream,
    connections: Arc<AtomicU64>,
    port: u16,
}

async fn pair(bindings: Vec<Arc<Binding>>) -> Pair {
    let connections = Arc::default();
    let (port, pem, got) = http2_host(&connections);
    let stage = stage(Some(opens_for(&pem)), bindings);
    let (tls, spoken, socket) = connected(&stage, port, &["h2", "http/1.1"]).await;
    assert_eq!(spoken.as_deref(), Some(&b"h2"[..]));
    let (sender, connection) =
        client::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    Pair { stage, got, sender, socket, connections, port }
}

impl Pair {
    /// Sends a request, and gives what its body is sent by.
    fn ask(
        &mut self,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> (
        UnboundedSender<Frame<Bytes>>,
        impl Future<Output = hyper::Result<Response<Incoming>>> + 'static,
    ) {
        let (send, parts) = unbounded_channel();
        let uri = format!("https://localhost:{}{path}", self.port);
        let mut request = Request::post(uri).body(Parts(parts)).unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        (send, self.sender.send_request(request))
    }
}

#[test]
fn the_host_sees_the_key_and_what_it_repeats_is_covered_request_by_request() {
    runtime().block_on(async {
        let mut pair = pair(vec![binding()]).await;
        for _ in 0..3 {
            let held = format!("Bearer {PHANTOM}");
            let fields = [("authorization", &*held), ("accept-encoding", "gzip")];
            let (body, answer) = pair.ask("/v1/messages", &fields);
            drop(body);
            let answer = tokio::spawn(answer);
            let (request, parts) = pair.got.recv().await.unwrap();
            let field = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(field("authorization"), format!("Bearer {REAL}"));
            assert_eq!(field("accept-encoding"), "identity");
            assert_eq!(request.headers().get("host"), None);
            let uri = format!("https://localhost:{}/v1/messages", pair.port);
            assert_eq!(request.uri(), uri.as_str());
            parts.send(data("you sent sk-ant-re")).unwrap();
            parts.send(data("al-0123456789!")).unwrap();
            let trailers: HeaderMap =
                [("x-said".parse().unwrap(), HeaderValue::from_static(REAL))].into_iter().collect();
            parts.send(Frame::trailers(trailers)).unwrap();
            drop(parts);
            let answer = answer.await.unwrap().unwrap();
            let covered = "*".repeat(REAL.len());
            assert_eq!(answer.headers()["x-echo"], format!("Bearer {covered}"));
            let whole = answer.into_body().collect().await.unwrap();
            assert_eq!(whole.trailers().unwrap()["x-said"], covered);
            assert_eq!(whole.to_bytes(), format!("you sent {covered}!"));
        }
        let (_, refused) = pair.ask("/v1/messages", &[("authorization", "Bearer sk-ant-mine")]);
        assert_eq!(refused.await.unwrap().status(), 403);
        let used = || Question::Credential("anthropic".into());
        let foreign = Question::Foreign("a request's authorization field carries another".into());
        assert_eq!(pair.stage.asked(), [used(), used(), used(), foreign]);
        assert!(pair.got.try_recv().is_err());
        assert_eq!(pair.connections.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn bodies_go_both_ways_at_once_piece_by_piece_with_trailers_behind_them() {
    runtime().block_on(async {
        let mut pair = pair(Vec::new()).await;
        let (body, answer) = pair.ask("/acme.Talk/Both", &[("te", "trailers")]);
        let (mut request, parts) = pair.got.recv().await.unwrap();
        assert_eq!(request.headers()["te"], "trailers");
        let mut answer = answer.await.unwrap();
        for text in ["one", "two", "three"] {
            // Nothing more is sent before this has arrived, on either side.
            body.send(data(text)).unwrap();
            let seen = request.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(seen, text);
            parts.send(data(&format!("data: {text}\n\n"))).unwrap();
            let seen = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(seen, format!("data: {text}\n\n"));
        }
        drop(body);
        let rest = request.into_body().collect().await.unwrap();
        assert_eq!(rest.to_bytes(), "");
        let status = [("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))];
        parts.send(Frame::trailers(status.into_iter().collect())).unwrap();
        let trailers = answer.body_mut().frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    });
}

#[test]
fn requests_go_beside_each_other_over_one_connection_and_a_slow_one_holds_up_none() {
    runtime().block_on(async {
        let mut pair = pair(Vec::new()).await;
        let (slow_body, slow) = pair.ask("/slow", &[]);
        let (slow_request, slow_parts) = pair.got.recv().await.unwrap();
        // Nobody reads it, so no more of it is taken than is bounded.
        let piece = Bytes::from(vec![0; 64 * 1024]);
        for _ in 0..64 {
            slow_body.send(Frame::data(piece.clone())).unwrap();
        }
        for number in 0..20 {
            let (body, answer) = pair.ask("/quick", &[]);
            drop(body);
            let (_, parts) = pair.got.recv().await.unwrap();
            parts.send(data(&number.to_string())).unwrap();
            drop(parts);
            let answer = answer.await.unwrap().into_body().collect().await.unwrap();
            assert_eq!(answer.to_bytes(), number.to_string());
        }
        drop(slow_body);
        let whole = slow_request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 64 * piece.len());
        drop(slow_parts);
        assert_eq!(slow.await.unwrap().status(), 200);
        assert_eq!(pair.connections.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn requests_of_a_client_that_has_gone_are_given_up_at_the_host() {
    runtime().block_on(async {
        let mut pair = pair(Vec::new()).await;
        let (_body, _answer) = pair.ask("/", &[]);
        let (mut request, _parts) = pair.got.recv().await.unwrap();
        pair.socket.shutdown(Shutdown::Both).unwrap();
        let ended = request.body_mut().frame().await.unwrap();
        assert!(ended.is_err(), "{ended:?}");
    });
}

#[test]
fn what_is_on_its_way_ends_when_the_connection_is_ended_from_outside() {
    runtime().block_on(async {
        let mut pair = pair(Vec::new()).await;
        let (_body, answer) = pair.ask("/", &[]);
        let (mut request, parts) = pair.got.recv().await.unwrap();
        parts.send(data("begun")).unwrap();
        let mut answer = answer.await.unwrap();
        assert!(answer.body_mut().frame().await.unwrap().is_ok());
        pair.stage.connections.end_where(|_, _, _| true);
        assert!(request.body_mut().frame().await.unwrap().is_err());
        assert!(answer.body_mut().frame().await.unwrap().is_err());
        // What is asked for next is judged anew.
        let (body, answer) = pair.ask("/", &[]);
        drop(body);
        drop(pair.got.recv().await.unwrap());
        assert_eq!(answer.await.unwrap().status(), 200);
        assert_eq!(pair.connections.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_client_gets_what_both_it_and_the_host_speak() {
    runtime().block_on(async {
        let (port, pem, mut got) = http2_host(&Arc::default());
        let both = stage(Some(opens_for(&pem)), Vec::new());
        let (_, spoken, _) = connected(&both, port, &["h2"]).await;
        assert_eq!(spoken.as_deref(), Some(&b"h2"[..]));
        // The host speaks nothing that this one does: it hears that.
        let (mut tls, spoken, _) = connected(&both, port, &["http/1.1"]).await;
        assert_eq!(spoken.as_deref(), Some(&b"http/1.1"[..]));
        tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        tls.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 502");
        assert!(got.try_recv().is_err());

        // A host of HTTP/1.1 alone, which says nothing of that.
        let old = host(OK);
        let stage = stage(Some(opens_for(&old.pem)), Vec::new());
        for offered in [&["h2", "http/1.1"][..], &["http/1.1"]] {
            let (mut tls, spoken, _) = connected(&stage, old.at.port(), offered).await;
            assert_eq!(spoken.as_deref(), Some(&b"http/1.1"[..]));
            tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            tls.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
    });
}

#[test]
fn what_is_sent_inside_counts_and_is_refused_beyond_the_budget() {
    runtime().block_on(async {
        let mut pair = pair(Vec::new()).await;
        let usage = Arc::new(Usage::new(None));
        let budget =
            Budget::new(Arc::clone(&usage), 100_000, "chaperone: spent".into(), Box::new(|| true));
        let budget = Arc::new(budget);
        pair.stage.desk.budgets.lock().unwrap().push(Arc::clone(&budget));
        pair.stage.connections.budget(|_| vec![Arc::clone(&budget)]);
        let (body, answer) = pair.ask("/", &[]);
        body.send(Frame::data(Bytes::from(vec![0; 50_000]))).unwrap();
        drop(body);
        let (request, parts) = pair.got.recv().await.unwrap();
        let whole = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 50_000);
        drop(parts);
        assert_eq!(answer.await.unwrap().status(), 200);
        assert!((50_000..51_000).contains(&usage.sent()), "{}", usage.sent());

        let (body, answer) = pair.ask("/", &[]);
        let (request, parts) = pair.got.recv().await.unwrap();
        body.send(Frame::data(Bytes::from(vec![0; 60_000]))).unwrap();
        drop(body);
        let came = request.into_body().collect().await;
        assert!(came.is_err(), "its end never comes");
        drop(parts);
        // It had been answered already, or it says why.
        let answer = answer.await;
        assert!(answer.is_err() || matches!(answer.unwrap().status().as_u16(), 200 | 403));
        let (body, refused) = pair.ask("/", &[]);
        drop(body);
        let refused = refused.await.unwrap();
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.into_body().collect().await.unwrap().to_bytes(), "chaperone: spent\n");
    });
}

#[test]
fn every_stream_says_whose_accounts_may_be_used() {
    runtime().block_on(async {
        let mut pair = pair(Vec::new()).await;
        *pair.stage.desk.told.lock().unwrap() = vec![
            ("sec-github-allowed-enterprise", Some("1, 2".to_owned())),
            ("restrict-access-context", None),
        ];
        let doubled =
            [("sec-github-allowed-enterprise", "3"), ("sec-github-allowed-enterprise", "4")];
        for own in [&[][..], &doubled, &[("restrict-access-context", "3")]] {
            let (body, answer) = pair.ask("/", own);
            drop(body);
            let (request, parts) = pair.got.recv().await.unwrap();
            let seen: Vec<_> =
                request.headers().get_all("sec-github-allowed-enterprise").iter().collect();
            assert_eq!(seen, ["1, 2"]);
            assert!(!request.headers().contains_key("restrict-access-context"));
            drop(parts);
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
}
