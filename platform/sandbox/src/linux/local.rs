//! Whose socket file it is: asks the kernel which socket is bound to a file (sock_diag(7)), and
//! which process holds that socket.

use super::proc;
use super::sys::{self, Errno, Result};
use crate::enforce::Holder;
use chaperone_policy::Process;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// Numbers of `linux/sock_diag.h` and `linux/unix_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SHOW_VFS: u32 = 1 << 1;
const ATTRIBUTE_VFS: u16 = 1;
const EVERY_STATE: u32 = u32::MAX;

/// `struct nlmsghdr` and `struct unix_diag_req` behind it.
#[repr(C)]
struct Request {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u8,
    protocol: u8,
    pad: u16,
    states: u32,
    inode: u32,
    show: u32,
    cookie: [u32; 2],
}

/// The sockets of this process's network namespace that are bound to this file, by their own
/// inode numbers.
pub(super) fn bound_to(file: &OwnedFd) -> Result<Vec<u32>> {
    let wanted = Wanted::new(file)?;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes three numbers.
    let socket =
        sys::check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) })?;
    // SAFETY: it is new and ours alone.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let request = Request {
        length: size_of::<Request>() as u32,
        kind: SOCK_DIAG_BY_FAMILY,
        flags: (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16,
        sequence: 1,
        port: 0,
        family: libc::AF_UNIX as u8,
        protocol: 0,
        pad: 0,
        states: EVERY_STATE,
        inode: 0,
        show: SHOW_VFS,
        cookie: [u32::MAX; 2],
    };
    // SAFETY: pointer and length are of one structure.
    sys::check(unsafe {
        libc::send(socket.as_raw_fd(), (&raw const request).cast(), size_of::<Request>(), 0)
    })?;
    let mut found = Vec::new();
    let mut buffer = vec![0u8; 32 << 10];
    loop {
        let got = sys::read(socket.as_fd(), &mut buffer)?;
        if !messages(&buffer[..got], &wanted, &mut found)? {
            return Ok(found);
        }
    }
}

/// Goes through one datagram of the answer; whether more follow.
fn messages(mut bytes: &[u8], wanted: &Wanted, found: &mut Vec<u32>) -> Result<bool> {
    const HEADER: usize = 16;
    while bytes.len() >= HEADER {
        let length = word(bytes, 0) as usize;
        let kind = word(bytes, 4) as u16;
        if length < HEADER || length > bytes.len() {
            return Err(Errno(libc::EPROTO));
        }
        match i32::from(kind) {
            libc::NLMSG_DONE => return Ok(false),
            libc::NLMSG_ERROR => return Err(Errno((word(bytes, HEADER) as i32).wrapping_neg())),
            _ => {}
        }
        // `struct unix_diag_msg`, whose second word is the socket's inode; attributes follow.
        const MESSAGE: usize = 16;
        let body = &bytes[HEADER..length];
        if body.len() >= MESSAGE && wanted.is(file(&body[MESSAGE..])) {
            found.push(word(body, 4));
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// A file as the kernel's answer names it.
struct Wanted {
    inode: u32,
    /// Nothing where the file system says another number to users than to the kernel.
    device: Option<u32>,
}

impl Wanted {
    fn new(file: &OwnedFd) -> Result<Self> {
        let stat = sys::stat(file.as_raw_fd())?;
        let mut system = std::mem::MaybeUninit::uninit();
        // SAFETY: fstatfs fills the structure when it succeeds.
        let kind = unsafe {
            sys::check(libc::fstatfs(file.as_raw_fd(), system.as_mut_ptr()))?;
            system.assume_init().f_type
        };
        let differs = [libc::BTRFS_SUPER_MAGIC, libc::OVERLAYFS_SUPER_MAGIC].contains(&kind);
        // As the kernel packs it inside (linux/kdev_t.h).
        let device = libc::major(stat.st_dev) << 20 | libc::minor(stat.st_dev);
        Ok(Self { inode: stat.st_ino as u32, device: (!differs).then_some(device) })
    }

    fn is(&self, file: Option<(u32, u32)>) -> bool {
        file.is_some_and(|(inode, device)| {
            inode == self.inode && self.device.is_none_or(|wanted| wanted == device)
        })
    }
}

/// The inode and device numbers of the file in the attributes of one socket.
fn file(mut attributes: &[u8]) -> Option<(u32, u32)> {
    while attributes.len() >= 8 {
        let header = word(attributes, 0);
        let (length, kind) = ((header & 0xffff) as usize, (header >> 16) as u16);
        if kind == ATTRIBUTE_VFS {
            return Some((word(attributes, 4), word(attributes, 8)));
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    if let Some(part) = bytes.get(at..at + 4) {
        word.copy_from_slice(part);
    }
    u32::from_ne_bytes(word)
}

/// Whether there are such sockets, and processes below `top` hold every one of them.
pub(super) fn held_below(top: i32, sockets: &[u32]) -> bool {
    let mut held: Vec<PathBuf> = Vec::new();
    for process in proc::descendants(top) {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else { continue };
        held.extend(entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()));
    }
    let is_held = |inode: &u32| held.contains(&PathBuf::from(format!("socket:[{inode}]")));
    !sockets.is_empty() && sockets.iter().all(is_held)
}

/// The sockets that would take a TCP connection to this address of the machine, by their inode
/// numbers (proc_pid_net(5)).
pub(super) fn listening_at(address: SocketAddr) -> Vec<u32> {
    const LISTENING: &str = "0A";
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = fs::read_to_string(table) else { continue };
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if let [_, local, _, LISTENING, _, _, _, _, _, inode, ..] = fields[..]
                && let Some(local) = table_address(local)
                && local.port() == address.port()
                && (local.ip().is_unspecified() || local.ip() == address.ip())
            {
                found.extend(inode.parse::<u32>());
            }
        }
    }
    found
}

/// Who below `top` holds the socket of this end of a connection. Where processes share it, the one
/// that was started last is told.
pub(super) fn holder(top: i32, end: SocketAddr) -> Option<Holder> {
    let inode = connected_from(top, end)?;
    let held = PathBuf::from(format!("socket:[{inode}]"));
    let holds = |pid: i32| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| link == held)
    };
    let below: Vec<i32> = proc::descendants(top).iter().map(|process| process.pid).collect();
    Some(asker(below.into_iter().filter(|pid| holds(*pid)).max()?))
}

/// A process as the one who asks.
pub(super) fn asker(pid: i32) -> Holder {
    let mut above = proc::ancestors(pid);
    above.reverse();
    let mut line: Vec<(i32, String)> =
        above.into_iter().map(|ancestor| (ancestor.pid, ancestor.argv0)).collect();
    line.push((pid, proc::argv0(pid)));
    // Some agents are a script that starts the real one.
    let lines: Vec<Vec<String>> = line.iter().map(|(pid, _)| words(*pid)).collect();
    let again = lines.windows(2).take_while(|pair| is_started_again(&pair[0], &pair[1])).count();
    // The agent's own is no command of its.
    let (own, _) = line.get(again + 1).unwrap_or(&line[line.len() - 1]);
    let process = proc::started(*own).map(|started| Process { pid: *own, started });
    let mut command = words(*own);
    if command.is_empty() {
        command.push(proc::argv0(pid));
    }
    let chain = line.into_iter().skip(again).map(|(_, argv0)| argv0).collect();
    let is_install_script = variable(pid, "npm_lifecycle_event").is_some_and(|event| {
        ["preinstall", "install", "postinstall", "prepare"].contains(&event.as_str())
    });
    Holder { chain, command, process, is_install_script }
}

/// Whether a program starts another with all of its own arguments, as what wraps it does.
fn is_started_again(wrapper: &[String], program: &[String]) -> bool {
    let [_, arguments @ ..] = program else { return false };
    !arguments.is_empty() && wrapper.len() > arguments.len() && wrapper.ends_with(arguments)
}

/// The words that a process was started with; none where it has gone.
fn words(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    if line.is_empty() {
        return Vec::new();
    }
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// A variable that a process was started with.
fn variable(pid: i32, name: &str) -> Option<String> {
    let all = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut all = all.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    all.find_map(|one| Some(one.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// The socket of a connection from this address, in the network of a process.
fn connected_from(pid: i32, end: SocketAddr) -> Option<u32> {
    const CONNECTED: &str = "01";
    ["tcp", "tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok()?;
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, local, _, CONNECTED, _, _, _, _, _, inode, ..] = fields[..] else {
                return None;
            };
            let own = table_address(local)? == SocketAddr::new(end.ip().to_canonical(), end.port());
            inode.parse().ok().filter(|inode| own && *inode > 0)
        })
    })
}

/// `0100007F:1F90`: the words of the address as they lie in memory, and the port as a number.
fn table_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = ip.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_an_end_of_a_connection_is_told_with_its_command() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -u 3");
        for (event, is_install_script) in [("postinstall", true), ("test", false)] {
            let mut child = std::process::Command::new("bash")
                .args(["-c", &script])
                .env("npm_lifecycle_event", event)
                .spawn()
                .unwrap();
            let (stream, end) = listener.accept().unwrap();
            let own = i32::try_from(std::process::id()).unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let expected = Holder {
                chain: vec!["bash".into()],
                command: ["bash", "-c", &script].map(String::from).to_vec(),
                process: proc::started(pid).map(|started| Process { pid, started }),
                is_install_script,
            };
            assert_eq!(holder(own, end), Some(expected));
            assert_eq!(holder(pid, end), None, "not below itself");
            drop(stream);
            child.wait().unwrap();
            assert_eq!(holder(own, end), None, "it has gone");
        }
    }

    #[test]
    fn what_a_script_starts_with_its_own_arguments_is_what_it_wraps() {
        let words = |line: &str| line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
        let again = |one: &str, other: &str| is_started_again(&words(one), &words(other));
        assert!(again("node /bin/codex exec now", "/lib/codex exec now"));
        assert!(again("/bin/agent -p", "/lib/agent -p"));
        for (one, other) in
            [("agent", "curl"), ("agent -p", "sh -c curl"), ("curl x", "curl y"), ("sh", "sh x")]
        {
            assert!(!again(one, other), "{one}, {other}");
        }
    }

    #[test]
    fn a_listening_socket_is_found_by_its_address() {
        for (bound, asked) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let listener = std::net::TcpListener::bind(bound).unwrap();
            let port = listener.local_addr().unwrap().port();
            let inode = sys::stat(listener.as_raw_fd()).unwrap().st_ino as u32;
            let at = |ip: &str| listening_at(SocketAddr::new(ip.parse().unwrap(), port));
            assert_eq!(at(asked), [inode], "{bound}");
            if !bound.starts_with("0.") && !bound.starts_with("[::]") {
                assert_eq!(at("127.9.9.9"), [] as [u32; 0], "{bound}");
            }
        }
    }
}
