//! The session's proxy through real sessions: who gets through it, who is asked and what is said, in
//! both tiers.

mod budgets;
mod cards;
mod java;
mod logins;
mod names;
mod organisations;
mod requests;
mod ssh;
mod tools;
mod upstream;

use crate::bundle::https::head;
use crate::place::{Place, text};
use crate::{Attendant, attended};
use anyhow::{Context, Result};
use chaperone_tests::{eventually, with_names, without_namespaces};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An HTTP server of the machine that greets, and how often it was asked.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // The other end may have gone, before or after it has asked.
                let _ = head(&mut stream).map(|_| {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
                });
            }
        });
        Ok(Self { port, asked })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Full,
    Reduced,
}

impl Tier {
    /// Leaves a command no more than this.
    fn leave(self, command: &mut Command) {
        if self == Self::Reduced {
            without_namespaces(command);
        }
    }
}

/// A line of shell in the full tier and in the reduced one; `hosts` says where names lead.
fn in_both_tiers(
    place: &Place,
    hosts: Option<&Path>,
    script: &str,
    mut check: impl FnMut(Tier, Output) -> Result<()>,
) -> Result<()> {
    for tier in [Tier::Full, Tier::Reduced] {
        let mut command = place.chaperone(["run", "--unattended", "--", "sh", "-c", script])?;
        if let Some(hosts) = hosts {
            with_names(&mut command, hosts);
        }
        tier.leave(&mut command);
        check(tier, command.output()?)?;
    }
    Ok(())
}

fn connections(place: &Place) -> Result<Vec<serde_json::Value>> {
    let history = place.chaperone(["history", "list", "--json", "--kind", "connect"])?.output()?;
    Ok(text(&history.stdout).lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[test]
fn a_host_that_the_policy_names_is_reached_by_every_way_in_and_no_other_is() -> Result<()> {
    let place = Place::new()?;
    let (named, other) = (Server::new()?, Server::new()?);
    let outside = place
        .command("curl")
        .args(["-sS", &format!("http://127.0.0.1:{}/", other.port)])
        .output()?;
    assert_eq!(text(&outside.stdout), "hello\n", "{}", text(&outside.stderr));
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{}\"]\n",
        named.port
    ))?;
    for (way, refused) in [
        // What is on loopback is reached without the proxy, where there is nothing else to reach.
        ("curl -sS", ""),
        ("curl -sS --noproxy ''", "127.0.0.1 is a loopback address"),
        ("curl -sS --noproxy '' --proxytunnel", "CONNECT tunnel failed, response 403"),
        ("curl -sS --noproxy '' -x socks5h://${http_proxy#http://}", "(2)"),
        ("curl -sS --noproxy '' -x socks5://${http_proxy#http://}", "(2)"),
    ] {
        let script = format!(
            "exec 2>&1; {way} http://127.0.0.1:{}/; echo $?; {way} http://127.0.0.1:{}/; echo $?",
            named.port, other.port
        );
        in_both_tiers(&place, None, &script, |tier, done| {
            let said = text(&done.stdout);
            let rest = said.strip_prefix("hello\n0\n");
            let rest = rest.with_context(|| format!("{tier:?}, {way}: {said}"))?;
            assert!(rest.contains(refused) && !rest.contains("hello"), "{tier:?}, {way}: {said}");
            Ok(())
        })?;
    }
    assert_eq!(other.asked(), 1, "only from outside");
    let events = connections(&place)?;
    for event in &events {
        assert_eq!(event["detail"]["asked_by"][0], "curl", "by every way, in each tier: {event}");
    }
    let refused = events.iter().find(|event| event["decision"] == "deny").context("a refusal")?;
    assert_eq!(refused["action"], format!("127.0.0.1:{}", other.port));
    let hosts = place.chaperone(["history", "hosts", "--session", "last", "--json"])?.output()?;
    let hosts: Vec<serde_json::Value> = serde_json::from_slice(&hosts.stdout)?;
    let refused = format!("127.0.0.1:{}", other.port);
    let refused = hosts.iter().find(|host| host["host"] == refused).context("a host")?;
    assert_eq!((&refused["allowed"], &refused["sent"]), (&0.into(), &serde_json::Value::Null));
    assert_ne!(refused["refused"], 0);
    let reached = format!("127.0.0.1:{}", named.port);
    let reached = hosts.iter().find(|host| host["host"] == reached).context("a host")?;
    assert_eq!((&reached["allowed"], &reached["refused"]), (&1.into(), &0.into()));
    assert_eq!(reached["connections"], 1);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    assert_eq!(reached["received"], answer.len());
    assert!(reached["sent"].as_u64().is_some_and(|bytes| bytes > 20), "{reached}");
    // The last way of the list was the last to connect.
    let asks = |host: &serde_json::Value, port: u16| {
        let last = "curl -sS --noproxy '' -x socks5://127.0.0.1:";
        let commands = host["commands"].as_array().map_or(&[][..], Vec::as_slice);
        let [command] = commands else { return false };
        let command = command.as_str().unwrap_or_default();
        command.starts_with(last) && command.ends_with(&format!(" http://127.0.0.1:{port}/"))
    };
    assert!(asks(reached, named.port), "{reached}");
    assert!(asks(refused, other.port), "{refused}");
    let allowed =
        events.iter().find(|event| event["decision"] == "allow").context("a connection")?;
    assert_eq!(allowed["action"], format!("127.0.0.1:{}", named.port));
    assert_eq!(allowed["rule"], format!("network.allow 127.0.0.1:{}", named.port));
    Ok(())
}

#[test]
fn after_three_identical_refusals_of_a_host_the_agent_is_told_to_stop() -> Result<()> {
    let place = Place::new()?;
    place.configure("[network]\nmode = \"proxy\"\ndeny = [\"*.acme.example\"]\n")?;
    let get = |host: &str| {
        let request = format!("GET http://{host}/ HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n");
        format!(
            "exec 3<>/dev/tcp/127.63.0.1/3128; printf '{request}' >&3; cat <&3; echo; echo END;"
        )
    };
    let script = ["a", "a", "a", "b"].map(|name| get(&format!("{name}.acme.example"))).concat();
    let done = place.chaperone(["run", "--unattended", "--", "bash", "-c", &script])?.output()?;
    let said = text(&done.stdout);
    let stop = |text: &str| text.contains("refused 3 times in this session");
    let answers: Vec<bool> = said.split("END\n").take(4).map(stop).collect();
    assert_eq!(answers, [false, false, true, false], "{said}{}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_refusal_says_in_words_who_decided_and_why_and_the_policy_says_the_same_when_asked()
-> Result<()> {
    let place = Place::new()?;
    place.configure(
        "[network]\nmode = \"proxy\"\nallow = [\"*.acme.example\", \"*.example:81\"]\n\
         deny = [\"paste.acme.example\"]\n",
    )?;
    for (url, host, verdict, reason) in [
        ("http://paste.acme.example/", "paste.acme.example:80", "deny", "is never reached"),
        ("http://PASTE.acme.example./", "PASTE.acme.example.:80", "deny", "is never reached"),
        ("http://new.example/", "new.example:80", "ask", "is not among the hosts"),
        ("http://0x7f.1:22/", "0x7f.1:22", "deny", "127.0.0.1 is a loopback address"),
        ("http://[::ffff:10.0.0.1]/", "[::ffff:10.0.0.1]:80", "deny", "10.0.0.1 is a private"),
        ("http://2852039166/", "2852039166:80", "deny", "169.254.169.254 is a link-local"),
    ] {
        // By bytes: curl has its own mind about spellings.
        let request = format!("GET {url} HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n");
        let script = format!("exec 3<>/dev/tcp/127.63.0.1/3128; printf '{request}' >&3; cat <&3");
        let done =
            place.chaperone(["run", "--unattended", "--", "bash", "-c", &script])?.output()?;
        let said = text(&done.stdout);
        assert!(said.starts_with("HTTP/1.1 403 Forbidden: "), "{url}: {said}");
        assert!(said.contains("chaperone: denied: a connection to"), "{url}: {said}");
        assert!(said.contains(reason), "{url}: {said}");
        let would = place.chaperone(["policy", "test", "--json", "--connect", host])?.output()?;
        let would: serde_json::Value = serde_json::from_slice(&would.stdout)?;
        assert_eq!(would["decision"], verdict, "{host}");
        assert!(would["reason"].as_str().is_some_and(|it| it.contains(reason)), "{would}");
    }
    Ok(())
}

#[test]
fn a_connection_waits_for_its_answer_and_goes_on_with_it() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{}\"]\n",
        server.port
    ))?;
    let hosts = place.home().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost new.example\n10.0.0.1 inner.example\n")?;
    let mut attendant = Attendant::start(&place)?;
    let url = format!("http://new.example:{}/", server.port);
    let script = format!(
        "until [ -e attended ]; do :; done; curl -sS {url}; curl -sS {url}; \
         curl -sS http://denied.example/"
    );
    let mut run = place.chaperone(["run", "--", "bash", "-c", &script])?;
    with_names(&mut run, &hosts);
    let session = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    attended(&place)?;
    let request = attendant.request()?;
    assert_eq!(request["display"], format!("new.example:{}", server.port));
    assert_eq!(request["session_scope"][0], format!("tcp://new.example:{}", server.port));
    assert_eq!(request["chain"], serde_json::json!(["bash", "curl"]));
    let asks = format!("`curl -sS {url}` asks for it.");
    assert_eq!(request["facts"]["new_compared"]["text"], asks);
    assert_eq!(server.asked(), 0, "nothing before the answer");
    let id = request["id"].as_str().context("an id")?;
    let words = ["approvals", "answer", id, "allow", "--scope", "session"];
    let answer = place.chaperone(words)?.output()?;
    assert!(answer.status.success(), "{}", text(&answer.stderr));

    let request = attendant.request()?;
    assert_eq!(request["display"], "denied.example:80", "the second was covered by the first");
    let id = request["id"].as_str().context("an id")?;
    place.chaperone(["approvals", "answer", id, "deny", "--note", "use ours"])?.output()?;
    let done = session.wait_with_output()?;
    let said = text(&done.stdout);
    assert!(said.starts_with("hello\nhello\nchaperone: denied: "), "{said}{}", text(&done.stderr));
    assert!(said.contains(": use ours\n"), "{said}");
    Ok(())
}

/// What is said of unfamiliar hosts holds in the session, and where somebody asks what would be; what
/// people answered before is told with it.
#[test]
fn an_unfamiliar_host_passes_is_refused_or_asked_about_and_the_reasons_are_told() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let hosts = place.home().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost new.example x.duckdns.org\n")?;
    let port = server.port;
    let configure = |unfamiliar: &str| {
        place.configure(&format!(
            "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\"]\n\
             unfamiliar = \"{unfamiliar}\"\n"
        ))
    };
    let never = "Nobody has allowed it here before, and no list names it.";
    for (unfamiliar, host, status, verdict, words) in [
        ("allow", "new.example", "200", "allow", ""),
        ("deny", "new.example", "403", "deny", ""),
        ("ask", "x.duckdns.org", "403", "ask", " It belongs to a service of dynamic names"),
    ] {
        configure(unfamiliar)?;
        let script = format!("curl -s -o /dev/null -w '%{{http_code}}' http://{host}:{port}/");
        let mut run = place.chaperone(["run", "--unattended", "--", "bash", "-c", &script])?;
        with_names(&mut run, &hosts);
        assert_eq!(text(&run.output()?.stdout), status, "{unfamiliar} {host}");
        let events = connections(&place)?;
        let event = events.iter().find(|event| event["action"] == format!("{host}:{port}"));
        let event = event.with_context(|| format!("an event about {host}"))?;
        let reason = event["reason"].as_str().context("a reason")?;
        assert!(reason.contains(&format!("{never}{words}")), "{event}");
        assert_eq!(event["rule"], "network.unfamiliar", "{event}");
        let asked = format!("{host}:{port}");
        let words_of = ["policy", "test", "--json", "--connect", &asked];
        let would = place.chaperone(words_of)?.output()?;
        let would: serde_json::Value = serde_json::from_slice(&would.stdout)?;
        assert_eq!(would["decision"], verdict, "{would}");
        assert!(would["reason"].as_str().is_some_and(|it| it.contains(words)), "{would}");
    }

    configure("ask")?;
    let mut attendant = Attendant::start(&place)?;
    let script = format!("until [ -e attended ]; do :; done; curl -sS http://new.example:{port}/");
    let mut run = place.chaperone(["run", "--", "bash", "-c", &script])?;
    with_names(&mut run, &hosts);
    let session = run.stdout(Stdio::piped()).spawn()?;
    attended(&place)?;
    let request = attendant.request()?;
    assert!(request["reason"].as_str().is_some_and(|it| it.contains(never)), "{request}");
    let id = request["id"].as_str().context("an id")?;
    place.chaperone(["approvals", "answer", id, "allow"])?.output()?;
    assert_eq!(text(&session.wait_with_output()?.stdout), "hello\n");
    let asked = format!("new.example:{port}");
    let would = place.chaperone(["policy", "test", "--connect", &asked])?.output()?;
    let said = text(&would.stdout);
    assert!(said.contains("It was allowed in one earlier session, last on 2"), "{said}");
    assert!(said.contains("All of that was within the last day."), "{said}");
    Ok(())
}

#[test]
fn a_request_for_a_connection_that_waits_no_longer_is_withdrawn() -> Result<()> {
    let place = Place::new()?;
    place.configure("[network]\nmode = \"proxy\"\n")?;
    for way in ["-x $http_proxy", "-p -x $http_proxy", "-x socks5h://${http_proxy#http://}"] {
        let mut attendant = Attendant::start(&place)?;
        let script = format!(
            "until [ -e attended ]; do :; done; rm attended; curl -s {way} http://new.example/ & \
             until [ -e seen ]; do :; done; rm seen; kill $!; wait; until [ -e end ]; do :; done; \
             rm end"
        );
        let session = place.chaperone(["run", "--", "bash", "-c", &script])?.spawn()?;
        attended(&place)?;
        attendant.request()?;
        fs::write(place.work().join("seen"), "")?;
        let ended = attendant.ended()?;
        assert_eq!(ended["state"], "withdrawn", "{way}");
        fs::write(place.work().join("end"), "")?;
        let mut session = session;
        eventually("its end", || session.try_wait().ok().flatten())?;
    }
    Ok(())
}
