//! Look-ups of names as they arrive: as datagrams, or over connections (RFC 1035, section 4.2). What
//! they are answered is decided elsewhere.

use crate::dns;
use crate::names::Names;
use crate::serve::{BREATH, Permit};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
#[cfg(unix)]
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Where they arrive.
pub(crate) const PORT: u16 = 53;
/// What is read of a datagram: the question stands at its beginning.
const LONGEST: usize = 1024;
/// So many sockets of a session look names up at once; a further one waits.
#[cfg(unix)]
const MOST_ASKING: usize = 256;
/// How long a client may take until it asks, or asks again (RFC 7766, section 6.2.3).
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers what is asked by datagrams.
pub(crate) async fn datagrams(resolver: UdpSocket, names: Arc<Names>) {
    let mut query = [0; LONGEST];
    loop {
        let asked = resolver.recv_from(&mut query).await;
        let Ok((count, from)) = asked else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        if let Some(answer) = dns::answer(query.get(..count).unwrap_or_default(), &names) {
            // Whoever asked may have gone.
            let _ = resolver.send_to(&answer, from).await;
        }
    }
}

/// Answers what is asked by packets on sockets that this process has connected for programs.
#[cfg(unix)]
pub(crate) async fn packets(listener: UnixListener, names: Arc<Names>) {
    let room = Arc::new(Semaphore::new(MOST_ASKING));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            // Others on this machine could connect there, too.
            Ok((client, _)) if is_of_this_process(&client) => {
                tokio::spawn(packets_of_one(client, Arc::clone(&names), permit));
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

#[cfg(unix)]
fn is_of_this_process(client: &UnixStream) -> bool {
    let peer = client.peer_cred().ok().and_then(|peer| peer.pid());
    peer.is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id()))
}

/// Until the program closes its socket: one that was closed for it would end it by a signal when it
/// asks again.
#[cfg(unix)]
async fn packets_of_one(mut client: UnixStream, names: Arc<Names>, permit: OwnedSemaphorePermit) {
    let mut query = [0; LONGEST];
    while let Ok(count @ 1..) = client.read(&mut query).await {
        if let Some(answer) = dns::answer(query.get(..count).unwrap_or_default(), &names) {
            // Whoever does not read waits for itself.
            let _ = client.write(&answer).await;
        }
    }
    drop(permit);
}

/// Answers what is asked over one connection, in order.
pub(crate) async fn stream(mut client: TcpStream, names: Arc<Names>, permit: Permit) {
    let mut query = Vec::new();
    while let Ok(Ok(length)) = timeout(PATIENCE, client.read_u16()).await {
        query.resize(length.into(), 0);
        if !matches!(timeout(PATIENCE, client.read_exact(&mut query)).await, Ok(Ok(_))) {
            break;
        }
        // What is no query has no answer, and nothing sensible follows it.
        let Some(answer) = dns::answer(&query, &names) else { break };
        let Ok(length) = u16::try_from(answer.len()) else { break };
        let answer = [&length.to_be_bytes()[..], &answer].concat();
        if client.write_all(&answer).await.is_err() {
            break;
        }
    }
    drop(permit);
}
