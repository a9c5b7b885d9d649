//! One command is one card, however many hosts it needs; and how far its answer reaches.

use super::Server;
use crate::place::{Place, text};
use crate::{Attendant, attended};
use anyhow::{Context, Result, ensure};
use chaperone_tests::{eventually, with_names};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A session with a line of shell in it, started when somebody attends.
fn asked(place: &Place, hosts: &str, script: &str) -> Result<(Attendant, Child)> {
    let names = place.home().join("hosts");
    fs::write(&names, format!("127.0.0.1 localhost {hosts}\n"))?;
    let _ = fs::remove_file(place.work().join("attended"));
    let attendant = Attendant::start(place)?;
    let script = format!("until [ -e attended ]; do sleep 0.02; done; {script}");
    let mut run = place.chaperone(["run", "--", "bash", "-c", &script])?;
    with_names(&mut run, &names);
    let session = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    attended(place)?;
    Ok((attendant, session))
}

fn answer(place: &Place, request: &Value, words: &[&str]) -> Result<()> {
    let id = request["id"].as_str().context("an id")?;
    let done = place.chaperone(["approvals", "answer", id])?.args(words).output()?;
    ensure!(done.status.success(), "{}", text(&done.stderr));
    Ok(())
}

fn names(request: &Value) -> Vec<&str> {
    let hosts = request["hosts"].as_array().map(Vec::as_slice).unwrap_or_default();
    hosts.iter().filter_map(|host| host["name"].as_str()).collect()
}

/// The next look at a request that is about so many hosts.
fn grown(attendant: &mut Attendant, hosts: usize) -> Result<Value> {
    loop {
        let request = attendant.request()?;
        if names(&request).len() == hosts {
            return Ok(request);
        }
    }
}

#[test]
fn the_hosts_of_one_command_are_one_card_and_each_gets_the_answer_that_it_is_given() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let port = server.port;
    place.configure(&format!("[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\"]\n"))?;
    let script = format!(
        "sh -c 'for name in a b c; do curl -sS http://$name.example:{port}/ >$name & done; wait'; \
         curl -sS http://a.example:{port}/ >again"
    );
    let (mut attendant, session) = asked(&place, "a.example b.example c.example", &script)?;
    let request = grown(&mut attendant, 3)?;
    let sentence = request["sentence"].as_str().context("a sentence")?;
    assert!(sentence.starts_with("sh -c ") && sentence.ends_with("… connects to 3 hosts."));
    assert_eq!(request["scopes"], json!(["once", "command", "session", "workspace"]));
    let id = request["id"].as_str().context("an id")?;
    let unnamed = place.chaperone(["approvals", "answer", id, "allow"])?.output()?;
    assert_eq!(unnamed.status.code(), Some(1));
    assert!(text(&unnamed.stderr).contains("3 hosts"), "{}", text(&unnamed.stderr));
    assert_eq!(server.asked(), 0, "nothing before the answer");

    let [a, b, c] = ["a", "b", "c"].map(|name| format!("{name}.example:{port}"));
    answer(&place, &request, &["allow", "--host", &a])?;
    answer(&place, &request, &["deny", "--host", &b])?;
    answer(&place, &request, &["allow", "--host", &c])?;
    // An answer that is for once leaves nothing behind.
    let second = loop {
        let next = attendant.request()?;
        if next["id"] != request["id"] {
            break next;
        }
    };
    assert_eq!(names(&second), [a.as_str()]);
    answer(&place, &second, &["deny"])?;
    let done = session.wait_with_output()?;
    let read = |name: &str| fs::read_to_string(place.work().join(name));
    assert_eq!(read("a")?, "hello\n", "{}", text(&done.stderr));
    assert_eq!(read("c")?, "hello\n");
    assert!(read("b")?.starts_with("chaperone: denied: "), "{}", read("b")?);
    assert!(read("again")?.starts_with("chaperone: denied: "), "{}", read("again")?);
    assert_eq!(server.asked(), 2);

    // The history has each host with its own answer.
    let answers = place.events(["--kind", "answer"])?;
    let told: BTreeSet<(&str, &str)> = answers
        .iter()
        .filter_map(|event| Some((event["action"].as_str()?, event["decision"].as_str()?)))
        .collect();
    let expected = [(a.as_str(), "allow"), (a.as_str(), "deny"), (&b, "deny"), (&c, "allow")];
    assert_eq!(told, BTreeSet::from(expected));
    Ok(())
}

#[test]
fn an_answer_until_the_command_exits_is_for_it_alone_and_ends_with_it() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let port = server.port;
    place.configure(&format!("[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\"]\n"))?;
    let url = format!("http://a.example:{port}/");
    let script = format!(
        "sh -c 'curl -sS {url}; curl -sS {url}; until [ -e listed ]; do sleep 0.02; done; true'; \
         curl -sS {url}"
    );
    let (mut attendant, session) = asked(&place, "a.example", &script)?;
    let request = attendant.request()?;
    assert!(
        request["asker"].as_str().is_some_and(|asker| asker.starts_with("sh -c ")),
        "{request}"
    );
    answer(&place, &request, &["allow", "--scope", "command"])?;
    eventually("both to be answered", || (server.asked() == 2).then_some(()))?;
    let grants = || -> Result<String> {
        Ok(text(&place.chaperone(["approvals", "grants"])?.output()?.stdout))
    };
    let listed = grants()?;
    assert!(listed.contains(&format!("Connect to a.example:{port} without asking")), "{listed}");
    assert!(listed.contains("until `sh -c "), "{listed}");
    fs::write(place.work().join("listed"), "")?;

    let second = loop {
        let next = attendant.request()?;
        if next["id"] != request["id"] {
            break next;
        }
    };
    assert_eq!(names(&second), [format!("a.example:{port}")]);
    eventually("the grant to end", || grants().ok().filter(|all| all.starts_with("Nothing")))?;
    answer(&place, &second, &["deny"])?;
    let done = session.wait_with_output()?;
    let said = text(&done.stdout);
    assert!(said.starts_with("hello\nhello\nchaperone: denied: "), "{said}{}", text(&done.stderr));
    Ok(())
}

#[test]
fn an_answer_for_the_workspace_holds_in_the_next_session_until_it_is_taken_back() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let port = server.port;
    place.configure(&format!("[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\"]\n"))?;
    let script = format!("curl -sS http://a.example:{port}/");
    let (mut attendant, session) = asked(&place, "a.example", &script)?;
    let request = attendant.request()?;
    answer(&place, &request, &["allow", "--scope", "workspace"])?;
    let done = session.wait_with_output()?;
    assert_eq!(text(&done.stdout), "hello\n", "{}", text(&done.stderr));

    let unattended = || -> Result<String> {
        let mut run = place.chaperone(["run", "--unattended", "--", "bash", "-c", &script])?;
        with_names(&mut run, &place.home().join("hosts"));
        Ok(text(&run.output()?.stdout))
    };
    assert_eq!(unattended()?, "hello\n");
    let asked = format!("a.example:{port}");
    let would = place.chaperone(["policy", "test", "--json", "--connect", &asked])?.output()?;
    let would: Value = serde_json::from_slice(&would.stdout)?;
    assert_eq!(would["decision"], "allow", "{would}");
    assert!(would["reason"].as_str().is_some_and(|it| it.contains("in this workspace")), "{would}");

    let grants = place.chaperone(["approvals", "grants", "--json"])?.output()?;
    let grant: Value = serde_json::from_slice(&grants.stdout)?;
    assert_eq!((&grant["scope"], &grant["uses"]), (&json!("workspace"), &json!(1)), "{grant}");
    let id = grant["id"].as_str().context("an id")?;
    let revoked = place.chaperone(["approvals", "revoke", id])?.output()?;
    assert!(revoked.status.success(), "{}", text(&revoked.stderr));
    assert!(
        unattended()?.starts_with("chaperone: denied: "),
        "it is asked again, and nobody is there"
    );
    let again = place.chaperone(["approvals", "revoke", id])?.output()?;
    assert_eq!(again.status.code(), Some(1));
    Ok(())
}

/// How many packages `npm install` brings, each from a host of its own.
const PACKAGES: usize = 40;

/// A registry whose packages lie on other hosts.
fn registry(tarball: Vec<u8>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let tarball = Arc::new(tarball);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let tarball = Arc::clone(&tarball);
            std::thread::spawn(move || -> Result<()> {
                let head = crate::bundle::https::head(&mut stream)?;
                let path = head.split(' ').nth(1).context("a path")?.to_owned();
                let (kind, body) = match path.strip_suffix(".tgz") {
                    Some(_) => ("application/octet-stream", tarball.to_vec()),
                    None => {
                        let name = path.rsplit('/').next().unwrap_or_default();
                        let number = name.trim_start_matches('p');
                        let host = match number {
                            "7" => "x7.duckdns.org".to_owned(),
                            number => format!("h{number}.example"),
                        };
                        let dist = json!({"tarball": format!("http://{host}:{port}/{name}.tgz")});
                        let version = json!({"name": name, "version": "1.0.0", "dist": dist});
                        let all = json!({"name": name, "dist-tags": {"latest": "1.0.0"},
                            "versions": {"1.0.0": version}});
                        ("application/json", serde_json::to_vec(&all)?)
                    }
                };
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n",
                    body.len()
                )?;
                Ok(stream.write_all(&body)?)
            });
        }
    });
    Ok(port)
}

#[test]
fn an_install_of_forty_hosts_costs_two_cards() -> Result<()> {
    let place = Place::new()?;
    let packed = place.home().join("packed");
    fs::create_dir_all(packed.join("package"))?;
    fs::write(packed.join("package/package.json"), r#"{"name": "p", "version": "1.0.0"}"#)?;
    let tar = Command::new("tar").args(["-C"]).arg(&packed).args(["-cz", "package"]).output()?;
    ensure!(tar.status.success(), "{}", text(&tar.stderr));
    let port = registry(tar.stdout)?;
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\", \"registry.example:{port}\"]\n"
    ))?;
    let wanted: serde_json::Map<String, Value> =
        (0..PACKAGES).map(|number| (format!("p{number}"), json!("1.0.0"))).collect();
    let package = json!({"name": "own", "version": "1.0.0", "dependencies": wanted});
    fs::write(place.work().join("package.json"), package.to_string())?;
    let names_of: Vec<String> = (0..PACKAGES).map(|number| format!("h{number}.example")).collect();
    let hosts = format!("registry.example x7.duckdns.org {}", names_of.join(" "));
    let script = format!(
        "export PATH=/usr/local/bin:/usr/bin:/bin npm_config_update_notifier=false; \
         npm install --no-audit --no-fund --registry http://registry.example:{port}/ 2>&1; \
         echo status $?"
    );
    let (mut attendant, session) = asked(&place, &hosts, &script)?;

    let first = attendant.request()?;
    let own = |request: &Value| request["id"].as_str().map(str::to_owned);
    let chosen = names(&first).into_iter().flat_map(|name| ["--host", name]);
    let words: Vec<&str> =
        ["allow", "--scope", "command", "--further"].into_iter().chain(chosen).collect();
    answer(&place, &first, &words)?;
    // Only the host that something speaks against is asked about, and not chosen by itself. What is
    // listed is how it stands; who follows may read of a card that is over.
    let doubtful = format!("x7.duckdns.org:{port}");
    let waits = |request: &Value| names(request).contains(&doubtful.as_str());
    let second = eventually("the doubtful host to be asked about and allowed", || {
        // Where it was among the first, it has been answered with them.
        if waits(&first) {
            return Some(first.clone());
        }
        let list = place.chaperone(["approvals", "list", "--json"]).ok()?.output().ok()?;
        let all = text(&list.stdout);
        let mut all = all.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let request = all.find(|request| waits(request))?;
        answer(&place, &request, &["allow", "--host", &doubtful]).ok().map(|()| request)
    })?;
    let hosts = second["hosts"].as_array().context("hosts")?;
    let host = hosts.iter().find(|host| host["name"] == doubtful).context("the doubtful one")?;
    assert_eq!(host["chosen"], false, "{host}");
    let known = host["known"].as_str().context("what is known")?;
    assert!(known.contains("a service of dynamic names"), "{known}");
    let done = session.wait_with_output()?;
    let said = text(&done.stdout);
    assert!(said.ends_with("status 0\n"), "{said}{}", text(&done.stderr));
    for number in 0..PACKAGES {
        let file = format!("node_modules/p{number}/package.json");
        assert!(place.work().join(&file).is_file(), "{file}: {said}");
    }
    // Forty hosts were asked about, on two cards at most.
    let hosts = place.events(["--kind", "request"])?;
    let hosts: BTreeSet<&str> = hosts.iter().filter_map(|event| event["action"].as_str()).collect();
    assert!(hosts.len() > 1 && hosts.contains(doubtful.as_str()), "{hosts:?}");
    attendant.child.kill()?;
    let mut cards = BTreeSet::from([own(&first), own(&second)]);
    while let Ok(request) = attendant.request() {
        cards.insert(own(&request));
    }
    assert!(cards.len() <= 2, "{cards:?}");
    Ok(())
}
