//! What the agent reads when something did not happen: what, why, who decided, what to do instead.

use chaperone_approvals::shell_words;
use chaperone_policy::{Action, Command, Decision};

/// What happened to a request that nobody needs to answer any more.
pub(crate) const CHANGED: &str = "The policy changed while this waited.";

/// A command, as it is written in a shell.
pub(crate) fn command(command: &Command) -> String {
    shell_words(&command.argv)
}

/// What leaves the session.
pub(crate) fn outward(action: &Action) -> String {
    match action {
        Action::Connect { host, port } if host.contains(':') => {
            format!("a connection to [{host}]:{port}")
        }
        Action::Connect { host, port } => format!("a connection to {host}:{port}"),
        Action::Http(request) => format!("the request {request}"),
        Action::Run(run) => command(run),
        Action::Read { path } | Action::Write { path } => path.display().to_string(),
    }
}

/// What was asked about, and the policy denies by now.
pub(crate) fn overruled(what: &str, decision: &Decision) -> String {
    let Decision { reason, .. } = decision;
    denied(what, &Decision { reason: format!("{CHANGED} {reason}"), ..decision.clone() })
}

/// What the policy denies.
pub(crate) fn denied(what: &str, decision: &Decision) -> String {
    let mut text = format!("chaperone: denied: {what}\n");
    push(&mut text, &decision.reason);
    push_rule(&mut text, decision);
    push(
        &mut text,
        "Do not try another way around this rule. Carry on without it, or tell the person what you \
         need it for.",
    );
    text.trim_end().to_owned()
}

/// What was asked about, and denied by a person or because nobody answered.
pub(crate) fn answered(what: &str, decision: &Decision, outcome: &str) -> String {
    let mut text = format!("chaperone: denied: {what}\n");
    push(&mut text, outcome);
    push(&mut text, &format!("It was asked because: {}", decision.reason));
    push_rule(&mut text, decision);
    text.trim_end().to_owned()
}

/// The history could not take the event, so the action does not happen.
pub(crate) fn not_recorded(error: &chaperone_audit::Error) -> String {
    format!(
        "chaperone: denied: this could not be recorded, and what is not recorded does not happen.\n  \
         {error}"
    )
}

fn push_rule(text: &mut String, decision: &Decision) {
    if let Some(rule) = &decision.rule {
        push(text, &format!("Rule: {rule} ({}).", decision.origin));
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str("  ");
    text.push_str(line);
    text.push('\n');
}
