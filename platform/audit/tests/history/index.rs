//! What the index finds is what the segments hold, however it came to read them.

use crate::common::{begin, command, decision, git, session, start};
use chaperone_audit::{
    EventKind, Filter, HostReport, Index, NewEvent, Redactor, SessionState, Store, verify,
};
use chaperone_policy::{Action, Decision, HttpRequest, Verdict};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn index(folder: &Path) -> Index {
    let mut index = Index::open(folder).unwrap();
    index.refresh().unwrap();
    index
}

fn actions(index: &mut Index, filter: &Filter) -> Vec<String> {
    let page = index.list(filter).unwrap();
    page.events.into_iter().map(|event| event.action.unwrap_or_default()).collect()
}

fn found(index: &mut Index, text: &str) -> Vec<u64> {
    let page = index.search(text, &Filter::default()).unwrap();
    page.events.into_iter().map(|event| event.seq).collect()
}

#[test]
fn an_event_is_the_line_that_the_design_fixes() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    let time = "2026-11-22T09:00:00.123456Z".parse().unwrap();
    segment.append(command("git push origin", Verdict::Ask).at(time)).unwrap();
    segment.append(NewEvent::withdrawn("r1", "The asking process ended.").at(time)).unwrap();
    let story = index(folder.path()).story("s").unwrap();
    assert_eq!(
        serde_json::to_string(&story[1]).unwrap(),
        "{\"seq\":2,\"time\":\"2026-11-22T09:00:00.123Z\",\"session\":\"s\",\"kind\":\"command\",\
         \"action\":\"git push origin\",\"decision\":\"ask\",\
         \"rule\":\"commands.rule git push\",\"origin\":{\"kind\":\"managed-file\",\
         \"locator\":\"/etc/chaperone/policy.d/10.toml:4\"},\"reason\":\"Publishes work.\",\
         \"by\":null,\"detail\":{\"program\":{\"argv\":[\"git\",\"push\",\"origin\"],\
         \"executable\":\"/usr/bin/git\",\"exec_name\":\"/usr/bin/git\",\"cwd\":\"/work/shop\",\
         \"environment\":{\"GIT_DIR\":\".git\"}}}}"
    );
    assert_eq!(
        serde_json::to_string(&story[2]).unwrap(),
        "{\"seq\":3,\"time\":\"2026-11-22T09:00:00.123Z\",\"session\":\"s\",\
         \"kind\":\"withdrawn\",\"action\":null,\"decision\":null,\"rule\":null,\"origin\":null,\
         \"reason\":\"The asking process ended.\",\"by\":null,\"detail\":{\"request\":\"r1\"}}"
    );
}

#[test]
fn sessions_are_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    session(folder.path(), "ended");
    drop(begin(folder.path(), "killed"));
    let running = begin(folder.path(), "running");
    let mut index = index(folder.path());
    let sessions = index.sessions().unwrap();
    let states: Vec<_> =
        sessions.iter().map(|session| (session.id.as_str(), session.state)).collect();
    assert_eq!(
        states,
        [
            ("running", SessionState::Running),
            ("killed", SessionState::Killed),
            ("ended", SessionState::Ended),
        ]
    );
    let ended = index.session("ended").unwrap().unwrap();
    assert_eq!(ended.agent.as_deref(), Some("demo"));
    assert_eq!(ended.workspace.as_deref(), Some("/work/shop"));
    assert_eq!(ended.branch.as_deref(), Some("main"));
    assert_eq!(ended.command.as_deref(), Some(&["demo".to_owned(), "--fast".into()][..]));
    assert_eq!((ended.events, ended.allowed, ended.asked, ended.denied), (5, 1, 1, 1));
    assert_eq!(ended.exit, Some(0));
    assert!(ended.ended.unwrap() >= ended.started);
    assert_eq!(sessions[0].ended, None);
    drop(running);
    assert_eq!(index.session("running").unwrap().unwrap().state, SessionState::Killed);
    assert_eq!(index.session("none").unwrap(), None);
}

#[test]
fn a_refresh_reads_what_is_new_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::open(folder.path()).unwrap();
    assert_eq!(index.refresh().unwrap(), 0);
    let segment = begin(folder.path(), "s");
    assert_eq!(index.refresh().unwrap(), 1);
    segment.append(command("git status", Verdict::Allow)).unwrap();
    segment.append(command("git gc", Verdict::Allow)).unwrap();
    // Another program's refresh counts too.
    assert_eq!(self::index(folder.path()).story("s").unwrap().len(), 3);
    assert_eq!(index.refresh().unwrap(), 0);
    segment.end(NewEvent::session_end(3)).unwrap();
    assert_eq!(index.refresh().unwrap(), 1);
    assert_eq!(index.refresh().unwrap(), 0);
    assert_eq!(index.session("s").unwrap().unwrap().exit, Some(3));
    assert_eq!(index.show("s", 3).unwrap().unwrap().action.as_deref(), Some("git gc"));
    assert_eq!(index.show("s", 9).unwrap(), None);
}

#[test]
fn half_a_line_waits_until_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    segment.append(command("git status", Verdict::Allow)).unwrap();
    let path = folder.path().join("segments/s.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let mut index = Index::open(folder.path()).unwrap();
    assert_eq!(index.refresh().unwrap(), 1);
    fs::write(&path, &whole).unwrap();
    assert_eq!(index.refresh().unwrap(), 1);
    assert_eq!(index.show("s", 2).unwrap().unwrap().action.as_deref(), Some("git status"));
}

#[test]
fn filters_narrow_and_pages_go_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    let time = "2026-11-22T09:00:00Z".parse::<jiff::Timestamp>().unwrap();
    for second in 0..50 {
        // Two in each millisecond: a page can end between them.
        let at = time + jiff::SignedDuration::from_secs(second / 2);
        let verdict = if second % 10 == 0 { Verdict::Deny } else { Verdict::Allow };
        segment.append(command(&format!("git show {second}"), verdict).at(at)).unwrap();
    }
    let mut index = index(folder.path());
    let mut filter = Filter { kind: Some(EventKind::Command), limit: 7, ..Filter::default() };
    let mut seen = Vec::new();
    loop {
        let page = index.list(&filter).unwrap();
        seen.extend(page.events.into_iter().map(|event| event.seq));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, (2..=51).rev().collect::<Vec<u64>>());

    let denied = Filter { decision: Some(Verdict::Deny), ..Filter::default() };
    assert_eq!(
        actions(&mut index, &denied),
        ["git show 40", "git show 30", "git show 20", "git show 10", "git show 0"]
    );
    let since = Filter {
        since: Some(time + jiff::SignedDuration::from_secs(24)),
        kind: Some(EventKind::Command),
        ..Filter::default()
    };
    assert_eq!(actions(&mut index, &since), ["git show 49", "git show 48"]);
    let other = Filter { session: Some("other".into()), ..Filter::default() };
    assert_eq!(actions(&mut index, &other), [""; 0]);
    let mine = Filter { session: Some("s".into()), limit: 1, ..denied };
    assert_eq!(actions(&mut index, &mine), ["git show 40"]);
}

#[test]
fn a_search_finds_what_people_remember() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    segment.append(command("git push origin feature/login-form", Verdict::Ask)).unwrap();
    let denied = Decision { rule: None, ..decision(Verdict::Deny) };
    segment.append(NewEvent::connect("api.acme.example", 443, &denied)).unwrap();
    let action = Action::Run(git("git push"));
    segment
        .append(NewEvent::answer(
            "r1",
            &action,
            Verdict::Deny,
            "lena",
            "once",
            Some("Use a branch"),
        ))
        .unwrap();
    let mut index = index(folder.path());
    for (text, expected) in [
        ("push", &[4, 2][..]),
        ("git pus", &[4, 2]),
        ("login-form", &[2]),
        ("ACME", &[3]),
        ("api.acme.example:443", &[3]),
        ("lena", &[4]),
        ("branch use", &[4]),
        ("10.toml", &[3, 2]),
        ("push acme", &[]),
        ("\"", &[]),
        ("-- ' * zzz OR push", &[]),
        ("text:push", &[]),
        ("\0push\0", &[4, 2]),
        (&"push ".repeat(1000), &[4, 2]),
        ("", &[]),
        ("pull", &[]),
    ] {
        assert_eq!(found(&mut index, text), expected, "{text}");
    }
    let denied = Filter { decision: Some(Verdict::Deny), ..Filter::default() };
    let page = index.search("push", &denied).unwrap();
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [4]);
    let asked = Filter {
        decision: Some(Verdict::Ask),
        session: Some("s".into()),
        kind: Some(EventKind::Command),
        ..Filter::default()
    };
    assert_eq!(index.search("push", &asked).unwrap().events[0].seq, 2);
    // All of what is found is counted, however little of it a page shows.
    let one = Filter { limit: 1, ..Filter::default() };
    let page = index.search("push", &one).unwrap();
    let rest = Filter { before: page.next, ..one };
    assert_eq!(index.count("push", &rest).unwrap(), 2);
    assert_eq!(index.count("push", &asked).unwrap(), 1);
    assert_eq!(index.count("", &rest).unwrap(), 0);
    let elsewhere = Filter { session: Some("t".into()), ..asked };
    assert!(index.search("push", &elsewhere).unwrap().events.is_empty());
    // What is kept to filter by is not found as a word.
    assert!(found(&mut index, "decisiondeny").is_empty());
}

#[test]
fn an_index_that_is_deleted_damaged_or_foreign_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    session(folder.path(), "s");
    let path = folder.path().join("index.sqlite");
    let remove = || {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
    };
    let whole = index(folder.path()).story("s").unwrap();
    assert_eq!(whole.len(), 5);

    let mut open = index(folder.path());
    remove();
    open.refresh().unwrap();
    assert_eq!(open.story("s").unwrap(), whole);
    drop(open);

    for damage in
        ["not a database at all, but long enough to look like one".repeat(200), "x".into()]
    {
        remove();
        fs::write(&path, damage).unwrap();
        assert_eq!(index(folder.path()).story("s").unwrap(), whole);
    }

    // Pages torn up behind the header, found only while reading.
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0xA5);
    remove();
    fs::write(&path, bytes).unwrap();
    assert_eq!(index(folder.path()).story("s").unwrap(), whole);

    // Of a version that this program does not know.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert_eq!(index(folder.path()).story("s").unwrap(), whole);

    // A table gone while it is open.
    let mut open = index(folder.path());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("DROP TABLE events").unwrap();
    drop(db);
    assert_eq!(open.story("s").unwrap(), whole);
}

#[test]
fn an_index_is_not_needed_to_write_or_to_verify() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("index.sqlite")).unwrap();
    session(folder.path(), "s");
    assert!(verify(folder.path()).unwrap().is_intact());
    assert!(Index::open(folder.path()).is_err());
    let mut index = Index::in_memory(folder.path()).unwrap();
    index.refresh().unwrap();
    assert_eq!(index.story("s").unwrap().len(), 5);
}

#[test]
fn a_segment_that_shrank_is_read_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let segment = begin(folder.path(), "s");
    segment.append(command("git status", Verdict::Allow)).unwrap();
    let mut index = index(folder.path());
    let path = folder.path().join("segments/s.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.split_inclusive('\n').next().unwrap()).unwrap();
    index.refresh().unwrap();
    assert_eq!(index.story("s").unwrap().len(), 1);
    assert_eq!(index.session("s").unwrap().unwrap().allowed, 0);
}

#[test]
fn what_is_erased_leaves_the_index_and_its_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let segment = store.begin("s", Redactor::default(), start()).unwrap();
    segment.append(command("git show xyzzyplugh", Verdict::Allow)).unwrap();
    let mut index = index(folder.path());
    assert_eq!(found(&mut index, "xyzzyplugh"), [2]);

    store.erase("s", 2).unwrap();
    index.refresh().unwrap();
    assert!(found(&mut index, "xyzzyplugh").is_empty());
    let event = index.show("s", 2).unwrap().unwrap();
    assert_eq!(event.action, None);
    assert_eq!(event.decision, Some(Verdict::Allow));
    assert_eq!(event.reason.as_deref(), Some("Publishes work."));
    assert_eq!(event.erased, ["action", "program"]);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let shown = bytes.windows(10).any(|window| window == b"xyzzyplugh");
            assert!(!shown, "{}", path.display());
        }
    }
    // What is read anew is erased as well, and the rest is not.
    drop(index);
    fs::remove_file(folder.path().join("index.sqlite")).unwrap();
    let mut index = self::index(folder.path());
    assert_eq!(index.show("s", 2).unwrap().unwrap(), event);
    assert_eq!(index.show("s", 1).unwrap().unwrap().action.as_deref(), Some("demo --fast"));

    store.erase("s", 1).unwrap();
    index.refresh().unwrap();
    let summary = index.session("s").unwrap().unwrap();
    assert_eq!((summary.workspace, summary.agent.as_deref()), (None, Some("demo")));
    assert!(store.erase("s", 1).is_err());
    assert!(store.erase("s", 7).is_err());
    assert!(store.erase("../s", 1).is_err());
}

#[test]
fn content_that_was_altered_is_not_shown_as_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    session(folder.path(), "s");
    let path = folder.path().join("segments/s.content.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"git push\"", "\"git pull\"")).unwrap();
    let event = index(folder.path()).show("s", 3).unwrap().unwrap();
    assert_eq!((event.action, event.altered), (None, vec!["action".to_owned()]));
}

#[test]
fn programs_that_refresh_at_the_same_time_read_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let segment = begin(folder, "s");
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut index = Index::open(folder).unwrap();
                while !written.load(Ordering::Relaxed) {
                    index.refresh().unwrap();
                }
            });
        }
        for _ in 0..200 {
            segment.append(command("git status", Verdict::Allow)).unwrap();
        }
        written.store(true, Ordering::Relaxed);
    });
    segment.end(NewEvent::session_end(0)).unwrap();
    let mut index = index(folder);
    let sequence: Vec<u64> = index.story("s").unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(sequence, (1..=202).collect::<Vec<u64>>());
    assert_eq!(index.count("status", &Filter::default()).unwrap(), 200);
    assert_eq!(index.session("s").unwrap().unwrap().events, 202);
}

#[test]
fn what_was_observed_is_put_together_by_rule() {
    let folder = tempfile::tempdir().unwrap();
    let observed = |line: &str, would| {
        let action = Action::Run(git(line));
        NewEvent::observed(&action, &decision(would), would)
    };
    for (id, lines) in [("a", ["git push", "git push -f"]), ("b", ["git push", "git push x"])] {
        let segment = begin(folder.path(), id);
        for line in lines {
            segment.append(observed(line, Verdict::Ask)).unwrap();
        }
        segment.append(command("git push", Verdict::Allow)).unwrap();
        segment.append(command("git push", Verdict::Deny)).unwrap();
        segment.append(command("echo '\"observed\":'", Verdict::Allow)).unwrap();
    }
    let mut index = index(folder.path());
    let report = index.observed(None).unwrap();
    assert_eq!(report.len(), 1);
    let rule = &report[0];
    assert_eq!((rule.times, rule.sessions, rule.would), (4, 2, Verdict::Ask));
    assert_eq!(rule.rule.as_deref(), Some("commands.rule git push"));
    assert_eq!(rule.agents, ["demo"]);
    assert_eq!(rule.examples.len(), 3);
    assert!(rule.examples.contains(&"git push -f".to_owned()));
    let tomorrow = "2099-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(index.observed(Some(tomorrow)).unwrap(), []);
    let event = &index.story("a").unwrap()[1];
    assert_eq!((event.decision, event.observed()), (Some(Verdict::Allow), Some(Verdict::Ask)));
    assert_eq!(index.observed(Some(event.time)).unwrap(), report, "the first counts");
    let (first, last) = (event.time, index.story("b").unwrap()[2].time);
    assert_eq!((rule.first, rule.last), (first, last));
}

#[test]
fn hosts_are_put_together_from_what_was_decided_and_what_went_there() {
    let folder = tempfile::tempdir().unwrap();
    let request = |method: &str, path: &str| {
        Action::Http(HttpRequest {
            host: "api.example".into(),
            port: 443,
            method: method.into(),
            path: path.into(),
            upgrade: None,
            overridden: None,
        })
    };
    let connect = |host: &str| Action::Connect { host: host.into(), port: 443 };
    let decided = |action: &Action, verdict: Verdict| NewEvent::decided(action, &decision(verdict));
    let first = begin(folder.path(), "a");
    for event in [
        decided(&connect("api.example"), Verdict::Allow).asked_by(&words(&["npm", "ci"])),
        NewEvent::credential("acme", "api.example", 443, &decision(Verdict::Allow)),
        decided(&request("GET", "/x"), Verdict::Allow),
        decided(&request("POST", "/x y"), Verdict::Deny),
        NewEvent::request("a.c1", &connect("new.example"), &decision(Verdict::Ask)).asked_by(
            &words(&["curl", "-H", "Authorization: Bearer abcdefghijklmnop", "new.example"]),
        ),
        NewEvent::answer("a.c1", &connect("new.example"), Verdict::Allow, "ada", "once", None),
        // Of a command, whatever its words are.
        NewEvent::request("a.7", &Action::Run(git("new.example:443")), &decision(Verdict::Ask)),
        command("git push", Verdict::Deny),
        decided(&connect("::1"), Verdict::Deny),
        NewEvent::traffic(Some("api.example:443"), 2, 300, 4000),
        NewEvent::traffic(Some("new.example:443"), 1, 0, 7),
        NewEvent::traffic(None, 5, 6, 7),
    ] {
        first.append(event).unwrap();
    }
    let second = begin(folder.path(), "b");
    let again = decided(&connect("api.example"), Verdict::Allow).asked_by(&words(&["claude"]));
    second.append(again).unwrap();

    let mut index = index(folder.path());
    let told = |reports: Vec<HostReport>| {
        let told = reports.into_iter().map(|own| {
            let bytes = own.connections.zip(own.sent).zip(own.received);
            (own.host, [own.allowed, own.asked, own.refused], bytes, own.sessions)
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    };
    let name = |host: &str| Some(host.to_owned());
    let api = (name("api.example:443"), [2, 0, 1], Some(((2, 300), 4000)), 1);
    let rest = [
        (name("new.example:443"), [1, 1, 0], Some(((1, 0), 7)), 1),
        (None, [0, 0, 0], Some(((5, 6), 7)), 1),
        (name("[::1]:443"), [0, 0, 1], None, 1),
    ];
    let with = |api: &(Option<String>, [u64; 3], _, u64)| {
        let mut all = rest.to_vec();
        all.push(api.clone());
        all.sort();
        all
    };
    assert_eq!(told(index.hosts(Some("a"), None).unwrap()), with(&api));
    let (host, _, bytes, _) = api;
    assert_eq!(told(index.hosts(None, None).unwrap()), with(&(host, [3, 0, 1], bytes, 2)));
    let running = (name("api.example:443"), [1, 0, 0], None, 1);
    assert_eq!(told(index.hosts(Some("b"), None).unwrap()), [running]);
    assert_eq!(index.hosts(Some("c"), None).unwrap(), []);
    let order: Vec<_> = index.hosts(Some("a"), None).unwrap();
    assert!(order.is_sorted_by_key(|own| own.first));

    let commands = |reports: Vec<HostReport>, host: &str| -> Vec<String> {
        let own = reports.into_iter().find(|own| own.host.as_deref() == Some(host)).unwrap();
        own.commands
    };
    let all = index.hosts(None, None).unwrap();
    assert_eq!(commands(all.clone(), "api.example:443"), ["npm ci", "claude"]);
    let asked = "curl -H 'Authorization: Bearer [redacted:header]' new.example";
    assert_eq!(commands(all, "new.example:443"), [asked]);
    let sessions = index.host(Some("api.example:443")).unwrap();
    let sessions: Vec<_> =
        sessions.into_iter().map(|(id, own)| (id, own.allowed, own.commands)).collect();
    let expected = [("b", 1, "claude"), ("a", 2, "npm ci")];
    assert_eq!(sessions, expected.map(|(id, n, by)| (id.to_owned(), n, vec![by.to_owned()])));
}

#[test]
fn what_was_erased_of_a_host_is_no_longer_told() {
    let folder = tempfile::tempdir().unwrap();
    let connect = |host: &str| Action::Connect { host: host.into(), port: 443 };
    let session = begin(folder.path(), "a");
    for host in ["one.example", "two.example"] {
        let event = NewEvent::decided(&connect(host), &decision(Verdict::Allow));
        session.append(event.asked_by(&words(&["fetch", host]))).unwrap();
    }
    session.end(NewEvent::session_end(0)).unwrap();
    let mut index = index(folder.path());
    let hosts = |index: &mut Index| -> Vec<Option<String>> {
        index.hosts(None, None).unwrap().into_iter().map(|own| own.host).collect()
    };
    let (one, two) = (Some("one.example:443".to_owned()), Some("two.example:443".to_owned()));
    assert_eq!(hosts(&mut index), [one, two.clone()]);
    Store::open(folder.path()).unwrap().erase("a", 2).unwrap();
    index.refresh().unwrap();
    assert_eq!(hosts(&mut index), [two]);
}

#[test]
fn of_each_credential_the_last_use_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let used =
        |name: &str, host: &str| NewEvent::credential(name, host, 443, &decision(Verdict::Allow));
    let first = begin(folder.path(), "a");
    first.append(used("acme", "old.example")).unwrap();
    first.append(used("other", "other.example")).unwrap();
    let second = begin(folder.path(), "b");
    second.append(used("acme", "new.example")).unwrap();
    let mut index = index(folder.path());
    let told: Vec<_> = index.credentials().unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|own| (own.name.as_str(), own.session.as_str(), own.host.as_deref()))
        .collect();
    let expected =
        [("acme", "b", Some("new.example:443")), ("other", "a", Some("other.example:443"))];
    assert_eq!(told, expected);
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
