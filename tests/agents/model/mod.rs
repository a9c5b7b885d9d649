//! A scripted model: a server on loopback that speaks the protocols of the real ones, and has
//! the agent run a list of commands, one after the other, whatever comes of them.
//!
//! It holds no key and asks for none.

mod anthropic;
mod gemini;
pub(crate) mod http;
mod openai;

use serde_json::Value;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What came back from one command, as the model was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolResult {
    /// What the agent handed to the model.
    pub(crate) text: String,
    /// Whether the agent marked it as failed, where its protocol can say so.
    pub(crate) failed: bool,
}

/// A running model. It ends with the process of the test.
#[derive(Debug)]
pub(crate) struct Model {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Vec<String>,
    results: Mutex<Vec<ToolResult>>,
    log: Mutex<Vec<String>>,
    /// What the model was sent where it had tools.
    sent: Mutex<Vec<String>>,
}

/// What the model answers with.
enum Turn<'a> {
    /// Call the shell tool.
    Run { number: usize, command: &'a str },
    /// Say something and be done.
    Say(&'static str),
}

impl Model {
    /// Starts a model that has the agent run these commands. Each request's body is kept in the
    /// folder that `CHAPERONE_TEST_MODEL_LOG` names, for somebody who writes a new protocol.
    pub(crate) fn that_runs(commands: &[&str]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            commands: commands.iter().map(|command| (*command).to_owned()).collect(),
            results: Mutex::default(),
            log: Mutex::default(),
            sent: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || http::serve(stream, |request| shared.answer(request)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come back so far, in the commands' order.
    pub(crate) fn results(&self) -> Vec<ToolResult> {
        lock(&self.shared.results).clone()
    }

    /// How often these words stood in each request of the conversation so far.
    pub(crate) fn heard(&self, words: &str) -> Vec<usize> {
        lock(&self.shared.sent).iter().map(|sent| sent.matches(words).count()).collect()
    }

    /// What it says to a request that came to it another way.
    pub(crate) fn answer(&self, request: &http::Request) -> http::Response {
        self.shared.answer(request)
    }

    /// Every request's first line with the key that it brought.
    pub(crate) fn log(&self) -> String {
        lock(&self.shared.log).join("\n")
    }
}

impl Shared {
    fn answer(&self, request: &http::Request) -> http::Response {
        lock(&self.log).push(format!("{} {} ({})", request.method, request.path, request.key));
        let path = request.path.split('?').next().unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        if let Ok(folder) = std::env::var("CHAPERONE_TEST_MODEL_LOG") {
            let number = lock(&self.log).len();
            let name = path.replace('/', "_");
            let _ = std::fs::write(format!("{folder}/{number:03}{name}"), body.to_string());
        }
        if request.method != "POST" {
            return http::Response::not_found();
        }
        if body["tools"].as_array().is_some_and(|tools| !tools.is_empty()) {
            lock(&self.sent).push(body.to_string());
        }
        if path.ends_with("/messages/count_tokens") {
            return http::Response::json(&serde_json::json!({ "input_tokens": 1 }));
        }
        if path.ends_with("/messages") {
            return anthropic::answer(&body, |results, has_shell| self.turn(results, has_shell));
        }
        if path.ends_with("/responses") {
            return openai::responses(&body, |results, has_shell| self.turn(results, has_shell));
        }
        if path.ends_with("/chat/completions") {
            return openai::chat(&body, |results, has_shell| self.turn(results, has_shell));
        }
        if path.contains(":streamGenerateContent") || path.contains(":generateContent") {
            let stream = path.contains(":stream");
            return gemini::answer(&body, stream, |results, has_shell| {
                self.turn(results, has_shell)
            });
        }
        http::Response::not_found()
    }

    /// The conversation itself says how far the script is. Requests without a shell among their
    /// tools are for titles and summaries.
    fn turn(&self, results: Vec<ToolResult>, has_shell: bool) -> Turn<'_> {
        if !has_shell {
            return Turn::Say("A scripted run");
        }
        let number = results.len();
        let mut known = lock(&self.results);
        if results.len() >= known.len() {
            *known = results;
        }
        match self.commands.get(number) {
            Some(command) => Turn::Run { number, command },
            None => Turn::Say("The script is done."),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
