//! Carries what a browser answers to the machine's loopback into a session that has a loopback of
//! its own: requests to one port, for some minutes.

use chaperone_sandbox::Control;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a person may take to sign in.
pub(crate) const OPEN: Duration = Duration::from_mins(10);
/// How long a browser may take to say what it wants, and either side to say more.
const PATIENCE: Duration = Duration::from_secs(30);
/// How a request for a page begins.
const REQUEST: &[u8] = b"GET ";
/// More connections at a time are turned away.
const MOST: usize = 16;

/// The ports that are open, each until its time has come.
#[derive(Debug, Clone)]
pub(crate) struct Callbacks {
    control: Control,
    open: Arc<Mutex<HashMap<u16, Instant>>>,
}

impl Callbacks {
    /// None is open yet.
    pub(crate) fn new(control: Control) -> Self {
        Self { control, open: Arc::default() }
    }

    /// Opens a port of the machine's loopback, or keeps it open for longer.
    ///
    /// # Errors
    /// When something else listens there.
    pub(crate) fn open(&self, port: u16) -> io::Result<()> {
        let mut open = lock(&self.open);
        let until = Instant::now() + OPEN;
        if let Some(open) = open.get_mut(&port) {
            *open = until;
            return Ok(());
        }
        let mut listeners = vec![TcpListener::bind((Ipv4Addr::LOCALHOST, port))?];
        // Browsers try both; some machines have the first alone.
        listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)));
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let own = self.clone();
        thread::Builder::new().name("sign-in".into()).spawn(move || own.serve(port, &listeners))?;
        open.insert(port, until);
        Ok(())
    }

    /// What is left of a port's time; it is closed once nothing is.
    fn left(&self, port: u16) -> Option<Duration> {
        let mut open = lock(&self.open);
        let left = open.get(&port)?.checked_duration_since(Instant::now());
        if left.is_none() {
            open.remove(&port);
        }
        left
    }

    fn serve(&self, port: u16, listeners: &[TcpListener]) {
        let serving = Arc::new(AtomicUsize::new(0));
        while let Some(left) = self.left(port) {
            let mut fds: Vec<_> =
                listeners.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
            let timeout = left.try_into().ok();
            if !matches!(poll(&mut fds, timeout.as_ref()), Ok(_) | Err(rustix::io::Errno::INTR)) {
                return;
            }
            for (browser, _) in listeners.iter().flat_map(TcpListener::accept) {
                let taken = Taken::new(&serving);
                if taken.is_one_too_many() {
                    continue;
                }
                let control = self.control.clone();
                // Without a thread it is closed, which the browser shows.
                let _ = thread::Builder::new().name("sign-in".into()).spawn(move || {
                    // What cannot be carried is closed as well.
                    let _ = carry(&browser, &control, port);
                    drop(taken);
                });
            }
        }
    }
}

/// A place among the connections that are carried at a time.
struct Taken(Arc<AtomicUsize>);

impl Taken {
    fn new(serving: &Arc<AtomicUsize>) -> Self {
        serving.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(serving))
    }

    fn is_one_too_many(&self) -> bool {
        self.0.load(Ordering::SeqCst) > MOST
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Carries one connection, if it is a browser's that asks for a page: a redirect is nothing else.
fn carry(browser: &TcpStream, control: &Control, port: u16) -> io::Result<()> {
    browser.set_nonblocking(false)?;
    browser.set_read_timeout(Some(PATIENCE))?;
    let mut first = [0; 4 << 10];
    let mut count = 0;
    while count < REQUEST.len() {
        match (&mut &*browser).read(&mut first[count..])? {
            0 => return Ok(()),
            more => count += more,
        }
    }
    if !first.starts_with(REQUEST) {
        return Ok(());
    }
    let session = control.dial(port)?;
    session.set_read_timeout(Some(PATIENCE))?;
    (&session).write_all(&first[..count])?;
    thread::scope(|scope| {
        scope.spawn(|| pour(browser, &session));
        pour(&session, browser);
    });
    Ok(())
}

/// Until one side has said everything, or nothing for too long.
fn pour(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn lock(open: &Mutex<HashMap<u16, Instant>>) -> MutexGuard<'_, HashMap<u16, Instant>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
