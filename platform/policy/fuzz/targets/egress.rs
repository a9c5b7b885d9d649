//! What the proxy reads of an agent by itself: hosts, SOCKS, the beginning of TLS, look-ups of names. What was read is
//! one spelling of itself, and what more there is to read changes nothing that was certain.
#![no_main]

use chaperone_egress::hello::{Hello, hello};
use chaperone_egress::socks::{Message, greeting, request};
use chaperone_egress::{Host, Names, Target, dns};
use libfuzzer_sys::fuzz_target;
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
});

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
