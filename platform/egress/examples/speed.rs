//! What the proxy costs, beside socat, tinyproxy and srt's proxy where they are installed: how fast one large
//! stream passes, what a round trip and a connection take longer, and what a thousand tunnels weigh.
//! `cargo xtask bench --only proxy` runs it.
//!
//! `cargo run --release -p chaperone-egress --example speed [-- MEBIBYTES TURNS]`

use chaperone_egress::{
    Answer, Connections, Entrance, Judge, Question, Ruling, Target, Waiting, by_the_system, serve,
};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const TUNNELS: usize = 1000;
const BUSY: usize = 100;
/// What each of the busy ones carries.
const EACH: usize = 8 << 20;
const ROUND_TRIPS: usize = 2000;
const CONNECTIONS: usize = 300;

/// A way from a client to the server.
enum Way {
    Direct,
    /// A relay: whoever connects is at the server.
    Relay(SocketAddr),
    /// A proxy, which is told where to go, with fields that it wants.
    Proxy(SocketAddr, String),
}

#[allow(clippy::print_stdout, reason = "it is an example")]
fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let first = words.next();
    if first.as_deref() == Some("proxy") {
        return proxy();
    }
    let mebibytes: usize = first.map_or(Ok(1024), |word| word.parse())?;
    let turns: usize = words.next().map_or(Ok(5), |word| word.parse())?;
    let server = server()?;
    let own = std::env::current_exe()?;
    let ours = Running::new(Command::new(own).arg("proxy"))?;
    let mut ways = vec![("direct", Way::Direct), ("chaperone", Way::Proxy(ours.at, String::new()))];
    let socat = socat(server);
    ways.extend(socat.as_ref().map(|(_, at)| ("socat", Way::Relay(*at))));
    let tinyproxy = tinyproxy();
    ways.extend(tinyproxy.as_ref().map(|(_, at)| ("tinyproxy", Way::Proxy(*at, String::new()))));
    let srt = srt();
    ways.extend(srt.as_ref().map(|(_, at, login)| ("srt", Way::Proxy(*at, login.clone()))));

    let mut streams = vec![Vec::new(); ways.len()];
    let mut trips = vec![Vec::new(); ways.len()];
    let mut connections = vec![Vec::new(); ways.len()];
    for turn in 0..turns {
        for at in 0..ways.len() {
            // Each is first as often as the others.
            let at = (at + turn) % ways.len();
            let way = &ways[at].1;
            streams[at].push(stream(way, server, mebibytes << 20)?);
            trips[at].extend(round_trips(way, server)?);
            connections[at].extend(connects(way, server)?);
        }
    }
    for (at, (name, _)) in ways.iter().enumerate() {
        let rate = f64::from(u32::try_from(mebibytes)?) / median(&mut streams[at]).as_secs_f64();
        let [trip, connection] =
            [&mut trips[at], &mut connections[at]].map(|of| micros(median(of)));
        println!(
            "{{\"way\":\"{name}\",\"mib_per_s\":{rate:.1},\"trip_us\":{trip:.1},\
             \"connection_us\":{connection:.1}}}"
        );
    }
    weigh(&ours, server)
}

/// Serves as the proxy until it is ended, and says where.
#[allow(clippy::print_stdout, reason = "it is an example")]
fn proxy() -> Result<(), Failure> {
    struct Everything;
    impl Judge for Everything {
        fn judge(&self, _: &Target, _: Question, answer: Answer) -> Option<Waiting> {
            answer(Ruling::Allow);
            None
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let entrances = vec![(Entrance::Proxy, listener)];
    let connections = Arc::new(Connections::default());
    serve(entrances, Arc::new(Everything), connections, Arc::new(by_the_system))?;
    // Until whoever started it closes it or goes.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// A process that ends with this value.
struct Running {
    child: Child,
    at: SocketAddr,
}

impl Running {
    /// Starts one that says where it listens.
    fn new(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        Ok(Self { at: line.trim().parse()?, child })
    }

    /// Memory in KiB.
    fn weight(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// A process that is ended with this value.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn free() -> Option<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()
}

fn started(mut command: Command, at: SocketAddr) -> Option<(Peer, SocketAddr)> {
    let peer = Peer(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?);
    let until = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(at).is_err() {
        if Instant::now() > until {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Some((peer, at))
}

fn socat(server: SocketAddr) -> Option<(Peer, SocketAddr)> {
    let at = free()?;
    let mut command = Command::new("socat");
    let listen = format!("TCP-LISTEN:{},bind=127.0.0.1,fork,reuseaddr,nodelay", at.port());
    command.args([listen, format!("TCP:{server},nodelay")]);
    started(command, at)
}

fn tinyproxy() -> Option<(Peer, SocketAddr)> {
    let at = free()?;
    let file = std::env::temp_dir().join(format!("chaperone-speed-{}.conf", std::process::id()));
    let text = format!("Port {}\nListen 127.0.0.1\nMaxClients 100\nLogLevel Critical\n", at.port());
    std::fs::write(&file, text).ok()?;
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(&file);
    let started = started(command, at);
    // It has been read.
    let _ = std::fs::remove_file(&file);
    started
}

/// The proxy of Anthropic's sandbox runtime, and the login that it wants.
fn srt() -> Option<(Peer, SocketAddr, String)> {
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path).find_map(|at| at.join("srt").canonicalize().ok())?;
    let script = "const { SandboxManager: srt } = await import(process.argv[1]);\n\
        const filesystem = { denyRead: [], allowWrite: [], denyWrite: [] };\n\
        const network = { allowedDomains: ['localhost', '127.0.0.1'], deniedDomains: [] };\n\
        await srt.initialize({ network, filesystem });\n\
        const login = Buffer.from(`srt:${srt.getProxyAuthToken() ?? ''}`).toString('base64');\n\
        console.log(`${srt.getProxyPort()} ${login}`);\n\
        process.stdin.resume().on('end', () => process.exit());";
    let mut command = Command::new("node");
    command.args(["--input-type=module", "-e", script]).arg(program.with_file_name("index.js"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut peer = Peer(command.spawn().ok()?);
    let mut line = String::new();
    BufReader::new(peer.0.stdout.take()?).read_line(&mut line).ok()?;
    let (port, login) = line.trim().split_once(' ')?;
    let at = SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?));
    Some((peer, at, format!("Proxy-Authorization: Basic {login}\r\n")))
}

/// Sends as many bytes as the first eight say, or gives each byte back.
fn server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever goes early is not waited for.
            thread::spawn(move || answer(stream).ok());
        }
    });
    Ok(at)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted)?;
    let mut left = usize::from_be_bytes(wanted);
    let room = vec![7; 256 << 10];
    while left > 0 {
        let count = left.min(room.len());
        stream.write_all(&room[..count])?;
        left -= count;
    }
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// A connection to the server, of which so many bytes are wanted.
fn open(way: &Way, server: SocketAddr, wanted: usize) -> io::Result<TcpStream> {
    let mut stream = match way {
        Way::Direct => TcpStream::connect(server)?,
        Way::Relay(at) => TcpStream::connect(at)?,
        Way::Proxy(at, fields) => {
            let mut stream = TcpStream::connect(at)?;
            stream.write_all(
                format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{fields}\r\n").as_bytes(),
            )?;
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte)?;
                head.extend(byte);
            }
            if !head.starts_with(b"HTTP/1.1 200") && !head.starts_with(b"HTTP/1.0 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
            }
            stream
        }
    };
    stream.set_nodelay(true)?;
    stream.write_all(&wanted.to_be_bytes())?;
    Ok(stream)
}

fn take(stream: &mut TcpStream, mut count: usize) -> io::Result<()> {
    let mut room = vec![0; 256 << 10];
    while count > 0 {
        let most = count.min(room.len());
        match stream.read(&mut room[..most])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => count -= read,
        }
    }
    Ok(())
}

fn stream(way: &Way, server: SocketAddr, bytes: usize) -> io::Result<Duration> {
    let mut stream = open(way, server, bytes)?;
    let started = Instant::now();
    take(&mut stream, bytes)?;
    Ok(started.elapsed())
}

fn round_trips(way: &Way, server: SocketAddr) -> io::Result<Vec<Duration>> {
    let mut stream = open(way, server, 0)?;
    let mut trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let started = Instant::now();
        stream.write_all(&[0])?;
        stream.read_exact(&mut [0])?;
        trips.push(started.elapsed());
    }
    Ok(trips)
}

/// From nothing to the first byte.
fn connects(way: &Way, server: SocketAddr) -> io::Result<Vec<Duration>> {
    let mut taken = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let started = Instant::now();
        let mut stream = open(way, server, 1)?;
        stream.read_exact(&mut [0])?;
        taken.push(started.elapsed());
        stream.shutdown(Shutdown::Both)?;
    }
    Ok(taken)
}

fn median(of: &mut [Duration]) -> Duration {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn micros(of: Duration) -> f64 {
    of.as_secs_f64() * 1e6
}

/// What the proxy weighs with many tunnels, of which some have carried little, and then much.
#[allow(clippy::print_stdout, reason = "it is an example")]
fn weigh(ours: &Running, server: SocketAddr) -> Result<(), Failure> {
    let way = Way::Proxy(ours.at, String::new());
    let before = ours.weight()?;
    let mut tunnels = Vec::with_capacity(TUNNELS);
    for at in 0..TUNNELS {
        tunnels.push(open(&way, server, if at < BUSY { EACH } else { 0 })?);
    }
    let started = Instant::now();
    let busy = tunnels.drain(..BUSY).collect::<Vec<_>>();
    let mut weights = Vec::new();
    thread::scope(|scope| {
        let readers: Vec<_> = busy
            .into_iter()
            .map(|mut one| scope.spawn(move || take(&mut one, EACH).map(|()| one)))
            .collect();
        while !readers.iter().all(|reader| reader.is_finished()) {
            weights.extend(ours.weight());
            thread::sleep(Duration::from_millis(5));
        }
        for reader in readers {
            reader.join().map_err(|_| "a reader failed")??;
        }
        Ok::<_, Failure>(())
    })?;
    // The idle ones still answer.
    for tunnel in &mut tunnels {
        tunnel.write_all(&[1])?;
        tunnel.read_exact(&mut [0])?;
    }
    let most = weights.into_iter().max().unwrap_or_default().max(ours.weight()?);
    println!(
        "{{\"tunnels\":{TUNNELS},\"busy\":{BUSY},\"mib\":{},\"seconds\":{:.2},\
         \"kib_before\":{before},\"kib_most\":{most}}}",
        (BUSY * EACH) >> 20,
        started.elapsed().as_secs_f64(),
    );
    Ok(())
}
