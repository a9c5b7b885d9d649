//! What is known of a host that no list names: what people answered before, read from the history
//! when the first such host is asked for; and to whom a name is registered. How well known that makes
//! it is for `policy` to say.

use chaperone_audit::{Event, EventKind, Filter, Index};
use chaperone_policy::{
    Action, Answers, Asker, Decision, Facts, Familiarity, HostFacts, Policy, Verdict, decide,
    familiarity, listed_names, wants_familiarity,
};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// So many of the latest answers count.
const LATEST: usize = 5000;

/// What one user's history knows.
#[derive(Debug)]
pub(crate) struct Known {
    history: PathBuf,
    /// The session that asks: what is answered in it is its own.
    session: Option<String>,
    past: OnceLock<Past>,
}

/// The answers of people to connections.
#[derive(Debug, Default)]
struct Past {
    /// By host and port.
    answers: HashMap<String, Answers>,
    /// The registered names of what was allowed.
    names: Vec<String>,
}

impl Known {
    /// Of the history in this folder.
    pub(crate) fn new(history: &Path, session: Option<&str>) -> Self {
        let session = session.map(str::to_owned);
        Self { history: history.to_owned(), session, past: OnceLock::new() }
    }

    /// Decides a connection once more where it depends on how well its host is known, and tells how
    /// well that is: this is what was decided without.
    pub(crate) fn decide(
        &self,
        policy: &Policy,
        facts: Facts,
        action: &Action,
        asker: Option<Asker>,
        before: Decision,
    ) -> (Decision, Option<Familiarity>) {
        let (host, port) = match action {
            Action::Connect { host, port } => (host, *port),
            Action::Http(request) => (&request.host, request.port),
            Action::Run(_) | Action::Read { .. } | Action::Write { .. } => {
                return (before, None);
            }
        };
        if !wants_familiarity(&before) {
            return (before, None);
        }
        let familiarity = Some(self.familiarity(policy, facts.now, host, port, asker));
        let facts = Facts { familiarity, ..facts };
        (decide(policy, &facts, action), facts.familiarity)
    }

    fn familiarity(
        &self,
        policy: &Policy,
        now: Timestamp,
        host: &str,
        port: u16,
        asker: Option<Asker>,
    ) -> Familiarity {
        // What cannot be read speaks for no host.
        let past = self.past.get_or_init(|| self.read().unwrap_or_default());
        let mut known_names: BTreeSet<String> = past.names.iter().cloned().collect();
        known_names.extend(listed_names(policy).filter_map(registered));
        let facts = HostFacts {
            registered: registered(host),
            letters: letters(host),
            answers: past.answers.get(&format!("{host}:{port}")).cloned().unwrap_or_default(),
            allowed_names: past.names.clone(),
            known_names: known_names.into_iter().collect(),
            asker,
        };
        familiarity(policy, now, host, &facts)
    }

    fn read(&self) -> chaperone_audit::Result<Past> {
        let mut index = Index::open(&self.history)?;
        index.refresh()?;
        let filter = Filter { kind: Some(EventKind::Answer), limit: LATEST, ..Filter::default() };
        let mut sessions: BTreeSet<(String, String, Verdict)> = BTreeSet::new();
        let mut past = Past::default();
        let mut names = BTreeSet::new();
        for event in index.list(&filter)?.events {
            let Some((place, verdict)) = self.answer(&event) else { continue };
            let answers = past.answers.entry(place.clone()).or_default();
            let is_new = sessions.insert((event.session.clone(), place.clone(), verdict));
            if verdict == Verdict::Allow {
                answers.allowed += u32::from(is_new);
                answers.first = Some(answers.first.map_or(event.time, |at| at.min(event.time)));
                answers.last = Some(answers.last.map_or(event.time, |at| at.max(event.time)));
                let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host);
                names.extend(registered(host));
            } else {
                answers.denied += u32::from(is_new);
            }
        }
        past.names = names.into_iter().collect();
        Ok(past)
    }

    /// What a person said to a connection in another session: to which host and port.
    fn answer(&self, event: &Event) -> Option<(String, Verdict)> {
        if self.session.as_deref() == Some(event.session.as_str()) {
            return None;
        }
        // Requests of connections are numbered by themselves: a program can have any name.
        let request = event.detail.get("request")?.as_str()?.rsplit('.').next()?;
        let person = event.by.as_deref()?.split_once(' ').map(|(_, place)| place)?;
        let is_person = ["in ", "on "].iter().any(|word| person.starts_with(word));
        if !request.starts_with('c') || !is_person {
            return None;
        }
        Some((event.action.clone()?, event.decision?))
    }
}

/// The name that somebody registered: the public suffix, private ones among them, and one label.
fn registered(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    psl::domain_str(host).map(str::to_owned)
}

/// The name in its own letters, where it has others than those of the DNS (RFC 3492).
fn letters(host: &str) -> Option<String> {
    if !host.split('.').any(|label| label.starts_with("xn--")) {
        return None;
    }
    let (letters, _) = idna::domain_to_unicode(host);
    (letters != host).then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_audit::{NewEvent, Redactor, Start, Store};

    #[test]
    fn a_name_is_told_from_what_it_lies_in_and_from_its_spelling() {
        for (host, name) in [
            ("a.b.acme.example", Some("acme.example")),
            ("shop.acme.co.uk", Some("acme.co.uk")),
            // Below a suffix that is somebody's own, everybody has a name.
            ("ada.github.io", Some("ada.github.io")),
            ("build", None),
            ("192.0.2.7", None),
            ("2001:db8::7", None),
        ] {
            assert_eq!(registered(host).as_deref(), name, "{host}");
        }
        assert_eq!(letters("xn--bcher-kva.example").as_deref(), Some("bücher.example"));
        assert_eq!(letters("acme.example"), None);
    }

    #[test]
    fn what_people_answered_in_other_sessions_counts_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let connect = |host: &str| Action::Connect { host: host.to_owned(), port: 443 };
        let answers = [
            ("s1", "s1.c1", "www.acme.example", Verdict::Allow, "ada in the window"),
            ("s1", "s1.c2", "www.acme.example", Verdict::Allow, "ada in the window"),
            ("s2", "s2.c1", "www.acme.example", Verdict::Allow, "ada on the command line"),
            ("s3", "s3.c1", "www.acme.example", Verdict::Deny, "ada in another terminal"),
            ("s3", "s3.c2", "a.example", Verdict::Allow, "the policy for unattended sessions"),
            ("s3", "s3.c3", "b.example", Verdict::Deny, "nobody"),
            // A command may be called like a host.
            ("s3", "s3.4", "c.example", Verdict::Allow, "ada in the window"),
            ("own", "own.c1", "d.example", Verdict::Allow, "ada in the window"),
        ];
        for session in ["s1", "s2", "s3", "own"] {
            let start = NewEvent::session_start(Start::default());
            let segment = store.begin(session, Redactor::default(), start).unwrap();
            for (_, request, host, verdict, by) in answers.iter().filter(|own| own.0 == session) {
                let event = NewEvent::answer(request, &connect(host), *verdict, by, "once", None);
                segment.append(event).unwrap();
            }
        }
        let known = Known::new(folder.path(), Some("own"));
        let past = known.read().unwrap();
        assert_eq!(past.names, ["acme.example"]);
        assert_eq!(past.answers.keys().collect::<Vec<_>>(), ["www.acme.example:443"]);
        let answers = &past.answers["www.acme.example:443"];
        assert_eq!((answers.allowed, answers.denied), (2, 1));
        assert!(answers.first <= answers.last && answers.first.is_some());
    }
}
