//! What a session-wide approval of a command or a connection covers.

use super::{Facts, SessionApproval};
use crate::identity::{git_aliases, identities, subject};
use crate::{Command, HttpRequest, Policy};

/// Options of `git push` that neither widen nor change what it does to the other side.
const HARMLESS: [&str; 14] = [
    "-u",
    "--set-upstream",
    "-v",
    "--verbose",
    "-q",
    "--quiet",
    "--progress",
    "--no-progress",
    "-n",
    "--dry-run",
    "--porcelain",
    "--atomic",
    "--thin",
    "--no-verify",
];

/// The tokens that a session-wide approval of this command would cover, such as
/// `git push origin`: every later command of which this function says the same. `None` where only
/// an approval of the one command makes sense, or the policy allows no other.
pub fn session_scope(policy: &Policy, command: &Command) -> Option<Vec<String>> {
    if !policy.approvals().scopes.value.session {
        return None;
    }
    // What is not proven, or means something else through its environment, is asked each time.
    let tokens = subject(command);
    let proven = identities(command).iter().any(|own| own.proven && own.tokens == tokens);
    let changed = command.environment.iter().any(|(name, _)| {
        (name.starts_with("GIT_") && !is_personal(name)) || name.starts_with("NODE_OPTIONS")
    });
    if !proven || changed || !git_aliases(command).is_empty() {
        return None;
    }
    match tokens.as_slice() {
        [git, push, arguments @ ..] if git == "git" && push == "push" => {
            let retargeted = command.argv.get(1).is_none_or(|first| first != "push");
            push_scope(arguments, retargeted, &tokens)
        }
        _ => Some(tokens),
    }
}

/// What a session-wide approval of this connection would cover: connections to the same host and
/// port. `None` where the policy allows no such approval. A command never has these words: the name
/// of a program has no slash.
pub fn connection_scope(policy: &Policy, host: &str, port: u16) -> Option<Vec<String>> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    policy.approvals().scopes.value.session.then(|| vec![format!("tcp://{host}:{port}")])
}

/// What a session-wide approval of this request would cover: requests with the same method to the
/// same host and port. `None` where the policy allows no such approval.
pub fn http_scope(policy: &Policy, request: &HttpRequest) -> Option<Vec<String>> {
    let HttpRequest { host, port, method, .. } = request;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let scope = || vec![method.clone(), format!("http://{host}:{port}")];
    policy.approvals().scopes.value.session.then(scope)
}

/// Variables that say who commits and how things are shown.
fn is_personal(name: &str) -> bool {
    name.starts_with("GIT_AUTHOR_")
        || name.starts_with("GIT_COMMITTER_")
        || matches!(name, "GIT_PAGER" | "GIT_EDITOR" | "GIT_TERMINAL_PROMPT" | "GIT_OPTIONAL_LOCKS")
}

fn push_scope(arguments: &[String], retargeted: bool, whole: &[String]) -> Option<Vec<String>> {
    if overwrites(arguments) {
        return None;
    }
    let harmless = arguments
        .iter()
        .filter(|argument| argument.starts_with('-'))
        .all(|option| HARMLESS.contains(&option.as_str()));
    if retargeted {
        // Another repository, or settings that hold for this line alone.
        return None;
    }
    if !harmless {
        // An option whose effect is not known here: only the same line again.
        return Some(whole.to_vec());
    }
    let remote = arguments.iter().find(|argument| !argument.starts_with('-'));
    let scope = ["git".to_owned(), "push".to_owned()].into_iter().chain(remote.cloned());
    Some(scope.collect())
}

/// Whether these arguments of `git push` remove or replace what is on the other side.
pub(crate) fn overwrites(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| {
        let long = ["--force", "--delete", "--mirror", "--prune"];
        let short = argument.starts_with('-')
            && !argument.starts_with("--")
            && argument.contains(['f', 'd']);
        short
            || long.iter().any(|option| argument.starts_with(option))
            || argument.starts_with(['+', ':'])
    })
}

/// The approval of this session that covers what has this scope, if one does.
pub(super) fn approval(
    facts: &Facts,
    scope: impl FnOnce() -> Option<Vec<String>>,
) -> Option<&SessionApproval> {
    if facts.approvals.is_empty() {
        return None;
    }
    let scope = scope()?;
    facts.approvals.iter().find(|approval| {
        approval.prefix == scope && approval.expires.is_none_or(|expires| expires > facts.now)
    })
}
