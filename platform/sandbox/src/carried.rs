//! What connects to an address outside without asking the session's proxy, and is carried to the
//! supervisor. Addresses that no machine has stand for names there, which it knows.

use crate::enforce::Descriptor;
use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Where connections wanted to go that arrive at the supervisor instead.
#[derive(Default)]
pub struct Carried {
    /// What never arrives is forgotten when its port is used again, so there are no more than ports.
    waiting: Mutex<HashMap<u16, SocketAddr>>,
    refuses: OnceLock<Box<Refuses>>,
}

/// Whether a connection to an address, by a thread of the session, is refused already when it is made.
pub type Refuses = dyn Fn(SocketAddr, i32) -> bool + Send + Sync;

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

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
    pub fn take(&self, from: SocketAddr) -> Option<SocketAddr> {
        self.waiting().remove(&from.port())
    }

    /// Has this asked before anything is carried; it may take its time, and is asked by threads of
    /// their own. Set once.
    pub fn refuse_where(&self, refuses: Box<Refuses>) {
        // Whoever set it first still holds.
        let _ = self.refuses.set(refuses);
    }

    /// Whether a connection is refused at once.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing connects there yet"))]
    pub(crate) fn refuses(&self, to: SocketAddr, tid: i32) -> bool {
        self.refuses.get().is_some_and(|refuses| refuses(to, tid))
    }

    /// What is about to connect from this port wants to go there.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing connects there yet"))]
    pub(crate) fn expect(&self, from: u16, to: SocketAddr) {
        self.waiting().insert(from, to);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u16, SocketAddr>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
            [443, 80].map(|port| SocketAddr::new(Ipv4Addr::new(198, 18, 0, 1).into(), port));
        carried.expect(4000, one);
        carried.expect(4000, two);
        let from = SocketAddr::from(([127, 0, 0, 1], 4000));
        assert_eq!(carried.take(from), Some(two));
        assert_eq!(carried.take(from), None);
    }
}
