//! A connection that leaves this machine: by itself, or within TLS to another proxy.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What is read at a time of what is said first.
const PIECE: usize = 16 * 1024;
const END: &[u8] = b"\r\n\r\n";

/// A stream with what the other side has said already, which is read first.
#[derive(Debug)]
pub(crate) struct Outside {
    stream: Stream,
    heard: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    /// Boxed: it is large, and hardly any is one.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Outside {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), heard: Vec::new() }
    }

    pub(crate) fn within_tls(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), heard: Vec::new() }
    }

    /// The stream itself, and what was heard of it, where it is in no TLS.
    pub(crate) fn into_plain(self) -> Result<(TcpStream, Vec<u8>), Self> {
        match self.stream {
            Stream::Plain(stream) => Ok((stream, self.heard)),
            stream @ Stream::Tls(_) => Err(Self { stream, heard: self.heard }),
        }
    }

    /// Waits until the other side has said something, or has ended.
    pub(crate) async fn speaks(&mut self) -> io::Result<()> {
        if !self.heard.is_empty() {
            return Ok(());
        }
        match &self.stream {
            // Not by what the runtime last knew: what was read since may have been all.
            Stream::Plain(stream) => stream.peek(&mut [0]).await.map(drop),
            // That something came tells nothing: TLS has messages of its own.
            Stream::Tls(_) => self.hear().await.map(drop),
        }
    }

    /// Reads the head of an answer of HTTP; what comes behind it is still to be read.
    pub(crate) async fn head(&mut self, longest: usize) -> io::Result<Vec<u8>> {
        loop {
            let end = self.heard.windows(END.len()).position(|bytes| bytes == END);
            if let Some(end) = end {
                let rest = self.heard.split_off(end + END.len());
                return Ok(std::mem::replace(&mut self.heard, rest));
            }
            if self.heard.len() > longest {
                return Err(ErrorKind::InvalidData.into());
            }
            if self.hear().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn hear(&mut self) -> io::Result<usize> {
        let Self { stream, heard } = self;
        heard.reserve(PIECE);
        match stream {
            Stream::Plain(stream) => stream.read_buf(heard).await,
            Stream::Tls(stream) => stream.read_buf(heard).await,
        }
    }
}

impl AsyncRead for Outside {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, heard } = &mut *self;
        if !heard.is_empty() {
            let count = heard.len().min(buffer.remaining());
            buffer.put_slice(&heard.drain(..count).collect::<Vec<_>>());
            return Poll::Ready(Ok(()));
        }
        match stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Outside {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
