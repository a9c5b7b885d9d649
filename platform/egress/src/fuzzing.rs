//! What fuzz targets see of requests: as they are read of a connection, what is judged of each, and
//! what is sent on.

use crate::http::{address, address_in_tls, prepared, reader};
use crate::request::{HTTP, HTTPS, Wish, asked, wish};
use crate::{Asked, Target};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use tokio::io::{join, sink};

/// A request that asks for something.
#[derive(Debug)]
pub struct Judged {
    /// What is judged, and dialled.
    pub target: Target,
    /// A tunnel to it is asked for, not an answer.
    pub is_tunnel: bool,
    /// What is judged of the request itself.
    pub asked: Asked,
    /// The head that the target gets.
    pub sent: Parts,
    /// The head that another proxy gets, to which a request names its target.
    pub through: Parts,
}

/// The heads of the requests that a client has said, as they are read of its connection.
pub fn heads(said: &[u8]) -> Vec<Parts> {
    let heads = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        heads.borrow_mut().push(request.into_parts().0);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let mut connection = pin!(reader().serve_connection(TokioIo::new(join(said, sink())), service));
    // Everything has been said, so it is never waited for: each turn goes on by a request at least.
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..=said.len() {
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    heads.take()
}

/// What becomes of a request that may go on; `None` where it asks for nothing that can be done.
/// `fixed` is where it goes whatever it says.
pub fn judged(head: Parts, fixed: Option<&Target>) -> Option<Judged> {
    let (target, is_tunnel) = match wish(&head, fixed).ok()? {
        Wish::Tunnel(target) => (target, true),
        Wish::Answer(target) => (target, false),
    };
    let asked = asked(&head);
    let sent = |named: Option<&Target>| {
        let request = Request::from_parts(head.clone(), ());
        let request = if head.version == Version::HTTP_2 {
            let (mut request, _) = prepared(&target, HTTPS, Version::HTTP_2, request);
            address_in_tls(&mut request, &target);
            request
        } else {
            let (mut request, _) = prepared(&target, HTTP, Version::HTTP_11, request);
            address(&mut request, named);
            request
        };
        request.into_parts().0
    };
    let (sent, through) = (sent(None), sent(Some(&target)));
    Some(Judged { target, is_tunnel, asked, sent, through })
}
