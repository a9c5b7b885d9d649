//! What goes through: streams as they come, both ways and to their ends, and what ends them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

use chaperone_egress::{
    Answer, Connections, Entrance, Judge, Question, Ruling, Target, Traffic, Waiting,
    by_the_system, serve,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Hands every question to the test, which answers.
struct Desk(Mutex<Sender<Asked>>, Mutex<Sender<()>>);

type Asked = (Target, Question, Answer);

impl Judge for Desk {
    fn judge(&self, target: &Target, question: Question, answer: Answer) -> Option<Waiting> {
        let sent = self.0.lock().unwrap().send((target.clone(), question, answer));
        sent.unwrap();
        Some(Box::new(Gone(self.1.lock().unwrap().clone())))
    }
}

/// Tells when nobody waits any more.
struct Gone(Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send(());
    }
}

/// A judge that allows all, and counts the connections.
struct Open(Mutex<u32>);

impl Judge for Open {
    fn judge(&self, _: &Target, question: Question, answer: Answer) -> Option<Waiting> {
        *self.0.lock().unwrap() += u32::from(matches!(question, Question::Connect { .. }));
        answer(Ruling::Allow);
        None
    }
}

struct Stage {
    proxy: SocketAddr,
    relay: SocketAddr,
    server: TcpListener,
    connections: Arc<Connections>,
    made: Arc<Open>,
}

impl Stage {
    fn new() -> Self {
        let made = Arc::new(Open(Mutex::new(0)));
        let (proxy, relay, server, connections) = stage(Arc::clone(&made) as Arc<dyn Judge>);
        Self { proxy, relay, server, connections, made }
    }

    fn at(&self) -> SocketAddr {
        self.server.local_addr().unwrap()
    }

    /// A connection of a client, and the one of the server that it became, by each way there is.
    fn ways(&self) -> Vec<(&'static str, TcpStream, TcpStream)> {
        ["CONNECT", "SOCKS", "a relay"]
            .into_iter()
            .map(|way| {
                let inside = match way {
                    "CONNECT" => tunnel(self.proxy, self.at()),
                    "SOCKS" => socks(self.proxy, self.at()),
                    _ => TcpStream::connect(self.relay).unwrap(),
                };
                let (outside, _) = self.server.accept().unwrap();
                for stream in [&inside, &outside] {
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                }
                (way, inside, outside)
            })
            .collect()
    }
}

fn stage(judge: Arc<dyn Judge>) -> (SocketAddr, SocketAddr, TcpListener, Arc<Connections>) {
    let [proxy, relay, server] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [&proxy, &relay, &server].map(|listener| listener.local_addr().unwrap());
    let target = Target::parse(&addresses[2].to_string(), None).unwrap();
    let entrances = vec![(Entrance::Proxy, proxy), (Entrance::Relay(target), relay)];
    let connections = Arc::new(Connections::default());
    serve(entrances, judge, Arc::clone(&connections), Arc::new(by_the_system)).unwrap();
    (addresses[0], addresses[1], server, connections)
}

fn tunnel(proxy: SocketAddr, to: SocketAddr) -> TcpStream {
    let mut inside = TcpStream::connect(proxy).unwrap();
    write!(inside, "CONNECT {to} HTTP/1.1\r\n\r\n").unwrap();
    assert!(head(&mut inside).starts_with("HTTP/1.1 200 "));
    inside
}

fn socks(proxy: SocketAddr, to: SocketAddr) -> TcpStream {
    let mut inside = TcpStream::connect(proxy).unwrap();
    let [high, low] = to.port().to_be_bytes();
    inside.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    let mut said = [0; 12];
    inside.read_exact(&mut said).unwrap();
    assert_eq!(said[..4], [5, 0, 5, 0]);
    inside
}

/// Reads to the end of a head.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn says(stream: &mut TcpStream, expected: &str, what: &str) {
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(String::from_utf8_lossy(&said), expected, "{what}");
}

fn has_ended(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0]), Ok(1..))
}

#[test]
fn bytes_pass_as_they_come_whoever_speaks_first_and_each_end_is_passed_on() {
    let stage = Stage::new();
    for (way, mut inside, mut outside) in stage.ways() {
        outside.write_all(b"220 welcome\r\n").unwrap();
        says(&mut inside, "220 welcome\r\n", way);
        inside.write_all(b"\x01\x02").unwrap();
        says(&mut outside, "\x01\x02", way);
        inside.shutdown(Shutdown::Write).unwrap();
        assert!(has_ended(&mut outside), "{way}");
        outside.write_all(b"still").unwrap();
        says(&mut inside, "still", way);
        drop(outside);
        assert!(has_ended(&mut inside), "{way}");
    }
    for (way, mut inside, mut outside) in stage.ways() {
        inside.write_all(b"\0first").unwrap();
        says(&mut outside, "\0first", way);
        outside.shutdown(Shutdown::Write).unwrap();
        assert!(has_ended(&mut inside), "{way}");
        inside.write_all(b"still").unwrap();
        says(&mut outside, "still", way);
        drop(inside);
        assert!(has_ended(&mut outside), "{way}");
    }
}

#[test]
fn much_arrives_whole_though_the_other_side_is_slow_to_take_it() {
    let stage = Stage::new();
    let much: Vec<u8> = (0..8_000_000u32).map(|n| (n % 251) as u8).collect();
    for (way, mut inside, mut outside) in stage.ways() {
        thread::scope(|scope| {
            let (much, mut back) = (&much, outside.try_clone().unwrap());
            scope.spawn(move || back.write_all(much).unwrap());
            let mut there = inside.try_clone().unwrap();
            scope.spawn(move || {
                there.write_all(b"\0").unwrap();
                there.write_all(much).unwrap();
            });
            for (stream, expected) in
                [(&mut inside, much.clone()), (&mut outside, [&[0], &much[..]].concat())]
            {
                let mut arrived = vec![0; expected.len()];
                stream.read_exact(&mut arrived).unwrap();
                assert!(arrived == expected, "{way}");
            }
        });
    }
}

#[test]
fn an_event_stream_and_an_upload_arrive_piece_by_piece() {
    let stage = Stage::new();
    let mut inside = TcpStream::connect(stage.proxy).unwrap();
    inside.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let at = stage.at();
    write!(
        inside,
        "POST http://{at}/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    )
    .unwrap();
    let (mut outside, _) = stage.server.accept().unwrap();
    let said = head(&mut outside);
    assert!(said.starts_with("POST /events HTTP/1.1\r\n"), "{said}");
    assert!(said.to_lowercase().contains(&format!("host: {at}")), "{said}");
    says(&mut outside, "3\r\none\r\n", "the first piece, before the second is sent");
    inside.write_all(b"3\r\ntwo\r\n0\r\n\r\n").unwrap();
    says(&mut outside, "3\r\ntwo\r\n0\r\n\r\n", "the second");

    write!(
        outside,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .unwrap();
    let said = head(&mut inside);
    assert!(said.to_lowercase().contains("content-type: text/event-stream"), "{said}");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        let chunk = format!("{:X}\r\n{event}\r\n", event.len());
        outside.write_all(chunk.as_bytes()).unwrap();
        says(&mut inside, &chunk, "an event, before the next is sent");
    }
}

#[test]
fn a_web_socket_echoes_through_the_proxy_and_through_a_tunnel() {
    let stage = Stage::new();
    let at = stage.at();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    for (target, tunnelled) in [(format!("http://{at}/chat"), false), ("/chat".to_owned(), true)] {
        let mut inside = if tunnelled {
            tunnel(stage.proxy, at)
        } else {
            TcpStream::connect(stage.proxy).unwrap()
        };
        inside.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(inside, "GET {target} HTTP/1.1\r\nHost: {at}\r\n{upgrade}").unwrap();
        let (mut outside, _) = stage.server.accept().unwrap();
        let said = head(&mut outside).to_lowercase();
        assert!(said.starts_with("get /chat http/1.1\r\n"), "{said}");
        assert!(
            said.contains("upgrade: websocket") && said.contains("sec-websocket-key: x"),
            "{said}"
        );
        let accepts = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";
        // The first frame comes with the head.
        write!(outside, "{accepts}\x01first").unwrap();
        let said = head(&mut inside).to_lowercase();
        assert!(
            said.starts_with("http/1.1 101 ") && said.contains("sec-websocket-accept: y"),
            "{said}"
        );
        says(&mut inside, "\x01first", "the server's frame");
        inside.write_all(b"\x02ping").unwrap();
        says(&mut outside, "\x02ping", "the client's frame");
        drop(outside);
        assert!(has_ended(&mut inside));
    }
}

#[test]
fn requests_to_one_target_share_a_connection_and_each_target_is_judged() {
    let stage = Stage::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let answers = |listener: &TcpListener, times: usize| {
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..times {
            head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        }
    };
    let inside = TcpStream::connect(stage.proxy).unwrap();
    inside.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(&inside);
    thread::scope(|scope| {
        scope.spawn(|| answers(&stage.server, 2));
        scope.spawn(|| answers(&other, 1));
        for at in [stage.at(), stage.at(), other.local_addr().unwrap()] {
            write!(&inside, "GET http://{at}/ HTTP/1.1\r\n\r\n").unwrap();
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            let mut body = [0; 2];
            reader.read_exact(&mut body).unwrap();
            assert_eq!(&body, b"ok");
        }
    });
    assert_eq!(*stage.made.0.lock().unwrap(), 2);
}

#[test]
fn what_is_open_is_ended_where_that_is_wanted_and_the_rest_goes_on() {
    let stage = Stage::new();
    let at = stage.at();
    let mut ways = stage.ways();
    let mut inside = TcpStream::connect(stage.proxy).unwrap();
    inside.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(inside, "GET http://{at}/ HTTP/1.1\r\n\r\n").unwrap();
    let (mut outside, _) = stage.server.accept().unwrap();
    head(&mut outside);
    write!(outside, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc").unwrap();
    head(&mut inside);
    says(&mut inside, "abc", "the beginning of an answer");
    ways.push(("a request", inside, outside));

    stage.connections.end_where(|target, address, _| {
        assert_eq!((target.port, address), (at.port(), Some(at.ip())));
        false
    });
    for (way, inside, outside) in &mut ways {
        outside.write_all(b"d").unwrap();
        says(inside, "d", way);
    }
    stage.connections.end_where(|target, _, _| target.port == at.port());
    for (way, inside, outside) in &mut ways {
        assert!(has_ended(inside), "towards the agent: {way}");
        assert!(has_ended(outside), "towards the host: {way}");
    }
}

#[test]
fn what_goes_over_each_way_is_summed_up_by_target_while_it_is_open_and_after() {
    let stage = Stage::new();
    let at = stage.at();
    let traffic = |stage: &Stage| {
        let [(target, traffic)] = stage.connections.traffic().try_into().unwrap();
        assert_eq!(target.unwrap().to_string(), at.to_string());
        traffic
    };
    assert_eq!(stage.connections.traffic(), []);
    let mut ways = stage.ways();
    for (way, inside, outside) in &mut ways {
        inside.write_all(b"\0there").unwrap();
        says(outside, "\0there", way);
        outside.write_all(b"back again").unwrap();
        says(inside, "back again", way);
    }
    assert_eq!(traffic(&stage), Traffic { connections: 3, sent: 3 * 6, received: 3 * 10 });
    drop(ways);
    let mut inside = TcpStream::connect(stage.proxy).unwrap();
    write!(inside, "POST http://{at}/ HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde").unwrap();
    let (mut outside, _) = stage.server.accept().unwrap();
    let asked = head(&mut outside);
    says(&mut outside, "abcde", "a body");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    write!(outside, "{answer}abc").unwrap();
    head(&mut inside);
    says(&mut inside, "abc", "an answer");
    let expected = Traffic {
        connections: 4,
        sent: 3 * 6 + asked.len() as u64 + 5,
        received: 3 * 10 + answer.len() as u64 + 3,
    };
    assert_eq!(traffic(&stage), expected);
    drop((inside, outside));
    assert_eq!(traffic(&stage), expected, "and nothing is forgotten");
}

fn desk() -> (Arc<Desk>, Receiver<Asked>, Receiver<()>) {
    let ((ask, asked), (go, gone)) = (channel(), channel());
    (Arc::new(Desk(Mutex::new(ask), Mutex::new(go))), asked, gone)
}

#[test]
fn nothing_is_dialled_before_the_answer_and_a_refusal_is_told() {
    let (judge, asked, _gone) = desk();
    let (proxy, relay, server, _) = stage(judge);
    server.set_nonblocking(true).unwrap();
    let at = server.local_addr().unwrap();
    let requests = [
        (
            proxy,
            format!("GET http://{at}/ HTTP/1.1\r\nConnection: close\r\n\r\n").into_bytes(),
            "HTTP/1.1 403 Forbidden: no.",
        ),
        (
            proxy,
            format!("CONNECT {at} HTTP/1.1\r\nConnection: close\r\n\r\n").into_bytes(),
            "HTTP/1.1 403 Forbidden: no.",
        ),
        (relay, b"x".to_vec(), ""),
    ];
    for (to, bytes, expected) in requests {
        let mut inside = TcpStream::connect(to).unwrap();
        inside.write_all(&bytes).unwrap();
        let (target, question, answer) = asked.recv().unwrap();
        let connects = matches!(question, Question::Connect { client: Some(_) });
        assert_eq!((target.to_string(), connects), (at.to_string(), true));
        answer(Ruling::Deny("denied:\n  no.\n  really".into()));
        let mut said = Vec::new();
        // A relay that is closed with something unread is reset.
        let _ = inside.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = inside.read_to_end(&mut said);
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with(expected), "{said}");
        assert!(expected.is_empty() || said.ends_with("denied:\n  no.\n  really\n"), "{said}");
    }
    assert!(server.accept().is_err(), "nothing was dialled");
}

#[test]
fn a_client_that_goes_while_it_waits_is_not_waited_for() {
    let (judge, asked, gone) = desk();
    let (proxy, _, server, _) = stage(judge);
    let at = server.local_addr().unwrap();
    let [high, low] = at.port().to_be_bytes();
    for bytes in [
        format!("GET http://{at}/ HTTP/1.1\r\n\r\n").into_bytes(),
        format!("CONNECT {at} HTTP/1.1\r\n\r\n").into_bytes(),
        vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low],
    ] {
        let mut inside = TcpStream::connect(proxy).unwrap();
        inside.write_all(&bytes).unwrap();
        let (_, _, answer) = asked.recv().unwrap();
        assert!(gone.try_recv().is_err(), "it waits");
        drop(inside);
        gone.recv_timeout(Duration::from_secs(20)).unwrap();
        answer(Ruling::Allow);
    }
}
