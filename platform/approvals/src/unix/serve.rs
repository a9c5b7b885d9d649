//! The thread that serves one session's socket: poll, lines in, lines out. It never waits for a
//! client, so none of them can hold up the session or another client.

use super::folder::Registered;
use super::kernel;
use super::supervisor::Shared;
use super::wire::{Closed, Wire};
use crate::answer::Outcome;
use crate::hub::{ClientId, Output, goodbye};
use crate::protocol::CLIENT_LINE;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Connections at a time: a window, some terminals, and room for what is just going.
const CLIENTS: usize = 32;
/// How long a connection may stay without a hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long what was sent to a closing connection may take to leave.
const PARTING: Duration = Duration::from_millis(200);
/// Bytes that are held for a client that does not read. A welcome with every request that a queue
/// can hold fits.
const UNREAD: usize = 32 * 1024 * 1024;
/// Events are left out for a client that has this much unread.
const UNREAD_EVENTS: usize = 256 * 1024;
/// The wall clock may jump, after a suspend for one, so deadlines are looked at this often.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// The serving thread's own.
pub(super) struct Server {
    shared: Arc<Shared>,
    registered: Registered,
    listener: UnixListener,
    /// No connections are taken until then, because the process has no descriptors left.
    deaf_until: Option<Instant>,
    conns: BTreeMap<ClientId, Conn>,
    next_client: ClientId,
}

struct Conn {
    wire: Wire,
    welcomed: bool,
    /// When it is closed: for want of a hello, or to let the last words leave.
    until: Option<Instant>,
    closing: bool,
}

impl Drop for Server {
    /// However this thread ends, nobody waits for it in vain.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        for waiter in waiters.into_values() {
            waiter(Outcome::ended());
        }
    }
}

/// What a poll found.
#[derive(Default)]
struct Ready {
    listener: bool,
    clients: Vec<ClientId>,
}

impl Server {
    pub(super) fn new(shared: Arc<Shared>, registered: Registered, listener: UnixListener) -> Self {
        Self {
            shared,
            registered,
            listener,
            deaf_until: None,
            conns: BTreeMap::new(),
            next_client: 1,
        }
    }

    /// Serves until the session ends.
    pub(super) fn run(mut self) {
        self.registered.folder().sweep();
        loop {
            if self.deliver() {
                return;
            }
            let ready = self.wait();
            self.close_overdue();
            for id in ready.clients {
                self.serve(id);
            }
            if ready.listener {
                self.accept();
            }
        }
    }

    /// Carries out what there is to tell and do, whoever caused it. `true`: the session is over.
    fn deliver(&mut self) -> bool {
        loop {
            let mut state = self.shared.state();
            if !state.ended {
                let outputs = state.hub.tick(Timestamp::now());
                state.outputs.extend(outputs);
            }
            let outputs = std::mem::take(&mut state.outputs);
            let ended = state.ended;
            drop(state);
            if outputs.is_empty() {
                if ended {
                    self.part();
                }
                return ended;
            }
            for output in outputs {
                self.carry_out(output);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::To(id, bytes) => self.send(id, &bytes),
            Output::Welcome(id, bytes) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.welcomed = true;
                    conn.until = None;
                }
                self.send(id, &bytes);
            }
            Output::All(bytes) => {
                let ids: Vec<ClientId> = self
                    .conns
                    .iter()
                    .filter(|(_, c)| c.welcomed && !c.closing)
                    .map(|(id, _)| *id)
                    .collect();
                for id in ids {
                    self.send(id, &bytes);
                }
            }
            Output::Event(bytes) => {
                for conn in self.conns.values_mut().filter(|c| c.welcomed && !c.closing) {
                    // Who does not keep up misses events, never requests.
                    if conn.wire.unsent() < UNREAD_EVENTS {
                        // One that is gone says so at the next poll.
                        let _ = conn.wire.send(&bytes);
                    }
                }
            }
            Output::Close(id) => self.close(id),
            Output::Settled(tickets, outcome) => {
                for ticket in tickets {
                    let waiter = self.shared.state().waiters.remove(&ticket);
                    if let Some(waiter) = waiter {
                        waiter(outcome.clone());
                    }
                }
            }
            Output::Attended(attended) => {
                // Called without the lock, so that it may use this session's requests itself.
                let callback = self.shared.state().attendance.take();
                if let Some(mut callback) = callback {
                    callback(attended);
                    self.shared.state().attendance.get_or_insert(callback);
                }
            }
        }
    }

    fn wait(&mut self) -> Ready {
        let now = Instant::now();
        let deadline = self.shared.state().hub.queue().next_deadline();
        let until_deadline = deadline.map(|at| {
            let left = at.duration_since(Timestamp::now());
            Duration::try_from(left).unwrap_or_default().min(CLOCK_CHECK)
        });
        self.deaf_until = self.deaf_until.filter(|until| *until > now);
        let waits = self.conns.values().filter_map(|conn| conn.until).chain(self.deaf_until);
        let timeout = waits.map(|at| at.saturating_duration_since(now)).chain(until_deadline).min();
        // Rounded up: a deadline a fraction away must not spin.
        let timeout = timeout.and_then(|t| Timespec::try_from(t + Duration::from_millis(1)).ok());

        let mut ids = Vec::with_capacity(self.conns.len());
        let mut fds = Vec::with_capacity(self.conns.len() + 2);
        fds.push(PollFd::new(&self.shared.wake, PollFlags::IN));
        let listening = if self.deaf_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        fds.push(PollFd::new(&self.listener, listening));
        for (id, conn) in &self.conns {
            let reading = if conn.closing { PollFlags::empty() } else { PollFlags::IN };
            let sending = if conn.wire.is_sending() { PollFlags::OUT } else { PollFlags::empty() };
            ids.push(*id);
            fds.push(PollFd::new(&conn.wire, reading | sending));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ready::default(),
            Err(_) => {
                // Out of memory: nothing is lost by trying again a little later.
                thread::sleep(Duration::from_millis(100));
                return Ready::default();
            }
        }
        if !fds[0].revents().is_empty() {
            self.shared.wake.clear();
        }
        Ready {
            listener: !fds[1].revents().is_empty(),
            clients: ids
                .into_iter()
                .zip(&fds[2..])
                .filter(|(_, fd)| !fd.revents().is_empty())
                .map(|(id, _)| id)
                .collect(),
        }
    }

    fn serve(&mut self, id: ClientId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if !conn.wire.flush() {
            self.drop_conn(id);
            return;
        }
        if conn.closing {
            if !conn.wire.is_sending() {
                self.drop_conn(id);
            }
            return;
        }
        let (lines, end) = conn.wire.receive();
        if !lines.is_empty() {
            self.before_lines();
        }
        let mut state = self.shared.state();
        for line in lines {
            let outputs = state.hub.line(id, &line, Timestamp::now());
            let closes = outputs.contains(&Output::Close(id));
            state.outputs.extend(outputs);
            if closes {
                break;
            }
        }
        if end == Err(Closed::LineTooLong) {
            state.outputs.extend(goodbye(id, "A line is too long."));
        }
        drop(state);
        if end == Err(Closed::Gone) {
            self.drop_conn(id);
        }
    }

    fn before_lines(&self) {
        let mut state = self.shared.state();
        let waits = state.hub.queue().next_deadline().is_some();
        let callback = state.before_lines.take_if(|_| waits);
        drop(state);
        // Called without the lock, so that it may use this session's requests itself.
        if let Some(mut callback) = callback {
            callback();
            self.shared.state().before_lines.get_or_insert(callback);
        }
    }

    fn accept(&mut self) {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.deaf_until = Some(Instant::now() + Duration::from_millis(100));
                    return;
                }
            };
            let welcome = self.admit(&socket);
            let Ok(wire) = Wire::new(socket.into(), CLIENT_LINE, UNREAD) else { continue };
            let id = self.next_client;
            self.next_client += 1;
            let until = Some(Instant::now() + HELLO);
            self.conns.insert(id, Conn { wire, welcomed: false, until, closing: false });
            match welcome {
                Ok(()) => self.shared.state().hub.joined(id),
                Err(reason) => {
                    for output in goodbye(id, &reason) {
                        self.carry_out(output);
                    }
                }
            }
        }
    }

    fn admit(&self, socket: &UnixStream) -> Result<(), String> {
        if self.conns.len() >= CLIENTS {
            return Err("Too many are connected to this session. Try again later.".into());
        }
        let supervisors =
            self.registered.folder().registrations().map_err(|error| {
                format!("This session cannot tell who is in a session: {error}.")
            })?;
        kernel::admit(socket, &supervisors)
    }

    fn send(&mut self, id: ClientId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&id)
            && !conn.wire.send(bytes)
        {
            self.drop_conn(id);
        }
    }

    /// Closes once everything has left, or a moment later.
    fn close(&mut self, id: ClientId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.closing = true;
        conn.until = Some(Instant::now() + PARTING);
        if !conn.wire.is_sending() {
            self.drop_conn(id);
        }
    }

    fn close_overdue(&mut self) {
        let now = Instant::now();
        let overdue: Vec<ClientId> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.until.is_some_and(|until| until <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            self.drop_conn(id);
        }
    }

    fn drop_conn(&mut self, id: ClientId) {
        if self.conns.remove(&id).is_some() {
            let mut state = self.shared.state();
            let outputs = state.hub.left(id);
            state.outputs.extend(outputs);
        }
    }

    /// Lets the last words leave, but not for long.
    fn part(&mut self) {
        let until = Instant::now() + PARTING;
        loop {
            self.conns.retain(|_, conn| conn.wire.is_sending() && conn.wire.flush());
            let left = until.saturating_duration_since(Instant::now());
            if self.conns.is_empty() || left.is_zero() {
                return;
            }
            let mut fds: Vec<PollFd<'_>> =
                self.conns.values().map(|c| PollFd::new(&c.wire, PollFlags::OUT)).collect();
            let timeout = Timespec::try_from(left).ok();
            if poll(&mut fds, timeout.as_ref()).is_err_and(|error| error != Errno::INTR) {
                return;
            }
        }
    }
}
