//! The session's side: answers each client by itself, and passes on what is judged to be a
//! signature for git with a named key. Everything else fails, as at an agent that has no such thing.

use super::Signing;
use super::keys::NamedKey;
use super::upstream::Upstream;
use super::wire::{self, Identity, Request, SignRequest};
use chaperone_policy::SshKey;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// So many clients at once; further ones are turned away.
const MOST_CLIENTS: usize = 16;
/// A client that is silent, or takes longer for one message, is turned away.
const PATIENCE: Duration = Duration::from_secs(30);

/// A signature that a client asks for.
#[derive(Debug)]
pub(crate) struct Signature<'a> {
    /// The key, as agents name it.
    pub(crate) key: &'a [u8],
    /// The entries of the policy that named it when the session started.
    pub(crate) names: &'a [SshKey],
    /// Nothing where it is no signature of a file.
    pub(crate) namespace: Option<&'a str>,
    /// Who asks, where the kernel says.
    pub(crate) pid: Option<i32>,
}

/// Who decides about signatures.
pub(crate) trait Judgement: Send + Sync {
    /// Whether the session may still know of a key of these names.
    fn shows(&self, names: &[SshKey]) -> bool;

    /// Decides and records; `false` refuses.
    fn signs(&self, signature: &Signature<'_>) -> bool;

    /// Records that something else was asked of the agent, by the number of the message.
    fn refuses(&self, number: u8, pid: Option<i32>);
}

/// Answers on threads of its own until the process ends.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn serve(signing: Signing, judgement: Arc<dyn Judgement>) -> io::Result<()> {
    let Signing { listener, socket: _, keys, upstream } = signing;
    let filter = Arc::new(Filter { keys, upstream, judgement, clients: AtomicUsize::new(0) });
    thread::Builder::new().name("signing".into()).spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if filter.clients.load(Ordering::Acquire) >= MOST_CLIENTS {
                continue; // Dropping the connection closes it.
            }
            filter.clients.fetch_add(1, Ordering::AcqRel);
            let own = Arc::clone(&filter);
            let started = thread::Builder::new().name("signing client".into()).spawn(move || {
                // Whoever breaks off, or says what is no message, is not answered any more.
                let _ = own.answer(&stream);
                own.clients.fetch_sub(1, Ordering::AcqRel);
            });
            if started.is_err() {
                filter.clients.fetch_sub(1, Ordering::AcqRel);
            }
        }
    })?;
    Ok(())
}

struct Filter {
    keys: Vec<NamedKey>,
    upstream: Upstream,
    judgement: Arc<dyn Judgement>,
    clients: AtomicUsize,
}

impl Filter {
    fn answer(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        loop {
            let mut client = Client::new(stream);
            let Some(message) = wire::read(&mut client)? else { return Ok(()) };
            let answer = match wire::request(&message) {
                Some(Request::Identities) => self.identities(),
                Some(Request::Sign(request)) => self.sign(&request, client.pid),
                // Every client tries extensions; that there are none is nothing to record.
                Some(Request::Other(wire::EXTENSION)) | None => None,
                Some(Request::Other(number)) => {
                    self.judgement.refuses(number, client.pid);
                    None
                }
            };
            let answer = answer.unwrap_or_else(wire::failure);
            let mut stream = stream;
            stream.write_all(&wire::framed(&answer))?;
        }
    }

    fn names(&self, key: &[u8]) -> &[SshKey] {
        self.keys.iter().find(|known| known.blob == key).map_or(&[], |known| &known.names)
    }

    /// The named keys among those that the user's agent holds.
    fn identities(&self) -> Option<Vec<u8>> {
        let answer = self.upstream.ask(&wire::ask_identities()).ok()?;
        let mut held: Vec<Identity<'_>> = wire::identities(&answer)?;
        held.retain(|held| {
            let names = self.names(held.key);
            !names.is_empty() && self.judgement.shows(names)
        });
        Some(wire::answer_identities(&held))
    }

    fn sign(&self, request: &SignRequest<'_>, pid: Option<i32>) -> Option<Vec<u8>> {
        let SignRequest { key, data, flags: _ } = *request;
        let namespace = wire::namespace(data);
        let signature = Signature { key, names: self.names(key), namespace, pid };
        if !self.judgement.signs(&signature) {
            return None;
        }
        let answer = self.upstream.ask(&wire::ask_signature(request)).ok()?;
        wire::is_signature(&answer).then_some(answer)
    }
}

/// A client while one message of its is read: it must come in time, and the kernel says from whom.
struct Client<'a> {
    stream: &'a UnixStream,
    until: Instant,
    pid: Option<i32>,
}

impl<'a> Client<'a> {
    fn new(stream: &'a UnixStream) -> Self {
        Self { stream, until: Instant::now() + PATIENCE, pid: None }
    }
}

impl Read for Client<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        // With room for the sender alone, what else comes along (descriptors) is thrown away.
        let mut room = nix::cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let got = recvmsg::<()>(self.stream.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
        for message in got.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmCredentials(sender) = message {
                self.pid = Some(sender.pid()).filter(|pid| *pid > 0);
            }
        }
        Ok(got.bytes)
    }
}
