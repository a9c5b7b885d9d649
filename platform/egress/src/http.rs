//! HTTP with one client: tunnels by `CONNECT`, and requests that are passed on, each judged by its
//! own target. Bodies stream; connections to the other side are used again for the same target.
//! HTTP/2 is spoken where TLS was opened.

mod onward;

pub(crate) use onward::{Made, Protocol};
#[cfg(feature = "fuzzing")]
pub(crate) use onward::{address, address_in_tls};

use crate::Question;
use crate::connections::Open;
use crate::counted::Counted;
use crate::dial::{Connected, Failure, Way};
use crate::open::{Key, Opener, Scrub, Scrubbed, inject};
use crate::outside::Outside;
use crate::proxy::PATIENCE;
use crate::request::{HTTP, HTTPS, Malformed, Wish, asked, take_hop_by_hop, wish};
use crate::rewound::Rewound;
use crate::serve::{Permit, Tunnel};
use crate::target::Target;
use crate::tunnel::carry;
use bytes::Bytes;
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    UPGRADE,
};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use onward::Onward;
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
/// Requests of one connection at a time, in HTTP/2.
const MOST_STREAMS: u32 = 128;
/// What may be on its way from a client that its host has not taken yet: of one request, and of a
/// connection (RFC 9113, section 5.2).
const WINDOW: u32 = 256 * 1024;
const WINDOW_OF_ALL: u32 = 2 * WINDOW;
/// What may be on its way to a client that it has not taken yet, of one request.
const UNSENT: usize = 128 * 1024;

type Body = Either<Either<Incoming, Scrubbed>, Either<Full<Bytes>, Empty<Bytes>>>;

/// Serves a client of the proxy until it goes.
pub(crate) async fn serve(way: Arc<Way>, inside: Rewound, permit: Permit) {
    let onward = Mutex::new(None);
    let client =
        Client { way, permit, fixed: None, opener: None, protocol: Protocol::Http1, onward };
    client.serve(inside).await;
}

/// Tells a client why its request does not go anywhere.
pub(crate) async fn refuse(inside: Rewound, failure: Failure) {
    let service = service_fn(move |_| {
        let mut response = failed(failure.clone());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LONGEST_HEAD);
    // What is wrong with it was said to the client, as far as there was one.
    let _ = server.serve_connection(TokioIo::new(inside), service).await;
}

/// Serves a client that speaks HTTP within a tunnel: every request goes to where that leads, and has
/// to say so.
pub(crate) async fn serve_made(way: Arc<Way>, made: Made, inside: Rewound, permit: Permit) {
    let target = made.target.clone();
    // What cannot be begun is closed, which the agent sees.
    let Ok(onward) = Onward::new(made, &permit).await else { return };
    let onward = Mutex::new(Some(onward));
    let client = Client {
        way,
        permit,
        fixed: Some(target),
        opener: None,
        protocol: Protocol::Http1,
        onward,
    };
    client.serve(inside).await;
}

/// Serves a client whose TLS was opened, and who speaks this in it. `made` is the connection to the
/// host, or why there is none, which is then tried again for each request, so that the client hears
/// why.
pub(crate) async fn serve_opened(
    way: Arc<Way>,
    opener: Arc<Opener>,
    target: Target,
    protocol: Protocol,
    made: Result<(TlsStream<Outside>, Arc<Open>), Failure>,
    inside: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    permit: Permit,
) {
    let onward = match made {
        Ok((outside, open)) => {
            let made = Made { target: target.clone(), open, outside, through: None, protocol };
            Onward::new(made, &permit).await.ok()
        }
        Err(_) => None,
    };
    let (fixed, opener, onward) = (Some(target), Some(opener), Mutex::new(onward));
    Client { way, permit, fixed, opener, protocol, onward }.serve(inside).await;
}

/// How a client's HTTP/1 is read, but for how long that may take.
pub(crate) fn reader() -> http1::Builder {
    let mut reader = http1::Builder::new();
    reader.max_buf_size(LONGEST_HEAD).preserve_header_case(true);
    reader
}

struct Client {
    way: Arc<Way>,
    permit: Permit,
    /// Where every request goes.
    fixed: Option<Target>,
    /// What opened the client's TLS: requests go on over TLS, too.
    opener: Option<Arc<Opener>>,
    /// What the client speaks, and what its requests go on in.
    protocol: Protocol,
    /// What was used last, for the next request to the same target.
    onward: Mutex<Option<Onward>>,
}

impl Client {
    async fn serve(self, inside: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let protocol = self.protocol;
        let client = Arc::new(self);
        let service = service_fn(move |request| {
            let client = Arc::clone(&client);
            async move { Ok::<_, Infallible>(client.answer(request).await) }
        });
        let inside = TokioIo::new(inside);
        // What is wrong with it was said to the client, as far as there was one.
        let _ = match protocol {
            Protocol::Http1 => {
                let mut reader = reader();
                reader.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
                reader.serve_connection(inside, service).with_upgrades().await
            }
            // Streams that a client resets as soon as they are open, and endless heads, are bounded
            // by what hyper is built with. Other protocols within it (RFC 8441) are not offered.
            Protocol::Http2 => {
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(MOST_STREAMS)
                    .max_header_list_size(LONGEST_HEAD as u32)
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW_OF_ALL)
                    .max_send_buf_size(UNSENT)
                    .serve_connection(inside, service)
                    .await
            }
        };
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
        let (mut request, mut upgrade) = prepared(&target, usual, self.version(), request);
        tell(self.way.judge.told(&target), request.headers_mut())?;
        let bindings = self.way.judge.bindings(&target);
        let mut keys = if bindings.is_empty() {
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
        let Sent { response, open, keys: of_proxy } = match self.protocol {
            Protocol::Http1 => self.send(&target, request).await?,
            Protocol::Http2 => self.send_beside(&target, request).await?,
        };
        keys.extend(of_proxy);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.upgrade(&target, upgrade, response, &open, Scrub::new(&keys));
        }
        let (mut head, body) = response.into_parts();
        take_hop_by_hop(&mut head.headers);
        head.version = self.version();
        if keys.is_empty() {
            return Ok(Response::from_parts(head, Either::Left(Either::Left(body))));
        }
        let encodings = [CONTENT_ENCODING.as_str(), "grpc-encoding"];
        let mut encodings = encodings.into_iter().filter_map(|name| head.headers.get(name));
        if let Some(encoding) = encodings.find(|own| *own != "identity") {
            return Err(Failure::Unreachable(format!(
                "chaperone: {target} gave no answer that can be passed on\n  It is compressed \
                 ({encoding:?}), so nobody can see whether it repeats a credential."
            )));
        }
        let scrub = Scrub::new(&keys);
        scrub.head(&mut head);
        let body = Scrubbed::new(body, scrub);
        Ok(Response::from_parts(head, Either::Left(Either::Right(body))))
    }

    /// Sends a request over a connection of its own for as long as that takes, if possible that of
    /// the request before.
    async fn send(&self, target: &Target, mut request: Request<Incoming>) -> Result<Sent, Failure> {
        let mut kept = self.onward.lock().await;
        let earlier = kept.take().filter(|kept| kept.leads_to(target));
        let mut is_new = earlier.is_none();
        let mut onward = match earlier {
            Some(earlier) => earlier,
            None => self.onward(target).await?,
        };
        loop {
            match onward.send(request).await {
                Ok(response) => {
                    let (open, keys) = (Arc::clone(&onward.open), onward.keys());
                    onward.is_let_in(&response)?;
                    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                        *kept = Some(onward);
                    }
                    return Ok(Sent { response, open, keys });
                }
                Err(mut error) => match error.take_message() {
                    // It had been closed meanwhile, and nothing of this was sent.
                    Some(unsent) if !is_new => {
                        request = unsent;
                        onward = self.onward(target).await?;
                        is_new = true;
                    }
                    Some(_) | None => return Err(onward.broken(error.error())),
                },
            }
        }
    }

    /// Sends a request over a connection that others go over at the same time.
    async fn send_beside(
        &self,
        target: &Target,
        mut request: Request<Incoming>,
    ) -> Result<Sent, Failure> {
        loop {
            let mut kept = self.onward.lock().await;
            let earlier = kept.as_ref().filter(|kept| kept.leads_to(target));
            let earlier = earlier.and_then(Onward::shared);
            let is_new = earlier.is_none();
            let mut onward = match earlier {
                Some(earlier) => earlier,
                None => {
                    let new = self.onward(target).await?;
                    *kept = new.shared();
                    new
                }
            };
            drop(kept);
            match onward.send(request).await {
                Ok(response) => {
                    return Ok(Sent { response, open: onward.open, keys: Vec::new() });
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) | None => return Err(onward.broken(error.error())),
                },
            }
        }
    }

    async fn onward(&self, target: &Target) -> Result<Onward, Failure> {
        let (target, protocol) = (target.clone(), self.protocol);
        if let Some(opener) = &self.opener {
            let (outside, open) = self.way.connect(&target).await?;
            let (outside, protocol) = opener.connect(&target, outside, &[protocol]).await?;
            let made = Made { target, open, outside, through: None, protocol };
            return Onward::new(made, &self.permit).await;
        }
        let Connected { outside, open, through } = self.way.connect_for_requests(&target).await?;
        let made = Made { target, open, outside, through, protocol };
        Onward::new(made, &self.permit).await
    }

    fn version(&self) -> Version {
        match self.protocol {
            Protocol::Http1 => Version::HTTP_11,
            Protocol::Http2 => Version::HTTP_2,
        }
    }

    /// Both sides have agreed on another protocol: from here on bytes are carried.
    fn upgrade(
        &self,
        target: &Target,
        asked: Option<Asked>,
        mut response: Response<Incoming>,
        open: &Arc<Open>,
        scrub: Scrub,
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
                carry(&open, &inside, outside, &first, &back).await;
            }
        });
        let (mut head, _) = response.into_parts();
        scrub.head(&mut head);
        let agreed = head.headers.get(UPGRADE).cloned().unwrap_or(protocol);
        take_hop_by_hop(&mut head.headers);
        head.headers.insert(UPGRADE, agreed);
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        Ok(Response::from_parts(head, Either::Right(Either::Right(Empty::new()))))
    }
}

/// A request that went on, with what was answered.
struct Sent {
    response: Response<Incoming>,
    open: Arc<Open>,
    /// What another proxy was given to be let in, which an answer may not repeat.
    keys: Vec<Arc<Key>>,
}

/// Says in these fields what a host is told, and nothing else.
fn tell(told: Vec<(&'static str, Option<String>)>, headers: &mut HeaderMap) -> Result<(), Failure> {
    for (name, value) in told {
        let Some(value) = value else {
            headers.remove(name);
            continue;
        };
        let value = HeaderValue::try_from(value).map_err(|_| {
            Failure::Refused(format!(
                "chaperone: denied: this request\n  What its {name} field has to say cannot be said."
            ))
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

/// A client that would speak another protocol.
pub(crate) struct Asked {
    protocol: HeaderValue,
    inside: OnUpgrade,
}

/// A request as the other side takes it.
pub(crate) fn prepared<B>(
    target: &Target,
    usual: u16,
    version: Version,
    mut request: Request<B>,
) -> (Request<B>, Option<Asked>) {
    // HTTP/2 says by it alone that trailers are understood, end to end (RFC 9113, section 8.2.2).
    let trailers = request.headers().get(TE).filter(|own| *own == "trailers").cloned();
    let trailers = trailers.filter(|_| version == Version::HTTP_2);
    let asked = take_hop_by_hop(request.headers_mut())
        .map(|protocol| Asked { protocol, inside: hyper::upgrade::on(&mut request) });
    // No path at all is said by a slash (RFC 9112, section 3.2.1).
    let query = request.uri().query().filter(|_| request.uri().path() == "/");
    let rooted = query.and_then(|query| Uri::try_from(format!("/?{query}")).ok());
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = rooted.or_else(|| path.map(Uri::from)).unwrap_or(Uri::from_static("/"));
    *request.version_mut() = version;
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::try_from(target.authority(usual)) {
        headers.insert(HOST, host);
    }
    if let Some(trailers) = trailers {
        headers.insert(TE, trailers);
    }
    if let Some(Asked { protocol, .. }) = &asked {
        headers.insert(UPGRADE, protocol.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    (request, asked)
}

/// The stream beneath an upgraded connection to the client, and what was read from it already.
fn inner(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Rewound>>().ok()?;
    let (stream, first) = parts.io.into_inner().into_parts();
    Some((stream, [&parts.read_buf[..], &first].concat()))
}

/// The same of one to the other side.
fn outer(upgraded: Upgraded) -> Option<(Outside, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Counted<Outside>>>().ok()?;
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
