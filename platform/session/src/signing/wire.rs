//! The messages of the SSH agent protocol (draft-ietf-sshm-ssh-agent) as far as the filter knows
//! them, and what may be signed (PROTOCOL.sshsig of OpenSSH). Pure, but for reading from a stream.

use std::io::{self, Read};

/// No message is longer: OpenSSH's own agent takes no more.
pub(crate) const MOST: usize = 256 << 10;

/// Message numbers (draft-ietf-sshm-ssh-agent, section 7.1).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// What clients send unasked, to learn what an agent can or to bind it to a connection.
pub(crate) const EXTENSION: u8 = 27;

/// `SSH_AGENT_RSA_SHA2_256` and `_512` (section 7.3). Without either RSA signs with SHA-1.
const KNOWN_FLAGS: u32 = 2 | 4;

/// What every signature of a file begins with. As a text's length it is more than [`MOST`], so
/// nothing that signs in to a server (RFC 4252, section 7) begins like it.
const PREAMBLE: &[u8] = b"SSHSIG";

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// Which keys there are.
    Identities,
    /// To sign.
    Sign(SignRequest<'a>),
    /// Anything else, by its number: to add, remove or lock keys, and extensions.
    Other(u8),
}

/// A request to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignRequest<'a> {
    /// The key.
    pub(crate) key: &'a [u8],
    /// What is to be signed.
    pub(crate) data: &'a [u8],
    /// How.
    pub(crate) flags: u32,
}

/// A key that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) comment: &'a [u8],
}

/// What is left of a message.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// A text with its length before it (RFC 4251, section 5).
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn ended(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Reads a message's content. `None` where it is not what its number says.
pub(crate) fn request(message: &[u8]) -> Option<Request<'_>> {
    let (kind, rest) = message.split_first()?;
    let mut rest = Wire(rest);
    let request = match *kind {
        REQUEST_IDENTITIES => Request::Identities,
        SIGN_REQUEST => Request::Sign(SignRequest {
            key: rest.text()?,
            data: rest.text()?,
            flags: rest.number()?,
        }),
        other => return Some(Request::Other(other)),
    };
    rest.ended()?;
    let known = !matches!(&request, Request::Sign(sign) if sign.flags & !KNOWN_FLAGS != 0);
    known.then_some(request)
}

/// The namespace of the signature that is to be made over this, where it is one of a file:
/// `SSHSIG`, namespace, reserved, hash algorithm, hash, and nothing else. Any other bytes could
/// mean something to a server.
pub(crate) fn namespace(data: &[u8]) -> Option<&str> {
    let mut rest = Wire(data.strip_prefix(PREAMBLE)?);
    let (namespace, reserved, algorithm, hash) =
        (rest.text()?, rest.text()?, rest.text()?, rest.text()?);
    rest.ended()?;
    let whole = match algorithm {
        b"sha256" => hash.len() == 32,
        b"sha512" => hash.len() == 64,
        _ => false,
    };
    let namespace = std::str::from_utf8(namespace).ok().filter(|name| !name.is_empty())?;
    (whole && reserved.is_empty()).then_some(namespace)
}

/// The keys in an agent's answer.
pub(crate) fn identities(message: &[u8]) -> Option<Vec<Identity<'_>>> {
    let mut rest = Wire(message.strip_prefix(&[IDENTITIES_ANSWER])?);
    let count = rest.number()?;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(Identity { key: rest.text()?, comment: rest.text()? });
    }
    rest.ended()?;
    Some(found)
}

/// Whether this is an agent's answer with a signature.
pub(crate) fn is_signature(message: &[u8]) -> bool {
    let Some(rest) = message.strip_prefix(&[SIGN_RESPONSE]) else { return false };
    let mut rest = Wire(rest);
    rest.text().is_some_and(|signature| !signature.is_empty()) && rest.ended().is_some()
}

/// The content of a message that asks an agent for its keys.
pub(crate) fn ask_identities() -> Vec<u8> {
    vec![REQUEST_IDENTITIES]
}

/// The content of a message that asks an agent to sign.
pub(crate) fn ask_signature(request: &SignRequest<'_>) -> Vec<u8> {
    let SignRequest { key, data, flags } = request;
    let mut message = vec![SIGN_REQUEST];
    push(&mut message, key);
    push(&mut message, data);
    message.extend(flags.to_be_bytes());
    message
}

/// The content of an answer with these keys.
pub(crate) fn answer_identities(identities: &[Identity<'_>]) -> Vec<u8> {
    let mut message = vec![IDENTITIES_ANSWER];
    message.extend(length(identities.len()));
    for Identity { key, comment } in identities {
        push(&mut message, key);
        push(&mut message, comment);
    }
    message
}

/// The content of an answer that says no more than no.
pub(crate) fn failure() -> Vec<u8> {
    vec![FAILURE]
}

/// A message as it goes over a stream: its length, and its content.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 4);
    push(&mut out, message);
    out
}

fn push(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(length(text.len()));
    out.extend(text);
}

/// Nothing here is longer than [`MOST`] and a little.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// Reads the content of one message; `None` where the stream ends before it begins.
///
/// # Errors
/// As the stream's, and where a message is empty, too long or cut off.
pub(crate) fn read(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    let mut have = 0;
    while have < header.len() {
        match stream.read(&mut header[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => have += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = u32::from_be_bytes(header) as usize;
    if length == 0 || length > MOST {
        let text = format!("a message of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    // No more is set aside than has come: a length alone costs nothing.
    let mut message = Vec::new();
    if stream.take(length as u64).read_to_end(&mut message)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// What `ssh-keygen -Y sign` has an agent sign.
    fn signed(namespace: &str, algorithm: &str, hash: usize) -> Vec<u8> {
        let mut data = PREAMBLE.to_vec();
        push(&mut data, namespace.as_bytes());
        push(&mut data, b"");
        push(&mut data, algorithm.as_bytes());
        push(&mut data, &vec![7; hash]);
        data
    }

    /// What a client has an agent sign to sign in (RFC 4252, section 7).
    fn signing_in(session: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        push(&mut data, session);
        data.push(50);
        for text in ["ada", "ssh-connection", "publickey"] {
            push(&mut data, text.as_bytes());
        }
        data.push(1);
        push(&mut data, b"ssh-ed25519");
        push(&mut data, b"key");
        data
    }

    #[test]
    fn only_a_whole_signature_of_a_file_has_a_namespace() {
        assert_eq!(namespace(&signed("git", "sha512", 64)), Some("git"));
        assert_eq!(namespace(&signed("file", "sha256", 32)), Some("file"));
        let whole = signed("git", "sha512", 64);
        let mut longer = whole.clone();
        longer.push(0);
        let mut reserved = PREAMBLE.to_vec();
        push(&mut reserved, b"git");
        push(&mut reserved, b"more");
        push(&mut reserved, b"sha512");
        push(&mut reserved, &[7; 64]);
        for data in [
            longer,
            reserved,
            whole[..whole.len() - 1].to_vec(),
            whole[1..].to_vec(),
            signed("git", "sha512", 63),
            signed("git", "md5", 16),
            signed("", "sha512", 64),
            signing_in(&[0x53; 32]),
            signing_in(b"SSHSIG"),
            Vec::new(),
        ] {
            assert_eq!(namespace(&data), None, "{data:?}");
        }
    }

    #[test]
    fn messages_are_what_their_numbers_say_or_nothing() {
        let request_of = SignRequest { key: b"k", data: b"d", flags: 4 };
        let sign = ask_signature(&request_of);
        assert_eq!(request(&sign), Some(Request::Sign(request_of)));
        assert_eq!(request(&ask_identities()), Some(Request::Identities));
        // SSH_AGENTC_ADD_IDENTITY, SSH_AGENTC_LOCK, SSH_AGENTC_EXTENSION.
        for kind in [17, 22, EXTENSION] {
            assert_eq!(request(&[kind, 1, 2]), Some(Request::Other(kind)));
        }
        for broken in [&sign[..sign.len() - 1], &[&sign[..], &[0]].concat(), &[11, 0], &[]] {
            assert_eq!(request(broken), None, "{broken:?}");
        }
        let unknown = ask_signature(&SignRequest { flags: 1, ..request_of });
        assert_eq!(request(&unknown), None, "a flag of which nobody knows what it asks for");
        assert!(is_signature(&[14, 0, 0, 0, 1, 9]));
        assert!(!is_signature(&[14, 0, 0, 0, 0]) && !is_signature(&failure()));
    }

    #[test]
    fn a_length_alone_sets_nothing_aside_and_a_long_message_is_refused() {
        let read = |bytes: &[u8]| read(&mut &bytes[..]);
        assert_eq!(read(&framed(b"abc")).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(read(&[]).unwrap(), None);
        let long = u32::try_from(MOST).unwrap();
        assert_eq!(read(&framed(&vec![1; MOST])).unwrap().unwrap().len(), MOST);
        for bytes in [
            &(long + 1).to_be_bytes()[..],
            &u32::MAX.to_be_bytes(),
            &[0; 4],
            &[0, 0],
            &[0, 0, 0, 2, 1],
            &long.to_be_bytes(),
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    /// Bytes that often are nearly a message.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            (0u32..80).prop_map(|length| length.to_be_bytes().to_vec()),
            vec(any::<u8>(), 0..8).prop_map(|text| framed(&text)),
            Just(PREAMBLE.to_vec()),
            Just(framed(b"git")),
            Just(framed(b"sha512")),
            Just(framed(&[7; 64])),
        ];
        vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// Whatever is sent is a message or none, and a message is written as it was read: what is
        /// passed on is what was judged.
        #[test]
        fn what_is_passed_on_is_what_was_read(kind in 10u8..16, rest in nearly()) {
            let message = [&[kind], &rest[..]].concat();
            if let Some(Request::Sign(sign)) = request(&message) {
                prop_assert_eq!(ask_signature(&sign), &message[..]);
            }
            if let Some(identities) = identities(&message) {
                prop_assert_eq!(answer_identities(&identities), &message[..]);
            }
            is_signature(&message);
            let _ = read(&mut &message[..]);
        }

        #[test]
        fn what_has_a_namespace_can_be_written_in_one_way_only(data in nearly()) {
            if let Some(name) = namespace(&data) {
                let (name, sha512) = (name.to_owned(), data.len() > 64);
                let hash = if sha512 { ("sha512", 64) } else { ("sha256", 32) };
                let mut again = signed(&name, hash.0, hash.1);
                let at = again.len() - hash.1;
                again.truncate(at);
                prop_assert!(data.starts_with(&again));
                prop_assert_eq!(data.len(), at + hash.1);
            }
        }
    }
}
