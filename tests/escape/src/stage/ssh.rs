//! An SSH agent of the user's, as far as attempts need one: it signs whatever it is asked to, and its
//! signatures are the secret.

use crate::place::Place;
use std::path::PathBuf;

/// Numbers of messages (draft-ietf-sshm-ssh-agent, section 7.1).
pub(crate) const IDENTITIES: u8 = 11;
const SIGN: u8 = 13;
const SUCCESS: u8 = 6;

/// The key that the stage's policy names, and [`LINE`] its line.
pub(crate) const NAMED: [u8; 51] = key(0);
/// A key that nobody names.
pub(crate) const OTHER: [u8; 51] = key(32);
pub(super) const LINE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// `ssh-ed25519` and 32 bytes that count up from `first`, each with its length before it (RFC 8709,
/// section 4).
const fn key(first: u8) -> [u8; 51] {
    let (mut key, kind) = ([0; 51], b"ssh-ed25519");
    (key[3], key[18]) = (11, 32);
    let mut at = 0;
    while at < 32 {
        if at < kind.len() {
            key[4 + at] = kind[at];
        }
        key[19 + at] = first + at as u8;
        at += 1;
    }
    key
}

/// Its socket.
pub(crate) fn agent(place: &Place) -> PathBuf {
    place.other().join("run/ssh")
}

/// A text with its length before it (RFC 4251, section 5).
pub(crate) fn text(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// A message as it is sent.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    text(message)
}

/// A request to sign.
pub(crate) fn sign(key: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
    [vec![SIGN], text(key), text(data), flags.to_be_bytes().to_vec()].concat()
}

/// What the agent answers to messages that came together.
pub(super) fn answers(mut received: &[u8], secret: &str) -> Vec<u8> {
    let mut answers = Vec::new();
    while let Some((length, rest)) = received.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        received = rest;
        let answer = match message.first() {
            Some(&IDENTITIES) => {
                let named = [text(&NAMED), text(b"named")].concat();
                let other = [text(&OTHER), text(secret.as_bytes())].concat();
                [&[12, 0, 0, 0, 2][..], &named, &other].concat()
            }
            Some(&SIGN) => [vec![14], text(secret.as_bytes())].concat(),
            _ => vec![SUCCESS],
        };
        answers.extend(framed(&answer));
    }
    answers
}
