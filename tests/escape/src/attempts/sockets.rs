//! Sockets of programs outside, by file and by abstract name, and what is shared by key or name.

use crate::Told::{Mark, Secret};
use crate::attempts::files::race;
use crate::stage::{Address, abstract_address, address};
use crate::sys::{
    Got, NOTHING, by_descriptor, call, check, open, owned, read_all, refused, shell, text,
    write_all, write_mark,
};
use crate::{Attempt, Needs, Place};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("file-stream", "Connects to a socket file.", Secret, |p| hear(&server(p))),
        Attempt::new("file-packet", "Connects to a socket file of packets.", Secret, |p| {
            let path = p.other().join("run/packet");
            let socket = connected(libc::SOCK_SEQPACKET, &address(&path)?)?;
            read_all(&socket)
        }),
        Attempt::new("file-datagram", "Sends a datagram to a socket file.", Mark, |p| {
            UnixDatagram::unbound()?.send_to(p.mark().as_bytes(), datagrams(p)).and(NOTHING)
        }),
        Attempt::new("file-datagram-connected", "Connects for datagrams, and sends.", Mark, |p| {
            let socket = UnixDatagram::unbound()?;
            socket.connect(datagrams(p))?;
            socket.send(p.mark().as_bytes()).and(NOTHING)
        }),
        Attempt::new("file-datagram-pair", "Sends from one half of a pair.", Mark, |p| {
            let (one, _other) = UnixDatagram::pair()?;
            one.send_to(p.mark().as_bytes(), datagrams(p)).and(NOTHING)
        }),
        Attempt::new("file-datagram-many", "Sends several at once by `sendmmsg`.", Mark, |p| {
            let socket = UnixDatagram::unbound()?;
            let ((to, length), mark) = (address(&datagrams(p))?, p.mark());
            // SAFETY: all zeroes are valid, and every pointer is to a value that outlives the call.
            unsafe {
                let mut part =
                    libc::iovec { iov_base: mark.as_ptr().cast_mut().cast(), iov_len: mark.len() };
                let mut message: libc::mmsghdr = std::mem::zeroed();
                message.msg_hdr.msg_name = (&raw const to).cast_mut().cast();
                message.msg_hdr.msg_namelen = length;
                message.msg_hdr.msg_iov = &raw mut part;
                message.msg_hdr.msg_iovlen = 1;
                check(libc::sendmmsg(socket.as_raw_fd(), &raw mut message, 1, 0)).and(NOTHING)
            }
        }),
        Attempt::new("file-by-link", "Connects to a link to the socket.", Secret, |p| {
            let link = short(p)?.join("link");
            symlink(server(p), &link)?;
            hear(Path::new("link"))
        }),
        Attempt::new("file-by-folder-link", "Connects by a link to its folder.", Secret, |p| {
            symlink(p.other(), short(p)?.join("l"))?;
            hear(Path::new("l/run/stream"))
        }),
        Attempt::new("file-by-descriptor", "Connects by an `O_PATH` descriptor.", Secret, |p| {
            hear(&by_descriptor(&open(server(p), libc::O_PATH)?))
        }),
        Attempt::new("file-by-root", "Connects by `/proc/self/root`.", Secret, |p| {
            std::env::set_current_dir("/proc/self/root")?;
            let path = server(p);
            hear(path.strip_prefix("/").unwrap_or(&path))
        }),
        Attempt::new("file-by-chdir", "Connects by name from its folder.", Secret, |p| {
            std::env::set_current_dir(p.other().join("run"))?;
            hear(Path::new("stream"))
        }),
        Attempt::new("file-hard-link", "Gives the socket a name in the workspace.", Secret, |p| {
            fs::hard_link(server(p), short(p)?.join("s"))?;
            hear(Path::new("s"))
        }),
        Attempt::new("file-renamed", "Renames the socket into the workspace.", Secret, |p| {
            fs::rename(server(p), short(p)?.join("s"))?;
            hear(Path::new("s"))
        }),
        Attempt::new(
            "file-in-workspace",
            "Connects to a daemon's socket in the workspace.",
            Secret,
            |p| {
                std::env::set_current_dir(p.work())?;
                hear(Path::new("daemon.sock"))
            },
        ),
        Attempt::new("file-by-thread", "Connects without waiting, then polls.", Secret, |p| {
            let (to, length) = address(&server(p))?;
            let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
            let socket = owned(call!(libc::SYS_socket, libc::AF_UNIX, kind, 0))?;
            call!(libc::SYS_connect, socket.as_raw_fd(), &raw const to, length)?;
            let mut poll =
                libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, and it outlives the call.
            unsafe { libc::poll(&raw mut poll, 1, 1000) };
            read_all(&socket)
        }),
        Attempt::new("file-bus", "Greets a bus as D-Bus has it.", Mark, |p| {
            let mut bus = UnixStream::connect(server(p))?;
            write!(bus, "\0AUTH EXTERNAL {}\r\n", p.mark()).and(NOTHING)
        }),
        Attempt::new("descriptor-passed", "Is passed a descriptor over a socket.", Secret, |p| {
            let socket = connected(libc::SOCK_STREAM, &address(&server(p))?)?;
            read_all(&passed(&socket)?)
        }),
        Attempt::new("file-by-shell", "Lets another program connect.", Secret, |p| {
            let script = "exec perl -MIO::Socket::UNIX -e \
            '$s = IO::Socket::UNIX->new(Peer => shift) or die \"$!\\n\"; sysread $s, $b, 99; \
             print $b' \"$1\"";
            shell(p, server(p), script)
        })
        .needs(Needs::Machine("perl")),
        Attempt::new("abstract-stream", "Connects to an abstract name.", Secret, |p| {
            let to = abstract_address(p.fact("abstract-stream")?)?;
            read_all(&connected(libc::SOCK_STREAM, &to)?)
        }),
        Attempt::new("abstract-packet", "Connects to an abstract name of packets.", Secret, |p| {
            let to = abstract_address(p.fact("abstract-packet")?)?;
            read_all(&connected(libc::SOCK_SEQPACKET, &to)?)
        }),
        Attempt::new("abstract-datagram", "Sends a datagram to an abstract name.", Mark, |p| {
            let (to, length) = abstract_address(p.fact("abstract-datagram")?)?;
            let socket = UnixDatagram::unbound()?;
            let (fd, mark) = (socket.as_raw_fd(), p.mark());
            let (from, size) = (mark.as_ptr(), mark.len());
            call!(libc::SYS_sendto, fd, from, size, 0, &raw const to, length).and(NOTHING)
        }),
        Attempt::new("abstract-bound", "Binds a name first, then connects.", Secret, |p| {
            let own = abstract_address(&format!("{}-own", p.fact("abstract-stream")?))?;
            let to = abstract_address(p.fact("abstract-stream")?)?;
            let socket = owned(call!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0))?;
            call!(libc::SYS_bind, socket.as_raw_fd(), &raw const own.0, own.1)?;
            call!(libc::SYS_connect, socket.as_raw_fd(), &raw const to.0, to.1)?;
            read_all(&socket)
        }),
        Attempt::new("race-address", "Swaps two paths while it connects.", Secret, |p| {
            let folder = short(p)?;
            let own = UnixListener::bind("own")?;
            own.set_nonblocking(true)?;
            let (link, next) = (folder.join("link"), folder.join("next"));
            let got = std::cell::RefCell::new(Vec::new());
            race(
                || {
                    for target in [folder.join("own"), server(p)] {
                        // It may be in the middle of the other.
                        let _ = symlink(target, &next);
                        let _ = fs::rename(&next, &link);
                    }
                },
                || {
                    let mut bytes = [0u8; 64];
                    let Ok(mut socket) = UnixStream::connect("link") else { return };
                    // What came to its own server ends at once; the other's words take a moment.
                    drop(own.accept());
                    let patience = std::time::Duration::from_millis(200);
                    if socket.set_read_timeout(Some(patience)).is_ok()
                        && let Ok(count) = socket.read(&mut bytes)
                    {
                        got.borrow_mut().extend_from_slice(&bytes[..count]);
                    }
                },
                || !got.borrow().is_empty(),
            )?;
            Ok(got.into_inner())
        }),
        Attempt::new("pipe-written", "Writes a named pipe of another program.", Mark, |p| {
            let pipe = open(p.other().join("run/fifo"), libc::O_WRONLY | libc::O_NONBLOCK)?;
            write_all(&pipe, &p.mark())
        }),
        Attempt::new("memory-by-number", "Attaches System V memory by its number.", Secret, |p| {
            let id: i32 = p.number("shared-memory")?;
            let at = call!(libc::SYS_shmat, id, 0, libc::SHM_RDONLY)?;
            // SAFETY: the segment is a page, just attached.
            Ok(unsafe { std::slice::from_raw_parts(at as usize as *const u8, 64) }.to_vec())
        }),
        Attempt::new("memory-found", "Finds it in the list of all System V memory.", Secret, |p| {
            let wanted: i64 = p.number("shared-memory")?;
            let mut information = [0u64; 32];
            let to = information.as_mut_ptr();
            // `SHM_INFO` and `SHM_STAT`
            let last = call!(libc::SYS_shmctl, 0, 14, to)?;
            let mut found = (0..=last).filter_map(|at| call!(libc::SYS_shmctl, at, 13, to).ok());
            let id = found.find(|id| *id == wanted).ok_or_else(|| refused("it is not listed"))?;
            let at = call!(libc::SYS_shmat, id, 0, libc::SHM_RDONLY)?;
            // SAFETY: the segment is a page, just attached.
            Ok(unsafe { std::slice::from_raw_parts(at as usize as *const u8, 64) }.to_vec())
        }),
        Attempt::new("messages-copied", "Takes a message of a System V queue.", Secret, |p| {
            let id: i32 = p.number("messages")?;
            let mut message = [0u8; 128];
            let to = message.as_mut_ptr();
            call!(libc::SYS_msgrcv, id, to, 120, 0, libc::IPC_NOWAIT)?;
            Ok(message.to_vec())
        }),
        Attempt::new("semaphore", "Raises a System V semaphore.", Mark, |p| {
            let id: i32 = p.number("semaphore")?;
            // `struct sembuf`: which, by how much, how.
            let operation = [0i16, 1, 0];
            call!(libc::SYS_semop, id, operation.as_ptr(), 1).and(NOTHING)
        }),
        Attempt::new("queue", "Sends to a POSIX message queue.", Mark, |p| {
            let name = text(&p.fact("queue")?[1..])?;
            let none = std::ptr::null::<u8>();
            let queue = owned(call!(libc::SYS_mq_open, name.as_ptr(), libc::O_WRONLY, 0, none))?;
            let mark = p.mark();
            let (fd, from, size) = (queue.as_raw_fd(), mark.as_ptr(), mark.len());
            call!(libc::SYS_mq_timedsend, fd, from, size, 0, none).and(NOTHING)
        })
        .needs(Needs::Machine("POSIX message queues")),
        Attempt::new("shared-name", "Opens POSIX shared memory by its name.", Secret, |p| {
            fs::read(Path::new("/dev/shm").join(shared_name(p)))
        })
        .needs(Needs::Machine("/dev/shm")),
        Attempt::new("shared-written", "Makes shared memory that others would open.", Mark, |p| {
            let file = Path::new("/dev/shm").join(format!("{}-{}", shared_name(p), p.name()));
            write_mark(p, &file)
        })
        .needs(Needs::Machine("/dev/shm")),
    ])
}

fn shared_name(p: &Place) -> String {
    p.base().file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

fn server(p: &Place) -> PathBuf {
    p.other().join("run/stream")
}

fn datagrams(p: &Place) -> PathBuf {
    p.other().join("run/datagram")
}

/// This attempt's folder, which is entered: names of sockets are short.
fn short(p: &Place) -> io::Result<PathBuf> {
    let folder = p.scratch()?;
    std::env::set_current_dir(&folder)?;
    Ok(folder)
}

fn hear(path: &Path) -> Got {
    let mut bytes = [0u8; 64];
    let count = UnixStream::connect(path)?.read(&mut bytes)?;
    Ok(bytes[..count].to_vec())
}

fn connected(kind: i32, (to, length): &Address) -> io::Result<OwnedFd> {
    let socket = owned(call!(libc::SYS_socket, libc::AF_UNIX, kind, 0))?;
    call!(libc::SYS_connect, socket.as_raw_fd(), &raw const *to, *length)?;
    Ok(socket)
}

/// A descriptor that comes with a message.
pub(crate) fn passed(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let (mut bytes, mut control) = ([0u8; 64], [0u64; 8]);
    // SAFETY: all zeroes are valid, every pointer is to a value that outlives the call, and the
    // control data are read as far as the kernel says that it wrote them.
    unsafe {
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        check(libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) as i64)?;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() {
            return Err(refused("no descriptor came"));
        }
        let fd = libc::CMSG_DATA(header).cast::<i32>().read_unaligned();
        owned(Ok(fd.into()))
    }
}
