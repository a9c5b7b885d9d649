//! From a target to a connection: judged, resolved, and dialled at the very address that was
//! checked, or asked of the proxy that it has to go through.

use crate::connections::{Connections, Open};
use crate::names::Names;
use crate::outside::Outside;
use crate::target::{Host, Target};
use crate::upstream::{self, Hop};
use crate::{Judge, Question, Route, Ruling};
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
#[derive(Clone)]
pub(crate) struct Way {
    /// Whose connection this one is.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) resolve: Arc<Resolve>,
    /// What is looked up inside, where that is answered.
    pub(crate) names: Option<Arc<Names>>,
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

    /// What is meant by a target: a program that looks a name up first asks for its address.
    pub(crate) fn meant(&self, target: Target) -> Target {
        match &self.names {
            Some(names) => names.named(target),
            None => target,
        }
    }

    /// Makes the connection, if it may be.
    pub(crate) async fn connect(&self, target: &Target) -> Result<(Outside, Arc<Open>), Failure> {
        let Connected { outside, open, .. } = self.connected(target, Use::Tunnel).await?;
        Ok((outside, open))
    }

    /// The same for requests of plain HTTP, which another proxy takes without a tunnel: most allow
    /// tunnels to the port of TLS alone.
    pub(crate) async fn connect_for_requests(&self, target: &Target) -> Result<Connected, Failure> {
        self.connected(target, Use::Requests).await
    }

    async fn connected(&self, target: &Target, used: Use) -> Result<Connected, Failure> {
        // Open first, so that no change of the policy falls between the two.
        let open = self.connections.open(target);
        self.ask(target, Question::Connect { client: self.client }).await?;
        let (outside, through) = match self.judge.route(target) {
            Route::Direct => (Outside::plain(self.dial(target, &open).await?), None),
            Route::Through { host, port, resolved, trust, login } => {
                let proxy = Target::new(&host, port).map_err(|error| {
                    unreachable(target, &format!("The upstream proxy {host:?}: {error}."))
                })?;
                self.check(target, &open, resolved).await?;
                let stream = self.dial_proxy(target, &proxy).await?;
                let mut outside = match trust {
                    None => Outside::plain(stream),
                    Some(trust) => upstream::verified(&trust, target, &proxy, stream).await?,
                };
                let hop = Hop::new(self, target, proxy, login).await?;
                match used {
                    Use::Tunnel => {
                        hop.tunnel(&mut outside, target).await?;
                        (outside, None)
                    }
                    Use::Requests => (outside, Some(Arc::new(hop))),
                }
            }
        };
        if open.is_ended() {
            return Err(Failure::Refused(format!(
                "chaperone: denied: a connection to {target}\n  The policy changed while it was \
                 made."
            )));
        }
        open.budget(self.judge.budgets(target));
        open.made();
        Ok(Connected { outside, open, through })
    }

    async fn dial(&self, target: &Target, open: &Open) -> Result<TcpStream, Failure> {
        let mut failure = unreachable(target, "Its name has no address.");
        for address in self.addresses(target).await? {
            open.dials(address);
            if let Err(refused) = self.ask_address(target, address).await {
                failure = refused;
                continue;
            }
            match reach(address, target.port).await {
                Ok(stream) => return Ok(stream),
                Err(why) => failure = unreachable(target, &why),
            }
        }
        Err(failure)
    }

    /// What can be known here of a target that another proxy will resolve: an address is judged as
    /// ever, and where the policy wants names resolved, too, so is each of theirs.
    async fn check(&self, target: &Target, open: &Open, resolved: bool) -> Result<(), Failure> {
        if matches!(target.host, Host::Name(_)) && !resolved {
            return Ok(());
        }
        let addresses = self.addresses(target).await?;
        if addresses.is_empty() {
            return Err(unreachable(target, "Its name has no address that could be checked here."));
        }
        for address in addresses {
            open.dials(address);
            self.ask_address(target, address).await?;
        }
        Ok(())
    }

    async fn dial_proxy(&self, target: &Target, proxy: &Target) -> Result<TcpStream, Failure> {
        let failed = |why: &str| {
            let what = format!("The upstream proxy {proxy} could not be reached: {why}");
            unreachable(target, &what)
        };
        let addresses =
            self.addresses(proxy).await.map_err(|_| failed("its name does not resolve."));
        let mut failure = failed("its name has no address.");
        for address in addresses? {
            match reach(address, proxy.port).await {
                Ok(stream) => return Ok(stream),
                Err(why) => failure = failed(&why),
            }
        }
        Err(failure)
    }

    /// What a target is by itself, or what its name resolves to.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Failure> {
        let name = match &target.host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name.clone(),
        };
        let (resolve, port) = (Arc::clone(&self.resolve), target.port);
        let resolved = timeout(RESOLVE, spawn_blocking(move || resolve(&name, port))).await;
        let resolved =
            resolved.map_err(|_| unreachable(target, "Its name was not resolved in time."))?;
        let resolved = resolved.unwrap_or_else(|_| Ok(Vec::new())).map_err(|error| {
            unreachable(target, &format!("Its name does not resolve: {error}."))
        })?;
        let addresses = resolved.into_iter().map(|address| address.ip().to_canonical());
        Ok(addresses.take(MOST_ADDRESSES).collect())
    }

    async fn ask_address(&self, target: &Target, address: IpAddr) -> Result<(), Failure> {
        self.ask(target, Question::Address { address, own: is_own(address) }).await
    }
}

/// A connection that may be used.
pub(crate) struct Connected {
    pub(crate) outside: Outside,
    pub(crate) open: Arc<Open>,
    /// The proxy that it leads to, which takes requests for the target.
    pub(crate) through: Option<Arc<Hop>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Tunnel,
    Requests,
}

pub(crate) fn unreachable(target: &Target, what: &str) -> Failure {
    Failure::Unreachable(format!(
        "chaperone: {target} could not be reached from this machine\n  {what}"
    ))
}

/// Dials one address; else why not.
async fn reach(address: IpAddr, port: u16) -> Result<TcpStream, String> {
    match timeout(DIAL, TcpStream::connect((address, port))).await {
        Ok(Ok(stream)) => {
            // Without it small messages wait for acknowledgements; nothing else changes.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(format!("{address}: {error}.")),
        Err(_) => Err(format!("{address} did not answer in time.")),
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
