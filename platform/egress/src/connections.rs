//! The connections that are open, so that a policy that has become tighter can end them; and what
//! went over those that there were, by target.

use crate::budget::{self, Budget};
use crate::target::Target;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::sync::Notify;

/// Of more targets than this is not told apart what went there: an agent does not fill the memory.
const MOST_TARGETS: usize = 1024;

/// A session's connections.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Vec<Weak<Open>>>,
    ended: Arc<Ended>,
}

/// What went over connections that have ended.
type Ended = Mutex<HashMap<Option<Target>, Traffic>>;

/// What went over connections to one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many there were.
    pub connections: u64,
    /// Bytes to the target. Of what is inside TLS that was opened, what is inside.
    pub sent: u64,
    /// Bytes from the target.
    pub received: u64,
}

impl Traffic {
    fn add(&mut self, other: Self) {
        let Self { connections, sent, received } = other;
        self.connections += connections;
        self.sent += sent;
        self.received += received;
    }
}

/// Adds to the target's sum, or to that of all for which there is no room.
fn add(sums: &mut HashMap<Option<Target>, Traffic>, target: &Target, traffic: Traffic) {
    let target = Some(target.clone());
    let has_room = sums.len() < MOST_TARGETS || sums.contains_key(&target);
    sums.entry(target.filter(|_| has_room)).or_default().add(traffic);
}

/// One connection, from before it is judged until both its sides have ended.
#[derive(Debug)]
pub(crate) struct Open {
    target: Target,
    /// What was dialled.
    address: Mutex<Option<IpAddr>>,
    /// It carries bytes, which are not looked at.
    is_unseen: AtomicBool,
    is_ended: AtomicBool,
    end: Notify,
    /// There is a connection to the target.
    is_made: AtomicBool,
    /// Bytes to the target.
    sent: AtomicU64,
    /// Bytes from the target.
    pub(crate) received: AtomicU64,
    /// There are budgets: most connections ask for none at every piece.
    has_budgets: AtomicBool,
    budgets: Mutex<Vec<Arc<Budget>>>,
    /// What the agent reads of the budget that has ended it.
    refusal: OnceLock<String>,
    /// Where it is summed up at its end.
    ended: Arc<Ended>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic() {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            add(&mut ended, &self.target, traffic);
        }
    }
}

impl Connections {
    pub(crate) fn open(&self, target: &Target) -> Arc<Open> {
        let open = Arc::new(Open {
            target: target.clone(),
            address: Mutex::default(),
            is_unseen: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            end: Notify::new(),
            is_made: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            has_budgets: AtomicBool::new(false),
            budgets: Mutex::default(),
            refusal: OnceLock::new(),
            ended: Arc::clone(&self.ended),
        });
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            all.retain(|other| other.strong_count() > 0);
        }
        all.push(Arc::downgrade(&open));
        open
    }

    fn all(&self) -> Vec<Arc<Open>> {
        let all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// What went over all connections so far, by target; without one, what went to targets that
    /// were too many to be told apart.
    pub fn traffic(&self) -> Vec<(Option<Target>, Traffic)> {
        // What ends meanwhile is then in neither, and not in both.
        let mut sums = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for open in self.all() {
            if let Some(traffic) = open.traffic() {
                add(&mut sums, &open.target, traffic);
            }
        }
        sums.into_iter().collect()
    }

    /// Gives every open connection its budgets anew.
    pub fn budget(&self, budgets: impl Fn(&Target) -> Vec<Arc<Budget>>) {
        for open in self.all() {
            open.budget(budgets(&open.target));
        }
    }

    /// Ends at once all of which this is true: of what was asked for, what was dialled for it, and
    /// whether it carries bytes that are not looked at.
    pub fn end_where(&self, ends: impl Fn(&Target, Option<IpAddr>, bool) -> bool) {
        for open in self.all() {
            if !open.is_ended()
                && ends(
                    &open.target,
                    *open.address.lock().unwrap_or_else(PoisonError::into_inner),
                    open.is_unseen.load(Ordering::SeqCst),
                )
            {
                open.end();
            }
        }
    }
}

impl Open {
    /// It is about to lead to this address.
    pub(crate) fn dials(&self, address: IpAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// What may be sent over it.
    pub(crate) fn budget(&self, budgets: Vec<Arc<Budget>>) {
        self.has_budgets.store(!budgets.is_empty(), Ordering::Relaxed);
        *self.budgets.lock().unwrap_or_else(PoisonError::into_inner) = budgets;
    }

    /// Whether this much may be sent; else the connection is over.
    pub(crate) fn may_send(&self, bytes: usize) -> bool {
        if !self.has_budgets.load(Ordering::Relaxed) {
            return true;
        }
        let budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(refusal) = budget::fits(&budgets, bytes) else { return true };
        // What was said first stays said.
        let _ = self.refusal.set(refusal);
        self.end();
        false
    }

    /// This much was sent.
    pub(crate) fn has_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.has_budgets.load(Ordering::Relaxed) {
            budget::count(&self.budgets.lock().unwrap_or_else(PoisonError::into_inner), bytes);
        }
    }

    /// What the agent reads where a budget has ended it.
    pub(crate) fn refusal(&self) -> Option<&String> {
        self.refusal.get()
    }

    fn end(&self) {
        self.is_ended.store(true, Ordering::SeqCst);
        self.end.notify_waiters();
    }

    /// There is a connection now.
    pub(crate) fn made(&self) {
        self.is_made.store(true, Ordering::Relaxed);
    }

    fn traffic(&self) -> Option<Traffic> {
        let bytes = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (sent, received) = (bytes(&self.sent), bytes(&self.received));
        let is_made = self.is_made.load(Ordering::Relaxed);
        is_made.then_some(Traffic { connections: 1, sent, received })
    }

    /// From here on it carries bytes that are not looked at.
    pub(crate) fn goes_unseen(&self) {
        self.is_unseen.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::SeqCst)
    }

    /// Waits until it is ended from outside.
    pub(crate) async fn ended(&self) {
        let end = self.end.notified();
        tokio::pin!(end);
        // From here on it is heard, so nothing falls between the question and the wait.
        end.as_mut().enable();
        if !self.is_ended() {
            end.await;
        }
    }
}
