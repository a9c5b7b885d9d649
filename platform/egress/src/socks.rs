//! SOCKS version 5 (RFC 1928): its messages as bytes. Only connections are made, without a login.

use crate::target::{BadTarget, Host, Target};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The version that begins every message.
pub const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const CONNECT: u8 = 1;

/// What a client's message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<T> {
    /// More bytes are needed.
    Unfinished,
    /// The message, and how many bytes it took.
    Whole(T, usize),
    /// It is answered with this and the connection ends.
    Refused(Reply),
}

/// What a client is told (RFC 1928, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    /// The tunnel stands.
    Connected = 0,
    /// Anything else that is wrong.
    Failed = 1,
    /// The policy, or whoever was asked, says no.
    NotAllowed = 2,
    /// The name has no address, or none that answers.
    Unreachable = 4,
    /// Another command than `CONNECT`.
    UnknownCommand = 7,
    /// Neither a name nor an address.
    UnknownAddress = 8,
}

impl Reply {
    /// The reply as it is sent; the address that it leaves room for is of no use to anybody.
    pub fn bytes(self) -> [u8; 10] {
        [VERSION, self as u8, 0, 1, 0, 0, 0, 0, 0, 0]
    }
}

/// The answer to a greeting.
pub const WELCOME: [u8; 2] = [VERSION, NO_LOGIN];
/// The answer to a greeting that asks for nothing that there is.
pub const NO_METHOD: [u8; 2] = [VERSION, 0xff];

/// Reads the greeting: whether the client would go without a login.
pub fn greeting(bytes: &[u8]) -> Message<bool> {
    match *bytes {
        [VERSION, count, ref methods @ ..] => match methods.get(..count.into()) {
            Some(methods) => Message::Whole(methods.contains(&NO_LOGIN), 2 + usize::from(count)),
            None => Message::Unfinished,
        },
        [] | [VERSION] => Message::Unfinished,
        _ => Message::Refused(Reply::Failed),
    }
}

/// Reads the request: where the client wants to go.
pub fn request(bytes: &[u8]) -> Message<Target> {
    let rest = match *bytes {
        [VERSION, CONNECT, 0, ref rest @ ..] => rest,
        [] | [VERSION] | [VERSION, CONNECT] => return Message::Unfinished,
        [VERSION, CONNECT, ..] => return Message::Refused(Reply::Failed),
        [VERSION, ..] => return Message::Refused(Reply::UnknownCommand),
        _ => return Message::Refused(Reply::Failed),
    };
    let (host, port) = match *rest {
        [1, a, b, c, d, ref port @ ..] => {
            (Ok(Host::Address(Ipv4Addr::new(a, b, c, d).into())), port)
        }
        [4, ref rest @ ..] => match rest.split_first_chunk::<16>() {
            Some((address, port)) => {
                let address = Ipv6Addr::from(*address);
                (Ok(Host::Address(std::net::IpAddr::V6(address).to_canonical())), port)
            }
            None => return Message::Unfinished,
        },
        [3, length, ref rest @ ..] => match rest.split_at_checked(length.into()) {
            Some((name, port)) => {
                let name = std::str::from_utf8(name).map_err(|_| BadTarget::Host);
                (name.and_then(Host::parse), port)
            }
            None => return Message::Unfinished,
        },
        [] | [1, ..] | [3] => return Message::Unfinished,
        _ => return Message::Refused(Reply::UnknownAddress),
    };
    let Some((&port, _)) = port.split_first_chunk::<2>() else { return Message::Unfinished };
    let taken = match rest {
        [1, ..] => 3 + 1 + 4 + 2,
        [3, length, ..] => 3 + 2 + usize::from(*length) + 2,
        _ => 3 + 1 + 16 + 2,
    };
    match (host, u16::from_be_bytes(port)) {
        (Err(_), _) => Message::Refused(Reply::UnknownAddress),
        (Ok(_), 0) => Message::Refused(Reply::Failed),
        (Ok(host), port) => Message::Whole(Target { host, port }, taken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_in_each_of_its_forms_and_never_before_it_is_whole() {
        let named = |name: &str| {
            let length = u8::try_from(name.len()).unwrap();
            [&[5, 1, 0, 3, length], name.as_bytes(), &[1, 187]].concat()
        };
        let v6 = [&[5, 1, 0, 4][..], &Ipv6Addr::LOCALHOST.octets(), &[0, 80]].concat();
        let mapped: Ipv6Addr = "::ffff:10.0.0.1".parse().unwrap();
        let mapped = [&[5, 1, 0, 4][..], &mapped.octets(), &[0, 80]].concat();
        let table = [
            (vec![5, 1, 0, 1, 127, 0, 0, 1, 0, 80], "127.0.0.1:80"),
            (v6, "[::1]:80"),
            (mapped, "10.0.0.1:80"),
            (named("API.acme.example."), "api.acme.example:443"),
            (named("0x7f.1"), "127.0.0.1:443"),
            (named("::1"), "[::1]:443"),
        ];
        for (bytes, expected) in table {
            for end in 0..bytes.len() {
                assert_eq!(request(&bytes[..end]), Message::Unfinished, "{expected}, {end}");
            }
            let more = [&bytes[..], b"more"].concat();
            let target = Target::parse(expected, None).unwrap();
            assert_eq!(request(&more), Message::Whole(target, bytes.len()), "{expected}");
        }
        let refused = |bytes: &[u8]| match request(bytes) {
            Message::Refused(reply) => reply as u8,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&[5, 2, 0, 1, 127, 0, 0, 1, 0, 80]), 7, "BIND");
        assert_eq!(refused(&[5, 3, 0, 1, 127, 0, 0, 1, 0, 80]), 7, "UDP");
        assert_eq!(refused(&[5, 1, 0, 2, 127, 0, 0, 1, 0, 80]), 8);
        assert_eq!(refused(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 0]), 1, "port 0");
        assert_eq!(refused(&[4, 1, 0, 80]), 1, "version 4");
        assert_eq!(refused(&named("paste.example\0.acme.example")), 8);
        assert_eq!(refused(&named("")), 8);
    }

    #[test]
    fn a_greeting_has_to_offer_to_go_without_a_login() {
        assert_eq!(greeting(&[5, 2, 2, 0]), Message::Whole(true, 4));
        assert_eq!(greeting(&[5, 1, 2]), Message::Whole(false, 3));
        assert_eq!(greeting(&[5, 2, 0]), Message::Unfinished);
        assert_eq!(greeting(&[4, 1]), Message::Refused(Reply::Failed));
    }
}
