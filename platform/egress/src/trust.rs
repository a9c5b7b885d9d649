//! Whom to believe: hosts, and the organisation's own proxy, are verified as this machine verifies
//! any, with the certificates beside its own that the policy adds.

use crate::proxy::PATIENCE;
use crate::target::Host;
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client};

/// Whom one session believes.
pub struct Trust {
    pub(crate) provider: Arc<CryptoProvider>,
    /// Whom beyond what this machine believes.
    extra: Vec<CertificateDer<'static>>,
    /// Made with the first connection: this machine's roots are many.
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    /// Who proves to be a host by these certificates, as PEM, is believed as by those that this
    /// machine trusts.
    pub fn new(trusted: &str) -> Self {
        // What is no certificate proves nothing.
        let extra = CertificateDer::pem_slice_iter(trusted.as_bytes()).filter_map(Result::ok);
        let (provider, extra) = (Arc::new(aws_lc_rs::default_provider()), extra.collect());
        Self { provider, extra, config: OnceLock::new() }
    }

    /// Speaks TLS over a stream with who has to prove that it is this host. It is offered these
    /// protocols (RFC 7301).
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub(crate) async fn connect<S>(
        self: &Arc<Self>,
        host: &Host,
        stream: S,
        offered: &[&[u8]],
    ) -> Result<client::TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let trust = Arc::clone(self);
        let config = spawn_blocking(move || trust.config().clone()).await;
        let config = config.map_err(|_| "The session has ended.".to_owned())?;
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| "TLS has no such names.".to_owned())?,
        };
        let mut config = ClientConfig::clone(&*config?);
        config.alpn_protocols = offered.iter().map(|own| own.to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        match timeout(PATIENCE, connector.connect(name, stream)).await {
            Ok(connected) => connected.map_err(|error| format!("{error}.")),
            Err(_) => Err("It did not answer in time.".to_owned()),
        }
    }

    fn config(&self) -> &Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| {
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

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
