//! Opens TLS to the few hosts where what is said inside has to be looked at. The client talks to a
//! certificate that the session's own authority made for the host, the host is verified as this
//! machine verifies any, and between the two requests go the way that those of plain HTTP go.

mod authority;
mod binding;
mod scrub;

pub use authority::OpenError;
pub use binding::{Binding, Covers, Fetch, Key, Place};
pub(crate) use binding::{basic, inject};
pub(crate) use scrub::{Scrub, Scrubbed};

use crate::Question;
use crate::dial::Failure;
use crate::http::{self, Protocol};
use crate::outside::Outside;
use crate::proxy::PATIENCE;
use crate::rewound::Rewound;
use crate::serve::Tunnel;
use crate::target::{Host, Target};
use crate::trust::Trust;
use authority::Authority;
use rustls::server::{Acceptor, ClientHello};
use rustls::{AlertDescription, ServerConfig};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, client};

/// More hosts than this are not remembered, however many a pattern covers.
const MOST_HOSTS: usize = 256;

/// What opens TLS in one session.
pub struct Opener {
    authority: Authority,
    trust: Arc<Trust>,
    hosts: Mutex<HashMap<(Host, Protocol), Arc<ServerConfig>>>,
}

impl Opener {
    /// With a new authority, whose key is in this process's memory alone.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(trust: Arc<Trust>) -> Result<Self, OpenError> {
        Ok(Self { authority: Authority::new()?, trust, hosts: Mutex::default() })
    }

    /// The authority's certificate, as clients inside have to know it: PEM (RFC 7468).
    pub fn certificate(&self) -> &str {
        self.authority.certificate()
    }

    /// What speaks TLS with a client as the host, and this in it.
    fn as_host(&self, host: &Host, protocol: Protocol) -> Result<Arc<ServerConfig>, OpenError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (host.clone(), protocol);
        if let Some(config) = hosts.get(&kind) {
            return Ok(Arc::clone(config));
        }
        if hosts.len() >= MOST_HOSTS {
            hosts.clear();
        }
        let (chain, key) = self.authority.certify(host)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.trust.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Ok(Arc::clone(hosts.entry(kind).or_insert(Arc::new(config))))
    }

    /// Speaks TLS with the host, which has to prove that it is that, and what it chooses of these in
    /// it. One that chooses none speaks HTTP/1.1.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        outside: Outside,
        offered: &[Protocol],
    ) -> Result<(client::TlsStream<Outside>, Protocol), Failure> {
        let failed = |why: String| {
            Failure::Unreachable(format!(
                "chaperone: no TLS with {target} that could be verified\n  {why}"
            ))
        };
        let names: Vec<&[u8]> = offered.iter().map(|own| own.alpn()).collect();
        let stream = self.trust.connect(&target.host, outside, &names).await.map_err(failed)?;
        let chosen = stream.get_ref().1.alpn_protocol().unwrap_or(Protocol::Http1.alpn());
        match offered.iter().find(|own| own.alpn() == chosen) {
            Some(protocol) => Ok((stream, *protocol)),
            None => Err(failed("It does not speak the HTTP/2 that was asked for.".into())),
        }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// Serves a client that has begun to speak TLS in a tunnel. `first` is what it has said. The host is
/// offered what the client offers, and the client gets what the host takes of it.
pub(crate) async fn serve(opener: Arc<Opener>, tunnel: Tunnel, first: Vec<u8>) {
    let Tunnel { way, target, open, inside, outside, permit } = tunnel;
    let negotiated = async {
        let acceptor = LazyConfigAcceptor::new(Acceptor::default(), Rewound::new(inside, first));
        let start = timeout(PATIENCE, acceptor).await??;
        let offered = offered(&start.client_hello());
        let made = opener.connect(&target, outside, &offered).await;
        // Who hears why there is none hears it in what all speak.
        let spoken = made.as_ref().ok().map(|(_, protocol)| *protocol);
        let protocol = spoken.or_else(|| offered.last().copied()).unwrap_or(Protocol::Http1);
        let config = opener.as_host(&target.host, protocol).map_err(io::Error::other)?;
        let inside = timeout(PATIENCE, start.into_stream(config)).await??;
        Ok::<_, io::Error>((inside, made.map(|(outside, _)| outside), protocol))
    };
    let negotiated = tokio::select! {
        negotiated = negotiated => negotiated,
        () = open.ended() => return,
    };
    match negotiated {
        Ok((inside, made, protocol)) => {
            let made = made.map(|outside| (outside, open));
            http::serve_opened(way, opener, target, protocol, made, inside, permit).await;
        }
        Err(error) if error.kind() == ErrorKind::TimedOut => {}
        // It has gone; that it was recorded is what is waited for.
        Err(error) => drop(way.ask(&target, Question::Distrusted(said(&error))).await),
    }
}

/// What a client offers to speak, of what is known here. One that does not say speaks HTTP/1.1.
fn offered(hello: &ClientHello<'_>) -> Vec<Protocol> {
    let Some(named) = hello.alpn() else { return vec![Protocol::Http1] };
    let named: Vec<&[u8]> = named.collect();
    let known = [Protocol::Http2, Protocol::Http1];
    let offered: Vec<Protocol> =
        known.into_iter().filter(|own| named.contains(&own.alpn())).collect();
    // Of anything else TLS itself says that it is not spoken here.
    if offered.is_empty() { vec![Protocol::Http1] } else { offered }
}

/// Why a client did not go on, for the history.
fn said(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate,
        )) => "it does not trust the session's certificate".to_owned(),
        Some(other) => format!("TLS with it failed ({other})"),
        None => format!("it ended while TLS began ({error})"),
    }
}
