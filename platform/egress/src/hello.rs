//! What a TLS client says of itself before anything is encrypted: the host that it asks for.

/// What the first bytes of a stream are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed to tell.
    Unfinished,
    /// Not the beginning of TLS.
    Other,
    /// It begins as TLS does, and is none.
    Broken,
    /// A ClientHello, with the host that it names, if it names one.
    Tls(Option<String>),
}

/// A ClientHello that is longer than this is none (RFC 8446, section 4.1.2, allows more; nobody
/// sends it).
pub const LONGEST: usize = 64 * 1024;

/// The content type of handshake records (RFC 8446, section 5.1).
pub(crate) const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// The extension and the kind of name of RFC 6066, section 3.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Reads the ClientHello at the beginning of a stream. It may be cut into several records.
pub fn hello(bytes: &[u8]) -> Hello {
    match bytes {
        [] => return Hello::Unfinished,
        [HANDSHAKE] | [HANDSHAKE, 3, ..] => {}
        _ => return Hello::Other,
    }
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let (length, whole) = match *rest {
            [HANDSHAKE, 3, _, high, low, ref after @ ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length == 0 {
                    return Hello::Broken;
                }
                message.extend_from_slice(after.get(..length).unwrap_or(after));
                (length, after.len() >= length)
            }
            [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => {
                return unfinished(bytes);
            }
            _ => return Hello::Broken,
        };
        match *message.as_slice() {
            [CLIENT_HELLO, high, middle, low, ref body @ ..] => {
                let needed = u32::from_be_bytes([0, high, middle, low]) as usize;
                if needed > LONGEST {
                    return Hello::Broken;
                }
                if let Some(body) = body.get(..needed) {
                    return server_name(body).map_or(Hello::Broken, Hello::Tls);
                }
            }
            [] | [CLIENT_HELLO] | [CLIENT_HELLO, _] | [CLIENT_HELLO, _, _] => {}
            _ => return Hello::Broken,
        }
        if !whole {
            return unfinished(bytes);
        }
        rest = rest.get(5 + length..).unwrap_or_default();
    }
}

fn unfinished(bytes: &[u8]) -> Hello {
    if bytes.len() > LONGEST { Hello::Broken } else { Hello::Unfinished }
}

/// The host that a ClientHello names (the outer `None`: it is malformed).
fn server_name(body: &[u8]) -> Option<Option<String>> {
    let mut body = Reader(body);
    body.take(2 + 32)?; // The version and the random bytes.
    body.vector8()?; // The session's id.
    body.vector16()?; // Cipher suites.
    body.vector8()?; // Ways to compress.
    if body.0.is_empty() {
        return Some(None);
    }
    let mut extensions = Reader(body.vector16()?);
    if !body.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let content = extensions.vector16()?;
        if kind != SERVER_NAME {
            continue;
        }
        let mut content = Reader(content);
        let mut names = Reader(content.vector16()?);
        let (&[kind], name) = (names.take(1)?, names.vector16()?) else { return None };
        // One name, once: which of several a server goes by is nobody's to guess.
        if found.is_some() || kind != HOST_NAME || !names.0.is_empty() || !content.0.is_empty() {
            return None;
        }
        found = Some(String::from_utf8(name.to_vec()).ok()?);
    }
    Some(found)
}

/// Takes pieces from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(length.into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector16(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    /// A ClientHello with these server names, each an extension of its own.
    fn message(names: &[&str]) -> Vec<u8> {
        let extensions: Vec<u8> = names
            .iter()
            .flat_map(|name| {
                let list = vector16(&[&[HOST_NAME], &vector16(name.as_bytes())[..]].concat());
                [&[0, 0][..], &vector16(&list)].concat()
            })
            .chain([0, 43, 0, 3, 2, 3, 4])
            .collect();
        let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector16(&extensions)]
            .concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO][..], &length[1..], &body].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message
            .chunks(size)
            .flat_map(|part| [&[HANDSHAKE, 3, 1][..], &vector16(part)].concat())
            .collect()
    }

    #[test]
    fn the_name_is_found_however_it_is_cut() {
        let message = message(&["api.acme.example"]);
        for size in [1, 2, 5, 100, message.len()] {
            let bytes = records(&message, size);
            assert_eq!(hello(&bytes), Hello::Tls(Some("api.acme.example".into())), "{size}");
            for end in 0..bytes.len() {
                assert_eq!(hello(&bytes[..end]), Hello::Unfinished, "{size}, {end}");
            }
            let more = [&bytes[..], b"and more"].concat();
            assert_eq!(hello(&more), Hello::Tls(Some("api.acme.example".into())));
        }
    }

    #[test]
    fn what_names_no_host_or_two_is_told_apart() {
        assert_eq!(hello(&records(&message(&[]), 600)), Hello::Tls(None));
        assert_eq!(hello(&records(&message(&["a.example", "b.example"]), 600)), Hello::Broken);
        assert_eq!(hello(b"GET / HTTP/1.1\r\n"), Hello::Other);
        assert_eq!(hello(b"SSH-2.0-x\r\n"), Hello::Other);
        assert_eq!(hello(&[HANDSHAKE, 3, 1, 0, 0]), Hello::Broken, "an empty record");
        assert_eq!(hello(&[HANDSHAKE, 3, 1, 0, 2, 2, 0]), Hello::Broken, "a ServerHello");
        let endless = records(&[&[CLIENT_HELLO, 0xff, 0xff, 0xff][..], &[0; 100]].concat(), 100);
        assert_eq!(hello(&endless), Hello::Broken);
    }
}
