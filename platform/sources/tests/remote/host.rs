//! A web host on loopback that serves a folder, as well or as badly as a test wants it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What is answered instead of a file.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    Redirect(String),
    /// A body without an end.
    Endless,
    /// A byte now and then.
    Trickle,
    /// A head without an end.
    EndlessHead,
    /// Nothing at all.
    Silence,
    /// This, whatever the folder holds.
    Body(Vec<u8>),
}

pub(crate) struct Host {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Host {
    /// Serves a folder on a port of its own.
    pub(crate) fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            folder: folder.to_path_buf(),
            answers: Mutex::default(),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.over.load(Ordering::SeqCst) {
                    return;
                }
                let own = Arc::clone(&own);
                thread::spawn(move || drop(own.answer(&stream)));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// Answers a path in another way from now on.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Serves the folder alone again.
    pub(crate) fn recover(&self) {
        self.shared.answers.lock().unwrap().clear();
    }

    /// The paths that were asked for since this was asked last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// Nobody listens any more.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = TcpStream::connect(self.address);
            let _ = thread.join();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        self.asked.lock().unwrap().push(path.clone());
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        let whole = |mut writer: &TcpStream, status: u16, body: &[u8]| {
            let length = body.len();
            write!(writer, "HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n")?;
            write!(writer, "connection: close\r\n\r\n")?;
            writer.write_all(body)
        };
        match answer {
            None => match std::fs::read(self.folder.join(path.trim_start_matches('/'))) {
                Ok(body) => whole(writer, 200, &body)?,
                Err(_) => whole(writer, 404, b"")?,
            },
            Some(Answer::Body(body)) => whole(writer, 200, &body)?,
            Some(Answer::Status(status)) => whole(writer, status, b"")?,
            Some(Answer::Redirect(to)) => {
                write!(writer, "HTTP/1.1 302 Found\r\nlocation: {to}\r\n")?;
                write!(writer, "content-length: 0\r\nconnection: close\r\n\r\n")?;
            }
            Some(Answer::Endless) => {
                write!(writer, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
                // Until the other side has had enough.
                while writer.write_all(&[b' '; 1 << 16]).is_ok() {}
            }
            Some(Answer::EndlessHead) => {
                write!(writer, "HTTP/1.1 200 OK\r\n")?;
                while writer.write_all(b"x-more: and more\r\n").is_ok() {}
            }
            Some(Answer::Trickle) => {
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
                while writer.write_all(b" ").is_ok() && !self.over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Some(Answer::Silence) => {
                // Until the other side goes away.
                let _ = reader.read(&mut [0]);
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
        Ok(())
    }
}
