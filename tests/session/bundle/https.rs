//! The way to a host that is not on this machine: through a proxy, with TLS, to a name that only the
//! proxy knows.

use super::host::Host;
use super::publisher::Publisher;
use crate::managed::Machine;
use crate::place::text;
use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const HOST: &str = "policy.acme.example";

/// A proxy that takes every connection to the same host, and speaks TLS for it.
struct Front {
    address: SocketAddr,
    /// Where it was asked to connect to.
    asked: Arc<Mutex<Vec<String>>>,
    /// The certificate of who signed for the host, as PEM.
    authority: String,
}

impl Front {
    fn before(host: &Host) -> Result<Self> {
        let (authority, certificate, key) = proof(HOST)?;
        let (config, asked) = (tls(&certificate, &key)?, Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let front = Self { address: listener.local_addr()?, asked, authority };
        let (asked, host) = (Arc::clone(&front.asked), host.address());
        // Until the test's process ends.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, asked) = (Arc::clone(&config), Arc::clone(&asked));
                thread::spawn(move || pass(stream, config, host, &asked));
            }
        });
        Ok(front)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().map(|mut asked| std::mem::take(&mut *asked)).unwrap_or_default()
    }
}

/// One connection: `CONNECT`, TLS, and a request for the host.
fn pass(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    host: SocketAddr,
    asked: &Mutex<Vec<String>>,
) -> Result<()> {
    let head = head(&mut stream)?;
    let to = head.split(' ').nth(1).context("a request")?.to_owned();
    if let Ok(mut asked) = asked.lock() {
        asked.push(to);
    }
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let mut inside = StreamOwned::new(ServerConnection::new(config)?, stream);
    let request = self::head(&mut inside)?;
    let mut upstream = TcpStream::connect(host)?;
    upstream.write_all(request.as_bytes())?;
    std::io::copy(&mut upstream, &mut inside)?;
    inside.conn.send_close_notify();
    inside.flush()?;
    Ok(())
}

/// What a host of this name proves itself by: who signed for it, as PEM, its certificate and its key.
pub(crate) fn proof(name: &str) -> Result<(String, Certificate, KeyPair)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Of another name than what it signs.
    params.distinguished_name.push(DnType::CommonName, "Acme");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &authority)?;
    Ok((authority.pem(), own, key))
}

/// What speaks TLS by this certificate.
pub(crate) fn tls(certificate: &Certificate, key: &KeyPair) -> Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(Arc::new(config))
}

/// Up to and with the empty line.
pub(crate) fn head(stream: &mut impl Read) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8(head)?)
}

#[test]
fn a_bundle_comes_over_tls_and_a_proxy_from_whom_the_system_trusts() -> Result<()> {
    let publisher = Publisher::new();
    publisher.publish();
    let host = Host::serve(publisher.folder());
    let front = Front::before(&host)?;
    let machine = Machine::new()?;
    machine.ship("root.json", &publisher.root())?;
    machine.ship("authority.pem", &front.authority)?;
    machine.deploy(
        "10-remote.toml",
        &format!("[remote]\nurl = \"https://{HOST}/\"\nroot = \"/etc/chaperone/root.json\"\n"),
    )?;
    let proxy = format!("http://{}", front.address);
    let refresh = |trusted: bool| -> Result<(Option<i32>, String, String)> {
        let mut command = machine.chaperone(["policy", "refresh"])?;
        command.env("HTTPS_PROXY", &proxy);
        if trusted {
            command.env("SSL_CERT_FILE", "/etc/chaperone/authority.pem");
        }
        let done = command.output()?;
        Ok((done.status.code(), text(&done.stdout), text(&done.stderr)))
    };

    let (status, _, said) = refresh(false)?;
    assert_eq!(status, Some(1), "nobody here trusts who signed for the host");
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(host.asked(), [""; 0]);

    front.asked();
    let (status, told, said) = refresh(true)?;
    assert_eq!(status, Some(0), "{said}");
    assert!(told.starts_with(&format!("https://{HOST}/ is version 1")), "{told}");
    let asked = front.asked();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|to| *to == format!("{HOST}:443")), "{asked:?}");
    let shown = machine.chaperone(["policy", "explain", "network.deny"])?.output()?;
    assert!(text(&shown.stdout).contains(&format!("https://{HOST}/10-base.toml:3")));
    Ok(())
}
