//! What macOS says of a peer: its user. Who descends from whom it does not tell in time, so a
//! session here talks to nobody until the macOS sandbox brings its own proof.

use super::folder::Registration;
use rustix::net::SendFlags;
use std::os::fd::AsFd;

/// The standard library sets `SO_NOSIGPIPE`; there is no flag for it.
pub(super) const SEND: SendFlags = SendFlags::empty();

/// Not told apart here: the lock on a registry entry says whether its supervisor lives.
pub(super) fn start_of(_: u32) -> Option<u64> {
    None
}

/// # Errors
/// Always: why the process at the other end may not talk to this session.
pub(super) fn admit<Fd: AsFd>(socket: &Fd, _: &[Registration]) -> Result<(), String> {
    is_ours(socket)?;
    Err("On this system a session cannot yet tell who is inside a session, so it lets nobody \
         answer."
        .into())
}

/// `Err`: the session at the other end is another user's.
pub(super) fn is_ours<Fd: AsFd>(socket: &Fd) -> Result<(), String> {
    let (uid, _) = nix::unistd::getpeereid(socket)
        .map_err(|error| format!("The socket does not say who serves it: {error}."))?;
    if uid.as_raw() == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(format!("The socket is served by user {uid}."))
    }
}
