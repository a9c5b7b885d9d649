//! Where a connection leads, in the one spelling in which rules see it and in which it is dialled.
//! Names are resolved elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// In lower case, as in the DNS (RFC 5890 for names in other scripts), without a final dot.
    Name(String),
    /// Whatever its spelling was; one of IPv4 is never dressed as one of IPv6.
    Address(IpAddr),
}

/// A host and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port; not zero.
    pub port: u16,
}

/// A host or port that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The host.
    #[error("the host is neither a name nor an address")]
    Host,
    /// The port.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// There is no port where one is needed.
    #[error("the port is missing")]
    NoPort,
}

/// The longest name that the DNS can hold, as text (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;

impl Host {
    /// Reads a host in any spelling: mixed case, a final dot, other scripts; an address of IPv4 as
    /// decimal, octal or hexadecimal numbers, one to four of them; one of IPv6 with or without
    /// brackets.
    ///
    /// # Errors
    /// What is no host, among it everything with a percent sign: neither an escaped name nor an
    /// address with a zone is a host here.
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        let bare = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'));
        let bare = bare.ok_or(BadTarget::Host)?;
        if bare.contains(':') {
            let address: Ipv6Addr = bare.parse().map_err(|_| BadTarget::Host)?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if bare.len() != text.len() || text.contains('%') || text.len() > 4 * LONGEST {
            return Err(BadTarget::Host);
        }
        match url::Host::parse(text).map_err(|_| BadTarget::Host)? {
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let label = |label: &str| {
                    matches!(label.len(), 1..=63)
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                };
                if name.len() > LONGEST || !name.split('.').all(label) {
                    return Err(BadTarget::Host);
                }
                Ok(Self::Name(name.to_owned()))
            }
        }
    }
}

impl fmt::Display for Host {
    /// As rules take it: an address of IPv6 has no brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Target {
    /// A host in any spelling, and a port.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub fn new(host: &str, port: u16) -> Result<Self, BadTarget> {
        if port == 0 {
            return Err(BadTarget::Port);
        }
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// Reads `HOST:PORT`, or `HOST` where there is a port to stand in.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, BadTarget> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                (host, Some(port.parse().ok().filter(|_| digits).ok_or(BadTarget::Port)?))
            }
            _ => (text, None),
        };
        Self::new(host, port.or(default_port).ok_or(BadTarget::NoPort)?)
    }

    /// Whether this is a name of the host: no address has one, but loopback.
    pub(crate) fn goes_by(&self, named: &Host) -> bool {
        match (&self.host, named) {
            (Host::Address(address), Host::Name(name)) => {
                name == "localhost" && address.is_loopback()
            }
            (asked, named) => asked == named,
        }
    }

    /// The host and port as an HTTP `Host` field has them, without the port that is usual.
    pub(crate) fn authority(&self, usual: u16) -> String {
        let text = self.to_string();
        match text.strip_suffix(&format!(":{usual}")) {
            Some(host) if self.port == usual => host.to_owned(),
            _ => text,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_is_the_same_host() {
        let table: &[(&str, &[&str])] = &[
            (
                "127.0.0.1",
                &[
                    "127.0.0.1",
                    "127.0.0.1.",
                    "127.1",
                    "127.0.1",
                    "2130706433",
                    "0x7f000001",
                    "0x7f.1",
                    "0177.0.0.1",
                    "017700000001",
                    "0x7F.0x0.0x0.0x1",
                    "::ffff:127.0.0.1",
                    "[::ffff:127.0.0.1]",
                    "[::FFFF:7F00:1]",
                    "[0:0:0:0:0:ffff:7f00:0001]",
                    "１２７.0.0.1",
                    "127。0。0。1",
                ],
            ),
            ("::1", &["::1", "[::1]", "[0:0:0:0:0:0:0:1]", "[0::1]"]),
            (
                "paste.example",
                &["paste.example", "PASTE.Example", "paste.example.", "ｐaste.example"],
            ),
            (
                "xn--bcher-kva.example",
                &["bücher.example", "BÜCHER.example.", "xn--bcher-kva.example"],
            ),
            ("a_b.example", &["a_b.example"]),
        ];
        for (expected, spellings) in table {
            for spelling in *spellings {
                assert_eq!(
                    Host::parse(spelling).map(|host| host.to_string()).as_deref(),
                    Ok(*expected),
                    "{spelling}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..example",
            "paste.example..",
            ".paste.example",
            "paste.example\0",
            "paste.example\0.allowed.example",
            "paste.exam\nple",
            "paste example",
            "paste.example/",
            "user@paste.example",
            "127.0.0.1%00",
            "127%2e0.0.1",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "[127.0.0.1]",
            "[paste.example]",
            "[::1",
            "::1]",
            "[[::1]]",
            "256.1.1.1",
            "1.2.3.4.5",
            "0x1ffffffff",
            "4294967296",
            "08.0.0.1",
            "xn--a",
            "*.example",
            "a,b.example",
        ] {
            assert_eq!(Host::parse(text), Err(BadTarget::Host), "{text:?}");
        }
        let long = format!("{}.example", "a".repeat(64));
        assert_eq!(Host::parse(&long), Err(BadTarget::Host));
        assert_eq!(Host::parse(&"a.".repeat(200)), Err(BadTarget::Host));
    }

    #[test]
    fn a_port_is_read_strictly() {
        let read = |text| Target::parse(text, Some(443)).map(|target| target.to_string());
        assert_eq!(read("a.example:8443"), Ok("a.example:8443".into()));
        assert_eq!(read("a.example"), Ok("a.example:443".into()));
        assert_eq!(read("[::1]:80"), Ok("[::1]:80".into()));
        assert_eq!(read("::1"), Ok("[::1]:443".into()));
        for text in ["a.example:", "a.example:0", "a.example:+1", "a.example:65536", "a.example:8 "]
        {
            assert_eq!(read(text), Err(BadTarget::Port), "{text}");
        }
        assert_eq!(Target::parse("a.example", None), Err(BadTarget::NoPort));
        let authority = |text| Target::parse(text, None).map(|target| target.authority(80));
        assert_eq!(authority("a.example:80"), Ok("a.example".into()));
        assert_eq!(authority("a.example:8080"), Ok("a.example:8080".into()));
        assert_eq!(authority("[::1]:80"), Ok("[::1]".into()));
    }
}
