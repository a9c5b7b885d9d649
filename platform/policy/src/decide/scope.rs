//! What an approval of a command or a connection covers that reaches further than this once.

use super::{Approval, Facts};
use crate::identity::{changes_meaning, git_aliases, identities, subject};
use crate::{Class, Command, HttpRequest, Origin, Policy, Scope, Sourced};

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

/// The tokens that an approval of this command would cover that holds for more than once, such as
/// `git push origin`: every later command of which this function says the same. `None` where only
/// an approval of the one command makes sense, or the policy allows no other.
pub fn command_scope(policy: &Policy, command: &Command) -> Option<Vec<String>> {
    if !reaches_further(policy) {
        return None;
    }
    // What is not proven, or means something else through its environment, is asked each time.
    let tokens = subject(command);
    let proven = identities(command).iter().any(|own| own.proven && own.tokens == tokens);
    let changed =
        command.environment.iter().any(|(name, _)| changes_meaning(name) && !is_personal(name));
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

/// What such an approval of this connection would cover: connections to the same host and
/// port. `None` where the policy allows no such approval. A command never has these words: the name
/// of a program has no slash.
pub fn connection_scope(policy: &Policy, host: &str, port: u16) -> Option<Vec<String>> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    reaches_further(policy).then(|| vec![format!("tcp://{host}:{port}")])
}

/// What an approval of whatever host a command asks for covers: those of which nothing speaks against.
pub const ANY_HOST: &str = "tcp://*";

/// What such an approval of this request would cover: requests with the same method to the
/// same host and port. `None` where the policy allows no such approval.
pub fn http_scope(policy: &Policy, request: &HttpRequest) -> Option<Vec<String>> {
    let HttpRequest { host, port, method, .. } = request;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let scope = || vec![method.clone(), format!("http://{host}:{port}")];
    reaches_further(policy).then(scope)
}

/// Variables that say who commits and how things are shown.
fn is_personal(name: &str) -> bool {
    name.starts_with("GIT_AUTHOR_")
        || name.starts_with("GIT_COMMITTER_")
        || matches!(
            name,
            "EDITOR"
                | "GIT_EDITOR"
                | "GIT_OPTIONAL_LOCKS"
                | "GIT_PAGER"
                | "GIT_TERMINAL_PROMPT"
                | "PAGER"
                | "VISUAL"
        )
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

/// How far an approval may reach of what this origin asks about. What a managed layer asks about is
/// approved beyond the session only where a managed layer says so.
pub fn widest_scope(policy: &Policy, asks: &Origin) -> Scope {
    let Sourced { value, origin } = &policy.approvals().scopes;
    let is_managed = |origin: &Origin| origin.kind.class() == Class::Managed;
    if is_managed(asks) && !is_managed(origin) {
        value.widest.min(Scope::Session)
    } else {
        value.widest
    }
}

fn reaches_further(policy: &Policy) -> bool {
    policy.approvals().scopes.value.widest > Scope::Once
}

/// The approval that covers what these tokens stand for, if one does and the policy lets it count.
pub(super) fn approval<'f>(
    policy: &Policy,
    facts: &'f Facts,
    asks: &Origin,
    covered: impl FnOnce() -> Option<Vec<String>>,
) -> Option<&'f Approval> {
    if facts.approvals.is_empty() {
        return None;
    }
    let (covered, widest) = (covered()?, widest_scope(policy, asks));
    facts.approvals.iter().find(|approval| {
        approval.prefix == covered
            && approval.scope <= widest
            && approval.command.is_none_or(|command| facts.command == Some(command))
            && approval.expires.is_none_or(|expires| expires > facts.now)
    })
}
