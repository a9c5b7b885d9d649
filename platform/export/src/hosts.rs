//! Hosts of a policy in the words that agents know.

use crate::{Effect, Job};
use chaperone_policy::{
    HostPattern, HostSpec, NetworkMode, NetworkPolicy, Origin, Sourced, Verdict,
};
use serde_json::{Value as Json, json};
use std::net::IpAddr;

/// The entries of a list, a set as its hosts: no agent knows our sets.
pub(crate) fn each(list: &[Sourced<HostPattern>]) -> Vec<Sourced<HostPattern>> {
    let entries = list.iter().flat_map(|Sourced { value, origin }| {
        value.each().into_iter().map(|value| Sourced { value, origin: origin.clone() })
    });
    entries.collect()
}

/// What lets nothing be reached that no list names: the key, its value and who says it.
pub(crate) fn closed(network: &NetworkPolicy) -> Option<(&'static str, Json, &Origin)> {
    let Sourced { value, origin } = &network.unfamiliar;
    let denies = network.mode.value == NetworkMode::Proxy && *value == Verdict::Deny;
    let denies = denies.then(|| ("network.unfamiliar", json!(value), origin));
    let closed = network.closed.as_ref();
    closed.map(|origin| ("network.closed", json!(true), origin)).or(denies)
}

/// Where unfamiliar hosts are asked about or denied, so are they by every agent; none lets them pass.
pub(crate) fn unfamiliar(job: &mut Job<'_>) {
    job.lost.done(&["network.unfamiliar"]);
    let network = job.policy.network();
    let Sourced { value, origin } = &network.unfamiliar;
    let passes = network.mode.value == NetworkMode::Proxy && *value == Verdict::Allow;
    if passes && network.closed.is_none() {
        let why = "Every host that is not listed is asked about.";
        job.lost.part("network.unfamiliar", json!(value), origin, Effect::Wider, why);
    }
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
