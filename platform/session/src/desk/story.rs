//! From the events of one session to sentences that a person reads. Pure.

use super::{About, Counts, Session, Story, StoryLine, cards};
use chaperone_audit::{Event, EventKind};
use chaperone_policy::Verdict;

/// Tells one session: `events` in the order of the segment.
pub(super) fn tell(session: Session, events: &[Event]) -> Story {
    let mut lines: Vec<StoryLine> = Vec::new();
    for event in events {
        let Some(line) = line(event) else { continue };
        match lines.last_mut() {
            Some(last) if alike(last, &line) => last.count += 1,
            _ => lines.push(line),
        }
    }
    let summary = summary(&session, &lines);
    let asked_for = events.iter().find_map(|event| event.detail.get("asked_for")?.as_str());
    Story { asked_for: asked_for.map(str::to_owned), summary, lines, session }
}

/// Decisions among events. An answer is counted with its request, and what was asked is not
/// counted as allowed: somebody had to say so.
pub(super) fn count<'a>(events: impl IntoIterator<Item = &'a Event>) -> Counts {
    let mut counts = Counts::default();
    for event in events {
        match (&event.kind, event.decision) {
            (EventKind::Request, _) => counts.asked += 1,
            (_, Some(Verdict::Deny)) => counts.denied += 1,
            (EventKind::Answer, _) | (_, None | Some(Verdict::Ask)) => {}
            (_, Some(Verdict::Allow)) => counts.allowed += 1,
        }
    }
    counts
}

/// What one event says; `None` for those that another event tells better.
fn line(event: &Event) -> Option<StoryLine> {
    let action = event.action.as_deref();
    let exact = || event.action.clone();
    let (about, sentence, exact) = match &event.kind {
        EventKind::SessionStart => {
            let workspace = event.detail.get("workspace").and_then(|value| value.as_str());
            (About::Began, began(event), workspace.map(str::to_owned))
        }
        EventKind::SessionEnd => (About::Ended, format!("Ended with {}", exit(event)), None),
        EventKind::Command => match event.decision {
            // The request that follows tells it.
            Some(Verdict::Ask) => return None,
            Some(Verdict::Deny) => (About::Ran, refused("was refused", event), exact()),
            Some(Verdict::Allow) if event.observed().is_some() => {
                let ran = format!("Ran {}", program(action));
                (About::Ran, format!("{ran}. {}", observed(event)), exact())
            }
            // What git starts of its own is one thing to a person.
            Some(Verdict::Allow) | None if helps_git(action) => {
                (About::Ran, "Git ran its own helpers".to_owned(), None)
            }
            Some(Verdict::Allow) | None => {
                (About::Ran, format!("Ran {}", program(action)), exact())
            }
        },
        EventKind::Read => (About::Changed, files("read", event), exact()),
        EventKind::Write => (About::Changed, files("change", event), exact()),
        EventKind::Connect => match event.decision {
            Some(Verdict::Deny) => (About::Reached, refused("was refused", event), exact()),
            Some(Verdict::Allow) if event.observed().is_some() => {
                (About::Reached, format!("Opened a connection. {}", observed(event)), exact())
            }
            _ => (About::Reached, "Opened a connection".to_owned(), exact()),
        },
        EventKind::Http => match event.decision {
            Some(Verdict::Deny) => (About::Reached, refused("was refused", event), exact()),
            Some(Verdict::Allow) if event.observed().is_some() => {
                (About::Reached, format!("Sent a request. {}", observed(event)), exact())
            }
            _ => (About::Reached, "Sent a request".to_owned(), exact()),
        },
        // The hosts tell it.
        EventKind::Traffic => return None,
        EventKind::Sign => match event.decision {
            Some(Verdict::Deny) => (About::Reached, refused("was refused", event), exact()),
            _ => (About::Reached, "Signed for git with a key of yours".to_owned(), exact()),
        },
        EventKind::Credential => {
            let name = event.detail.get("name").and_then(|value| value.as_str());
            let which = name.map_or_else(String::new, |name| format!(" {name}"));
            (About::Reached, format!("Used the credential{which}"), exact())
        }
        EventKind::Request => (About::Decided, asked(event), exact()),
        EventKind::Answer => (About::Decided, answered(event), exact()),
        EventKind::Withdrawn => {
            (About::Decided, "The agent moved on before an answer".to_owned(), exact())
        }
        EventKind::Stopped => (About::Ran, "Was stopped (Ctrl-Z)".to_owned(), None),
        EventKind::Continued => (About::Ran, "Went on".to_owned(), None),
        EventKind::Ended => {
            (About::Ended, "Ended a program that outlived the agent".to_owned(), exact())
        }
        EventKind::Finding => (About::Began, reason(event), None),
        EventKind::Other(kind) => (About::Ran, format!("{kind} (of a newer version)"), exact()),
    };
    Some(StoryLine {
        seq: event.seq,
        time: event.time,
        about,
        sentence,
        exact,
        decision: event.decision,
        by: event.by.clone(),
        count: 1,
    })
}

fn alike(a: &StoryLine, b: &StoryLine) -> bool {
    a.about == b.about
        && a.sentence == b.sentence
        && a.exact == b.exact
        && a.decision == b.decision
        && a.by == b.by
        // Two questions about the same thing are two decisions.
        && a.about != About::Decided
}

fn began(event: &Event) -> String {
    let text = |key: &str| event.detail.get(key).and_then(|value| value.as_str());
    let branch = text("branch").map(|branch| format!(" on branch {branch}")).unwrap_or_default();
    let tier = text("tier").map(|tier| format!(" in the {tier} sandbox")).unwrap_or_default();
    let mode = text("observes_until").map(|_| ", observing only").unwrap_or_default();
    format!("Began{branch}{tier}{mode}")
}

/// How a session ended, in the words of the list of sessions.
fn exit(event: &Event) -> String {
    let number = |key: &str| event.detail.get(key).and_then(serde_json::Value::as_i64);
    match (number("signal"), number("exit")) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "no status recorded".to_owned(),
    }
}

/// `git push` of `git push origin main`; the program alone where its first argument is no word.
fn program(action: Option<&str>) -> String {
    let Some(action) = action else { return "a command since erased".to_owned() };
    let mut words = action.split(' ');
    let first = words.next().unwrap_or_default();
    let name = first.rsplit('/').next().unwrap_or(first).trim_matches('\'');
    let subcommand = words.next().filter(|word| {
        WITH_SUBCOMMANDS.contains(&name)
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            && !word.starts_with('-')
    });
    match subcommand {
        Some(word) => format!("{name} {word}"),
        None => name.to_owned(),
    }
}

/// Whether this is a program of git's own folder, or one that it starts by name.
fn helps_git(action: Option<&str>) -> bool {
    let program = action.and_then(|action| action.split(' ').next()).unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or(program);
    program.contains("/git-core/") || name.starts_with("git-")
}

/// Programs whose second word says what they do.
const WITH_SUBCOMMANDS: &[&str] = &[
    "apt",
    "apt-get",
    "brew",
    "cargo",
    "docker",
    "gh",
    "git",
    "go",
    "helm",
    "kubectl",
    "npm",
    "pip",
    "pnpm",
    "podman",
    "rustup",
    "systemctl",
    "terraform",
    "uv",
    "yarn",
];

fn files(verb: &str, event: &Event) -> String {
    match event.decision {
        Some(Verdict::Deny) => {
            format!("Tried to {verb} a file, and was refused. {}", reason(event))
        }
        _ if verb == "read" => "Read a file".to_owned(),
        _ => "Changed a file".to_owned(),
    }
    .trim_end()
    .to_owned()
}

fn refused(how: &str, event: &Event) -> String {
    let what = match event.kind {
        EventKind::Connect => "connect".to_owned(),
        EventKind::Http => "send a request".to_owned(),
        EventKind::Sign => "use a key of yours".to_owned(),
        _ => format!("run {}", program(event.action.as_deref())),
    };
    format!("Tried to {what}, and {how}. {}", reason(event)).trim_end().to_owned()
}

/// What enforcement would have done with what was only observed, and why.
pub(super) fn observed(event: &Event) -> String {
    let would = match event.observed() {
        Some(Verdict::Ask) => "Observed: it would have been asked about.",
        Some(Verdict::Deny) => "Observed: it would have been denied.",
        Some(Verdict::Allow) | None => "",
    };
    format!("{would} {}", reason(event)).trim().to_owned()
}

fn asked(event: &Event) -> String {
    let what = match event.detail.get("sentence").and_then(|value| value.as_str()) {
        Some(sentence) => format!("Asked: {}", sentence.trim_end_matches('.')),
        None => format!("Asked to run {}", program(event.action.as_deref())),
    };
    format!("{what}. {}", reason(event)).trim_end().to_owned()
}

fn answered(event: &Event) -> String {
    let by = event.by.as_deref().unwrap_or("somebody");
    let text = |key: &str| event.detail.get(key).and_then(|value| value.as_str());
    let scope = match text("scope") {
        Some("command") => ", until its command exits",
        Some("session") => ", for the rest of the session",
        Some("workspace") => ", for every session in the workspace",
        _ => "",
    };
    match event.decision {
        Some(Verdict::Allow) => format!("Allowed by {by}{scope}"),
        _ if by == "nobody" => "Nobody answered in time, so it was denied".to_owned(),
        _ => match text("note") {
            Some(note) => format!("Denied by {by}: “{note}”"),
            None => format!("Denied by {by}"),
        },
    }
}

fn reason(event: &Event) -> String {
    cards::quoted(event.reason.as_deref().unwrap_or_default())
}

fn summary(session: &Session, lines: &[StoryLine]) -> String {
    let ran: u32 = lines
        .iter()
        .filter(|l| l.about == About::Ran && l.decision == Some(Verdict::Allow))
        .map(|l| l.count)
        .sum();
    let Counts { allowed: _, asked, denied } = session.counts;
    let mut parts = vec![match ran {
        0 => "No command was run".to_owned(),
        1 => "Ran 1 command".to_owned(),
        _ => format!("Ran {ran} commands"),
    }];
    match asked {
        0 => {}
        1 => parts.push("1 was asked about".to_owned()),
        _ => parts.push(format!("{asked} were asked about")),
    }
    match denied {
        0 => parts.push("nothing was denied".to_owned()),
        1 => parts.push("1 thing was denied".to_owned()),
        _ => parts.push(format!("{denied} things were denied")),
    }
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() { format!("{last}.") } else { format!("{} and {last}.", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_told_with_how_far_it_reaches() {
        for (scope, said) in [
            ("once", "Allowed by ada"),
            ("command", "Allowed by ada, until its command exits"),
            ("session", "Allowed by ada, for the rest of the session"),
            ("workspace", "Allowed by ada, for every session in the workspace"),
            ("of a newer version", "Allowed by ada"),
        ] {
            let event = json!({
                "seq": 1, "time": "2026-11-22T09:02:25.000Z", "session": "s", "kind": "answer",
                "action": "git push", "decision": "allow", "by": "ada", "detail": { "scope": scope },
            });
            assert_eq!(answered(&serde_json::from_value(event).unwrap()), said);
        }
    }
}
