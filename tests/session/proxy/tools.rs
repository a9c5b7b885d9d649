//! The tools that agents use, through the proxy, as it is named to them by their environment alone:
//! a server of the machine stands for a host of the net.

use super::{Tier, in_both_tiers};
use crate::bundle::https::{head, tls};
use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use chaperone_tests::eventually;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConnection, StreamOwned};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;

const HOST: &str = "tools.example";

/// What the server has to give.
struct Shelf {
    /// Where the session works: it leaves signs there.
    work: PathBuf,
    /// The folder of the repository.
    repositories: PathBuf,
    wheel: Vec<u8>,
}

/// Serves over TLS where a client begins with it, and plainly else.
fn serve(shelf: Shelf) -> Result<u16> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
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
    Ok(port)
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

fn stage() -> Result<(Place, u16, PathBuf)> {
    let place = Place::new()?;
    let pushed = place.command("git").args(["push", "-q", "origin", "HEAD:main"]).output()?;
    ensure!(pushed.status.success(), "{}", text(&pushed.stderr));
    let repositories = place.remote().parent().context("a folder")?.to_owned();
    let wheel = wheel(&place.home())?;
    let port = serve(Shelf { work: place.work(), repositories, wheel })?;
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"{HOST}:{port}\", \"127.0.0.1:{port}\"]\n"
    ))?;
    let hosts = place.home().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {HOST}\n"))?;
    Ok((place, port, hosts))
}

/// Runs a line of shell in both tiers, where it has to say this.
fn says(line: &str, expected: &str) -> Result<()> {
    let (place, port, hosts) = stage()?;
    // Those of the system: others may lie where an ordinary user does not come.
    let script = format!(
        "exec 2>&1; PATH=/usr/local/bin:/usr/bin:/bin; export npm_config_update_notifier=false; \
         at={HOST}:{port}; {line}"
    );
    in_both_tiers(&place, Some(&hosts), &script, |tier: Tier, done| {
        assert_eq!(text(&done.stdout), expected, "{tier:?}: {}", text(&done.stderr));
        Ok(())
    })
}

#[test]
fn curl_over_http_and_tls_and_its_events_arrive_one_by_one() -> Result<()> {
    says(
        "curl -sS http://$at/hello; curl -sSk https://$at/hello; \
         curl -sSN http://$at/events | while read -r field event; do \
         [ -z \"$field\" ] || { echo $event; touch seen-$event; }; done; \
         curl -sSkN https://$at/events | while read -r field event; do \
         [ -z \"$field\" ] || { echo $event; touch seen-$event; }; done; \
         curl -sS http://other.example/ | sed -n 1p",
        "hello\nhello\n1\n2\n1\n2\nchaperone: denied: a connection to other.example:80\n",
    )
}

#[test]
fn git_over_http_and_tls() -> Result<()> {
    says(
        "rm -rf a b; git clone -q http://$at/repository.git a; git -C a log --format=%s; \
         git -c http.sslVerify=false clone -q https://$at/repository.git b; \
         git -C b log --format=%s; rm -rf a b; \
         git ls-remote https://other.example/x.git 2>&1 | grep -ow 403",
        "first\nfirst\n403\n",
    )
}

#[test]
fn python_and_pip() -> Result<()> {
    says(
        "python3 -c \"import urllib.request as u; print(u.urlopen('http://$at/hello').read())\"; \
         python3 -c \"import urllib.request as u; u.urlopen('https://other.example/')\" 2>&1 | \
         grep -o 'other.example is not among the hosts' | sort -u; \
         python3 -m pip download -q --no-deps --disable-pip-version-check --no-cache-dir \
         --index-url http://$at/simple --trusted-host tools.example -d wheels thing==1.0; \
         ls wheels; rm -r wheels",
        "b'hello\\n'\nother.example is not among the hosts\nthing-1.0-py3-none-any.whl\n",
    )
}

#[test]
fn npm() -> Result<()> {
    says("npm view left-pad version --registry http://$at/", "1.3.0\n")
}
