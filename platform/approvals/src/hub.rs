//! A session's side of the protocol without its sockets: lines of clients come in, lines and
//! effects go out. The transport carries them.

use crate::answer::{AnswerMsg, AnswerOutcome, Outcome};
use crate::protocol::{
    ClientLine, ClientMessage, PROTOCOL_VERSION, Role, ServerMessage, WireAnswer, line,
    parse_client,
};
use crate::queue::{Effect, Queue, Ticket};
use crate::request::NewRequest;
use crate::visible::visible;
use chaperone_policy::Scope;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A connection, numbered by the transport.
pub(crate) type ClientId = u64;

/// How many lines a client may get wrong before it is sent away.
const PATIENCE: u32 = 16;

/// What the transport has to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// Send these bytes to one client.
    To(ClientId, Vec<u8>),
    /// Send these first bytes to a client, which from then on hears what all hear.
    Welcome(ClientId, Vec<u8>),
    /// Send these bytes to every client that was welcomed.
    All(Vec<u8>),
    /// Send these bytes to every client that was welcomed and keeps up.
    Event(Vec<u8>),
    /// Close this connection once what was sent has left.
    Close(ClientId),
    /// Deliver an outcome to its waiters.
    Settled(Vec<Ticket>, Outcome),
    /// Whether somebody sees requests as they come has changed.
    Attended(bool),
}

/// A session's queue and those who look at it.
#[derive(Debug)]
pub(crate) struct Hub {
    queue: Queue,
    clients: BTreeMap<ClientId, Client>,
    attended: bool,
}

#[derive(Debug, Default)]
struct Client {
    role: Option<Role>,
    mistakes: u32,
}

impl Hub {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue, clients: BTreeMap::new(), attended: false }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Whether somebody sees requests as they come.
    pub(crate) fn attended(&self) -> bool {
        self.attended
    }

    /// Whether anybody hears what all hear.
    pub(crate) fn has_clients(&self) -> bool {
        self.clients.values().any(|client| client.role.is_some())
    }

    fn is_welcomed(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(|client| client.role.is_some())
    }

    /// A client that may talk has connected.
    pub(crate) fn joined(&mut self, id: ClientId) {
        self.clients.insert(id, Client::default());
    }

    /// A client has gone. Requests stay open: somebody else may answer.
    pub(crate) fn left(&mut self, id: ClientId) -> Vec<Output> {
        self.clients.remove(&id);
        self.attendance()
    }

    /// One line of a client.
    pub(crate) fn line(&mut self, id: ClientId, bytes: &[u8], now: Timestamp) -> Vec<Output> {
        let mut out = Vec::new();
        match parse_client(bytes) {
            ClientLine::Known(ClientMessage::Hello { version, role }) => {
                self.hello(id, version, role, now, &mut out);
            }
            _ if !self.is_welcomed(id) => {
                out.extend(goodbye(id, "The first line has to be a hello."));
            }
            ClientLine::Known(ClientMessage::Answer(answer)) => {
                let outcome = self.wire_answer(id, &answer, now, &mut out);
                out.push(reply(id, answer.tag, outcome));
            }
            ClientLine::Known(ClientMessage::Revoke { approval, tag }) => {
                let outcome = self.revoke(&approval, now, &mut out);
                out.push(reply(id, tag, outcome));
            }
            ClientLine::Unknown(of) => {
                let of: String = visible(&of).chars().take(100).collect();
                let message = ServerMessage::Unknown { of, version: PROTOCOL_VERSION };
                out.push(Output::To(id, line(&message)));
            }
            ClientLine::Broken(reason) => {
                let mistakes = self.clients.get_mut(&id).map_or(PATIENCE, |client| {
                    client.mistakes += 1;
                    client.mistakes
                });
                if mistakes >= PATIENCE {
                    out.extend(goodbye(id, "Too many lines that are not messages."));
                } else {
                    out.push(Output::To(id, line(&ServerMessage::Problem { reason })));
                }
            }
        }
        out
    }

    pub(crate) fn limit(
        &mut self,
        scopes: &[Scope],
        expires: Duration,
        now: Timestamp,
    ) -> Vec<Output> {
        let effects = self.queue.limit(scopes, expires);
        self.outputs(effects, now)
    }

    pub(crate) fn ask(&mut self, new: NewRequest, now: Timestamp) -> (Ticket, Vec<Output>) {
        let (ticket, effects) = self.queue.ask(new, now);
        (ticket, self.outputs(effects, now))
    }

    pub(crate) fn answer(
        &mut self,
        msg: &AnswerMsg,
        now: Timestamp,
    ) -> (AnswerOutcome, Vec<Output>) {
        let (outcome, effects) = self.queue.answer(msg, now);
        (outcome, self.outputs(effects, now))
    }

    pub(crate) fn withdraw(&mut self, ticket: Ticket, now: Timestamp) -> Vec<Output> {
        let effects = self.queue.withdraw(ticket, now);
        self.outputs(effects, now)
    }

    pub(crate) fn revoke(
        &mut self,
        id: &str,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) -> AnswerOutcome {
        match self.queue.revoke(id) {
            Some((_, effects)) => {
                out.extend(self.outputs(effects, now));
                AnswerOutcome::Accepted
            }
            None => AnswerOutcome::Refused {
                reason: format!("There is no approval {} in this session.", visible(id)),
            },
        }
    }

    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        let effects = self.queue.tick(now);
        self.outputs(effects, now)
    }

    pub(crate) fn end(&mut self, now: Timestamp) -> Vec<Output> {
        let effects = self.queue.end(now);
        let mut out = self.outputs(effects, now);
        out.push(Output::All(line(&ServerMessage::Ended)));
        out
    }

    /// Tells live views.
    pub(crate) fn event(data: Value) -> Output {
        Output::Event(line(&ServerMessage::Event { data }))
    }

    fn hello(
        &mut self,
        id: ClientId,
        version: u32,
        role: Role,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        if version == 0 {
            out.extend(goodbye(id, "Versions of this protocol begin with 1."));
            return;
        }
        let effects = self.queue.tick(now);
        out.extend(self.outputs(effects, now));
        let welcome = ServerMessage::Welcome {
            version: version.min(PROTOCOL_VERSION),
            session: self.queue.session().clone(),
            requests: self.queue.requests().cloned().collect(),
            approvals: self.queue.approvals(now).cloned().collect(),
        };
        if let Some(client) = self.clients.get_mut(&id) {
            client.role = Some(role);
            out.push(Output::Welcome(id, line(&welcome)));
        }
        out.extend(self.attendance());
    }

    fn wire_answer(
        &mut self,
        id: ClientId,
        wire: &WireAnswer,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) -> AnswerOutcome {
        let (verdict, scope) = match wire.known() {
            Ok(known) => known,
            Err(reason) => return AnswerOutcome::Refused { reason: visible(&reason) },
        };
        let place =
            self.clients.get(&id).and_then(|client| client.role).unwrap_or(Role::List).place();
        let msg = AnswerMsg {
            request: wire.request.clone(),
            verdict,
            scope,
            hosts: wire.hosts.clone(),
            denied: wire.denied.clone(),
            further: wire.further,
            note: wire.note.clone(),
            by: format!("{} {place}", self.queue.session().user),
        };
        let (outcome, outputs) = self.answer(&msg, now);
        out.extend(outputs);
        outcome
    }

    fn attendance(&mut self) -> Vec<Output> {
        let attended = self.clients.values().any(|c| c.role.is_some_and(Role::attends));
        if attended == self.attended {
            return Vec::new();
        }
        self.attended = attended;
        vec![Output::Attended(attended)]
    }

    fn outputs(&self, effects: Vec<Effect>, now: Timestamp) -> Vec<Output> {
        let tell = |id: &str, message: fn(Box<_>) -> ServerMessage| {
            let request = self.queue.request(id)?;
            Some(Output::All(line(&message(Box::new(request.clone())))))
        };
        let mut out = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Asked(id) => {
                    out.extend(tell(&id, |request| ServerMessage::Request { request }));
                }
                Effect::Updated(id) => {
                    out.extend(tell(&id, |request| ServerMessage::Updated { request }));
                }
                Effect::Withdrawn(id) => {
                    out.extend(tell(&id, |request| ServerMessage::Withdrawn { request }));
                }
                Effect::Settled { tickets, outcome } => {
                    out.push(Output::Settled(tickets, *outcome));
                }
                Effect::Answered(id) => {
                    out.extend(tell(&id, |request| ServerMessage::Answered { request }));
                }
                Effect::Approvals => {
                    let approvals = self.queue.approvals(now).cloned().collect();
                    out.push(Output::All(line(&ServerMessage::Approvals { approvals })));
                }
            }
        }
        out
    }
}

fn reply(id: ClientId, tag: u64, outcome: AnswerOutcome) -> Output {
    Output::To(id, line(&ServerMessage::Reply { tag, outcome }))
}

/// Says why, then closes.
pub(crate) fn goodbye(id: ClientId, reason: &str) -> [Output; 2] {
    let message = ServerMessage::Goodbye { reason: reason.to_owned() };
    [Output::To(id, line(&message)), Output::Close(id)]
}
