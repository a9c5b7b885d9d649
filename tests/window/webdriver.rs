//! A small WebDriver client: the few commands of the specification that the tests use.
//! <https://www.w3.org/TR/webdriver2/>

use anyhow::{Context, Result, bail};
use chaperone_tests::eventually;
use serde_json::{Value, json};
use std::path::Path;

/// The member that names an element reference in every answer of WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The Enter key, as WebDriver names it.
pub(crate) const ENTER: char = '\u{e007}';

/// One real window.
#[derive(Debug)]
pub(crate) struct Window {
    base: String,
}

/// Something on the page.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    window: &'a Window,
    id: String,
}

impl Window {
    /// Has the driver start the app.
    pub(crate) fn open(driver: &str, app: &Path) -> Result<Self> {
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "wry",
            "tauri:options": { "application": app },
        } } });
        let reply = send("POST", &format!("{driver}/session"), Some(wanted))?;
        let id = reply["sessionId"].as_str().context("the driver named no session")?;
        Ok(Self { base: format!("{driver}/session/{id}") })
    }

    /// Runs a function body in the page; what it returns comes back.
    pub(crate) fn script(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.post("execute/sync", json!({ "script": body, "args": arguments }))
    }

    /// The first element that a CSS selector finds now.
    pub(crate) fn find(&self, css: &str) -> Result<Element<'_>> {
        let reply = self.post("element", json!({ "using": "css selector", "value": css }))?;
        let id = reply[ELEMENT].as_str().context("the driver returned no element")?.to_owned();
        Ok(Element { window: self, id })
    }

    /// The first element that a CSS selector finds, waited for.
    pub(crate) fn wait(&self, css: &str) -> Result<Element<'_>> {
        eventually(&format!("an element {css}"), || self.find(css).ok()).map_err(|error| {
            error.context(format!("the page says:\n{}", self.text().unwrap_or_default()))
        })
    }

    /// Waits until the page says something.
    pub(crate) fn wait_for_text(&self, text: &str) -> Result<()> {
        let shown = eventually(&format!("`{text}` on the page"), || {
            self.text().ok().filter(|page| page.contains(text))
        });
        match shown {
            Ok(_) => Ok(()),
            Err(error) => Err(error.context(format!("the page says:\n{}", self.text()?))),
        }
    }

    /// What a person can read on the page.
    pub(crate) fn text(&self) -> Result<String> {
        let text = self.script("return document.body.innerText", &[])?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Presses and releases a key.
    pub(crate) fn press(&self, key: char) -> Result<()> {
        let one = |kind: &str| json!({ "type": kind, "value": key.to_string() });
        let actions = [one("keyDown"), one("keyUp")];
        let keyboard = json!([{ "type": "key", "id": "keyboard", "actions": actions }]);
        self.post("actions", json!({ "actions": keyboard })).map(drop)
    }

    /// Saves what is on the screen as a PNG.
    pub(crate) fn screenshot(&self, file: &Path) -> Result<()> {
        let reply = send("GET", &format!("{}/screenshot", self.base), None)?;
        let png = from_base64(reply.as_str().context("the driver returned no picture")?)?;
        std::fs::write(file, png).with_context(|| format!("writing {}", file.display()))
    }

    fn post(&self, command: &str, body: Value) -> Result<Value> {
        send("POST", &format!("{}/{command}", self.base), Some(body))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Ends the app. A driver that is gone already has ended it.
        let _ = send("DELETE", &self.base, None);
    }
}

impl Element<'_> {
    /// A real click, by the window system's own events.
    pub(crate) fn click(&self) -> Result<()> {
        self.post("click", json!({}))
    }

    /// Types text.
    pub(crate) fn type_text(&self, text: &str) -> Result<()> {
        self.post("value", json!({ "text": text }))
    }

    /// What a person can read of it.
    pub(crate) fn text(&self) -> Result<String> {
        let reply = send("GET", &format!("{}/element/{}/text", self.window.base, self.id), None)?;
        Ok(reply.as_str().unwrap_or_default().to_owned())
    }

    fn post(&self, command: &str, body: Value) -> Result<()> {
        self.window.post(&format!("element/{}/{command}", self.id), body).map(drop)
    }
}

fn send(method: &str, url: &str, body: Option<Value>) -> Result<Value> {
    let method = match method {
        "POST" => minreq::Method::Post,
        "DELETE" => minreq::Method::Delete,
        _ => minreq::Method::Get,
    };
    let mut request = minreq::Request::new(method, url).with_timeout(60);
    if let Some(body) = body {
        request = request
            .with_header("content-type", "application/json")
            .with_body(body.to_string().into_bytes());
    }
    let reply = request.send().with_context(|| format!("asking the driver at {url}"))?;
    let text = reply.as_str().context("the driver's answer is not text")?;
    let mut value: Value =
        serde_json::from_str(text).with_context(|| format!("the driver answered {text:?}"))?;
    let value = value["value"].take();
    if let Some(error) = value["error"].as_str() {
        bail!("{error}: {}", value["message"].as_str().unwrap_or_default());
    }
    Ok(value)
}

/// WebDriver sends pictures as base64 with padding, without line breaks.
fn from_base64(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().take_while(|c| *c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => bail!("{other:#x} is not base64"),
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Ok(bytes)
}
