//! The tools that agents use, through the proxy, as it is named to them by their environment alone:
//! a server of the machine stands for a host of the net.

use super::logins::logins;
use super::{Tier, in_both_tiers};
use crate::bundle::https::{head, proof, tls};
use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use chaperone_tests::eventually;
use rustls::{ServerConnection, StreamOwned};
use sha2::Digest;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;

pub(super) const HOST: &str = "tools.example";

/// What the server has to give.
struct Shelf {
    /// Where the session works: it leaves signs there.
    work: PathBuf,
    /// The folder of the repository.
    repositories: PathBuf,
    wheel: Vec<u8>,
    /// A crate.
    packed: Vec<u8>,
}

/// Serves over TLS where a client begins with it, and plainly else. It also says who signed for it,
/// and leaves what it shows for other servers of the host in `folder`.
fn serve(shelf: Shelf, folder: &Path) -> Result<(u16, String)> {
    let (authority, certificate, key) = proof(HOST)?;
    fs::write(folder.join("certificate.pem"), certificate.pem())?;
    fs::write(folder.join("key.pem"), key.serialize_pem())?;
    let config = tls(&certificate, &key)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let shelf = Arc::new(shelf);
    // Until the test's process ends.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, shelf) = (Arc::clone(&config), Arc::clone(&shelf));
            thread::spawn(move || -> Result<()> {
                let mut first = [0];
                stream.peek(&mut first)?;
                if first == [22] {
                    let mut tls = StreamOwned::new(ServerConnection::new(config)?, stream);
                    answer(&mut tls, &shelf)?;
                    tls.conn.send_close_notify();
                    tls.flush()?;
                    Ok(())
                } else {
                    answer(&mut { stream }, &shelf)
                }
            });
        }
    });
    Ok((port, authority))
}

/// One request, and the end of the connection.
fn answer(stream: &mut (impl Read + Write), shelf: &Shelf) -> Result<()> {
    let head = head(stream)?;
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let mut start = head.split(' ');
    let method = start.next().context("a method")?;
    let (path, query) =
        start.next().map(|it| it.split_once('?').unwrap_or((it, ""))).context("a path")?;
    let mut give = |kind: &str, body: &[u8]| -> Result<()> {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n"
        )?;
        Ok(stream.write_all(body)?)
    };
    // What is beneath this is for who may see it.
    let path = match path.strip_prefix("/private") {
        Some(path) if logins().contains(&field("authorization")) => path,
        Some(_) => {
            write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"private\"\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            return Ok(());
        }
        None => path,
    };
    match path {
        "/hello" => give("text/plain", b"hello\n"),
        "/left-pad" => {
            let version = r#"{"name":"left-pad","version":"1.3.0","dist":{"tarball":"http://x/"}}"#;
            let text = format!(
                r#"{{"name":"left-pad","dist-tags":{{"latest":"1.3.0"}},"versions":{{"1.3.0":{version}}}}}"#
            );
            give("application/json", text.as_bytes())
        }
        "/simple/thing/" => give(
            "text/html",
            b"<a href=\"/thing-1.0-py3-none-any.whl\">thing-1.0-py3-none-any.whl</a>",
        ),
        "/thing-1.0-py3-none-any.whl" => give("application/zip", &shelf.wheel),
        "/index/config.json" => give(
            "application/json",
            format!(r#"{{"dl":"https://{}/dl"}}"#, field("host")).as_bytes(),
        ),
        "/index/th/in/thing" => {
            let sum = hex::encode(sha2::Sha256::digest(&shelf.packed));
            let line = format!(
                r#"{{"name":"thing","vers":"1.0.0","deps":[],"features":{{}},"cksum":"{sum}","yanked":false}}"#
            );
            give("text/plain", line.as_bytes())
        }
        "/dl/thing/1.0.0/download" => give("application/gzip", &shelf.packed),
        "/chat" => {
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
            )?;
            stream.flush()?;
            let mut frame = [0; 4];
            while stream.read_exact(&mut frame).is_ok() {
                stream.write_all(&frame)?;
                stream.flush()?;
            }
            Ok(())
        }
        "/events" => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            )?;
            for event in ["1", "2"] {
                write!(stream, "data: {event}\n\n")?;
                stream.flush()?;
                // The next is not sent before this one has arrived.
                let sign = shelf.work.join(format!("seen-{event}"));
                eventually("the event to arrive", || sign.exists().then_some(()))?;
                fs::remove_file(sign)?;
            }
            Ok(())
        }
        _ if path.starts_with("/repository.git/") => {
            let length = field("content-length").parse().unwrap_or(0);
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            let mut backend = std::process::Command::new("git")
                .arg("http-backend")
                .env("GIT_PROJECT_ROOT", &shelf.repositories)
                .env("GIT_HTTP_EXPORT_ALL", "1")
                .envs([("REQUEST_METHOD", method), ("PATH_INFO", path), ("QUERY_STRING", query)])
                .env("CONTENT_TYPE", field("content-type"))
                .env("CONTENT_LENGTH", length.to_string())
                .env("HTTP_CONTENT_ENCODING", field("content-encoding"))
                .env("REMOTE_USER", "somebody")
                .env("HTTP_GIT_PROTOCOL", field("git-protocol"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            backend.stdin.take().context("its input")?.write_all(&body)?;
            let out = backend.wait_with_output()?.stdout;
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n")?;
            Ok(stream.write_all(&out)?)
        }
        _ => {
            write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            Ok(())
        }
    }
}

/// A wheel with nothing in it but its name.
fn wheel(folder: &Path) -> Result<Vec<u8>> {
    let file = folder.join("thing.whl");
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1], 'w')\n\
        d = 'thing-1.0.dist-info/'\n\
        z.writestr(d + 'METADATA', 'Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n')\n\
        z.writestr(d + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        z.writestr(d + 'RECORD', '')\n\
        z.close()\n";
    let made =
        std::process::Command::new("/usr/bin/python3").args(["-c", script]).arg(&file).output()?;
    ensure!(made.status.success(), "{}", text(&made.stderr));
    Ok(fs::read(file)?)
}

/// A crate with nothing in it but its name.
fn packed(folder: &Path) -> Result<Vec<u8>> {
    let source = folder.join("thing-1.0.0/src");
    fs::create_dir_all(&source)?;
    fs::write(source.join("lib.rs"), "")?;
    let manifest = "[package]\nname = \"thing\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    fs::write(folder.join("thing-1.0.0/Cargo.toml"), manifest)?;
    let made = std::process::Command::new("tar")
        .arg("-C")
        .arg(folder)
        .args(["-cz", "thing-1.0.0"])
        .output()?;
    ensure!(made.status.success(), "{}", text(&made.stderr));
    Ok(made.stdout)
}

pub(super) fn stage() -> Result<(Place, u16, PathBuf)> {
    let place = Place::new()?;
    let pushed = place.command("git").args(["push", "-q", "origin", "HEAD:main"]).output()?;
    ensure!(pushed.status.success(), "{}", text(&pushed.stderr));
    let repositories = place.remote().parent().context("a folder")?.to_owned();
    let wheel = wheel(&place.home())?;
    let packed = packed(&place.home())?;
    let shelf = Shelf { work: place.work(), repositories, wheel, packed };
    let (port, authority) = serve(shelf, &place.home())?;
    fs::write(place.home().join("authority.pem"), authority)?;
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nca = [\"~/authority.pem\"]\n\
         allow = [\"{HOST}\", \"127.0.0.1\"]\n"
    ))?;
    let hosts = place.home().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {HOST}\n"))?;
    Ok((place, port, hosts))
}

/// Runs a line of shell in both tiers, where it has to say this.
fn says(line: &str, expected: &str) -> Result<()> {
    let (place, port, hosts) = stage()?;
    in_a_line(&place, &hosts, &format!("at={HOST}:{port}; {line}"), expected)
}

pub(super) fn in_a_line(place: &Place, hosts: &Path, line: &str, expected: &str) -> Result<()> {
    // Those of the system: others may lie where an ordinary user does not come.
    let script = format!(
        "exec 2>&1; PATH=/usr/local/bin:/usr/bin:/bin; export npm_config_update_notifier=false; \
         {line}"
    );
    in_both_tiers(place, Some(hosts), &script, |tier: Tier, done| {
        assert_eq!(text(&done.stdout), expected, "{tier:?}: {}", text(&done.stderr));
        Ok(())
    })
}

#[test]
fn curl_over_http_and_tls_and_its_events_arrive_one_by_one() -> Result<()> {
    says(
        "curl -sS http://$at/hello; curl -sS https://$at/hello; \
         curl -sS -x socks5h://${http_proxy#http://} https://$at/hello; \
         env -u CURL_CA_BUNDLE -u SSL_CERT_FILE curl -sS https://$at/hello 2>&1 | grep -o 'curl: (60)'; \
         curl -sSN http://$at/events | while read -r field event; do \
         [ -z \"$field\" ] || { echo $event; touch seen-$event; }; done; \
         curl -sSN https://$at/events | while read -r field event; do \
         [ -z \"$field\" ] || { echo $event; touch seen-$event; }; done; \
         curl -sS http://other.example/ | sed -n 1p",
        "hello\nhello\nhello\ncurl: (60)\n1\n2\n1\n2\n\
         chaperone: denied: a connection to other.example:80\n",
    )
}

/// Says which protocol it was asked in.
const ASKED_IN: &str = "'asked in ' + request.httpVersion";

/// A server of Node's that answers with the value of this expression about the request, and the port
/// that it has. It shows what lies in `folder`, and ends with its input.
pub(super) fn http2(folder: &Path, answer: &str) -> Result<(std::process::Child, u16)> {
    let script = format!(
        "const fs = require('fs'), http2 = require('http2');\n\
         const read = (name) => fs.readFileSync(process.argv[1] + '/' + name);\n\
         const server = http2.createSecureServer(\n\
           {{ cert: read('certificate.pem'), key: read('key.pem'), allowHTTP1: true }},\n\
           (request, response) => response.end({answer} + '\\n'));\n\
         server.listen(0, '127.0.0.1', () => console.log(server.address().port));\n\
         process.stdin.resume().on('end', () => process.exit());"
    );
    let mut node = std::process::Command::new("node")
        .args(["-e", &script])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(node.stdout.take().context("its output")?).read_line(&mut line)?;
    Ok((node, line.trim().parse()?))
}

#[test]
fn http_2_from_end_to_end() -> Result<()> {
    let (place, _, hosts) = stage()?;
    let (mut node, port) = http2(&place.home(), ASKED_IN)?;
    let done = in_a_line(
        &place,
        &hosts,
        &format!(
            "curl -sS --http2 https://{HOST}:{port}/; curl -sS --http1.1 https://{HOST}:{port}/; \
             curl -sS --http2 -x socks5h://${{http_proxy#http://}} https://{HOST}:{port}/"
        ),
        "asked in 2.0\nasked in 1.1\nasked in 2.0\n",
    );
    drop(node.stdin.take());
    node.wait()?;
    done
}

#[test]
fn http_2_where_tls_is_opened_with_and_without_it_at_the_host() -> Result<()> {
    let (place, tls, hosts) = stage()?;
    let (mut node, port) = http2(&place.home(), ASKED_IN)?;
    let config = place.home().join(".config/chaperone/config.toml");
    let rule = format!(
        "[[network.rule]]\nhost = \"{HOST}\"\nmethods = [\"POST\"]\ndecision = \"deny\"\n\
         reason = \"Nothing is published.\"\n"
    );
    fs::write(&config, fs::read_to_string(&config)? + &rule)?;
    let done = in_a_line(
        &place,
        &hosts,
        &format!(
            "at=https://{HOST}:{port}/; curl -sS --http2 $at; curl -sS --http1.1 $at; \
             curl -sS --http2 -d x $at | grep -o 'Nothing is published'; \
             curl -sS --http2 -o /dev/null -w '%{{http_version}} %{{http_code}}\\n' -d x $at; \
             curl -sS --http2 https://{HOST}:{tls}/hello"
        ),
        "asked in 2.0\nasked in 1.1\nNothing is published\n2 403\nhello\n",
    );
    drop(node.stdin.take());
    node.wait()?;
    done
}

#[test]
fn git_over_http_and_tls() -> Result<()> {
    says(
        "rm -rf a b; git clone -q http://$at/repository.git a; git -C a log --format=%s; \
         git clone -q https://$at/repository.git b; \
         git -C b log --format=%s; rm -rf a b; \
         git ls-remote https://other.example/x.git 2>&1 | grep -ow 403",
        "first\nfirst\n403\n",
    )
}

#[test]
fn python_and_pip() -> Result<()> {
    says(
        "for of in http https; do \
         python3 -c \"import urllib.request as u; print(u.urlopen('$of://$at/hello').read())\"; \
         done; \
         python3 -c \"import urllib.request as u; u.urlopen('https://other.example/')\" 2>&1 | \
         grep -o 'other.example is not among the hosts' | sort -u; \
         python3 -m pip download -q --no-deps --disable-pip-version-check --no-cache-dir \
         --index-url https://$at/simple -d wheels thing==1.0; \
         ls wheels; rm -r wheels",
        "b'hello\\n'\nb'hello\\n'\nother.example is not among the hosts\n\
         thing-1.0-py3-none-any.whl\n",
    )
}

#[test]
fn npm() -> Result<()> {
    says(
        "npm view left-pad version --registry http://$at/; \
         npm view left-pad version --registry https://$at/",
        "1.3.0\n1.3.0\n",
    )
}

#[test]
fn cargo() -> Result<()> {
    let (place, port, hosts) = stage()?;
    // The one that runs this test may lie where a session does not come.
    let cargo = std::env::var_os("CARGO").context("the variable CARGO, which cargo sets")?;
    fs::copy(cargo, place.work().join("cargo"))?;
    // Of what takes crates from a registry, this alone needs no compiler.
    let line = format!(
        "at={HOST}:{port}; mkdir -p c/src c/.cargo; touch c/src/lib.rs; cd c; \
         export CARGO_HOME=$PWD/home; \
         printf '[registries.own]\\nindex = \"sparse+https://%s/index/\"\\n' $at > \
         .cargo/config.toml; \
         printf '[package]\\nname = \"c\"\\nversion = \"1.0.0\"\\n[dependencies]\\n\
         thing = {{ version = \"1\", registry = \"own\" }}\\n' > Cargo.toml; \
         ../cargo vendor -q taken > /dev/null; ls taken; cd ..; rm -r c"
    );
    in_a_line(&place, &hosts, &line, "thing\n")
}

/// By a program that is written in Go, and smaller than its compiler.
#[test]
fn what_is_written_in_go() -> Result<()> {
    says(
        "for of in http https; do rclone -q copyurl --stdout $of://$at/hello; done; \
         rclone -q copyurl --stdout https://other.example/ 2>&1 | grep -o Forbidden | sort -u",
        "hello\nhello\nForbidden\n",
    )
}

#[test]
fn a_web_socket_over_tls() -> Result<()> {
    says(
        "cat > chat.py <<'END'\n\
         import http.client, os, sys\n\
         proxy = os.environ['https_proxy'].split('/')[2]\n\
         client = http.client.HTTPSConnection(proxy)\n\
         host, port = sys.argv[1].split(':')\n\
         client.set_tunnel(host, int(port))\n\
         client.connect()\n\
         client.sock.sendall(b'GET /chat HTTP/1.1\\r\\nHost: ' + sys.argv[1].encode() +\n\
         \x20  b'\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')\n\
         print(client.sock.recv(1000).split()[1].decode())\n\
         for frame in b'\\x81\\x02hi', b'\\x81\\x02ho':\n\
         \x20  client.sock.sendall(frame)\n\
         \x20  print(client.sock.recv(4) == frame)\n\
         END\n\
         python3 chat.py $at; rm chat.py",
        "101\nTrue\nTrue\n",
    )
}

#[test]
fn certificates_that_a_session_could_have_written_or_nobody_has_are_not_trusted() -> Result<()> {
    let (place, ..) = stage()?;
    let inside = place.work().join("own.pem");
    fs::copy(place.home().join("authority.pem"), &inside)?;
    place.configure(&format!(
        "[network]\nca = [\"~/nothing.pem\", \"{}\", \"~/hosts\"]\n",
        inside.display()
    ))?;
    let done = place.run("echo ${NODE_EXTRA_CA_CERTS-none}")?;
    assert_eq!(text(&done.stdout), "none\n");
    let said = text(&done.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("are not trusted")).collect();
    let [nothing, own, hosts] = lines[..] else { anyhow::bail!("{said}") };
    assert!(nothing.contains("nothing.pem") && nothing.contains("No such file"), "{nothing}");
    assert!(own.contains("lies in the workspace"), "{own}");
    assert!(hosts.contains("nothing in it begins -----BEGIN CERTIFICATE-----"), "{hosts}");
    Ok(())
}
