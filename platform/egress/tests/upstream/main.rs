//! Through another proxy: what it is asked, what is left to it, and what is said when it refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

mod login;

use chaperone_egress::{
    Answer, Connections, Entrance, Judge, Login, Opener, Question, Route, Ruling, Target, Trust,
    Waiting, serve,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Allows all but the address 192.0.2.66, and sends all through one proxy, but for `near.example`.
struct Through {
    proxy: SocketAddr,
    resolved: bool,
    trust: Option<Arc<Trust>>,
    login: Option<Arc<Login>>,
    opener: Option<Arc<Opener>>,
    asked: Mutex<Vec<String>>,
}

impl Through {
    fn at(proxy: SocketAddr) -> Self {
        let (trust, login, opener, asked) = Default::default();
        Self { proxy, resolved: false, trust, login, opener, asked }
    }
}

impl Judge for Through {
    fn judge(&self, target: &Target, question: Question, answer: Answer) -> Option<Waiting> {
        let ruling = match question {
            Question::Address { address, .. } => {
                self.asked.lock().unwrap().push(format!("{target} at {address}"));
                if address.to_string() == "192.0.2.66" {
                    Ruling::Deny("denied:\n  That address.".to_owned())
                } else {
                    Ruling::Allow
                }
            }
            Question::Connect { .. } | Question::Request(_) => Ruling::Allow,
            Question::Credential(name) => {
                self.asked.lock().unwrap().push(format!("{name} to {target}"));
                Ruling::Allow
            }
            Question::Disagreement(said)
            | Question::Unseen(said)
            | Question::Foreign(said)
            | Question::Distrusted(said) => Ruling::Deny(said),
        };
        answer(ruling);
        None
    }

    fn opener(&self, _: &Target) -> Option<Arc<Opener>> {
        self.opener.clone()
    }

    fn route(&self, target: &Target) -> Route {
        if target.host.to_string() == "near.example" {
            return Route::Direct;
        }
        let (host, port) = (self.proxy.ip().to_string(), self.proxy.port());
        let (trust, login) = (self.trust.clone(), self.login.clone());
        Route::Through { host, port, resolved: self.resolved, trust, login }
    }
}

struct Stage {
    ours: SocketAddr,
    judge: Arc<Through>,
    /// The organisation's proxy.
    theirs: TcpListener,
    /// The names that were looked up here.
    looked_up: Arc<Mutex<Vec<String>>>,
}

fn stage(resolved: bool) -> Stage {
    stage_of(|at| Through { resolved, ..Through::at(at) })
}

fn stage_of(judge: impl FnOnce(SocketAddr) -> Through) -> Stage {
    let [ours, theirs] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let at = ours.local_addr().unwrap();
    let judge = Arc::new(judge(theirs.local_addr().unwrap()));
    let looked_up = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&looked_up);
    let resolve = move |name: &str, port: u16| {
        log.lock().unwrap().push(name.to_owned());
        match name {
            "api.example" => Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]),
            "both.example" => Ok(vec![
                SocketAddr::from(([192, 0, 2, 1], port)),
                SocketAddr::from(([192, 0, 2, 66], port)),
            ]),
            "near.example" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    };
    let entrances = vec![(Entrance::Proxy, ours)];
    let connections = Arc::new(Connections::default());
    serve(entrances, Arc::clone(&judge) as _, connections, Arc::new(resolve)).unwrap();
    Stage { ours: at, judge, theirs, looked_up }
}

impl Stage {
    fn client(&self) -> TcpStream {
        patient(TcpStream::connect(self.ours).unwrap())
    }

    fn accept(&self) -> TcpStream {
        patient(self.theirs.accept().unwrap().0)
    }

    fn asked(&self) -> Vec<String> {
        self.judge.asked.lock().unwrap().clone()
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads to the end of a head.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn says(stream: &mut impl Read, expected: &str) {
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), expected);
}

#[test]
fn a_tunnel_is_asked_of_it_by_name_and_nothing_that_comes_after_its_answer_is_lost() {
    let stage = stage(false);
    for socks in [false, true] {
        let mut client = stage.client();
        if socks {
            client.write_all(b"\x05\x01\0\x05\x01\0\x03\x0bapi.example\x01\xbb").unwrap();
        } else {
            write!(client, "CONNECT api.example:443 HTTP/1.1\r\n\r\n").unwrap();
        }
        let mut theirs = stage.accept();
        assert_eq!(
            head(&mut theirs),
            "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
        );
        // In pieces, and with what the server says first.
        theirs.write_all(b"HTTP/1.1 200 Connec").unwrap();
        thread::sleep(Duration::from_millis(20));
        theirs.write_all(b"tion established\r\nVia: 1.1 acme\r\n\r\n220 welcome\r\n").unwrap();
        if socks {
            let mut said = [0; 12];
            client.read_exact(&mut said).unwrap();
            assert_eq!(said[..4], [5, 0, 5, 0]);
        } else {
            assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
        }
        says(&mut client, "220 welcome\r\n");
        client.write_all(b"QUIT\r\n").unwrap();
        says(&mut theirs, "QUIT\r\n");
    }
    assert_eq!(*stage.looked_up.lock().unwrap(), [""; 0], "its names are not resolved here");
    assert_eq!(stage.asked(), [""; 0]);
}

#[test]
fn a_plain_request_names_its_target_to_it_and_the_next_goes_over_the_same_connection() {
    let stage = stage(false);
    let mut client = stage.client();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut theirs = stage.accept();
            for expected in [
                "GET http://api.example/a?b=c HTTP/1.1\r\n",
                "GET http://api.example/?b=c HTTP/1.1\r\n",
                "OPTIONS http://api.example/ HTTP/1.1\r\n",
            ] {
                let said = head(&mut theirs);
                assert!(said.starts_with(expected), "{said}");
                assert!(said.to_lowercase().contains("\r\nhost: api.example\r\n"), "{said}");
                theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            }
        });
        for request in [
            "GET http://api.example/a?b=c",
            "GET http://api.example?b=c",
            "OPTIONS http://API.example./",
        ] {
            write!(client, "{request} HTTP/1.1\r\n\r\n").unwrap();
            assert!(head(&mut client).starts_with("HTTP/1.1 200 "), "{request}");
            says(&mut client, "ok");
        }
    });
}

#[test]
fn what_it_refuses_and_that_it_is_not_there_is_told_with_its_name() {
    let refuses = stage(false);
    let mut client = refuses.client();
    write!(client, "CONNECT api.example:443 HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut theirs = refuses.accept();
    head(&mut theirs);
    theirs.write_all(b"HTTP/1.1 403 Not by us\x1b\r\n\r\n").unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    let proxy = refuses.judge.proxy;
    assert!(said.starts_with("HTTP/1.1 502 Bad Gateway: "), "{said}");
    assert!(
        said.contains(&format!(
            "The upstream proxy {proxy} makes no tunnel to it: \"HTTP/1.1 403 Not by us?\"."
        )),
        "{said}"
    );

    let Stage { ours, theirs, judge, looked_up: _ } = stage(false);
    drop(theirs);
    let mut client = patient(TcpStream::connect(ours).unwrap());
    write!(client, "GET http://api.example/ HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    let proxy = judge.proxy;
    assert!(said.contains(&format!("The upstream proxy {proxy} could not be reached: ")), "{said}");
}

#[test]
fn addresses_are_judged_as_ever_and_those_of_names_where_that_is_wanted() {
    let plain = stage(false);
    let refused = |stage: &Stage, target: &str| {
        let mut client = stage.client();
        write!(client, "CONNECT {target} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        head(&mut client)
    };
    assert!(refused(&plain, "192.0.2.66:443").starts_with("HTTP/1.1 403 "), "an address");
    let strict = stage(true);
    assert!(refused(&strict, "both.example:443").starts_with("HTTP/1.1 403 "), "one of its two");
    let unknown = refused(&strict, "unknown.example:443");
    assert!(unknown.starts_with("HTTP/1.1 502 "), "what cannot be checked: {unknown}");
    for stage in [&plain, &strict] {
        stage.theirs.set_nonblocking(true).unwrap();
        assert!(stage.theirs.accept().is_err(), "nothing was asked of the other proxy");
        stage.theirs.set_nonblocking(false).unwrap();
    }

    let mut client = strict.client();
    write!(client, "CONNECT api.example:443 HTTP/1.1\r\n\r\n").unwrap();
    let mut theirs = strict.accept();
    assert!(head(&mut theirs).starts_with("CONNECT api.example:443 "));
    theirs.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    assert_eq!(
        strict.asked(),
        [
            "both.example:443 at 192.0.2.1",
            "both.example:443 at 192.0.2.66",
            "api.example:443 at 192.0.2.1",
        ]
    );
}

#[test]
fn what_goes_past_it_is_resolved_and_dialled_here() {
    let stage = stage(false);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let mut client = stage.client();
    write!(client, "CONNECT near.example:{port} HTTP/1.1\r\n\r\n").unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    let mut there = patient(server.accept().unwrap().0);
    there.write_all(b"here").unwrap();
    says(&mut client, "here");
    assert_eq!(stage.asked(), [format!("near.example:{port} at 127.0.0.1")]);
}
