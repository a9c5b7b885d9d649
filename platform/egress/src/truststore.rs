//! Certificates in the form in which every version of Java reads those that it trusts: a keystore of
//! the type JKS. Sun's format, as `sun.security.provider.JavaKeyStore` of OpenJDK documents it.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
/// An entry that is a certificate to trust, and no key.
const TRUSTED: u32 = 2;
/// What Java's own store has. It guards nothing: who may write the file may compute the digest.
const PASSWORD: &str = "changeit";
/// Stands in the digest so that it is none of the password alone.
const SALT: &[u8] = b"Mighty Aphrodite";

/// A truststore of the certificates in a text of PEM (RFC 7468), each once in its order. What is no
/// certificate is left out.
pub fn java_truststore(pem: &str) -> Vec<u8> {
    let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok) {
        if !certificates.contains(&certificate) {
            certificates.push(certificate);
        }
    }
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
    let mut store =
        [MAGIC.to_be_bytes(), VERSION.to_be_bytes(), number(certificates.len())].concat();
    for (index, certificate) in certificates.iter().enumerate() {
        store.extend(TRUSTED.to_be_bytes());
        text(&mut store, &index.to_string());
        // When it was added, in milliseconds: the same certificates are the same file.
        store.extend(0u64.to_be_bytes());
        text(&mut store, "X.509");
        store.extend(number(certificate.len()));
        store.extend_from_slice(certificate);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for unit in PASSWORD.encode_utf16() {
        digest.update(&unit.to_be_bytes());
    }
    digest.update(SALT);
    digest.update(&store);
    store.extend_from_slice(digest.finish().as_ref());
    store
}

/// A string as `java.io.DataOutput.writeUTF` writes one of ASCII.
fn text(to: &mut Vec<u8>, text: &str) {
    to.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_is_an_entry_and_the_digest_closes_the_store() {
        let pem = |byte: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{byte}\n-----END CERTIFICATE-----\n")
        };
        let (one, two) = (pem("AQID"), pem("BAUG"));
        let store = java_truststore(&format!("{one}noise\n{two}{one}"));
        let entry = |alias: u8, certificate: [u8; 3]| {
            let before =
                [&[0, 0, 0, 2, 0, 1, alias][..], &[0; 8], &[0, 5], b"X.509", &[0, 0, 0, 3]];
            [before.concat(), certificate.to_vec()].concat()
        };
        let (head, digest) = store.split_at(store.len() - 20);
        let expected = [
            vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2],
            entry(b'0', [1, 2, 3]),
            entry(b'1', [4, 5, 6]),
        ];
        assert_eq!(head, expected.concat());
        assert!(digest.iter().any(|byte| *byte != 0));
        assert_eq!(java_truststore("").len(), 12 + 20);
    }
}
