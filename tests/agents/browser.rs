//! A browser inside a session, driven by Playwright against a server that the agent starts: what
//! agents do to look at what they build.

use super::agent::program;
use super::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::without_namespaces;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

/// Serves a page on loopback, looks at it, and then tries an address that it is given.
const SCRIPT: &str = r#"
import { createServer } from "node:http";
const { chromium } = await import(process.argv[2]);
const server = createServer((_, answer) => answer.end("<h1>Made here</h1>"));
server.listen(0, "127.0.0.1");
await new Promise((done) => server.once("listening", done));
const browser = await chromium.launch({
  executablePath: process.argv[3],
  args: ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
console.log(await page.textContent("h1"));
await page.screenshot({ path: "page.png" });
try {
  await page.goto(process.argv[4], { timeout: 10000 });
  console.log("reached: " + (await page.textContent("h1")));
} catch (error) {
  console.log("not reached: " + error.message.split("\n")[0]);
}
await browser.close();
server.close();
"#;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Answers one request after the other with a page, outside of every session.
fn server() -> Result<String> {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/", listener.local_addr()?);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<h1>Outside</h1>";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let length = page.len();
            let _ = write!(stream, "{head}Content-Length: {length}\r\n\r\n{page}");
        }
    });
    Ok(address)
}

/// What the script says, alone or in a session, and whether there is a picture afterwards.
fn look(place: &Place, mut command: Command, outside: &str) -> Result<(Vec<String>, bool)> {
    let playwright = program("playwright-core/index.mjs")?;
    let browser = std::env::var("CHROMIUM").context(
        "name a Chromium or Chrome in CHROMIUM, or run `cargo xtask test`, which installs one",
    )?;
    fs::write(place.work().join("look.mjs"), SCRIPT)?;
    let config = place.home().join(".config/chaperone");
    fs::create_dir_all(&config)?;
    let folder = playwright.trim_end_matches("/index.mjs");
    fs::write(config.join("config.toml"), format!("[filesystem]\nread = [{folder:?}]\n"))?;
    let picture = place.work().join("page.png");
    let _ = fs::remove_file(&picture);
    command.args(["look.mjs", &playwright, &browser, outside]);
    let Output { status, stdout, stderr } = command.output()?;
    let said = text(&stdout);
    anyhow::ensure!(status.success(), "{status}: {said}\n{}", text(&stderr));
    let is_picture = fs::read(&picture).is_ok_and(|bytes| bytes.starts_with(PNG));
    Ok((said.lines().map(str::to_owned).collect(), is_picture))
}

#[test]
fn a_browser_shows_what_the_agent_serves_and_reaches_nothing_else() -> Result<()> {
    let (place, outside) = (Place::new()?, server()?);
    let (alone, picture) = look(&place, place.command("node"), &outside)?;
    assert_eq!((alone, picture), (vec!["Made here".into(), "reached: Outside".into()], true));

    for (tier, place) in [("full", &place), ("reduced", &Place::short()?)] {
        let mut inside = place.chaperone(&["run", "--unattended", "--", "node"])?;
        if tier == "reduced" {
            without_namespaces(&mut inside);
        }
        let (said, picture) = look(place, inside, &outside)?;
        assert_eq!((said[0].as_str(), picture), ("Made here", true), "{tier}");
        let refused = format!("not reached: page.goto: net::ERR_CONNECTION_REFUSED at {outside}");
        assert_eq!(said[1..], [refused], "{tier}");
    }
    Ok(())
}
