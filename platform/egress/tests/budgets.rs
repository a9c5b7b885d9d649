//! Budgets of what is sent, held over all connections that share one, in tunnels and in requests.

#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_egress::{
    Answer, Budget, Connections, Entrance, Judge, Question, Ruling, Target, Usage, Waiting,
    by_the_system, serve,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const BUDGET: u64 = 1024 * 1024;
const REFUSAL: &str = "chaperone: denied: a connection\n  The upload budget is spent.";

/// Allows everything, as far as the budget goes.
struct Desk {
    usage: Arc<Usage>,
    is_enforced: bool,
    exceeded: Arc<AtomicU64>,
}

impl Judge for Desk {
    fn judge(&self, _: &Target, _: Question, answer: Answer) -> Option<Waiting> {
        answer(Ruling::Allow);
        None
    }

    fn budgets(&self, _: &Target) -> Vec<Arc<Budget>> {
        let (exceeded, is_enforced) = (Arc::clone(&self.exceeded), self.is_enforced);
        let exceeded = move || {
            exceeded.fetch_add(1, Ordering::SeqCst);
            is_enforced
        };
        let usage = Arc::clone(&self.usage);
        vec![Arc::new(Budget::new(usage, BUDGET, REFUSAL.to_owned(), Box::new(exceeded)))]
    }
}

struct Stage {
    proxy: SocketAddr,
    server: SocketAddr,
    received: Arc<AtomicU64>,
    /// How many connections began, and how many are over.
    open: [Arc<AtomicU64>; 2],
    desk: Arc<Desk>,
}

/// A server that counts what it gets: it answers requests, and hears everything else to its end.
fn stage(is_enforced: bool) -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&received);
    let open: [Arc<AtomicU64>; 2] = Default::default();
    let [begun, over] = open.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (counted, over) = (Arc::clone(&counted), Arc::clone(&over));
            begun.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                // What ends in the middle was ended by the budget.
                let _ = hear(stream, &counted);
                over.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    let usage = Arc::new(Usage::new(None));
    let desk = Arc::new(Desk { usage, is_enforced, exceeded: Arc::default() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let (judge, connections) = (Arc::clone(&desk) as Arc<dyn Judge>, Arc::default());
    let connections: Arc<Connections> = connections;
    serve(vec![(Entrance::Proxy, listener)], judge, connections, Arc::new(by_the_system)).unwrap();
    Stage { proxy, server, received, open, desk }
}

fn hear(stream: TcpStream, received: &AtomicU64) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let count = |bytes: usize| received.fetch_add(bytes as u64, Ordering::SeqCst);
    if !reader.fill_buf()?.starts_with(b"PUT ") {
        let mut buffer = [0; 8192];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(()),
                bytes => count(bytes),
            };
        }
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        count(reader.read_line(&mut line)?);
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut buffer = vec![0; 8192];
    while length > 0 {
        let most = buffer.len().min(length);
        let bytes = reader.read(&mut buffer[..most])?;
        count(bytes);
        length -= bytes;
        if bytes == 0 {
            return Ok(());
        }
    }
    // Far more than may be sent comes back.
    let body = vec![b'x'; 4 * BUDGET as usize];
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    writer.write_all(&body)
}

impl Stage {
    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends through a tunnel until it ends, or this much was sent.
    fn tunnel(&self, bytes: u64) {
        let mut stream = self.open();
        write!(stream, "CONNECT {} HTTP/1.1\r\n\r\n", self.server).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let piece = [0x10; 8192];
        let mut sent = 0;
        while sent < bytes && stream.write_all(&piece).is_ok() {
            sent += piece.len() as u64;
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Until it ends on the other side, too.
        let _ = stream.read_to_end(&mut Vec::new());
    }

    /// The answer to a request with a body of this length.
    fn put(&self, bytes: usize) -> String {
        let mut stream = self.open();
        let head = format!("PUT http://{}/ HTTP/1.1\r\nConnection: close\r\n", self.server);
        write!(stream, "{head}Content-Length: {bytes}\r\n\r\n").unwrap();
        // The proxy may have answered before the end of it.
        let _ = stream.write_all(&vec![b'y'; bytes]);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// What arrived, once nothing more does.
    fn received(&self) -> u64 {
        let [begun, over] = &self.open;
        while begun.load(Ordering::SeqCst) > over.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        self.received.load(Ordering::SeqCst)
    }
}

#[test]
fn what_stays_within_the_budget_passes_and_what_comes_back_does_not_count() {
    let stage = stage(true);
    for _ in 0..2 {
        let answer = stage.put(BUDGET as usize / 4);
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.len() as u64 > 4 * BUDGET);
    }
    stage.tunnel(BUDGET / 4);
    assert_eq!(stage.desk.exceeded.load(Ordering::SeqCst), 0);
    assert!(stage.received() > 3 * BUDGET / 4 && stage.received() == stage.desk.usage.sent());
}

#[test]
fn a_tunnel_ends_where_the_budget_does() {
    let stage = stage(true);
    stage.tunnel(8 * BUDGET);
    assert!(stage.received() <= BUDGET, "{}", stage.received());
    assert!(stage.received() > BUDGET / 2, "{}", stage.received());
    assert_eq!(stage.desk.exceeded.load(Ordering::SeqCst), 1);
    // Not a byte more, over whatever connection.
    let before = stage.received();
    stage.tunnel(10);
    assert!(stage.put(1).starts_with("HTTP/1.1 403 Forbidden"));
    assert_eq!(stage.received(), before);
}

#[test]
fn parallel_connections_share_it() {
    let stage = stage(true);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| stage.tunnel(BUDGET));
        }
    });
    assert!(stage.received() <= BUDGET, "{}", stage.received());
    assert!(stage.received() > BUDGET / 4, "{}", stage.received());
}

#[test]
fn a_request_that_is_larger_hears_why() {
    let stage = stage(true);
    let answer = stage.put(4 * BUDGET as usize);
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden"), "{answer:.300}");
    assert!(answer.contains("The upload budget is spent."), "{answer:.300}");
    assert!(stage.received() <= BUDGET, "{}", stage.received());
}

#[test]
fn where_it_is_only_observed_everything_passes() {
    let stage = stage(false);
    stage.tunnel(2 * BUDGET);
    assert_eq!(stage.received(), 2 * BUDGET);
    assert!(stage.desk.exceeded.load(Ordering::SeqCst) > 0);
}
