//! Servers of the machine, outside of any session: what connects to them gets the secret and a
//! descriptor on it, and what they receive is kept.

use crate::place::Place;
use crate::sys::{check, text};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// All of them, in one thread.
#[derive(Debug)]
pub(crate) struct Servers {
    received: Arc<Mutex<Vec<u8>>>,
    stop: Option<io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Connections are accepted; over a Unix socket they get a descriptor, too.
    Listener {
        unix: bool,
    },
    /// What arrives is kept.
    Peer,
    /// An SSH agent, and who asks it: what arrives is kept and answered.
    Agent,
    Asker,
}

impl Servers {
    /// Starts them, and tells where they are.
    pub(crate) fn start(place: &mut Place, secret: &str) -> io::Result<Self> {
        let run = place.other().join("run");
        let name = place.base().file_name().map(|it| it.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let mut sockets = Vec::new();
        let (stream, packet, datagram) =
            (libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM);
        let files = [
            (run.join("stream"), stream),
            (run.join("packet"), packet),
            (run.join("datagram"), datagram),
            (place.work().join("daemon.sock"), stream),
        ];
        for (path, kind) in files {
            sockets.push(unix(&address(&path)?, kind)?);
        }
        let (agent, _) = unix(&address(&super::ssh::agent(place))?, stream)?;
        sockets.push((agent, Kind::Agent));
        for (word, kind) in [("stream", stream), ("packet", packet), ("datagram", datagram)] {
            let name = format!("{name}-{word}");
            sockets.push(unix(&abstract_address(&name)?, kind)?);
            place.set(format!("abstract-{word}"), name);
        }
        for (key, family, kind) in [
            ("tcp4", libc::AF_INET, stream),
            ("tcp6", libc::AF_INET6, stream),
            ("udp4", libc::AF_INET, datagram),
            ("udp6", libc::AF_INET6, datagram),
        ] {
            // A machine may have no IPv6.
            if let Ok((socket, port)) = inet(family, kind) {
                sockets.push((
                    socket,
                    if kind == stream { Kind::Listener { unix: false } } else { Kind::Peer },
                ));
                place.set(key, port);
            }
        }
        // Nor does everybody get the port of a resolver.
        if let Ok((address, own)) = resolver(secret) {
            sockets.extend(own);
            place.set("resolver", address);
        }
        // Nor UDP-Lite.
        if let Ok((socket, port)) = lite() {
            sockets.push((socket, Kind::Peer));
            place.set("lite4", port);
        }
        let fifo = run.join("fifo");
        let path = text(&fifo)?;
        // SAFETY: the path ends with NUL.
        check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })?;
        let fifo = File::options().read(true).write(true).open(fifo)?;
        sockets.push((fifo.into(), Kind::Peer));

        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        let inherited = super::held::inheritable(one.as_raw_fd())?;
        place.set("inherited-socket", inherited.as_raw_fd());
        sockets.push((other.into(), Kind::Peer));

        let received = Arc::new(Mutex::new(Vec::new()));
        let (stopped, stop) = io::pipe()?;
        let watched = place.other().join("watched").join(secret);
        let work = Work {
            received: Arc::clone(&received),
            banner: secret.to_owned(),
            file: File::open(place.secret())?,
            watched: watched.display().to_string(),
            later: place.work().join("later").display().to_string(),
            _inherited: inherited,
        };
        let thread = std::thread::spawn(move || work.serve(sockets, &stopped));
        Ok(Self { received, stop: Some(stop), thread: Some(thread) })
    }

    /// Everything that was received so far, in the order of its arrival.
    pub(crate) fn received(&self) -> String {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&received).into_owned()
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself, whatever became of it.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Work {
    received: Arc<Mutex<Vec<u8>>>,
    banner: String,
    file: File,
    watched: String,
    later: String,
    _inherited: OwnedFd,
}

impl Work {
    /// Serves until the other end of `stopped` is closed.
    fn serve(&self, mut sockets: Vec<(OwnedFd, Kind)>, stopped: &io::PipeReader) {
        loop {
            let fds = [stopped.as_raw_fd()].into_iter();
            let fds = fds.chain(sockets.iter().map(|(socket, _)| socket.as_raw_fd()));
            let mut fds: Vec<_> =
                fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
            // SAFETY: the list and its length belong together. Now and then, a name appears.
            unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, 20) };
            if fds[0].revents != 0 {
                return;
            }
            self.tick();
            let ready: Vec<bool> = fds[1..].iter().map(|it| it.revents != 0).collect();
            let mut new = Vec::new();
            let mut at = 0;
            sockets.retain(|(socket, kind)| {
                at += 1;
                match (ready[at - 1], kind) {
                    (false, _) => true,
                    (true, Kind::Listener { unix }) => {
                        new.extend(self.accept(socket, *unix));
                        true
                    }
                    (true, Kind::Peer) => self.keep(socket).is_some(),
                    (true, Kind::Agent) => {
                        new.extend(accepted(socket).map(|peer| (peer, Kind::Asker)));
                        true
                    }
                    (true, Kind::Asker) => self.keep(socket).is_some_and(|asked| {
                        send(socket, &super::ssh::answers(&asked, &self.banner), None);
                        true
                    }),
                }
            });
            sockets.extend(new);
        }
    }

    /// A name that holds the secret comes and goes where nobody may watch, and a denied file comes
    /// into being once its folder is there.
    fn tick(&self) {
        // The world may be going away.
        let _ = match Path::new(&self.watched).exists() {
            true => fs::remove_file(&self.watched),
            false => fs::write(&self.watched, ""),
        };
        if Path::new(&self.later).is_dir() {
            let _ = fs::write(format!("{}/secret", self.later), &self.banner);
        }
    }

    fn accept(&self, listener: &OwnedFd, unix: bool) -> Option<(OwnedFd, Kind)> {
        let peer = accepted(listener)?;
        send(&peer, self.banner.as_bytes(), unix.then_some(&self.file));
        Some((peer, Kind::Peer))
    }

    /// Keeps what has arrived, and gives it; `None` where no more may come.
    fn keep(&self, peer: &OwnedFd) -> Option<Vec<u8>> {
        let mut bytes = [0u8; 4096];
        // SAFETY: buffer and length belong together.
        let got = unsafe {
            libc::fcntl(peer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
            libc::read(peer.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len())
        };
        let Ok(got @ 1..) = usize::try_from(got) else {
            let more = io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock && got < 0;
            return more.then(Vec::new);
        };
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.extend_from_slice(&bytes[..got]);
        Some(bytes[..got].to_vec())
    }
}

fn accepted(listener: &OwnedFd) -> Option<OwnedFd> {
    // SAFETY: takes a number and two pointers that may be null; the descriptor is ours.
    unsafe {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let none = std::ptr::null_mut();
        let fd = libc::accept4(listener.as_raw_fd(), none, none.cast(), flags);
        check(fd).ok()?;
        Some(OwnedFd::from_raw_fd(fd))
    }
}

/// Sends bytes, and a descriptor if there is one.
fn send(peer: &OwnedFd, bytes: &[u8], file: Option<&File>) {
    let Some(file) = file else {
        // SAFETY: buffer and length belong together. Whoever connected may have gone.
        unsafe {
            let length = bytes.len();
            libc::send(peer.as_raw_fd(), bytes.as_ptr().cast(), length, libc::MSG_NOSIGNAL);
        }
        return;
    };
    // SAFETY: the message, its vector and its control buffer outlive the call, and the buffer has
    // room for one descriptor.
    unsafe {
        let mut vector =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 4];
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<i32>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(file.as_raw_fd());
        libc::sendmsg(peer.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL);
    }
}

/// Listens where a resolver would, at an address of loopback that no other stage has.
fn resolver(secret: &str) -> io::Result<(Ipv4Addr, [(OwnedFd, Kind); 2])> {
    let of_a_stage = secret.bytes().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
    let address = Ipv4Addr::from_bits(0x7f40_0000 | of_a_stage & 0x003f_ffff);
    let streams = TcpListener::bind((address, 53))?;
    let datagrams = UdpSocket::bind((address, 53))?;
    let own = [(streams.into(), Kind::Listener { unix: false }), (datagrams.into(), Kind::Peer)];
    Ok((address, own))
}

/// An address of a Unix socket with its length.
pub(crate) type Address = (libc::sockaddr_un, libc::socklen_t);

/// A socket file's address.
pub(crate) fn address(path: &Path) -> io::Result<Address> {
    use std::os::unix::ffi::OsStrExt;
    from_bytes(path.as_os_str().as_bytes(), 1)
}

pub(crate) fn abstract_address(name: &str) -> io::Result<Address> {
    from_bytes(&[b"\0", name.as_bytes()].concat(), 0)
}

fn from_bytes(bytes: &[u8], end: usize) -> io::Result<Address> {
    // SAFETY: all zeroes are a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if bytes.len() + end > address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok((address, (size_of::<libc::sa_family_t>() + bytes.len() + end) as libc::socklen_t))
}

fn unix((address, length): &Address, kind: i32) -> io::Result<(OwnedFd, Kind)> {
    // SAFETY: address and length belong together; the descriptor is ours.
    unsafe {
        let socket = check(libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0))? as i32;
        let socket = OwnedFd::from_raw_fd(socket);
        check(libc::bind(socket.as_raw_fd(), (&raw const *address).cast(), *length))?;
        if kind == libc::SOCK_DGRAM {
            return Ok((socket, Kind::Peer));
        }
        check(libc::listen(socket.as_raw_fd(), 128))?;
        Ok((socket, Kind::Listener { unix: true }))
    }
}

fn inet(family: i32, kind: i32) -> io::Result<(OwnedFd, u16)> {
    if kind == libc::SOCK_STREAM {
        let listener = match family {
            libc::AF_INET => TcpListener::bind("127.0.0.1:0")?,
            _ => TcpListener::bind("[::1]:0")?,
        };
        let port = listener.local_addr()?.port();
        let waiting = 16i32;
        // SAFETY: the option is an int. Without it, fast open falls back to a plain connection.
        unsafe {
            let (value, size) = ((&raw const waiting).cast(), size_of::<i32>() as u32);
            libc::setsockopt(listener.as_raw_fd(), libc::SOL_TCP, libc::TCP_FASTOPEN, value, size);
        }
        return Ok((listener.into(), port));
    }
    let socket = match family {
        libc::AF_INET => UdpSocket::bind("127.0.0.1:0")?,
        _ => UdpSocket::bind("[::1]:0")?,
    };
    let port = socket.local_addr()?.port();
    Ok((socket.into(), port))
}

/// A server of UDP-Lite.
fn lite() -> io::Result<(OwnedFd, u16)> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: all zeroes are a valid address; it and its length outlive the calls.
    unsafe {
        let fd = check(libc::socket(libc::AF_INET, kind, libc::IPPROTO_UDPLITE))? as i32;
        let socket = OwnedFd::from_raw_fd(fd);
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        check(libc::bind(fd, (&raw const address).cast(), length))?;
        check(libc::getsockname(fd, (&raw mut address).cast(), &raw mut length))?;
        Ok((socket, u16::from_be(address.sin_port)))
    }
}
