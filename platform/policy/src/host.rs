//! Hosts as the policy names them: a name, everything beneath a name, an address, a range or a set.

use crate::HostSet;
use crate::hostsets::{HOST_SETS, PORT};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Which hosts a pattern names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostSpec {
    /// One name, in lower case, without a final dot.
    Name(String),
    /// Every name beneath this one (`*.acme.example`), not the name itself.
    Beneath(String),
    /// One address.
    Address(IpAddr),
    /// The addresses that share the first bits (`10.0.0.0/8`).
    Range(IpAddr, u8),
    /// The hosts of a set (`crates`).
    Set(&'static HostSet),
    /// Every host (`*`).
    Any,
}

/// A host pattern with an optional port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern {
    /// Which hosts.
    pub host: HostSpec,
    /// Which TCP port; `None` is every port.
    pub port: Option<u16>,
}

const EXPECTED: &str =
    "a host, `*.domain`, an address or a range, with or without `:PORT`, or a host set";

/// The one name without a dot that needs nothing else to be told from a set.
const LOCALHOST: &str = "localhost";

impl HostPattern {
    /// Reads `api.acme.example`, `*.acme.example`, `127.0.0.1:4000`, `[::1]:80`, `10.0.0.0/8`, `*`,
    /// or the name of a [`HostSet`]. A host whose name has no dot is told from a set by a port or a
    /// final dot: `build:8080`, `build.`
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        if let Some(set) = HostSet::named(text) {
            return Ok(Self { host: HostSpec::Set(set), port: None });
        }
        let pattern = Self::parse_host(text)?;
        match &pattern {
            Self { host: HostSpec::Name(name), port: None }
                if name != LOCALHOST && !text.contains('.') =>
            {
                Err(no_set(name).into())
            }
            _ => Ok(pattern),
        }
    }

    /// The same where no set can be meant, as in the settings of an agent.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse_host(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']').ok_or(EXPECTED)?;
            let address = address.parse().map_err(|_| EXPECTED)?;
            let port = match after {
                "" => None,
                _ => Some(port(after.strip_prefix(':').ok_or(EXPECTED)?)?),
            };
            return Ok(Self { host: HostSpec::Address(canonical(address)), port });
        }
        if let Some(host) = address(text) {
            return Ok(Self { host, port: None });
        }
        let (host, digits) = match text.rsplit_once(':') {
            Some((host, digits)) => (host, Some(digits)),
            None => (text, None),
        };
        let host = match address(host) {
            Some(address) => address,
            None => name(host)?,
        };
        let port = match digits {
            Some(digits) if digits.starts_with('/') => return Err(EXPECTED),
            Some(digits) => Some(port(digits)?),
            None => None,
        };
        Ok(Self { host, port })
    }

    /// What can still be read of a text that is no pattern: the host of an address bar's URL.
    pub(crate) fn salvage(text: &str) -> Option<Self> {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let text = text.split(['/', '?', '#']).next()?;
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host).trim();
        if let Some(set) = HostSet::named(text).or_else(|| HostSet::near(text)) {
            return Some(Self { host: HostSpec::Set(set), port: None });
        }
        Self::parse_host(text).ok().or_else(|| {
            // A port that cannot be read is every port.
            Self::parse_host(text.rsplit_once(':')?.0).ok()
        })
    }

    /// Whether the pattern names this host and port. `host` is a name in any case, or an address.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        let host = host.trim_end_matches('.');
        let asked = host.parse::<IpAddr>().ok().map(canonical);
        match &self.host {
            HostSpec::Any => true,
            HostSpec::Address(own) => asked == Some(*own),
            HostSpec::Range(network, bits) => {
                asked.is_some_and(|address| in_range(address, *network, *bits))
            }
            HostSpec::Name(own) => host.eq_ignore_ascii_case(own),
            HostSpec::Beneath(own) => is_beneath(host, own),
            HostSpec::Set(set) => set.entry(host, port).is_some(),
        }
    }

    /// The pattern that matches this host, in words: of a set, its entry and whose it is.
    pub fn naming(&self, host: &str, port: u16) -> String {
        match &self.host {
            HostSpec::Set(set) => {
                let entry = set.entry(host.trim_end_matches('.'), port).unwrap_or(host);
                format!("{entry} of the host set {} (version {})", set.name, set.version)
            }
            _ => self.to_string(),
        }
    }

    /// The patterns that this one stands for: of a set each of its hosts, else itself.
    pub fn each(&self) -> Vec<Self> {
        let HostSpec::Set(set) = &self.host else { return vec![self.clone()] };
        let read = |entry: &&str| Self::parse_host(&format!("{entry}:{PORT}")).ok();
        set.hosts.iter().filter_map(read).collect()
    }

    /// The one host and port that it names, if it names just one: what a relay can stand for.
    pub fn pair(&self) -> Option<(String, u16)> {
        let host = match &self.host {
            HostSpec::Name(name) => name.clone(),
            HostSpec::Address(address) => address.to_string(),
            HostSpec::Beneath(_) | HostSpec::Range(..) | HostSpec::Set(_) | HostSpec::Any => {
                return None;
            }
        };
        Some((host, self.port?))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostSpec::Any => f.write_str("*")?,
            HostSpec::Name(name) => f.write_str(name)?,
            HostSpec::Set(set) => f.write_str(set.name)?,
            HostSpec::Beneath(name) => write!(f, "*.{name}")?,
            HostSpec::Address(IpAddr::V6(address)) if self.port.is_some() => {
                write!(f, "[{address}]")?;
            }
            HostSpec::Address(address) => write!(f, "{address}")?,
            HostSpec::Range(network, bits) => write!(f, "{network}/{bits}")?,
        }
        match (self.port, &self.host) {
            (Some(port), _) => write!(f, ":{port}"),
            // What would be read as a set.
            (None, HostSpec::Name(name)) if !name.contains('.') && name != LOCALHOST => {
                f.write_str(".")
            }
            (None, _) => Ok(()),
        }
    }
}

/// What was expected in the place of a word that is no set.
fn no_set(word: &str) -> String {
    let host = format!("`{word}.` or `{word}:PORT` for a host of that name");
    match HostSet::near(word) {
        Some(set) => format!("`{}` for the host set, or {host}", set.name),
        None => format!("a host set ({}), or {host}", HOST_SETS.map(|set| set.name).join(", ")),
    }
}

/// Whether a name lies beneath another, which is in lower case.
pub(crate) fn is_beneath(host: &str, own: &str) -> bool {
    host.len().checked_sub(own.len() + 1).is_some_and(|at| {
        at > 0
            && host.as_bytes()[at] == b'.'
            && host.get(at + 1..).is_some_and(|end| end.eq_ignore_ascii_case(own))
    })
}

fn port(digits: &str) -> Result<u16, &'static str> {
    number(digits).filter(|port| *port > 0).ok_or("a port from 1 to 65535")
}

/// Digits alone: `parse` takes a sign, too.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn address(text: &str) -> Option<HostSpec> {
    if let Ok(address) = text.parse() {
        return Some(HostSpec::Address(canonical(address)));
    }
    let (network, bits) = text.split_once('/')?;
    let network: IpAddr = network.parse().ok()?;
    let bits: u8 = number(bits)?;
    let most = if network.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(HostSpec::Range(network, bits))
}

fn name(text: &str) -> Result<HostSpec, &'static str> {
    if text == "*" {
        return Ok(HostSpec::Any);
    }
    let (beneath, bare) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    // A last label of digits is an address in an old spelling (RFC 3696, section 2).
    let numeric = bare.rsplit('.').next().is_some_and(|l| l.chars().all(|c| c.is_ascii_digit()));
    if bare.len() > 253 || !bare.split('.').all(label) || numeric {
        return Err(EXPECTED);
    }
    let bare = bare.to_ascii_lowercase();
    Ok(if beneath { HostSpec::Beneath(bare) } else { HostSpec::Name(bare) })
}

/// An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) reaches the IPv4 host.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn in_range(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_what_it_says_and_nothing_else() {
        let table = [
            ("api.acme.example", "api.acme.example", 443, true),
            ("api.acme.example", "API.Acme.Example.", 80, true),
            ("api.acme.example", "xapi.acme.example", 443, false),
            ("*.acme.example", "api.acme.example", 443, true),
            ("*.acme.example", "a.b.acme.example", 443, true),
            ("*.acme.example", "acme.example", 443, false),
            ("*.acme.example", "evilacme.example", 443, false),
            ("api.acme.example:8443", "api.acme.example", 8443, true),
            ("api.acme.example:8443", "api.acme.example", 443, false),
            ("127.0.0.1:4000", "127.0.0.1", 4000, true),
            ("127.0.0.1:4000", "::ffff:127.0.0.1", 4000, true),
            ("[::1]:80", "::1", 80, true),
            ("::1", "::1", 80, true),
            ("10.0.0.0/8", "10.200.3.4", 1, true),
            ("10.0.0.0/8", "11.0.0.1", 1, false),
            ("10.0.0.0/8", "ten.example", 1, false),
            ("0.0.0.0/0", "8.8.8.8", 53, true),
            ("*", "anything", 1, true),
            ("build.", "build", 22, true),
            ("build:8080", "build", 8080, true),
            ("npm.", "npm", 443, true),
            ("localhost", "localhost", 1, true),
        ];
        for (pattern, host, port, expected) in table {
            let parsed = HostPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(host, port), expected, "{pattern} on {host}:{port}");
            assert_eq!(HostPattern::parse(&parsed.to_string()), Ok(parsed), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "https://x.example",
            "a b",
            "x.example:0",
            "x.example:+80",
            "x.example:http",
            "a..b",
            "*x.example",
            "10.0.0.0/33",
            "1.2.3",
            "x.example/path",
            "bücher.example",
            "build",
            "crate",
            "Crates",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_host_of_an_url_can_still_be_read() {
        let read = |text| HostPattern::salvage(text).map(|pattern| pattern.to_string());
        assert_eq!(read("https://paste.example/x?y"), Some("paste.example".into()));
        assert_eq!(read("paste.example:http"), Some("paste.example".into()));
        assert_eq!(read("a b"), None);
    }

    #[test]
    fn a_set_is_told_from_a_host_and_a_word_that_is_neither_names_the_nearest_set() {
        let crates = HostPattern::parse("crates").unwrap();
        let HostSpec::Set(set) = crates.host else { panic!("{crates:?}") };
        let host = set.hosts[0];
        assert!(crates.matches(host, 443) && crates.matches(&format!("{host}."), 443));
        assert!(!crates.matches(host, 80) && !crates.matches("crates", 443));
        assert_eq!((crates.to_string().as_str(), crates.pair()), ("crates", None));
        assert_eq!(
            crates.naming(host, 443),
            format!("{host} of the host set crates (version {})", set.version)
        );
        let each: Vec<String> = crates.each().iter().map(ToString::to_string).collect();
        let expected: Vec<String> = set.hosts.iter().map(|host| format!("{host}:443")).collect();
        assert_eq!(each, expected);

        let expected = |text| HostPattern::parse(text).unwrap_err().into_owned();
        assert_eq!(
            expected("crate"),
            "`crates` for the host set, or `crate.` or `crate:PORT` for a host of that name"
        );
        assert_eq!(
            expected("intranet"),
            format!(
                "a host set ({}), or `intranet.` or `intranet:PORT` for a host of that name",
                HOST_SETS.map(|set| set.name).join(", ")
            )
        );
        let salvaged = |text| HostPattern::salvage(text).map(|own| own.to_string());
        assert_eq!(salvaged("crate"), Some("crates".into()), "what was meant is denied");
        assert_eq!(salvaged("intranet"), Some("intranet.".into()));
    }

    #[test]
    fn only_one_host_with_a_port_is_a_pair() {
        let pair = |text| HostPattern::parse(text).unwrap().pair();
        assert_eq!(pair("localhost:4000"), Some(("localhost".into(), 4000)));
        assert_eq!(pair("localhost"), None);
        assert_eq!(pair("crates"), None);
        assert_eq!(pair("*.x.example:443"), None);
    }
}
