//! Carries bytes between a loopback port inside the session and the `host:port` outside that the
//! policy names. The supervisor dials; the agent's network holds nothing but these ports.

use chaperone_sandbox::Relay;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How many connections one relay carries at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Told of every connection before it is dialled; `false` refuses it.
pub(crate) type Admit = dyn Fn(&Relay) -> bool + Send + Sync;

/// Serves one relay on a thread of its own until the process ends.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn serve(relay: Relay, listener: TcpListener, admit: Arc<Admit>) -> io::Result<()> {
    thread::Builder::new().name(format!("relay {}:{}", relay.host, relay.port)).spawn(
        move || {
            let open = Arc::new(AtomicUsize::new(0));
            while let Ok((inside, _)) = listener.accept() {
                if open.load(Ordering::Acquire) >= MAX_CONNECTIONS || !admit(&relay) {
                    continue; // Dropping the connection closes it.
                }
                open.fetch_add(1, Ordering::AcqRel);
                let (relay, counter) = (relay.clone(), Arc::clone(&open));
                let carried =
                    thread::Builder::new().name("relay connection".into()).spawn(move || {
                        if let Ok(outside) = dial(&relay.host, relay.port) {
                            carry(inside, outside);
                        }
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
fn carry(inside: TcpStream, outside: TcpStream) {
    let _ = inside.set_nodelay(true);
    let _ = outside.set_nodelay(true);
    let (Ok(from_inside), Ok(to_outside)) = (inside.try_clone(), outside.try_clone()) else {
        return;
    };
    let outward = thread::Builder::new()
        .name("relay outward".into())
        .spawn(move || copy(from_inside, to_outside));
    copy(outside, inside);
    if let Ok(outward) = outward {
        let _ = outward.join();
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let SocketAddr::V4(listen) = address else { unreachable!() };
        let relay = Relay { host: target.ip().to_string(), port: target.port(), listen };
        serve(relay, listener, Arc::new(move |_: &Relay| admit)).unwrap();
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
    fn a_name_never_leads_to_this_machine_but_a_literal_may() {
        assert!(is_local("127.0.0.1:80".parse().unwrap()));
        assert!(is_local("[::ffff:127.0.0.1]:80".parse().unwrap()));
        assert!(is_local("169.254.169.254:80".parse().unwrap()));
        assert!(!is_local("192.0.2.1:80".parse().unwrap()));
        let server = echo_server();
        assert!(dial("127.0.0.1", server.port()).is_ok());
    }
}
