//! The connections that are open, so that a policy that has become tighter can end them.

use crate::target::Target;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// A session's open connections.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Vec<Weak<Open>>>);

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
}

impl Connections {
    pub(crate) fn open(&self, target: &Target) -> Arc<Open> {
        let open = Arc::new(Open {
            target: target.clone(),
            address: Mutex::default(),
            is_unseen: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            end: Notify::new(),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            all.retain(|other| other.strong_count() > 0);
        }
        all.push(Arc::downgrade(&open));
        open
    }

    /// Ends at once all of which this is true: of what was asked for, what was dialled for it, and
    /// whether it carries bytes that are not looked at.
    pub fn end_where(&self, ends: impl Fn(&Target, Option<IpAddr>, bool) -> bool) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for open in all.iter().filter_map(Weak::upgrade) {
            if !open.is_ended()
                && ends(
                    &open.target,
                    *open.address.lock().unwrap_or_else(PoisonError::into_inner),
                    open.is_unseen.load(Ordering::SeqCst),
                )
            {
                open.is_ended.store(true, Ordering::SeqCst);
                open.end.notify_waiters();
            }
        }
    }
}

impl Open {
    /// It is about to lead to this address.
    pub(crate) fn dials(&self, address: IpAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
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
