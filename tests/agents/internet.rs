//! What stands for the hosts beyond this machine: a proxy on loopback, as an organisation has one,
//! that takes every connection to one server, and speaks TLS there for whichever host was asked for.

use super::model::http::{Request, Response, serve};
use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// It ends with the process of the test.
#[derive(Debug)]
pub(crate) struct Internet {
    address: SocketAddr,
    authority: String,
}

type Authority = CertifiedIssuer<'static, KeyPair>;
type Answer = dyn Fn(&Request) -> Response + Send + Sync;

impl Internet {
    /// One in which `answer` answers for every host.
    pub(crate) fn answering(
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let internet = Self { address: listener.local_addr()?, authority: authority.pem() };
        let (authority, answer): (_, Arc<Answer>) = (Arc::new(authority), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (authority, answer) = (Arc::clone(&authority), Arc::clone(&answer));
                // A client that says nothing to be answered is left.
                thread::spawn(move || connection(stream, &authority, &*answer));
            }
        });
        Ok(internet)
    }

    /// The proxy's URL.
    pub(crate) fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate of who signs for every host, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

fn connection(mut stream: TcpStream, authority: &Authority, answer: &Answer) -> Result<()> {
    let mut head = Vec::new();
    let mut reader = BufReader::with_capacity(1, &stream);
    while !head.ends_with(b"\r\n\r\n") {
        let byte = reader.fill_buf()?.first().copied().context("a request")?;
        head.push(byte);
        reader.consume(1);
    }
    let head = String::from_utf8(head)?;
    let to = head.split(' ').nth(1).filter(|_| head.starts_with("CONNECT ")).context("a tunnel")?;
    let host = to.rsplit_once(':').context("a port")?.0.to_owned();
    let config = tls(authority, host)?;
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    serve(StreamOwned::new(ServerConnection::new(config)?, stream), answer);
    Ok(())
}

fn tls(authority: &Authority, host: String) -> Result<Arc<ServerConfig>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.clone()])?;
    // The default is the authority's as well, and then it seems to have signed itself.
    params.distinguished_name.push(DnType::CommonName, host);
    let certificate = params.signed_by(&key, authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(Arc::new(config))
}
