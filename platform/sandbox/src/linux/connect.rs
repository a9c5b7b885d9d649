//! Connections, made by the supervisor on the agent's own socket.
//!
//! The address is copied once, judged, and connected from that copy on a duplicate of the very
//! socket (`pidfd_getfd(2)`), so no other thread of the session can swap the address, the
//! descriptor or the path after it was judged. The agent's call never runs in the kernel.

use super::image;
use super::local;
use super::lookups::Lookups;
use super::notify::{Listener, Question};
use super::paths;
use super::sys::{self, Errno, Result};
use crate::carried::Carried;
use crate::enforce::Target;
use crate::plan::system::{SHARED_MEMORY, TEMPORARY};
use crate::plan::{Access, Network, Plan, Relay, Tier};
use std::ffi::{CString, OsStr};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More connections than this at once are told to try again.
const MOST_AT_ONCE: usize = 256;

/// What a session may connect to, derived from its plan.
#[derive(Debug)]
pub(super) struct Reach {
    inet: Inet,
    /// Abstract names belong to the network namespace.
    abstract_names: bool,
    /// Folders whose socket files are the session's own.
    writable: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    /// The supervisor's own, held so that no other file gets their numbers.
    sockets: Vec<OwnedFd>,
    uid: u32,
    /// The session's first process.
    top: i32,
    /// Where what connects to an address that stands for a name goes instead, and who is told.
    carried: Option<(Arc<Carried>, SocketAddrV4)>,
    /// Where sockets for datagrams lead that look names up.
    lookups: Option<Lookups>,
    busy: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Inet {
    /// The session's own network, in which everything is its own.
    Loopback,
    /// The machine's network.
    Anything,
    /// The machine's network, these addresses only.
    Only(Vec<SocketAddr>),
}

/// A refusal: what the caller is told, and what is recorded.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) errno: Errno,
    /// Nothing is recorded where the call would have failed without Chaperone.
    pub(super) target: Option<Target>,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self { errno, target: None }
    }
}

impl Reach {
    /// Relay hosts that are names are resolved here, in the reduced tier only: there the agent
    /// dials them itself.
    pub(super) fn new(
        plan: &Plan,
        top: i32,
        carried: &Arc<Carried>,
        lookups: Option<Lookups>,
    ) -> Self {
        let full = plan.tier == Tier::Full;
        let inet = match &plan.network {
            Network::Direct => Inet::Anything,
            Network::None { .. } | Network::Proxy { .. } if full => Inet::Loopback,
            Network::None { relays } => Inet::Only(relays.iter().flat_map(dialled).collect()),
            // Only what is on loopback is dialled: all else has the proxy.
            Network::Proxy { relays, listen, carried: _ } => {
                let here = relays.iter().filter(|relay| relay.is_of_loopback());
                Inet::Only(here.flat_map(dialled).chain([SocketAddr::V4(*listen)]).collect())
            }
        };
        let private = TEMPORARY.into_iter().chain([SHARED_MEMORY]).filter(|_| full);
        let writable = plan
            .grants
            .iter()
            .filter(|grant| grant.access == Access::Write)
            .map(|grant| grant.path.clone())
            .chain(private.map(PathBuf::from))
            .chain([plan.temp.clone()])
            .collect();
        Self {
            abstract_names: matches!(inet, Inet::Loopback),
            inet,
            writable,
            hidden: plan.hidden.clone(),
            // One that cannot be opened is not reached.
            sockets: plan.sockets.iter().filter_map(|path| hold(path).ok()).collect(),
            // SAFETY: takes nothing and cannot fail.
            uid: unsafe { libc::geteuid() },
            top,
            carried: plan.network.carried().map(|at| (Arc::clone(carried), at)),
            lookups,
            busy: Arc::default(),
        }
    }

    /// Judges and makes the connection, and answers the question, now or from a thread. What is refused
    /// is left to be answered.
    pub(super) fn connect(
        &self,
        listener: &Listener,
        question: &Question,
    ) -> std::result::Result<(), Refused> {
        let connection = self.prepare(listener, question)?;
        self.carry_out(listener, question, connection);
        Ok(())
    }

    fn prepare(
        &self,
        listener: &Listener,
        question: &Question,
    ) -> std::result::Result<Connection, Refused> {
        let [fd, address, length, ..] = question.arguments;
        // `socklen_t` and descriptors are 32 bits.
        let length = length as u32 as usize;
        let mut bytes = vec![0u8; length.min(size_of::<libc::sockaddr_storage>())];
        if bytes.len() != length || length < size_of::<libc::sa_family_t>() {
            return Err(Errno(libc::EINVAL).into());
        }
        if image::read_memory(question.tid, address, &mut bytes)? != bytes.len() {
            return Err(Errno(libc::EFAULT).into());
        }
        let process = sys::pidfd_open(thread_group(question.tid)?)?;
        let socket = sys::pidfd_getfd(&process, fd as i32)?;
        if !listener.valid(question) {
            return Err(Errno(libc::ESRCH).into());
        }
        let kind = option(&socket, libc::SO_TYPE)?;
        let stream = kind == libc::SOCK_STREAM;
        match parse(&bytes)? {
            Parsed::Unspecified => {}
            Parsed::Inet(address) => {
                if let (Some(lookups), libc::SOCK_SEQPACKET) = (&self.lookups, kind) {
                    let address = lookups.towards(address)?;
                    return Ok(Connection { socket, address, wish: None, _file: None });
                }
                if let Some((address, wish)) = self.carry(&socket, question.tid, address, stream)? {
                    return Ok(Connection { socket, address, wish: Some(wish), _file: None });
                }
                self.judge_inet(address, stream)?;
            }
            Parsed::Abstract(name) => {
                if !self.abstract_names {
                    let target = Some(Target::Abstract(name));
                    return Err(Refused { errno: Errno(libc::ECONNREFUSED), target });
                }
            }
            Parsed::Path(path) => {
                let file = self.judge_path(question.tid, &path)?;
                let address = by_descriptor(&file);
                return Ok(Connection { socket, address, wish: None, _file: Some(file) });
            }
        }
        Ok(Connection { socket, address: bytes, wish: None, _file: None })
    }

    /// Where a stream goes instead that wants to leave the session, and what is said of it: to an
    /// address outside, or one that stands for a name, or to look one up. Its own address is settled
    /// first, by which the supervisor will know it.
    fn carry(
        &self,
        socket: &OwnedFd,
        tid: i32,
        to: SocketAddr,
        stream: bool,
    ) -> std::result::Result<Option<(Vec<u8>, Wish)>, Refused> {
        let (Some((carried, arrivals)), true) = (&self.carried, stream) else { return Ok(None) };
        let plain = SocketAddr::new(to.ip().to_canonical(), to.port());
        let wanted = if self.looks_up(plain) {
            Carried::RESOLVER.into()
        } else if is_own(plain.ip()) {
            return Ok(None);
        } else {
            plain
        };
        let is_v6 = to.is_ipv6();
        let at = |address: SocketAddrV4| match is_v6 {
            true => SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port()),
            false => SocketAddr::V4(address),
        };
        let mut from = own_port(socket)?;
        if from == 0 {
            let any = bytes_of(at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)));
            // SAFETY: pointer and length are of one vector.
            sys::check(unsafe {
                let length = any.len() as libc::socklen_t;
                libc::bind(socket.as_raw_fd(), any.as_ptr().cast(), length)
            })?;
            from = own_port(socket)?;
        }
        let wish = Wish { carried: Arc::clone(carried), from, to: wanted, tid };
        Ok(Some((bytes_of(at(*arrivals)), wish)))
    }

    /// Whether this is a resolver of the machine's, which is not for the session to ask. In a
    /// network of its own there is none.
    fn looks_up(&self, to: SocketAddr) -> bool {
        matches!(&self.inet, Inet::Only(addresses)
            if to.port() == Carried::RESOLVER.port() && !addresses.contains(&to) && !self.serves(to))
    }

    fn judge_inet(&self, address: SocketAddr, stream: bool) -> std::result::Result<(), Refused> {
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        let (allowed, errno) = match &self.inet {
            Inet::Anything => (true, 0),
            // What the empty network would say; said here so that it is recorded.
            Inet::Loopback => (is_own(plain.ip()), libc::ENETUNREACH),
            Inet::Only(addresses) => {
                (addresses.contains(&plain) || self.serves(plain), libc::ECONNREFUSED)
            }
        };
        // A datagram socket that is connected sends nothing; resolvers do it to sort addresses.
        let target = stream.then_some(Target::Address(plain));
        if allowed { Ok(()) } else { Err(Refused { errno: Errno(errno), target }) }
    }

    /// Finds the socket file as the agent would, and holds it. Only what lies in a folder that
    /// the session can write is its own; daemons of the machine listen elsewhere.
    fn judge_path(&self, tid: i32, path: &Path) -> std::result::Result<OwnedFd, Refused> {
        let root = root_of(tid)?;
        let absolute = if path.is_absolute() {
            path.to_owned()
        } else {
            let cwd = fs::read_link(format!("/proc/{tid}/cwd"));
            cwd.map_err(|_| Errno(libc::ENOENT))?.join(path)
        };
        let refused =
            |errno| Refused { errno: Errno(errno), target: Some(Target::Socket(absolute.clone())) };
        let file = paths::open_in(&root, &absolute, libc::O_PATH)?;
        if self.is_supervisors(&file)? {
            return Ok(file);
        }
        let found = paths::real(&file)?;
        let within = |folders: &[PathBuf]| folders.iter().any(|folder| found.starts_with(folder));
        if !within(&self.writable) || within(&self.hidden) {
            return Err(refused(libc::EACCES));
        }
        let stat = sys::stat(file.as_raw_fd())?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFSOCK {
            return Err(Errno(libc::ECONNREFUSED).into());
        }
        if !self.listens_inside(&file) {
            return Err(refused(libc::ECONNREFUSED));
        }
        // A supervisor that is root could open what its agent, without capabilities, cannot.
        if stat.st_uid != self.uid && stat.st_mode & libc::S_IWOTH == 0 {
            return Err(refused(libc::EACCES));
        }
        Ok(file)
    }

    /// Whether it is the very file that the supervisor made for the session, by whatever name.
    fn is_supervisors(&self, file: &OwnedFd) -> Result<bool> {
        if self.sockets.is_empty() {
            return Ok(false);
        }
        let found = sys::stat(file.as_raw_fd())?;
        let is = |own: &OwnedFd| {
            sys::stat(own.as_raw_fd())
                .is_ok_and(|own| (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
        };
        Ok(self.sockets.iter().any(is))
    }

    /// Whether a server of the session, and nobody else, listens at this address of the machine's
    /// loopback.
    fn serves(&self, address: SocketAddr) -> bool {
        address.ip().is_loopback() && local::held_below(self.top, &local::listening_at(address))
    }

    /// Whether what is bound to this socket file belongs to the session. A daemon of the machine
    /// may have its socket in the workspace, too.
    fn listens_inside(&self, file: &OwnedFd) -> bool {
        match local::bound_to(file) {
            // Sockets of the session's own network are not in this one's list.
            Ok(sockets) if self.abstract_names => sockets.is_empty(),
            Ok(sockets) => local::held_below(self.top, &sockets),
            // A kernel that cannot tell must not make it the session's.
            Err(_) => false,
        }
    }

    /// A socket that does not block is connected at once, any other by a thread that may wait; so is
    /// what is carried, which may be refused first.
    fn carry_out(&self, listener: &Listener, question: &Question, connection: Connection) {
        // SAFETY: takes two numbers.
        let flags = unsafe { libc::fcntl(connection.socket.as_raw_fd(), libc::F_GETFL) };
        if flags & libc::O_NONBLOCK != 0 && connection.wish.is_none() {
            return listener.answer(question, connection.make());
        }
        if self.busy.fetch_add(1, Ordering::Relaxed) >= MOST_AT_ONCE {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            return listener.answer(question, Err(Errno(libc::EAGAIN)));
        }
        let (busy, question) = (Arc::clone(&self.busy), *question);
        let _signals = sys::block_signals();
        let started = listener.share().and_then(|listener| {
            std::thread::Builder::new()
                .name("connect".into())
                .spawn(move || {
                    listener.answer(&question, connection.make());
                    busy.fetch_sub(1, Ordering::Relaxed);
                })
                .map_err(|_| Errno(libc::EAGAIN))
        });
        if let Err(errno) = started {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            listener.answer(&question, Err(errno));
        }
    }
}

/// The addresses that an agent dials which has no relay to dial for it.
fn dialled(relay: &Relay) -> Vec<SocketAddr> {
    let addresses = (relay.host.as_str(), relay.port).to_socket_addrs();
    addresses.map(Iterator::collect).unwrap_or_default()
}

/// A judged connection.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    address: Vec<u8>,
    /// Where it really wants to go.
    wish: Option<Wish>,
    /// What the address names, held open until it is connected.
    _file: Option<OwnedFd>,
}

impl Connection {
    fn make(&self) -> Result<i64> {
        if let Some(Wish { carried, from, to, tid }) = &self.wish {
            if carried.refuses(*to, *tid) {
                return Err(Errno(libc::EACCES));
            }
            carried.expect(*from, *to);
        }
        let length = self.address.len() as libc::socklen_t;
        // SAFETY: pointer and length are of one vector.
        let result = sys::check(unsafe {
            libc::connect(self.socket.as_raw_fd(), self.address.as_ptr().cast(), length)
        });
        result.map(i64::from)
    }
}

/// What the supervisor is told of a connection that arrives at it instead.
#[derive(Debug)]
struct Wish {
    carried: Arc<Carried>,
    /// The port that it comes from.
    from: u16,
    to: SocketAddr,
    /// The thread that connects.
    tid: i32,
}

/// Whether an address is the loopback's, whichever that is.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

enum Parsed {
    /// Dissolves an association; names nobody.
    Unspecified,
    Inet(SocketAddr),
    Path(PathBuf),
    Abstract(String),
}

fn parse(bytes: &[u8]) -> Result<Parsed> {
    let field =
        |from: usize, length: usize| bytes.get(from..from + length).ok_or(Errno(libc::EINVAL));
    let family = u16::from_ne_bytes([bytes[0], bytes[1]]);
    let port = || Ok(u16::from_be_bytes([field(2, 2)?[0], field(2, 2)?[1]]));
    match i32::from(family) {
        libc::AF_UNSPEC => Ok(Parsed::Unspecified),
        libc::AF_INET => {
            let ip: [u8; 4] = field(4, 4)?.try_into().map_err(|_| Errno(libc::EINVAL))?;
            Ok(Parsed::Inet(SocketAddr::new(Ipv4Addr::from(ip).into(), port()?)))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = field(8, 16)?.try_into().map_err(|_| Errno(libc::EINVAL))?;
            Ok(Parsed::Inet(SocketAddr::new(Ipv6Addr::from(ip).into(), port()?)))
        }
        libc::AF_UNIX => match &bytes[2..] {
            [] => Err(Errno(libc::EINVAL)),
            [0, name @ ..] => Ok(Parsed::Abstract(String::from_utf8_lossy(name).into_owned())),
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                Ok(Parsed::Path(PathBuf::from(OsStr::from_bytes(&path[..end]))))
            }
        },
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// The port that a socket is bound to; 0 where it is not yet.
fn own_port(socket: &OwnedFd) -> Result<u16> {
    let mut bytes = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut length = bytes.len() as libc::socklen_t;
    // SAFETY: the length is that of the array.
    sys::check(unsafe {
        libc::getsockname(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut length)
    })?;
    Ok(u16::from_be_bytes([bytes[2], bytes[3]]))
}

/// An address as the kernel takes it (ip(7), ipv6(7)).
fn bytes_of(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    let family = |family: i32| (family as libc::sa_family_t).to_ne_bytes();
    match address.ip() {
        IpAddr::V4(ip) => [&family(libc::AF_INET)[..], &port, &ip.octets(), &[0; 8]].concat(),
        IpAddr::V6(ip) => {
            [&family(libc::AF_INET6)[..], &port, &[0; 4], &ip.octets(), &[0; 4]].concat()
        }
    }
}

fn hold(path: &Path) -> Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno(libc::EINVAL))?;
    sys::open(&path, libc::O_PATH | libc::O_NOFOLLOW)
}

/// The address of a socket file that is held open.
fn by_descriptor(file: &OwnedFd) -> Vec<u8> {
    let mut address = (libc::AF_UNIX as libc::sa_family_t).to_ne_bytes().to_vec();
    address.extend(format!("/proc/self/fd/{}\0", file.as_raw_fd()).into_bytes());
    address
}

/// The process that a thread belongs to.
pub(super) fn thread_group(tid: i32) -> Result<i32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status"));
    status
        .ok()
        .and_then(|text| text.lines().find_map(|l| l.strip_prefix("Tgid:")?.trim().parse().ok()))
        .ok_or(Errno(libc::ESRCH))
}

/// The root folder of a process, held.
pub(super) fn root_of(pid: i32) -> Result<OwnedFd> {
    let path = CString::new(format!("/proc/{pid}/root")).map_err(|_| Errno(libc::EINVAL))?;
    sys::open(&path, libc::O_PATH | libc::O_DIRECTORY)
}

pub(super) fn option(socket: &OwnedFd, name: i32) -> Result<i32> {
    let mut value = 0i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value is an int, as these options are, and its length is given.
    sys::check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    })?;
    Ok(value)
}
