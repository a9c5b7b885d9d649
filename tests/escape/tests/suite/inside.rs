//! Attempts in a session: the plan that the real planner makes of the default policy and the
//! stage's, enforced, and every command judged by that policy.

use crate::users::{agent, worlds};
use chaperone_escape::stage::{Stage, VARIABLE};
use chaperone_escape::{Attempt, Outcome};
use chaperone_policy::{
    Action, Context, Facts, Layer, Os, Policy, SourceKind, Verdict, built_in, decide, merge,
};
use chaperone_sandbox::{
    ActionId, AgentAccess, Answer, Excess, Judge, Machine, ObservedExec, Outside, Plan, PlanInput,
    RealDisk, Stdio, Stream, Target, ahead, launch, plan,
};
use chaperone_session::signing::{self, Signing};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// The plan's losses, and what came of each attempt, made one after another in one session, and
/// those for which a session may be ended in one of their own.
pub(crate) fn hold(
    attempts: Vec<&'static Attempt>,
    machine: &Machine,
    network: &str,
) -> (BTreeSet<String>, Vec<(&'static Attempt, Outcome)>) {
    let (alone, together): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|it| it.alone);
    let (losses, mut outcomes) = hold_in_one(together, machine, network);
    for attempt in alone {
        outcomes.extend(hold_in_one(vec![attempt], machine, network).1);
    }
    (losses, outcomes)
}

fn hold_in_one(
    attempts: Vec<&'static Attempt>,
    machine: &Machine,
    network: &str,
) -> (BTreeSet<String>, Vec<(&'static Attempt, Outcome)>) {
    let worlds = worlds();
    let stage = Stage::new(worlds.path(), attempts, || Command::new(agent())).unwrap();
    let command = [vec![agent().display().to_string()], stage.arguments()].concat();
    let (plan, written, excess) = run(&stage, machine, network, &command);
    let losses = plan.losses.iter().map(|loss| loss.id.clone()).collect();
    let mut outcomes = stage.outcomes(&written);
    for (attempt, outcome) in &mut outcomes {
        if let (true, Some(excess)) = (attempt.alone, &excess)
            && matches!(outcome, Outcome::Held(why) if why == "it was not made")
        {
            *outcome = Outcome::Held(format!("its session was ended: {excess}"));
        }
    }
    (losses, outcomes)
}

/// What a session reads beside a denied folder, in one that it may read.
pub(crate) fn read_beside(machine: &Machine) -> String {
    let worlds = worlds();
    let stage = Stage::new(worlds.path(), Vec::new(), || Command::new(agent())).unwrap();
    let file = stage.mixed().join("open/file").display().to_string();
    run(&stage, machine, "none", &["cat".into(), file]).1
}

/// Runs a command in a session on a stage, under the stage's policy, and gives the plan, what the
/// command wrote, and why the session was ended if it was.
fn run(
    stage: &Stage,
    machine: &Machine,
    network: &str,
    command: &[String],
) -> (Plan, String, Option<Excess>) {
    let policy = policy(stage, network);
    // Whatever is let through arrives here, and leads nowhere.
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listeners = [listen(), listen()];
    let mut plan = planned(stage, &policy, machine, &listeners);
    let signing = filter(stage, &policy);
    signing.allow_in(&mut plan);
    let (written, excess) = session(command, &plan, &policy, signing);
    (plan, written, excess)
}

fn policy(stage: &Stage, network: &str) -> Policy {
    let policy = format!("{}[network]\nmode = \"{network}\"\n", stage.policy());
    let layer = Layer::from_toml(SourceKind::UserFile, "config.toml", &policy);
    assert_eq!(layer.findings(), []);
    merge(vec![built_in(), layer], &context(stage))
}

fn context(stage: &Stage) -> Context {
    Context { home: stage.home(), workspace: stage.workspace(), agent: None, os: Os::Linux }
}

/// The supervisor's filter before the stage's SSH agent.
fn filter(stage: &Stage, policy: &Policy) -> Signing {
    let [temp, _] = stage.own();
    let agent = (signing::VARIABLE.to_owned(), stage.ssh_agent().display().to_string());
    let prepared = signing::prepare(policy, &context(stage), &[agent].into(), &temp).unwrap();
    assert_eq!(prepared.troubles, [""; 0]);
    prepared.signing.unwrap()
}

fn planned(
    stage: &Stage,
    policy: &Policy,
    machine: &Machine,
    listeners: &[TcpListener; 2],
) -> Plan {
    let [proxy, carried] = listeners.each_ref().map(|listener| match listener.local_addr() {
        Ok(SocketAddr::V4(address)) => address,
        other => panic!("{other:?}"),
    });
    let environment: BTreeMap<String, String> =
        [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8"), (VARIABLE, stage.secret())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let [temp, cache] = stage.own();
    plan(PlanInput {
        outside: Some(Outside { proxy, carried }),
        policy,
        machine,
        session: "escape",
        home: &stage.home(),
        workspace: &stage.workspace(),
        temp: &temp,
        cache: &cache,
        control: &[stage.home().join(".config/chaperone")],
        agent: &AgentAccess { read: vec![agent()], ..AgentAccess::default() },
        environment: &environment,
        disk: &RealDisk,
    })
    .unwrap()
}

/// Runs a command in a session, and gives what it wrote, and why the session was ended if it was.
fn session(
    command: &[String],
    plan: &Plan,
    policy: &Policy,
    signing: Signing,
) -> (String, Option<Excess>) {
    // A process has one session at a time.
    static SESSION: Mutex<()> = Mutex::new(());
    let _one_at_a_time = SESSION.lock().unwrap_or_else(PoisonError::into_inner);
    let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    let stdio = Stdio {
        terminal: None,
        stdin: Stream::To(fs::File::open("/dev/null").unwrap().into()),
        stdout: Stream::To(stdout.try_clone().unwrap().into()),
        stderr: Stream::To(stderr.try_clone().unwrap().into()),
    };
    let command: Vec<_> = command.iter().map(Into::into).collect();
    let session = launch(ahead(), plan, &command, stdio).unwrap().settle().unwrap();
    let serving = signing::serve(signing, Arc::new(policy.clone())).unwrap();
    let mut judge = ByPolicy(policy, None);
    session.run(&mut judge).unwrap();
    serving.end().unwrap();
    let read = |file: &mut fs::File| {
        let mut text = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    let said = read(&mut stderr);
    if std::env::var_os("ESCAPE_SHOW").is_some() {
        println!("{said}");
    }
    (read(&mut stdout), judge.1)
}

/// Decides as a session's supervisor does where nobody attends.
struct ByPolicy<'a>(&'a Policy, Option<Excess>);

impl Judge for ByPolicy<'_> {
    fn exec(&mut self, _: ActionId, exec: &ObservedExec) -> Answer {
        let facts = Facts::at(jiff::Timestamp::now());
        match decide(self.0, &facts, &Action::Run(exec.command.clone())).verdict {
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
        self.1 = Some(excess.clone());
    }
    fn ended(&mut self) {}
}
