//! Addresses that no machine has: inside a session they stand for names, and what connects to them is
//! carried to the supervisor, which knows the name.

use crate::enforce::Descriptor;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where connections wanted to go that arrive at the supervisor instead. What never arrives is
/// forgotten when its port is used again, so there are no more than ports.
#[derive(Debug, Default)]
pub struct Carried(Mutex<HashMap<u16, SocketAddrV4>>);

impl Carried {
    /// The first address that stands for a name: a range for measuring networks, which is routed
    /// nowhere (RFC 2544, RFC 6890).
    pub const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
    /// How many of the first bits they share.
    pub const BITS: u32 = 15;

    /// Where names are looked up inside: what programs ask that are told of no other place. Over TCP
    /// it is also where those wanted to go that meant another resolver.
    pub const RESOLVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);

    /// Whether an address stands for a name.
    pub fn stands_for_a_name(address: Ipv4Addr) -> bool {
        let bits = |address: Ipv4Addr| address.to_bits() >> (u32::BITS - Self::BITS);
        bits(address) == bits(Self::FIRST)
    }

    /// Where the connection from this address of the session wanted to go. It is told once.
    pub fn take(&self, from: SocketAddr) -> Option<SocketAddrV4> {
        self.waiting().remove(&from.port())
    }

    /// What is about to connect from this port wants to go there.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing connects there yet"))]
    pub(crate) fn expect(&self, from: u16, to: SocketAddrV4) {
        self.waiting().insert(from, to);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u16, SocketAddrV4>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How names are answered in a network of the session's own, and how what connects to them reaches
/// the supervisor.
#[derive(Debug)]
pub struct Names {
    /// Accepting on it gives what was carried.
    pub arrivals: Descriptor,
    /// A datagram socket, on which names are looked up.
    pub resolver: Descriptor,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_range_stands_for_names() {
        for (text, expected) in [
            ("198.18.0.0", true),
            ("198.19.255.255", true),
            ("198.17.255.255", false),
            ("198.20.0.0", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(Carried::stands_for_a_name(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_wish_is_told_once_and_the_last_of_a_port_counts() {
        let carried = Carried::default();
        let [one, two] =
            [443, 80].map(|port| SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 1), port));
        carried.expect(4000, one);
        carried.expect(4000, two);
        let from = SocketAddr::from(([127, 0, 0, 1], 4000));
        assert_eq!(carried.take(from), Some(two));
        assert_eq!(carried.take(from), None);
    }
}
