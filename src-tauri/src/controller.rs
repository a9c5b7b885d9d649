//! The one event loop: hears what changed, and tells the desktop.
//!
//! Generic over [`Shell`], so that what is told when can be tested without a desktop.

use chaperone_session::desk::{Change, Desk, RequestCard};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// What the loop may ask of the desktop.
pub(crate) trait Shell {
    /// Has the pages ask again for what changed.
    fn tell(&self, change: Change);
    /// Shows in the tray how many requests wait, and the newest of them.
    fn waiting(&self, count: usize, newest: Option<&RequestCard>);
    /// Says that a request arrived, without taking the focus.
    fn notify(&self, request: &RequestCard);
    /// Whether a person is looking at the window.
    fn in_front(&self) -> bool;
}

/// Runs until every sender of changes is gone.
pub(crate) fn run(desk: &Arc<Desk>, shell: &impl Shell, changes: &Receiver<Change>) {
    let mut known = BTreeSet::new();
    refresh(desk, shell, &mut known);
    while let Ok(change) = changes.recv() {
        // What piled up meanwhile is one change to the pages.
        let mut heard = BTreeSet::from([change]);
        heard.extend(changes.try_iter());
        if heard.contains(&Change::Requests) {
            refresh(desk, shell, &mut known);
        }
        for change in heard {
            shell.tell(change);
        }
    }
}

/// Updates the tray, and notifies of each request that was not there the last time.
fn refresh(desk: &Desk, shell: &impl Shell, known: &mut BTreeSet<(String, String)>) {
    // A socket that cannot be read at this instant is read again at its next change; the page
    // itself shows the error.
    let Ok(requests) = desk.requests() else { return };
    let cards: Vec<&RequestCard> =
        requests.groups.iter().flat_map(|group| &group.requests).filter(|c| c.waiting).collect();
    let newest = cards.iter().max_by_key(|card| card.asked_at).copied();
    shell.waiting(cards.len(), newest);
    let now: BTreeSet<_> = cards.iter().map(|c| (c.session.clone(), c.id.clone())).collect();
    let quiet = shell.in_front() || desk.asking_is_paused();
    for card in cards {
        if !quiet && !known.contains(&(card.session.clone(), card.id.clone())) {
            shell.notify(card);
        }
    }
    *known = now;
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use chaperone_session::Paths;
    use chaperone_session::approvals as wire;
    use chaperone_session::desk::{Answer, AnswerVerdict, Scope};
    use std::cell::{Cell, RefCell};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// Writes down what it is asked to do.
    #[derive(Default)]
    struct Notes {
        said: RefCell<Vec<String>>,
        in_front: Cell<bool>,
    }

    impl Notes {
        fn say(&self, what: String) {
            self.said.borrow_mut().push(what);
        }
    }

    impl Shell for Notes {
        fn tell(&self, change: Change) {
            self.say(format!("tell {change:?}"));
        }
        fn waiting(&self, count: usize, newest: Option<&RequestCard>) {
            let newest = newest.map(|card| card.sentence.as_str());
            self.say(format!("{count} wait, {}", newest.unwrap_or("nothing new")));
        }
        fn notify(&self, request: &RequestCard) {
            self.say(format!("notify: {}", request.sentence));
        }
        fn in_front(&self) -> bool {
            self.in_front.get()
        }
    }

    fn desk() -> (tempfile::TempDir, Arc<Desk>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let home = folder.path().as_os_str().to_owned();
        let paths = Paths::from_environment(|_| Some(home.clone())).unwrap();
        let program = folder.path().join("chaperone");
        (folder, Arc::new(Desk::new(paths, program, Vec::new(), "ada".into())))
    }

    fn session(folder: &tempfile::TempDir) -> wire::Approvals {
        let info = wire::SessionInfo {
            id: "s".into(),
            agent: "sh".into(),
            workspace: "/work".into(),
            branch: None,
            pid: std::process::id(),
            started: "2026-11-22T09:02:25Z".parse().unwrap(),
            user: "ada".into(),
            tier: None,
            revision: None,
            began: None,
        };
        let runtime = folder.path().canonicalize().unwrap().join("chaperone");
        let scopes = [Scope::Once];
        wire::Approvals::start(info, &runtime, &scopes, Duration::from_secs(60)).unwrap()
    }

    fn ask(session: &wire::Approvals, sentence: &str) {
        let request = serde_json::json!({
            "action": { "kind": "connect", "host": sentence, "port": 1 },
            "decision": {
                "decision": "ask",
                "rule": null,
                "origin": { "kind": "built-in", "locator": "defaults" },
                "reason": "",
            },
        });
        let fact = || wire::Fact::new(wire::FactAnswer::Unknown, "");
        session.ask(
            wire::NewRequest {
                action: serde_json::from_value(request["action"].clone()).unwrap(),
                sentence: sentence.into(),
                chain: Vec::new(),
                programs: Vec::new(),
                facts: wire::Facts {
                    undoable: fact(),
                    leaves_laptop: fact(),
                    new_compared: fact(),
                },
                reported: None,
                decision: serde_json::from_value(request["decision"].clone()).unwrap(),
                enforced: wire::Enforced::Kernel,
                widest: Scope::Once,
                session_scope: None,
                host: None,
                command: None,
            },
            |_| {},
        );
    }

    /// What the loop does with these changes, after its first look.
    fn told(desk: &Arc<Desk>, notes: &Notes, changes: &[Change]) -> Vec<String> {
        let (sender, receiver) = channel();
        for change in changes {
            sender.send(*change).unwrap();
        }
        drop(sender);
        run(desk, notes, &receiver);
        notes.said.take()
    }

    #[test]
    fn a_request_shows_in_the_tray_and_is_notified_once() {
        let (folder, desk) = desk();
        let session = session(&folder);
        let notes = Notes::default();
        ask(&session, "a.example");
        assert_eq!(
            told(&desk, &notes, &[Change::Requests, Change::Activity, Change::Requests]),
            [
                "1 wait, a.example",
                "notify: a.example",
                "1 wait, a.example",
                "tell Requests",
                "tell Activity",
            ]
        );
        ask(&session, "b.example");
        let said = told(&desk, &notes, &[]);
        assert_eq!(said[0], "2 wait, b.example", "the newest is named");
    }

    #[test]
    fn nobody_is_notified_who_looks_or_has_paused() {
        let (folder, desk) = desk();
        let session = session(&folder);
        ask(&session, "a.example");
        let notes = Notes::default();
        notes.in_front.set(true);
        assert_eq!(told(&desk, &notes, &[]), ["1 wait, a.example"]);
        notes.in_front.set(false);
        desk.pause_asking().unwrap();
        assert_eq!(told(&desk, &notes, &[]), ["1 wait, a.example"]);
        desk.resume_asking().unwrap();
        assert_eq!(told(&desk, &notes, &[]), ["1 wait, a.example", "notify: a.example"]);
    }

    #[test]
    fn what_was_answered_no_longer_waits() {
        let (folder, desk) = desk();
        let session = session(&folder);
        ask(&session, "a.example");
        let card = desk.requests().unwrap().groups[0].requests[0].clone();
        let answer = Answer {
            session: card.session,
            request: card.id,
            verdict: AnswerVerdict::Deny,
            scope: Scope::Once,
            hosts: Vec::new(),
            denied: Vec::new(),
            further: false,
            note: None,
        };
        desk.answer(&answer).unwrap();
        assert_eq!(told(&desk, &Notes::default(), &[]), ["0 wait, nothing new"]);
    }
}
