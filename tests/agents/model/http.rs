//! As much of HTTP/1.1 (RFC 9112) as agents' clients need: requests with a length or in chunks,
//! answers with a length or as server-sent events, connections that stay open.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};

/// One request.
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path, with what is asked of it.
    pub(crate) path: String,
    pub(crate) host: String,
    /// `authorization` or `x-api-key`, as it was sent.
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
}

/// One answer.
pub(crate) struct Response {
    status: &'static str,
    kind: &'static str,
    /// Where the client is sent.
    location: Option<String>,
    body: String,
}

impl Response {
    pub(crate) fn json(value: &Value) -> Self {
        Self { status: "200 OK", kind: "application/json", location: None, body: value.to_string() }
    }

    /// An answer with a status that says no.
    pub(crate) fn no(status: &'static str, value: &Value) -> Self {
        Self { status, ..Self::json(value) }
    }

    pub(crate) fn redirect(to: String) -> Self {
        Self { status: "302 Found", kind: "text/plain", location: Some(to), body: String::new() }
    }

    pub(crate) fn not_found() -> Self {
        let body = json!({
            "error": { "type": "not_found_error", "message": "not in the script" },
        });
        Self::no("404 Not Found", &body)
    }

    /// Server-sent events; one whose name is empty has data alone.
    pub(super) fn events(events: &[(&str, Value)]) -> Self {
        let mut body = String::new();
        for (name, data) in events {
            if !name.is_empty() {
                body.push_str(&format!("event: {name}\n"));
            }
            match data {
                Value::String(text) => body.push_str(&format!("data: {text}\n\n")),
                data => body.push_str(&format!("data: {data}\n\n")),
            }
        }
        Self { status: "200 OK", kind: "text/event-stream", location: None, body }
    }
}

/// Serves one connection until the client closes it.
pub(crate) fn serve(stream: impl Read + Write, answer: impl Fn(&Request) -> Response) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read(&mut stream) {
        let Response { status, kind, location, body } = answer(&request);
        let location = location.map(|to| format!("location: {to}\r\n")).unwrap_or_default();
        let whole = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n{location}\
             request-id: scripted\r\n\r\n{body}",
            body.len()
        );
        let writer = stream.get_mut();
        if writer.write_all(whole.as_bytes()).and_then(|()| writer.flush()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<impl Read + Write>) -> io::Result<Option<Request>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let (mut length, mut chunked, mut expects) = (0, false, false);
    let (mut key, mut host) = (String::new(), String::new());
    while let Some(header) = line(reader)?.filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.contains("chunked"),
            "expect" => expects = true,
            "host" => value.trim().clone_into(&mut host),
            "authorization" | "x-api-key" => value.trim().clone_into(&mut key),
            _ => {}
        }
    }
    if expects {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = line(reader)?.unwrap_or_default();
            let size = u64::from_str_radix(size.split(';').next().unwrap_or("0").trim(), 16);
            let size = size.unwrap_or(0);
            reader.take(size).read_to_end(&mut body)?;
            line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else {
        reader.take(length).read_to_end(&mut body)?;
    }
    Ok(Some(Request { method, path, host, key, body }))
}

/// One line without its end; nothing at the end of the stream.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}
