//! Opens TLS to the few hosts where what is said inside has to be looked at. The client talks to a
//! certificate that the session's own authority made for the host, the host is verified as this
//! machine verifies any, and between the two requests go the way that those of plain HTTP go.

mod authority;
mod binding;
mod scrub;

pub use authority::OpenError;
pub(crate) use binding::inject;
pub use binding::{Binding, Covers, Fetch, Key, Place};
pub(crate) use scrub::{Scrub, Scrubbed};

use crate::Question;
use crate::dial::Failure;
use crate::http::{self, Protocol};
use crate::proxy::PATIENCE;
use crate::rewound::Rewound;
use crate::serve::Tunnel;
use crate::target::{Host, Target};
use authority::Authority;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{Acceptor, ClientHello};
use rustls::{AlertDescription, ClientConfig, ServerConfig};
use rustls_platform_verifier::Verifier;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client};

/// More hosts than this are not remembered, however many a pattern covers.
const MOST_HOSTS: usize = 256;

/// What opens TLS in one session.
pub struct Opener {
    authority: Authority,
    provider: Arc<CryptoProvider>,
    /// Whom to believe beyond what this machine believes.
    extra: Vec<CertificateDer<'static>>,
    /// Made with the first connection: this machine's roots are many.
    upstream: OnceLock<Result<Arc<ClientConfig>, String>>,
    hosts: Mutex<HashMap<(Host, Protocol), Arc<ServerConfig>>>,
}

impl Opener {
    /// With a new authority, whose key is in this process's memory alone. Hosts may prove themselves
    /// by these certificates, as PEM, beside those that this machine trusts.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(trusted: &str) -> Result<Self, OpenError> {
        // What is no certificate proves nothing.
        let extra = CertificateDer::pem_slice_iter(trusted.as_bytes()).filter_map(Result::ok);
        let extra = extra.collect();
        Ok(Self {
            authority: Authority::new()?,
            provider: Arc::new(aws_lc_rs::default_provider()),
            extra,
            upstream: OnceLock::new(),
            hosts: Mutex::default(),
        })
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
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Ok(Arc::clone(hosts.entry(kind).or_insert(Arc::new(config))))
    }

    /// Speaks TLS with the host, which has to prove that it is that, and what it chooses of these in
    /// it. One that chooses none speaks HTTP/1.1.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        target: &Target,
        outside: TcpStream,
        offered: &[Protocol],
    ) -> Result<(client::TlsStream<TcpStream>, Protocol), Failure> {
        let failed = |why: String| {
            Failure::Unreachable(format!(
                "chaperone: no TLS with {target} that could be verified\n  {why}"
            ))
        };
        let opener = Arc::clone(self);
        let config = spawn_blocking(move || opener.upstream().clone()).await;
        let config = config.map_err(|_| failed("The session has ended.".to_owned()))?;
        let name = match &target.host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| failed("TLS has no such names.".to_owned()))?,
        };
        let mut config = ClientConfig::clone(&*config.map_err(failed)?);
        config.alpn_protocols = offered.iter().map(|own| own.alpn().to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        match timeout(PATIENCE, connector.connect(name, outside)).await {
            Ok(Ok(stream)) => {
                let chosen = stream.get_ref().1.alpn_protocol().unwrap_or(Protocol::Http1.alpn());
                match offered.iter().find(|own| own.alpn() == chosen) {
                    Some(protocol) => Ok((stream, *protocol)),
                    None => Err(failed("It does not speak the HTTP/2 that was asked for.".into())),
                }
            }
            Ok(Err(error)) => Err(failed(format!("{error}."))),
            Err(_) => Err(failed("It did not answer in time.".to_owned())),
        }
    }

    fn upstream(&self) -> &Result<Arc<ClientConfig>, String> {
        self.upstream.get_or_init(|| {
            let provider = || Arc::clone(&self.provider);
            let roots = |error| format!("This machine's trusted certificates: {error}.");
            let verifier = Verifier::new_with_extra_roots(self.extra.clone(), provider());
            let config = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .map_err(roots)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier.map_err(roots)?))
                .with_no_client_auth();
            Ok(Arc::new(config))
        })
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
