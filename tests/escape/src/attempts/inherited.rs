//! What the process that starts a session holds open, and what its environment holds.

use crate::Told::{Mark, Secret, Victim};
use crate::stage::VARIABLE;
use crate::sys::{Got, NOTHING, call, open_at, owned, read_all, refused, text};
use crate::{Attempt, Place};
use std::fs;

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("inherited-file", "Reads an open file.", Secret, |p| {
            held(p, "inherited-file")
        }),
        Attempt::new("inherited-folder", "Opens a file relative to an open folder.", Secret, |p| {
            read_all(&open_at(p.number("inherited-folder")?, "secret", libc::O_RDONLY)?)
        }),
        Attempt::new("inherited-denied", "Reads an open file that is denied.", Secret, |p| {
            held(p, "inherited-denied")
        }),
        Attempt::new(
            "inherited-denied-by-proc",
            "Reopens an open file that is denied by `/proc`.",
            Secret,
            |p| fs::read(format!("/proc/self/fd/{}", p.fact("inherited-denied")?)),
        ),
        Attempt::new(
            "inherited-mixed",
            "Reads an open file that is denied in a folder which it reads.",
            Secret,
            |p| held(p, "inherited-mixed"),
        ),
        Attempt::new("inherited-folder-entered", "Enters an open folder.", Secret, |p| {
            let fd: i32 = p.number("inherited-folder")?;
            call!(libc::SYS_fchdir, fd)?;
            fs::read("secret")
        }),
        Attempt::new("inherited-memory", "Maps an open file of memory.", Secret, |p| {
            let fd: i32 = p.number("inherited-memory")?;
            let (how, shared) = (libc::PROT_READ, libc::MAP_SHARED);
            let at = call!(libc::SYS_mmap, 0, 4096, how, shared, fd, 0)?;
            // SAFETY: the kernel has just mapped this page for reading.
            Ok(unsafe { std::slice::from_raw_parts(at as usize as *const u8, 64) }.to_vec())
        }),
        Attempt::new("inherited-socket", "Writes an open connection.", Mark, |p| {
            let fd: i32 = p.number("inherited-socket")?;
            let mark = p.mark();
            call!(libc::SYS_write, fd, mark.as_ptr(), mark.len())?;
            std::thread::sleep(std::time::Duration::from_millis(30));
            NOTHING
        }),
        Attempt::new("inherited-process", "Signals by an open process descriptor.", Victim, |p| {
            let fd: i32 = p.number("inherited-process")?;
            let none = std::ptr::null::<u8>();
            call!(libc::SYS_pidfd_send_signal, fd, libc::SIGTERM, none, 0).and(NOTHING)
        }),
        Attempt::new("inherited-any", "Tries every number there is.", Secret, |_| {
            let mut found = Vec::new();
            for fd in 3..1024 {
                let mut bytes = [0u8; 64];
                if call!(libc::SYS_pread64, fd, bytes.as_mut_ptr(), bytes.len(), 0).is_ok() {
                    found.extend(bytes);
                }
            }
            match found.is_empty() {
                true => Err(refused("nothing is open")),
                false => Ok(found),
            }
        }),
        Attempt::new("inherited-by-proc", "Reopens an open file by `/proc`.", Secret, |p| {
            fs::read(format!("/proc/self/fd/{}", p.fact("inherited-file")?))
        }),
        Attempt::new(
            "inherited-of-parent",
            "Reopens it by its parent's descriptors.",
            Secret,
            |p| {
                let parent = std::os::unix::process::parent_id();
                fs::read(format!("/proc/{parent}/fd/{}", p.fact("inherited-file")?))
            },
        ),
        Attempt::new("inherited-by-handle", "Opens by handle from an open folder.", Secret, |p| {
            let mut handle = [0u32; 34];
            handle[0] = 128;
            let (mut mount, name) = (0i32, text("secret")?);
            let folder: i32 = p.number("inherited-folder")?;
            let to = handle.as_mut_ptr();
            call!(libc::SYS_name_to_handle_at, folder, name.as_ptr(), to, &raw mut mount, 0)?;
            read_all(&owned(call!(libc::SYS_open_by_handle_at, folder, to, libc::O_RDONLY))?)
        })
        .needs(crate::Needs::Root),
        Attempt::new("variable", "Reads a key in its environment.", Secret, |_| {
            let value = std::env::var(VARIABLE).map_err(|_| refused("it is not there"))?;
            Ok(value.into_bytes())
        }),
        Attempt::new("variable-of-parents", "Reads the environments above it.", Secret, |_| {
            let mut found = Vec::new();
            let mut pid = std::process::id().to_string();
            for _ in 0..8 {
                found.extend(fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
                let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { break };
                let above = stat.rsplit(") ").next().and_then(|it| it.split(' ').nth(1));
                pid = above.unwrap_or("0").to_owned();
            }
            Ok(found)
        }),
    ])
}

/// What an open file holds.
fn held(p: &Place, key: &str) -> Got {
    let mut bytes = [0u8; 64];
    let fd: i32 = p.number(key)?;
    call!(libc::SYS_pread64, fd, bytes.as_mut_ptr(), bytes.len(), 0)?;
    Ok(bytes.to_vec())
}
