//! One session from start to end: policy, plan, history, sandbox, requests, terminal.
//!
//! `judge` decides and records, `asking` asks, `network` lets out, `signatures` decides what git
//! signs, `terminal`, `signals` and `announce` stand between the agent and the person.

mod announce;
mod asking;
mod briefing;
mod bundle;
mod exit;
mod judge;
mod learning;
mod live;
mod network;
mod pages;
mod refusals;
mod repositories;
mod signals;
mod signatures;
pub(crate) mod temp;
mod terminal;
mod told;
mod trust;
mod upstream;
mod vault;
mod words;

use crate::agents::{self, Briefed};
use crate::credentials::Credentials;
use crate::credentials_of;
use crate::git::branch;
use crate::grants::Grants;
use crate::id::new_session_id;
use crate::inside::GIT_SSH;
use crate::known::Known;
use crate::learn::{Proposal, propose};
use crate::load::{LoadError, Loaded, Question, environment, load};
use crate::memory::prepare_memory;
use crate::paths::{Paths, private_dir};
use crate::sign_in;
pub(crate) use crate::signing::check as check_signing;
use crate::signing::{self, Signing};
use announce::Announcer;
use asking::{Asking, Ground, open};
use briefing::{About, briefing};
use chaperone_approvals::{Approvals, Began, SessionInfo, shell_words};
use chaperone_audit::{NewEvent, Redactor, Segment, Start, Store};
use chaperone_egress::Trust;
use chaperone_policy::{Mode, NetworkMode, Policy};
use chaperone_sandbox::{
    AgentAccess, Ahead, Exit, LaunchError, Machine, Network, Plan, PlanInput, RealDisk, Refusal,
    Refusals, Session, Starting, Stdio, Stream, TerminalSize, Tier, TraceError, ahead, assume,
    launch, plan, probe,
};
use jiff::Timestamp;
use judge::{Given, Learned, Supervision};
use learning::{offered, refused};
use live::Live;
use network::Gate;
use pages::Pages;
use repositories::Repositories;
use signatures::Signatures;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terminal::{Streams, Terminal};
use told::Begun;
use upstream::Upstream;
use vault::{Uses, Vault, VaultError};

/// What to run, and how.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The command, its folder, its agent and the policy files beside those of the machine.
    pub question: Question,
    /// Nobody is asked: what would ask becomes what the policy says for unattended sessions.
    pub unattended: bool,
}

/// Why a session did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It would run inside another session, where no sandbox can be set up.
    #[error(
        "this is already inside session {0}: a session does not start another; run the command as it is, it is governed here"
    )]
    InsideSession(String),
    /// No command was given.
    #[error("there is no command to run; say `chaperone run -- COMMAND`")]
    NoCommand,
    /// The policy in force could not be told.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The policy in force cannot be trusted to be whole.
    #[error("the policy is not whole, so no agent starts: {0}")]
    Blocked(String),
    /// The plan says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The agent wants its own sandbox inside ours.
    #[error(transparent)]
    Insists(#[from] agents::Insists),
    /// The agent's state could not be prepared.
    #[error("the state of {agent} could not be prepared: {source}")]
    State {
        /// The agent's title.
        agent: String,
        /// What failed.
        source: agents::SeedError,
    },
    /// A folder or stream of Chaperone's own.
    #[error("{what}: {source}")]
    Own {
        /// What it is.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The history cannot be written: what cannot be recorded does not happen.
    #[error("the history cannot be written, so no agent starts: {0}")]
    History(#[from] chaperone_audit::Error),
    /// The socket for requests.
    #[error("nobody could be asked, so no agent starts: {0}")]
    Approvals(#[from] chaperone_approvals::Error),
    /// The sandbox could not be set up.
    #[error("the sandbox could not be set up: {0}")]
    Launch(#[from] LaunchError),
    /// The operating system gives no random bytes for a session's name.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The session's credentials cannot be prepared.
    #[error("the session's credentials cannot be prepared: {0}")]
    Vault(#[from] VaultError),
    /// Watching over the session failed.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

fn own(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |source| StartError::Own { what, source }
}

/// What reading and merging 500 rules takes, in bytes.
const READY: usize = 640 << 10;

/// Runs one session on the calling thread, which becomes the one that traces it, and returns the
/// exit status for `chaperone run`: the agent's own, or 128 and the number of the signal that
/// ended it. No other thread may be at work when it is called.
///
/// # Errors
/// When the session could not be started, or not be watched over to its end.
pub fn run(options: &RunOptions, paths: &Paths) -> Result<u8, StartError> {
    run_session(options, paths, None)
}

/// Does something with a proposal, and tells whether it was applied.
type Offer<'a> = &'a mut dyn FnMut(&Proposal) -> bool;

/// The same for a session that is learned from: what is refused stays refused, and is offered as a
/// change of the user's own policy when the session has ended.
///
/// # Errors
/// As [`run`].
pub fn learn(options: &RunOptions, paths: &Paths, offer: Offer<'_>) -> Result<u8, StartError> {
    run_session(options, paths, Some(offer))
}

fn run_session(
    options: &RunOptions,
    paths: &Paths,
    offer: Option<Offer<'_>>,
) -> Result<u8, StartError> {
    if let Some(session) = std::env::var_os("CHAPERONE_SESSION") {
        return Err(StartError::InsideSession(session.to_string_lossy().into_owned()));
    }
    if options.question.command.is_empty() {
        return Err(StartError::NoCommand);
    }
    let ahead = ahead();
    prepare_memory(READY);
    signals::block().map_err(own("signals cannot be blocked"))?;
    let mut loaded = load(&options.question, paths)?;
    if bundle::is_all_that_is_missing(&loaded.policy) {
        signals::unblocked(|| bundle::fetch(&loaded));
        loaded = load(&options.question, paths)?;
    }
    // The process ends with it: to free thousands of small pieces first would only take time.
    let loaded = ManuallyDrop::new(loaded);
    if let Some(blocked) = loaded.policy.blocked().first() {
        return Err(StartError::Blocked(format!("{} ({})", blocked.reason, blocked.origin)));
    }
    let id = new_session_id(Timestamp::now())?;
    let command = match loaded.agent {
        Some(agent) => agents::command(agent, &options.question.command, &loaded.workspace)?,
        None => options.question.command.clone(),
    };
    let refusals = offer.is_some().then(Refusals::watch);
    let mut prepared = Prepared::new(&id, &loaded, &command, paths, offer.is_some())?;
    let streams = Streams::of_this_process();

    let machine = assume();
    let mut plan = prepared.plan(&machine)?;
    warn(&loaded.policy, &plan, &machine);
    say(&prepared.troubles);
    let mut told = prepared.brief(&mut plan, &command, options)?;
    let starting = start(ahead, &plan, &told.command, streams);
    // While the sandbox is set up, the disk keeps the beginning and the socket is made.
    let segment = Arc::new(begin(&id, &loaded, &plan, options, paths, offer.is_some())?);
    let opening = |plan: &Plan| {
        let info = info(&id, &loaded, plan, options);
        open(info, &paths.runtime, &loaded.policy, patience(&loaded))
    };
    let mut opened = opening(&plan);
    let launched = match starting.and_then(settle) {
        // What was assumed of the machine does not hold: find out what does, and plan anew.
        Err(StartError::Launch(LaunchError::Capability { .. })) => {
            let machine = probe();
            prepared.plan(&machine).and_then(|anew| {
                plan = anew;
                warn(&loaded.policy, &plan, &machine);
                told = prepared.brief(&mut plan, &command, options)?;
                if let Ok(untrue) = &opened {
                    untrue.end();
                }
                opened = opening(&plan);
                let event = NewEvent::finding("The full set-up failed; planned anew.")
                    .detail("tier", plan.tier.to_string());
                segment.append(event)?;
                start(None, &plan, &told.command, streams).and_then(settle)
            })
        }
        other => other,
    };
    let ended = launched.and_then(|session| {
        let given = Given::new(&command, &told.command);
        supervise(session, opened?, &plan, given, &mut prepared, options, &segment)
    });
    match ended {
        Ok((status, learned)) => {
            if let (Some(learned), Some(offer)) = (learned, offer) {
                let refused = refused(learned, refusals, &segment)?;
                let question = &options.question;
                offered(&propose(&refused, &loaded, question, paths), offer, &segment)?;
            }
            segment.end(NewEvent::session_end(i32::from(status)))?;
            Ok(status)
        }
        Err(error) => {
            let event = NewEvent::session_end(125).reason(error.to_string());
            let _ = segment.end(event); // the error that counts is on its way already
            Err(error)
        }
    }
}

/// What a plan is made from, but for the machine.
struct Prepared<'a> {
    id: &'a str,
    loaded: &'a Loaded,
    paths: &'a Paths,
    access: AgentAccess,
    environment: BTreeMap<String, String>,
    temp: temp::Temp,
    cache: PathBuf,
    control: Vec<PathBuf>,
    /// What listens for a session without a network of its own, once that was planned.
    outside: Cell<Option<network::Listeners>>,
    /// How the agent calls this program.
    program: String,
    signing: Option<Signing>,
    vault: Option<Vault>,
    credentials: Arc<Credentials>,
    /// Whom hosts, and an upstream proxy, have to prove themselves to.
    trust: Arc<Trust>,
    /// What its programs trust beside what the system does, as PEM.
    certificates: String,
    /// What a person should know before the agent starts.
    troubles: Vec<String>,
    learns: bool,
}

impl<'a> Prepared<'a> {
    fn new(
        id: &'a str,
        loaded: &'a Loaded,
        command: &[OsString],
        paths: &'a Paths,
        learns: bool,
    ) -> Result<Self, StartError> {
        let environment = environment();
        let mut access = match loaded.agent {
            Some(agent) => {
                let state = paths.agent_state(&agent.name);
                private_dir(&state).map_err(own(format!("the state of {}", agent.title)))?;
                agents::seed(agent, &paths.home, &environment, &state)
                    .map_err(|source| StartError::State { agent: agent.title.clone(), source })?
            }
            None => AgentAccess::default(),
        };
        let control = paths.own_and_shared();
        // What is there can be hidden. The person's own configuration is theirs to begin.
        for folder in control.iter().filter(|folder| **folder != paths.config) {
            private_dir(folder).map_err(own(format!("the folder {}", folder.display())))?;
        }
        let is_own = |path: &PathBuf| {
            let resolved = control.iter().filter_map(|own| own.canonicalize().ok());
            control.iter().cloned().chain(resolved).any(|own| path.starts_with(own))
        };
        let program = agents::program(command, loaded.agent, &environment, &paths.home);
        // What is Chaperone's own, another agent's sign-in among it, is no program.
        access.read.extend(program.into_iter().filter(|path| !is_own(path)));
        let program = own_program();
        if Path::new(&program).is_absolute() {
            access.read.push(program.clone().into());
        }
        let cache = paths.agent_cache(loaded.agent.map_or("any", |agent| &agent.name));
        private_dir(&cache).map_err(own(format!("the cache folder {}", cache.display())))?;
        let temp = temp::Temp::create(&paths.temp(), id)
            .map_err(own(format!("a temporary folder in {}", paths.temp().display())))?;
        let context = &loaded.ground.context;
        let signing::Prepared { signing, mut troubles } =
            signing::prepare(&loaded.policy, context, &environment, temp.path())
                .map_err(own("the socket for signatures"))?;
        let mut certificates = trust::added(&loaded.policy, &loaded.workspace, &mut troubles);
        let credentials = Arc::new(credentials_of(paths));
        let trust = Arc::new(Trust::new(&certificates));
        let vault::Prepared { vault, troubles: more } =
            vault::prepare(&loaded.policy, &credentials, &trust)?;
        troubles.extend(more);
        troubles.extend(upstream::trouble(&loaded.policy, &credentials));
        certificates.push_str(vault.as_ref().map(Vault::certificate).unwrap_or_default());
        Ok(Self {
            id,
            loaded,
            paths,
            access,
            environment,
            temp,
            cache,
            control,
            outside: Cell::default(),
            program,
            signing,
            vault,
            credentials,
            trust,
            certificates,
            troubles,
            learns,
        })
    }

    fn plan(&self, machine: &Machine) -> Result<Plan, StartError> {
        let mode = self.loaded.policy.network().mode.value;
        let listens = mode == NetworkMode::Proxy && machine.tier() != Tier::Full;
        let (listeners, outside) = listens.then(network::listen).transpose()?.unzip();
        self.outside.set(listeners);
        let mut plan = plan(PlanInput {
            outside,
            policy: &self.loaded.policy,
            machine,
            session: self.id,
            home: &self.paths.home,
            workspace: &self.loaded.workspace,
            temp: self.temp.path(),
            cache: &self.cache,
            control: &self.control,
            agent: &self.access,
            environment: &self.environment,
            disk: &RealDisk,
        })?;
        plan.tells_refusals = self.learns;
        if self.loaded.agent.is_some_and(|agent| !agent.sign_in.pages.is_empty()) {
            plan.environment.insert(sign_in::VARIABLE.to_owned(), self.program.clone());
        }
        if let Some(signing) = &self.signing {
            signing.allow_in(&mut plan);
        }
        say_why_git_has_no_key(&mut plan, &self.program);
        if let Some(vault) = &self.vault {
            vault.allow_in(&mut plan);
        }
        trust::allow_in(&mut plan, &self.certificates, self.temp.path())
            .map_err(own("the session's certificates"))?;
        Ok(plan)
    }

    /// Tells the agent what holds: the command that is to be started for it.
    fn brief(
        &self,
        plan: &mut Plan,
        command: &[OsString],
        options: &RunOptions,
    ) -> Result<Told, StartError> {
        let about = About {
            home: &self.paths.home,
            program: &self.program,
            unattended: options.unattended,
            patience: patience(self.loaded),
        };
        let text = briefing(&self.loaded.policy, plan, &about);
        let agent = self.loaded.agent;
        let state = self.paths.agent_state(agent.map_or("any", |agent| &agent.name));
        let Briefed { command, environment, file } =
            agents::brief(agent, command, &plan.environment, self.id, &state, &text);
        plan.environment.extend(environment);
        let written = file.map(|file| {
            let is_over = |session: &str| temp::is_over(&self.paths.temp(), session);
            agents::write(&state, &file, &text, is_over).map_err(|source| StartError::State {
                agent: agent.map(|agent| agent.title.clone()).unwrap_or_default(),
                source,
            })
        });
        Ok(Told { command, _written: written.transpose()? })
    }
}

/// This program, as the agent can start it: by its name where it was started so, for then it lies
/// in a folder of `PATH`, which every session reads.
fn own_program() -> String {
    let is_path = |name: OsString| name.as_encoded_bytes().contains(&b'/');
    let path = std::env::args_os().next().is_some_and(is_path).then(std::env::current_exe);
    let path = path.and_then(|path| path.ok()?.into_os_string().into_string().ok());
    path.unwrap_or_else(|| "chaperone".to_owned())
}

/// Has git start its SSH through this program, which says what to do instead where it fails. What the
/// policy lets through of the user's own choice stays.
fn say_why_git_has_no_key(plan: &mut Plan, program: &str) {
    if ["GIT_SSH", "GIT_SSH_COMMAND"].iter().any(|own| plan.environment.contains_key(*own)) {
        return;
    }
    let command = shell_words(&[program.to_owned(), GIT_SSH.to_owned()]);
    // Else git would ask what it is by starting it.
    for (name, value) in [("GIT_SSH_COMMAND", command), ("GIT_SSH_VARIANT", "ssh".to_owned())] {
        plan.environment.insert(name.to_owned(), value);
    }
}

/// What the agent is started with, once it has been told of its session.
struct Told {
    command: Vec<OsString>,
    _written: Option<agents::Written>,
}

/// Until when decisions are only observed, where they are now.
fn observes_until(policy: &Policy) -> Option<Timestamp> {
    let until = policy.observed_until()?.value;
    (policy.mode(Timestamp::now()) == Mode::Observe).then_some(until)
}

/// What a person must know before the agent starts, on standard error.
fn warn(policy: &Policy, plan: &Plan, machine: &Machine) {
    let mut lines: Vec<String> = policy
        .layers()
        .iter()
        .flat_map(|layer| layer.findings())
        .map(ToString::to_string)
        .collect();
    // What every session on this machine lacks, `doctor` says.
    let known = machine.losses();
    let own = plan.losses.iter().filter(|loss| !known.contains(loss));
    lines.extend(own.map(|loss| format!("{} {}", loss.detail, loss.fix)));
    if plan.network == Network::Direct {
        lines.push(format!(
            "NETWORK IS DIRECT: this session reaches every host that this machine reaches \
             (network.mode = \"direct\", {})",
            policy.network().mode.origin
        ));
    }
    if let Some(until) = observes_until(policy) {
        let by = policy.observed_until().map(|until| until.origin.to_string()).unwrap_or_default();
        lines.push(format!(
            "OBSERVE MODE until {until} ({by}): commands and connections that would be asked about \
             or denied are recorded and pass; files and secrets stay guarded"
        ));
    }
    say(&lines);
}

fn say(lines: &[String]) {
    let mut err = io::stderr().lock();
    for line in lines {
        let _ = writeln!(err, "chaperone: {line}");
    }
}

fn begin(
    id: &str,
    loaded: &Loaded,
    plan: &Plan,
    options: &RunOptions,
    paths: &Paths,
    learns: bool,
) -> Result<Segment, StartError> {
    let command = &options.question.command;
    let start = Start {
        agent: agent_name(loaded, command),
        agent_version: None,
        workspace: loaded.workspace.display().to_string(),
        branch: branch(&loaded.workspace),
        command: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        tier: plan.tier.to_string(),
        losses: plan.losses.iter().map(|loss| loss.id.clone()).collect(),
        layers: loaded
            .policy
            .layers()
            .iter()
            .map(|layer| format!("{} {} {}", layer.kind, layer.locator, layer.status.word()))
            .collect(),
        revision: loaded.policy.revision().map(ToOwned::to_owned),
        observes_until: observes_until(&loaded.policy),
    };
    private_dir(&paths.state)
        .map_err(own(format!("the state folder {}", paths.state.display())))?;
    let redactor = Redactor::from_environment(environment());
    let store = Store::open(&paths.history())?;
    let start = NewEvent::session_start(start);
    let start = if learns { start.detail("learns", true) } else { start };
    Ok(store.begin_meanwhile(id, redactor, start)?)
}

/// The agent file's name, or the program's.
fn agent_name(loaded: &Loaded, command: &[OsString]) -> String {
    match (loaded.agent, command.first()) {
        (Some(agent), _) => agent.name.clone(),
        (None, Some(program)) => Path::new(program)
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned(),
        (None, None) => String::new(),
    }
}

fn start(
    ahead: Option<Ahead>,
    plan: &Plan,
    command: &[OsString],
    streams: Streams,
) -> Result<Starting, StartError> {
    let stream = |is_terminal: bool, fd: &dyn AsFd| {
        if is_terminal {
            return Ok(Stream::Terminal);
        }
        fd.as_fd().try_clone_to_owned().map(Stream::To).map_err(own("a standard stream"))
    };
    let size = streams.any().then(|| streams.size()).flatten();
    let stdio = Stdio {
        terminal: streams.any().then(|| {
            size.map_or(TerminalSize { rows: 24, columns: 80 }, |size| TerminalSize {
                rows: size.ws_row,
                columns: size.ws_col,
            })
        }),
        stdin: stream(streams.stdin, &io::stdin())?,
        stdout: stream(streams.stdout, &io::stdout())?,
        stderr: stream(streams.stderr, &io::stderr())?,
    };
    Ok(launch(ahead, plan, command, stdio)?)
}

fn settle(starting: Starting) -> Result<Session, StartError> {
    Ok(starting.settle()?)
}

/// After so many seconds the session's agent gives a command up.
fn patience(loaded: &Loaded) -> Option<u64> {
    loaded.agent.and_then(|agent| agent.patience.command)
}

/// What those who answer see of the session.
fn info(id: &str, loaded: &Loaded, plan: &Plan, options: &RunOptions) -> SessionInfo {
    SessionInfo {
        id: id.to_owned(),
        agent: loaded
            .agent
            .map_or_else(|| agent_name(loaded, &options.question.command), |a| a.title.clone()),
        workspace: loaded.workspace.display().to_string(),
        branch: branch(&loaded.workspace),
        pid: std::process::id(),
        started: Timestamp::now(),
        user: crate::user_name(),
        tier: Some(plan.tier.to_string()),
        revision: loaded.policy.revision().map(ToOwned::to_owned),
        began: Some(Box::new(began(loaded, options))),
    }
}

/// What of the policy the session keeps to its end, and what it takes to tell what another session
/// would begin with.
fn began(loaded: &Loaded, options: &RunOptions) -> Began {
    let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let values = loaded.policy.at_start().into_iter();
    Began {
        agent: loaded.agent.map(|agent| agent.name.clone()),
        policy: options.question.policy.iter().map(absolute).collect(),
        values: values.map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

fn supervise(
    mut session: Session,
    approvals: Approvals,
    plan: &Plan,
    given: Given,
    prepared: &mut Prepared<'_>,
    options: &RunOptions,
    segment: &Arc<Segment>,
) -> Result<(u8, Option<Learned>), StartError> {
    let &mut Prepared { id, loaded, paths, .. } = prepared;
    let control = session.control();
    let streams = Streams::of_this_process();
    let terminal = match session.take_terminal() {
        Some(master) => {
            Some(Terminal::start(streams, master).map_err(own("the session's terminal"))?)
        }
        None => None,
    };
    // The agent has the terminal's input, or it does not and the prompt may have it.
    let (announcer, prompt) = match (&terminal, streams.stdin) {
        (Some(terminal), true) => (Announcer::Beside(Arc::clone(terminal)), None),
        _ => match foreground_terminal() {
            Some(tty) if !options.unattended => {
                let (announcer, wake) = Announcer::prompting();
                (announcer, Some((tty, wake)))
            }
            _ => (Announcer::Silent, None),
        },
    };
    let live = Arc::new(Live::new(loaded, Arc::clone(segment)));
    let asking = Asking::new(
        approvals,
        id,
        &loaded.policy,
        Ground {
            live: Arc::clone(&live),
            segment: Arc::clone(segment),
            control: control.clone(),
            announcer,
            environment: plan.environment.clone(),
            unattended: options.unattended,
            patience: patience(loaded),
            known: Known::new(&paths.history(), Some(id)),
            grants: Grants::new(paths),
            workspace: loaded.workspace.clone(),
        },
    );
    if let Some((tty, wake)) = prompt {
        announce::serve(tty, wake, Arc::downgrade(&asking)).map_err(own("the prompt's thread"))?;
    }
    let weak = terminal.as_ref().map(Arc::downgrade).unwrap_or_default();
    signals::serve(control.clone(), weak).map_err(own("the signals' thread"))?;
    let upstream = Upstream::new(&prepared.credentials, &prepared.trust);
    let uses = Uses::of(&prepared.credentials);
    let gate = Gate::new(&live, &asking, segment, prepared.vault.take(), uses, upstream);
    live.follow({
        let (asking, gate) = (Arc::downgrade(&asking), Arc::downgrade(&gate));
        move |policy| {
            if let Some(asking) = asking.upgrade() {
                asking.follow(policy);
            }
            if let Some(gate) = gate.upgrade() {
                gate.follow(policy);
            }
        }
    });
    if loaded.policy.remote().is_some() {
        bundle::keep_fresh(&live, segment).map_err(own("the bundle's thread"))?;
    }
    network::open(&gate, &mut session, prepared.outside.take())?;
    if let Some(signing) = prepared.signing.take() {
        let signatures = Signatures { live: Arc::clone(&live), segment: Arc::clone(segment) };
        signing::serve(signing, Arc::new(signatures)).map_err(own("the signing thread"))?;
    }

    let mut supervision = Supervision {
        live,
        begun: Begun { policy: Arc::clone(&loaded.policy), plan },
        segment: Arc::clone(segment),
        asking: Arc::clone(&asking),
        pages: Pages::new(loaded.agent, plan.has_own_network(), &control),
        control,
        terminal: terminal.clone(),
        asked: HashMap::new(),
        given,
        learned: plan.tells_refusals.then(Learned::default),
        excess: None,
        covered: HashSet::new(),
        repositories: Repositories::new(&plan.repositories),
    };
    segment.begun()?;
    let outcome = session.run(&mut supervision);
    asking.end();
    if let Some(terminal) = terminal {
        terminal.finish();
    }
    if let Some(excess) = &supervision.excess {
        // There is nobody else to tell if this is not read.
        let _ = writeln!(io::stderr(), "chaperone: the session was ended: {excess}");
    }
    let theirs = [
        vec![prepared.temp.path().to_owned(), prepared.cache.clone()],
        prepared.access.write.clone(),
    ]
    .concat();
    let repositories = supervision.repositories.left(&plan.workspace, &theirs);
    say(&repositories);
    let outcome = outcome?;
    for line in &repositories {
        segment.append(NewEvent::finding(line))?;
    }
    for left in &outcome.ended {
        let event = NewEvent::ended(left.pid.unsigned_abs(), &left.argv0);
        segment.append(event)?;
    }
    gate.record_traffic()?;
    let status = match outcome.exit {
        Exit::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Exit::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
    };
    if let Some(learned) = &mut supervision.learned {
        learned.refused.addresses.extend(gate.refused());
    }
    Ok((status, supervision.learned))
}

/// The controlling terminal, if this process may read it.
fn foreground_terminal() -> Option<File> {
    let tty = File::options().read(true).write(true).open("/dev/tty").ok()?;
    terminal::is_foreground_of(&tty).then_some(tty)
}
