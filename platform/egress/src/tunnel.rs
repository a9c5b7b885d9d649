//! Carries bytes both ways between two streams until both sides have ended. Each end of stream is
//! passed on by itself, and no more is read than the other side takes.

use crate::connections::Open;
use crate::outside::Outside;
use socket2::SockRef;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What is read at a time. All tunnels share this room; only what the other side does not take at
/// once is kept for it, and nothing more is read until it has.
const PIECE: usize = 128 * 1024;

/// What a record of TLS holds at most (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// How long a client is heard that nothing more is said to.
const LINGERING: Duration = Duration::from_secs(1);

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Carries until both sides have ended, one has failed, or the connection is ended from outside.
/// `first` goes outward before all else, and `back` inward.
pub(crate) async fn carry(
    open: &Open,
    inside: &TcpStream,
    outside: Outside,
    first: &[u8],
    back: &[u8],
) {
    open.goes_unseen();
    let carried = async {
        match outside.into_plain() {
            Ok((outside, heard)) => {
                let back = [back, &heard].concat();
                between(open, inside, &outside, first, &back).await
            }
            Err(outside) => within_tls(open, inside, outside, first, back).await,
        }
    };
    tokio::select! {
        // A side that fails ends both; there is nobody to tell but the other side.
        _ = carried => {}
        () = open.ended() => {}
    }
}

async fn between(
    open: &Open,
    inside: &TcpStream,
    outside: &TcpStream,
    first: &[u8],
    back: &[u8],
) -> io::Result<()> {
    let outward = async {
        sends(open, first.len())?;
        write_all(outside, first).await?;
        copy(inside, outside, &|bytes| sends(open, bytes)).await
    };
    let inward = async {
        write_all(inside, back).await?;
        receives(open, back.len());
        let receives = |bytes| {
            receives(open, bytes);
            Ok(())
        };
        copy(outside, inside, &receives).await
    };
    tokio::try_join!(outward, inward).map(drop)
}

/// The same where the outside is within TLS to another proxy: each piece becomes a record.
async fn within_tls(
    open: &Open,
    inside: &TcpStream,
    outside: Outside,
    first: &[u8],
    back: &[u8],
) -> io::Result<()> {
    let (mut from, mut to) = split(outside);
    let outward = async {
        sends(open, first.len())?;
        to.write_all(first).await?;
        let mut piece = Vec::with_capacity(RECORD);
        loop {
            to.flush().await?;
            piece.clear();
            if read_more(inside, &mut piece).await? == 0 {
                return to.shutdown().await;
            }
            sends(open, piece.len())?;
            to.write_all(&piece).await?;
        }
    };
    let inward = async {
        let mut piece = Vec::with_capacity(RECORD);
        piece.extend_from_slice(back);
        loop {
            receives(open, piece.len());
            write_all(inside, &piece).await?;
            piece.clear();
            let count = match from.read_buf(&mut piece).await {
                // Many end without a word of TLS. What is within can tell for itself whether it is
                // whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
                count => count?,
            };
            if count == 0 {
                let _ = SockRef::from(inside).shutdown(Shutdown::Write);
                return Ok(());
            }
        }
    };
    tokio::try_join!(outward, inward).map(drop)
}

/// Counts what is about to be sent.
fn sends(open: &Open, bytes: usize) -> io::Result<()> {
    if !open.may_send(bytes) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    open.has_sent(bytes);
    Ok(())
}

fn receives(open: &Open, bytes: usize) {
    open.received.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// `passes` counts what is passed, and fails where it may not be.
async fn copy(
    from: &TcpStream,
    to: &TcpStream,
    passes: &impl Fn(usize) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        from.readable().await?;
        match ROOM.with_borrow_mut(|room| pass(from, to, room, passes)) {
            Ok(Passed::All) => {}
            Ok(Passed::AllBut(rest)) => write_all(to, &rest).await?,
            Ok(Passed::End) => {
                // The other direction goes on; should this side be gone, that one ends, too.
                let _ = SockRef::from(to).shutdown(Shutdown::Write);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

enum Passed {
    All,
    /// The other side did not take this yet.
    AllBut(Vec<u8>),
    End,
}

fn pass(
    from: &TcpStream,
    to: &TcpStream,
    room: &mut Vec<u8>,
    passes: &impl Fn(usize) -> io::Result<()>,
) -> io::Result<Passed> {
    room.resize(PIECE, 0);
    let count = from.try_read(room)?;
    if count == 0 {
        return Ok(Passed::End);
    }
    passes(count)?;
    let mut rest = room.get(..count).unwrap_or_default();
    while !rest.is_empty() {
        match to.try_write(rest) {
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(Passed::AllBut(rest.to_vec()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Passed::All)
}

/// Writes all of it, however slowly it is taken.
pub(crate) async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The last that is said to a client before its connection is closed. What it still says is read for
/// a moment and thrown away: to close before would reset the connection, and what was said last could
/// be lost with it (RFC 9112, section 9.6).
pub(crate) async fn last_word(to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    write_all(to, bytes).await?;
    SockRef::from(to).shutdown(Shutdown::Write)?;
    let rest = async {
        let mut heard = Vec::new();
        while read_more(to, &mut heard).await? != 0 {
            heard.clear();
        }
        Ok(())
    };
    timeout(LINGERING, rest).await.unwrap_or(Ok(()))
}

/// Reads what there is; nothing at the end of the stream.
pub(crate) async fn read_more(from: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read_buf(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}
