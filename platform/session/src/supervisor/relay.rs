//! Carries bytes between a loopback port inside the session and the `host:port` outside that the
//! policy names. The supervisor dials; the agent's network holds nothing but these ports.

use chaperone_sandbox::Relay;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// How many connections one relay carries at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// The connections that are open.
#[derive(Default)]
pub(crate) struct Connections(Mutex<Vec<Weak<Connection>>>);

/// One connection, from before it is admitted until both its sides have ended.
struct Connection {
    relay: Relay,
    inside: TcpStream,
    outside: OnceLock<TcpStream>,
    ended: AtomicBool,
}

impl Connections {
    fn open(&self, relay: &Relay, inside: TcpStream) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            relay: relay.clone(),
            inside,
            outside: OnceLock::new(),
            ended: AtomicBool::new(false),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&connection));
        connection
    }

    /// Ends at once all of which this is true.
    pub(crate) fn end_where(&self, ends: impl Fn(&Relay) -> bool) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for connection in all.iter().filter_map(Weak::upgrade) {
            if !connection.ended.load(Ordering::Acquire) && ends(&connection.relay) {
                connection.end();
            }
        }
    }
}

impl Connection {
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        for stream in [Some(&self.inside), self.outside.get()].into_iter().flatten() {
            // One that has ended already is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Dials and carries, unless it was ended meanwhile.
    fn carry(&self) -> io::Result<()> {
        let outside = dial(&self.relay.host, self.relay.port)?;
        let outside = self.outside.get_or_init(|| outside);
        // Whoever ends it sees the one that is dialled, or is seen here.
        if !self.ended.load(Ordering::SeqCst) {
            carry(&self.inside, outside)?;
        }
        Ok(())
    }
}

/// Told of every connection before it is dialled; `false` refuses it.
pub(crate) type Admit = dyn Fn(&Relay) -> bool + Send + Sync;

/// Serves one relay on a thread of its own until the process ends.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn serve(
    relay: Relay,
    listener: TcpListener,
    admit: Arc<Admit>,
    connections: Arc<Connections>,
) -> io::Result<()> {
    thread::Builder::new().name(format!("relay {}:{}", relay.host, relay.port)).spawn(
        move || {
            let open = Arc::new(AtomicUsize::new(0));
            while let Ok((inside, _)) = listener.accept() {
                if open.load(Ordering::Acquire) >= MAX_CONNECTIONS {
                    continue; // Dropping the connection closes it.
                }
                // Open first, so that no change of the policy falls between the two.
                let connection = connections.open(&relay, inside);
                if !admit(&relay) {
                    continue;
                }
                open.fetch_add(1, Ordering::AcqRel);
                let counter = Arc::clone(&open);
                let carried =
                    thread::Builder::new().name("relay connection".into()).spawn(move || {
                        // What cannot be carried is closed, which the agent sees.
                        let _ = connection.carry();
                        counter.fetch_sub(1, Ordering::AcqRel);
                    });
                if carried.is_err() {
                    open.fetch_sub(1, Ordering::AcqRel);
                }
            }
        },
    )?;
    Ok(())
}

/// Connects to the first address that answers. A name never leads to this machine itself or its
/// link: who controls a name must not choose an address that only a literal may name.
fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let named_literally = host.parse::<IpAddr>().is_ok() || host == "localhost";
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no usable address");
    for address in (host, port).to_socket_addrs()? {
        if !named_literally && is_local(address) {
            continue;
        }
        match TcpStream::connect_timeout(&address, DIAL_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn is_local(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

/// Copies both ways until both sides have ended; each end of stream is passed on by itself.
fn carry(inside: &TcpStream, outside: &TcpStream) -> io::Result<()> {
    let _ = inside.set_nodelay(true);
    let _ = outside.set_nodelay(true);
    thread::scope(|scope| {
        let outward = thread::Builder::new().name("relay outward".into());
        outward.spawn_scoped(scope, || copy(inside, outside))?;
        copy(outside, inside);
        Ok(())
    })
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // A reset on either side ends this direction; there is nobody to tell but the other side.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut text = Vec::new();
                stream.read_to_end(&mut text).unwrap();
                stream.write_all(&text).unwrap();
            }
        });
        address
    }

    fn relay_to(target: SocketAddr, admit: bool) -> SocketAddr {
        relay_among(&Arc::default(), target, admit)
    }

    fn relay_among(connections: &Arc<Connections>, target: SocketAddr, admit: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let SocketAddr::V4(listen) = address else { unreachable!() };
        let relay = Relay { host: target.ip().to_string(), port: target.port(), listen };
        let admit = Arc::new(move |_: &Relay| admit);
        serve(relay, listener, admit, Arc::clone(connections)).unwrap();
        address
    }

    fn say(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn bytes_pass_both_ways_and_a_half_close_is_passed_on() {
        let relay = relay_to(echo_server(), true);
        assert_eq!(say(relay, "hello"), "hello");
        assert_eq!(say(relay, "again"), "again");
    }

    #[test]
    fn a_connection_that_is_not_admitted_reaches_nothing() {
        let relay = relay_to(echo_server(), false);
        assert_eq!(say(relay, "hello"), "");
    }

    #[test]
    fn a_connection_that_is_open_is_ended_and_another_is_not() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = server.local_addr().unwrap();
        let connections = Arc::new(Connections::default());
        let relay = relay_among(&connections, target, true);
        let mut inside = TcpStream::connect(relay).unwrap();
        let (mut outside, _) = server.accept().unwrap();
        inside.write_all(b"1").unwrap();
        outside.read_exact(&mut [0]).unwrap();

        connections.end_where(|relay| relay.port != target.port());
        outside.write_all(b"2").unwrap();
        inside.read_exact(&mut [0]).unwrap();

        connections.end_where(|relay| relay.port == target.port());
        let ends = |stream: &mut TcpStream| !matches!(stream.read(&mut [0]), Ok(1..));
        assert!(ends(&mut inside), "towards the agent");
        assert!(ends(&mut outside), "towards the host");
    }

    #[test]
    fn a_name_never_leads_to_this_machine_but_a_literal_may() {
        assert!(is_local("127.0.0.1:80".parse().unwrap()));
        assert!(is_local("[::ffff:127.0.0.1]:80".parse().unwrap()));
        assert!(is_local("169.254.169.254:80".parse().unwrap()));
        assert!(!is_local("192.0.2.1:80".parse().unwrap()));
        let server = echo_server();
        assert!(dial("127.0.0.1", server.port()).is_ok());
    }
}
