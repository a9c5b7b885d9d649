//! Names that are looked up inside: each gets an address of its own that leads nowhere by itself,
//! and no query leaves. What connects there is judged and carried under the name.

use crate::target::{Host, Target};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More names than this have no address: an agent does not fill the memory.
const MOST: u32 = 1 << 16;

/// A session's names and their addresses. None is ever given to another name.
#[derive(Debug)]
pub struct Names {
    first: u32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    names: Vec<String>,
    /// Where each stands in the list.
    places: HashMap<String, u32>,
}

impl Names {
    /// Gives addresses from this one on, of which there have to be 65,536.
    pub fn from(first: Ipv4Addr) -> Self {
        // The range's own address stays free.
        Self { first: first.to_bits().saturating_add(1), known: Mutex::default() }
    }

    /// The address of a name, which is new to it or its own already.
    pub(crate) fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let mut known = self.known();
        let place = match known.places.get(name) {
            Some(place) => *place,
            None => {
                let place =
                    u32::try_from(known.names.len()).ok().filter(|place| *place < MOST - 1)?;
                known.names.push(name.to_owned());
                known.places.insert(name.to_owned(), place);
                place
            }
        };
        Some(Ipv4Addr::from_bits(self.first.saturating_add(place)))
    }

    /// The name of an address.
    fn name(&self, address: Ipv4Addr) -> Option<String> {
        let place = address.to_bits().checked_sub(self.first)?;
        self.known().names.get(usize::try_from(place).ok()?).cloned()
    }

    /// The same target under its name, where its address stands for one.
    pub(crate) fn named(&self, target: Target) -> Target {
        match target.host {
            Host::Address(IpAddr::V4(address)) => match self.name(address) {
                Some(name) => Target { host: Host::Name(name), port: target.port },
                None => target,
            },
            Host::Address(_) | Host::Name(_) => target,
        }
    }

    /// What an address and port are, or stand for.
    pub fn target(&self, at: SocketAddr) -> Option<Target> {
        let host = Host::Address(at.ip().to_canonical());
        (at.port() != 0).then(|| self.named(Target { host, port: at.port() }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_address_and_no_other_gets_it() {
        let names = Names::from(Ipv4Addr::new(198, 18, 0, 0));
        let one = names.address("one.example").unwrap();
        let two = names.address("two.example").unwrap();
        assert_eq!((one, two), (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)));
        assert_eq!(names.address("one.example"), Some(one));
        let target = |text: &str| Target::parse(text, None).unwrap();
        let at = |text: &str| names.target(text.parse().unwrap());
        assert_eq!(at("198.18.0.2:443"), Some(target("two.example:443")));
        assert_eq!(at("[::ffff:198.18.0.2]:443"), Some(target("two.example:443")));
        assert_eq!(at("198.18.0.2:0"), None);
        assert_eq!(at("198.18.0.3:443"), Some(target("198.18.0.3:443")));
        assert_eq!(at("[2001:db8::1]:443"), Some(target("[2001:db8::1]:443")));
        assert_eq!(names.named(target("198.18.0.1:80")), target("one.example:80"));
        for text in ["198.18.0.0:80", "198.18.0.3:80", "192.0.2.1:80", "[::1]:80", "a.example:80"] {
            assert_eq!(names.named(target(text)), target(text));
        }
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let names = Names::from(Ipv4Addr::new(198, 18, 0, 0));
        for number in 0..MOST - 1 {
            assert!(names.address(&format!("{number}.example")).is_some());
        }
        assert_eq!(names.address("0.example"), Some(Ipv4Addr::new(198, 18, 0, 1)));
        assert_eq!(names.address("one-more.example"), None);
    }
}
