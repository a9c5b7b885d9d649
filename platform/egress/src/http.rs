//! HTTP/1.1 with one client: tunnels by `CONNECT`, and requests that are passed on, each judged by
//! its own target. Bodies stream; connections to the other side are used again for the same target.

use crate::Question;
use crate::connections::Open;
use crate::counted::Counted;
use crate::dial::{Connected, Failure, Way};
use crate::open::{Opener, Scrub, Scrubbed, inject};
use crate::proxy::PATIENCE;
use crate::request::{HTTP, HTTPS, Malformed, Wish, asked, take_hop_by_hop, wish};
use crate::rewound::Rewound;
use crate::serve::{Permit, Tunnel};
use crate::target::Target;
use crate::tunnel::carry;
use bytes::Bytes;
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::client::TlsStream;

/// Bytes of a head, of a request or a response: longer ones are refused.
const LONGEST_HEAD: usize = 64 * 1024;
/// A reason phrase is a line that some programs show.
const LONGEST_PHRASE: usize = 300;

type Body = Either<Either<Incoming, Scrubbed>, Either<Full<Bytes>, Empty<Bytes>>>;

/// Serves a client of the proxy until it goes.
pub(crate) async fn serve(way: Arc<Way>, inside: Rewound, permit: Permit) {
    let client = Client { way, permit, fixed: None, opener: None, upstream: Mutex::new(None) };
    client.serve(inside).await;
}

/// Tells a client why its request does not go anywhere.
pub(crate) async fn refuse(inside: Rewound, failure: Failure) {
    let service = service_fn(move |_| {
        let mut response = failed(failure.clone());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = server::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LONGEST_HEAD);
    // What is wrong with it was said to the client, as far as there was one.
    let _ = server.serve_connection(TokioIo::new(inside), service).await;
}

/// A connection that requests are to go over.
pub(crate) struct Made<S = TcpStream> {
    pub(crate) target: Target,
    pub(crate) open: Arc<Open>,
    pub(crate) outside: S,
    /// It leads to another proxy, to which requests name their target.
    pub(crate) to_proxy: bool,
}

/// Serves a client that speaks HTTP within a tunnel: every request goes to where that leads, and has
/// to say so.
pub(crate) async fn serve_made(way: Arc<Way>, made: Made, inside: Rewound, permit: Permit) {
    let target = made.target.clone();
    // What cannot be begun is closed, which the agent sees.
    let Ok(upstream) = Upstream::new(made, &permit).await else { return };
    let upstream = Mutex::new(Some(upstream));
    Client { way, permit, fixed: Some(target), opener: None, upstream }.serve(inside).await;
}

/// Serves a client whose TLS was opened. `made` is the connection to the host, or why there is none,
/// which is then tried again for each request, so that the client hears why.
pub(crate) async fn serve_opened(
    way: Arc<Way>,
    opener: Arc<Opener>,
    target: Target,
    made: Result<(TlsStream<TcpStream>, Arc<Open>), Failure>,
    inside: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    permit: Permit,
) {
    let upstream = match made {
        Ok((outside, open)) => {
            let made = Made { target: target.clone(), open, outside, to_proxy: false };
            Upstream::new(made, &permit).await.ok()
        }
        Err(_) => None,
    };
    let upstream = Mutex::new(upstream);
    let client = Client { way, permit, fixed: Some(target), opener: Some(opener), upstream };
    client.serve(inside).await;
}

struct Client {
    way: Arc<Way>,
    permit: Permit,
    /// Where every request goes.
    fixed: Option<Target>,
    /// What opened the client's TLS: requests go on over TLS, too.
    opener: Option<Arc<Opener>>,
    /// What was used last, for the next request to the same target.
    upstream: Mutex<Option<Upstream>>,
}

struct Upstream {
    target: Target,
    open: Arc<Open>,
    /// It leads to another proxy, to which requests name their target.
    to_proxy: bool,
    sender: client::SendRequest<Incoming>,
}

impl Upstream {
    async fn new<S>(made: Made<S>, permit: &Permit) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Made { target, open, outside, to_proxy } = made;
        let (sender, connection) = client::Builder::new()
            .max_buf_size(LONGEST_HEAD)
            .preserve_header_case(true)
            .handshake(TokioIo::new(Counted::new(outside, &open)))
            .await
            .map_err(|error| broken(&target, &error))?;
        let (held, permit) = (Arc::clone(&open), Arc::clone(permit));
        tokio::spawn(async move {
            let _permit = permit;
            // Dropped, it takes with it what is on its way.
            tokio::select! {
                _ = connection.with_upgrades() => {}
                () = held.ended() => {}
            }
        });
        Ok(Self { target, open, to_proxy, sender })
    }
}

impl Client {
    async fn serve(self, inside: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let client = Arc::new(self);
        let service = service_fn(move |request| {
            let client = Arc::clone(&client);
            async move { Ok::<_, Infallible>(client.answer(request).await) }
        });
        let connection = server::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(LONGEST_HEAD)
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(inside), service)
            .with_upgrades();
        // What is wrong with it was said to the client, as far as there was one.
        let _ = connection.await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let wish = wish(&head, self.fixed.as_ref());
        if let Ok(Wish::Answer(target)) = &wish
            && self.way.judge.sees_requests(target)
            && let Err(failure) = self.way.ask(target, Question::Request(asked(&head))).await
        {
            return failed(failure);
        }
        let request = Request::from_parts(head, body);
        let answered = match wish {
            Ok(Wish::Tunnel(target)) => self.tunnel(self.way.meant(target), request).await,
            Ok(Wish::Answer(target)) => self.pass(target, request).await,
            Err(Malformed::Host { target, said }) => {
                self.way.ask(&target, Question::Disagreement(said)).await.and(Err(gone(&target)))
            }
            Err(malformed) => return malformed_response(&malformed),
        };
        answered.unwrap_or_else(failed)
    }

    async fn tunnel(
        &self,
        target: Target,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let (outside, open) = self.way.connect(&target).await?;
        let (way, permit) = (Arc::clone(&self.way), Arc::clone(&self.permit));
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(request).await.ok().and_then(inner);
            // A client that has gone needs no tunnel.
            let Some((inside, first)) = upgraded else { return };
            Tunnel { way, target, open, inside, outside, permit }.carry(first).await;
        });
        Ok(Response::new(Either::Right(Either::Right(Empty::new()))))
    }

    /// Passes a request on, over the connection of the one before where that led to the same target.
    async fn pass(
        &self,
        target: Target,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let usual = if self.opener.is_some() { HTTPS } else { HTTP };
        let (mut request, mut upgrade) = prepared(&target, usual, request);
        let bindings = self.way.judge.bindings(&target);
        let keys = if bindings.is_empty() {
            Vec::new()
        } else {
            // In another protocol nobody could tell what is said.
            upgrade = None;
            for name in [UPGRADE, CONNECTION] {
                request.headers_mut().remove(name);
            }
            let is_verified = self.opener.is_some();
            inject(&self.way, &target, &bindings, is_verified, &mut request).await?
        };
        let mut kept = self.upstream.lock().await;
        let mut upstream = match kept.take().filter(|kept| kept.target == target) {
            Some(kept) if !kept.open.is_ended() => kept,
            _ => self.upstream(&target).await?,
        };
        let response = loop {
            address(&mut request, upstream.to_proxy.then_some(&target));
            match upstream.sender.try_send_request(request).await {
                Ok(response) => break response,
                Err(mut error) => match error.take_message() {
                    // It had been closed meanwhile, and nothing of this was sent.
                    Some(unsent) => {
                        request = unsent;
                        upstream = self.upstream(&target).await?;
                    }
                    None => return Err(broken(&target, error.error())),
                },
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.upgrade(&target, upgrade, response, &upstream.open);
        }
        *kept = Some(upstream);
        let (mut head, body) = response.into_parts();
        take_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        if keys.is_empty() {
            return Ok(Response::from_parts(head, Either::Left(Either::Left(body))));
        }
        if let Some(encoding) = head.headers.get(CONTENT_ENCODING).filter(|own| *own != "identity")
        {
            return Err(Failure::Unreachable(format!(
                "chaperone: {target} gave no answer that can be passed on\n  It is compressed \
                 ({encoding:?}), so nobody can see whether it repeats a credential."
            )));
        }
        let scrub = Scrub::new(keys);
        scrub.head(&mut head);
        let body = Scrubbed::new(body, scrub);
        Ok(Response::from_parts(head, Either::Left(Either::Right(body))))
    }

    async fn upstream(&self, target: &Target) -> Result<Upstream, Failure> {
        if let Some(opener) = &self.opener {
            let (outside, open) = self.way.connect(target).await?;
            let outside = opener.connect(target, outside).await?;
            let made = Made { target: target.clone(), open, outside, to_proxy: false };
            return Upstream::new(made, &self.permit).await;
        }
        let Connected { stream, open, to_proxy } = self.way.connect_for_requests(target).await?;
        let made = Made { target: target.clone(), open, outside: stream, to_proxy };
        Upstream::new(made, &self.permit).await
    }

    /// Both sides have agreed on another protocol: from here on bytes are carried.
    fn upgrade(
        &self,
        target: &Target,
        asked: Option<Asked>,
        mut response: Response<Incoming>,
        open: &Arc<Open>,
    ) -> Result<Response<Body>, Failure> {
        let Some(Asked { protocol, inside }) = asked else {
            return Err(Failure::Unreachable(format!(
                "chaperone: {target} switches to another protocol without being asked to"
            )));
        };
        let outside = hyper::upgrade::on(&mut response);
        let (open, permit) = (Arc::clone(open), Arc::clone(&self.permit));
        let was_opened = self.opener.is_some();
        tokio::spawn(async move {
            let _permit = permit;
            let (Ok(inside), Ok(outside)) = tokio::join!(inside, outside) else { return };
            if was_opened {
                let (mut inside, mut outside) = (TokioIo::new(inside), TokioIo::new(outside));
                // A side that fails ends both; there is nobody to tell but the other side.
                tokio::select! {
                    _ = copy_bidirectional(&mut inside, &mut outside) => {}
                    () = open.ended() => {}
                }
            } else if let (Some((inside, first)), Some((outside, back))) =
                (inner(inside), outer(outside))
            {
                carry(&open, &inside, &outside, &first, &back).await;
            }
        });
        let (mut head, _) = response.into_parts();
        let agreed = head.headers.get(UPGRADE).cloned().unwrap_or(protocol);
        take_hop_by_hop(&mut head.headers);
        head.headers.insert(UPGRADE, agreed);
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        Ok(Response::from_parts(head, Either::Right(Either::Right(Empty::new()))))
    }
}

/// A client that would speak another protocol.
struct Asked {
    protocol: HeaderValue,
    inside: OnUpgrade,
}

/// A request as the other side takes it.
fn prepared(
    target: &Target,
    usual: u16,
    mut request: Request<Incoming>,
) -> (Request<Incoming>, Option<Asked>) {
    let asked = take_hop_by_hop(request.headers_mut())
        .map(|protocol| Asked { protocol, inside: hyper::upgrade::on(&mut request) });
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::try_from(target.authority(usual)) {
        headers.insert(HOST, host);
    }
    if let Some(Asked { protocol, .. }) = &asked {
        headers.insert(UPGRADE, protocol.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    (request, asked)
}

/// Writes where a request goes, as who gets it takes that (RFC 9112, section 3.2).
fn address(request: &mut Request<Incoming>, named: Option<&Target>) {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let text = match named {
        // Whatever else it is must not become a part of the host: `*` is said by no path at all.
        Some(target) => {
            let path = if path.starts_with('/') { path } else { "" };
            format!("http://{}{path}", target.authority(HTTP))
        }
        None => path.to_owned(),
    };
    // It is made of what was read as one.
    if let Ok(uri) = Uri::try_from(text) {
        *request.uri_mut() = uri;
    }
}

/// The stream beneath an upgraded connection to the client, and what was read from it already.
fn inner(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Rewound>>().ok()?;
    let (stream, first) = parts.io.into_inner().into_parts();
    Some((stream, [&parts.read_buf[..], &first].concat()))
}

/// The same of one to the other side.
fn outer(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Counted<TcpStream>>>().ok()?;
    Some((parts.io.into_inner().into_inner(), parts.read_buf.to_vec()))
}

fn gone(target: &Target) -> Failure {
    Failure::Unreachable(format!("chaperone: {target}\n  The session has ended."))
}

fn broken(target: &Target, error: &hyper::Error) -> Failure {
    Failure::Unreachable(format!(
        "chaperone: {target} gave no answer that can be passed on\n  {error}."
    ))
}

fn failed(failure: Failure) -> Response<Body> {
    match failure {
        Failure::Refused(text) => said(StatusCode::FORBIDDEN, "Forbidden", text),
        Failure::Unreachable(text) => said(StatusCode::BAD_GATEWAY, "Bad Gateway", text),
    }
}

fn malformed_response(malformed: &Malformed) -> Response<Body> {
    let text = format!("chaperone: this request cannot be passed on\n  {malformed}");
    said(StatusCode::BAD_REQUEST, "Bad Request", text)
}

/// An answer of the proxy's own. The reason is in its phrase, too: many programs show nothing else
/// of a tunnel that was refused.
fn said(status: StatusCode, word: &str, text: String) -> Response<Body> {
    let reason = text.lines().nth(1).unwrap_or_default().trim();
    let phrase: String = format!("{word}: {reason}")
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(LONGEST_PHRASE)
        .collect();
    let body = Either::Right(Either::Left(Full::new(Bytes::from(text + "\n"))));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(phrase) = ReasonPhrase::try_from(phrase.into_bytes()) {
        response.extensions_mut().insert(phrase);
    }
    response
}
