//! A proxy under a real policy, two servers behind it, and names that lead where they like.

use chaperone_egress::hello::{Hello, hello};
use chaperone_egress::{
    Answer, Asked, Connections, Entrance, Host, Judge, Opener, Question, Ruling, Target, Waiting,
    serve,
};
use chaperone_policy::{
    Action, Context, Facts, HttpRequest, Layer, Os, Policy, SourceKind, Verdict, built_in, decide,
    decide_address, decide_http, merge, sees_requests,
};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the allowed server says.
pub(crate) const REACHED: &str = "reached the server";

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// What a world's policy says of requests.
pub(crate) const RULES: &str = "[[network.rule]]\nhost = \"ruled.example\"\n\
    paths = [\"/admin\"]\ndecision = \"deny\"\n\
    [[network.rule]]\nhost = \"ruled.example\"\nmethods = [\"DELETE\"]\ndecision = \"deny\"\n\
    [[network.rule]]\nhost = \"open.example\"\ndecision = \"deny\"\n\
    [[network.rule]]\nhost = \"open.example\"\npaths = [\"/open\"]\nmethods = [\"GET\"]\n\
    decision = \"allow\"\n";
/// What that of a world says in which requests only read.
pub(crate) const READING: &str = "[network]\nread_only = true\n";

pub(crate) struct World {
    pub(crate) proxy: SocketAddr,
    /// The port of the server that the policy allows.
    pub(crate) allowed: u16,
    /// The port of one that it does not.
    pub(crate) denied: u16,
    escapes: Log,
}

impl World {
    pub(crate) fn new(requests: &str) -> Self {
        let escapes = Log::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let allowed = listener.local_addr().unwrap().port();
        let log = Arc::clone(&escapes);
        thread::spawn(move || allowed_server(listener, log));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let denied = listener.local_addr().unwrap().port();
        let log = Arc::clone(&escapes);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut said = [0; 200];
                let count = stream.read(&mut said).unwrap_or_default();
                let said = said[..count].escape_ascii();
                log.lock().unwrap().push(format!("the denied server heard {said}"));
            }
        });

        let proxy = proxy(allowed, requests, None);
        Self { proxy, allowed, denied, escapes }
    }

    /// What arrived where it should not have.
    pub(crate) fn escapes(&self) -> Vec<String> {
        self.escapes.lock().unwrap().clone()
    }
}

/// A proxy under this policy, which opens TLS where it has the means.
pub(crate) fn proxy(allowed: u16, requests: &str, opener: Option<Arc<Opener>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let judge = Arc::new(Rules(policy(allowed, requests), opener));
    let looked = AtomicUsize::new(0);
    let resolve = move |name: &str, port: u16| {
        let first = || looked.fetch_add(1, Ordering::SeqCst) == 0;
        let addresses = addresses(name, first)?;
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    };
    let entrances = vec![(Entrance::Proxy, listener)];
    serve(entrances, judge, Arc::new(Connections::default()), Arc::new(resolve)).unwrap();
    proxy
}

fn policy(allowed: u16, requests: &str) -> Policy {
    let text = format!(
        "[network]\nmode = \"proxy\"\nallow = [\"allowed.example\", \"*.wild.example\", \
         \"ruled.example\", \"open.example\", \"*.lead.example\", \"127.0.0.1:{allowed}\"]\ndeny = [\"denied.example\", \
         \"denied.wild.example\", \"203.0.113.0/24\"]\n"
    );
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let layer = Layer::from_toml(SourceKind::ManagedFile, "/etc/policy.toml", &text);
    let requests = Layer::from_toml(SourceKind::ManagedFile, "/etc/requests.toml", requests);
    merge(vec![built_in(), layer, requests], &context)
}

/// Where names lead: all to this machine, but those that say what they lead to.
fn addresses(name: &str, first: impl Fn() -> bool) -> io::Result<Vec<IpAddr>> {
    let texts: &[&str] = match name.strip_suffix(".lead.example") {
        None => &["127.0.0.1"],
        Some("private") => &["10.0.0.1"],
        Some("metadata") => &["169.254.169.254"],
        Some("v6") => &["::1"],
        Some("mapped") => &["::ffff:10.0.0.1"],
        Some("translated") => &["64:ff9b::a00:1"],
        Some("6to4") => &["2002:a00:1::"],
        Some("unique-local") => &["fd00::1"],
        Some("link-local") => &["fe80::1"],
        Some("zero") => &["0.0.0.0"],
        Some("zero-v6") => &["::"],
        Some("shared") => &["100.100.100.200"],
        Some("multicast") => &["224.0.0.1"],
        Some("broadcast") => &["255.255.255.255"],
        Some("denied-range") => &["203.0.113.7"],
        Some("other-loopback") => &["127.0.0.2"],
        // Each look-up gives another answer.
        Some("rebinds") if first() => &["127.0.0.1"],
        Some("rebinds") => &["169.254.169.254"],
        Some("both") => &["10.0.0.1", "127.0.0.1"],
        Some(_) => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
}

/// The policy, and nobody who could be asked.
struct Rules(Policy, Option<Arc<Opener>>);

impl Judge for Rules {
    fn judge(&self, target: &Target, question: Question, answer: Answer) -> Option<Waiting> {
        let Self(policy, _) = self;
        let denied = match question {
            Question::Connect { .. } => {
                let action = Action::Connect { host: target.host.to_string(), port: target.port };
                let decision = decide(policy, &Facts::at(jiff::Timestamp::now()), &action);
                (decision.verdict != Verdict::Allow).then_some(decision.reason)
            }
            Question::Address { address, own } => {
                decide_address(policy, address, target.port, own).map(|decision| decision.reason)
            }
            Question::Request(Asked { method, path, upgrade, overridden }) => {
                let (host, port) = (target.host.to_string(), target.port);
                let request = HttpRequest { host, port, method, path, upgrade, overridden };
                let decision = decide_http(policy, &Facts::at(jiff::Timestamp::now()), &request);
                (decision.verdict != Verdict::Allow).then_some(decision.reason)
            }
            Question::Disagreement(said)
            | Question::Unseen(said)
            | Question::Credential(said)
            | Question::Foreign(said)
            | Question::Distrusted(said) => Some(said),
        };
        answer(match denied {
            None => Ruling::Allow,
            Some(reason) => Ruling::Deny(format!("chaperone: denied: {target}\n  {reason}")),
        });
        None
    }

    fn opener(&self, target: &Target) -> Option<Arc<Opener>> {
        self.1.clone().filter(|_| self.sees_requests(target))
    }

    fn sees_requests(&self, target: &Target) -> bool {
        sees_requests(&self.0, &target.host.to_string(), target.port)
    }
}

/// Answers every request of a connection, and tells of those that are for others.
fn allowed_server(listener: TcpListener, log: Log) {
    for stream in listener.incoming().flatten() {
        let log = Arc::clone(&log);
        thread::spawn(move || {
            // A client that has gone needs no answer.
            let _ = answer(stream, &log);
        });
    }
}

fn answer(mut stream: TcpStream, log: &Log) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    if reader.fill_buf()?.first() == Some(&22) {
        let mut bytes = Vec::new();
        loop {
            match hello(&bytes) {
                Hello::Unfinished => {}
                Hello::Tls(name) => {
                    check(name.as_deref(), log, "TLS");
                    return writeln!(stream, "{REACHED}");
                }
                other => {
                    log.lock().unwrap().push(format!("{other:?}"));
                    return Ok(());
                }
            }
            let more = reader.fill_buf()?;
            if more.is_empty() {
                return Ok(());
            }
            let count = more.len();
            bytes.extend_from_slice(more);
            reader.consume(count);
        }
    }
    loop {
        let (mut host, mut length, mut chunked) = (None, 0, false);
        let mut start = String::new();
        if reader.read_line(&mut start)? == 0 {
            return Ok(());
        }
        if start.starts_with("PRI ") {
            log.lock().unwrap().push("HTTP/2 without TLS".into());
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "host" if host.is_some() => log.lock().unwrap().push("two hosts".into()),
                "host" => host = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => chunked = true,
                _ => {}
            }
        }
        check(host.as_deref(), log, start.trim_end());
        check_request(host.as_deref().unwrap_or_default(), log, start.trim_end());
        while chunked {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap_or(0);
            io::copy(&mut (&mut reader).take(size as u64 + 2), &mut io::sink())?;
            chunked = size > 0;
        }
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        let length = REACHED.len();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{REACHED}")?;
    }
}

/// What the server is asked for must not be what the rules deny, however generously it is read:
/// unescaped over and over, without parameters, and with every segment resolved.
pub(crate) fn check_request(host: &str, log: &Log, start: &str) {
    let mut words = start.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut path = target.split('?').next().unwrap_or_default().to_lowercase();
    loop {
        let bytes = percent_decode(&path);
        let decoded = String::from_utf8_lossy(&bytes).into_owned();
        if decoded == path {
            break;
        }
        path = decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment.split([';', '\0']).next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let denied = match host.split(':').next().unwrap_or_default() {
        "ruled.example" => segments.first() == Some(&"admin") || method == "DELETE",
        "open.example" => segments.first() != Some(&"open") || method != "GET",
        _ => false,
    };
    if denied {
        log.lock().unwrap().push(format!("{host} was asked: {start}"));
    }
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match value.filter(|_| *first == b'%') {
            Some(value) => {
                out.push(value);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// What the server is asked as must be one of the names by which the policy lets it be reached.
pub(crate) fn check(host: Option<&str>, log: &Log, what: &str) {
    let named = host.map(|host| Target::parse(host, Some(80)).map(|target| target.host));
    let honest = match named {
        None => what == "TLS",
        Some(Ok(Host::Name(name))) => {
            matches!(name.as_str(), "allowed.example" | "ruled.example" | "open.example")
                || (name.ends_with(".wild.example") && name != "denied.wild.example")
                || name.ends_with(".lead.example")
        }
        Some(Ok(Host::Address(address))) => address == IpAddr::from([127, 0, 0, 1]),
        Some(Err(_)) => false,
    };
    if !honest {
        log.lock().unwrap().push(format!("the allowed server was asked as {host:?}: {what}"));
    }
}
