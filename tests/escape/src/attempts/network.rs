//! Addresses outside: servers that listen on this machine's own loopback stand for all others.

use crate::Told::{Answer, Mark, Secret};
use crate::attempts::files::race;
use crate::sys::{Got, NOTHING, call, check, owned, read_all, refused, shell};
use crate::{Attempt, Disturbs, Needs, Place};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

const IPV6: Needs = Needs::Machine("IPv6");
const RESOLVER: Needs = Needs::Machine("a resolver's port, which the stage has from root alone");

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("tcp", "Connects to a server on loopback.", Secret, |p| {
            hear((Ipv4Addr::LOCALHOST, p.number("tcp4")?).into())
        }),
        Attempt::new(
            "tcp-unspecified",
            "Connects to 0.0.0.0, which means loopback.",
            Secret,
            |p| hear((Ipv4Addr::UNSPECIFIED, p.number("tcp4")?).into()),
        ),
        Attempt::new("tcp6", "Connects over IPv6.", Secret, |p| {
            hear((Ipv6Addr::LOCALHOST, p.number("tcp6")?).into())
        })
        .needs(IPV6),
        Attempt::new("tcp6-mapped", "Connects to IPv4 by a mapped address.", Secret, |p| {
            hear((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), p.number("tcp4")?).into())
        })
        .needs(IPV6),
        Attempt::new("tcp6-unspecified", "Connects to `::`, which means loopback.", Secret, |p| {
            hear((Ipv6Addr::UNSPECIFIED, p.number("tcp6")?).into())
        })
        .needs(IPV6),
        Attempt::new("tcp-not-blocking", "Connects without waiting for an answer.", Secret, |p| {
            let socket = stream(libc::SOCK_NONBLOCK, 0)?;
            let to = inet(p)?;
            // It is under way.
            let _ = call!(libc::SYS_connect, socket.as_raw_fd(), to.as_ptr(), 16);
            wait(&socket, libc::POLLIN)?;
            read_all(&socket)
        }),
        Attempt::new("tcp-from-thread", "Connects in a thread of its own.", Secret, |p| {
            let to = (Ipv4Addr::LOCALHOST, p.number("tcp4")?).into();
            std::thread::spawn(move || hear(to)).join().map_err(|_| refused("it panicked"))?
        }),
        Attempt::new("tcp-bound-first", "Binds the socket before it connects.", Secret, |p| {
            let socket = stream(0, 0)?;
            let mut own = inet(p)?;
            own[2..4].fill(0);
            call!(libc::SYS_bind, socket.as_raw_fd(), own.as_ptr(), 16)?;
            call!(libc::SYS_connect, socket.as_raw_fd(), inet(p)?.as_ptr(), 16)?;
            read_all(&socket)
        }),
        Attempt::new(
            "tcp-while-listening",
            "Serves on loopback itself, where that would lift what holds it.",
            Secret,
            |p| {
                let own = std::net::TcpListener::bind("127.0.0.1:0")?;
                let socket = stream(0, 0)?;
                call!(libc::SYS_connect, socket.as_raw_fd(), inet(p)?.as_ptr(), 16)?;
                drop(own);
                read_all(&socket)
            },
        ),
        Attempt::new(
            "tcp-again",
            "Dissolves a connection of its own, and connects anew.",
            Secret,
            |p| {
                let own = std::net::TcpListener::bind("127.0.0.1:0")?;
                let socket = stream(0, 0)?;
                let mut to = inet(p)?;
                to[2..4].copy_from_slice(&own.local_addr()?.port().to_be_bytes());
                call!(libc::SYS_connect, socket.as_raw_fd(), to.as_ptr(), 16)?;
                call!(libc::SYS_connect, socket.as_raw_fd(), [0u8; 16].as_ptr(), 16)?;
                call!(libc::SYS_connect, socket.as_raw_fd(), inet(p)?.as_ptr(), 16)?;
                read_all(&socket)
            },
        ),
        Attempt::new(
            "tcp-long-address",
            "Gives an address longer than its family's.",
            Secret,
            |p| {
                let socket = stream(0, 0)?;
                let to = [inet(p)?.as_slice(), &[0; 84]].concat();
                call!(libc::SYS_connect, socket.as_raw_fd(), to.as_ptr(), to.len())?;
                read_all(&socket)
            },
        ),
        Attempt::new("tcp-fast-open", "Connects while sending (`MSG_FASTOPEN`).", Mark, |p| {
            let (socket, to, mark) = (stream(0, 0)?, inet(p)?, p.mark());
            let (fd, from, size) = (socket.as_raw_fd(), mark.as_ptr(), mark.len());
            call!(libc::SYS_sendto, fd, from, size, libc::MSG_FASTOPEN, to.as_ptr(), 16)?;
            settle()
        }),
        Attempt::new("tcp-fast-open-message", "The same by `sendmsg`.", Mark, |p| {
            let (socket, mut to, mark) = (stream(0, 0)?, inet(p)?, p.mark());
            // SAFETY: all zeroes are valid, and every pointer is to a value that outlives the call.
            unsafe {
                let mut part =
                    libc::iovec { iov_base: mark.as_ptr().cast_mut().cast(), iov_len: mark.len() };
                let mut message: libc::msghdr = std::mem::zeroed();
                message.msg_name = to.as_mut_ptr().cast();
                message.msg_namelen = 16;
                message.msg_iov = &raw mut part;
                message.msg_iovlen = 1;
                let sent =
                    libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_FASTOPEN);
                check(sent as i64)?;
            }
            settle()
        }),
        Attempt::new(
            "tcp-fast-open-option",
            "Defers the connection to the first write.",
            Mark,
            |p| {
                let (socket, one) = (stream(0, 0)?, 1i32);
                // `TCP_FASTOPEN_CONNECT`
                let fd = socket.as_raw_fd();
                call!(libc::SYS_setsockopt, fd, libc::SOL_TCP, 30, &raw const one, 4)?;
                call!(libc::SYS_connect, fd, inet(p)?.as_ptr(), 16)?;
                let mark = p.mark();
                call!(libc::SYS_write, fd, mark.as_ptr(), mark.len())?;
                settle()
            },
        ),
        Attempt::new("multipath", "Connects by multipath TCP.", Secret, |p| {
            let socket = stream(0, 262)?;
            call!(libc::SYS_connect, socket.as_raw_fd(), inet(p)?.as_ptr(), 16)?;
            read_all(&socket)
        })
        .needs(Needs::Machine("multipath TCP")),
        Attempt::new("udp", "Sends a datagram.", Mark, |p| {
            let to: SocketAddr = (Ipv4Addr::LOCALHOST, p.number("udp4")?).into();
            UdpSocket::bind("127.0.0.1:0")?.send_to(p.mark().as_bytes(), to)?;
            settle()
        }),
        Attempt::new("udp-connected", "Connects a socket of datagrams, and sends.", Mark, |p| {
            let to: SocketAddr = (Ipv4Addr::LOCALHOST, p.number("udp4")?).into();
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(to)?;
            socket.send(p.mark().as_bytes())?;
            settle()
        }),
        Attempt::new("udp-unbound", "Sends a datagram from a socket as it is made.", Mark, |p| {
            let (socket, to, mark) = (datagrams()?, udp(p)?, p.mark());
            let (fd, from, size) = (socket.as_raw_fd(), mark.as_ptr(), mark.len());
            call!(libc::SYS_sendto, fd, from, size, 0, to.as_ptr(), 16)?;
            settle()
        }),
        Attempt::new(
            "udp-after-resolver",
            "Connects a socket of datagrams to a resolver, and sends elsewhere.",
            Mark,
            |p| {
                let (socket, to) = (datagrams()?, udp(p)?);
                call!(libc::SYS_connect, socket.as_raw_fd(), resolver(p)?.as_ptr(), 16)?;
                send_message(&socket, &to, p.mark().as_bytes())?;
                settle()
            },
        ),
        Attempt::new(
            "udp-reconnected",
            "Connects a socket of datagrams to a resolver, then elsewhere, and sends.",
            Mark,
            |p| {
                let (socket, mark) = (datagrams()?, p.mark());
                let fd = socket.as_raw_fd();
                call!(libc::SYS_connect, fd, resolver(p)?.as_ptr(), 16)?;
                // Where it cannot be connected anew, it may be after this.
                let _ = call!(libc::SYS_connect, fd, [0u8; 16].as_ptr(), 16);
                call!(libc::SYS_connect, fd, udp(p)?.as_ptr(), 16)?;
                call!(libc::SYS_sendto, fd, mark.as_ptr(), mark.len(), 0, 0, 0)?;
                settle()
            },
        ),
        Attempt::new("udp6", "Sends a datagram over IPv6.", Mark, |p| {
            let to: SocketAddr = (Ipv6Addr::LOCALHOST, p.number("udp6")?).into();
            UdpSocket::bind("[::1]:0")?.send_to(p.mark().as_bytes(), to)?;
            settle()
        })
        .needs(IPV6),
        Attempt::new("udp-lite", "Sends a datagram by UDP-Lite.", Mark, |p| {
            let kind = libc::SOCK_DGRAM;
            let lite = libc::IPPROTO_UDPLITE;
            let socket = owned(call!(libc::SYS_socket, libc::AF_INET, kind, lite))?;
            let (mut to, mark) = (inet(p)?, p.mark());
            to[2..4].copy_from_slice(&p.number::<u16>("lite4")?.to_be_bytes());
            let (fd, from, size) = (socket.as_raw_fd(), mark.as_ptr(), mark.len());
            call!(libc::SYS_sendto, fd, from, size, 0, to.as_ptr(), 16)?;
            settle()
        })
        .needs(Needs::Machine("UDP-Lite")),
        Attempt::new("echo", "Opens a socket that sends pings.", Answer, |_| {
            socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)
        })
        .needs(Needs::Machine("ping groups with this user")),
        Attempt::new("raw", "Opens a raw socket.", Answer, |_| {
            socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
        })
        .needs(Needs::Root),
        Attempt::new("frames", "Opens a socket for frames of a device.", Answer, |_| {
            socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300)
        })
        .needs(Needs::Root),
        Attempt::new("streams-of-messages", "Opens a socket of SCTP.", Answer, |_| {
            socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)
        })
        .disturbs(Disturbs::LoadsModule("SCTP"))
        .needs(Needs::Machine("SCTP")),
        Attempt::new("shared-memory-streams", "Opens a socket of SMC.", Answer, |_| {
            socket(43, libc::SOCK_STREAM, 0)
        })
        .disturbs(Disturbs::LoadsModule("SMC"))
        .needs(Needs::Machine("SMC")),
        Attempt::new(
            "to-the-host",
            "Opens a socket to the virtual machine's host.",
            Answer,
            |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        )
        .disturbs(Disturbs::LoadsModule("AF_VSOCK"))
        .needs(Needs::Machine("vsock")),
        Attempt::new("ciphers", "Opens a socket of the kernel's ciphers.", Answer, |_| {
            socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
        })
        .disturbs(Disturbs::LoadsModule("ALG"))
        .needs(Needs::Machine("AF_ALG")),
        Attempt::new("bluetooth", "Opens a socket of Bluetooth.", Answer, |_| {
            socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)
        })
        .disturbs(Disturbs::LoadsModule("HCI"))
        .needs(Needs::Machine("Bluetooth")),
        Attempt::new("express", "Opens a socket of express data paths.", Answer, |_| {
            socket(libc::AF_XDP, libc::SOCK_RAW, 0)
        })
        .disturbs(Disturbs::LoadsModule("XDP"))
        .needs(Needs::Machine("AF_XDP, and a privileged user")),
        Attempt::new(
            "sockets-listed",
            "Asks for everybody's sockets (`sock_diag`).",
            Answer,
            |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG),
        )
        .needs(Needs::Machine("sock_diag")),
        Attempt::new("device-events", "Listens to the kernel's device events.", Answer, |_| {
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT)
        }),
        Attempt::new("generic-netlink", "Opens the kernel's generic netlink.", Answer, |_| {
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC)
        }),
        Attempt::new("audit-netlink", "Opens the kernel's audit.", Answer, |_| {
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT)
        })
        .needs(Needs::Machine("audit")),
        Attempt::new("address-added", "Gives a device another address (netlink).", Answer, |_| {
            let kind = libc::SOCK_RAW;
            let route = owned(call!(libc::SYS_socket, libc::AF_NETLINK, kind, 0))?;
            // `RTM_NEWROUTE` without anything: whoever may not is told so first.
            let mut message = [0u32; 7];
            message[0] = 28;
            message[1] = 24 | (5 << 16);
            call!(libc::SYS_write, route.as_raw_fd(), message.as_ptr(), 28)?;
            let answer = read_all(&route)?;
            let error =
                answer.get(16..20).and_then(|it| it.try_into().ok()).map(i32::from_ne_bytes);
            match error {
                Some(error) if error == -libc::EPERM => Err(io::Error::from_raw_os_error(-error)),
                _ => NOTHING,
            }
        })
        .needs(Needs::Root),
        Attempt::new("by-shell", "Lets bash connect by `/dev/tcp`.", Secret, |p| {
            let port = p.fact("tcp4")?;
            let script = "bash -c 'exec 5<>/dev/tcp/127.0.0.1/$0 && head -c 39 <&5' \"$1\"";
            shell(p, port, script)
        })
        .needs(Needs::Machine("bash")),
        Attempt::new("race-port", "Swaps ports of an address while it connects.", Secret, |p| {
            let own = std::net::TcpListener::bind("127.0.0.1:0")?;
            own.set_nonblocking(true)?;
            let mut harmless = inet(p)?;
            harmless[2..4].copy_from_slice(&own.local_addr()?.port().to_be_bytes());
            race_between(harmless, inet(p)?, || drop(own.accept()))
        }),
        Attempt::new("resolver-datagram", "Sends a datagram to a resolver.", Mark, |p| {
            let resolver: Ipv4Addr = p.number("resolver")?;
            UdpSocket::bind("127.0.0.1:0")?.send_to(p.mark().as_bytes(), (resolver, 53))?;
            settle()
        })
        .needs(RESOLVER),
        Attempt::new("resolver-stream", "Asks a resolver over TCP.", Mark, |p| {
            let resolver: Ipv4Addr = p.number("resolver")?;
            let mark = p.mark();
            let length = u16::try_from(mark.len()).map_err(|_| refused("a long mark"))?;
            let query = [&length.to_be_bytes()[..], mark.as_bytes()].concat();
            TcpStream::connect((resolver, 53))?.write_all(&query)?;
            settle()
        })
        .needs(RESOLVER),
        Attempt::new(
            "resolver-then-elsewhere",
            "Connects to a resolver, and then the same socket elsewhere.",
            Secret,
            |p| {
                let socket = stream(0, 0)?;
                let fd = socket.as_raw_fd();
                // Where nothing listens there it is refused, and the socket is as it was.
                let _ = call!(libc::SYS_connect, fd, resolver(p)?.as_ptr(), 16);
                call!(libc::SYS_connect, fd, [0u8; 16].as_ptr(), 16)?;
                call!(libc::SYS_connect, fd, inet(p)?.as_ptr(), 16)?;
                read_all(&socket)
            },
        ),
        Attempt::new(
            "race-resolver",
            "Swaps the address of a resolver for another while it connects.",
            Secret,
            |p| race_between(resolver(p)?, inet(p)?, || ()),
        ),
    ])
}

/// Connects again and again while another thread swaps the address in memory between two, until the
/// second has answered.
fn race_between(harmless: [u8; 16], wanted: [u8; 16], after: impl Fn()) -> Got {
    use std::sync::atomic::{AtomicU8, Ordering};
    let to = wanted.map(AtomicU8::new);
    let got = std::cell::RefCell::new(Vec::new());
    race(
        || {
            for address in [harmless, wanted] {
                for (byte, value) in to.iter().zip(address) {
                    byte.store(value, Ordering::Relaxed);
                }
            }
        },
        || {
            let Ok(socket) = stream(0, 0) else { return };
            let made = call!(libc::SYS_connect, socket.as_raw_fd(), to.as_ptr(), 16);
            after();
            if made.is_ok() && wait(&socket, libc::POLLIN).is_ok() {
                got.borrow_mut().extend(read_all(&socket).unwrap_or_default());
            }
        },
        || !got.borrow().is_empty(),
    )?;
    Ok(got.into_inner())
}

fn hear(to: SocketAddr) -> Got {
    let mut bytes = [0u8; 64];
    let count = TcpStream::connect(to)?.read(&mut bytes)?;
    Ok(bytes[..count].to_vec())
}

fn stream(flags: i32, protocol: i32) -> io::Result<OwnedFd> {
    owned(call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM | flags, protocol))
}

fn datagrams() -> io::Result<OwnedFd> {
    owned(call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0))
}

/// Where datagrams are heard, as the kernel takes it.
fn udp(p: &Place) -> io::Result<[u8; 16]> {
    let mut address = inet(p)?;
    address[2..4].copy_from_slice(&p.number::<u16>("udp4")?.to_be_bytes());
    Ok(address)
}

fn send_message(socket: &OwnedFd, to: &[u8; 16], bytes: &[u8]) -> io::Result<i64> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zeroes is a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    call!(libc::SYS_sendmsg, socket.as_raw_fd(), &raw const message, 0)
}

fn socket(family: i32, kind: i32, protocol: i32) -> Got {
    owned(call!(libc::SYS_socket, family, kind, protocol)).and(NOTHING)
}

/// The server's address, as the kernel takes it.
fn inet(p: &Place) -> io::Result<[u8; 16]> {
    let mut address = [0u8; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&p.number::<u16>("tcp4")?.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    Ok(address)
}

/// Where names are looked up, as the kernel takes it; something may listen there.
fn resolver(p: &Place) -> io::Result<[u8; 16]> {
    let mut address = inet(p)?;
    address[2..4].copy_from_slice(&53u16.to_be_bytes());
    Ok(address)
}

fn wait(socket: &OwnedFd, events: i16) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // SAFETY: one entry, and it outlives the call.
    match check(unsafe { libc::poll(&raw mut poll, 1, 50) })? {
        0 => Err(refused("nothing came")),
        _ => Ok(()),
    }
}

/// Gives the server a moment to receive what was sent.
fn settle() -> Got {
    std::thread::sleep(std::time::Duration::from_millis(30));
    NOTHING
}
