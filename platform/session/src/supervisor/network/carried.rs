//! What connects to an address outside without asking the session's proxy: what is refused anyway is
//! refused already when it connects, so that a program tells of the host in its own words.

use super::{Gate, connecting};
use chaperone_egress::{Host, Names, Ruling, Target, is_own};
use chaperone_policy::{Verdict, decide_address, observed, unattended, wants_familiarity};
use chaperone_sandbox::{Control, Refuses};
use jiff::Timestamp;
use std::sync::{Arc, mpsc};

/// Programs that connect to this port read the answer of a proxy, which says more.
const HTTP: u16 = 80;

/// Says what is refused so.
pub(super) fn refuses(gate: &Arc<Gate>, names: &Arc<Names>, control: Control) -> Box<Refuses> {
    let (gate, names) = (Arc::downgrade(gate), Arc::clone(names));
    Box::new(move |to, tid| match (gate.upgrade(), names.target(to)) {
        (Some(gate), Some(target)) => gate.refuses(&target, tid, &control),
        // Whatever is left of it arrives, and is looked at there.
        _ => false,
    })
}

impl Gate {
    /// Whether a connection is refused without anybody to be asked; that it was is then recorded.
    fn refuses(&self, target: &Target, tid: i32, control: &Control) -> bool {
        let is_lookup = matches!(target.host, Host::Address(address) if address.is_loopback());
        if target.port == HTTP || is_lookup {
            return false;
        }
        self.live.watch();
        let (policy, now, action) = (self.live.policy(), Timestamp::now(), connecting(target));
        let holder = control.asker(tid);
        let address = match target.host {
            Host::Address(address) => {
                decide_address(&policy, address, target.port, is_own(address))
            }
            Host::Name(_) => None,
        };
        let mut decision = match address {
            Some(denied) => denied,
            None => self.asking.decide_at_once(&policy, now, &action),
        };
        if wants_familiarity(&decision) {
            (decision, _) = self.asking.decide(&policy, now, &action, holder.as_ref());
        }
        if self.asks(&policy, &action, &decision) {
            if self.asking.somebody_is_there() || self.asking.somebody_may_come() {
                return false;
            }
            decision = unattended(&policy, decision);
        }
        // What is only observed passes, and is recorded when it is made.
        let is_observed = observed(&policy, now, &action, &decision).is_some();
        if decision.verdict != Verdict::Deny || is_observed {
            return false;
        }
        let (answer, answered) = mpsc::channel();
        let tell = Box::new(move |ruling| {
            // The other end waits for it.
            let _ = answer.send(ruling);
        });
        let wish = (action, holder);
        self.settle(&policy, target, target.host.clone(), wish, decision, tell);
        !matches!(answered.recv(), Ok(Ruling::Allow))
    }
}
