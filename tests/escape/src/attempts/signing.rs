//! What else the keys in the user's SSH agent could be used for than to have git sign. Inside, the
//! session's own way to the agent is asked; outside there is none, and the agent itself is.

use crate::Told::{Mark, Secret};
use crate::stage::ssh::{self, NAMED, OTHER, framed, sign, text};
use crate::sys::{Got, NOTHING};
use crate::{Attempt, Place};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("agent-itself", "Asks the user's SSH agent for its keys.", Secret, |p| {
            ask(&ssh::agent(p), &framed(&[ssh::IDENTITIES]))
        }),
        Attempt::new("agent-list", "Asks for the keys that nobody has named.", Secret, |p| {
            ask(&way(p), &framed(&[ssh::IDENTITIES]))
        }),
        Attempt::new("sign-in", "Has a named key sign in to a server.", Secret, |p| {
            signed(p, &NAMED, &signing_in(&[7; 32]))
        }),
        Attempt::new(
            "sign-in-preamble",
            "Has it sign in, with a session that is called as signatures begin.",
            Secret,
            |p| signed(p, &NAMED, &signing_in(b"SSHSIG")),
        ),
        Attempt::new("sign-bytes", "Has a named key sign any bytes.", Secret, |p| {
            signed(p, &NAMED, p.mark().as_bytes())
        }),
        Attempt::new("sign-nothing", "Has a named key sign nothing.", Secret, |p| {
            signed(p, &NAMED, b"")
        }),
        Attempt::new("sign-file", "Signs for another namespace than git's.", Secret, |p| {
            signed(p, &NAMED, &signature(b"file", b"", b"sha512", &[7; 64]))
        }),
        Attempt::new("sign-like-git", "Signs for a namespace that begins as git's.", Secret, |p| {
            signed(p, &NAMED, &signature(b"git\0", b"", b"sha512", &[7; 64]))
        }),
        Attempt::new("sign-more", "Adds bytes to a signature for git.", Secret, |p| {
            let git = signature(b"git", b"", b"sha512", &[7; 64]);
            signed(p, &NAMED, &[git, signing_in(&[7; 32])].concat())
        }),
        Attempt::new("sign-reserved", "Hides bytes in a signature for git.", Secret, |p| {
            signed(p, &NAMED, &signature(b"git", &signing_in(&[7; 32]), b"sha512", &[7; 64]))
        }),
        Attempt::new("sign-hash", "Signs for git what is no hash.", Secret, |p| {
            signed(p, &NAMED, &signature(b"git", b"", b"none", &signing_in(&[7; 32])))
        }),
        Attempt::new("sign-unnamed", "Signs for git with a key that nobody named.", Secret, |p| {
            signed(p, &OTHER, &signature(b"git", b"", b"sha512", &[7; 64]))
        }),
        Attempt::new("sign-certificate", "Signs with a certificate of a named key.", Secret, |p| {
            let kind = text(b"ssh-ed25519-cert-v01@openssh.com");
            signed(
                p,
                &[kind, NAMED.to_vec()].concat(),
                &signature(b"git", b"", b"sha512", &[7; 64]),
            )
        }),
        Attempt::new("sign-flags", "Signs with flags that nobody knows.", Secret, |p| {
            let git = signature(b"git", b"", b"sha512", &[7; 64]);
            ask(&way(p), &framed(&sign(&NAMED, &git, 1 << 31)))
        }),
        Attempt::new("sign-behind", "Sends a second request behind one for git.", Secret, |p| {
            let listed = framed(&[ssh::IDENTITIES]);
            ask(&way(p), &[listed, framed(&sign(&NAMED, &signing_in(&[7; 32]), 0))].concat())
        }),
        Attempt::new("sign-within", "Hides a request in another's length.", Secret, |p| {
            let within = framed(&sign(&NAMED, &signing_in(&[7; 32]), 0));
            ask(&way(p), &framed(&[&[ssh::IDENTITIES][..], &within].concat()))
        }),
        Attempt::new("agent-add", "Adds a key to the agent.", Mark, |p| told(p, 17)),
        Attempt::new("agent-add-bound", "Adds a key with constraints.", Mark, |p| told(p, 25)),
        Attempt::new("agent-remove", "Removes a key from the agent.", Mark, |p| told(p, 18)),
        Attempt::new("agent-remove-all", "Removes every key.", Mark, |p| told(p, 19)),
        Attempt::new("agent-card", "Has the agent load a smart card's library.", Mark, |p| {
            told(p, 20)
        }),
        Attempt::new("agent-card-bound", "Loads one with constraints.", Mark, |p| told(p, 26)),
        Attempt::new("agent-lock", "Locks the agent with a passphrase.", Mark, |p| told(p, 22)),
        Attempt::new("agent-unlock", "Tries a passphrase on the agent.", Mark, |p| told(p, 23)),
        Attempt::new("agent-extension", "Sends the agent an extension.", Mark, |p| told(p, 27)),
        Attempt::new("agent-unknown", "Sends a message that nobody knows.", Mark, |p| told(p, 200)),
    ])
}

/// The session's own way to the agent, where it has one.
fn way(place: &Place) -> PathBuf {
    let own = place.base().join("temp/ssh-agent");
    if own.exists() { own } else { ssh::agent(place) }
}

/// Sends bytes, and gives what comes back.
fn ask(socket: &Path, bytes: &[u8]) -> Got {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(bytes)?;
    // Nothing more is asked, so that every answer is there when the other side ends, too.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn signed(place: &Place, key: &[u8], data: &[u8]) -> Got {
    ask(&way(place), &framed(&sign(key, data, 0)))
}

/// Sends a message with this attempt's mark as its content.
fn told(place: &Place, kind: u8) -> Got {
    let content = text(place.mark().as_bytes());
    ask(&way(place), &framed(&[&[kind][..], &content].concat())).and(NOTHING)
}

/// What `ssh-keygen -Y sign` has an agent sign (PROTOCOL.sshsig of OpenSSH).
fn signature(namespace: &[u8], reserved: &[u8], algorithm: &[u8], hash: &[u8]) -> Vec<u8> {
    let texts = [namespace, reserved, algorithm, hash].map(text).concat();
    [b"SSHSIG", &texts[..]].concat()
}

/// What a client has an agent sign to sign in (RFC 4252, section 7).
fn signing_in(session: &[u8]) -> Vec<u8> {
    let names = [&b"ada"[..], b"ssh-connection", b"publickey"].map(text).concat();
    let key = [text(b"ssh-ed25519"), text(&NAMED)].concat();
    [text(session), vec![50], names, vec![1], key].concat()
}
