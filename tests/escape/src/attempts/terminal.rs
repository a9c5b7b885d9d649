//! Terminals: to type what a person did not, to read what a person types.

use crate::Told::{Answer, Mark};
use crate::sys::{
    Got, NOTHING, by_descriptor, call, check, in_child, open, owned, taken_up, write_all,
};
use crate::{Attempt, Disturbs, Needs};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

pub(crate) fn all() -> Vec<Attempt> {
    Vec::from([
        Attempt::new("type", "Types into a terminal by `TIOCSTI`.", Answer, |_| {
            typing(libc::TIOCSTI)
        })
        .needs(Needs::Machine("a kernel that lets users type so (dev.tty.legacy_tiocsti)")),
        Attempt::new(
            "type-long-number",
            "The same by a number whose upper half is set.",
            Answer,
            |_| typing(libc::TIOCSTI | (1 << 32)),
        )
        .needs(Needs::Machine("a kernel that lets users type so (dev.tty.legacy_tiocsti)")),
        Attempt::new("paste", "Pastes a console's selection by `TIOCLINUX`.", Answer, |_| {
            let terminal = terminal()?;
            let paste = 3u8;
            // A terminal that is no console says that it has no such thing.
            let asked = call!(libc::SYS_ioctl, terminal[1].as_raw_fd(), 0x541c, &raw const paste);
            taken_up(asked, &[libc::ENOTTY, libc::EINVAL])
        }),
        Attempt::new("discipline", "Changes a terminal's line discipline.", Answer, |_| {
            let terminal = terminal()?;
            let none = 27i32; // N_NULL
            call!(libc::SYS_ioctl, terminal[1].as_raw_fd(), libc::TIOCSETD, &raw const none)
                .and(NOTHING)
        })
        .needs(Needs::Machine("a line discipline that users may choose")),
        Attempt::new("other-shown", "Shows text on the user's terminal.", Mark, |p| {
            let flags = libc::O_WRONLY | libc::O_NOCTTY;
            write_all(&open(p.fact("terminal")?, flags)?, &p.mark())
        }),
        Attempt::new("other-typed", "Types into the user's terminal.", Mark, |p| {
            let name = p.fact("terminal")?.to_owned();
            let mark = p.mark();
            in_child(move || {
                call!(libc::SYS_setsid)?;
                let terminal = open(name, libc::O_RDWR)?;
                let fd = terminal.as_raw_fd();
                call!(libc::SYS_ioctl, fd, libc::TIOCSCTTY, 0)?;
                for byte in mark.bytes() {
                    call!(libc::SYS_ioctl, fd, libc::TIOCSTI, &raw const byte)?;
                }
                NOTHING
            })
        })
        .needs(Needs::Machine("a kernel that lets users type so (dev.tty.legacy_tiocsti)")),
        Attempt::new("other-set", "Changes the settings of the user's terminal.", Answer, |p| {
            let terminal = open(p.fact("terminal")?, libc::O_RDWR | libc::O_NOCTTY)?;
            let mut settings = [0u8; 64];
            call!(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TCGETS, settings.as_mut_ptr())?;
            call!(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TCSETS, settings.as_ptr())
                .and(NOTHING)
        }),
        Attempt::new("other-by-descriptor", "Reopens it by an `O_PATH` descriptor.", Mark, |p| {
            let held = open(p.fact("terminal")?, libc::O_PATH)?;
            write_all(&open(by_descriptor(&held), libc::O_WRONLY | libc::O_NOCTTY)?, &p.mark())
        }),
        Attempt::new("screen", "Opens the console's screen.", Answer, |_| {
            open("/dev/vcs1", libc::O_RDONLY)
                .or_else(|_| open("/dev/console", libc::O_WRONLY | libc::O_NOCTTY))
                .and(NOTHING)
        })
        .disturbs(Disturbs::Always("it would open the real screen of the machine"))
        .needs(Needs::Root),
    ])
}

/// A new terminal: its master and its other side.
fn terminal() -> io::Result<[OwnedFd; 2]> {
    let master = open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
    let unlocked = 0i32;
    call!(libc::SYS_ioctl, master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked)?;
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let slave = owned(call!(libc::SYS_ioctl, master.as_raw_fd(), libc::TIOCGPTPEER, flags))?;
    Ok([master, slave])
}

/// Types a letter into a terminal of its own, as a program would into its parent's.
fn typing(command: u64) -> Got {
    let [master, slave] = terminal()?;
    in_child(move || {
        call!(libc::SYS_setsid)?;
        let fd = slave.as_raw_fd();
        call!(libc::SYS_ioctl, fd, libc::TIOCSCTTY, 0)?;
        let letter = b'x';
        call!(libc::SYS_ioctl, fd, command, &raw const letter)?;
        drop(master);
        check(0i64).and(NOTHING)
    })
}
