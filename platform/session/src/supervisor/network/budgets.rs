//! Budgets of uploads: what was sent counts for every connection that shares one, and where it is
//! spent the connection ends and no other is made.

use super::{Gate, connecting, lock};
use crate::supervisor::words;
use chaperone_audit::NewEvent;
use chaperone_egress::{Budget, Host, Target, Usage};
use chaperone_policy::{
    Decision, HostPattern, Policy, Sourced, UploadBudget, Verdict, observed, uploads,
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Hosts that are counted each by itself; all others together, so that an agent does not fill the
/// memory.
const MOST_HOSTS: usize = 1024;

/// What is counted together: for hosts that an entry names, or for one host.
type Line = (Option<HostPattern>, Option<Host>, Option<Duration>);

/// What was sent so far in one session.
#[derive(Default)]
pub(super) struct Ledger {
    lines: Mutex<HashMap<Line, Arc<Usage>>>,
    /// The lines of which it was recorded that a policy which only observes would have ended them.
    observed: Mutex<HashSet<Line>>,
}

impl Ledger {
    fn line(&self, own: &UploadBudget, target: &Target) -> Line {
        let lines = lock(&self.lines);
        let host = own.host.is_none().then(|| target.host.clone());
        let line = (own.host.clone(), host, own.per);
        let has_room = lines.len() < MOST_HOSTS || lines.contains_key(&line);
        if has_room { line } else { (None, None, own.per) }
    }

    fn usage(&self, line: &Line) -> Arc<Usage> {
        let mut lines = lock(&self.lines);
        let usage = lines.entry(line.clone()).or_insert_with(|| Arc::new(Usage::new(line.2)));
        Arc::clone(usage)
    }
}

impl Gate {
    /// What may be sent to a target.
    pub(super) fn budgets_of(&self, policy: &Policy, target: &Target) -> Vec<Arc<Budget>> {
        let all = uploads(policy, &target.host.to_string(), target.port);
        let budget = |own: &Sourced<UploadBudget>| {
            let line = self.ledger.line(&own.value, target);
            let refusal = words::denied(&words::outward(&connecting(target)), &spent(own, target));
            let (gate, own, target) = (self.own.clone(), own.clone(), target.clone());
            let usage = self.ledger.usage(&line);
            let bytes = own.value.bytes;
            let exceeded = move || {
                // Without a session nothing more is sent.
                gate.upgrade().is_none_or(|gate| gate.exceeds(&line, &own, &target))
            };
            Arc::new(Budget::new(usage, bytes, refusal, Box::new(exceeded)))
        };
        all.into_iter().map(budget).collect()
    }

    /// Whether what would exceed a budget is refused; that it would is recorded.
    fn exceeds(&self, line: &Line, own: &Sourced<UploadBudget>, target: &Target) -> bool {
        let (policy, action) = (self.live.policy(), connecting(target));
        let mut decision = spent(own, target);
        if let Some(would) = observed(&policy, Timestamp::now(), &action, &decision) {
            if lock(&self.ledger.observed).insert(line.clone()) {
                // It passes, recorded or not.
                let _ = self.segment.append(NewEvent::observed(&action, &decision, would));
            }
            return false;
        }
        decision.reason.push_str(" The connection was open, and has been ended.");
        let segment = Arc::clone(&self.segment);
        // It ends, recorded or not, and for the disk no other connection waits.
        let _ = thread::Builder::new().name("budget".into()).spawn(move || {
            let _ = segment.append(NewEvent::decided(&action, &decision));
        });
        true
    }

    /// Why no connection to a target is made any more: a budget is spent.
    pub(super) fn overspent(&self, policy: &Policy, target: &Target) -> Option<Decision> {
        let all = uploads(policy, &target.host.to_string(), target.port);
        let is_spent = |own: &&Sourced<UploadBudget>| {
            let line = self.ledger.line(&own.value, target);
            self.ledger.usage(&line).sent() >= own.value.bytes
        };
        let decision = spent(all.into_iter().find(is_spent)?, target);
        let passes = observed(policy, Timestamp::now(), &connecting(target), &decision).is_some();
        (!passes).then_some(decision)
    }
}

fn spent(own: &Sourced<UploadBudget>, target: &Target) -> Decision {
    Decision {
        verdict: Verdict::Deny,
        rule: Some(format!("network.upload {}", own.value)),
        origin: own.origin.clone(),
        reason: format!(
            "The upload budget is spent: {}.",
            own.value.sentence(&target.host.to_string())
        ),
    }
}
