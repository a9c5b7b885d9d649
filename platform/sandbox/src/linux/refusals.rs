//! Landlock's refusals, as the kernel writes them to its audit records (linux/audit.h): read from
//! the multicast group that needs no daemon. Nothing is intercepted, and nothing is switched on.
//!
//! A refusal names the domain that refused. The first of a domain comes with a record of who made
//! that domain, by which a session's are told from everybody else's.

use super::landlock;
use super::sys::{self, Errno};
use crate::refusal::{FileRefusal, Unreported};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// `AUDIT_GET`, and the two kinds of records that Landlock writes.
const GET: u16 = 1000;
const ACCESS: u16 = 1423;
const DOMAIN: u16 = 1424;

/// `AUDIT_NLGRP_READLOG` as a mask of groups.
const READ_LOG: u32 = 1;

/// So much waits in the socket until it is read, at most, in bytes.
const ROOM: i32 = 32 << 20;

/// The length of a netlink message's header.
const HEADER: usize = size_of::<libc::nlmsghdr>();

/// Listens to the records from here on; what comes waits in the kernel.
#[derive(Debug)]
pub struct Refusals(OwnedFd);

impl Refusals {
    /// Begins to listen. A session whose refusals are wanted is launched afterwards.
    ///
    /// # Errors
    /// Why nothing would be heard.
    pub fn watch() -> Result<Self, Unreported> {
        if landlock::abi() < landlock::AUDITS {
            return Err(Unreported::OldKernel);
        }
        let asking = socket(0)?;
        if enabled(&asking) == Some(false) {
            return Err(Unreported::SwitchedOff);
        }
        let socket = socket(READ_LOG)?;
        let room = ROOM;
        for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
            // SAFETY: the option is an int. A smaller room loses records sooner, which is told.
            let set = unsafe {
                let (value, size) = ((&raw const room).cast(), size_of::<i32>() as u32);
                libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size)
            };
            if set == 0 {
                break;
            }
        }
        Ok(Self(socket))
    }

    /// What domains refused that these processes made, in order and once each; and whether some may
    /// have been lost on the way.
    pub fn of(self, makers: &[i32]) -> (Vec<FileRefusal>, bool) {
        let mut heard = Heard::default();
        let mut lost = false;
        let mut bytes = vec![0u8; 16 << 10];
        loop {
            // SAFETY: buffer and length belong together.
            let got = sys::check(unsafe {
                let flags = libc::MSG_DONTWAIT;
                libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), flags)
            });
            match got {
                Ok(got) => {
                    let message = bytes.get(..usize::try_from(got).unwrap_or(0));
                    if let Some((kind, text)) = message.and_then(record) {
                        heard.take(kind, text);
                    }
                }
                Err(Errno(libc::ENOBUFS)) => lost = true,
                Err(_) => break,
            }
        }
        (heard.of(makers), lost)
    }
}

/// A socket to the kernel's audit, in these groups.
fn socket(groups: u32) -> Result<OwnedFd, Unreported> {
    // SAFETY: all zeroes are a valid address; it and its length belong together, and the descriptor
    // is ours.
    unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_AUDIT);
        let socket = sys::check(fd).map(|fd| OwnedFd::from_raw_fd(fd));
        let socket = socket.map_err(|_| Unreported::NoAudit)?;
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        let bound = libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length);
        sys::check(bound).map_err(|_| Unreported::NotPermitted)?;
        Ok(socket)
    }
}

/// Whether the machine's audit is on; `None` where it does not say.
fn enabled(socket: &OwnedFd) -> Option<bool> {
    let mut request = [0u8; HEADER];
    request[..4].copy_from_slice(&(HEADER as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&GET.to_ne_bytes());
    request[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // SAFETY: buffers and lengths belong together, and so do the time and its length.
    unsafe {
        let fd = socket.as_raw_fd();
        let patience = libc::timeval { tv_sec: 1, tv_usec: 0 };
        let (value, size) = ((&raw const patience).cast(), size_of::<libc::timeval>() as u32);
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, size);
        sys::check(libc::send(fd, request.as_ptr().cast(), request.len(), 0) as i32).ok()?;
        let mut answer = [0u8; 256];
        let got = libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), 0);
        let answer = answer.get(..usize::try_from(got).ok()?)?;
        let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
        // `struct audit_status`: a mask, then whether it is enabled.
        let word = answer.get(HEADER + 4..HEADER + 8)?.try_into().ok()?;
        (kind == GET).then_some(u32::from_ne_bytes(word) != 0)
    }
}

/// A message's kind and text. The header's length does not count the header in this group.
fn record(message: &[u8]) -> Option<(u16, &str)> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let text = std::str::from_utf8(message.get(HEADER..)?).ok()?;
    Some((kind, text.trim_end_matches('\0')))
}

/// What the records said so far.
#[derive(Debug, Default)]
struct Heard {
    /// Who made each domain.
    makers: BTreeMap<String, i32>,
    refusals: Vec<(String, FileRefusal)>,
}

impl Heard {
    fn take(&mut self, kind: u16, text: &str) {
        let Some(domain) = field(text, "domain=") else { return };
        match kind {
            ACCESS => {
                if let Some(refusal) = refusal(text) {
                    self.refusals.push((domain.to_owned(), refusal));
                }
            }
            DOMAIN => {
                if let Some(pid) = field(text, "pid=").and_then(|pid| pid.parse().ok()) {
                    self.makers.insert(domain.to_owned(), pid);
                }
            }
            _ => {}
        }
    }

    fn of(self, makers: &[i32]) -> Vec<FileRefusal> {
        let ours =
            |domain: &String| self.makers.get(domain).is_some_and(|pid| makers.contains(pid));
        let mut seen = BTreeSet::new();
        let refusals = self.refusals.iter().filter(|(domain, _)| ours(domain));
        refusals.filter(|(_, it)| seen.insert(it)).map(|(_, it)| it.clone()).collect()
    }
}

/// A field's value: a word, as the kernel writes numbers and names of rights.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|word| word.strip_prefix(name))
}

/// A record of a refusal that is about a file.
fn refusal(text: &str) -> Option<FileRefusal> {
    let blockers = field(text, "blockers=")?;
    let rights: Vec<&str> =
        blockers.split(',').filter_map(|right| right.strip_prefix("fs.")).collect();
    let reads = |right: &&str| matches!(*right, "execute" | "read_file" | "read_dir");
    // Who may open a device may control it or not; no grant of a policy says.
    let told = !rights.is_empty() && !rights.contains(&"ioctl_dev");
    let path = told.then(|| path(text)).flatten()?;
    Some(FileRefusal { path, write: !rights.iter().all(reads) })
}

/// The path: quoted, or in hexadecimal digits where a quote, a space or a control character is in
/// it.
fn path(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once(" path=")?;
    let bytes = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.0.as_bytes().to_vec(),
        None => {
            let digits = rest.split(' ').next()?.as_bytes().chunks(2);
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            digits.map(byte).collect::<Option<Vec<u8>>>()?
        }
    };
    let path = PathBuf::from(OsString::from_vec(bytes));
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_refusals_are_told_from_everybody_elses() {
        let mut heard = Heard::default();
        let read = "audit(1795386850.251:245): domain=1e3f13864 blockers=fs.read_file \
                    path=\"/etc/hostname\" dev=\"vda\" ino=611";
        let made = "audit(1795386850.251:245): domain=1e3f13864 status=allocated mode=enforcing \
                    pid=17549 uid=0 exe=\"/usr/bin/x\" comm=\"x\"";
        let gone = "audit(1795386850.299:246): domain=1e3f13864 status=deallocated denials=1";
        let spaced = "audit(1795386850.251:247): domain=1e3f13864 blockers=fs.make_reg,fs.refer \
                      path=2F686F6D652F6D7920646F6373 dev=\"vda\" ino=611";
        let other = "audit(1795386850.251:248): domain=2 blockers=fs.read_dir path=\"/srv\"";
        let scope = "audit(1795386850.251:249): domain=1e3f13864 blockers=scope.signal opid=1";
        let device = "audit(1.2:3): domain=1e3f13864 blockers=fs.ioctl_dev path=\"/dev/x\"";
        for text in [read, read, spaced, other, scope, device] {
            heard.take(ACCESS, text);
        }
        heard.take(DOMAIN, made);
        heard.take(DOMAIN, gone);
        heard.take(1300, "audit(1.2:3): arch=c000003e syscall=257");
        let refusal = |path: &str, write| FileRefusal { path: path.into(), write };
        assert_eq!(
            heard.of(&[1, 17549]),
            [refusal("/etc/hostname", false), refusal("/home/my docs", true)]
        );
    }

    #[test]
    fn of_nobody_nothing_is_told() {
        let mut heard = Heard::default();
        heard.take(ACCESS, "audit(1.2:3): domain=1 blockers=fs.read_file path=\"/a\"");
        assert_eq!(heard.of(&[7]), []);
    }
}
