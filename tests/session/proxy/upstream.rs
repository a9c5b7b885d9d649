//! An organisation's own proxy between the session's and the net.

use super::{Tier, connections, in_both_tiers};
use crate::bundle::https::{head, proof, tls};
use crate::place::{Place, text};
use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chaperone_tests::keychain::Keychain;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Answers every request itself, with what it was asked for.
pub(super) fn proxy() -> Result<u16> {
    Ok(Front::start(None, None)?.port)
}

/// A proxy that answers every request itself.
struct Front {
    port: u16,
    /// The heads of what it was asked.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// In TLS, and to whoever logs in like this, where that is wanted: others are asked for a login
    /// in these words, and hear what they said.
    fn start(
        config: Option<Arc<ServerConfig>>,
        wanted: Option<(String, &'static str)>,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let front = Self { port: listener.local_addr()?.port(), heads: Arc::default() };
        let heads = Arc::clone(&front.heads);
        // Until the test's process ends.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, wanted) = (config.clone(), wanted.clone());
                let heads = Arc::clone(&heads);
                thread::spawn(move || match config {
                    None => answer(stream, wanted, &heads),
                    Some(config) => {
                        let connection = ServerConnection::new(config)?;
                        let mut stream = StreamOwned::new(connection, stream);
                        answer(&mut stream, wanted, &heads)?;
                        stream.conn.send_close_notify();
                        Ok(stream.flush()?)
                    }
                });
            }
        });
        Ok(front)
    }

    /// What it was asked since this was asked last.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answer(
    mut stream: impl Read + Write,
    wanted: Option<(String, &str)>,
    heads: &Mutex<Vec<String>>,
) -> Result<()> {
    let mut said = head(&mut stream)?;
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(said.clone());
    let mut asked = line(&said);
    if let Some((login, challenge)) = wanted {
        if !said.contains(&format!("\r\nProxy-Authorization: {login}\r\n"))
            && !said.contains(&format!("\r\nproxy-authorization: {login}\r\n"))
        {
            let length = said.len();
            let status = "HTTP/1.1 407 Who\r\nConnection: close\r\nProxy-Authenticate:";
            write!(stream, "{status} {challenge}\r\nContent-Length: {length}\r\n\r\n{said}")?;
            return Ok(stream.flush()?);
        }
        said = said.replace("\r\n", " ");
        asked = format!("{asked} {said}");
    }
    if asked.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        stream.flush()?;
        asked = format!("{}, then {}", line(&asked), line(&head(&mut stream)?));
    }
    let length = asked.len() + 1;
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
    write!(stream, "{answer} {length}\r\n\r\n{asked}\n")?;
    Ok(stream.flush()?)
}

fn line(head: &str) -> String {
    let line = head.lines().next().unwrap_or_default();
    line.split(" HTTP/1.1").next().unwrap_or_default().to_owned()
}

#[test]
fn connections_leave_through_the_organisations_proxy_which_resolves_their_names() -> Result<()> {
    let (place, upstream) = (Place::new()?, proxy()?);
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nupstream = \"http://127.0.0.1:{upstream}\"\n\
         upstream_bypass = [\"past.example\"]\n\
         allow = [\"far.example\", \"intranet\", \"past.example\", \"relayed.example:8080\"]\n"
    ))?;
    let script = "exec 2>&1; curl -sS http://far.example/a; curl -sSp http://far.example:8080/b; \
                  curl -sS http://10.0.0.1/ | sed -n 2p; curl -sS http://intranet/ | sed -n 2p; \
                  curl -sS http://past.example/ | sed -n 1p; \
                  curl -sS http://relayed.example:8080/";
    in_both_tiers(&place, None, script, |tier: Tier, done| {
        let said = text(&done.stdout);
        let lines: Vec<&str> = said.lines().collect();
        let [request, tunnel, address, near, past, relayed] = lines[..] else {
            anyhow::bail!("{tier:?}: {said}{}", text(&done.stderr));
        };
        assert_eq!(request, "GET http://far.example/a", "{tier:?}");
        assert_eq!(tunnel, "CONNECT far.example:8080, then GET /b", "{tier:?}");
        assert!(address.contains("10.0.0.1 is a private address"), "{tier:?}: {address}");
        assert!(near.contains("only where network.upstream_bypass names it"), "{tier:?}: {near}");
        assert!(past.contains("past.example:80 could not be reached"), "{tier:?}: {past}");
        assert_eq!(relayed, "GET http://relayed.example:8080/", "{tier:?}");
        Ok(())
    })?;
    let events = connections(&place)?;
    assert!(
        events.iter().any(|it| it["action"] == "far.example:80" && it["decision"] == "allow"),
        "{events:?}"
    );
    Ok(())
}

const LOGIN: &str = "ada:open sesame";

/// A session behind a proxy that wants a login, with a keychain to keep it in.
struct Stage {
    place: Place,
    keychain: Keychain,
    front: Front,
}

impl Stage {
    /// Where the proxy speaks TLS, and asks for a login in these words.
    fn new(in_tls: bool, challenge: &'static str, more: &str) -> Result<Self> {
        let place = Place::new()?;
        let (authority, certificate, key) = proof("127.0.0.1")?;
        let config = if in_tls { Some(tls(&certificate, &key)?) } else { None };
        let basic = format!("Basic {}", BASE64_STANDARD.encode(LOGIN));
        let front = Front::start(config, Some((basic, challenge)))?;
        fs::write(place.home().join("acme.pem"), authority)?;
        let scheme = if in_tls { "https" } else { "http" };
        place.configure(&format!(
            "[network]\nmode = \"proxy\"\nallow = [\"far.example\"]\nca = [\"~/acme.pem\"]\n\
             upstream = \"{scheme}://127.0.0.1:{}\"\n{more}",
            front.port
        ))?;
        let keychain = Keychain::start(|program| place.command(program))?;
        Ok(Self { place, keychain, front })
    }

    fn keep(&self, login: &str) -> Result<()> {
        self.keychain.keep(self.place.chaperone(["secret", "set", "acme-proxy"])?, login)
    }

    /// What a command says.
    fn told<const N: usize>(&self, words: [&str; N]) -> Result<String> {
        let mut command = self.keychain.with(self.place.chaperone(words)?);
        Ok(text(&command.output()?.stdout))
    }

    fn run(&self, tier: Tier, script: &str) -> Result<Output> {
        let run = self.place.chaperone(["run", "--unattended", "--", "sh", "-c", script])?;
        let mut command = self.keychain.with(run);
        tier.leave(&mut command);
        Ok(command.output()?)
    }
}

/// By a plain request and by a tunnel, and what else a session could see of a login.
const ASK: &str = "exec 2>&1; curl -sS http://far.example/a; \
    curl -sSp http://far.example:80/b; env; cat /proc/self/environ | tr '\\0' '\\n'";

#[test]
fn a_login_at_the_proxy_comes_from_the_keychain_and_no_session_sees_it() -> Result<()> {
    let stage = Stage::new(true, "Basic realm=\"Acme\"", "upstream_login = \"acme-proxy\"\n")?;
    let tiers = [Tier::Full, Tier::Reduced];
    for tier in tiers {
        let done = stage.run(tier, ASK)?;
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert!(err.contains("\"acme-proxy\"") && err.contains("was never set"), "{tier:?}: {err}");
        assert!(out.contains("chaperone secret set acme-proxy"), "{tier:?}: {out}");
        assert_eq!(stage.front.take(), [""; 0], "{tier:?}");
    }
    stage.keep("ada:wrong password")?;
    for tier in tiers {
        let out = text(&stage.run(tier, ASK)?.stdout);
        assert!(out.contains("does not take the login \"acme-proxy\""), "{tier:?}: {out}");
        // Once a session, however often it asks: directories lock accounts.
        assert_eq!(stage.front.take().len(), 1, "{tier:?}: {out}");
        assert!(!out.contains("wrong password"), "{tier:?}: {out}");
    }
    stage.keep(LOGIN)?;
    let token = BASE64_STANDARD.encode(LOGIN);
    for tier in tiers {
        let done = stage.run(tier, ASK)?;
        let out = text(&done.stdout) + &text(&done.stderr);
        assert!(out.contains("GET http://far.example/a"), "{tier:?}: {out}");
        assert!(out.contains("CONNECT far.example:80, then GET /b"), "{tier:?}: {out}");
        // What it was sent, this proxy repeats.
        assert!(out.contains("Basic ********************"), "{tier:?}: {out}");
        for secret in [LOGIN, "open sesame", &token] {
            assert!(!out.contains(secret), "{tier:?}: {out}");
        }
        let heads = stage.front.take();
        assert!(heads.len() == 2 && heads.iter().all(|own| own.contains(&token)), "{heads:?}");
    }
    let events = stage.place.events(["--kind", "credential"])?;
    let login = |event: &&Value| {
        event["detail"]["name"] == "acme-proxy" && event["rule"] == "network.upstream_login"
    };
    // One for each session that had it, also where it was wrong.
    assert_eq!(events.iter().filter(login).count(), 4, "{events:?}");
    let history = stage.place.chaperone(["history", "list", "--json"])?.output()?;
    let history = text(&history.stdout);
    assert!(!history.contains("sesame") && !history.contains(&token));
    Ok(())
}

#[test]
fn what_a_proxy_wants_that_is_not_to_be_had_is_said_with_what_to_do() -> Result<()> {
    let never = Stage::new(false, "Basic realm=\"Acme\"", "")?;
    let foreign = Stage::new(false, "NTLM", "upstream_login = \"acme-proxy\"\n")?;
    foreign.keep(LOGIN.to_uppercase().as_str())?;
    for tier in [Tier::Full, Tier::Reduced] {
        let out = text(&never.run(tier, ASK)?.stdout);
        assert!(out.contains("network.upstream_login = \"NAME\" names it"), "{tier:?}: {out}");
        assert!(out.contains("CONNECT tunnel failed, response 502"), "{tier:?}: {out}");
        let out = text(&foreign.run(tier, ASK)?.stdout);
        assert!(out.contains("by NTLM, which Chaperone does not speak"), "{tier:?}: {out}");
        assert!(!out.contains("OPEN SESAME"), "{tier:?}: {out}");
    }
    Ok(())
}

#[test]
fn where_the_login_goes_and_that_nobody_has_set_it_is_told_before_a_session_starts() -> Result<()> {
    let stage = Stage::new(true, "Basic", "upstream_login = \"acme-proxy\"\n")?;
    let proxy = format!("https://127.0.0.1:{}", stage.front.port);
    let check = || -> Result<Value> {
        let doctor: Value = serde_json::from_str(&stage.told(["doctor", "--json"])?)?;
        let checks = doctor["checks"].as_array().context("checks")?;
        Ok(checks.iter().find(|own| own["id"] == "credentials").context("a check")?.clone())
    };
    let missing = check()?;
    let named = |own: &str| missing[own].as_str().unwrap_or_default().to_owned();
    assert!(named("detail").contains(&format!("acme-proxy (the login at {proxy}, ")), "{missing}");
    assert!(named("fix").contains("chaperone secret set acme-proxy"), "{missing}");
    let list = stage.told(["secret", "list"])?;
    assert!(list.contains("missing") && list.contains(&proxy), "{list}");
    stage.keep(LOGIN)?;
    assert_eq!(check()?["status"], "ok");
    let list: Value = serde_json::from_str(&stage.told(["secret", "list", "--json"])?)?;
    assert_eq!(list[0]["name"], "acme-proxy", "{list}");
    assert_eq!(list[0]["bindings"][0]["host"], proxy, "{list}");
    Ok(())
}

#[test]
fn a_proxy_that_does_not_prove_itself_is_told_nothing() -> Result<()> {
    let stage = Stage::new(true, "Basic", "upstream_login = \"acme-proxy\"\n")?;
    stage.keep(LOGIN)?;
    let (other, ..) = proof("127.0.0.1")?;
    fs::write(stage.place.home().join("acme.pem"), other)?;
    for tier in [Tier::Full, Tier::Reduced] {
        let out = text(&stage.run(tier, ASK)?.stdout);
        assert!(out.contains("No TLS with the upstream proxy 127.0.0.1:"), "{tier:?}: {out}");
        assert_eq!(stage.front.take(), [""; 0], "{tier:?}");
    }
    Ok(())
}
