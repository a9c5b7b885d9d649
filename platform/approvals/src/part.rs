//! What can be answered by itself within a request: each of the hosts that one command asks for, or
//! the whole of any other request.

use crate::queue::Ticket;
use crate::request::{NewRequest, Request};
use crate::visible::visible;
use chaperone_policy::{Action, Process};

/// What makes requests one card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// What would happen is the same, and what a person is asked about it. Who in the agent's process
    /// tree starts it makes no difference to what an answer permits.
    Same {
        action: Action,
        sentence: String,
        rule: Option<String>,
        session_scope: Option<Vec<String>>,
    },
    /// The same command asks for hosts, by the same rule.
    Hosts { command: Process, rule: Option<String> },
}

impl Key {
    pub(crate) fn of(new: &NewRequest) -> Self {
        let rule = new.decision.rule.clone();
        match (&new.host, &new.command) {
            (Some(_), Some(command)) => Self::Hosts { command: command.process, rule },
            _ => Self::Same {
                action: new.action.clone(),
                sentence: new.sentence.clone(),
                rule,
                session_scope: new.session_scope.clone(),
            },
        }
    }
}

/// One part of a request.
#[derive(Debug)]
pub(crate) struct Part {
    /// The host; `None` of what is no connection.
    pub(crate) host: Option<String>,
    pub(crate) sentence: String,
    pub(crate) reason: String,
    /// What an allow covers that reaches further than this once.
    pub(crate) covers: Option<Vec<String>>,
    /// Who waits. Nobody: it was answered, or they have gone.
    pub(crate) tickets: Vec<Ticket>,
}

impl Part {
    pub(crate) fn of(new: &NewRequest, ticket: Ticket) -> Self {
        Self {
            host: new.host.as_ref().map(|host| host.name.clone()),
            sentence: visible(&new.sentence),
            reason: visible(&new.decision.reason),
            covers: new.session_scope.clone(),
            tickets: vec![ticket],
        }
    }

    pub(crate) fn waits(&self) -> bool {
        !self.tickets.is_empty()
    }
}

/// Says of a request what it is about by now.
pub(crate) fn describe(request: &mut Request, parts: &[Part]) {
    let waiting: Vec<&Part> = parts.iter().filter(|part| part.waits()).collect();
    let most = waiting.iter().map(|part| part.tickets.len()).max().unwrap_or_default();
    request.count = most.try_into().unwrap_or(u32::MAX);
    if request.hosts.is_empty() {
        return;
    }
    match waiting.as_slice() {
        [] => {}
        [part] => {
            request.sentence.clone_from(&part.sentence);
            request.reason.clone_from(&part.reason);
            request.display = part.host.clone().unwrap_or_default();
            request.session_scope = part.covers.clone().filter(|_| request.scopes.len() > 1);
        }
        several => {
            let names: Vec<&str> = several.iter().filter_map(|part| part.host.as_deref()).collect();
            let asker = request.asker.as_deref().map_or("It".to_owned(), short);
            request.sentence = format!("{asker} connects to {} hosts.", names.len());
            request.display = names.join(", ");
            "None of these hosts is among those that are allowed.".clone_into(&mut request.reason);
            request.session_scope = None;
        }
    }
}

/// The beginning of a command; the whole stands elsewhere.
fn short(line: &str) -> String {
    const ROOM: usize = 40;
    if line.chars().count() <= ROOM {
        return line.to_owned();
    }
    let beginning: String = line.chars().take(ROOM - 1).collect();
    format!("{}…", beginning.trim_end())
}
