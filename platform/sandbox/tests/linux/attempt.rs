//! Attempts that are system calls. Each prints `ok` or the name of the error that it met.

use chaperone_sandbox::Tier;
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{SocketAddr, UnixStream};

/// Names the attempt to make.
pub(crate) const VARIABLE: &str = "CHAPERONE_ATTEMPT";

/// Runs before the test harness's own `main`, which knows nothing of attempts.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        if let Some(name) = std::env::var_os(VARIABLE) {
            let arguments: Vec<String> = std::env::args().skip(1).collect();
            let name = name.to_string_lossy().into_owned();
            let result = attempt(&name, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            println!("{}", describe(result));
            std::process::exit(0);
        }
    }
    before_main
};

fn describe(result: io::Result<()>) -> String {
    let Err(error) = result else { return "ok".into() };
    match error.raw_os_error() {
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::EACCES) => "EACCES".into(),
        Some(libc::ENOENT) => "ENOENT".into(),
        Some(libc::ENOSYS) => "ENOSYS".into(),
        Some(libc::ESRCH) => "ESRCH".into(),
        Some(libc::EBADF) => "EBADF".into(),
        Some(libc::EBUSY) => "EBUSY".into(),
        Some(libc::EROFS) => "EROFS".into(),
        Some(libc::ENOTTY) => "ENOTTY".into(),
        Some(libc::EXDEV) => "EXDEV".into(),
        Some(libc::EAFNOSUPPORT) => "EAFNOSUPPORT".into(),
        Some(libc::EPROTONOSUPPORT) => "EPROTONOSUPPORT".into(),
        Some(libc::ECONNREFUSED) => "ECONNREFUSED".into(),
        Some(libc::ENETUNREACH) => "ENETUNREACH".into(),
        _ => error.to_string(),
    }
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn attempt(name: &str, arguments: &[&str]) -> io::Result<()> {
    let first = || arguments.first().copied().unwrap_or_default();
    let number = || first().parse::<i32>().unwrap();
    // SAFETY: each call gets what it takes; what it would do to this process is the point.
    unsafe {
        match name {
            "read" => std::fs::read(first()).map(drop),
            "list" => std::fs::read_dir(first()).map(drop),
            "write" => std::fs::write(first(), "changed"),
            "append" => std::fs::OpenOptions::new().append(true).open(first()).map(drop),
            "rename" => std::fs::rename(first(), arguments[1]),
            "remove" => std::fs::remove_file(first()),
            "hard-link" => std::fs::hard_link(first(), arguments[1]),
            "queues" => {
                let mut count = 0;
                while libc::inotify_init1(0) >= 0 {
                    count += 1;
                }
                Err(io::Error::other(count.to_string()))
            }
            "lease" => {
                let file = std::fs::File::open(first())?;
                libc::signal(libc::SIGIO, libc::SIG_IGN);
                check(libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK).into())?;
                let path = first().to_owned();
                let writes = std::thread::spawn(move || {
                    std::fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
                });
                // F_GETLEASE says what the lease is about to become while somebody waits for it.
                while libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK {
                    std::thread::yield_now();
                }
                let started = std::process::Command::new("true").status()?;
                assert!(started.success() && !writes.is_finished());
                check(libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK).into())?;
                writes.join().unwrap()
            }
            // Three hundred open a pipe, of whom so many are to be refused; the rest are let go then.
            "pipes" => {
                let (path, expected) = (first(), arguments[1].parse::<usize>().unwrap());
                let name = CString::new(path).unwrap();
                libc::unlink(name.as_ptr());
                check(libc::mkfifo(name.as_ptr(), 0o600).into())?;
                let opens = || {
                    let name = name.clone();
                    let flags = libc::O_CREAT | libc::O_RDONLY;
                    std::thread::spawn(move || libc::open(name.as_ptr(), flags, 0o600) < 0)
                };
                let mut threads: Vec<_> = (0..300).map(|_| opens()).collect();
                let mut refused = 0;
                while !threads.is_empty() {
                    if refused >= expected {
                        drop(std::fs::OpenOptions::new().write(true).open(path)?);
                    }
                    let ended;
                    (ended, threads) = threads.into_iter().partition(|one| one.is_finished());
                    refused += ended
                        .into_iter()
                        .filter_map(|one| one.join().ok())
                        .filter(|it| *it)
                        .count();
                }
                Err(io::Error::other(refused.to_string()))
            }
            "openat2" => {
                let path = CString::new(first()).unwrap();
                let how: libc::open_how = std::mem::zeroed();
                check(libc::syscall(
                    libc::SYS_openat2,
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                ))
                .map(drop)
            }
            "ptrace-attach" => check(libc::ptrace(libc::PTRACE_SEIZE, number(), 0, 0)).map(drop),
            "ptrace-child" => {
                with_child(|child| check(libc::ptrace(libc::PTRACE_SEIZE, child, 0, 0)).map(drop))
            }
            "write-child-memory" => with_child(|child| {
                let mut word = 0u64;
                let part = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 8 };
                check(libc::process_vm_writev(child, &raw const part, 1, &raw const part, 1, 0) as _)
                    .map(drop)
            }),
            "open-child-memory" => with_child(|child| {
                let memory = format!("/proc/{child}/mem");
                std::fs::OpenOptions::new().write(true).open(memory).map(drop)
            }),
            "open-own-memory" => {
                std::fs::OpenOptions::new().write(true).open("/proc/self/mem").map(drop)
            }
            "kill" => check(libc::kill(number(), 0).into()).map(drop),
            "read-environment-of" => std::fs::read(format!("/proc/{}/environ", first())).map(drop),
            "connect-file" => UnixStream::connect(first()).map(drop),
            "connect-abstract" => {
                use std::os::linux::net::SocketAddrExt;
                let address = SocketAddr::from_abstract_name(first())?;
                UnixStream::connect_addr(&address).map(drop)
            }
            "send-datagram-to-file" => {
                std::os::unix::net::UnixDatagram::unbound()?.send_to(b"x", first()).map(drop)
            }
            "send-datagram-from-pair" => {
                let (one, _other) = std::os::unix::net::UnixDatagram::pair()?;
                one.send_to(b"x", first()).map(drop)
            }
            "connect" => std::net::TcpStream::connect(first()).map(drop),
            "fetch" => {
                let mut text = String::new();
                std::net::TcpStream::connect(first())?.read_to_string(&mut text)?;
                print!("{text}");
                Ok(())
            }
            "own-socket-file" => {
                let _listener = std::os::unix::net::UnixListener::bind(first())?;
                // As servers are found: by a path relative to where one stands, too.
                UnixStream::connect(std::path::Path::new(first()).file_name().unwrap())?;
                UnixStream::connect(first()).map(drop)
            }
            "own-abstract-socket" => {
                use std::os::linux::net::SocketAddrExt;
                let address = SocketAddr::from_abstract_name(first())?;
                let _listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
                UnixStream::connect_addr(&address).map(drop)
            }
            "own-server" => {
                let listener = std::net::TcpListener::bind(first())?;
                std::net::TcpStream::connect(listener.local_addr()?).map(drop)
            }
            "race-connect" => race_connect(first(), arguments[1]),
            "race-create" => race_create(first(), arguments[1].parse().unwrap()),
            "race-exec" => race_exec(),
            "exec-from-thread" => {
                let words: Vec<CString> =
                    arguments.iter().map(|word| CString::new(*word).unwrap()).collect();
                let mut pointers: Vec<_> =
                    words.iter().map(|word| word.as_ptr() as usize).collect();
                pointers.push(0);
                std::env::remove_var(VARIABLE);
                std::thread::spawn(move || {
                    libc::execv(pointers[0] as *const _, pointers.as_ptr().cast());
                    Err(io::Error::last_os_error())
                })
                .join()
                .unwrap()
            }
            "supervise-Full" => crate::ends::supervise(Tier::Full),
            "supervise-Reduced" => crate::ends::supervise(Tier::Reduced),
            "send-udp" => {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
                socket.send_to(b"x", first()).map(drop)
            }
            "fast-open" => fast_open(first()),
            "socket" => {
                let [family, kind, protocol] =
                    [0, 1, 2].map(|at: usize| arguments[at].parse::<i32>().unwrap());
                check(libc::socket(family, kind, protocol).into()).map(drop)
            }
            "interfaces" => {
                let mut list = std::ptr::null_mut();
                check(libc::getifaddrs(&raw mut list).into()).map(drop)
            }
            "type-into-terminal" => type_into_terminal(),
            "io-uring" => {
                let mut parameters = [0u8; 120];
                check(libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr())).map(drop)
            }
            "unshare-user" => check(libc::unshare(libc::CLONE_NEWUSER).into()).map(drop),
            "clone-user" => {
                let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
                match check(libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0))? {
                    0 => libc::_exit(0),
                    _ => Ok(()),
                }
            }
            "clone3" => {
                let mut arguments = [0u64; 11];
                arguments[4] = libc::SIGCHLD as u64;
                match check(libc::syscall(libc::SYS_clone3, arguments.as_ptr(), 88))? {
                    0 => libc::_exit(0),
                    _ => Ok(()),
                }
            }
            "keyctl" => {
                // The session keyring's number.
                check(libc::syscall(libc::SYS_keyctl, 0, -3, 0)).map(drop)
            }
            "watch" => {
                let path = CString::new(first()).unwrap();
                let queue = check(libc::inotify_init1(0).into())? as i32;
                check(libc::inotify_add_watch(queue, path.as_ptr(), libc::IN_CREATE).into())?;
                if arguments.len() > 1 {
                    std::fs::write(arguments[1], "")?;
                    let mut event = [0u8; 256];
                    let got = libc::read(queue, event.as_mut_ptr().cast(), event.len());
                    check(got as libc::c_long)?;
                }
                Ok(())
            }
            "slow" => {
                check(libc::setpriority(libc::PRIO_PROCESS, number() as u32, 5).into()).map(drop)
            }
            "slow-child" => with_child(|child| {
                let child = child as u32;
                check(libc::setpriority(libc::PRIO_PROCESS, child, 5).into()).map(drop)
            }),
            "tie" => tie(number()),
            "tie-child" => with_child(tie),
            "own-by" => {
                let (one, _other) = UnixStream::pair()?;
                check(libc::fcntl(one.as_raw_fd(), libc::F_SETOWN, number()).into()).map(drop)
            }
            "own-by-child" => with_child(|child| {
                let (one, _other) = UnixStream::pair()?;
                check(libc::fcntl(one.as_raw_fd(), libc::F_SETOWN, child).into()).map(drop)
            }),
            "set-flags" => {
                let file = std::fs::File::open(first())?;
                let mut flags: libc::c_long = 0;
                check(libc::ioctl(file.as_raw_fd(), 0x8008_6601, &raw mut flags).into())?;
                flags |= 0x40;
                check(libc::ioctl(file.as_raw_fd(), 0x4008_6602, &raw const flags).into()).map(drop)
            }
            "descriptor" => check(libc::fcntl(number(), libc::F_GETFD).into()).map(drop),
            "undumpable" => {
                check(libc::prctl(libc::PR_SET_DUMPABLE, 0).into())?;
                match libc::prctl(libc::PR_GET_DUMPABLE) {
                    0 => Ok(()),
                    _ => Err(io::Error::other("still dumpable")),
                }
            }
            "listener" => second_listener(),
            "mount" => {
                let none = std::ptr::null();
                let (kind, at) = (c"tmpfs".as_ptr(), c"/tmp".as_ptr());
                check(libc::mount(kind, at, kind, 0, none).into()).map(drop)
            }
            "chroot" => check(libc::chroot(c"/".as_ptr()).into()).map(drop),
            "handle" => {
                let mut handle = [0u32; 40];
                handle[0] = 128;
                let mut mount = 0i32;
                check(libc::syscall(
                    libc::SYS_name_to_handle_at,
                    libc::AT_FDCWD,
                    c"/".as_ptr(),
                    handle.as_mut_ptr(),
                    &raw mut mount,
                    0,
                ))
                .map(drop)
            }
            "limit-of" => {
                let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
                let old = std::ptr::null_mut();
                check(libc::prlimit(number(), libc::RLIMIT_NOFILE, &raw const limit, old).into())
                    .map(drop)
            }
            "shared-memory" => {
                let flags = libc::IPC_CREAT | 0o600;
                let made = check(libc::shmget(libc::IPC_PRIVATE, 4096, flags).into())? as i32;
                // It would outlive every process.
                check(libc::shmctl(made, libc::IPC_RMID, std::ptr::null_mut()).into()).map(drop)
            }
            other => Err(io::Error::other(format!("no attempt is called {other}"))),
        }
    }
}

/// Ties a process to the first processor.
fn tie(pid: i32) -> io::Result<()> {
    // SAFETY: the set is large enough and outlives the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        check(libc::sched_setaffinity(pid, size_of_val(&set), &raw const set).into()).map(drop)
    }
}

/// Runs `work` beside a child that waits.
fn with_child(work: impl FnOnce(i32) -> io::Result<()>) -> io::Result<()> {
    // SAFETY: the child only waits and is ended below.
    unsafe {
        let child = check(libc::fork().into())? as i32;
        if child == 0 {
            loop {
                libc::pause();
            }
        }
        let result = work(child);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        result
    }
}

/// Connects while sending, so that no connect is ever called.
unsafe fn fast_open(address: &str) -> io::Result<()> {
    let address: std::net::SocketAddrV4 = address.parse().unwrap();
    let raw = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: the address outlives the call and its length is its own.
    unsafe {
        let socket = check(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0).into())? as i32;
        let socket = OwnedFd::from_raw_fd(socket);
        let sent = libc::sendto(
            socket.as_raw_fd(),
            b"x".as_ptr().cast(),
            1,
            libc::MSG_FASTOPEN,
            (&raw const raw).cast(),
            size_of::<libc::sockaddr_in>() as u32,
        );
        check(sent as libc::c_long).map(drop)
    }
}

/// Types into a terminal of its own, as a child would into its parent's.
unsafe fn type_into_terminal() -> io::Result<()> {
    // SAFETY: the descriptors are new, and the byte outlives the call.
    unsafe {
        let master = check(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY).into())? as i32;
        check(libc::unlockpt(master).into())?;
        let flags = libc::O_RDWR | libc::O_NOCTTY;
        let slave = check(libc::ioctl(master, libc::TIOCGPTPEER, flags).into())? as i32;
        match check(libc::fork().into())? {
            0 => {
                libc::setsid();
                libc::ioctl(slave, libc::TIOCSCTTY, 0);
                let typed = libc::ioctl(slave, libc::TIOCSTI, b"x".as_ptr());
                let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
                libc::_exit(if typed < 0 { errno } else { 0 });
            }
            child => {
                let mut status = 0;
                libc::waitpid(child as i32, &raw mut status, 0);
                match libc::WEXITSTATUS(status) {
                    0 => Ok(()),
                    errno => Err(io::Error::from_raw_os_error(errno)),
                }
            }
        }
    }
}

/// A filter of one's own whose questions one answers oneself.
unsafe fn second_listener() -> io::Result<()> {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    let allow = libc::sock_filter { code, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: (&raw const allow).cast_mut() };
    // SAFETY: the program is only read.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        check(libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        ))
        .map(drop)
    }
}

/// Connects again and again while another thread swaps the address between two ports of
/// 127.0.0.1.
fn race_connect(one: &str, other: &str) -> io::Result<()> {
    use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
    let ports = [one, other].map(|port| port.parse::<u16>().unwrap().to_be());
    // The port stands at the third byte of the address.
    #[repr(C)]
    struct Address {
        family: u16,
        port: AtomicU16,
        ip: u32,
        rest: [u8; 8],
    }
    static STOP: AtomicBool = AtomicBool::new(false);
    let address: &'static Address = Box::leak(Box::new(Address {
        family: libc::AF_INET as u16,
        port: AtomicU16::new(ports[0]),
        ip: u32::from_ne_bytes([127, 0, 0, 1]),
        rest: [0; 8],
    }));
    let swapper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            for port in ports {
                address.port.store(port, Ordering::Relaxed);
            }
        }
    });
    for _ in 0..500 {
        // SAFETY: the address lives for ever; the descriptor is new and closed at once.
        unsafe {
            let socket = check(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0).into())? as i32;
            libc::connect(socket, (&raw const *address).cast(), 16);
            libc::close(socket);
        }
    }
    STOP.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    Ok(())
}

/// Opens a new file this often while another thread swaps `f` and `e` in its last name, or until
/// the one with `e` is there.
fn race_create(path: &str, times: usize) -> io::Result<()> {
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    static STOP: AtomicBool = AtomicBool::new(false);
    let at = path.rfind('f').unwrap();
    let bytes: &'static [AtomicU8] =
        Vec::leak(path.bytes().chain([0]).map(AtomicU8::new).collect());
    let other = format!("{}e{}", &path[..at], &path[at + 1..]);
    let swapper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            bytes[at].store(b'e', Ordering::Relaxed);
            std::thread::yield_now();
            bytes[at].store(b'f', Ordering::Relaxed);
        }
    });
    for _ in 0..times {
        if std::fs::exists(&other)? {
            break;
        }
        // SAFETY: the path lives for ever and ends with NUL; the descriptor is closed at once.
        unsafe {
            let flags = libc::O_CREAT | libc::O_WRONLY;
            let fd = libc::open(bytes.as_ptr().cast(), flags, 0o600);
            if fd >= 0 {
                libc::close(fd);
            }
        }
    }
    STOP.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    Ok(())
}

/// Starts `echo WORD` again and again while another thread swaps the word. The child shares
/// memory until it execs, so the word can change at any moment of that call.
fn race_exec() -> io::Result<()> {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    static STOP: AtomicBool = AtomicBool::new(false);
    static WORD: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
    let [good, evil] = [*b"good", *b"evil"].map(u32::from_ne_bytes);
    WORD[0].store(good, Ordering::Relaxed);
    let swapper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            WORD[0].store(evil, Ordering::Relaxed);
            WORD[0].store(good, Ordering::Relaxed);
        }
    });
    let argv = [c"echo".as_ptr(), WORD.as_ptr().cast(), std::ptr::null()];
    let environment = [std::ptr::null_mut()];
    for _ in 0..300 {
        // SAFETY: the arrays end with a null pointer and the strings with NUL.
        unsafe {
            let mut pid = 0;
            let started = libc::posix_spawn(
                &raw mut pid,
                c"/bin/echo".as_ptr(),
                std::ptr::null(),
                std::ptr::null(),
                argv.as_ptr().cast(),
                environment.as_ptr(),
            );
            if started == 0 {
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
    }
    STOP.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    Ok(())
}
