//! From a target to a connection: judged, resolved, and dialled at the very address that was
//! checked.

use crate::connections::{Connections, Open};
use crate::target::{Host, Target};
use crate::{Judge, Question, Ruling};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long one address may take to answer.
const DIAL: Duration = Duration::from_secs(10);
/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(20);
/// More addresses of one name than this are not tried.
const MOST_ADDRESSES: usize = 16;

/// Resolves a name; may take its time.
pub type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// As this machine resolves names.
///
/// # Errors
/// What the system says.
pub fn by_the_system(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((name, port).to_socket_addrs()?.collect())
}

/// Whether an address is one of this machine's own: it would be reached from itself. Nothing is
/// sent to find out.
pub fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        Ok::<_, io::Error>(socket.local_addr()?.ip())
    };
    source().is_ok_and(|source| source == address)
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may not be; what the agent reads.
    Refused(String),
    /// It could not be made; what the agent reads.
    Unreachable(String),
}

/// What every connection of a session is made with.
pub(crate) struct Way {
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) resolve: Arc<Resolve>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Way {
    /// Asks, and waits for the ruling.
    pub(crate) async fn ask(&self, target: &Target, question: Question) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let waiting = self.judge.judge(
            target,
            question,
            Box::new(move |ruling| {
                // Whoever asked may have gone.
                let _ = answer.send(ruling);
            }),
        );
        let ruling = answered.await;
        drop(waiting);
        match ruling {
            Ok(Ruling::Allow) => Ok(()),
            Ok(Ruling::Deny(text)) => Err(Failure::Refused(text)),
            Err(_) => Err(Failure::Refused(format!(
                "chaperone: denied: a connection to {target}\n  It was not decided before the \
                 session ended."
            ))),
        }
    }

    /// Makes the connection, if it may be.
    pub(crate) async fn connect(&self, target: &Target) -> Result<(TcpStream, Arc<Open>), Failure> {
        // Open first, so that no change of the policy falls between the two.
        let open = self.connections.open(target);
        self.ask(target, Question::Connect).await?;
        let stream = self.dial(target, &open).await?;
        if open.is_ended() {
            return Err(Failure::Refused(format!(
                "chaperone: denied: a connection to {target}\n  The policy changed while it was \
                 made."
            )));
        }
        Ok((stream, open))
    }

    async fn dial(&self, target: &Target, open: &Open) -> Result<TcpStream, Failure> {
        let unreachable = |what: &str| {
            Failure::Unreachable(format!(
                "chaperone: {target} could not be reached from this machine\n  {what}"
            ))
        };
        let addresses = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let (name, port) = (name.clone(), target.port);
                let resolve = Arc::clone(&self.resolve);
                let resolved = spawn_blocking(move || resolve(&name, port));
                let resolved = timeout(RESOLVE, resolved).await;
                let resolved =
                    resolved.map_err(|_| unreachable("Its name was not resolved in time."))?;
                let resolved = resolved.unwrap_or_else(|_| Ok(Vec::new()));
                let resolved = resolved.map_err(|error| {
                    unreachable(&format!("Its name does not resolve: {error}."))
                })?;
                resolved.into_iter().map(|address| address.ip().to_canonical()).collect()
            }
        };
        let mut failure = unreachable("Its name has no address.");
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            open.dials(address);
            let question = Question::Address { address, own: is_own(address) };
            if let Err(refused) = self.ask(target, question).await {
                failure = refused;
                continue;
            }
            match timeout(DIAL, TcpStream::connect((address, target.port))).await {
                Ok(Ok(stream)) => {
                    // Without it small messages wait for acknowledgements; nothing else changes.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = unreachable(&format!("{address}: {error}.")),
                Err(_) => failure = unreachable(&format!("{address} did not answer in time.")),
            }
        }
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_told_from_others() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::new(192, 0, 2, 1).into()));
    }
}
