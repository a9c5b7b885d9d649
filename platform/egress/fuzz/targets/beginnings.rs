//! How connections begin: hosts, SOCKS, TLS, look-ups of names. What was read is one spelling of
//! itself, what more there is to read changes nothing that was certain, and the host that TLS asks
//! for is the one that a server reads there.
#![no_main]

use chaperone_egress::hello::{Hello, hello};
use chaperone_egress::socks::{Message, greeting, request};
use chaperone_egress::{Host, Names, Target, dns};
use libfuzzer_sys::fuzz_target;
use rustls::server::Acceptor;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(host) = Host::parse(&text) {
        check_host(&host);
    }
    if let Ok(target) = Target::parse(&text, Some(443)) {
        assert_eq!(Target::parse(&target.to_string(), None).as_ref(), Ok(&target));
        check_host(&target.host);
    }
    check_prefixes(bytes, greeting);
    if let Some((target, _)) = check_prefixes(bytes, request) {
        check_host(&target.host);
    }
    let names = Names::from(Ipv4Addr::new(198, 18, 0, 0));
    if let Some(answer) = dns::answer(bytes, &names) {
        // It is an answer, to this query, and never asks back; asked again, it is the same.
        assert!(answer.len() >= 12 && answer[..2] == bytes[..2] && answer[2] & 0x80 != 0);
        assert_eq!(dns::answer(&answer, &names), None);
        assert_eq!(dns::answer(bytes, &names), Some(answer));
    }
    let whole = hello(bytes);
    for end in 0..bytes.len().min(512) {
        match hello(&bytes[..end]) {
            Hello::Unfinished => {}
            certain => assert_eq!(certain, whole, "at {end}"),
        }
    }
    check_server(bytes, &whole);
});

/// What a server takes for a ClientHello asks for the host that was judged, or was refused.
fn check_server(bytes: &[u8], read: &Hello) {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() && acceptor.read_tls(&mut rest).is_ok_and(|count| count > 0) {
        let Ok(accepted) = acceptor.accept() else { return };
        let Some(accepted) = accepted else { continue };
        let named = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
        match read {
            Hello::Tls(name) => {
                let judged = name.as_deref().and_then(|name| Host::parse(name).ok());
                let served = named.as_deref().and_then(|name| Host::parse(name).ok());
                // A server may take no notice of a name, and never takes another for it.
                assert!(
                    served.is_none() || served == judged,
                    "{named:?} is served, {name:?} judged"
                );
            }
            Hello::Broken => {}
            Hello::Unfinished | Hello::Other => panic!("a server takes {named:?} from {read:?}"),
        }
        return;
    }
}

fn check_host(host: &Host) {
    assert_eq!(Host::parse(&host.to_string()).as_ref(), Ok(host));
    match host {
        Host::Name(name) => {
            let known = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
            };
            assert!(name.bytes().all(known) && !name.ends_with('.'), "{name:?}");
            assert!(name.parse::<IpAddr>().is_err(), "{name:?}");
        }
        Host::Address(address) => assert_eq!(address.to_canonical(), *address),
    }
}

fn check_prefixes<T: Debug + PartialEq>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Message<T>,
) -> Option<(T, usize)> {
    let whole = read(bytes);
    for end in 0..bytes.len().min(512) {
        match read(&bytes[..end]) {
            Message::Unfinished => {}
            certain => assert_eq!(certain, whole, "at {end}"),
        }
    }
    match whole {
        Message::Whole(message, taken) => {
            assert!(taken <= bytes.len());
            Some((message, taken))
        }
        Message::Unfinished | Message::Refused(_) => None,
    }
}
