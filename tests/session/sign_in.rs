//! An agent that is signed in from inside a session: its page opens in the person's browser, and
//! what the browser is sent back with reaches the agent, in both tiers. Nothing else is opened.

use crate::bundle::https::head;
use crate::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::{eventually, without_namespaces};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

const PAGE: &str = "https://auth.openai.com/oauth/authorize";

/// An agent by the name of one that is known. It waits on the loopback for a browser, as RFC 8252
/// has it, and asks for its page, or for the one that a file names; so does it find its port.
const AGENT: &str = r#"#!/usr/bin/python3
import socket, subprocess, sys, os
port, other = open("port").read(), os.path.exists("page")
server = socket.create_server(("127.0.0.1", int(port)))
page = open("page").read() if other else (
    "https://auth.openai.com/oauth/authorize?state=s&redirect_uri=http%3A%2F%2Flocalhost%3A"
    + port + "%2Fauth%2Fcallback")
opened = subprocess.run([os.environ["BROWSER"], page], capture_output=True, text=True)
print("opened", opened.returncode, opened.stdout + opened.stderr, flush=True)
if other:
    sys.exit()
browser, _ = server.accept()
asked = browser.makefile().readline().strip()
browser.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nsigned in")
print("asked", asked, flush=True)
"#;

/// What opens pages outside: it writes down what it is given, and a browser answers.
const OPENER: &str = r#"#!/bin/sh
echo "$1" >> "$HOME/opened"
case $1 in
*redirect_uri=*)
    port=${1##*localhost%3A}
    curl -sS "http://localhost:${port%%\%*}/auth/callback?code=once" > "$HOME/answered" 2>&1 ;;
esac
"#;

struct SignIn {
    place: Place,
    port: u16,
}

impl SignIn {
    fn new() -> Result<Self> {
        let place = Place::new()?;
        fs::create_dir(place.home().join("bin"))?;
        for (name, script) in [("codex", AGENT), ("xdg-open", OPENER)] {
            let path = place.home().join("bin").join(name);
            fs::write(&path, script)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        Ok(Self { place, port })
    }

    /// A session of the agent on a machine with a display.
    fn session(&self, page: Option<&str>, reduced: bool) -> Result<Command> {
        fs::write(self.place.work().join("port"), self.port.to_string())?;
        if let Some(page) = page {
            fs::write(self.place.work().join("page"), page)?;
        }
        let mut command = self.place.chaperone(["run", "--", "codex"])?;
        command.env("DISPLAY", ":0");
        let path = std::env::var("PATH")?;
        command.env("PATH", format!("{}/bin:{path}", self.place.home().display()));
        if reduced {
            without_namespaces(&mut command);
        }
        Ok(command)
    }

    fn run(&self, page: Option<&str>, reduced: bool) -> Result<Output> {
        Ok(self.session(page, reduced)?.output()?)
    }

    /// What was opened outside, a line each.
    fn opened(&self) -> String {
        fs::read_to_string(self.place.home().join("opened")).unwrap_or_default()
    }

    fn dial(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
    }
}

#[test]
fn the_page_opens_outside_and_its_answer_reaches_the_agent() -> Result<()> {
    for reduced in [false, true] {
        let sign_in = SignIn::new()?;
        let done = sign_in.run(None, reduced)?;
        let said = text(&done.stdout);
        assert!(said.starts_with("opened 0 \n"), "{said}{}", text(&done.stderr));
        assert!(said.ends_with("asked GET /auth/callback?code=once HTTP/1.1\n"), "{said}");
        let answered = sign_in.place.home().join("answered");
        let answer = eventually("the browser's page", || {
            fs::read_to_string(&answered).ok().filter(|answer| !answer.is_empty())
        })?;
        assert_eq!(answer, "signed in");
        let back = format!("http%3A%2F%2Flocalhost%3A{}%2Fauth%2Fcallback", sign_in.port);
        let address = format!("{PAGE}?state=s&redirect_uri={back}");
        assert_eq!(sign_in.opened(), format!("{address}\n"));
        let events = sign_in.place.events(["--kind", "command"])?;
        let opened = events.iter().find(|event| event["rule"] == "sign_in.pages");
        let opened = opened.context("an event about the page")?;
        assert_eq!(opened["decision"], "allow", "{opened}");
        assert!(opened["action"].as_str().is_some_and(|action| action.contains(&address)));
        assert!(sign_in.dial().is_err(), "nothing listens once the session has ended");
    }
    Ok(())
}

#[test]
fn no_other_page_opens_and_what_carries_it_out_is_not_told_to_the_browser() -> Result<()> {
    let sign_in = SignIn::new()?;
    let other = format!("{PAGE}/../../collect?secret=1");
    for page in ["https://paste.example/?secret=1", &other] {
        let done = sign_in.run(Some(page), false)?;
        let said = text(&done.stdout);
        assert!(said.starts_with("opened 126 chaperone: denied: xdg-open "), "{said}");
        assert!(said.contains("No page but the sign-in page of Codex"), "{said}");
        assert!(said.contains("sign_in.pages (agent-file codex)"), "{said}");
    }
    assert_eq!(sign_in.opened(), "");
    let denied = sign_in.place.events(["--kind", "command"])?;
    let denied = denied.iter().filter(|event| event["rule"] == "sign_in.pages");
    assert_eq!(denied.filter(|event| event["decision"] == "deny").count(), 2);

    // A rule of the user's about pages holds as well.
    let rule = "[[commands.rule]]\nprefix = [\"xdg-open\"]\ndecision = \"deny\"\n\
                reason = \"Sign in at the desk.\"\n";
    sign_in.place.configure(rule)?;
    let done = sign_in.run(Some(PAGE), false)?;
    assert!(text(&done.stdout).contains("Sign in at the desk."), "{}", text(&done.stdout));
    assert_eq!(sign_in.opened(), "");
    sign_in.place.configure("")?;
    sign_in.run(Some(PAGE), false)?;
    eventually("the page", || (!sign_in.opened().is_empty()).then_some(()))?;
    assert_eq!(sign_in.opened(), format!("{PAGE}\n"));
    Ok(())
}

/// A session that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_display_the_person_opens_the_page_and_only_a_browser_gets_through() -> Result<()> {
    let sign_in = SignIn::new()?;
    let mut session = sign_in.session(None, false)?;
    session.env_remove("DISPLAY").stdout(Stdio::piped());
    let mut session = Running(session.spawn()?);
    let mut browser = eventually("the port", || sign_in.dial().ok())?;
    // Not what a redirect is.
    browser.write_all(b"POST /auth/callback HTTP/1.1\r\n\r\n")?;
    let mut answer = String::new();
    assert_eq!(browser.read_to_string(&mut answer).unwrap_or_default(), 0);
    let mut browser = sign_in.dial()?;
    browser.write_all(b"GET /auth/callback?code=once HTTP/1.1\r\n\r\n")?;
    assert!(head(&mut browser)?.starts_with("HTTP/1.1 200 OK"));
    let mut said = String::new();
    let stdout = session.0.stdout.as_mut().context("standard output")?;
    stdout.read_to_string(&mut said)?;
    assert!(said.contains("no browser could be opened here"), "{said}");
    assert!(said.contains("asked GET /auth/callback?code=once"), "{said}");
    assert_eq!(sign_in.opened(), "");
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_named() -> Result<()> {
    let sign_in = SignIn::new()?;
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, sign_in.port))?;
    let back = format!("{PAGE}?redirect_uri=http://localhost:{}/", sign_in.port);
    let done = sign_in.run(Some(&back), false)?;
    let said = text(&done.stdout);
    assert!(said.contains(&format!("comes to port {}", sign_in.port)), "{said}");
    assert_eq!(sign_in.opened(), "");
    Ok(())
}
