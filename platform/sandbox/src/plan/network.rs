//! What the session reaches: nothing but relays, what its proxy lets through, or everything.

use super::{Loss, Network, Outside, Refusal, Relay, Tier};
use chaperone_policy::{
    HostSpec, NetworkMode, Policy, SourceKind, Sourced, pinned, sees_requests, uploads,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// Addresses of relays inside begin here: a part of loopback that nothing else uses.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);

/// Where the proxy listens in a network of the session's own: beside the relays, so that every port
/// of the usual address is free for the session's own servers.
const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 63, 0, 1), 3128);

/// Where what connects to an address that stands for a name arrives there.
const CARRIED: SocketAddrV4 = SocketAddrV4::new(*PROXY.ip(), 3129);

/// The session's network, and what of the policy's list a relay cannot stand for. `outside` is where
/// the supervisor listens for a session of the reduced tier.
pub(super) fn network(
    policy: &Policy,
    tier: Tier,
    outside: Option<Outside>,
) -> Result<(Network, Vec<Loss>), Refusal> {
    let rules = policy.network();
    match rules.mode.value {
        // Nothing stands between a direct session and its hosts that could keep to a list.
        NetworkMode::Direct => {
            let denied = rules.deny.first().map(|own| ("network.deny", &own.origin));
            let closed = || rules.closed.as_ref().map(|origin| ("network.closed", origin));
            match denied.or_else(closed).or_else(|| policy.wants_supervisor()) {
                Some((key, origin)) => Err(Refusal::DirectIgnores { key, origin: origin.clone() }),
                None => Ok((Network::Direct, Vec::new())),
            }
        }
        NetworkMode::Proxy => {
            let own = Outside { proxy: PROXY, carried: CARRIED };
            let Outside { proxy: listen, carried } =
                outside.filter(|_| tier != Tier::Full).unwrap_or(own);
            // What has no relay has the proxy.
            let Relays { relays, .. } = relays(policy, tier);
            Ok((Network::Proxy { relays, listen, carried }, Vec::new()))
        }
        NetworkMode::None => {
            let Relays { relays, without, unseen } = relays(policy, tier);
            let losses = without_relay(&without).into_iter().chain(unseen_relay(&unseen));
            Ok((Network::None { relays }, losses.collect()))
        }
    }
}

/// Why no session has a network as this policy wants it, on whatever machine.
pub fn refused_network(policy: &Policy) -> Option<Refusal> {
    network(policy, Tier::Full, None).err()
}

struct Relays {
    relays: Vec<Relay>,
    /// The patterns that no relay can stand for.
    without: Vec<String>,
    /// Those for which what is sent has to be seen, where a session dials a relay's host itself.
    unseen: Vec<String>,
}

fn relays(policy: &Policy, tier: Tier) -> Relays {
    let mut relays: Vec<Relay> = Vec::new();
    let mut addresses = BTreeMap::new();
    let (mut left_out, mut unseen) = (Vec::new(), Vec::new());
    let rules = policy.network();
    for Sourced { value: pattern, origin } in &rules.allow {
        let Some((host, port)) = pattern.pair() else {
            // The registries of an agent file are for sessions that have a proxy.
            if origin.kind != SourceKind::AgentFile {
                left_out.push(pattern.to_string());
            }
            continue;
        };
        if rules.deny.iter().any(|denied| denied.value.matches(&host, port)) {
            continue;
        }
        let is_held = sees_requests(policy, &host, port)
            || !uploads(policy, &host, port).is_empty()
            || pinned(policy, &host, port).is_some();
        if tier != Tier::Full && is_held {
            unseen.push(pattern.to_string());
            continue;
        }
        let address = match (&pattern.host, loopback(&pattern.host)) {
            (_, Some(address)) => address,
            // Nothing resolves an address, so nothing would lead to its relay.
            (HostSpec::Address(_), None) => {
                left_out.push(pattern.to_string());
                continue;
            }
            _ => {
                let next = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
                let next = Ipv4Addr::from_bits(FIRST.to_bits().saturating_add(next));
                *addresses.entry(host.clone()).or_insert(next)
            }
        };
        let listen = SocketAddrV4::new(address, port);
        if relays.iter().all(|relay| relay.listen != listen) {
            relays.push(Relay { host, port, listen });
        }
    }
    Relays { relays, without: left_out, unseen }
}

fn unseen_relay(unseen: &[String]) -> Option<Loss> {
    (!unseen.is_empty()).then(|| Loss {
        id: "requests-without-relay".into(),
        detail: format!(
            "The policy restricts what these hosts are sent, and what a session of the reduced tier says through a relay is not seen; not relayed: {}.",
            unseen.join(", ")
        ),
        fix: "Set network.mode to \"proxy\", or leave what these hosts are sent unrestricted.".into(),
    })
}

fn without_relay(left_out: &[String]) -> Option<Loss> {
    (!left_out.is_empty()).then(|| Loss {
        id: "host-without-relay".into(),
        detail: format!(
            "With network.mode \"none\" only a host's name or loopback address with its port can be relayed; not relayed: {}.",
            left_out.join(", ")
        ),
        fix: "Name each as host:port in network.allow, or set network.mode to \"proxy\".".into(),
    })
}

/// The same address inside as outside, for what is on loopback already.
fn loopback(host: &HostSpec) -> Option<Ipv4Addr> {
    match host {
        HostSpec::Name(name) if name == "localhost" => Some(Ipv4Addr::LOCALHOST),
        HostSpec::Address(IpAddr::V4(address)) if address.is_loopback() => Some(*address),
        HostSpec::Address(IpAddr::V6(address)) if address.is_loopback() => {
            Some(Ipv4Addr::LOCALHOST)
        }
        _ => None,
    }
}
