//! The desk on real stores: a history, sessions' sockets and policy files in a folder of its own.

use super::*;
use chaperone_approvals::{self as wire, Approvals, NewRequest, SessionInfo};
use chaperone_audit::{self as audit, NewEvent, Redactor, Segment, Store};
use chaperone_policy::{
    Action, Command, Context, Decision, Layer, Origin, Os, Reading, Running, SourceKind, Value,
    ValueStatus, Verdict, merge,
};
use jiff::Timestamp;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;
use std::time::Duration;

const SESSION: &str = "20261122-090225-k3f9";

/// One user with nothing but a home.
struct Place {
    folder: tempfile::TempDir,
    desk: Desk,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("home/work")).unwrap();
        fs::create_dir(root.join("run")).unwrap();
        fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        let paths = Paths::from_environment(|name| match name {
            "HOME" => Some(root.join("home").into()),
            "XDG_RUNTIME_DIR" => Some(root.join("run").into()),
            _ => None,
        })
        .unwrap();
        let program = root.join("chaperone");
        let desk = Desk::new(paths, program, vec![root.join("home/bin")], "ada".into());
        let place = Self { folder, desk };
        place.doctor(r#"{"tier":"full","checks":[]}"#);
        place
    }

    /// What `chaperone doctor --json` says here.
    fn doctor(&self, says: &str) {
        let script = format!("#!/bin/sh\necho '{says}'\n");
        fs::write(&self.desk.program, script).unwrap();
        fs::set_permissions(&self.desk.program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn workspace(&self) -> String {
        self.folder.path().canonicalize().unwrap().join("home/work").display().to_string()
    }

    fn segment(&self, id: &str) -> Segment {
        fs::create_dir_all(&self.desk.paths.state).unwrap();
        let start = audit::Start {
            agent: "claude-code".into(),
            workspace: self.workspace(),
            branch: Some("main".into()),
            command: vec!["claude".into()],
            tier: "full".into(),
            ..audit::Start::default()
        };
        let redactor = Redactor::from_environment(Vec::<(String, String)>::new());
        let store = Store::open(&self.desk.paths.history()).unwrap();
        store.begin(id, redactor, NewEvent::session_start(start)).unwrap()
    }

    fn approvals(&self) -> Approvals {
        self.session(None)
    }

    /// The user's own configuration.
    fn configure(&self, text: &str) {
        let config = &self.desk.paths.config;
        fs::create_dir_all(config).unwrap();
        fs::write(config.join("config.toml"), text).unwrap();
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(config.join("config.toml"), mode).unwrap();
    }

    /// A running session that tells what it began with.
    fn session(&self, began: Option<wire::Began>) -> Approvals {
        let info = SessionInfo {
            id: SESSION.into(),
            agent: "Claude Code".into(),
            workspace: self.workspace(),
            branch: Some("main".into()),
            pid: std::process::id(),
            started: Timestamp::now(),
            user: "ada".into(),
            tier: Some("full".into()),
            revision: None,
            began: began.map(Box::new),
        };
        let scopes = [Scope::Once, Scope::Session];
        Approvals::start(info, &self.desk.paths.runtime, &scopes, Duration::from_secs(600)).unwrap()
    }
}

fn push() -> Action {
    Action::Run(Command {
        executable: "/usr/bin/git".into(),
        exec_name: "/usr/bin/git".into(),
        argv: ["git", "push", "origin", "main"].map(String::from).to_vec(),
        environment: Vec::new(),
        cwd: "/work".into(),
    })
}

fn decision(verdict: Verdict) -> Decision {
    Decision {
        verdict,
        rule: Some("commands.rule git push".into()),
        origin: Origin::built_in(),
        reason: "Publishes work.".into(),
    }
}

fn ask() -> NewRequest {
    let fact = |text: &str| wire::Fact::new(wire::FactAnswer::Yes, text);
    NewRequest {
        action: push(),
        sentence: "Publish main to origin.".into(),
        chain: vec!["claude".into(), "git".into()],
        programs: Vec::new(),
        facts: wire::Facts {
            undoable: fact("a"),
            leaves_laptop: fact("b"),
            new_compared: fact("c"),
        },
        reported: None,
        decision: decision(Verdict::Ask),
        enforced: wire::Enforced::Kernel,
        widest: Scope::Workspace,
        host: None,
        command: None,
        session_scope: Some(vec!["git".into(), "push".into(), "origin".into()]),
    }
}

fn answer(request: &RequestCard, verdict: AnswerVerdict, scope: Scope) -> Answer {
    Answer {
        session: request.session.clone(),
        request: request.id.clone(),
        verdict,
        scope,
        hosts: Vec::new(),
        denied: Vec::new(),
        further: false,
        note: None,
    }
}

/// The only request that waits.
fn waiting(desk: &Desk) -> RequestCard {
    desk.requests().unwrap().groups[0].requests[0].clone()
}

#[test]
fn a_fresh_machine_has_nothing_to_show_and_no_errors() {
    let place = Place::new();
    let home = place.desk.home().unwrap();
    assert_eq!(home.machine, Machine { tier: Tier::Full, losses: Vec::new() });
    assert_eq!((home.sessions, home.away, home.recent_workspaces), (vec![], None, vec![]));
    assert_eq!(place.desk.requests().unwrap(), Requests { groups: vec![], answered: vec![] });
    assert_eq!(place.desk.sessions(None).unwrap().total, 0);
    assert_eq!(place.desk.events(&EventFilter::default(), None).unwrap().total, 0);
    assert_eq!(place.desk.hosts(None).unwrap(), vec![]);
    assert_eq!(place.desk.host_sessions(Some("example.com:443")).unwrap(), vec![]);
    assert_eq!(place.desk.credentials().unwrap().rows, vec![]);
    assert_eq!(place.desk.grants().unwrap(), vec![]);
    assert!(place.desk.story(SESSION).unwrap_err().message.contains("no session"));
}

#[test]
fn a_request_is_shown_with_its_session_and_answered_once() {
    let place = Place::new();
    let session = place.approvals();
    let (sender, outcome) = channel();
    session.ask(ask(), move |outcome| sender.send(outcome).unwrap());

    let requests = place.desk.requests().unwrap();
    let group = &requests.groups[0];
    assert_eq!((group.session.id.as_str(), group.session.waiting), (SESSION, 1));
    let card = &group.requests[0];
    assert_eq!(card.sentence, "Publish main to origin.");
    assert_eq!(card.origin, Origin::built_in());
    let Exact::Run { argv, .. } = &card.exact else { panic!("{:?}", card.exact) };
    assert_eq!(argv.join(" "), "git push origin main");

    let mut denial = answer(card, AnswerVerdict::Deny, Scope::Once);
    denial.note = Some("open a pull request instead".into());
    assert_eq!(place.desk.answer(&denial).unwrap(), AnswerOutcome::Accepted);
    let outcome = outcome.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(outcome.verdict, wire::AnswerVerdict::Deny);
    assert_eq!(outcome.note.as_deref(), Some("open a pull request instead"));

    let late = place.desk.answer(&answer(card, AnswerVerdict::Allow, Scope::Once)).unwrap();
    let AnswerOutcome::Late { verdict, .. } = late else { panic!("{late:?}") };
    assert_eq!(verdict, LateVerdict::Deny);
    let after = place.desk.requests().unwrap();
    assert_eq!(after.groups, vec![]);
    assert_eq!(after.answered[0].outcome, Outcome::Denied);
}

#[test]
fn an_approval_for_the_session_is_a_grant_until_it_is_revoked() {
    let place = Place::new();
    let session = place.approvals();
    session.ask(ask(), |_| {});
    let allow = answer(&waiting(&place.desk), AnswerVerdict::Allow, Scope::Session);
    assert_eq!(place.desk.answer(&allow).unwrap(), AnswerOutcome::Accepted);

    let grants = place.desk.grants().unwrap();
    assert_eq!(grants[0].sentence, "Run git push origin … without asking");
    assert_eq!(grants[0].uses, 0);
    place.desk.revoke(&grants[0].id).unwrap();
    assert_eq!(place.desk.grants().unwrap(), vec![]);
    assert!(place.desk.revoke(&grants[0].id).is_err());
}

#[test]
fn a_watching_window_hears_of_requests_and_of_the_history() {
    let place = Place::new();
    let (sender, heard) = channel();
    place.desk.watch(move |change| sender.send(change).is_ok()).unwrap();
    let hears = |wanted: Change| {
        while heard.recv_timeout(Duration::from_secs(10)).unwrap() != wanted {}
    };

    let session = place.approvals();
    hears(Change::Sessions);
    session.ask(ask(), |_| {});
    hears(Change::Requests);
    let allow = answer(&waiting(&place.desk), AnswerVerdict::Allow, Scope::Once);
    assert_eq!(place.desk.answer(&allow).unwrap(), AnswerOutcome::Accepted);
    let segment = place.segment(SESSION);
    hears(Change::Activity);
    // What was answered is still there when its session is over.
    session.end();
    segment.end(NewEvent::session_end(0)).unwrap();
    hears(Change::Sessions);
    assert_eq!(place.desk.requests().unwrap().answered[0].outcome, Outcome::Allowed);
}

#[test]
fn a_policy_folder_that_appears_later_is_watched_from_then_on() {
    let place = Place::new();
    let (sender, heard) = channel();
    place.desk.watch(move |change| sender.send(change).is_ok()).unwrap();
    let config = &place.desk.paths.config;
    fs::create_dir_all(config).unwrap();
    for text in ["revision = \"1\"\n", "revision = \"2\"\n"] {
        assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok(Change::Rules));
        // Several changes of one moment may be told in two lots: wait for the last.
        while heard.recv_timeout(Duration::from_millis(500)).is_ok() {}
        fs::write(config.join("config.toml"), text).unwrap();
    }
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok(Change::Rules));
}

#[test]
fn a_window_hears_when_a_credential_is_set_used_or_removed() {
    let place = Place::new();
    let (sender, heard) = channel();
    place.desk.watch(move |change| sender.send(change).is_ok()).unwrap();
    let quiet = || while heard.recv_timeout(Duration::from_millis(500)).is_ok() {};
    let beside = place.desk.paths.credentials();
    fs::create_dir_all(&beside).unwrap();
    quiet();
    let file = beside.join("acme.json");
    for text in ["{\"set\":null,\"used\":null}", "{}"] {
        fs::write(&file, text).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok(Change::Rules));
        quiet();
        assert!(place.desk.credentials().unwrap().rows[0].kept);
    }
    fs::remove_file(file).unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok(Change::Rules));
}

/// What a session with one push that was denied, and one connection that was refused, records.
fn record(segment: &Segment) {
    let append = |event| segment.append(event).unwrap();
    let allowed = Decision { rule: None, reason: "No rule.".into(), ..decision(Verdict::Allow) };
    for _ in 0..3 {
        let status = Command { argv: vec!["git".into(), "status".into()], ..Command::default() };
        append(NewEvent::command(&status, &allowed));
    }
    append(NewEvent::request("r.1", &push(), &decision(Verdict::Ask)));
    let note = Some("open a pull request instead");
    let by = "ada in the window";
    append(NewEvent::answer("r.1", &push(), Verdict::Deny, by, "once", note));
    for helper in ["/usr/lib/git-core/git", "git-receive-pack"] {
        let helper = Command { argv: vec![helper.into(), "x".into()], ..Command::default() };
        append(NewEvent::command(&helper, &allowed));
    }
    append(NewEvent::connect("example.com", 443, &decision(Verdict::Deny)));
}

#[test]
fn a_session_is_told_as_a_story() {
    let place = Place::new();
    let segment = place.segment(SESSION);
    record(&segment);
    segment.end(NewEvent::session_end(0)).unwrap();

    let story = place.desk.story(SESSION).unwrap();
    let lines: Vec<String> = story
        .lines
        .iter()
        .map(|line| match &line.exact {
            Some(exact) => format!("{} ×{} [{exact}]", line.sentence, line.count),
            None => format!("{} ×{}", line.sentence, line.count),
        })
        .collect();
    assert_eq!(
        lines,
        [
            &format!("Began on branch main in the full sandbox ×1 [{}]", place.workspace()),
            "Ran git status ×3 [git status]",
            "Asked to run git push. Publishes work. ×1 [git push origin main]",
            "Denied by you: “open a pull request instead” ×1 [git push origin main]",
            "Git ran its own helpers ×2",
            "Tried to connect, and was refused. Publishes work. ×1 [example.com:443]",
            "Ended with exit 0 ×1",
        ]
    );
    assert_eq!(story.summary, "Ran 5 commands, 1 was asked about and 2 things were denied.");
    assert_eq!(story.session.agent, "Claude Code");
    assert_eq!(story.session.exit.as_deref(), Some("exit 0"));
}

#[test]
fn events_are_filtered_searched_counted_and_shown_whole() {
    let place = Place::new();
    let segment = place.segment(SESSION);
    record(&segment);

    let events = |filter: EventFilter| place.desk.events(&filter, None).unwrap();
    let all = events(EventFilter::default());
    assert_eq!((all.rows.len(), all.total, all.next), (9, 9, None));
    assert_eq!(all.rows[0].kind, EventKind::Connect, "the newest comes first");
    let denied = events(EventFilter { decision: Some(Verdict::Deny), ..EventFilter::default() });
    assert_eq!((denied.rows.len(), denied.total), (2, 2));
    let found = events(EventFilter { text: Some("pull request".into()), ..EventFilter::default() });
    assert_eq!((found.rows.len(), found.total), (1, 1));
    assert_eq!(found.rows[0].by.as_deref(), Some("you"));
    let files = vec![EventKind::Command, EventKind::Connect];
    let kinds = events(EventFilter { kinds: files, ..EventFilter::default() });
    assert_eq!(kinds.rows.len(), 6);

    let event = place.desk.event(SESSION, found.rows[0].seq).unwrap();
    assert!(event.record.contains("open a pull request instead"), "{}", event.record);
    assert!(place.desk.event(SESSION, 99).is_err());
    let hosts = place.desk.hosts(Some(SESSION)).unwrap();
    let HostRow { place: name, host, port, counts, sessions } = &hosts[0];
    assert_eq!(name.as_deref(), Some("example.com:443"));
    assert_eq!((host.as_deref(), *port, *sessions), (Some("example.com"), Some(443), 1));
    assert_eq!((counts.allowed, counts.denied, counts.sent), (0, 1, None));
    let [told] = place.desk.host_sessions(name.as_deref()).unwrap().try_into().unwrap();
    assert_eq!((told.session.as_str(), told.agent.as_str()), (SESSION, "Claude Code"));
    assert_eq!((told.workspace, &told.counts), (place.workspace(), counts));
}

#[test]
fn a_credential_is_told_with_the_session_that_used_it_and_never_with_a_value() {
    let place = Place::new();
    place.configure(
        "[[credentials.inject]]\nsecret = \"acme\"\nhost = \"api.acme.example\"\n\
         header = \"x-api-key\"\n",
    );
    let beside = place.desk.paths.credentials();
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("acme.json"), r#"{"set":"2026-11-01T00:00:00Z","used":null}"#).unwrap();
    let segment = place.segment(SESSION);
    let allow = decision(Verdict::Allow);
    segment.append(NewEvent::credential("acme", "api.acme.example", 443, &allow)).unwrap();

    let all = place.desk.credentials().unwrap();
    let [row] = all.rows.as_slice() else { panic!("{all:?}") };
    let used = row.used.as_ref().unwrap();
    assert_eq!((row.name.as_str(), row.kept, row.bindings.len()), ("acme", true, 1));
    assert_eq!(used.session.as_deref(), Some(SESSION));
    assert_eq!(used.agent.as_deref(), Some("Claude Code"));
    assert_eq!(used.workspace, Some(place.workspace()));
    assert_eq!(used.host.as_deref(), Some("api.acme.example:443"));
    let told = place.desk.story(SESSION).unwrap();
    assert_eq!(told.lines[1].sentence, "Used the credential acme");

    let bad = place.desk.set_credential("Acme!", "sk-value-of-it".into()).unwrap_err();
    assert!(bad.message.contains("cannot be the name") && !bad.message.contains("sk-"), "{bad}");
    let bad = place.desk.set_credential("acme", "sk".into()).unwrap_err();
    assert!(bad.message.contains("fewer than 8"), "{bad}");
}

#[test]
fn more_sessions_than_a_page_come_in_pages() {
    let place = Place::new();
    for number in 0..203 {
        let segment = place.segment(&format!("session-{number:03}"));
        segment.end(NewEvent::session_end(0)).unwrap();
    }
    let first = place.desk.sessions(None).unwrap();
    assert_eq!((first.rows.len(), first.total), (200, 203));
    let second = place.desk.sessions(first.next.as_deref()).unwrap();
    assert_eq!((second.rows.len(), second.next), (3, None));
    assert_eq!(place.desk.home().unwrap().recent_workspaces, [place.workspace()]);
}

#[test]
fn the_first_page_says_how_well_agents_are_held() {
    let place = Place::new();
    let says = |doctor: &str| {
        place.doctor(doctor);
        *watch::locked(&place.desk.examined) = None;
        place.desk.home().unwrap().protection
    };
    // Agents that this machine really has may run outside the sandbox; the level says no more.
    assert_ne!(says(r#"{"tier":"full","checks":[]}"#).level, ProtectionLevel::Not);
    let loss = r#"{"id":"lost-x","status":"warn","detail":"Lost.","fix":"Get it."}"#;
    let reduced = says(&format!(r#"{{"tier":"reduced","checks":[{loss}]}}"#));
    assert_eq!(reduced.level, ProtectionLevel::Partly);
    assert_eq!(reduced.remedy.unwrap().text, "Get it.");
    let fail =
        r#"{"id":"x","status":"fail","detail":"The kernel is old.","fix":"Use a newer one."}"#;
    let none = says(&format!(r#"{{"tier":"none","checks":[{fail}]}}"#));
    assert_eq!(none.level, ProtectionLevel::Not);
    assert_eq!(none.sentence, "Not protected, because the kernel is old.");
    fs::remove_file(&place.desk.program).unwrap();
    *watch::locked(&place.desk.examined) = None;
    assert_eq!(place.desk.home().unwrap().protection.level, ProtectionLevel::Not);
}

#[test]
fn what_was_decided_while_nobody_looked_is_counted_from_then_on() {
    let place = Place::new();
    let segment = place.segment(SESSION);
    let looked = Command { argv: vec!["before".into()], ..Command::default() };
    segment.append(NewEvent::command(&looked, &decision(Verdict::Deny))).unwrap();
    // Times in the history are whole milliseconds.
    let before = Timestamp::now();
    while Timestamp::now().as_millisecond() == before.as_millisecond() {
        std::hint::spin_loop();
    }
    place.desk.looked_away().unwrap();
    record(&segment);
    let away = place.desk.home().unwrap().away.unwrap();
    assert_eq!(away.counts, Counts { allowed: 5, asked: 1, denied: 2 });
    let latest: Vec<&str> = away.latest.iter().map(|row| row.what.as_str()).collect();
    assert_eq!(latest, ["example.com:443", "git push origin main"]);
}

#[test]
fn a_value_that_a_running_session_does_not_take_up_needs_a_restart() {
    let place = Place::new();
    place.configure("[filesystem]\ndeny = [\"~/.kube\"]\n[limits]\nprocesses = 999\n");
    let deny = |workspace: Option<&str>| {
        let rules = place.desk.rules(workspace).unwrap();
        rules.shown.values.into_iter().find(|value| value.key == "filesystem.deny").unwrap()
    };
    let (workspace, elsewhere) = (place.workspace(), place.desk.paths.home.join("other"));
    fs::create_dir(&elsewhere).unwrap();
    assert_eq!(deny(Some(&workspace)).status, ValueStatus::Applied);

    let values = [("filesystem.deny", json!([])), ("limits.processes", json!(999))];
    let values = values.map(|(key, value)| (key.to_owned(), value)).into();
    let _session = place.session(Some(wire::Began { values, ..wire::Began::default() }));
    for value in [deny(Some(&workspace)), deny(None)] {
        let Value { status, detail, running, .. } = value;
        assert_eq!(status, ValueStatus::Restart);
        assert!(detail.contains(SESSION), "{detail}");
        assert_eq!(running, [Running { session: SESSION.to_owned(), value: json!([]).into() }]);
    }
    // The same value, and another workspace's session, need none.
    let processes = place.desk.explain("limits.processes", Some(&workspace)).unwrap();
    assert_eq!(processes.status, ValueStatus::Applied);
    assert_eq!(deny(elsewhere.to_str()).status, ValueStatus::Applied);
}

#[test]
fn who_manages_this_machine_is_told_with_revision_time_and_mode() {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let read = |kind, text: &str, at: &str| {
        let reading = Reading::new(Vec::new(), at.parse().unwrap());
        Layer::from_toml(kind, "/f.toml", text).with_reading(reading)
    };
    let told = |layers: Vec<Layer>| {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada".into(),
            agent: None,
            os: Os::Linux,
        };
        rules::managed(&merge(layers, &context), now)
    };
    let user = || read(SourceKind::UserFile, "revision = \"mine\"", "2026-11-22T11:59:59Z");
    let absent = Layer::absent(SourceKind::ManagedFile, "/etc/chaperone/policy.d");
    assert_eq!(told(vec![absent, user()]), None);
    let acme = "organisation = \"Acme\"\nrevision = \"42\"\n";
    let bundle = read(SourceKind::ManagedBundle, "", "2026-11-22T10:00:00Z");
    let file = read(SourceKind::ManagedFile, acme, "2026-11-22T11:59:59Z");
    let expected = Managed {
        by: Some("Acme".to_owned()),
        revision: Some("42".to_owned()),
        read_at: Some("2026-11-22T10:00:00Z".parse().unwrap()),
        observes: None,
    };
    assert_eq!(told(vec![file.clone(), bundle, user()]), Some(expected));
    // What only the user says is nobody's revision but theirs.
    let nameless = read(SourceKind::ManagedFile, "", "2026-11-22T11:59:59Z");
    assert_eq!(told(vec![nameless, user()]).unwrap().revision, None);
    let watching = "mode = \"observe\"\nuntil = \"2026-12-31\"\n";
    let watching = read(SourceKind::ManagedFile, watching, "2026-11-22T11:59:59Z");
    let observes = told(vec![watching]).unwrap().observes.unwrap();
    assert_eq!(observes.until, "2027-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(observes.origin.locator, "/f.toml:2");
}

#[test]
fn rules_name_their_origin_and_questions_are_answered() {
    let place = Place::new();
    place.configure(
        "[[commands.rule]]\nprefix = [\"make\"]\ndecision = \"deny\"\nreason = \"Not here.\"\n\
         [network]\nmode = \"sideways\"\n",
    );

    let rules = place.desk.rules(None).unwrap();
    assert!(rules.shown.layers.iter().any(|l| l.kind == SourceKind::UserFile));
    let mode = place.desk.explain("network.mode", None).unwrap();
    assert_eq!((mode.value, mode.origins), (json!("proxy").into(), vec![Origin::built_in()]));
    let unknown = place.desk.explain("network.mood", None).unwrap_err();
    assert!(unknown.message.contains("network.mode"), "{unknown}");
    let findings = place.desk.home().unwrap().findings;
    assert_eq!(findings[0].key, "network.mode");

    let why = |about, text: &str| {
        let workspace = Some(place.workspace());
        place.desk.why(&Question { about, text: text.into(), workspace }).unwrap()
    };
    let make = why(QuestionAbout::Command, "make all");
    assert_eq!(make.understood, "Run make all");
    assert_eq!(make.decision.verdict, Verdict::Deny);
    assert_eq!(make.decision.reason, "Not here.");
    assert_eq!(
        make.decision.origin.locator,
        format!("{}:1", place.desk.paths.config.join("config.toml").display())
    );
    assert_eq!(why(QuestionAbout::Command, "git push").decision.verdict, Verdict::Ask);
    assert_eq!(why(QuestionAbout::Host, "example.com").decision.verdict, Verdict::Ask);
}

#[cfg(target_os = "linux")]
#[test]
fn paths_are_answered_from_the_plan() {
    let place = Place::new();
    fs::create_dir_all(place.desk.paths.home.join("work/.git/hooks")).unwrap();
    fs::create_dir_all(place.desk.paths.home.join("work/.git/objects")).unwrap();
    fs::create_dir_all(place.desk.paths.home.join("work/.git/refs")).unwrap();
    fs::write(place.desk.paths.home.join("work/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
    let why = |about, text: &str| {
        let workspace = Some(place.workspace());
        let why = place.desk.why(&Question { about, text: text.into(), workspace }).unwrap();
        (why.decision.verdict, why.decision.reason)
    };
    use QuestionAbout::{Read, Write};
    assert_eq!(why(Read, "~/.ssh/id_ed25519").0, Verdict::Deny);
    assert_eq!(why(Write, "src/main.rs").0, Verdict::Allow);
    assert_eq!(why(Write, ".git/hooks/pre-commit").0, Verdict::Deny);
    assert_eq!(why(Write, "../work/./src/main.rs").0, Verdict::Allow);
    assert_eq!(why(Read, "/usr/bin/env").0, Verdict::Allow);
    assert_eq!(why(Write, "/usr/bin/env").0, Verdict::Deny);
}

#[test]
fn settings_are_kept_and_a_broken_file_is_forgotten() {
    let place = Place::new();
    let desk = &place.desk;
    assert_eq!(desk.settings().unwrap(), Settings::default());
    desk.set_theme(Theme::Dark).unwrap();
    desk.pause_asking().unwrap();
    assert!(desk.asking_is_paused());
    assert_eq!(desk.settings().unwrap().theme, Theme::Dark);
    desk.resume_asking().unwrap();
    assert_eq!(desk.settings().unwrap().asking_paused_until, None);
    fs::write(desk.paths.state.join("window.json"), "{").unwrap();
    assert_eq!(desk.settings().unwrap(), Settings::default());
}

#[test]
fn a_session_starts_in_a_terminal_or_says_how_to_start_it() {
    let place = Place::new();
    let start = |command: &str, workspace: &str| {
        place.desk.start_session(&Start { command: command.into(), workspace: workspace.into() })
    };
    let none = start("claude --model 'a b'", &place.workspace()).unwrap_err();
    let remedy = none.remedy.unwrap();
    assert!(remedy.ends_with("-- claude --model 'a b'"), "{remedy}");
    assert!(start("claude", "/nowhere").unwrap_err().message.contains("not a folder"));
    assert!(start("", &place.workspace()).is_err());

    // A terminal that says with what it was started.
    let bin = place.desk.paths.home.join("bin");
    let said = place.desk.paths.home.join("said");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("xterm"), format!("#!/bin/sh\necho \"$@\" >{}\n", said.display())).unwrap();
    fs::set_permissions(bin.join("xterm"), fs::Permissions::from_mode(0o755)).unwrap();
    start("claude -c", "~/work").unwrap();
    let line = loop {
        match fs::read_to_string(&said) {
            Ok(line) if line.ends_with('\n') => break line,
            _ => std::thread::yield_now(),
        }
    };
    let expected = format!("run --workspace {} -- claude -c", place.workspace());
    assert!(line.starts_with("-e sh -c ") && line.trim_end().ends_with(&expected), "{line}");
}
