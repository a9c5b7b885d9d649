//! What the process that starts a session holds open, with no wish that the session inherits it;
//! objects that are shared by key; and a terminal of the user.

use crate::place::Place;
use crate::sys::check;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// All of it; what is held is closed and removed with it.
#[derive(Debug)]
pub(crate) struct Held {
    open: Vec<OwnedFd>,
    terminal: Option<[OwnedFd; 2]>,
    shared: Option<Shared>,
    /// A file of POSIX shared memory, where the machine has such.
    named: PathBuf,
    received: RefCell<Vec<u8>>,
}

/// System V objects and a message queue.
#[derive(Debug)]
struct Shared {
    memory: i32,
    messages: i32,
    semaphore: i32,
    queue: std::ffi::CString,
    queue_fd: i32,
}

/// A copy that is inherited, at a number that nothing else takes.
pub(crate) fn inheritable(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers, and the new descriptor is ours.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::fcntl(fd, libc::F_DUPFD, 700))? as i32)) }
}

impl Held {
    pub(crate) fn new(place: &mut Place, secret: &str) -> io::Result<Self> {
        let mut open = Vec::new();
        let mut hold = |place: &mut Place, key: &str, fd: RawFd| -> io::Result<()> {
            let held = inheritable(fd)?;
            place.set(key, held.as_raw_fd());
            open.push(held);
            Ok(())
        };
        hold(place, "inherited-file", File::open(place.secret())?.as_raw_fd())?;
        hold(place, "inherited-folder", File::open(place.other())?.as_raw_fd())?;
        let denied = place.named("secret");
        for (key, file) in
            [("inherited-denied", denied.denied()), ("inherited-mixed", denied.mixed())]
        {
            hold(place, key, File::open(file)?.as_raw_fd())?;
        }
        // SAFETY: the name ends with NUL, and the descriptor is ours.
        let memory = unsafe {
            let fd = check(libc::memfd_create(c"held".as_ptr(), libc::MFD_CLOEXEC))?;
            OwnedFd::from_raw_fd(fd as i32)
        };
        let mut memory = File::from(memory);
        memory.write_all(secret.as_bytes())?;
        hold(place, "inherited-memory", memory.as_raw_fd())?;
        let terminal = terminal(place);
        let shared = Shared::new(place, secret).ok();
        let named = Path::new("/dev/shm").join(queue_name(place));
        // Without it, the attempts on it are not applicable.
        let _ = std::fs::write(&named, secret);
        Ok(Self { open, terminal, shared, named, received: RefCell::default() })
    }

    /// Holds a process descriptor of the first victim of this stage that wants one.
    pub(crate) fn hold_victim(&mut self, place: &mut Place) -> io::Result<()> {
        let Ok(pid) = place.number::<i32>("victim-inherited-process") else { return Ok(()) };
        // SAFETY: takes numbers, and the descriptor is ours.
        let process = unsafe {
            let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
            OwnedFd::from_raw_fd(fd as i32)
        };
        let held = inheritable(process.as_raw_fd())?;
        place.set("inherited-process", held.as_raw_fd());
        self.open.push(held);
        Ok(())
    }

    /// What was shown on the terminal, or typed into it, and what the queues got, so far; and what
    /// else has the name of the shared memory.
    pub(crate) fn received(&self) -> String {
        let mut bytes = self.received.borrow_mut();
        for side in self.terminal.iter().flatten() {
            // SAFETY: takes numbers.
            unsafe { libc::fcntl(side.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
            if let Ok(copy) = side.try_clone() {
                // Neither side ever ends: what there is has been read when it would block.
                let _ = File::from(copy).read_to_end(&mut bytes);
            }
        }
        if let Some(shared) = &self.shared {
            shared.receive(&mut bytes);
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        for file in self.made_beside() {
            text.push_str(&std::fs::read_to_string(file).unwrap_or_default());
        }
        text
    }

    /// Files of shared memory that attempts have made: their names begin as that of the stage does.
    fn made_beside(&self) -> Vec<PathBuf> {
        let own = self.named.file_name().map(|it| it.to_string_lossy().into_owned());
        let own = format!("{}-", own.unwrap_or_default());
        let entries = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let ours = entries.filter(|it| it.file_name().to_string_lossy().starts_with(&own));
        ours.map(|it| it.path()).collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for file in self.made_beside().iter().chain([&self.named]) {
            // It may not be there.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// A terminal that holds typed words, and says its name.
fn terminal(place: &mut Place) -> Option<[OwnedFd; 2]> {
    // SAFETY: the descriptors are ours, and the settings outlive the calls.
    let sides = unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let master = OwnedFd::from_raw_fd(check(libc::posix_openpt(flags)).ok()? as i32);
        check(libc::unlockpt(master.as_raw_fd())).ok()?;
        let slave = check(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags)).ok()? as i32;
        let slave = OwnedFd::from_raw_fd(slave);
        let mut settings: libc::termios = std::mem::zeroed();
        libc::tcgetattr(slave.as_raw_fd(), &raw mut settings);
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(slave.as_raw_fd(), libc::TCSANOW, &raw const settings);
        [master, slave]
    };
    let name = std::fs::read_link(format!("/proc/self/fd/{}", sides[1].as_raw_fd())).ok()?;
    place.set("terminal", name.display());
    Some(sides)
}

/// The number of no object.
const NOTHING: i32 = -1;

impl Shared {
    fn new(place: &mut Place, secret: &str) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | 0o600;
        let key = libc::IPC_PRIVATE;
        // SAFETY: the memory is as large as what is written to it, the message and the name outlive
        // the calls.
        unsafe {
            let queue = std::ffi::CString::new(format!("/{}", queue_name(place)))?;
            // What is made is removed with this, also where the next cannot be had.
            let none = NOTHING;
            let mut shared =
                Self { memory: none, messages: none, semaphore: none, queue, queue_fd: none };
            shared.memory = check(libc::shmget(key, 4096, flags))? as i32;
            shared.messages = check(libc::msgget(key, flags))? as i32;
            shared.semaphore = check(libc::semget(key, 1, flags))? as i32;
            let Self { memory, messages, semaphore, .. } = shared;
            let mode: libc::mode_t = 0o600;
            let create = libc::O_CREAT | libc::O_RDWR | libc::O_NONBLOCK;
            let standard = std::ptr::null::<libc::mq_attr>();
            shared.queue_fd = libc::mq_open(shared.queue.as_ptr(), create, mode, standard);
            let at = libc::shmat(memory, std::ptr::null(), 0);
            if at as isize == -1 {
                return Err(io::Error::last_os_error());
            }
            std::ptr::copy_nonoverlapping(secret.as_ptr(), at.cast(), secret.len());
            libc::shmdt(at);
            let mut message = [0u8; 8 + 64];
            message[0] = 1;
            message[8..8 + secret.len()].copy_from_slice(secret.as_bytes());
            check(libc::msgsnd(messages, message.as_ptr().cast(), secret.len(), 0))?;
            place.set("shared-memory", memory);
            place.set("messages", messages);
            place.set("semaphore", semaphore);
            place.set("queue", shared.queue.to_string_lossy());
            Ok(shared)
        }
    }

    /// What the queue got, and the mark that stands for a semaphore that was changed.
    fn receive(&self, bytes: &mut Vec<u8>) {
        let mut message = [0u8; 8192];
        // SAFETY: the buffer is as long as is said, and no larger messages fit the queue.
        unsafe {
            while let Ok(got @ 1..) = usize::try_from(libc::mq_receive(
                self.queue_fd,
                message.as_mut_ptr().cast(),
                message.len(),
                std::ptr::null_mut(),
            )) {
                bytes.extend_from_slice(&message[..got]);
            }
            if libc::semctl(self.semaphore, 0, libc::GETVAL) > 0 {
                bytes.extend_from_slice(crate::place::mark("semaphore").as_bytes());
            }
        }
    }
}

/// A name for the queue, that of the stage's folder.
fn queue_name(place: &Place) -> String {
    place.base().file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: takes numbers and a name that ends with NUL; all are ours.
        unsafe {
            libc::shmctl(self.memory, libc::IPC_RMID, std::ptr::null_mut());
            libc::msgctl(self.messages, libc::IPC_RMID, std::ptr::null_mut());
            libc::semctl(self.semaphore, 0, libc::IPC_RMID);
            libc::close(self.queue_fd);
            libc::mq_unlink(self.queue.as_ptr());
        }
    }
}
