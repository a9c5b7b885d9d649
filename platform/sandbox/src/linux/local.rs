//! Whose socket file it is: asks the kernel which socket is bound to a file (sock_diag(7)), and
//! which process holds that socket.

use super::proc;
use super::sys::{self, Errno, Result};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

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

/// Whether a process below `top` holds one of these sockets.
pub(super) fn held_below(top: i32, sockets: &[u32]) -> bool {
    let names: Vec<String> = sockets.iter().map(|inode| format!("socket:[{inode}]")).collect();
    proc::descendants(top).iter().any(|process| {
        let Ok(held) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else { return false };
        held.flatten().any(|entry| {
            fs::read_link(entry.path())
                .is_ok_and(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
        })
    })
}
