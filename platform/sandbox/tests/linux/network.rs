//! The network and local sockets.

use crate::world::{BOTH, World, as_each_user, outside, session};
use chaperone_sandbox::{Answer, Exit, Network, Relay, Tier};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Says hello to whoever connects.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    greet(listener);
    port
}

fn greet(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // The other end may have gone without listening.
            let _ = stream.unwrap().write_all(b"hello\n");
        }
    });
}

fn relay(host: &str, port: u16, listen: (Ipv4Addr, u16)) -> Network {
    let listen = SocketAddrV4::new(listen.0, listen.1);
    Network::None { relays: vec![Relay { host: host.into(), port, listen }] }
}

#[test]
fn a_server_of_the_machine_is_reached_only_where_a_relay_says_so() {
    as_each_user(|| {
        let [refused, relayed] = [greeter(), greeter()];
        for tier in BOTH {
            let mut world = World::new(tier);
            world.plan.network = relay("127.0.0.1", relayed, (Ipv4Addr::LOCALHOST, relayed));
            let [refused, relayed] = [refused, relayed].map(|port| format!("127.0.0.1:{port}"));
            for address in [&refused, &relayed] {
                assert_eq!(outside("fetch", &[address]), "hello\nok");
            }
            assert_eq!(world.attempt("fetch", &[&refused]), "ECONNREFUSED");
            let mut plan = world.plan.clone();
            plan.environment.insert(crate::attempt::VARIABLE.into(), "fetch".into());
            let exe = std::env::current_exe().unwrap();
            let ended = session(
                &plan,
                &[exe.to_str().unwrap(), &relayed],
                |session, _| {
                    for (relay, listener) in session.take_listeners() {
                        assert_eq!(relay.host, "127.0.0.1");
                        greet(listener.into());
                    }
                },
                |_, _| Answer::Allow,
            );
            assert_eq!(ended.stdout, "hello\nok\n", "{tier:?}");
        }
    });
}

#[test]
fn a_relay_is_found_by_its_name() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        world.plan.network = relay("model.example", 443, (Ipv4Addr::new(127, 64, 0, 1), 443));
        let ended = world.sh("getent hosts model.example; getent hosts localhost | grep -c 1");
        assert_eq!(ended.stdout, "127.64.0.1      model.example\n1\n");
        // The machine's own file is as it was.
        assert!(!std::fs::read_to_string("/etc/hosts").unwrap().contains("model.example"));
    });
}

#[test]
fn a_refused_connection_is_recorded() {
    as_each_user(|| {
        let world = World::new(Tier::Full);
        let ended = world.attempt_whole("connect", &["192.0.2.1:443"]);
        assert_eq!(ended.stdout, "ENETUNREACH\n");
        assert_eq!(ended.refused, ["connect: 192.0.2.1:443"]);
        let world = World::new(Tier::Reduced);
        for (address, recorded) in [
            ("192.0.2.1:443", "192.0.2.1:443"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
            ("[::1]:1", "[::1]:1"),
        ] {
            let ended = world.attempt_whole("connect", &[address]);
            assert_eq!(ended.stdout, "ECONNREFUSED\n");
            assert_eq!(ended.refused, [format!("connect: {recorded}")]);
        }
    });
}

#[test]
fn servers_of_the_session_work() {
    as_each_user(|| {
        assert_eq!(World::new(Tier::Full).attempt("own-abstract-socket", &["mine"]), "ok");
        for tier in BOTH {
            let world = World::new(tier);
            for address in ["127.0.0.1:0", "[::1]:0"] {
                assert_eq!(world.attempt("own-server", &[address]), "ok", "{tier:?}");
            }
            let socket = world.workspace.join("socket");
            assert_eq!(world.attempt("own-socket-file", &[socket.to_str().unwrap()]), "ok");
            assert_eq!(world.attempt("interfaces", &[]), "ok");
        }
    });
}

#[test]
fn swapping_the_address_during_the_call_never_wins() {
    as_each_user(|| {
        let allowed = greeter();
        let forbidden = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = forbidden.local_addr().unwrap().port().to_string();
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        std::thread::spawn(move || {
            for stream in forbidden.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                drop(stream.unwrap());
            }
        });
        let mut world = World::new(Tier::Reduced);
        world.plan.network = relay("127.0.0.1", allowed, (Ipv4Addr::LOCALHOST, allowed));
        assert_eq!(world.attempt("race-connect", &[&allowed.to_string(), &port]), "ok");
        assert_eq!(reached.load(Ordering::SeqCst), 0);
        // Outside, the other address is reached as soon as it is the one that stands there.
        assert_eq!(outside("fetch", &[&format!("127.0.0.1:{port}")]), "ok");
        assert_eq!(reached.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn sockets_of_the_machine_are_out_of_reach() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let file = world.home.join("daemon.sock");
            let _daemon = UnixListener::bind(&file).unwrap();
            let log = world.home.join("log.sock");
            let _log = UnixDatagram::bind(&log).unwrap();
            let name = format!("chaperone-test-{}-{tier:?}", std::process::id());
            let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
            let _abstract = UnixListener::bind_addr(&address).unwrap();
            let [file, log] = [&file, &log].map(|path| path.to_str().unwrap());

            assert_eq!(outside("connect-file", &[file]), "ok");
            let inside = world.attempt("connect-file", &[file]);
            assert!(["EACCES", "ENOENT"].contains(&inside.as_str()), "{tier:?}: {inside}");
            assert_eq!(outside("connect-abstract", &[&name]), "ok");
            assert_eq!(world.attempt("connect-abstract", &[&name]), "ECONNREFUSED", "{tier:?}");
            for attempt in ["send-datagram-to-file", "send-datagram-from-pair"] {
                assert_eq!(outside(attempt, &[log]), "ok");
                assert_eq!(world.attempt(attempt, &[log]), "EPERM", "{tier:?}");
            }
        }
    });
}

#[test]
fn a_daemon_that_listens_in_the_workspace_is_not_the_sessions() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let file = world.workspace.join("daemon.sock");
            let _daemon = UnixListener::bind(&file).unwrap();
            let file = file.to_str().unwrap();
            assert_eq!(outside("connect-file", &[file]), "ok");
            let ended = world.attempt_whole("connect-file", &[file]);
            assert_eq!(ended.stdout, "ECONNREFUSED\n", "{tier:?}");
            assert_eq!(ended.refused, [format!("connect: {file}")]);
        }
    });
}

#[test]
fn the_reduced_tier_has_tcp_streams_alone() {
    as_each_user(|| {
        let port = greeter();
        let address = format!("127.0.0.1:{port}");
        let world = World::new(Tier::Reduced);
        let socket = |family: i32, kind: i32, protocol: i32| {
            let numbers = [family, kind, protocol].map(|number| number.to_string());
            world.attempt("socket", &numbers.each_ref().map(String::as_str))
        };
        assert_eq!(socket(libc::AF_INET, libc::SOCK_STREAM, 0), "ok");
        assert_eq!(socket(libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP), "ok");
        assert_eq!(
            socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            "EPROTONOSUPPORT"
        );
        assert_eq!(socket(libc::AF_INET, libc::SOCK_DGRAM, 0), "EPERM");
        assert_eq!(socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0), "EAFNOSUPPORT");
        assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE), "ok");
        assert_eq!(
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT),
            "EPROTONOSUPPORT"
        );
        assert_eq!(outside("send-udp", &[&address]), "ok");
        assert_eq!(world.attempt("send-udp", &[&address]), "EPERM");
        assert_eq!(outside("fast-open", &[&address]), "ok");
        assert_eq!(world.attempt("fast-open", &[&address]), "EPERM");
    });
}

#[test]
fn a_direct_network_is_the_machines() {
    as_each_user(|| {
        let port = greeter();
        for tier in BOTH {
            let mut world = World::new(tier);
            world.plan.network = Network::Direct;
            let ended = world.attempt_whole("fetch", &[&format!("127.0.0.1:{port}")]);
            assert_eq!((ended.exit, ended.stdout.as_str()), (Exit::Code(0), "hello\nok\n"));
            assert_eq!(world.attempt("send-udp", &[&format!("127.0.0.1:{port}")]), "ok");
        }
    });
}
