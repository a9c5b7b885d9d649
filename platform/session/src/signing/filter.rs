//! The session's side: answers each client by itself, and passes on what is judged to be a
//! signature for git with a named key. Everything else fails, as at an agent that has no such thing.

use super::Signing;
use super::keys::NamedKey;
use super::upstream::Upstream;
use super::wire::{self, Identity, Request, SignRequest};
use chaperone_policy::{GIT_NAMESPACE, Policy, SshKey, Verdict, decide_signature};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So many clients at once; further ones are turned away.
const MOST_CLIENTS: usize = 16;
/// A client that is silent, or takes longer for one message, is turned away.
const PATIENCE: Duration = Duration::from_secs(30);

/// A signature that a client asks for.
#[derive(Debug)]
pub struct Signature<'a> {
    /// The key, as agents name it.
    pub key: &'a [u8],
    /// The entries of the policy that named it when the session started.
    pub names: &'a [SshKey],
    /// Nothing where it is no signature of a file.
    pub namespace: Option<&'a str>,
    /// Who asks, where the kernel says.
    pub pid: Option<i32>,
}

/// Who decides about signatures.
pub trait Judgement: Send + Sync {
    /// Whether the session may still know of a key of these names.
    fn shows(&self, names: &[SshKey]) -> bool;

    /// Decides and records; `false` refuses.
    fn signs(&self, signature: &Signature<'_>) -> bool;

    /// Records that something else was asked of the agent, by the number of the message.
    fn refuses(&self, number: u8, pid: Option<i32>);
}

/// A policy that stays as it is decides, and nothing is recorded: for trying the filter out.
impl Judgement for Policy {
    fn shows(&self, names: &[SshKey]) -> bool {
        allows(self, names, Some(GIT_NAMESPACE))
    }

    fn signs(&self, signature: &Signature<'_>) -> bool {
        allows(self, signature.names, signature.namespace)
    }

    fn refuses(&self, _number: u8, _pid: Option<i32>) {}
}

fn allows(policy: &Policy, names: &[SshKey], namespace: Option<&str>) -> bool {
    decide_signature(policy, names, namespace).verdict == Verdict::Allow
}

/// A filter that answers, on threads of its own, until it is ended or the process is.
#[derive(Debug)]
pub struct Serving {
    listener: UnixListener,
    thread: JoinHandle<()>,
}

impl Serving {
    /// Takes no more clients, and waits for those that there are: for whoever goes on afterwards.
    ///
    /// # Errors
    /// When the socket cannot be shut down.
    pub fn end(self) -> io::Result<()> {
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both)?;
        self.thread.join().map_err(|_| io::Error::other("the filter's thread has panicked"))
    }
}

/// Answers whoever asks.
///
/// # Errors
/// When no thread can be started.
pub fn serve(signing: Signing, judgement: Arc<dyn Judgement>) -> io::Result<Serving> {
    let Signing { listener, socket: _, keys, upstream } = signing;
    let filter = Arc::new(Filter { keys, upstream, judgement });
    let accepting = listener.try_clone()?;
    let thread = thread::Builder::new().name("signing".into()).spawn(move || {
        let mut clients: Vec<JoinHandle<()>> = Vec::new();
        while let Ok((stream, _)) = accepting.accept() {
            clients.retain(|client| !client.is_finished());
            if clients.len() >= MOST_CLIENTS {
                continue; // Dropping the connection closes it.
            }
            let filter = Arc::clone(&filter);
            let client = thread::Builder::new().name("signing client".into());
            // Whoever breaks off, or says what is no message, is not answered any more; nor is one
            // for whom there is no thread.
            clients.extend(client.spawn(move || drop(filter.answer(&stream))));
        }
        for client in clients {
            // It has no more to say than that it has ended.
            let _ = client.join();
        }
    })?;
    Ok(Serving { listener, thread })
}

struct Filter {
    keys: Vec<NamedKey>,
    upstream: Upstream,
    judgement: Arc<dyn Judgement>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{VARIABLE, prepare};
    use chaperone_policy::{Context, Layer, Os, PublicKey, SourceKind, built_in, merge};
    use std::path::PathBuf;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    /// A filter, and an agent behind it that gives this answer to everything.
    struct Place {
        folder: tempfile::TempDir,
        serving: Serving,
    }

    impl Place {
        fn new(answer: Vec<u8>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let agent = UnixListener::bind(folder.path().join("agent")).unwrap();
            thread::spawn(move || {
                while let Ok((mut asker, _)) = agent.accept() {
                    let _ = wire::read(&mut asker);
                    let _ = asker.write_all(&wire::framed(&answer));
                }
            });
            let context = Context {
                home: "/home/ada".into(),
                workspace: "/home/ada/work".into(),
                agent: None,
                os: Os::Linux,
            };
            let toml = format!("[signing]\nssh_keys = [\"{KEY}\"]\n");
            let layer = Layer::from_toml(SourceKind::UserFile, "config.toml", &toml);
            let policy = merge(vec![built_in(), layer], &context);
            let agent = folder.path().join("agent").display().to_string();
            let environment = [(VARIABLE.to_owned(), agent)].into();
            let prepared = prepare(&policy, &context, &environment, folder.path()).unwrap();
            let serving = serve(prepared.signing.unwrap(), Arc::new(policy)).unwrap();
            Self { folder, serving }
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("ssh-agent")
        }

        fn client(&self) -> UnixStream {
            UnixStream::connect(self.socket()).unwrap()
        }
    }

    fn asked(mut client: &UnixStream, message: &[u8]) -> Option<Vec<u8>> {
        client.write_all(&wire::framed(message)).ok()?;
        wire::read(&mut client).ok().flatten()
    }

    fn for_git() -> Vec<u8> {
        let key = PublicKey::parse(KEY).unwrap();
        let texts = [&b"git"[..], b"", b"sha512", &[7; 64]].map(wire::framed).concat();
        let data = [b"SSHSIG", &texts[..]].concat();
        wire::ask_signature(&SignRequest { key: key.blob(), data: &data, flags: 0 })
    }

    #[test]
    fn what_the_agent_says_is_passed_on_only_where_it_answers_what_was_asked() {
        let signature = [&[14][..], &wire::framed(b"signature")].concat();
        let signs = Place::new(signature.clone());
        let client = signs.client();
        assert_eq!(asked(&client, &for_git()), Some(signature));
        // The same client goes on, and a signature is no list of keys.
        assert_eq!(asked(&client, &wire::ask_identities()), Some(wire::failure()));
        drop(client);
        signs.serving.end().unwrap();
        let confused = Place::new(vec![6]);
        assert_eq!(asked(&confused.client(), &for_git()), Some(wire::failure()));
    }

    #[test]
    fn what_is_no_message_is_not_answered_and_others_are() {
        let place = Place::new(vec![6]);
        let mut broken = place.client();
        broken.write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(broken.read(&mut [0]).unwrap(), 0, "it is turned away");
        assert_eq!(asked(&place.client(), &[200]), Some(wire::failure()));
    }

    #[test]
    fn clients_beyond_the_most_are_turned_away_until_another_has_gone() {
        let place = Place::new(vec![6]);
        let mut clients: Vec<UnixStream> = (0..MOST_CLIENTS).map(|_| place.client()).collect();
        for client in &clients {
            assert_eq!(asked(client, &[200]), Some(wire::failure()));
        }
        assert_eq!(asked(&place.client(), &[200]), None);
        clients.pop();
        let served = || asked(&place.client(), &[200]).is_some();
        let start = Instant::now();
        while !served() {
            assert!(start.elapsed() < PATIENCE, "one has gone");
            thread::yield_now();
        }
    }
}
