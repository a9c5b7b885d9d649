//! A small world for one test: folders, a plan by hand, a judge that keeps a log, and both users.

use chaperone_sandbox::{
    Access, ActionId, Answer, Control, Excess, Exit, Judge, LeftOver, Limits, Network,
    ObservedExec, Outcome, PathGrant, Plan, Session, Stdio, Stream, Target, Tier, ahead, assume,
    launch,
};
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nobody, in the sense of the account.
const ORDINARY: u32 = 65534;

pub(crate) const BOTH: [Tier; 2] = [Tier::Full, Tier::Reduced];

/// Runs a test as whoever runs it, and, if that is root, once more as an ordinary user.
pub(crate) fn as_each_user(body: impl FnOnce()) {
    let again = "CHAPERONE_TEST_AGAIN";
    body();
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 || std::env::var_os(again).is_some() {
        return;
    }
    let thread = std::thread::current();
    let name = thread.name().expect("tests run on threads of their name");
    // The build folder may lie in root's home.
    let copy = tempfile::tempdir().unwrap();
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let exe = copy.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let ended = Command::new(exe)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(again, "1")
        .env("HOME", "/")
        .current_dir("/")
        .uid(ORDINARY)
        .gid(ORDINARY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "as an ordinary user:\n{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// Where a process may run, as its status says it (proc_pid_status(5)).
pub(crate) fn processors(status: &str) -> String {
    let own = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
    own.unwrap().to_owned()
}

/// Folders and a plan over them.
pub(crate) struct World {
    _base: tempfile::TempDir,
    /// Outside every grant.
    pub(crate) home: PathBuf,
    pub(crate) workspace: PathBuf,
    pub(crate) plan: Plan,
}

impl World {
    pub(crate) fn new(tier: Tier) -> Self {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().canonicalize().unwrap();
        let [home, workspace, temp] =
            ["home", "home/project", "private-temp"].map(|name| path.join(name));
        for folder in [&home, &workspace, &temp] {
            fs::create_dir_all(folder).unwrap();
        }
        let exe = std::env::current_exe().unwrap();
        let grant = |path: &Path, access| PathGrant { path: path.to_owned(), access };
        let mut grants: Vec<PathGrant> = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"]
            .into_iter()
            .filter(|path| Path::new(path).exists())
            .map(|path| grant(Path::new(path), Access::Read))
            .chain(
                ["/dev/null", "/dev/urandom", "/dev/tty", "/dev/ptmx"]
                    .map(|path| grant(Path::new(path), Access::Device)),
            )
            .collect();
        grants.push(grant(&workspace, Access::Write));
        grants.push(grant(&exe, Access::Read));
        if tier == Tier::Full {
            grants.push(grant(Path::new("/dev/pts"), Access::Device));
        }
        let environment = [("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let plan = Plan {
            tells_refusals: false,
            sockets: Vec::new(),
            tier,
            landlock_abi: assume().landlock_abi,
            workspace: workspace.clone(),
            grants,
            hidden: Vec::new(),
            read_only: Vec::new(),
            guarded: Vec::new(),
            guarded_but: Vec::new(),
            denied: Vec::new(),
            shown: Vec::new(),
            repositories: Vec::new(),
            temp,
            network: Network::None { relays: Vec::new() },
            environment,
            limits: Limits::default(),
            losses: Vec::new(),
        };
        Self { _base: base, home, workspace, plan }
    }

    /// Writes a file beneath the workspace.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.workspace.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command inside and allows every exec.
    pub(crate) fn run(&self, command: &[&str]) -> Ended {
        self.judged(command, |_| Answer::Allow)
    }

    /// Runs a line of shell inside and allows every exec.
    pub(crate) fn sh(&self, script: &str) -> Ended {
        self.run(&["sh", "-c", script])
    }

    /// Runs a command inside, each exec answered by `rule`.
    pub(crate) fn judged(
        &self,
        command: &[&str],
        mut rule: impl FnMut(&ObservedExec) -> Answer,
    ) -> Ended {
        session(&self.plan, command, |_, _| {}, |_, exec| rule(exec))
    }

    /// Makes an attempt inside, and says what came of it.
    pub(crate) fn attempt(&self, name: &str, arguments: &[&str]) -> String {
        let ended = self.attempt_whole(name, arguments);
        assert_eq!(ended.exit, Exit::Code(0), "{}{}", ended.stdout, ended.stderr);
        ended.stdout.trim_end().to_owned()
    }

    /// Makes an attempt inside, and gives everything that came of it.
    pub(crate) fn attempt_whole(&self, name: &str, arguments: &[&str]) -> Ended {
        let mut plan = self.plan.clone();
        plan.environment.insert(crate::attempt::VARIABLE.into(), name.into());
        let exe = std::env::current_exe().unwrap();
        let mut command = vec![exe.to_str().unwrap()];
        command.extend(arguments);
        session(&plan, &command, |_, _| {}, |_, _| Answer::Allow)
    }
}

/// Runs a session to its end; `meanwhile` gets it before it runs.
pub(crate) fn session(
    plan: &Plan,
    command: &[&str],
    meanwhile: impl FnOnce(&mut Session, Control),
    rule: impl FnMut(ActionId, &ObservedExec) -> Answer,
) -> Ended {
    let _one_at_a_time = exclusive();
    let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    let stdio = Stdio {
        terminal: None,
        stdin: Stream::To(fs::File::open("/dev/null").unwrap().into()),
        stdout: Stream::To(stdout.try_clone().unwrap().into()),
        stderr: Stream::To(stderr.try_clone().unwrap().into()),
    };
    let mut session = launch(ahead(), plan, &arguments(command), stdio).unwrap().settle().unwrap();
    let control = session.control();
    meanwhile(&mut session, control);
    let (execs, refused, withdrawn, covered) = (vec![], vec![], vec![], vec![]);
    let mut judge = Log { rule, execs, refused, withdrawn, exceeded: None, covered };
    let Outcome { exit, ended } = session.run(&mut judge).unwrap();
    let read = |file: &mut fs::File| {
        let mut text = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    Ended {
        exit,
        left: ended,
        stdout: read(&mut stdout),
        stderr: read(&mut stderr),
        execs: judge.execs,
        refused: judge.refused,
        withdrawn: judge.withdrawn,
        exceeded: judge.exceeded,
        covered: judge.covered,
    }
}

/// Makes an attempt outside any session, where it is to succeed.
pub(crate) fn outside(name: &str, arguments: &[&str]) -> String {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(crate::attempt::VARIABLE, name)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).trim_end().to_owned()
}

pub(crate) fn arguments(command: &[&str]) -> Vec<OsString> {
    command.iter().map(OsString::from).collect()
}

/// A process has one session at a time.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    static SESSION: Mutex<()> = Mutex::new(());
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of a session.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) left: Vec<LeftOver>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The arguments of each program, in order.
    pub(crate) execs: Vec<Vec<String>>,
    pub(crate) refused: Vec<String>,
    pub(crate) withdrawn: Vec<ActionId>,
    pub(crate) exceeded: Option<Excess>,
    pub(crate) covered: Vec<PathBuf>,
}

/// A judge that follows one rule and keeps a log.
pub(crate) struct Log<F> {
    pub(crate) rule: F,
    pub(crate) execs: Vec<Vec<String>>,
    pub(crate) refused: Vec<String>,
    pub(crate) withdrawn: Vec<ActionId>,
    pub(crate) exceeded: Option<Excess>,
    pub(crate) covered: Vec<PathBuf>,
}

impl<F: FnMut(ActionId, &ObservedExec) -> Answer> Judge for Log<F> {
    fn exec(&mut self, id: ActionId, exec: &ObservedExec) -> Answer {
        self.execs.push(exec.command.argv.clone());
        (self.rule)(id, exec)
    }
    fn unreadable(&mut self, _: i32, reason: &str) {
        self.refused.push(format!("unreadable: {reason}"));
    }
    fn write(&mut self, _: i32, path: &Path) {
        self.refused.push(format!("write: {}", path.display()));
    }
    fn connect(&mut self, _: i32, target: &Target) {
        self.refused.push(format!("connect: {target}"));
    }
    fn withdrawn(&mut self, id: ActionId) {
        self.withdrawn.push(id);
    }
    fn stopped(&mut self) {}
    fn covered(&mut self, path: &Path) {
        self.covered.push(path.to_owned());
    }
    fn exceeded(&mut self, excess: &Excess) {
        self.exceeded = Some(excess.clone());
    }
    fn ended(&mut self) {}
}
