//! Opens the agent's sign-in page in the person's browser, and refuses every other page.

use super::judge::Supervision;
use super::words;
use crate::agents::AgentFile;
use crate::sign_in::callback::{Callbacks, OPEN};
use crate::sign_in::{self, Page};
use chaperone_audit::NewEvent;
use chaperone_policy::{Action, Command, Decision, Origin, SourceKind, Verdict, observed};
use chaperone_sandbox::{Answer, Control, ObservedExec};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What opens a page outside, and what rules about pages are written for.
const OPENER: &str = "xdg-open";

/// One of these is set where there is a browser to open a page in.
const BROWSERS: [&str; 3] = ["DISPLAY", "WAYLAND_DISPLAY", sign_in::VARIABLE];

/// An agent does not fill the person's desktop: so many pages in this time.
const MOST: usize = 5;
const WHILE: Duration = Duration::from_mins(1);

/// What pages are opened with.
pub(crate) struct Pages {
    agent: Option<&'static AgentFile>,
    /// For a session with a loopback of its own.
    callbacks: Option<Callbacks>,
    /// When the last ones were opened.
    last: VecDeque<Instant>,
}

impl Pages {
    pub(crate) fn new(
        agent: Option<&'static AgentFile>,
        has_own_loopback: bool,
        control: &Control,
    ) -> Self {
        let callbacks = has_own_loopback.then(|| Callbacks::new(control.clone()));
        Self { agent, callbacks, last: VecDeque::new() }
    }

    /// Counts one more page; whether it is one too many.
    fn is_too_many(&mut self, now: Instant) -> bool {
        self.last.retain(|last| now.duration_since(*last) < WHILE);
        let is_full = self.last.len() >= MOST;
        if !is_full {
            self.last.push_back(now);
        }
        is_full
    }
}

/// The address that a program asks to have opened, if it is this program and asks.
pub(crate) fn asked(exec: &ObservedExec) -> Option<&str> {
    let [_, address] = exec.command.argv.as_slice() else { return None };
    (sign_in::is_address(address) && super::told::is_own(exec)).then_some(address.as_str())
}

impl Supervision<'_> {
    /// Decides about a page, records that, and opens it. The program that asked then has nothing
    /// left to do.
    pub(crate) fn open(&mut self, address: &str) -> Result<Answer, Answer> {
        let page = Page::of(self.pages.agent, address);
        let shown = page.as_ref().map_or(address, |page| page.address.as_str());
        let command = Command::from_tokens(&[OPENER, shown]);
        let action = Action::Run(command.clone());
        let (policy, now) = (self.live.policy(), Timestamp::now());
        let mut decision = self.asking.decide_at_once(&policy, now, &action);
        let would = observed(&policy, now, &action, &decision);
        let Some(page) = page else {
            return self.refuse_page(&command, self.not_opened());
        };
        if self.pages.is_too_many(Instant::now()) {
            let reason = format!(
                "{MOST} pages were opened within a minute. The person may open the address themselves."
            );
            return self.refuse_page(&command, self.about_page(Verdict::Deny, reason));
        }
        match (decision.verdict, would) {
            (_, Some(would)) => self.record(NewEvent::observed(&action, &decision, would))?,
            (Verdict::Deny, None) => return self.refuse_page(&command, decision),
            (Verdict::Ask, None) => {
                decision.verdict = Verdict::Deny;
                decision.reason.push_str(" The person may open the address themselves.");
                return self.refuse_page(&command, decision);
            }
            (Verdict::Allow, None) => {
                self.record(NewEvent::decided(&action, &self.opened()))?;
            }
        }
        if let (Some(callbacks), Some(port)) = (&self.pages.callbacks, page.callback)
            && let Err(error) = callbacks.open(port)
        {
            return Ok(Answer::Deny { message: taken(port, &error) });
        }
        match show(page.address.as_str()) {
            Ok(()) => Ok(Answer::Allow),
            Err(error) => Ok(Answer::Deny { message: not_shown(&error) }),
        }
    }

    fn refuse_page(&self, command: &Command, decision: Decision) -> Result<Answer, Answer> {
        self.record(NewEvent::decided(&Action::Run(command.clone()), &decision))?;
        let denied = words::denied(&words::command(command), &decision);
        Ok(Answer::Deny { message: self.asking.refused(command, &denied) })
    }

    fn opened(&self) -> Decision {
        self.about_page(
            Verdict::Allow,
            "It is the agent's own sign-in page, which a person fills in.".to_owned(),
        )
    }

    fn not_opened(&self) -> Decision {
        let pages = match self.pages.agent.filter(|agent| !agent.sign_in.pages.is_empty()) {
            Some(agent) => format!("No page but the sign-in page of {}", agent.title),
            None => "No page".to_owned(),
        };
        let reason = format!(
            "{pages} is opened from inside a session: an address can carry anything out. Give the \
             address to the person instead."
        );
        self.about_page(Verdict::Deny, reason)
    }

    fn about_page(&self, verdict: Verdict, reason: String) -> Decision {
        let origin = match self.pages.agent {
            Some(agent) => Origin { kind: SourceKind::AgentFile, locator: agent.name.clone() },
            None => Origin::built_in(),
        };
        Decision { verdict, rule: Some("sign_in.pages".into()), origin, reason }
    }
}

fn taken(port: u16, error: &io::Error) -> String {
    format!(
        "chaperone: the sign-in page was not opened: its answer comes to port {port} of this \
         machine, which cannot be listened on: {error}.\n  End what listens there, and sign in again."
    )
}

fn not_shown(error: &io::Error) -> String {
    let minutes = OPEN.as_secs() / 60;
    format!(
        "chaperone: no browser could be opened here: {error}.\n  The person can open the address \
         themselves: its answer reaches this session for {minutes} minutes."
    )
}

/// Shows a page in the person's browser.
fn show(address: &str) -> io::Result<()> {
    if BROWSERS.iter().all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty())) {
        return Err(io::Error::other("this machine has no display"));
    }
    let mut opener = std::process::Command::new(OPENER);
    opener.arg(address).process_group(0);
    opener.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (started, has_started) = mpsc::sync_channel(1);
    // Children of the tracing thread are the session's.
    thread::Builder::new().name("browser".into()).spawn(move || match opener.spawn() {
        Ok(mut opener) => {
            let _ = started.send(Ok(()));
            let _ = opener.wait();
        }
        Err(error) => drop(started.send(Err(error))),
    })?;
    match has_started.recv() {
        Ok(Err(error)) => Err(io::Error::new(error.kind(), format!("{OPENER}: {error}"))),
        Ok(Ok(())) => Ok(()),
        Err(mpsc::RecvError) => Err(io::Error::other("its thread ended")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_opened_as_long_as_they_are_few() {
        let mut pages = Pages { agent: None, callbacks: None, last: VecDeque::new() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let opened: Vec<_> = [0, 1, 2, 3, 4, 5, 59, 60, 60].map(at).into_iter().collect();
        let refused: Vec<_> = opened.into_iter().map(|now| pages.is_too_many(now)).collect();
        assert_eq!(refused, [false, false, false, false, false, true, true, false, true]);
    }
}
