//! Decides about signatures by the policy that holds now, and records each before it takes effect.

use super::live::Live;
use crate::signing::{Judgement, Signature};
use chaperone_audit::{NewEvent, Segment};
use chaperone_policy::{
    Decision, GIT_NAMESPACE, Origin, SshKey, Verdict, decide_signature, fingerprint,
};
use chaperone_sandbox::argv0;
use std::sync::Arc;

/// A session's decisions about signatures.
pub(crate) struct Signatures {
    pub(crate) live: Arc<Live>,
    pub(crate) segment: Arc<Segment>,
}

impl Signatures {
    fn decide(&self, names: &[SshKey], namespace: Option<&str>) -> Decision {
        decide_signature(&self.live.policy_now(), names, namespace)
    }
}

/// Adds who asked, where the kernel said it.
fn by_process(event: NewEvent, pid: Option<i32>) -> NewEvent {
    match pid {
        Some(pid) => event.detail("pid", pid).private("process", argv0(pid)),
        None => event,
    }
}

impl Judgement for Signatures {
    fn shows(&self, names: &[SshKey]) -> bool {
        self.decide(names, Some(GIT_NAMESPACE)).verdict == Verdict::Allow
    }

    fn signs(&self, signature: &Signature<'_>) -> bool {
        let Signature { key, names, namespace, pid } = *signature;
        let decision = self.decide(names, namespace);
        let event = NewEvent::sign(&fingerprint(key), namespace, &decision);
        // What cannot be recorded does not happen.
        let recorded = self.segment.append(by_process(event, pid)).is_ok();
        recorded && decision.verdict == Verdict::Allow
    }

    fn refuses(&self, number: u8, pid: Option<i32>) {
        let decision = Decision {
            verdict: Verdict::Deny,
            rule: Some("signatures for git".to_owned()),
            origin: Origin::built_in(),
            reason: "A session may have git sign, and changes nothing in the SSH agent.".to_owned(),
        };
        let event = NewEvent::sign(&format!("SSH agent message {number}"), None, &decision);
        // There is nothing to hold back.
        let _ = self.segment.append(by_process(event, pid));
    }
}
