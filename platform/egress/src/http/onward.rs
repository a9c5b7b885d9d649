//! A connection that requests go on over, in the version of HTTP that their client speaks: nothing
//! has to be translated from one to the other.

use super::{LONGEST_HEAD, broken};
use crate::connections::Open;
use crate::counted::Counted;
use crate::dial::Failure;
use crate::open::Key;
use crate::outside::Outside;
use crate::request::HTTP;
use crate::serve::Permit;
use crate::target::Target;
use crate::upstream::Hop;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::header::{HOST, HeaderValue, PROXY_AUTHENTICATE};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::rt::Executor;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// What may be on its way from a host that its client has not taken yet: of one request, and of a
/// connection (RFC 9113, section 5.2).
const WINDOW: u32 = 1024 * 1024;
const WINDOW_OF_ALL: u32 = 2 * WINDOW;
/// What may be on its way to a host that it has not taken yet, of one request.
const UNSENT: usize = 128 * 1024;

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// What it is called in TLS (RFC 7301, and RFC 9113, section 3.2).
    pub(crate) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// A connection that requests are to go over.
pub(crate) struct Made<S = Outside> {
    pub(crate) target: Target,
    pub(crate) open: Arc<Open>,
    pub(crate) outside: S,
    /// The proxy that it leads to, to which requests name their target.
    pub(crate) through: Option<Arc<Hop>>,
    pub(crate) protocol: Protocol,
}

/// One that they go over.
pub(super) struct Onward {
    pub(super) target: Target,
    pub(super) open: Arc<Open>,
    through: Option<Arc<Hop>>,
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Incoming>),
    Http2(http2::SendRequest<Incoming>),
}

impl Onward {
    pub(super) async fn new<S>(made: Made<S>, permit: &Permit) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Made { target, open, outside, through, protocol } = made;
        let outside = TokioIo::new(Counted::new(outside, &open));
        let failed = |error| why(&target, &open, &error);
        let held = Held { open: Arc::clone(&open), permit: Arc::clone(permit) };
        let sender = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::Builder::new()
                    .max_buf_size(LONGEST_HEAD)
                    .preserve_header_case(true)
                    .handshake(outside)
                    .await
                    .map_err(failed)?;
                held.execute(connection.with_upgrades());
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(held.clone())
                    .timer(TokioTimer::new())
                    .max_header_list_size(LONGEST_HEAD as u32)
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW_OF_ALL)
                    .max_send_buf_size(UNSENT)
                    .handshake(outside)
                    .await
                    .map_err(failed)?;
                held.execute(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Self { target, open, through, sender })
    }

    /// Whether a request to this target could go over it.
    pub(super) fn leads_to(&self, target: &Target) -> bool {
        let is_closed = match &self.sender {
            // That it was closed shows when a request is not taken.
            Sender::Http1(_) => false,
            Sender::Http2(sender) => sender.is_closed(),
        };
        self.target == *target && !self.open.is_ended() && !is_closed
    }

    /// The same connection once more, where requests go over it at the same time.
    pub(super) fn shared(&self) -> Option<Self> {
        let Self { target, open, through, sender } = self;
        let Sender::Http2(sender) = sender else { return None };
        Some(Self {
            target: target.clone(),
            open: Arc::clone(open),
            through: through.clone(),
            sender: Sender::Http2(sender.clone()),
        })
    }

    /// What the proxy that it leads to was given to be let in.
    pub(super) fn keys(&self) -> Vec<Arc<Key>> {
        self.through.as_ref().map(|hop| hop.keys()).unwrap_or_default()
    }

    /// Whether the proxy that it leads to has let a request in, for which this was the answer.
    ///
    /// # Errors
    /// What to do where it has not. Nothing that it says of it is passed on.
    pub(super) fn is_let_in(&self, response: &Response<Incoming>) -> Result<(), Failure> {
        match &self.through {
            Some(hop) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let asked = response.headers().get_all(PROXY_AUTHENTICATE);
                Err(hop.not_let_in(&self.target, asked.iter().map(HeaderValue::as_bytes)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Why there is no answer: what would have been sent is beyond a budget, or it failed.
    pub(super) fn broken(&self, error: &hyper::Error) -> Failure {
        why(&self.target, &self.open, error)
    }

    /// Sends a request; gives it back where nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Incoming>>> {
        let target = &self.target;
        match &mut self.sender {
            Sender::Http1(sender) => {
                address(&mut request, self.through.is_some().then_some(target));
                if let Some(hop) = &self.through {
                    hop.log_in(&mut request);
                }
                sender.try_send_request(request).await
            }
            Sender::Http2(sender) => {
                address_in_tls(&mut request, target);
                sender.try_send_request(request).await
            }
        }
    }
}

fn why(target: &Target, open: &Open, error: &hyper::Error) -> Failure {
    match open.refusal() {
        Some(refusal) => Failure::Refused(refusal.clone()),
        None => broken(target, error),
    }
}

/// Keeps going what a connection consists of, until that ends by itself or from outside.
#[derive(Clone)]
struct Held {
    open: Arc<Open>,
    permit: Permit,
}

impl<F> Executor<F> for Held
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, part: F) {
        let Self { open, permit } = self.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // Dropped, it takes with it what is on its way.
            tokio::select! {
                _ = part => {}
                () = open.ended() => {}
            }
        });
    }
}

/// Writes where a request goes, as who gets it takes that (RFC 9112, section 3.2).
pub(crate) fn address<B>(request: &mut Request<B>, named: Option<&Target>) {
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

/// The same in HTTP/2, where the host is named once (RFC 9113, section 8.3.1).
pub(crate) fn address_in_tls<B>(request: &mut Request<B>, target: &Target) {
    let path = request.uri().path_and_query().cloned();
    let uri = Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(target.authority(crate::request::HTTPS))
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    // It is made of what was read as one.
    if let Ok(uri) = uri.build() {
        *request.uri_mut() = uri;
    }
    request.headers_mut().remove(HOST);
}
