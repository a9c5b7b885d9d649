//! Judges what the agent does: decides by policy, records, asks, and gives the answer back.
//!
//! The order is always the same: decide, record, let it take effect. What cannot be recorded does
//! not happen.

use super::asking::{Asking, Waiter};
use super::live::Live;
use super::pages::{self, Pages};
use super::repositories::Repositories;
use super::terminal::Terminal;
use super::told::{self, Begun};
use super::{signals, words};
use crate::learn::Refused;
use chaperone_audit::{EventKind, NewEvent, Segment};
use chaperone_policy::{
    Action, Command, Decision, LimitsPolicy, Origin, Verdict, carries_out, continues, observed,
    subject, unattended,
};
use chaperone_sandbox::{
    ActionId, Answer, Control, Excess, Judge, Network, ObservedExec, Target, started,
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why what no grant covers is refused.
pub(crate) const UNGRANTED: &str = "No grant of this session covers it.";

/// What a session's decisions are made of.
pub(crate) struct Supervision<'a> {
    pub(crate) live: Arc<Live>,
    pub(crate) begun: Begun<'a>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) asking: Arc<Asking>,
    pub(crate) control: Control,
    pub(crate) pages: Pages,
    pub(crate) terminal: Option<Arc<Terminal>>,
    /// What was asked last in each process, or allowed where more follows from it, and when the
    /// process started: the program that `env` starts for a script, and what git starts to push, are
    /// the same wish, and are not asked about again.
    pub(crate) asked: HashMap<i32, (Option<u64>, Command)>,
    /// The agent's command as it was given.
    pub(crate) given: Given,
    /// Why the session was ended before its time.
    pub(crate) excess: Option<String>,
    /// What is denied, has appeared and was hidden.
    pub(crate) covered: HashSet<PathBuf>,
    /// What was made that git takes orders from.
    pub(crate) repositories: Repositories,
    /// What was refused so far, where that is to be learned from.
    pub(crate) learned: Option<Learned>,
}

/// What a session that learns hears of.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) refused: Refused,
    /// The process that became the agent: it has confined itself.
    pub(crate) agent: Option<i32>,
}

/// The agent's command as it was given, where its briefing stands in the one that is started: rules
/// are about what a person wrote, and that is what people are shown.
#[derive(Debug, Default)]
pub(crate) struct Given {
    started: Vec<String>,
    given: Vec<String>,
}

impl Given {
    pub(crate) fn new(given: &[OsString], started: &[OsString]) -> Self {
        if given == started {
            return Self::default();
        }
        let same = given.iter().zip(started).take_while(|(given, started)| given == started);
        let same = same.count();
        let text = |words: &[OsString]| {
            words.iter().skip(same).map(|word| word.to_string_lossy().into_owned()).collect()
        };
        Self { started: text(started), given: text(given) }
    }

    /// What was given, where this is what was started for it: the agent itself, or an interpreter
    /// or another program that it consists of.
    fn of(&self, exec: &ObservedExec) -> Option<ObservedExec> {
        let argv = &exec.command.argv;
        let before =
            argv.strip_suffix(self.started.as_slice()).filter(|_| !self.started.is_empty())?;
        let argv = before.iter().chain(&self.given).cloned().collect();
        let command = Command { argv, ..exec.command.clone() };
        Some(ObservedExec { command, ..exec.clone() })
    }
}

impl Supervision<'_> {
    /// Remembers a command that was asked about or denied.
    fn learn(&mut self, exec: &ObservedExec, decision: &Decision) {
        if let Some(learned) = &mut self.learned
            && decision.verdict != Verdict::Allow
        {
            learned.refused.commands.push((exec.command.clone(), decision.clone()));
        }
    }

    pub(super) fn record(&self, event: NewEvent) -> Result<(), Answer> {
        match self.segment.append(event) {
            Ok(_) => Ok(()),
            Err(error) => Err(Answer::Deny { message: words::not_recorded(&error) }),
        }
    }

    /// Records what the kernel has already refused: there is nothing left to hold back.
    fn note(&self, action: &Action, reason: String, rule: &str, by: &[String]) {
        let decision = Decision {
            verdict: Verdict::Deny,
            rule: Some(rule.to_owned()),
            origin: Origin::built_in(),
            reason,
        };
        let _ = self.segment.append(NewEvent::decided(action, &decision).asked_by(by));
    }

    /// Answers a question, which is recorded and starts nothing.
    fn answer(&self, exec: &ObservedExec, about: &Action) -> Result<Answer, Answer> {
        let decision = Decision {
            verdict: Verdict::Allow,
            rule: None,
            origin: Origin::built_in(),
            reason: "It asks what would be decided; nothing is started.".into(),
        };
        self.record(NewEvent::decided(&Action::Run(exec.command.clone()), &decision))?;
        Ok(Answer::Deny { message: self.tell(about) })
    }

    fn judge(&mut self, id: ActionId, exec: &ObservedExec) -> Result<Answer, Answer> {
        let action = Action::Run(exec.command.clone());
        let policy = self.live.policy();
        let now = Timestamp::now();
        let mut decision = self.asking.decide_at_once(&policy, now, &action);
        let before = self.asked.remove(&exec.pid);
        if decision.verdict == Verdict::Ask
            && (before.is_some_and(|(_, before)| continues(&before, &exec.command))
                || self.is_part_of_another(exec))
        {
            // It runs, so what it continues was allowed.
            decision.verdict = Verdict::Allow;
            decision.reason = "It is the next step of what was allowed a moment ago.".into();
        }
        self.learn(exec, &decision);
        if let Some(would) = observed(&policy, now, &action, &decision) {
            self.record(NewEvent::observed(&action, &decision, would))?;
            return Ok(Answer::Allow);
        }
        let asked = self.asking.somebody_is_there() || self.asking.somebody_may_come();
        if decision.verdict == Verdict::Ask && !asked {
            decision = unattended(&policy, decision);
        }
        match decision.verdict {
            Verdict::Allow => {
                self.record(NewEvent::decided(&action, &decision))?;
                if may_start_more(&exec.command) {
                    self.remember(exec);
                }
                Ok(Answer::Allow)
            }
            Verdict::Deny => {
                self.record(NewEvent::decided(&action, &decision))?;
                let denied = words::denied(&words::command(&exec.command), &decision);
                Ok(Answer::Deny { message: self.asking.refused(&exec.command, &denied) })
            }
            Verdict::Ask => {
                self.asking.ask(id, exec, &decision, &policy)?;
                self.remember(exec);
                Ok(Answer::Wait)
            }
        }
    }

    fn remember(&mut self, exec: &ObservedExec) {
        self.asked.insert(exec.pid, (started(exec.pid), exec.command.clone()));
    }

    /// Whether a process above this one is what it carries out. That one runs, so it was allowed.
    fn is_part_of_another(&self, exec: &ObservedExec) -> bool {
        let above = |pid: i32| {
            let (since, before) = self.asked.get(&pid)?;
            let is_that = since.is_some() && *since == started(pid);
            (is_that && carries_out(before, &exec.command)).then_some(())
        };
        exec.ancestors().into_iter().any(|ancestor| above(ancestor.pid).is_some())
    }
}

/// Whether a command is one that starts others to be carried out.
fn may_start_more(command: &Command) -> bool {
    // Hardly any has the word, and this is asked of each.
    command.argv.iter().any(|argument| argument == "push")
        && matches!(subject(command).as_slice(), [git, push, ..] if git == "git" && push == "push")
}

/// Variables that the session sets for all of its programs: with these values they change no command's
/// meaning, and are no reason to be asked about it each time.
const OF_EVERY_COMMAND: [&str; 5] = [
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "JAVA_TOOL_OPTIONS",
    "npm_config_cache",
];

impl Judge for Supervision<'_> {
    fn exec(&mut self, id: ActionId, exec: &ObservedExec) -> Answer {
        if let Some(learned) = &mut self.learned {
            learned.agent.get_or_insert(exec.pid);
        }
        if let Some(about) = told::question(exec) {
            return self.answer(exec, &about).unwrap_or_else(|refusal| refusal);
        }
        if let Some(address) = pages::asked(exec) {
            return self.open(address).unwrap_or_else(|refusal| refusal);
        }
        let mut exec = self.given.of(exec).unwrap_or_else(|| exec.clone());
        let own = &self.begun.plan.environment;
        exec.command.environment.retain(|(name, value)| {
            !OF_EVERY_COMMAND.contains(&name.as_str()) || own.get(name) != Some(value)
        });
        self.judge(id, &exec).unwrap_or_else(|refusal| refusal)
    }

    fn unreadable(&mut self, pid: i32, reason: &str) {
        let event = NewEvent::new(EventKind::Command).about(format!("process {pid}")).reason(
            format!("It was ended because what it would run could not be examined: {reason}"),
        );
        let _ = self.segment.append(event);
    }

    fn write(&mut self, _pid: i32, path: &Path) {
        if let Some(learned) = &mut self.learned {
            learned.refused.protected.insert(path.to_owned());
        }
        let action = Action::Write { path: path.to_owned() };
        self.note(
            &action,
            "What stands there runs later outside the sandbox, or governs it.".into(),
            "filesystem protected path",
            &[],
        );
    }

    fn refused(&mut self, _pid: i32, path: &Path) {
        let fresh = self
            .learned
            .as_mut()
            .is_some_and(|learned| learned.refused.writes.insert(path.to_owned()));
        // Programs try again and again; once is enough to learn from.
        if fresh {
            let action = Action::Write { path: path.to_owned() };
            self.note(&action, UNGRANTED.into(), "filesystem grants", &[]);
        }
    }

    fn connect(&mut self, pid: i32, target: &Target) {
        if let Some(Learned { refused, .. }) = &mut self.learned {
            match target {
                Target::Address(address) => {
                    refused.addresses.insert((address.ip().to_string(), address.port()));
                }
                Target::Socket(_) | Target::Abstract(_) => {
                    refused.sockets.insert(target.to_string());
                }
            }
        }
        let action = match target {
            Target::Address(address) => {
                Action::Connect { host: address.ip().to_string(), port: address.port() }
            }
            Target::Socket(path) => Action::Write { path: path.clone() },
            Target::Abstract(name) => Action::Write { path: format!("@{name}").into() },
        };
        let (reason, rule) = match target {
            Target::Address(_) => (
                "The session's network reaches only what `network.allow` names.",
                match self.begun.plan.network {
                    Network::Proxy { .. } => "network.mode proxy",
                    Network::None { .. } | Network::Direct => "network.mode none",
                },
            ),
            Target::Socket(_) | Target::Abstract(_) => (
                "A socket of another program would be a way around the sandbox.",
                "sockets outside the session",
            ),
        };
        let by = self.control.asker(pid).map(|holder| holder.told().to_vec());
        self.note(&action, reason.into(), rule, &by.unwrap_or_default());
    }

    fn withdrawn(&mut self, id: ActionId) {
        self.asking.withdraw(Waiter::Program(id));
    }

    fn exceeded(&mut self, excess: &Excess) {
        let policy = self.live.policy();
        let LimitsPolicy { memory, processes, open_files: _, cpu_time, wall_time } =
            policy.limits();
        let origin = match excess {
            Excess::Processes { .. } => processes.as_ref().map(|limit| &limit.origin),
            Excess::Memory { .. } => memory.as_ref().map(|limit| &limit.origin),
            Excess::CpuTime { .. } => cpu_time.as_ref().map(|limit| &limit.origin),
            Excess::WallTime { .. } => wall_time.as_ref().map(|limit| &limit.origin),
        };
        let said = match origin {
            Some(origin) => format!("{excess} ({}, {origin})", excess.key()),
            // The policy has changed since the session started, and what it started with holds.
            None => format!("{excess} ({})", excess.key()),
        };
        let event = NewEvent::finding(&format!("The session was ended: {said}."));
        // There is nothing to hold back: it ends, recorded or not.
        let _ = self.segment.append(event.detail("limit", excess.key()));
        self.segment.hasten();
        self.excess = Some(said);
    }

    fn repository(&mut self, path: &Path) {
        self.repositories.made(path);
    }

    fn moved(&mut self, from: &Path, to: &Path, exchanged: bool) {
        self.repositories.moved(from, to, exchanged);
    }

    fn unwatched(&mut self, error: &io::Error) {
        let text = format!(
            "What is denied and appears in this session is looked for once a second, as the kernel \
             does not tell of it ({error}). Until it is found, the session can read it."
        );
        let _ = self.segment.append(NewEvent::finding(&text));
    }

    fn covered(&mut self, path: &Path) {
        // Editors that save again and again would fill the history.
        if self.covered.insert(path.to_owned()) {
            let text = format!("`{}` appeared, and is hidden: it is denied.", path.display());
            let _ = self.segment.append(NewEvent::finding(&text));
        }
    }

    fn uncovered(&mut self, path: &Path, error: &io::Error) {
        let path = path.display();
        let said = format!("`{path}` is denied and appeared, and could not be hidden: {error}");
        // There is nothing to hold back: it ends, recorded or not.
        let _ = self.segment.append(NewEvent::finding(&format!("The session was ended: {said}.")));
        self.segment.hasten();
        self.excess = Some(said);
    }

    fn ended(&mut self) {
        self.segment.hasten();
        self.asking.end_unless_waiting();
    }

    fn stopped(&mut self) {
        // Where it is no shell's job, nobody would continue it, and others may be in this group.
        if let Some(terminal) = self.terminal.as_ref().filter(|own| own.is_in_foreground()) {
            let _ = self.segment.append(NewEvent::new(EventKind::Stopped));
            signals::stop_with(Some(terminal));
            let _ = self.segment.append(NewEvent::new(EventKind::Continued));
        }
        self.control.resume();
    }
}
