//! Hosts of a policy in the words that agents know.

use chaperone_policy::{HostPattern, HostSpec, Sourced};
use std::net::IpAddr;

/// The entries of a list, a set as its hosts: no agent knows our sets.
pub(crate) fn each(list: &[Sourced<HostPattern>]) -> Vec<Sourced<HostPattern>> {
    let entries = list.iter().flat_map(|Sourced { value, origin }| {
        value.each().into_iter().map(|value| Sourced { value, origin: origin.clone() })
    });
    entries.collect()
}

/// Which hosts, without the port: `api.acme.example`, `*.acme.example`, `10.0.0.1`, `[::1]`.
/// `None` for a range, a set or every host, which few agents have a word for.
pub(crate) fn host(pattern: &HostPattern) -> Option<String> {
    match &pattern.host {
        HostSpec::Name(name) => Some(name.clone()),
        HostSpec::Beneath(name) => Some(format!("*.{name}")),
        HostSpec::Address(address @ IpAddr::V4(_)) => Some(address.to_string()),
        HostSpec::Address(address @ IpAddr::V6(_)) => Some(format!("[{address}]")),
        HostSpec::Range(..) | HostSpec::Set(_) | HostSpec::Any => None,
    }
}

/// The same with the port, where one is meant.
pub(crate) fn host_and_port(pattern: &HostPattern) -> Option<String> {
    let host = host(pattern)?;
    Some(match pattern.port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// Whether the pattern means a single name or address, so that agents cannot differ about it.
pub(crate) fn is_single(pattern: &HostPattern) -> bool {
    matches!(pattern.host, HostSpec::Name(_) | HostSpec::Address(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_written_as_a_url_would_have_it() {
        let table = [
            ("api.acme.example:8443", Some("api.acme.example:8443")),
            ("*.acme.example", Some("*.acme.example")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[::1]:80", Some("[::1]:80")),
            ("::1", Some("[::1]")),
            ("10.0.0.0/8", None),
            ("*", None),
        ];
        for (text, expected) in table {
            let pattern = HostPattern::parse(text).unwrap();
            assert_eq!(host_and_port(&pattern).as_deref(), expected, "{text}");
        }
    }
}
