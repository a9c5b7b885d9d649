//! What connected to an address without asking: a program that knows of no proxy. It goes where
//! it wanted to, as through a tunnel, and reads why not in its own protocol as far as that has words.

use crate::dial::{Failure, Way};
use crate::hello::HANDSHAKE;
use crate::http;
use crate::inspect::is_request;
use crate::rewound::Rewound;
use crate::serve::{Permit, Tunnel};
use crate::target::Target;
use crate::tunnel::{last_word, read_more};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client that is refused may take to say in which protocol it would read so.
const PATIENCE: Duration = Duration::from_secs(5);
/// A fatal alert, `access_denied` (RFC 8446, section 6.2).
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

pub(crate) async fn serve(way: Arc<Way>, target: Target, inside: TcpStream, permit: Permit) {
    match way.connect(&target).await {
        Ok((outside, open)) => {
            Tunnel { way, target, open, inside, outside, permit }.carry(Vec::new()).await;
        }
        Err(failure) => tell(inside, failure).await,
    }
}

async fn tell(inside: TcpStream, failure: Failure) {
    let mut first = Vec::new();
    let said = timeout(PATIENCE, async {
        while !is_request(&first) && first.first() != Some(&HANDSHAKE) {
            if !matches!(read_more(&inside, &mut first).await, Ok(1..)) || first.len() > 64 {
                return false;
            }
        }
        true
    });
    // Whoever says nothing, or something else, sees it closed.
    if !matches!(said.await, Ok(true)) {
        return;
    }
    if first.first() == Some(&HANDSHAKE) {
        // The client may have gone.
        let _ = last_word(&inside, &ALERT).await;
    } else {
        http::refuse(Rewound::new(inside, first), failure).await;
    }
}
