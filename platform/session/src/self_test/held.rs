//! Attempts in a session, under the policy in force: the plan that a session here would have,
//! enforced, and every command judged as it would be where nobody attends.

use super::linux::{Run, SESSION, in_world, world};
use super::{PART, SelfTestError};
use crate::load::{Question, load};
use crate::signing::{self, Serving, Signing};
use chaperone_escape::stage::{Stage, VARIABLE};
use chaperone_escape::{Attempt, Outcome};
use chaperone_policy::{
    Action, Context, Facts, Layer, Os, Policy, SourceKind, Verdict, built_in, decide, merge,
    observed, unattended,
};
use chaperone_sandbox::{
    ActionId, AgentAccess, Answer, Excess, Judge, LaunchError, Loss, Machine, ObservedExec, Plan,
    PlanInput, RealDisk, Refusal, Stdio, Stream, Target, Tier, launch, plan,
};
use jiff::Timestamp;
use rustix::fs::MemfdFlags;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

/// What came of attempts in a session.
pub(super) struct Held {
    pub(super) policy: Arc<Policy>,
    pub(super) tier: Tier,
    pub(super) losses: Vec<Loss>,
    pub(super) outcomes: Vec<(&'static Attempt, Outcome)>,
}

/// Makes attempts one after another in one session, and those for which it may be ended in one of
/// their own: under the policy in force, or else under the built-in one. Either way with what the
/// world itself denies and keeps.
pub(super) fn hold(
    run: &Run<'_>,
    attempts: Vec<&'static Attempt>,
    in_force: bool,
) -> Result<Held, SelfTestError> {
    let (alone, together): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|it| it.alone);
    let mut sessions: Vec<Vec<&'static Attempt>> = alone.into_iter().map(|it| vec![it]).collect();
    if !together.is_empty() || sessions.is_empty() {
        sessions.insert(0, together);
    }
    let mut all: Option<Held> = None;
    for attempts in sessions {
        let held = hold_in_one(run, attempts, in_force)?;
        match &mut all {
            Some(all) => all.outcomes.extend(held.outcomes),
            None => all = Some(held),
        }
    }
    all.ok_or_else(|| SelfTestError::NotMade(String::new(), "there was no session".to_owned()))
}

fn hold_in_one(
    run: &Run<'_>,
    attempts: Vec<&'static Attempt>,
    in_force: bool,
) -> Result<Held, SelfTestError> {
    let stage = run.stage(attempts)?;
    let policy = if in_force { policy_in_force(run, &stage)? } else { policy_built_in(&stage) };
    let mut plan = planned(run, &stage, &policy)?;
    let context = context(&stage);
    let [temp, _] = stage.own();
    let agent = (signing::VARIABLE.to_owned(), stage.ssh_agent().display().to_string());
    let prepared = signing::prepare(&policy, &context, &[agent].into(), &temp);
    let signing = prepared.map_err(world("the socket for signatures"))?.signing;
    if let Some(signing) = &signing {
        signing.allow_in(&mut plan);
    }
    let session = session(&stage, &plan, &policy, signing, run);
    run.ended.check()?;
    let (written, excess) = session?;
    let mut outcomes = stage.outcomes(&written);
    drop(stage);
    run.ended.end_all();
    run.ended.check()?;
    let mut missing: Vec<&str> = Vec::new();
    for (attempt, outcome) in &mut outcomes {
        if !matches!(outcome, Outcome::Held(why) if why == "it was not made") {
            continue;
        }
        match &excess {
            Some(excess) if attempt.alone => {
                *outcome = Outcome::Held(format!("its session was ended: {excess}"));
            }
            Some(_) | None => missing.push(attempt.name),
        }
    }
    if !missing.is_empty() {
        let why = "the suite's program ended before its time".to_owned();
        return Err(SelfTestError::NotMade(missing.join(", "), why));
    }
    Ok(Held { policy, tier: plan.tier, losses: plan.losses, outcomes })
}

fn policy_in_force(run: &Run<'_>, stage: &Stage) -> Result<Arc<Policy>, SelfTestError> {
    let file = run.folder.join("world.toml");
    fs::write(&file, stage.policy()).map_err(world("the world's policy"))?;
    let question =
        Question { workspace: Some(stage.workspace()), policy: vec![file], ..Question::default() };
    let loaded = load(&question, &in_world(run.paths, &stage.home()))?;
    if let Some(blocked) = loaded.policy.blocked().first() {
        return Err(SelfTestError::Blocked(format!("{} ({})", blocked.reason, blocked.origin)));
    }
    Ok(loaded.policy)
}

fn policy_built_in(stage: &Stage) -> Arc<Policy> {
    let layer = Layer::from_toml(SourceKind::CommandLine, "world.toml", &stage.policy());
    Arc::new(merge(vec![built_in(), layer], &context(stage)))
}

fn context(stage: &Stage) -> Context {
    Context { home: stage.home(), workspace: stage.workspace(), agent: None, os: Os::Linux }
}

fn planned(run: &Run<'_>, stage: &Stage, policy: &Policy) -> Result<Plan, Refusal> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
    let environment: BTreeMap<String, String> =
        [("PATH", path.as_str()), ("LANG", "C.UTF-8"), (VARIABLE, stage.secret())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let [temp, cache] = stage.own();
    let mut control = run.paths.own();
    control.push(stage.home().join(".config/chaperone"));
    let planned = |machine: &Machine| {
        plan(PlanInput {
            outside: None,
            policy,
            machine,
            session: SESSION,
            home: &stage.home(),
            workspace: &stage.workspace(),
            temp: &temp,
            cache: &cache,
            control: &control,
            agent: &AgentAccess { read: vec![run.program.clone()], ..AgentAccess::default() },
            environment: &environment,
            disk: &RealDisk,
        })
    };
    planned(run.machine)
}

/// Runs the stage's attempts, and gives what their program wrote, and why the session was ended if
/// it was. It is written to memory: should
/// an attempt bring back what it must not, it does not reach the disk.
fn session(
    stage: &Stage,
    plan: &Plan,
    policy: &Arc<Policy>,
    signing: Option<Signing>,
    run: &Run<'_>,
) -> Result<(String, Option<Excess>), SelfTestError> {
    let memory = || rustix::fs::memfd_create("self-test", MemfdFlags::CLOEXEC);
    let mut stdout = File::from(memory().map_err(|e| world("memory for an answer")(e.into()))?);
    let null = || File::options().read(true).write(true).open("/dev/null");
    let null = || null().map_err(world("/dev/null"));
    let copy = stdout.try_clone().map_err(world("memory for an answer"))?;
    let stdio = Stdio {
        terminal: None,
        stdin: Stream::To(null()?.into()),
        stdout: Stream::To(copy.into()),
        stderr: Stream::To(null()?.into()),
    };
    let command: Vec<OsString> = [run.program.clone().into_os_string(), PART.into()]
        .into_iter()
        .chain(stage.arguments().into_iter().map(Into::into))
        .collect();
    let session = launch(None, plan, &command, stdio).and_then(|starting| starting.settle());
    let session = session.map_err(|error: LaunchError| SelfTestError::Launch(error))?;
    let signing = signing.map(|signing| signing::serve(signing, Arc::clone(policy) as _));
    let signing = signing.transpose().map_err(world("the filter for signatures"))?;
    let mut judge = ByPolicy { policy, first: true, excess: None };
    let ended = session.run(&mut judge);
    // The next session begins when no thread of this one's is at work.
    let filter = signing.map_or(Ok(()), Serving::end);
    ended?;
    filter.map_err(world("the filter for signatures"))?;
    let mut text = Vec::new();
    stdout.rewind().map_err(world("the answer"))?;
    stdout.read_to_end(&mut text).map_err(world("the answer"))?;
    Ok((String::from_utf8_lossy(&text).into_owned(), judge.excess))
}

/// Decides as a session's supervisor does where nobody attends. The session's first program, which
/// is this one, is no attempt: it runs whatever the policy says of commands.
struct ByPolicy<'a> {
    policy: &'a Policy,
    first: bool,
    excess: Option<Excess>,
}

impl Judge for ByPolicy<'_> {
    fn exec(&mut self, _: ActionId, exec: &ObservedExec) -> Answer {
        if std::mem::take(&mut self.first) {
            return Answer::Allow;
        }
        let now = Timestamp::now();
        let action = Action::Run(exec.command.clone());
        let decision = decide(self.policy, &Facts::at(now), &action);
        if observed(self.policy, now, &action, &decision).is_some() {
            return Answer::Allow;
        }
        match unattended(self.policy, decision).verdict {
            Verdict::Allow => Answer::Allow,
            Verdict::Ask | Verdict::Deny => Answer::Deny { message: "denied".into() },
        }
    }
    fn unreadable(&mut self, _: i32, _: &str) {}
    fn write(&mut self, _: i32, _: &Path) {}
    fn connect(&mut self, _: i32, _: &Target) {}
    fn withdrawn(&mut self, _: ActionId) {}
    fn stopped(&mut self) {}
    fn exceeded(&mut self, excess: &Excess) {
        self.excess = Some(excess.clone());
    }
    fn ended(&mut self) {}
}
