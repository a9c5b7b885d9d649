//! One client of the proxy: tells SOCKS from HTTP by the first byte, and speaks SOCKS itself.

use crate::dial::{Failure, Way};
use crate::http;
use crate::inspect::{PREFACE, http1_required};
use crate::rewound::Rewound;
use crate::serve::{Permit, Tunnel};
use crate::socks::{self, Message, Reply};
use crate::target::Target;
use crate::tunnel::{last_word, read_more, write_all};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client may take until it has said what it wants.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// No message before the tunnel is longer: a greeting with every method, and a request.
const LONGEST: usize = 1024;

pub(crate) async fn serve(way: Arc<Way>, inside: TcpStream, permit: Permit) {
    let mut first = [0];
    match timeout(PATIENCE, inside.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == socks::VERSION => {
            // What fails is closed, which the agent sees.
            let _ = serve_socks(way, inside, permit).await;
        }
        Ok(Ok(1)) => {
            let mut begun = Vec::new();
            match timeout(PATIENCE, begins_http2(&inside, &mut begun)).await {
                // The client may have gone.
                Ok(Ok(true)) => drop(last_word(&inside, &http1_required()).await),
                Ok(Ok(false)) => http::serve(way, Rewound::new(inside, begun), permit).await,
                _ => {}
            }
        }
        _ => {}
    }
}

/// Whether a client begins HTTP/2, which is not passed on without TLS: its requests may be for any
/// host. What it has said is left in `begun`.
async fn begins_http2(inside: &TcpStream, begun: &mut Vec<u8>) -> io::Result<bool> {
    while PREFACE.starts_with(begun) && begun.len() < PREFACE.len() {
        if read_more(inside, begun).await? == 0 {
            return Ok(false);
        }
    }
    Ok(begun.starts_with(PREFACE))
}

async fn serve_socks(way: Arc<Way>, inside: TcpStream, permit: Permit) -> io::Result<()> {
    let mut bytes = Vec::new();
    let target = match timeout(PATIENCE, negotiate(&inside, &mut bytes)).await {
        Ok(negotiated) => way.meant(negotiated?),
        Err(_) => return Err(ErrorKind::TimedOut.into()),
    };
    let connected = tokio::select! {
        connected = way.connect(&target) => connected,
        () = gone(&inside) => return Err(ErrorKind::ConnectionAborted.into()),
    };
    let (outside, open) = match connected {
        Ok(connected) => connected,
        Err(failure) => {
            let reply = match failure {
                Failure::Refused(_) => Reply::NotAllowed,
                Failure::Unreachable(_) => Reply::Unreachable,
            };
            return last_word(&inside, &reply.bytes()).await;
        }
    };
    write_all(&inside, &Reply::Connected.bytes()).await?;
    Tunnel { way, target, open, inside, outside, permit }.carry(bytes).await;
    Ok(())
}

/// Waits until the client has gone, as far as that shows while it has said nothing more.
async fn gone(inside: &TcpStream) {
    if matches!(inside.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending().await
    }
}

/// What the client asks for; what it has said beyond that is left in `bytes`.
async fn negotiate(inside: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<Target> {
    let welcome = |without_login: bool| {
        if without_login { &socks::WELCOME } else { &socks::NO_METHOD }
    };
    let without_login = message(inside, bytes, socks::greeting).await?;
    write_all(inside, welcome(without_login)).await?;
    if !without_login {
        return Err(ErrorKind::PermissionDenied.into());
    }
    message(inside, bytes, socks::request).await
}

async fn message<T>(
    inside: &TcpStream,
    bytes: &mut Vec<u8>,
    read: impl Fn(&[u8]) -> Message<T>,
) -> io::Result<T> {
    loop {
        match read(bytes) {
            Message::Whole(message, taken) => {
                bytes.drain(..taken);
                return Ok(message);
            }
            Message::Refused(reply) => {
                last_word(inside, &reply.bytes()).await?;
                return Err(ErrorKind::InvalidData.into());
            }
            Message::Unfinished if bytes.len() > LONGEST => {
                return Err(ErrorKind::InvalidData.into());
            }
            Message::Unfinished => {
                if read_more(inside, bytes).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}
