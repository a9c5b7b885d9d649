//! Look-ups of names as they arrive: as datagrams, or over connections (RFC 1035, section 4.2). What
//! they are answered is decided elsewhere.

use crate::dns;
use crate::names::Names;
use crate::serve::{BREATH, Permit};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Where they arrive.
pub(crate) const PORT: u16 = 53;
/// What is read of a datagram: the question stands at its beginning.
const LONGEST: usize = 1024;
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
