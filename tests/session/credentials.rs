//! Credentials that go into requests: through a real keychain, session and client, to a server of the
//! machine that proves who it is.

use crate::bundle::https::{head, proof, tls};
use crate::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::keychain::Keychain;
use chaperone_tests::{eventually, without_namespaces};
use rustls::{ServerConnection, StreamOwned};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const REAL: &str = "sk-ant-real-7Q2xVbN0eTnLrW";

/// A server on this machine that answers with the head that it was sent.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) authority: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Known by this name.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let (authority, own, key) = proof(name)?;
        let (config, listener) = (tls(&own, &key)?, TcpListener::bind("127.0.0.1:0")?);
        let port = listener.local_addr()?.port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        // Until the test's process ends.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                thread::spawn(move || -> Result<()> {
                    let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
                    let head = head(&mut stream)?;
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
                    let length = head.len();
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Echo: {REAL}\r\n\
                         Content-Length: {length}\r\n\r\n{head}"
                    )?;
                    stream.conn.send_close_notify();
                    Ok(stream.flush()?)
                });
            }
        });
        Ok(Self { port, authority, heads })
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was sent since this was asked last.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Stage {
    place: Place,
    keychain: Keychain,
    server: Server,
}

impl Stage {
    fn new() -> Result<Self> {
        let place = Place::new()?;
        let keychain = Keychain::start(|program| place.command(program))?;
        let server = Server::start("localhost")?;
        fs::write(place.home().join("acme.pem"), &server.authority)?;
        let stage = Self { place, keychain, server };
        stage.configure("")?;
        Ok(stage)
    }

    fn configure(&self, more: &str) -> Result<()> {
        let port = self.server.port;
        self.bare(&format!(
            "[[credentials.inject]]\nsecret = \"acme\"\nhost = \"localhost:{port}\"\n\
             header = \"authorization\"\ntemplate = \"Bearer {{}}\"\nenv = \"ANTHROPIC_API_KEY\"\n\
             {more}"
        ))
    }

    /// A policy that binds no credential.
    fn bare(&self, more: &str) -> Result<()> {
        let port = self.server.port;
        self.place.configure(&format!(
            "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\", \"localhost:{port}\"]\n\
             ca = [\"~/acme.pem\"]\n{more}"
        ))
    }

    fn keep(&self) -> Result<()> {
        self.keychain.keep(self.place.chaperone(["secret", "set", "acme"])?, REAL)
    }

    fn run(&self, script: &str, reduced: bool) -> Result<Output> {
        Ok(self.session(script, reduced)?.output()?)
    }

    fn session(&self, script: &str, reduced: bool) -> Result<Command> {
        let run = self.place.chaperone(["run", "--unattended", "--", "sh", "-c", script])?;
        let mut command = self.keychain.with(run);
        if reduced {
            without_namespaces(&mut command);
        }
        Ok(command)
    }

    fn curl(&self, rest: &str) -> String {
        format!(
            "curl -sS -i --noproxy '' {rest} https://localhost:{}/v1/messages",
            self.server.port
        )
    }
}

#[test]
fn the_host_sees_the_key_and_the_session_does_not_in_both_tiers() -> Result<()> {
    let stage = Stage::new()?;
    stage.keep()?;
    for reduced in [false, true] {
        let script = format!(
            "{}; echo; echo held $ANTHROPIC_API_KEY",
            stage.curl("-H \"Authorization: Bearer $ANTHROPIC_API_KEY\"")
        );
        let done = stage.run(&script, reduced)?;
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert!(out.contains("HTTP/1.1 200 OK"), "{out}{err}");
        assert!(!out.contains(REAL) && !err.contains(REAL), "{out}{err}");
        assert!(out.contains("Authorization: Bearer ****"), "{out}");
        let held = out.rsplit("held ").next().unwrap_or_default().trim();
        assert!(held.starts_with("sk-ant-api03-"), "{held}");
        let seen = stage.server.heads().pop().context("a request")?;
        assert!(seen.contains(&format!("Authorization: Bearer {REAL}\r\n")), "{seen}");
        assert!(!seen.contains(held), "{seen}");
    }
    let events = stage.place.events(["--kind", "credential"])?;
    let used = |event: &&Value| {
        event["detail"]["name"] == "acme"
            && event["rule"].as_str().is_some_and(|own| own.contains("inject acme"))
    };
    assert_eq!(events.iter().filter(used).count(), 2, "{events:?}");
    assert!(events.iter().all(|event| !event.to_string().contains(REAL)));
    let list = stage.place.chaperone(["secret", "list", "--json"])?.output()?;
    let list: Value = serde_json::from_slice(&list.stdout)?;
    assert!(list[0]["used"].is_string(), "{list}");
    Ok(())
}

#[test]
fn another_credential_does_not_go_where_one_is_bound() -> Result<()> {
    let stage = Stage::new()?;
    stage.keep()?;
    let others = [
        stage.curl("-H 'Authorization: Bearer sk-ant-mine'"),
        stage.curl("-H \"X-Api-Key: $ANTHROPIC_API_KEY\""),
        stage.curl("-u mine:too"),
        stage.curl("-b session=mine"),
    ];
    let done = stage.run(&others.join("; "), false)?;
    let out = text(&done.stdout);
    assert_eq!(out.matches("HTTP/1.1 403 Forbidden").count(), 4, "{out}{}", text(&done.stderr));
    assert!(out.contains("takes no other"), "{out}");
    assert_eq!(stage.server.heads(), [] as [&str; 0]);
    // Without the binding the same goes there.
    let port = stage.server.port;
    stage.place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\", \"localhost:{port}\"]\nca = [\"~/acme.pem\"]\n"
    ))?;
    let done = stage.run(&others[0], false)?;
    assert!(text(&done.stdout).contains("200 OK"), "{}", text(&done.stderr));
    assert!(stage.server.heads()[0].contains("sk-ant-mine"));
    Ok(())
}

#[test]
fn what_was_never_set_is_named_at_the_start_and_where_it_is_missed() -> Result<()> {
    let stage = Stage::new()?;
    let done = stage.run(&stage.curl("-H \"Authorization: Bearer $ANTHROPIC_API_KEY\""), false)?;
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert!(err.contains("the credential \"acme\" was never set"), "{err}");
    assert!(out.contains("HTTP/1.1 403 Forbidden") && out.contains("secret set acme"), "{out}");
    assert_eq!(stage.server.heads(), [] as [&str; 0]);
    Ok(())
}

#[test]
fn a_program_that_trusts_other_certificates_alone_is_told_of_in_the_history() -> Result<()> {
    let stage = Stage::new()?;
    stage.keep()?;
    fs::copy(stage.place.home().join("acme.pem"), stage.place.work().join("pinned.pem"))?;
    // What the program has to say of the certificate may come after it has gone, and the session stays
    // until it has come, or for some seconds.
    let script = format!(
        "{}; for _ in $(seq 500); do [ -e told ] && break; sleep 0.02; done",
        stage.curl("--cacert pinned.pem")
    );
    let mut session = stage.session(&script, false)?;
    let session = session.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let is_told = |event: &Value| {
        event["decision"] == "deny"
            && event["reason"].as_str().is_some_and(|own| own.contains("SSL_CERT_FILE"))
    };
    let told = eventually("an event that tells of it", || {
        let events = stage.place.events(["--kind", "connect"]).ok()?;
        events.iter().any(is_told).then_some(())
    });
    fs::write(stage.place.work().join("told"), "")?;
    let done = session.wait_with_output()?;
    assert!(text(&done.stderr).contains("certificate"), "{}", text(&done.stderr));
    told
}

#[test]
fn requests_are_judged_inside_tls_which_is_opened_to_their_host() -> Result<()> {
    let stage = Stage::new()?;
    let host = format!("localhost:{}", stage.server.port);
    let rule = format!(
        "[[network.rule]]\nhost = \"{host}\"\nmethods = [\"POST\"]\ndecision = \"deny\"\n\
         reason = \"Nothing is published.\"\n"
    );
    let script = format!(
        "exec 2>&1; {}; {}",
        stage.curl("-H 'X-Sent: read'"),
        stage.curl("-H 'X-Sent: written' -d x")
    );
    let sent = |head: &String| head.contains("X-Sent: written\r\n");
    for reduced in [false, true] {
        // Without the rule both arrive.
        stage.bare("")?;
        stage.run(&script, reduced)?;
        assert_eq!(stage.server.take().iter().map(sent).collect::<Vec<_>>(), [false, true]);
        stage.bare(&rule)?;
        let done = stage.run(&script, reduced)?;
        let said = text(&done.stdout);
        assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
        assert!(said.contains("Nothing is published."), "{said}");
        assert_eq!(stage.server.take().iter().map(sent).collect::<Vec<_>>(), [false], "{said}");
    }
    // With a credential as well, whoever may read does so with the key.
    stage.configure(&rule)?;
    stage.keep()?;
    let bearer = "-H \"Authorization: Bearer $ANTHROPIC_API_KEY\"";
    let script =
        format!("exec 2>&1; {}; {}", stage.curl(bearer), stage.curl(&format!("{bearer} -d x")));
    let said = text(&stage.run(&script, false)?.stdout);
    assert!(said.contains("Nothing is published."), "{said}");
    let heads = stage.server.take();
    assert!(heads.len() == 1 && heads[0].contains(REAL), "{heads:?}");
    Ok(())
}
