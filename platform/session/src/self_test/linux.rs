//! Runs the escape suite here: group by group, outside first and then inside.
//!
//! Everything happens in worlds below one private folder, which goes at the end, with whatever the
//! attempts left running. SIGINT and its like end the attempts; the rest then follows by itself.

use super::held::{Held, hold};
use super::outside::{Ended, prove, prove_together};
use super::report::{Counts, Host, InForce, KIND, Report, VERSION, Verdict, Way, kernel};
use super::{PART, SelfTestError, Step};
use crate::id::new_session_id;
use crate::paths::Paths;
use crate::supervisor::temp::Temp;
use chaperone_escape::stage::Stage;
use chaperone_escape::{Attempt, Group, Known, Needs, Outcome};
use chaperone_policy::{Policy, SourceKind};
use chaperone_sandbox::{Loss, Machine, Tier, probe};
use jiff::Timestamp;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a session of a self-test is called; its program does nothing in any other.
pub(super) const SESSION: &str = "self-test";

/// The variable that names the session.
pub(super) const VARIABLE: &str = "CHAPERONE_SESSION";

/// Runs the suite on this machine, as this user, under the policy in force. `heard` is told of each
/// step.
///
/// # Errors
/// [`SelfTestError`]; nothing of it is left then either.
pub fn self_test(paths: &Paths, heard: &mut dyn FnMut(Step)) -> Result<Report, SelfTestError> {
    if let Some(session) = std::env::var_os(VARIABLE) {
        return Err(SelfTestError::InsideSession(session.to_string_lossy().into_owned()));
    }
    let ended = Ended::watch().map_err(world("signals cannot be taken"))?;
    let begun = Instant::now();
    let now = Timestamp::now();
    let time = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let machine = probe();
    let temp = Temp::create(&paths.temp(), &new_session_id(time)?)
        .map_err(world(format!("a private folder in {}", paths.temp().display())))?;
    let run = Run {
        paths,
        program: std::env::current_exe().map_err(world("this program cannot be found"))?,
        folder: temp.path().to_owned(),
        protocols: std::fs::read_to_string("/proc/net/protocols").unwrap_or_default(),
        is_root: nix::unistd::geteuid().is_root(),
        machine: &machine,
        ended: &ended,
    };
    let mut ways = Vec::new();
    let mut said = None;
    for (done, group) in Group::ALL.into_iter().enumerate() {
        let step = Step { group: group.title(), done, of: Group::ALL.len(), outside: true };
        heard(step);
        let tried = run.group(group, &mut || heard(Step { outside: false, ..step }))?;
        ways.extend(tried.0);
        said = said.or(tried.1);
    }
    ended.end_all();
    // Groups of which nothing can be tried here have no session; all of them is no machine at all.
    let Some(Said { policy, tier }) = said else {
        let what = "every attempt".to_owned();
        return Err(SelfTestError::NotMade(what, "none succeeds outside of a session".to_owned()));
    };
    let counts = Counts::of(&ways);
    Ok(Report {
        v: VERSION,
        kind: KIND,
        time,
        seconds: begun.elapsed().as_secs(),
        chaperone: env!("CARGO_PKG_VERSION").to_owned(),
        machine: Host {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: kernel(),
        },
        user: crate::user_name(),
        policy,
        tier,
        capabilities: machine.clone(),
        losses: machine.losses(),
        result: if counts.out == 0 { Verdict::Held } else { Verdict::Out },
        counts,
        attempts: ways,
        key: None,
    })
}

/// What this program does when it is started with [`PART`]: it makes attempts or stands for
/// victims. It has no right that whoever starts it lacks, and what it does in a session is judged
/// and enforced like everything else there.
///
/// # Errors
/// Outside of a self-test, and when the arguments make no sense.
pub fn part(arguments: &[String]) -> io::Result<()> {
    if std::env::var_os(VARIABLE).is_none_or(|session| session != SESSION) {
        return Err(io::Error::other("this is a part of `chaperone self-test`; run that instead"));
    }
    // Whoever started this takes its signals another way.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    chaperone_escape::agent::main(arguments)
}

/// What a group attacks, for people.
pub fn title(group: &str) -> &'static str {
    let named = Group::ALL.into_iter().find(|it| it.id() == group);
    named.map_or("", Group::title)
}

pub(super) fn world(what: impl Into<String>) -> impl FnOnce(io::Error) -> SelfTestError {
    let what = what.into();
    move |source| SelfTestError::World { what, source }
}

/// What the first session said of itself; the others are no different.
struct Said {
    policy: InForce,
    tier: Tier,
}

/// What all groups share.
pub(super) struct Run<'a> {
    pub(super) paths: &'a Paths,
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    protocols: String,
    pub(super) is_root: bool,
    pub(super) machine: &'a Machine,
    pub(super) ended: &'a Ended,
}

impl Run<'_> {
    /// A world for these attempts.
    pub(super) fn stage(&self, attempts: Vec<&'static Attempt>) -> Result<Stage, SelfTestError> {
        Stage::new(&self.folder, attempts, || {
            let mut command = std::process::Command::new(&self.program);
            command.arg(PART).env(VARIABLE, SESSION);
            command
        })
        .map_err(world("what the attempts aim at could not be made"))
    }

    fn group(
        &self,
        group: Group,
        inside: &mut dyn FnMut(),
    ) -> Result<(Vec<Way>, Option<Said>), SelfTestError> {
        let mut settled: Vec<(&'static str, Verdict, String)> = Vec::new();
        let mut makeable = Vec::new();
        for attempt in group.attempts() {
            let name = attempt.name;
            let disturbs = attempt.disturbs.and_then(|disturbs| disturbs.here(&self.protocols));
            match (disturbs, attempt.needs) {
                (Some(why), _) => settled.push((name, Verdict::LeftOut, why)),
                (None, Needs::User) if self.is_root => {
                    settled.push((name, Verdict::NotApplicable, "root gains nothing by it".into()));
                }
                (None, _) => makeable.push(attempt),
            }
        }
        let mut proved = Vec::new();
        for (attempt, together) in prove_together(self, makeable)? {
            // One attempt's success may be in another's way: it then has a world of its own.
            let alone = attempt.needs != Needs::Root || self.is_root;
            let outcome = match together {
                Outcome::Held(_) if alone => prove(self, attempt)?,
                outcome => outcome,
            };
            match outcome {
                Outcome::Out => proved.push(attempt),
                Outcome::Held(why) => {
                    settled.push((attempt.name, Verdict::NotApplicable, needed(attempt, &why)));
                }
            }
        }
        inside();
        let held = match proved.is_empty() {
            true => None,
            false => Some(hold(self, proved, true)?),
        };
        let got_out = |held: &Held| -> Vec<&'static Attempt> {
            let unnamed = |attempt: &Attempt| !is_known(attempt, held);
            let out = held.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Out);
            out.map(|(attempt, _)| *attempt).filter(|attempt| unnamed(attempt)).collect()
        };
        let mut by_machine = BTreeSet::new();
        if let Some(out) = held.as_ref().map(got_out).filter(|out| !out.is_empty()) {
            let built_in = hold(self, out, false)?;
            by_machine.extend(got_out(&built_in).into_iter().map(|attempt| attempt.name));
        }
        // In the machine's words: a plan names the paths of its world, which is gone afterwards.
        let lost = self.machine.losses();
        let ways = group.attempts().iter().map(|attempt| {
            let way = Way {
                group: group.id(),
                name: attempt.name,
                technique: attempt.technique,
                result: Verdict::Held,
                why: String::new(),
                cause: None,
                meaning: String::new(),
                remedy: String::new(),
            };
            if let Some((_, result, why)) = settled.iter().find(|(name, ..)| *name == attempt.name)
            {
                return Way { result: *result, why: why.clone(), ..way };
            }
            let outcome = held.as_ref().and_then(|held| {
                let mut outcomes = held.outcomes.iter();
                outcomes.find(|(other, _)| other.name == attempt.name).map(|it| (it, held))
            });
            match outcome {
                Some(((_, Outcome::Held(why)), _)) => Way { why: why.clone(), ..way },
                Some(((_, Outcome::Out), held)) if is_known(attempt, held) => {
                    known(way, attempt, &lost)
                }
                _ => out(way, by_machine.contains(attempt.name)),
            }
        });
        let ways = ways.collect();
        let said = held.map(|held| Said { policy: in_force(&held.policy), tier: held.tier });
        Ok((ways, said))
    }
}

fn is_known(attempt: &Attempt, held: &Held) -> bool {
    let losses = held.losses.iter().map(|loss| loss.id.clone()).collect();
    attempt.is_known(&losses)
}

/// Why an attempt does not succeed outside, with what it would take.
fn needed(attempt: &Attempt, why: &str) -> String {
    match attempt.needs {
        Needs::Nothing => why.to_owned(),
        Needs::Root => format!("it takes a privileged user ({why})"),
        Needs::User => format!("it takes an ordinary user ({why})"),
        Needs::Machine(what) => format!("it takes {what} ({why})"),
    }
}

/// What got out as was said that it would.
fn known(way: Way, attempt: &Attempt, losses: &[Loss]) -> Way {
    let left = |words: &str| {
        (
            Some("left".to_owned()),
            format!("Every sandbox of this tier leaves it: \"{words}\", as the threat model says."),
            "None; see \"What is left\" in the threat model.".to_owned(),
        )
    };
    let (cause, meaning, remedy) = match attempt.known {
        Some(Known::Loss(id)) => match losses.iter().find(|loss| loss.id == id) {
            Some(loss) => (Some(id.to_owned()), loss.detail.clone(), loss.fix.clone()),
            None => (Some(id.to_owned()), String::new(), String::new()),
        },
        Some(Known::Left(words)) => left(words),
        None => (None, String::new(), String::new()),
    };
    Way { result: Verdict::Known, cause, meaning, remedy, ..way }
}

/// What got out unforeseen: through the policy, which held it elsewhere, or through the machine.
fn out(way: Way, by_machine: bool) -> Way {
    let (cause, meaning, remedy) = match by_machine {
        true => (
            "machine",
            "It gets out on this machine under the built-in policy as well: the sandbox does not \
             hold it here.",
            "Do not run agents here that you do not trust. Update Chaperone and the kernel, run \
             `chaperone doctor`, and send this report to the maintainers in private.",
        ),
        false => (
            "policy",
            "The policy in force lets it out; under the built-in policy it is held.",
            "See `chaperone policy show` for what grants it, and take that away unless it is meant.",
        ),
    };
    Way {
        result: Verdict::Out,
        cause: Some(cause.to_owned()),
        meaning: meaning.to_owned(),
        remedy: remedy.to_owned(),
        ..way
    }
}

/// The policy as the report has it: without the layers of the suite's own world.
fn in_force(policy: &Policy) -> InForce {
    let worlds = [SourceKind::CommandLine, SourceKind::WorkspaceFile];
    let layers = policy.layers().iter().filter(|layer| !worlds.contains(&layer.kind));
    let layers: Vec<_> = layers.map(|layer| layer.summary()).collect();
    let mut hasher = Sha256::new();
    for layer in &layers {
        let digest = layer.digest.as_deref().unwrap_or("-");
        hasher.update(format!(
            "{} {} {} {digest}\n",
            layer.kind,
            layer.locator,
            layer.status.word()
        ));
    }
    let digest = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    InForce {
        revision: policy.revision().map(ToOwned::to_owned),
        digest,
        mode: policy.mode(Timestamp::now()),
        layers,
    }
}

/// The policy's paths, but with the world's home: what `~` names is what the attempts aim at.
pub(super) fn in_world(paths: &Paths, home: &Path) -> Paths {
    Paths { home: home.to_owned(), ..paths.clone() }
}
