//! The policy as it is shown to people: with what running sessions still have, which began before
//! it said what it says now.

use crate::load::{Loaded, Question, load};
use crate::paths::Paths;
use chaperone_approvals::{Inbox, SessionInfo};
use chaperone_policy::{Running, Show, UnknownKey, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a running session has to say what it began with.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sessions that run for this user; none where they cannot be asked, as from within one.
pub fn running(paths: &Paths) -> Vec<SessionInfo> {
    let listing = Inbox::list(&paths.runtime, PATIENCE);
    let sessions = listing.map(|listing| listing.sessions).unwrap_or_default();
    sessions.into_iter().map(|known| known.info).collect()
}

/// Every layer and every key, and what sessions in the same workspace still have.
pub fn show(loaded: &Loaded, sessions: &[SessionInfo], paths: &Paths) -> Show {
    let mut show = loaded.policy.show();
    mark(&mut show.values, in_workspace(loaded, sessions), paths);
    show
}

/// Every layer and every key, and what any of these sessions still has.
pub(crate) fn show_beside(loaded: &Loaded, sessions: &[SessionInfo], paths: &Paths) -> Show {
    let mut show = loaded.policy.show();
    mark(&mut show.values, sessions.iter(), paths);
    show
}

/// One key, as in [`show`].
///
/// # Errors
/// When there is no such key, with the nearest one.
pub fn explain(
    loaded: &Loaded,
    key: &str,
    sessions: &[SessionInfo],
    paths: &Paths,
) -> Result<Value, UnknownKey> {
    let mut value = loaded.policy.explain(key)?;
    mark(std::slice::from_mut(&mut value), in_workspace(loaded, sessions), paths);
    Ok(value)
}

fn in_workspace<'s>(
    loaded: &Loaded,
    sessions: &'s [SessionInfo],
) -> impl Iterator<Item = &'s SessionInfo> {
    let here = loaded.workspace.display().to_string();
    sessions.iter().filter(move |session| session.workspace == here)
}

/// Notes with each value which of these sessions run with another one.
fn mark<'s>(values: &mut [Value], sessions: impl Iterator<Item = &'s SessionInfo>, paths: &Paths) {
    for session in sessions {
        let mut outdated = outdated(session, paths);
        for value in &mut *values {
            if let Some(old) = outdated.remove(value.key) {
                value.runs_with(Running { session: session.id.clone(), value: old.into() });
            }
        }
    }
}

/// The keys that say something else by now than when the session began, with what they said then.
/// A running session does not take them up. None where nobody knows what it would begin with now.
fn outdated(session: &SessionInfo, paths: &Paths) -> BTreeMap<String, serde_json::Value> {
    let Some(began) = &session.began else { return BTreeMap::new() };
    let question = Question {
        workspace: Some(session.workspace.clone().into()),
        agent: began.agent.clone(),
        policy: began.policy.clone(),
        ..Question::default()
    };
    let Ok(now) = load(&question, paths) else { return BTreeMap::new() };
    if !now.policy.blocked().is_empty() {
        return BTreeMap::new();
    }
    let now = now.policy.at_start();
    let differs = |(key, then): &(&String, &serde_json::Value)| {
        now.get(key.as_str()).is_some_and(|now| *now != **then)
    };
    began.values.iter().filter(differs).map(|(key, then)| (key.clone(), then.clone())).collect()
}
