//! The event loop: accepts, and hands each connection to what it is.

use crate::connections::{Connections, Open};
use crate::dial::{Resolve, Way};
use crate::hello::HANDSHAKE;
use crate::inspect::Inside as Said;
use crate::names::Names;
use crate::outside::Outside;
use crate::rewound::Rewound;
use crate::target::{Host, Target};
use crate::{Judge, Question, carried, http, inspect, lookups, open, proxy, tunnel};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as Listener, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More connections at a time than this wait in the listeners' backlogs.
const MOST_CONNECTIONS: usize = 4096;
/// Each connection is two sockets, names are looked up on some, and the supervisor has some files of
/// its own.
const FILES: u64 = 2 * MOST_CONNECTIONS as u64 + 512;
/// Threads that resolve names, at most.
const RESOLVERS: usize = 16;
/// When the system has no more descriptors, how long until it is asked again.
pub(crate) const BREATH: Duration = Duration::from_millis(50);

/// What stands behind a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// The proxy: each connection says where it wants to go.
    Proxy,
    /// A relay: every connection goes to this target.
    Relay(Target),
    /// What connected to an address outside, or to one that stands for a name: each goes where it
    /// wanted to. What wanted to go to a resolver on loopback looks names up.
    Carried,
}

/// Where a connection that comes from this address inside wanted to go. It is told once.
pub type Wanted = dyn Fn(SocketAddr) -> Option<SocketAddr> + Send + Sync;

/// Where names are looked up, each question by itself.
#[derive(Debug)]
pub enum Resolver {
    /// By datagrams.
    Datagrams(UdpSocket),
    /// By packets on sockets that this process connects, each for one program (`SOCK_SEQPACKET`,
    /// unix(7)).
    #[cfg(unix)]
    Packets(UnixListener),
}

/// What names are answered with inside.
pub struct Inside {
    /// Where they are looked up, if not over connections alone.
    pub resolver: Option<Resolver>,
    /// The names.
    pub names: Arc<Names>,
    /// Where what is carried wanted to go.
    pub wanted: Arc<Wanted>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

/// Serves until the process ends, on a thread of its own.
///
/// # Errors
/// When no thread can be started, or a listener cannot be used.
pub fn serve(
    entrances: Vec<(Entrance, Listener)>,
    judge: Arc<dyn Judge>,
    connections: Arc<Connections>,
    resolve: Arc<Resolve>,
) -> io::Result<()> {
    serve_with_names(entrances, None, judge, connections, resolve)
}

/// The same, and answers names.
///
/// # Errors
/// As [`serve`].
pub fn serve_with_names(
    entrances: Vec<(Entrance, Listener)>,
    inside: Option<Inside>,
    judge: Arc<dyn Judge>,
    connections: Arc<Connections>,
    resolve: Arc<Resolve>,
) -> io::Result<()> {
    let (resolver, names, wanted) = match inside {
        Some(Inside { resolver, names, wanted }) => (resolver, Some(names), Some(wanted)),
        None => (None, None, None),
    };
    let way = Arc::new(Way { client: None, judge, connections, resolve, names });
    for (_, listener) in &entrances {
        listener.set_nonblocking(true)?;
    }
    match &resolver {
        Some(Resolver::Datagrams(socket)) => socket.set_nonblocking(true)?,
        #[cfg(unix)]
        Some(Resolver::Packets(listener)) => listener.set_nonblocking(true)?,
        None => {}
    }
    thread::Builder::new().name("network".into()).spawn(move || {
        wait_for_first(&entrances, resolver.as_ref());
        allow_files();
        // Without a loop there is no way out: whoever connects waits in vain, and nothing leaks.
        let _ = run(entrances, resolver, wanted, way);
    })?;
    Ok(())
}

/// Waits until somebody connects to one of them, or looks a name up.
fn wait_for_first(entrances: &[(Entrance, Listener)], resolver: Option<&Resolver>) {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, poll};
        let listeners = entrances.iter().map(|(_, listener)| PollFd::new(listener, PollFlags::IN));
        let resolver = resolver.map(|resolver| match resolver {
            Resolver::Datagrams(socket) => PollFd::new(socket, PollFlags::IN),
            Resolver::Packets(listener) => PollFd::new(listener, PollFlags::IN),
        });
        let mut fds: Vec<_> = listeners.chain(resolver).collect();
        while let Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
    }
    #[cfg(not(unix))]
    let _ = (entrances, resolver);
}

/// Raises the bound of open files of this process as far as it may be.
fn allow_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.map_or(FILES, |most| most.min(FILES));
        if current.is_some_and(|current| current < wanted) {
            // With fewer files fewer connections are served at a time.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        }
    }
}

fn run(
    entrances: Vec<(Entrance, Listener)>,
    resolver: Option<Resolver>,
    wanted: Option<Arc<Wanted>>,
    way: Arc<Way>,
) -> io::Result<()> {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(RESOLVERS).build()?;
    runtime.block_on(async {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        for (entrance, listener) in entrances {
            let listener = TcpListener::from_std(listener)?;
            let (way, room, wanted) = (Arc::clone(&way), Arc::clone(&room), wanted.clone());
            tokio::spawn(accept(entrance, listener, wanted, way, room));
        }
        if let (Some(resolver), Some(names)) = (resolver, way.names.clone()) {
            match resolver {
                Resolver::Datagrams(socket) => tokio::spawn(lookups::datagrams(
                    tokio::net::UdpSocket::from_std(socket)?,
                    names,
                )),
                #[cfg(unix)]
                Resolver::Packets(listener) => tokio::spawn(lookups::packets(
                    tokio::net::UnixListener::from_std(listener)?,
                    names,
                )),
            };
        }
        std::future::pending().await
    })
}

async fn accept(
    entrance: Entrance,
    listener: TcpListener,
    wanted: Option<Arc<Wanted>>,
    way: Arc<Way>,
    room: Arc<Semaphore>,
) {
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((inside, from)) => {
                // Without it small messages wait for acknowledgements; nothing else changes.
                let _ = inside.set_nodelay(true);
                let way = Arc::new(Way { client: Some(from), ..(*way).clone() });
                let permit = Arc::new(permit);
                match &entrance {
                    Entrance::Proxy => drop(tokio::spawn(proxy::serve(way, inside, permit))),
                    Entrance::Relay(target) => {
                        drop(tokio::spawn(relay(way, target.clone(), inside, permit)));
                    }
                    Entrance::Carried => {
                        let at = wanted.as_ref().and_then(|wanted| wanted(from));
                        let Some((names, at)) = way.names.clone().zip(at) else { continue };
                        if at.ip().is_loopback() && at.port() == lookups::PORT {
                            drop(tokio::spawn(lookups::stream(inside, names, permit)));
                        } else if let Some(target) = names.target(at) {
                            drop(tokio::spawn(carried::serve(way, target, inside, permit)));
                        }
                    }
                }
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// A place among the connections that are served, held by all that serves one.
pub(crate) type Permit = Arc<OwnedSemaphorePermit>;

async fn relay(way: Arc<Way>, target: Target, inside: TcpStream, permit: Permit) {
    // What cannot be carried is closed, which the agent sees.
    let Ok((outside, open)) = way.connect(&target).await else { return };
    match &target.host {
        // A relay to an address stands in for it under whatever name leads there inside.
        Host::Address(_)
            if way.judge.bindings(&target).is_empty() && !way.judge.sees_requests(&target) =>
        {
            tunnel::carry(&open, &inside, outside, &[], &[]).await;
        }
        Host::Address(_) | Host::Name(_) => {
            let tunnel = Tunnel { way, target, open, inside, outside, permit };
            tunnel.carry(Vec::new()).await;
        }
    }
}

/// A connection that was made for a client, who has yet to say what it is for.
pub(crate) struct Tunnel {
    pub(crate) way: Arc<Way>,
    pub(crate) target: Target,
    pub(crate) open: Arc<Open>,
    pub(crate) inside: TcpStream,
    pub(crate) outside: Outside,
    pub(crate) permit: Permit,
}

impl Tunnel {
    /// Carries what agrees with what was asked for. `first` is what the client has said already.
    ///
    /// Boxed: requests that come through a tunnel are served as others are, of which one could be
    /// for a tunnel.
    pub(crate) fn carry(self, first: Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let Self { way, target, open, inside, mut outside, permit } = self;
            let said = tokio::select! {
                said = inspect::agreeing(&way, &target, &inside, &mut outside, first) => said,
                () = open.ended() => return,
            };
            match said {
                Ok(Said::Bytes(first)) => {
                    let is_tls = first.first() == Some(&HANDSHAKE);
                    if let Some(opener) = way.judge.opener(&target).filter(|_| is_tls) {
                        let tunnel = Self { way, target, open, inside, outside, permit };
                        return open::serve(opener, tunnel, first).await;
                    }
                    if !way.judge.bindings(&target).is_empty() {
                        let said = "what is no HTTPS could carry any other".to_owned();
                        // It is closed; that it was recorded is what is waited for.
                        return drop(way.ask(&target, Question::Foreign(said)).await);
                    }
                    let sees =
                        way.judge.sees_requests(&target) || !way.judge.told(&target).is_empty();
                    if sees && inspect::unseen(&way, &target, &inside, &first).await.is_err() {
                        return;
                    }
                    tunnel::carry(&open, &inside, outside, &first, &[]).await;
                }
                Ok(Said::Requests(first)) => {
                    let made = http::Made {
                        target,
                        open,
                        outside,
                        through: None,
                        protocol: http::Protocol::Http1,
                    };
                    http::serve_made(way, made, Rewound::new(inside, first), permit).await;
                }
                // It has been told, or has gone.
                Err(_) => {}
            }
        })
    }
}
