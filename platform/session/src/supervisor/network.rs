//! What leaves the session: every connection of its proxy and its relays is decided, recorded, and
//! asked about where the policy says so.

mod budgets;
mod carried;

use super::asking::{Asking, Outward, Waiter};
use super::live::Live;
use super::upstream::Upstream;
use super::vault::{Uses, Vault};
use super::{StartError, own, upstream, words};
use budgets::Ledger;
use chaperone_audit::{NewEvent, Segment};
use chaperone_egress::{
    Answer, Asked, BadTarget, Binding, Budget, Connections, Entrance, Host, Inside, Judge, Opener,
    Question, Resolver, Route, Ruling, Target, Traffic, Waiting, by_the_system, is_own,
    serve_with_names,
};
use chaperone_policy::{
    Action, Decision, Familiarity, HttpRequest, Origin, Policy, SourceKind, Verdict,
    decide_address, observed, pinned, sees_requests, unattended, wants_familiarity,
};
use chaperone_sandbox::{Carried, Holder, Names, Outside, Session};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// More refused hosts than this are not remembered: an agent does not fill the memory.
const MOST_REFUSED: usize = 1024;

/// Nor are more targets than this.
const MOST_REACHED: usize = 1024;

/// The key of the policy that says whose accounts may be used.
const ORGANISATIONS: &str = "identity.organisations";

/// The key of the policy that binds credentials to hosts.
const INJECT: &str = "credentials.inject";

/// What listens on the machine's own loopback, for a session that has no network of its own.
pub(super) struct Listeners {
    proxy: TcpListener,
    /// For what connects to an address that stands for a name.
    arrivals: TcpListener,
}

/// Listens there.
pub(super) fn listen() -> Result<(Listeners, Outside), StartError> {
    let listen = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok((listener, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
    };
    let (proxy, at) = listen().map_err(own("the proxy's socket"))?;
    let (arrivals, carried) = listen().map_err(own("the proxy's socket"))?;
    Ok((Listeners { proxy, arrivals }, Outside { proxy: at, carried }))
}

/// Opens the session's ways out. `outside` is what listens for a session that has no network of its
/// own.
pub(super) fn open(
    gate: &Arc<Gate>,
    session: &mut Session,
    outside: Option<Listeners>,
) -> Result<(), StartError> {
    let mut entrances = Vec::new();
    for (relay, listener) in session.take_listeners() {
        let bad = |error: BadTarget| own("a relay")(io::Error::other(error));
        let target = Target::new(&relay.host, relay.port).map_err(bad)?;
        entrances.push((Entrance::Relay(target), TcpListener::from(listener)));
    }
    let carried = session.carried();
    let known = Arc::new(chaperone_egress::Names::from(Carried::FIRST));
    carried.refuse_where(carried::refuses(gate, &known, session.control()));
    let names = |resolver| Inside {
        resolver,
        names: known,
        wanted: Arc::new(move |from| carried.take(from)),
    };
    let inside = match (outside, session.take_names()) {
        (Some(Listeners { proxy, arrivals }), _) => {
            entrances.extend([(Entrance::Carried, arrivals), (Entrance::Proxy, proxy)]);
            let lookups = session.take_lookups().map(UnixListener::from);
            Some(names(lookups.map(Resolver::Packets)))
        }
        (None, Some(Names { arrivals, resolver })) => {
            entrances.push((Entrance::Carried, TcpListener::from(arrivals)));
            Some(names(Some(Resolver::Datagrams(UdpSocket::from(resolver)))))
        }
        (None, None) => None,
    };
    let proxy = session.take_proxy().map(TcpListener::from);
    entrances.extend(proxy.map(|listener| (Entrance::Proxy, listener)));
    if entrances.is_empty() {
        return Ok(());
    }
    let (judge, connections) = (Arc::clone(gate), Arc::clone(&gate.connections));
    serve_with_names(entrances, inside, judge, connections, Arc::new(by_the_system))
        .map_err(own("the network's thread"))
}

/// Judges each connection.
pub(super) struct Gate {
    /// For the threads that look.
    own: Weak<Self>,
    live: Arc<Live>,
    asking: Arc<Asking>,
    segment: Arc<Segment>,
    connections: Arc<Connections>,
    /// How many connections were asked about.
    asked: AtomicU64,
    /// The hosts and ports that no rule let through, to be learned from.
    refused: Mutex<BTreeSet<(String, u16)>>,
    /// What somebody has allowed.
    allowed: Arc<Mutex<HashSet<Target>>>,
    /// What was connected to: of the first connection it is recorded who asks.
    reached: Mutex<HashSet<Target>>,
    /// What was sent, where that is limited.
    ledger: Ledger,
    /// The session's credentials, where it has any.
    vault: Option<Vault>,
    uses: Uses,
    upstream: Upstream,
}

/// What is wanted, and who wants it, as far as that is known.
type Wish = (Action, Option<Holder>);

impl Judge for Gate {
    fn judge(&self, target: &Target, question: Question, answer: Answer) -> Option<Waiting> {
        let policy = self.live.policy();
        match question {
            Question::Connect { client } => {
                return self.action(&policy, target, connecting(target), client, answer);
            }
            Question::Request(asked) => {
                return self.action(&policy, target, requesting(target, asked), None, answer);
            }
            Question::Address { address, own } => {
                match decide_address(&policy, address, target.port, own) {
                    None => answer(Ruling::Allow),
                    Some(decision) => {
                        // It is the address that would have to be named.
                        let host = Host::Address(address);
                        let wish = (connecting(target), None);
                        self.settle(&policy, target, host, wish, decision, answer);
                    }
                }
            }
            Question::Disagreement(said) => {
                let decision = Decision {
                    verdict: Verdict::Deny,
                    rule: Some("the host inside is the host that was asked for".to_owned()),
                    origin: Origin::built_in(),
                    reason: format!("The connection was opened to {}, and {said}.", target.host),
                };
                // It is about no host that a policy could allow, so it ends while one observes, too.
                self.refuse((connecting(target), None), decision, answer);
            }
            Question::Unseen(why) => {
                let decision = self.unseen(&policy, target, &why);
                // A rule that only observes would see nothing of it either.
                let wish = (connecting(target), None);
                self.settle(&policy, target, target.host.clone(), wish, decision, answer);
            }
            Question::Credential(name) => {
                if !self.uses.is_first(&name, target) {
                    answer(Ruling::Allow);
                    return None;
                }
                let decision = upstream::logs_in(&policy, target, &name).unwrap_or_else(|| {
                    let reason = format!("The credential {name:?} is bound to this host.");
                    self.bound(&policy, target, Some(&name), Verdict::Allow, reason)
                });
                let host = target.host.to_string();
                let event = NewEvent::credential(&name, &host, target.port, &decision);
                answer(self.recorded(event));
            }
            Question::Foreign(said) => {
                let reason = format!(
                    "A host that a credential is bound to takes no other, and here {said}. Use what \
                     stands in the session's environment: it is replaced on its way."
                );
                let decision = self.bound(&policy, target, None, Verdict::Deny, reason);
                self.refuse((connecting(target), None), decision, answer);
            }
            Question::Distrusted(said) => {
                let reason = format!(
                    "TLS to {} is opened in this session, and of a program it is known: {said}. It \
                     has to trust the certificates in the file that SSL_CERT_FILE names; one that \
                     trusts only certificates of its own cannot reach this host here.",
                    target.host
                );
                let decision = self.bound(&policy, target, None, Verdict::Deny, reason);
                self.refuse((connecting(target), None), decision, answer);
            }
        }
        None
    }

    fn opener(&self, target: &Target) -> Option<Arc<Opener>> {
        self.vault.as_ref()?.opener(&self.live.policy(), target)
    }

    fn bindings(&self, target: &Target) -> Vec<Arc<Binding>> {
        let vault = self.vault.as_ref();
        vault.map(|vault| vault.bindings(&self.live.policy(), target)).unwrap_or_default()
    }

    fn told(&self, target: &Target) -> Vec<(&'static str, Option<String>)> {
        let (policy, host) = (self.live.policy(), target.host.to_string());
        let pinned = pinned(&policy, &host, target.port);
        pinned.map(|own| own.headers(&host, target.port)).unwrap_or_default()
    }

    fn budgets(&self, target: &Target) -> Vec<Arc<Budget>> {
        self.budgets_of(&self.live.policy(), target)
    }

    fn route(&self, target: &Target) -> Route {
        self.upstream.route(&self.live.policy(), target)
    }

    fn sees_requests(&self, target: &Target) -> bool {
        sees_requests(&self.live.policy(), &target.host.to_string(), target.port)
    }
}

impl Gate {
    pub(super) fn new(
        live: &Arc<Live>,
        asking: &Arc<Asking>,
        segment: &Arc<Segment>,
        vault: Option<Vault>,
        uses: Uses,
        upstream: Upstream,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            own: own.clone(),
            live: Arc::clone(live),
            asking: Arc::clone(asking),
            segment: Arc::clone(segment),
            connections: Arc::default(),
            asked: AtomicU64::new(0),
            refused: Mutex::default(),
            allowed: Arc::default(),
            reached: Mutex::default(),
            ledger: Ledger::default(),
            vault,
            uses,
            upstream,
        })
    }

    /// What is decided because a credential, this one or any, is bound to a target.
    fn bound(
        &self,
        policy: &Policy,
        target: &Target,
        credential: Option<&str>,
        verdict: Verdict,
        reason: String,
    ) -> Decision {
        let host = target.host.to_string();
        let mut all = policy.credentials().bound_to(&host, target.port);
        let by = all.find(|own| credential.is_none_or(|name| own.value.secret == name));
        let rule = by.map_or_else(|| INJECT.to_owned(), |own| own.value.name());
        let origin = by.map_or_else(Origin::built_in, |own| own.origin.clone());
        Decision { verdict, rule: Some(rule), origin, reason }
    }

    /// The hosts and ports that were refused so far.
    pub(super) fn refused(&self) -> BTreeSet<(String, u16)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records what went to each host and came from it. It is known only now that the session is
    /// over, and happened anyway.
    pub(super) fn record_traffic(&self) -> Result<(), chaperone_audit::Error> {
        let mut all: Vec<_> = self.connections.traffic();
        all.sort_by_key(|(target, _)| target.as_ref().map(ToString::to_string));
        for (target, Traffic { connections, sent, received }) in all {
            let target = target.map(|target| target.to_string());
            self.segment.append(NewEvent::traffic(
                target.as_deref(),
                connections,
                sent,
                received,
            ))?;
        }
        Ok(())
    }

    /// Ends what is open and the policy would not let be opened any more.
    pub(super) fn follow(&self, policy: &Policy) {
        self.connections
            .end_where(|target, address, unseen| self.ends(policy, target, address, unseen));
        self.connections.budget(|target| self.budgets_of(policy, target));
    }

    fn ends(
        &self,
        policy: &Policy,
        target: &Target,
        address: Option<IpAddr>,
        unseen: bool,
    ) -> bool {
        let (action, now) = (connecting(target), Timestamp::now());
        let (mut decision, _) = self.asking.decide(policy, now, &action, None);
        if decision.verdict == Verdict::Ask && lock(&self.allowed).contains(target) {
            decision.verdict = Verdict::Allow;
        }
        if decision.verdict == Verdict::Allow {
            let dialled =
                address.and_then(|it| decide_address(policy, it, target.port, is_own(it)));
            let host = target.host.to_string();
            let unseen = unseen
                && (sees_requests(policy, &host, target.port)
                    || pinned(policy, &host, target.port).is_some());
            let unseen = unseen.then(|| self.unseen(policy, target, "they are not looked at"));
            let Some(denied) = dialled.or(unseen) else { return false };
            decision = denied;
        }
        if observed(policy, now, &action, &decision).is_some() {
            return false;
        }
        decision.verdict = Verdict::Deny;
        decision.reason.push_str(" It was open when the policy changed, and has been ended.");
        // There is nothing to hold back: it ends, recorded or not.
        let _ = self.segment.append(NewEvent::decided(&action, &decision));
        true
    }

    /// Judges a connection to the target, or a request over one.
    fn action(
        &self,
        policy: &Arc<Policy>,
        target: &Target,
        action: Action,
        client: Option<SocketAddr>,
        answer: Answer,
    ) -> Option<Waiting> {
        self.live.watch();
        if let Action::Connect { .. } = action
            && let Some(decision) = self.overspent(policy, target)
        {
            self.refuse((action, None), decision, answer);
            return None;
        }
        let now = Timestamp::now();
        let decision = match &action {
            // The connection is judged by itself.
            Action::Http(request) => self.asking.decide_http(policy, now, request, None),
            _ => self.asking.decide_at_once(policy, now, &action),
        };
        if !wants_familiarity(&decision) && !self.asks(policy, &action, &decision) {
            match client.filter(|_| self.is_new(target)) {
                None => {
                    let wish = (action, None);
                    self.settle(policy, target, target.host.clone(), wish, decision, answer);
                }
                Some(client) => {
                    self.settle_with_asker(policy, target, client, action, decision, answer)
                }
            }
            return None;
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let has_gone = Arc::new(AtomicBool::new(false));
        let asking = Arc::clone(&self.asking);
        let withdraw = Withdraw { asking, number, has_gone: Arc::clone(&has_gone) };
        let (gate, policy, target) = (self.own.upgrade()?, Arc::clone(policy), target.clone());
        // Neither for what is looked up about the host nor for the disk, which a request reaches
        // before it is asked, other connections wait.
        let looked = thread::Builder::new().name("request".into()).spawn(move || {
            let holder = client.and_then(|client| gate.asking.holder(client));
            // What is known of the host, and what was said to this very command.
            let (decision, familiarity) = match &action {
                Action::Http(request) => {
                    let decided = gate.asking.decide_http(&policy, now, request, holder.as_ref());
                    (decided, None)
                }
                _ => gate.asking.decide(&policy, now, &action, holder.as_ref()),
            };
            // What is open stays open when the policy changes and still asks.
            if decision.verdict == Verdict::Allow && decision.origin.kind == SourceKind::Grant {
                lock(&gate.allowed).insert(target.clone());
            }
            gate.ask(number, &policy, &target, (action, holder), (decision, familiarity), answer);
            if has_gone.load(Ordering::SeqCst) {
                gate.asking.withdraw(Waiter::Connection(number));
            }
        });
        looked.ok().map(|_| Box::new(withdraw) as Waiting)
    }

    /// Whether this is the first connection of the session to a target, as far as is remembered.
    fn is_new(&self, target: &Target) -> bool {
        let mut reached = lock(&self.reached);
        reached.len() < MOST_REACHED && reached.insert(target.clone())
    }

    /// Carries a decision out, and records with it which command asks: it is looked up for the first
    /// connection to each target, for which the others do not wait.
    fn settle_with_asker(
        &self,
        policy: &Arc<Policy>,
        target: &Target,
        client: SocketAddr,
        action: Action,
        decision: Decision,
        answer: Answer,
    ) {
        let Some(gate) = self.own.upgrade() else { return };
        let (policy, target) = (Arc::clone(policy), target.clone());
        // Without a thread the answer is dropped, which refuses.
        let _ = thread::Builder::new().name("asker".into()).spawn(move || {
            let wish = (action, gate.asking.holder(client));
            gate.settle(&policy, &target, target.host.clone(), wish, decision, answer);
        });
    }

    /// Whether somebody has to be asked.
    fn asks(&self, policy: &Policy, action: &Action, decision: &Decision) -> bool {
        let now = Timestamp::now();
        decision.verdict == Verdict::Ask && observed(policy, now, action, decision).is_none()
    }

    /// Carries a decision out, and asks where it says so; beside it stands how well the host is
    /// known.
    fn ask(
        &self,
        number: u64,
        policy: &Arc<Policy>,
        target: &Target,
        wish: Wish,
        (decision, familiarity): (Decision, Option<Familiarity>),
        answer: Answer,
    ) {
        if !self.asks(policy, &wish.0, &decision) {
            return self.settle(policy, target, target.host.clone(), wish, decision, answer);
        }
        if !self.asking.somebody_is_there() && !self.asking.somebody_may_come() {
            let decision = unattended(policy, decision);
            return self.settle(policy, target, target.host.clone(), wish, decision, answer);
        }
        let connects = matches!(wish.0, Action::Connect { .. });
        let (allowed, asked) = (Arc::clone(&self.allowed), target.clone());
        let (action, holder) = wish;
        let outward = Outward { action, holder, familiarity };
        self.asking.ask_outward(number, outward, &decision, policy, move |ruling| {
            answer(match ruling {
                Ok(()) => {
                    if connects {
                        lock(&allowed).insert(asked);
                    }
                    Ruling::Allow
                }
                Err(text) => Ruling::Deny(text),
            });
        });
    }

    /// Why what cannot be seen is refused.
    fn unseen(&self, policy: &Policy, target: &Target, why: &str) -> Decision {
        let host = target.host.to_string();
        if !sees_requests(policy, &host, target.port)
            && let Some(pinned) = pinned(policy, &host, target.port)
        {
            let reason = format!(
                "Requests to {host} have to say that {}, and they cannot be seen: {why}.",
                pinned.sentence()
            );
            let rule = Some(ORGANISATIONS.to_owned());
            return Decision {
                verdict: Verdict::Deny,
                rule,
                origin: pinned.origin.clone(),
                reason,
            };
        }
        let restricts = policy.network().restricts_requests();
        let (rule, origin) = restricts
            .map_or(("network.rule", Origin::built_in()), |(key, origin)| (key, origin.clone()));
        let reason = format!(
            "The policy restricts which requests {} is sent, and they cannot be seen: {why}.",
            target.host
        );
        Decision { verdict: Verdict::Deny, rule: Some(rule.to_owned()), origin, reason }
    }

    /// Carries a decision about an action, and the host in question, out; it is no ask, or one that
    /// is only observed.
    fn settle(
        &self,
        policy: &Policy,
        target: &Target,
        host: Host,
        wish: Wish,
        decision: Decision,
        answer: Answer,
    ) {
        let (action, holder) = &wish;
        let would = observed(policy, Timestamp::now(), action, &decision);
        let event = match would {
            Some(would) => NewEvent::observed(action, &decision, would),
            None if decision.verdict == Verdict::Allow => NewEvent::decided(action, &decision),
            None => {
                // What a rule says of requests is learned from no host.
                if matches!(action, Action::Connect { .. }) {
                    let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                    if refused.len() < MOST_REFUSED {
                        refused.insert((host.to_string(), target.port));
                    }
                }
                return self.refuse(wish, decision, answer);
            }
        };
        answer(self.recorded(event.asked_by(command(holder.as_ref()))));
    }

    /// Allows what could be recorded.
    fn recorded(&self, event: NewEvent) -> Ruling {
        match self.segment.append(event) {
            Ok(_) => Ruling::Allow,
            Err(error) => Ruling::Deny(words::not_recorded(&error)),
        }
    }

    /// A refusal reaches the disk before it is said, for which other connections do not wait.
    fn refuse(&self, (action, holder): Wish, decision: Decision, answer: Answer) {
        let (segment, asking) = (Arc::clone(&self.segment), Arc::clone(&self.asking));
        // Without a thread the answer is dropped, which refuses as well.
        let _ = thread::Builder::new().name("refusal".into()).spawn(move || {
            let event = NewEvent::decided(&action, &decision).asked_by(command(holder.as_ref()));
            answer(Ruling::Deny(match segment.append(event) {
                Ok(_) => {
                    let what = words::outward(&action);
                    asking.refused_outward(&what, words::denied(&what, &decision))
                }
                Err(error) => words::not_recorded(&error),
            }));
        });
    }
}

/// Takes back what is asked for a connection that waits no longer.
struct Withdraw {
    asking: Arc<Asking>,
    number: u64,
    /// For the thread that asks: it may only be about to.
    has_gone: Arc<AtomicBool>,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.has_gone.store(true, Ordering::SeqCst);
        self.asking.withdraw(Waiter::Connection(self.number));
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn requesting(target: &Target, asked: Asked) -> Action {
    let Asked { method, path, upgrade, overridden } = asked;
    let (host, port) = (target.host.to_string(), target.port);
    Action::Http(HttpRequest { host, port, method, path, upgrade, overridden })
}

/// The command that asks, as far as that is known.
fn command(holder: Option<&Holder>) -> &[String] {
    holder.map_or(&[], Holder::told)
}

fn connecting(target: &Target) -> Action {
    Action::Connect { host: target.host.to_string(), port: target.port }
}
