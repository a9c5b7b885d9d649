//! The tracing thread's loop: the filter's questions, exec stops, the first process's messages,
//! and answers from other threads, until nothing of the session is left.
//!
//! Exec is judged the cheap way: nothing is traced until a thread asks to exec. Then that thread
//! alone is seized, its call proceeds, and it stops before the new image's first instruction.
//! There it is judged, and let go. An exec that fails gives no stop: its thread stays seized
//! until it execs again, gets a signal or ends.

use super::appearing::{Appearing, Uncovered};
use super::broker::{Broker, Job, Word};
use super::calls::{self, Umasks};
use super::channel::{self, Message};
use super::connect::{self, Reach};
use super::control::Shared;
use super::cpus::Here;
use super::filter;
use super::group::{self, Group};
use super::image;
use super::lookups::{self, Lookups};
use super::notify::{Listener, Question};
use super::proc;
use super::sys::{self, Errno, Waited};
use super::watch::Watch;
use crate::enforce::{
    ActionId, Answer, Excess, Exit, Judge, LeftOver, ObservedExec, Outcome, TraceError,
};
use crate::plan::Tier;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::sync::Arc;

/// How often those who wait are looked at for a signal that ends them: the kernel tells a tracer
/// nothing about signals to a process that is stopped already.
const LOOK_MS: i32 = 100;

/// Every event of a tracee that is waited for.
const ANY_CHILD: i32 = libc::__WALL | libc::__WNOTHREAD;

/// The state of one session's watch.
pub(super) struct Tracer<'a> {
    pub(super) tier: Tier,
    pub(super) init: i32,
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Listener,
    pub(super) reach: Reach,
    pub(super) broker: Option<Broker>,
    pub(super) appearing: Option<Appearing>,
    pub(super) umasks: Umasks,
    pub(super) judge: &'a mut dyn Judge,
    /// What the session uses; none once it ends.
    pub(super) watch: Option<Watch>,
    /// What holds some of its limits; none once it ends.
    pub(super) group: Option<&'a Group>,
    pub(super) seized: BTreeSet<i32>,
    pub(super) waiting: BTreeMap<ActionId, ObservedExec>,
    pub(super) next: u64,
    /// Kept where a thread was told to go on that is about to stop.
    pub(super) here: Option<Here>,
    /// What the stacks of new programs are read into.
    pub(super) stack: Vec<u8>,
    pub(super) exit: Option<Exit>,
    pub(super) ended: Vec<LeftOver>,
}

impl Tracer<'_> {
    /// Until nothing is left.
    pub(super) fn run(mut self) -> Result<Outcome, TraceError> {
        let mut questions_come = true;
        let mut messages_come = true;
        loop {
            let [memory, processes] = group::polled(self.group);
            let mut fds = [
                sys::readable(self.shared.wake.as_fd()),
                sys::readable(self.listener.as_fd()),
                sys::readable(self.shared.socket.as_fd()),
                memory,
                processes,
                Appearing::polled(self.appearing.as_ref()),
            ];
            // Negative descriptors are passed over: these two hang up for good.
            if !questions_come {
                fds[1].fd = -1;
            }
            if !messages_come {
                fds[2].fd = -1;
            }
            let timeout = self.timeout();
            sys::poll(&mut fds, timeout)
                .map_err(|e| fault("its events cannot be waited for", e))?;
            if fds[0].revents != 0 {
                sys::drain(self.shared.wake.as_fd());
            }
            // Most rounds bring a question and nothing else.
            let stirred =
                fds[0].revents != 0 || fds[1].revents != libc::POLLIN || fds[2].revents != 0;
            if fds[1].revents & libc::POLLIN != 0 {
                self.question()?;
            } else if fds[1].revents != 0 {
                questions_come = false;
            }
            // Before what else is asked: it may be about what appeared.
            if let Some(appearing) = &mut self.appearing
                && let Err(what) = appearing.go_on(fds[5].revents != 0, &self.shared, self.judge)
            {
                self.uncovered(&what);
            }
            if fds[2].revents != 0 {
                messages_come = self.message();
            }
            if stirred {
                self.answers();
                self.words();
            }
            if !self.waiting.is_empty() {
                self.look_for_interrupts();
            }
            let told = fds[3].revents != 0 || fds[4].revents != 0;
            let group = self.group;
            let excess = group.filter(|_| told).and_then(Group::excess);
            let seen = || self.watch.as_mut().and_then(|watch| watch.look(group));
            if let Some(excess) = excess.or_else(seen) {
                self.exceeded(&excess);
            }
            if stirred && self.children()? {
                let exit = self.exit.unwrap_or(Exit::Signal(libc::SIGKILL));
                return Ok(Outcome { exit, ended: self.ended });
            }
        }
    }

    /// Ends a session that uses more than its limits.
    fn exceeded(&mut self, excess: &Excess) {
        (self.watch, self.group) = (None, None);
        self.exit = Some(Exit::Signal(libc::SIGKILL));
        self.judge.exceeded(excess);
        self.end();
    }

    /// Ends a session that would see what is denied.
    fn uncovered(&mut self, (path, error): &Uncovered) {
        self.appearing = None;
        self.exit.get_or_insert(Exit::Signal(libc::SIGKILL));
        self.judge.uncovered(path, error);
        self.end();
    }

    /// How long to wait for an event, in milliseconds; -1: as long as it takes.
    fn timeout(&self) -> i32 {
        let interrupts = if self.waiting.is_empty() { i32::MAX } else { LOOK_MS };
        let watch = self.watch.as_ref().map_or(i32::MAX, Watch::wait);
        let appearing = self.appearing.as_ref().map_or(i32::MAX, Appearing::wait);
        match interrupts.min(watch).min(appearing) {
            i32::MAX => -1,
            milliseconds => milliseconds,
        }
    }

    fn question(&mut self) -> Result<(), TraceError> {
        self.here = None;
        let received = self.listener.receive();
        let Some(question) = received.map_err(|e| fault("its questions cannot be read", e))? else {
            return Ok(());
        };
        match question.call {
            libc::SYS_execve | libc::SYS_execveat => self.exec(&question),
            libc::SYS_connect => {
                if let Err(refused) = self.reach.connect(&self.listener, &question) {
                    // It waits meanwhile, and so can still be looked at.
                    if let Some(target) = refused.target {
                        self.judge.connect(question.tid, &target);
                    }
                    self.listener.answer(&question, Err(refused.errno));
                }
            }
            libc::SYS_socket => Lookups::give(&self.listener, &question),
            libc::SYS_bind => lookups::addressed(&self.listener, &question, 1),
            libc::SYS_sendto => lookups::addressed(&self.listener, &question, 4),
            call if filter::SIGNALS.contains(&call) => self.signal(&question, 0),
            // Who is signalled by what happens on a descriptor.
            libc::SYS_fcntl => self.signal(&question, 2),
            libc::SYS_umask => {
                self.umasks.change(question.tid, question.arguments[0] as u32);
                self.listener.proceed(&question);
            }
            call if let Some((_, target)) =
                filter::SCHEDULING.iter().find(|(scheduling, _)| *scheduling == call) =>
            {
                self.signal(&question, *target as usize);
            }
            _ => {
                let job = calls::read(&self.listener, &question, &mut self.umasks);
                self.broker(&question, job);
            }
        }
        Ok(())
    }

    /// Lets a call that signals or schedules reach processes of the session alone, where neither a
    /// namespace nor Landlock sees to that; `at` is the argument that names them. What is judged is
    /// in registers, so nothing can change it afterwards.
    fn signal(&self, question: &Question, at: usize) {
        let target = question.arguments[at] as i32;
        let ours = match target {
            // The caller's own group, which was made in the session.
            0 => true,
            // Everybody.
            -1 => false,
            // A group is told by its leader.
            target => {
                let target = target.wrapping_abs();
                proc::is_below(target, self.init)
                    || connect::thread_group(target).is_ok_and(|pid| proc::is_below(pid, self.init))
            }
        };
        if ours {
            self.listener.proceed(question);
        } else {
            self.listener.answer(question, Err(Errno(libc::EPERM)));
        }
    }

    /// Hands a call to the broker, which answers it.
    fn broker(&mut self, question: &Question, job: sys::Result<Job>) {
        let taken = job.and_then(|job| match &mut self.broker {
            Some(broker) => broker.take(job),
            None => Err(Errno(libc::EPERM)),
        });
        if let Err(errno) = taken {
            self.listener.answer(question, Err(errno));
        }
    }

    /// What the broker has said since.
    fn words(&mut self) {
        for word in self.shared.take_words() {
            match word {
                Word::Refused { tid, path } => self.judge.write(tid, &path),
                Word::Ungranted { tid, path } => self.judge.refused(tid, &path),
                Word::Repository { path } => self.judge.repository(&path),
                Word::Moved { from, to, exchanged } => self.judge.moved(&from, &to, exchanged),
                Word::Elsewhere { job, path } => {
                    let question = job.question;
                    self.broker(&question, calls::elsewhere(job, &path));
                }
            }
        }
    }

    /// Seizes the thread that asks, and lets its call proceed to the stop.
    fn exec(&mut self, question: &Question) {
        match seize(question.tid, &mut self.seized, || self.listener.valid(question)) {
            Ok(true) => {
                self.here = Here::keep();
                self.listener.proceed(question);
            }
            Ok(false) => {}
            Err(errno) => self.untraceable(question, errno),
        }
    }

    /// Ends a program that asks to start another which nobody could look at.
    fn untraceable(&mut self, question: &Question, errno: Errno) {
        let process = connect::thread_group(question.tid);
        // Else the thread has died, and its number may be somebody else's.
        if !self.listener.valid(question) {
            return;
        }
        let error = std::io::Error::from(errno);
        self.judge.unreadable(question.tid, &format!("it cannot be traced: {error}"));
        let ended = process.and_then(|process| sys::kill(process, libc::SIGKILL));
        if ended.is_err() {
            self.listener.answer(question, Err(Errno(libc::EPERM)));
        }
    }

    /// Takes one message of the first process; whether more can come.
    fn message(&mut self) -> bool {
        match channel::receive(self.shared.socket.as_fd()) {
            Ok(Some((Message::Stopped { .. }, _))) => self.judge.stopped(),
            Ok(Some((Message::Dialled { errno }, fds))) => {
                let socket = fds.into_iter().next();
                self.shared.dialled(socket.ok_or_else(|| std::io::Error::from(Errno(errno))));
            }
            Ok(Some((Message::Ended { status }, _))) => {
                // The kernel may have ended it a moment ago.
                if let Some(excess) = self.group.and_then(Group::excess) {
                    self.exceeded(&excess);
                }
                (self.watch, self.group) = (None, None);
                self.exit.get_or_insert(exit(status));
                self.ended = proc::descendants(self.init);
                self.end();
                self.judge.ended();
            }
            Ok(Some((Message::Covered { errno, done }, _))) => {
                let appearing = self.appearing.as_mut();
                match appearing.map(|appearing| appearing.covered(errno, done)) {
                    Some(Ok(Some(path))) => self.judge.covered(&path),
                    Some(Err(what)) => self.uncovered(&what),
                    Some(Ok(None)) | None => {}
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
        true
    }

    /// Ends what is left.
    fn end(&mut self) {
        match self.tier {
            // The kernel ends a namespace with its first process.
            Tier::Full => {
                let _ = sys::kill(self.init, libc::SIGKILL);
            }
            Tier::Reduced | Tier::None => self.shared.send(Message::End),
        }
    }

    /// Takes every child event there is; whether the first process has ended.
    fn children(&mut self) -> Result<bool, TraceError> {
        loop {
            match sys::wait(-1, libc::WNOHANG | ANY_CHILD) {
                Ok(Some(waited)) if waited.pid == self.init => return Ok(true),
                Ok(Some(waited)) => self.child(waited),
                Ok(None) => return Ok(false),
                Err(errno) => return Err(fault("its processes cannot be waited for", errno)),
            }
        }
    }

    fn child(&mut self, Waited { pid, status }: Waited) {
        if !libc::WIFSTOPPED(status) {
            self.forget(pid);
            return;
        }
        match status >> 16 {
            libc::PTRACE_EVENT_EXEC => self.exec_stop(pid),
            // A group-stop or the stop of an interrupt: it goes on as it would without a tracer.
            libc::PTRACE_EVENT_STOP => self.let_go(pid, 0),
            // A signal is about to be delivered, so no exec is on its way any more.
            _ => self.let_go(pid, libc::WSTOPSIG(status)),
        }
    }

    fn forget(&mut self, pid: i32) {
        self.seized.remove(&pid);
        let gone: Vec<ActionId> =
            self.waiting.iter().filter(|(_, exec)| exec.pid == pid).map(|(id, _)| *id).collect();
        for id in gone {
            self.waiting.remove(&id);
            self.judge.withdrawn(id);
        }
    }

    /// Ends the tracing of a stopped thread, which then goes on with this signal (0: none).
    fn let_go(&mut self, pid: i32, signal: i32) {
        self.seized.remove(&pid);
        detach(pid, signal);
    }

    fn exec_stop(&mut self, pid: i32) {
        self.here = None;
        let mut former: libc::c_ulong = 0;
        // SAFETY: the kernel stores an unsigned long.
        unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut former) };
        // A thread that execs takes over the number of its process.
        self.seized.remove(&(former as i32));
        self.seized.insert(pid);
        let command = match image::read(pid, &mut self.stack) {
            Ok(command) => command,
            Err(errno) => return self.unreadable(pid, errno),
        };
        let id = ActionId(self.next);
        self.next += 1;
        let exec = ObservedExec { pid, command };
        match self.judge.exec(id, &exec) {
            Answer::Allow => self.let_go(pid, 0),
            Answer::Deny { message } => self.refuse(pid, &message),
            Answer::Wait => {
                self.waiting.insert(id, exec);
            }
        }
    }

    fn unreadable(&mut self, pid: i32, errno: Errno) {
        let reason = match errno {
            Errno(libc::ENOEXEC) => "it is a 32-bit program".to_owned(),
            errno => format!("it cannot be examined: {}", std::io::Error::from(errno)),
        };
        self.judge.unreadable(pid, &reason);
        self.refuse(pid, &format!("chaperone: this program was not started: {reason}."));
    }

    /// Lets a stopped program write this message and end with 126, and nothing else.
    fn refuse(&mut self, pid: i32, message: &str) {
        if image::replace(pid, message).is_err() {
            // It has been killed, or its memory is out of reach: then it must not run at all.
            let _ = sys::kill(pid, libc::SIGKILL);
        }
        self.let_go(pid, 0);
    }

    /// What other threads have answered since.
    fn answers(&mut self) {
        for (id, answer) in self.shared.take_answers() {
            let Some(exec) = self.waiting.remove(&id) else { continue };
            match answer {
                Answer::Allow => match image::read(exec.pid, &mut self.stack) {
                    Ok(command) if command == exec.command => self.let_go(exec.pid, 0),
                    Ok(_) => {
                        self.judge.unreadable(exec.pid, "it changed while it waited");
                        self.refuse(exec.pid, "chaperone: this command changed while it waited.");
                    }
                    Err(errno) => self.unreadable(exec.pid, errno),
                },
                Answer::Deny { message } => self.refuse(exec.pid, &message),
                Answer::Wait => {
                    self.waiting.insert(id, exec);
                }
            }
        }
    }

    /// Whoever waits and has been sent a signal that ends it needs no answer any more.
    fn look_for_interrupts(&mut self) {
        let interrupted: Vec<(ActionId, i32)> = self
            .waiting
            .iter()
            .filter(|(_, exec)| image::interrupted(exec.pid))
            .map(|(id, exec)| (*id, exec.pid))
            .collect();
        for (id, pid) in interrupted {
            self.waiting.remove(&id);
            self.judge.withdrawn(id);
            self.refuse(pid, "chaperone: interrupted while it waited for an answer.");
        }
    }
}

/// Seizes a thread that `asks`, so that it stops at its exec; whether it does ask, as it is known from
/// then on. If it died before it was seized, its number may be somebody else's, who is let go at a stop
/// that comes next.
fn seize(tid: i32, seized: &mut BTreeSet<i32>, asks: impl FnOnce() -> bool) -> sys::Result<bool> {
    if !seized.contains(&tid) {
        let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
        // SAFETY: seizing takes numbers.
        match sys::check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, options) }) {
            Ok(_) => seized.insert(tid),
            Err(Errno(libc::ESRCH)) => return Ok(false),
            Err(errno) => return Err(errno),
        };
    }
    let asks = asks();
    if !asks {
        // SAFETY: interrupting takes numbers. It may have ended.
        unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0) };
    }
    Ok(asks)
}

fn detach(pid: i32, signal: i32) {
    // SAFETY: detaching takes numbers. It may have been killed, and then it is reaped.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, signal) };
}

fn fault(what: &'static str, errno: Errno) -> TraceError {
    TraceError { what, source: errno.into() }
}

fn exit(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests;
