//! The authority of one session: a key that was made for it, lives in memory, and certifies the
//! hosts to which TLS is opened. Only the programs of that session are told to trust it.

use crate::target::Host;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::time::{Duration, SystemTime};

/// Clocks differ, also within one machine: a certificate is as good a day before it was made.
const BEFORE: Duration = Duration::from_secs(24 * 3600);
/// No session lasts longer than a year, see `limits.wall_time`.
const AFTER: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why TLS cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No key or certificate could be made.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up with them.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// An authority.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
    /// Of all hosts: they are one and the same here.
    key: KeyPair,
}

impl Authority {
    pub(super) fn new() -> Result<Self, OpenError> {
        let mut params = lasting();
        params.distinguished_name = named("Chaperone: this session");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { pem: issuer.pem(), issuer, key: KeyPair::generate()? })
    }

    /// Its certificate.
    pub(super) fn certificate(&self) -> &str {
        &self.pem
    }

    /// A certificate for the host, with the key to it.
    pub(super) fn certify(
        &self,
        host: &Host,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), OpenError> {
        let mut params = lasting();
        params.distinguished_name = named("Chaperone: a host of this session");
        params.subject_alt_names = vec![match host {
            Host::Address(address) => SanType::IpAddress(*address),
            Host::Name(name) => SanType::DnsName(name.clone().try_into()?),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        Ok((vec![certificate.der().clone()], key))
    }
}

fn lasting() -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + AFTER).into();
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}
