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
use crate::http;
use crate::proxy::PATIENCE;
use crate::rewound::Rewound;
use crate::serve::Tunnel;
use crate::target::{Host, Target};
use authority::Authority;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ServerConfig};
use rustls_platform_verifier::Verifier;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// What is spoken inside (RFC 7301).
const ALPN: &[u8] = b"http/1.1";
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
    hosts: Mutex<HashMap<Host, Arc<ServerConfig>>>,
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

    /// Speaks TLS with the client, as the host.
    async fn accept(
        &self,
        target: &Target,
        inside: Rewound,
    ) -> io::Result<server::TlsStream<Rewound>> {
        let config = self.as_host(&target.host).map_err(io::Error::other)?;
        TlsAcceptor::from(config).accept(inside).await
    }

    fn as_host(&self, host: &Host) -> Result<Arc<ServerConfig>, OpenError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = hosts.get(host) {
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
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::clone(hosts.entry(host.clone()).or_insert(Arc::new(config))))
    }

    /// Speaks TLS with the host, which has to prove that it is that.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        target: &Target,
        outside: TcpStream,
    ) -> Result<client::TlsStream<TcpStream>, Failure> {
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
        let connector = TlsConnector::from(config.map_err(failed)?);
        match timeout(PATIENCE, connector.connect(name, outside)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(format!("{error}."))),
            Err(_) => Err(failed("It did not answer in time.".to_owned())),
        }
    }

    fn upstream(&self) -> &Result<Arc<ClientConfig>, String> {
        self.upstream.get_or_init(|| {
            let provider = || Arc::clone(&self.provider);
            let roots = |error| format!("This machine's trusted certificates: {error}.");
            let verifier = Verifier::new_with_extra_roots(self.extra.clone(), provider());
            let mut config = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .map_err(roots)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier.map_err(roots)?))
                .with_no_client_auth();
            config.alpn_protocols = vec![ALPN.to_vec()];
            Ok(Arc::new(config))
        })
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// Serves a client that has begun to speak TLS in a tunnel. `first` is what it has said.
pub(crate) async fn serve(opener: Arc<Opener>, tunnel: Tunnel, first: Vec<u8>) {
    let Tunnel { way, target, open, inside, outside, permit } = tunnel;
    let accepted = tokio::select! {
        accepted = timeout(PATIENCE, opener.accept(&target, Rewound::new(inside, first))) => accepted,
        () = open.ended() => return,
    };
    match accepted {
        Ok(Ok(inside)) => {
            let made = opener.connect(&target, outside).await;
            let made = made.map(|outside| (outside, open));
            http::serve_opened(way, opener, target, made, inside, permit).await;
        }
        // It has gone; that it was recorded is what is waited for.
        Ok(Err(error)) => drop(way.ask(&target, Question::Distrusted(said(&error))).await),
        Err(_) => {}
    }
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
