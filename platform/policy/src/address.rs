//! Addresses that no name may lead to: of this machine, of its networks, of nobody in particular.

use crate::{Decision, HostPattern, HostSpec, Origin, Policy, Sourced, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The rule by which such an address is refused.
const RULE: &str = "addresses near this machine";

/// What an address is, if it belongs to this machine, to the networks that it is in, or to more
/// than one receiver: the special-purpose registries of IANA (RFC 6890), without the documentation
/// ranges, which lead nowhere.
pub fn near(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => near_v4(address),
        IpAddr::V6(address) => near_v6(address),
    }
}

fn near_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("an unspecified address"),
        (127, ..) => Some("a loopback address"),
        (169, 254, _) => Some("a link-local address, where clouds keep their metadata"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (100, 64..=127, _) => Some("an address shared by a provider's customers"),
        (192, 0, 0) | (198, 18..=19, _) => Some("an address of a special purpose"),
        (224..=239, ..) => Some("a multicast address"),
        (240..=255, ..) => Some("a reserved address"),
        _ => None,
    }
}

fn near_v6(address: Ipv6Addr) -> Option<&'static str> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        near_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // Addresses that carry one of IPv4: compatible, translated (RFC 6052), 6to4 and Teredo.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 1, ..] => Some("a private address"),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff | 0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => None,
    }
}

/// What the policy says against dialling this very address, whatever name led to it: that it is
/// denied, or near this machine (`own` says that it is one of this machine's) and not named by the
/// policy itself. `None` where nothing does.
pub fn decide_address(policy: &Policy, address: IpAddr, port: u16, own: bool) -> Option<Decision> {
    let address = address.to_canonical();
    let network = policy.network();
    let named = |list: &[Sourced<HostPattern>]| {
        list.iter().find(|pattern| names(&pattern.value, address, port)).cloned()
    };
    if let Some(Sourced { value, origin }) = named(&network.deny) {
        return Some(Decision {
            verdict: Verdict::Deny,
            rule: Some(format!("network.deny {value}")),
            reason: format!("{address} is never reached ({value})."),
            origin,
        });
    }
    let what = near(address).or_else(|| own.then_some("an address of this machine"))?;
    if named(&network.allow).is_some() {
        return None;
    }
    Some(Decision {
        verdict: Verdict::Deny,
        rule: Some(RULE.to_owned()),
        origin: Origin::built_in(),
        reason: format!(
            "{address} is {what}, and is reached only where network.allow names that address or \
             its range itself."
        ),
    })
}

/// Whether a pattern means this address, and not just any host.
fn names(pattern: &HostPattern, address: IpAddr, port: u16) -> bool {
    match &pattern.host {
        HostSpec::Range(_, 0) => false,
        HostSpec::Address(_) | HostSpec::Range(..) => pattern.matches(&address.to_string(), port),
        HostSpec::Name(name) => {
            name == "localhost" && address.is_loopback() && pattern.matches(name, port)
        }
        HostSpec::Beneath(_) | HostSpec::Set(_) | HostSpec::Any => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_near_this_machine_is_known_in_every_dress() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1:2:3:4:80ff:fffe",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "ff02::1",
        ] {
            assert!(near(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.2.1",
            "223.255.255.255",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
        ] {
            assert_eq!(near(text.parse().unwrap()), None, "{text}");
        }
    }
}
