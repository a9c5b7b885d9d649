//! The real window, driven by WebDriver on a display of its own, against a real session.

#![cfg(target_os = "linux")]

mod keys;
mod stage;
mod webdriver;

use anyhow::{Context, Result, ensure};
use chaperone_tests::{eventually, with_names};
use stage::{Running, Stage, screenshots};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use webdriver::{ENTER, Window};

/// What an agent would do: publish, read the answer, and try again.
const AGENT: &str = "\
git push origin main
echo first push: $?
git push origin main
echo second push: $?
";

#[test]
fn a_person_answers_requests_in_the_real_window() -> Result<()> {
    let stage = Stage::new()?;
    let remote = repository(&stage)?;
    let window = stage.window()?;
    window.wait("[data-testid=home]")?;
    in_both_themes(&window, "home-fresh")?;
    window.press('2')?;
    window.wait("[data-testid=requests]")?;
    watch_cards(&window)?;

    let output = stage.home().join("agent-output");
    let mut session = start(&stage, &output)?;

    // A card has just appeared: a click answers nothing.
    window.wait("[data-request]").with_context(|| said(&output))?;
    window.find(ALLOW_ONCE)?.click()?;
    let age = window.script("return window.clicked - window.appeared", &[])?;
    let age = age.as_f64().context("no click reached the card")?;
    ensure!(age < 600.0, "this machine is too slow to click within 600 ms of a card ({age} ms)");
    window.wait_for_text("Nothing was answered")?;
    ensure!(waiting(&stage)? == 1, "a click {age} ms after the card's appearance answered it");
    ensure!(refs(&remote)?.is_empty(), "something was published before an answer");
    in_both_themes(&window, "requests")?;
    window.press('1')?;
    window.wait_for_text("1 waiting")?;
    in_both_themes(&window, "home-running")?;
    window.press('2')?;

    // Once it has stood there, the same click lets the command run.
    window.wait("[data-request][data-ready=true]")?;
    let first = asked(&window)?;
    window.find(ALLOW_ONCE)?.click()?;
    eventually("the push to arrive", || refs(&remote).ok().filter(|refs| !refs.is_empty()))?;

    // The second one is denied by keyboard, with a note that the agent reads.
    eventually("a second card", || asked(&window).ok().filter(|second| *second != first))?;
    window.wait("[data-request][data-ready=true]")?;
    window.press('n')?;
    window.wait("[data-testid=request-note]:focus")?.type_text("open a pull request instead")?;
    in_both_themes(&window, "requests-note")?;
    window.wait("[data-testid=request-note]")?.click()?;
    window.press(ENTER)?;
    ensure!(session.ended("the session to end")?.success(), "the agent itself did not fail");
    let said = said(&output);
    ensure!(said.contains("first push: 0"), "the first push failed:\n{said}");
    ensure!(said.contains("open a pull request instead"), "the agent read no note:\n{said}");
    ensure!(said.contains("second push: 126"), "a denied command ends with 126:\n{said}");
    in_both_themes(&window, "requests-answered")?;

    // Activity tells both, with who answered and why.
    window.press('3')?;
    window.wait_for_text("open a pull request instead")?;
    window.wait_for_text("Allowed by")?;
    window.wait_for_text("It publishes")?;
    in_both_themes(&window, "activity")?;
    window.press('4')?;
    window.wait_for_text("commands.rule")?;
    in_both_themes(&window, "rules")?;
    window.press('1')?;
    window.wait("[data-testid=home]")?;
    in_both_themes(&window, "home")
}

/// What an agent would do: one command that needs two hosts, one of them doubtful.
const FETCHES: &str = "\
sh -c 'curl -sS http://files.example:PORT/ & curl -sS http://x7.duckdns.org:PORT/ & wait'
echo then: $(curl -sS http://files.example:PORT/)
";

#[test]
fn a_person_chooses_among_the_hosts_of_a_command_in_the_real_window_and_curl_goes_on() -> Result<()>
{
    let stage = Stage::new()?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            // One read has the head of these short requests; curl may have gone.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
        }
    });
    let folder = stage.home().join(".config/chaperone");
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("config.toml"),
        format!("[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\"]\n"),
    )?;
    let window = stage.window()?;
    window.wait("[data-testid=home]")?;
    window.press('2')?;
    window.wait("[data-testid=requests]")?;

    let output = stage.home().join("agent-output");
    let names = stage.home().join("hosts");
    fs::write(&names, "127.0.0.1 localhost files.example x7.duckdns.org\n")?;
    fs::write(stage.workspace().join("agent.sh"), FETCHES.replace("PORT", &port.to_string()))?;
    let out = File::create(&output)?;
    let mut run = stage.chaperone();
    run.args(["run", "--", "sh", "agent.sh"]).stdout(out.try_clone()?).stderr(out);
    with_names(&mut run, &names);
    let mut session = Running::start(run.stdin(Stdio::null()), "chaperone run")?;

    eventually("a card with both hosts", || {
        let hosts = window
            .script("return document.querySelectorAll('[data-testid=host] input').length", &[]);
        hosts.ok().filter(|hosts| *hosts == 2)
    })
    .with_context(|| said(&output))?;
    window.wait("[data-request][data-ready=true]")?;
    in_both_themes(&window, "requests-hosts")?;
    let chosen = window.script(
        "return [...document.querySelectorAll('[data-testid=host]')]
            .filter((host) => host.querySelector('input').checked)
            .map((host) => host.textContent)",
        &[],
    )?;
    let chosen = chosen.to_string();
    ensure!(chosen.contains("files.example") && !chosen.contains("duckdns"), "{chosen}");
    window.find("[data-testid=allow-session]")?.click()?;
    ensure!(session.ended("the session to end")?.success(), "the agent itself did not fail");
    let said = said(&output);
    ensure!(said.contains("hello\n"), "the host that was chosen did not answer:\n{said}");
    ensure!(said.contains("x7.duckdns.org:"), "the other was not refused:\n{said}");
    ensure!(said.contains("then: hello"), "the answer did not hold for the session:\n{said}");
    window.press('3')?;
    window.wait_for_text("files.example")?;
    Ok(())
}

#[test]
fn the_demo_starts_from_the_first_page() -> Result<()> {
    let stage = Stage::new()?;
    let window = stage.window()?;
    window.wait("[data-testid=start-demo]")?.click()?;
    eventually("the demo to ask", || {
        (window.find("[data-testid=badge]").ok()?.text().ok()?.contains('1')).then_some(())
    })?;
    window.press('2')?;
    window.wait_for_text("git push origin main")?;
    window.wait("[data-request][data-ready=true]")?;
    window.press('d')?;
    eventually("the demo to end", || (waiting(&stage).ok()? == 0).then_some(()))?;
    window.press('3')?;
    window.wait_for_text("Denied by you")?;
    window.wait_for_text("Ended with exit 0")?;
    in_both_themes(&window, "activity-demo")
}

#[test]
fn a_killed_window_hangs_no_agent() -> Result<()> {
    let stage = Stage::new()?;
    let remote = repository(&stage)?;
    let window = stage.window()?;
    window.wait("[data-testid=home]")?;
    let output = stage.home().join("agent-output");
    let mut session = start(&stage, &output)?;
    window.press('2')?;
    window.wait("[data-request]")?;
    drop(window);
    session.ended("the session to end without its window")?;
    let said = said(&output);
    ensure!(said.contains("second push: 126"), "nobody answered, and it was not denied:\n{said}");
    ensure!(refs(&remote)?.is_empty(), "something was published that nobody allowed");
    Ok(())
}

const ALLOW_ONCE: &str = "[data-testid=allow-once]";

/// A repository with one commit, and a remote inside the workspace so that a push can succeed.
fn repository(stage: &Stage) -> Result<std::path::PathBuf> {
    let work = stage.workspace();
    let remote = work.join("remote.git");
    let git = |arguments: &[&str]| -> Result<()> {
        let mut git = Command::new("git");
        git.current_dir(&work).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]);
        let done = git.args(arguments).env("HOME", stage.home()).output()?;
        ensure!(
            done.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    };
    git(&["init", "--quiet", "--initial-branch", "main"])?;
    git(&["init", "--quiet", "--bare", "remote.git"])?;
    fs::write(work.join(".gitignore"), "remote.git\n")?;
    fs::write(work.join("README.md"), "An example.\n")?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "Begin"])?;
    git(&["remote", "add", "origin", "./remote.git"])?;
    Ok(remote)
}

fn start(stage: &Stage, output: &Path) -> Result<Running> {
    fs::write(stage.workspace().join("agent.sh"), AGENT)?;
    let out = File::create(output)?;
    let mut run = stage.chaperone();
    run.args(["run", "--", "sh", "agent.sh"]).stdout(out.try_clone()?).stderr(out);
    Running::start(run.stdin(Stdio::null()), "chaperone run")
}

/// What the agent and `chaperone run` have printed so far.
fn said(output: &Path) -> String {
    format!("the session printed:\n{}", fs::read_to_string(output).unwrap_or_default())
}

/// What is published: the branches of the remote.
fn refs(remote: &Path) -> Result<String> {
    let refs = Command::new("git").arg("-C").arg(remote).args(["for-each-ref"]).output()?;
    Ok(String::from_utf8(refs.stdout)?)
}

/// How many requests wait, as another client of the session sees it.
fn waiting(stage: &Stage) -> Result<usize> {
    let list = stage.chaperone().args(["approvals", "list", "--json"]).output()?;
    ensure!(list.status.success(), "approvals list: {}", String::from_utf8_lossy(&list.stderr));
    let lines = String::from_utf8(list.stdout)?;
    Ok(lines.lines().filter(|line| line.contains("\"waiting\":true")).count())
}

/// The request that is shown.
fn asked(window: &Window) -> Result<String> {
    let id =
        window.script("return document.querySelector('[data-request]').dataset.request", &[])?;
    Ok(id.as_str().context("no request is shown")?.to_owned())
}

/// Notes when a card appears and when a click reaches the page.
fn watch_cards(window: &Window) -> Result<()> {
    let script = "
        const look = () => {
            if (!window.appeared && document.querySelector('[data-request]')) {
                window.appeared = performance.now();
            }
        };
        new MutationObserver(look).observe(document, { childList: true, subtree: true });
        addEventListener('click', () => { window.clicked = performance.now(); }, true);
    ";
    window.script(script, &[]).map(drop)
}

/// Saves the page as it is in the light and in the dark theme.
fn in_both_themes(window: &Window, name: &str) -> Result<()> {
    for theme in ["light", "dark"] {
        while !shown_theme(window)?.contains(theme) {
            let before = shown_theme(window)?;
            window.find(THEME)?.click()?;
            eventually("another theme", || shown_theme(window).ok().filter(|now| *now != before))?;
        }
        // Without the ring around the button that was clicked, and when all colours have changed.
        let still = "document.activeElement.blur(); return document.getAnimations().length === 0";
        eventually("a page that stands still", || {
            window.script(still, &[]).ok().filter(|still| *still == true)
        })?;
        window.screenshot(&screenshots()?.join(format!("{name}-{theme}.png")))?;
    }
    Ok(())
}

const THEME: &str = "[data-testid=theme]";

fn shown_theme(window: &Window) -> Result<String> {
    window.find(THEME)?.text()
}
