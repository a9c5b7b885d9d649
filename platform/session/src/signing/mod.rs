//! Lets git sign inside a session with the keys that the policy names, and nothing else.
//!
//! `SSH_AUTH_SOCK` inside leads to a socket of the supervisor's. `filter` answers on it, `wire` knows
//! the messages, `keys` which keys are meant, and `upstream` asks the user's own agent, which no
//! session reaches. Who decides is a [`Judgement`] of the caller's.

mod check;
mod filter;
mod keys;
mod upstream;
mod wire;

pub(crate) use check::check;
pub use filter::{Judgement, Serving, Signature, serve};

use chaperone_policy::{Context, Policy};
use chaperone_sandbox::Plan;
use keys::NamedKey;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use upstream::Upstream;

/// Where a session's programs look for an agent, and where the user's own is.
pub const VARIABLE: &str = "SSH_AUTH_SOCK";
/// The socket's name in the session's temporary folder.
const NAME: &str = "ssh-agent";
/// `sun_path` with its NUL (unix(7)).
const LONGEST: usize = 107;

/// A filter that listens and does not answer yet.
#[derive(Debug)]
pub struct Signing {
    listener: UnixListener,
    socket: PathBuf,
    keys: Vec<NamedKey>,
    upstream: Upstream,
}

/// What the policy's keys come to in one session.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Nothing where no key is named, or no agent of the user's runs.
    pub signing: Option<Signing>,
    /// What a person should know: one sentence each.
    pub troubles: Vec<String>,
}

/// Makes the session's socket in `temp`, where the policy names keys and there is an agent.
///
/// # Errors
/// When the socket cannot be made.
pub fn prepare(
    policy: &Policy,
    context: &Context,
    environment: &BTreeMap<String, String>,
    temp: &Path,
) -> io::Result<Prepared> {
    if policy.signing().ssh_keys.is_empty() {
        return Ok(Prepared::default());
    }
    let Some(upstream) = Upstream::of(environment) else { return Ok(Prepared::default()) };
    let (keys, mut troubles) = keys::named(policy, context);
    if keys.is_empty() {
        return Ok(Prepared { signing: None, troubles });
    }
    let socket = temp.join(NAME);
    if socket.as_os_str().len() > LONGEST {
        troubles.push(format!(
            "git cannot sign in this session: {} is longer than a socket's path may be",
            socket.display()
        ));
        return Ok(Prepared { signing: None, troubles });
    }
    let listener = UnixListener::bind(&socket)?;
    // What is sent then says which process sent it: the supervisor itself made the connection.
    rustix::net::sockopt::set_socket_passcred(listener.as_fd(), true)?;
    Ok(Prepared { signing: Some(Signing { listener, socket, keys, upstream }), troubles })
}

impl Signing {
    /// Lets a session reach the socket, and tells its programs where it is, as its temporary folder
    /// is called inside.
    pub fn allow_in(&self, plan: &mut Plan) {
        plan.sockets.push(self.socket.clone());
        let folder = plan.environment.get("TMPDIR").map(PathBuf::from);
        let socket = folder.map_or_else(|| self.socket.clone(), |folder| folder.join(NAME));
        plan.environment.insert(VARIABLE.to_owned(), socket.to_string_lossy().into_owned());
    }
}
