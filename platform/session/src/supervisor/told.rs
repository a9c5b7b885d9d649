//! Answers what the agent asks with `chaperone why`: what doing it would say, and no more. What the
//! supervisor refuses, a command and a connection through its proxy, says its rule and where that
//! stands; what the kernel refuses does not, so neither is told here.

use super::asking::long;
use super::judge::Supervision;
use crate::inside::{QUESTION, Told};
use crate::needs::beside;
use crate::would::{change, in_session};
use chaperone_policy::{
    Access, Action, Class, Decision, Origin, Policy, SourceKind, Verdict, bounds, observed,
    unattended,
};
use chaperone_sandbox::{Network, ObservedExec, Plan};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Stands for the place of a rule.
const UNTOLD: &str = "not told in a session";

/// An answer is a message of no more bytes.
const LONGEST: usize = 4000;

/// What the session began with: files and the network hold as they did then.
pub(crate) struct Begun<'a> {
    pub(crate) policy: Arc<Policy>,
    pub(crate) plan: &'a Plan,
}

/// The action that a program asks about, if it is this program and asks.
pub(crate) fn question(exec: &ObservedExec) -> Option<Action> {
    let [_, word, action] = exec.command.argv.as_slice() else { return None };
    if word != QUESTION {
        return None;
    }
    serde_json::from_str(action).ok().filter(|_| is_own(exec))
}

/// Whether a program is this one.
pub(crate) fn is_own(exec: &ObservedExec) -> bool {
    static OWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let own = OWN.get_or_init(|| std::env::current_exe().ok());
    own.as_ref().is_some_and(|own| exec.command.executable == *own)
}

impl Supervision<'_> {
    /// The answer, as the asking program reads it.
    pub(crate) fn tell(&self, action: &Action) -> String {
        let says_why = match action {
            Action::Run(_) => true,
            Action::Connect { .. } | Action::Http(_) => {
                matches!(self.begun.plan.network, Network::Proxy { .. })
            }
            Action::Read { .. } | Action::Write { .. } => false,
        };
        let decision = self.would(action);
        let change = match decision.origin.kind.class() {
            _ if decision.verdict == Verdict::Allow => String::new(),
            Class::Managed if !says_why => {
                "Whoever manages this machine has set this; nothing below loosens it.".to_owned()
            }
            _ => change(action, &decision),
        };
        let mut decision = shown(action, says_why, decision);
        if decision.verdict != Verdict::Deny {
            decision.reason.push_str(&beside(action));
        }
        let mut told = Told { decision, change };
        loop {
            let text = serde_json::to_string(&told).unwrap_or_default();
            if text.len() <= LONGEST {
                return text;
            }
            for text in [&mut told.decision.reason, &mut told.change] {
                *text = text.chars().take(text.chars().count() / 2).collect();
            }
        }
    }

    /// What the session would do now.
    fn would(&self, action: &Action) -> Decision {
        let Begun { policy: begun, plan } = &self.begun;
        let policy = self.live.policy();
        let now = Timestamp::now();
        match action {
            Action::Read { path } => file(begun, plan, Access::Read, path),
            Action::Write { path } => file(begun, plan, Access::Write, path),
            Action::Connect { .. } | Action::Http(_) | Action::Run(_) => {
                let mut decision = self.asking.decide(&policy, now, action, None).0;
                if let (Action::Connect { .. } | Action::Http(_), Network::None { .. }) =
                    (action, &plan.network)
                {
                    // What was allowed since can be reached from the next session on.
                    let before = self.asking.decide(begun, now, action, None).0;
                    decision = if before.verdict > decision.verdict { before } else { decision };
                }
                if decision.verdict != Verdict::Deny {
                    decision.reason.push_str(&bounds(&policy, action));
                }
                if observed(&policy, now, action, &decision).is_some() {
                    decision.reason.push_str(" For now it is only observed, and passes.");
                    return decision;
                }
                if decision.verdict != Verdict::Ask {
                    return decision;
                }
                if !self.asking.somebody_is_there() {
                    return unattended(&policy, decision);
                }
                let wait = long(&policy, self.asking.patience());
                let reason = format!("{} It waits up to {wait} for an answer.", decision.reason);
                Decision { reason, ..decision }
            }
        }
    }
}

fn file(policy: &Policy, plan: &Plan, access: Access, path: &Path) -> Decision {
    let Some(temporary) = in_temporary(plan, path) else {
        return in_session(policy, plan, access, path);
    };
    let decision = in_session(policy, plan, access, &temporary);
    let [called, asked] = [temporary.as_path(), path].map(|path| path.display().to_string());
    Decision { reason: decision.reason.replace(&called, &asked), ..decision }
}

/// Where a path in the session's own temporary folder is outside, if that is called something else
/// inside, and neither the home folder nor anything that is granted stands there.
fn in_temporary(plan: &Plan, path: &Path) -> Option<PathBuf> {
    let folder = |variable| plan.environment.get(variable).map(Path::new);
    let called = folder("TMPDIR").filter(|called| *called != plan.temp)?;
    let rest = path.strip_prefix(called).ok()?;
    let granted = plan.grants.iter().map(|grant| grant.path.as_path());
    let elsewhere = granted.chain(folder("HOME")).any(|own| path.starts_with(own));
    (!elsewhere).then(|| plan.temp.join(rest))
}

/// Of a rule no more than the action itself would tell: where that says why it is refused, all.
fn shown(action: &Action, says_why: bool, decision: Decision) -> Decision {
    let Decision { verdict, rule, origin, reason } = decision;
    let is_refused = says_why && verdict != Verdict::Allow;
    let is_known =
        |kind| matches!(kind, SourceKind::BuiltIn | SourceKind::AgentFile | SourceKind::Grant);
    if is_refused || is_known(origin.kind) {
        return Decision { verdict, rule, origin, reason };
    }
    let key = rule.as_deref().and_then(|rule| rule.split(' ').next()).unwrap_or_default();
    let reason = match (action, verdict) {
        (Action::Run(_), _) => "It is allowed.",
        (Action::Read { .. }, Verdict::Allow) => "It may be read.",
        (Action::Write { .. }, Verdict::Allow) => "It may be written.",
        (Action::Connect { .. }, Verdict::Allow) => "It may be reached.",
        (Action::Connect { .. }, Verdict::Ask) => "It is not among the hosts that are allowed.",
        (Action::Connect { .. }, Verdict::Deny) => "The policy does not let it be reached.",
        (Action::Http(_), Verdict::Allow) => "It may be sent.",
        (Action::Http(_), Verdict::Ask) => "It is asked about.",
        (Action::Http(_), Verdict::Deny) => "The policy does not let it be sent.",
        (_, _) if key == "filesystem.deny" => "The policy hides it: neither read nor written.",
        (_, _) => "The policy keeps it as it is: read, and not written.",
    };
    Decision {
        verdict,
        rule: Some(key.to_owned()),
        origin: Origin { locator: UNTOLD.into(), ..origin },
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::Command;

    fn decided(kind: SourceKind, verdict: Verdict, rule: &str) -> Decision {
        Decision {
            verdict,
            rule: Some(rule.into()),
            origin: Origin { kind, locator: "/etc/x.toml:3".into() },
            reason: "A secret reason.".into(),
        }
    }

    #[test]
    fn of_a_rule_as_much_is_told_as_its_refusal_says() {
        let run = Action::Run(Command::from_tokens(&["git", "push"]));
        let read = Action::Read { path: "/x".into() };
        let connect = Action::Connect { host: "x".into(), port: 443 };
        let managed = SourceKind::ManagedFile;
        let refused = decided(managed, Verdict::Deny, "commands.rule git push");
        assert_eq!(shown(&run, true, refused.clone()), refused);
        let built_in = decided(SourceKind::BuiltIn, Verdict::Deny, "filesystem.deny ~/.ssh");
        assert_eq!(shown(&read, false, built_in.clone()), built_in);
        for (action, verdict, rule, key) in [
            (&run, Verdict::Allow, "commands.rule git push", "commands.rule"),
            (&read, Verdict::Deny, "filesystem.deny ~/plans", "filesystem.deny"),
            (&read, Verdict::Allow, "filesystem.read ~/plans", "filesystem.read"),
            (&connect, Verdict::Deny, "network.deny paste.example", "network.deny"),
            (&connect, Verdict::Ask, "network.mode", "network.mode"),
        ] {
            for kind in [managed, SourceKind::UserFile, SourceKind::WorkspaceFile] {
                let says_why = matches!(action, Action::Run(_));
                let told = shown(action, says_why, decided(kind, verdict, rule));
                assert_eq!((told.verdict, told.rule.as_deref()), (verdict, Some(key)));
                assert_eq!(told.origin, Origin { kind, locator: UNTOLD.into() });
                assert!(!told.reason.contains("secret"), "{}", told.reason);
            }
        }
    }
}
