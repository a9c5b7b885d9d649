//! As much of HTTP/1.1 (RFC 9112) as agents' clients need: requests with a length or in chunks,
//! answers with a length or as server-sent events, connections that stay open.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// One request.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// `authorization` or `x-api-key`, as it was sent.
    pub(super) key: String,
    pub(super) body: Vec<u8>,
}

/// One answer.
pub(super) struct Response {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Response {
    pub(super) fn json(value: &Value) -> Self {
        Self { status: "200 OK", kind: "application/json", body: value.to_string() }
    }

    pub(super) fn not_found() -> Self {
        let body = r#"{"error":{"type":"not_found_error","message":"not in the script"}}"#;
        Self { status: "404 Not Found", kind: "application/json", body: body.into() }
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
        Self { status: "200 OK", kind: "text/event-stream", body }
    }
}

/// Serves one connection until the client closes it.
pub(super) fn serve(stream: TcpStream, answer: impl Fn(&Request) -> Response) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = read(&mut reader, &mut writer) {
        let Response { status, kind, body } = answer(&request);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nrequest-id: scripted\r\n\r\n",
            body.len()
        );
        if writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(body.as_bytes()))
            .is_err()
        {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead, writer: &mut impl Write) -> io::Result<Option<Request>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let (mut length, mut chunked, mut expects) = (0, false, false);
    let mut key = String::new();
    while let Some(header) = line(reader)?.filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.contains("chunked"),
            "expect" => expects = true,
            "authorization" | "x-api-key" => value.trim().clone_into(&mut key),
            _ => {}
        }
    }
    if expects {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
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
    Ok(Some(Request { method, path, key, body }))
}

/// One line without its end; nothing at the end of the stream.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}
