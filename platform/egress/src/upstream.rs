//! Asks another proxy for a tunnel (RFC 9110, section 9.3.6).

use crate::dial::{Failure, unreachable};
use crate::target::Target;
use crate::tunnel::write_all;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long it may take to make the connection that it is asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the head of its answer.
const LONGEST_HEAD: usize = 16 * 1024;
/// What people read of its answer.
const LONGEST_LINE: usize = 200;
const END: &[u8] = b"\r\n\r\n";

/// Turns a connection to the proxy into one to the target.
pub(crate) async fn tunnel(
    stream: &TcpStream,
    target: &Target,
    proxy: &Target,
) -> Result<(), Failure> {
    let failed = |why: &str| {
        unreachable(target, &format!("The upstream proxy {proxy} makes no tunnel to it: {why}."))
    };
    let ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let answered = timeout(PATIENCE, async {
        write_all(stream, ask.as_bytes()).await?;
        head(stream).await
    });
    let head = match answered.await {
        Ok(head) => head.map_err(|error| failed(&error.to_string()))?,
        Err(_) => return Err(failed("it did not answer in time")),
    };
    let line = first_line(&head);
    // Any of these makes one (RFC 9110, section 9.3.6).
    match line.split(' ').nth(1).map(str::as_bytes) {
        Some([b'2', _, _]) if line.starts_with("HTTP/1.") => Ok(()),
        _ => Err(failed(&format!("{line:?}"))),
    }
}

/// Reads the head of an answer and nothing beyond: a server that speaks first may have done so.
async fn head(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut seen = vec![0; LONGEST_HEAD];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend_from_slice(seen.get(..count).unwrap_or_default());
        let end = head.windows(END.len()).position(|bytes| bytes == END).map(|at| at + END.len());
        let taken = end.unwrap_or(head.len()) - before;
        head.truncate(before + taken);
        take(stream, taken).await?;
        if end.is_some() {
            return Ok(head);
        }
        if head.len() > LONGEST_HEAD {
            return Err(ErrorKind::InvalidData.into());
        }
    }
}

/// Reads what was only looked at.
async fn take(stream: &TcpStream, mut count: usize) -> io::Result<()> {
    let mut seen = [0; 1024];
    while count > 0 {
        let most = count.min(seen.len());
        match stream.try_read(seen.get_mut(..most).unwrap_or_default()) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(taken) => count -= taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.readable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The first line, as far as people read it.
fn first_line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.iter()
        .take(LONGEST_LINE)
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' })
        .collect()
}
