//! From a request as it goes over the wire to a card as a person sees it. Pure.

use super::{
    AnswerOutcome, AnswerVerdict, AnsweredRequest, AskedHost, Enforced, Exact, Fact, FactAnswer,
    Facts, LateVerdict, Outcome, RequestCard,
};
use chaperone_approvals as wire;
use chaperone_policy::{Action, Origin, SourceKind};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

/// The card of a request. `scope_limit`: who took the scope of the session away, where it is
/// missing.
pub(super) fn card(request: &wire::Request, scope_limit: Option<Origin>) -> RequestCard {
    let wire::Request {
        id,
        session,
        agent,
        workspace,
        branch,
        time,
        expires,
        sentence,
        action: _,
        command: _,
        display: _,
        program: _,
        environment: _,
        cwd: _,
        chain,
        programs,
        facts,
        reported,
        rule,
        origin,
        reason,
        enforced,
        scopes,
        session_scope,
        hosts,
        asker,
        count,
        waiting,
        state: _,
        answer: _,
    } = request.clone();
    RequestCard {
        id,
        session,
        sentence,
        exact: exact(request),
        agent,
        workspace,
        branch,
        chain,
        programs,
        asked_for: reported,
        facts: Facts {
            undoable: fact(facts.undoable),
            leaves_laptop: fact(facts.leaves_laptop),
            is_new: fact(facts.new_compared),
        },
        rule,
        origin: origin_of(&origin),
        reason: quoted(&reason),
        enforced: match enforced {
            wire::Enforced::Kernel => Enforced::Kernel,
            wire::Enforced::Cooperative => Enforced::Cooperative,
        },
        scopes,
        session_scope,
        hosts: hosts.into_iter().map(asked).collect(),
        asker,
        scope_limit,
        count,
        asked_at: time,
        expires,
        at_expiry: AnswerVerdict::Deny,
        waiting,
    }
}

/// A request that waits no longer; `None` while it waits.
pub(super) fn settled(request: &wire::Request, user: &str) -> Option<AnsweredRequest> {
    let answer = request.answer.as_ref();
    let outcome = match (request.state, answer.map(|answer| answer.verdict)) {
        (wire::State::Waiting, _) => return None,
        (wire::State::Withdrawn, _) => Outcome::Withdrawn,
        (wire::State::Expired, _) => Outcome::Expired,
        (wire::State::Answered, Some(wire::AnswerVerdict::Allow)) => Outcome::Allowed,
        (wire::State::Answered, _) => Outcome::Denied,
    };
    Some(AnsweredRequest {
        request: card(request, None),
        outcome,
        scope: answer.filter(|_| outcome == Outcome::Allowed).map(|answer| answer.scope),
        by: answer.map_or_else(|| "nobody".to_owned(), |answer| by(&answer.by, user)),
        note: answer.and_then(|answer| answer.note.clone()),
        at: answer.map_or(request.time, |answer| answer.at),
    })
}

/// What became of an answer.
pub(super) fn outcome(outcome: wire::AnswerOutcome, user: &str) -> AnswerOutcome {
    match outcome {
        wire::AnswerOutcome::Accepted => AnswerOutcome::Accepted,
        wire::AnswerOutcome::Late { state, by: who, verdict, at } => AnswerOutcome::Late {
            by: by(&who, user),
            verdict: match (state, verdict) {
                (wire::State::Withdrawn, _) => LateVerdict::Withdrawn,
                (_, wire::AnswerVerdict::Allow) => LateVerdict::Allow,
                (_, wire::AnswerVerdict::Deny) => LateVerdict::Deny,
            },
            at: Some(at),
        },
        wire::AnswerOutcome::Refused { reason } => AnswerOutcome::Refused { reason },
    }
}

/// `you`, `you in another terminal`, `ada in the window`, `nobody`: to the one who reads it.
pub(super) fn by(who: &str, user: &str) -> String {
    match who.strip_prefix(user).and_then(|rest| rest.strip_prefix(' ')) {
        Some("in the window") => "you".to_owned(),
        Some(rest) => format!("you {rest}"),
        None => who.to_owned(),
    }
}

fn exact(request: &wire::Request) -> Exact {
    match Action::deserialize(&request.action) {
        Ok(Action::Run(command)) => Exact::Run {
            argv: command.argv,
            cwd: command.cwd.to_string_lossy().into_owned(),
            environment: command.environment,
        },
        Ok(Action::Read { path }) => Exact::Read { path: path.to_string_lossy().into_owned() },
        Ok(Action::Write { path }) => Exact::Write { path: path.to_string_lossy().into_owned() },
        Ok(Action::Connect { host, port }) => Exact::Connect { host, port },
        Ok(Action::Http(request)) => {
            let target = request.target();
            Exact::Http { method: request.method, target }
        }
        // An action of a newer session: what it says of itself in one line is all there is.
        Err(_) => Exact::Run {
            argv: vec![request.display.clone()],
            cwd: request.cwd.clone().unwrap_or_default(),
            environment: Vec::new(),
        },
    }
}

fn fact(fact: wire::Fact) -> Fact {
    let answer = match fact.answer {
        wire::FactAnswer::Yes => FactAnswer::Yes,
        wire::FactAnswer::No => FactAnswer::No,
        wire::FactAnswer::Unknown => FactAnswer::Unknown,
    };
    Fact { answer, text: quoted(&fact.text) }
}

fn asked(host: wire::AskedHost) -> AskedHost {
    let wire::AskedHost { name, known, chosen, verdict } = host;
    let verdict = verdict.map(|verdict| match verdict {
        wire::AnswerVerdict::Allow => AnswerVerdict::Allow,
        wire::AnswerVerdict::Deny => AnswerVerdict::Deny,
    });
    AskedHost { name, known: quoted(&known), chosen, verdict }
}

/// Prose as the window sets it: what stands between backticks for a terminal, in quotes.
pub(super) fn quoted(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text.to_owned(); // One of them has no partner.
    }
    let mut quoted = String::new();
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            quoted.push(if at % 2 == 1 { '“' } else { '”' });
        }
        quoted.push_str(part);
    }
    quoted
}

/// A newer session may name a kind of source that this window does not know: the locator then says
/// both, and no kind is claimed that would raise it.
fn origin_of(origin: &wire::RequestOrigin) -> Origin {
    let kind: StrDeserializer<'_, serde::de::value::Error> =
        origin.kind.as_str().into_deserializer();
    match SourceKind::deserialize(kind) {
        Ok(kind) => Origin { kind, locator: origin.locator.clone() },
        Err(_) => Origin {
            kind: SourceKind::BuiltIn,
            locator: format!("{} {}", origin.kind, origin.locator),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_quotes_in_pairs() {
        assert_eq!(quoted("`git push` ran; `x` did not."), "“git push” ran; “x” did not.");
        assert_eq!(quoted("a ` alone"), "a ` alone");
        assert_eq!(quoted("none"), "none");
    }

    #[test]
    fn who_answered_is_told_to_the_one_who_reads() {
        for (who, told) in [
            ("ada in the window", "you"),
            ("ada in another terminal", "you in another terminal"),
            ("adam in the window", "adam in the window"),
            ("nobody", "nobody"),
        ] {
            assert_eq!(by(who, "ada"), told);
        }
    }
}
