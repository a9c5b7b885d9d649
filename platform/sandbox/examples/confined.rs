//! Runs a command confined to the working directory, with every exec judged and allowed: the
//! smallest whole session, for measuring (`hyperfine 'confined /bin/true'`) and for trying
//! things out. `CONFINED_TIER=reduced` leaves the namespaces out.

use chaperone_sandbox::{
    Access, ActionId, Answer, Exit, Judge, Limits, Network, ObservedExec, PathGrant, Plan, Stdio,
    Stream, Target, Tier,
};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

struct Everything;

impl Judge for Everything {
    fn exec(&mut self, _: ActionId, _: &ObservedExec) -> Answer {
        Answer::Allow
    }
    fn unreadable(&mut self, pid: i32, reason: &str) {
        eprintln!("confined: {pid}: {reason}");
    }
    fn write(&mut self, pid: i32, path: &Path) {
        eprintln!("confined: {pid}: write to {} refused", path.display());
    }
    fn connect(&mut self, pid: i32, target: &Target) {
        eprintln!("confined: {pid}: connection to {target} refused");
    }
    fn withdrawn(&mut self, _: ActionId) {}
    fn stopped(&mut self) {}
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let command: Vec<_> = std::env::args_os().skip(1).collect();
    let workspace = std::env::current_dir()?;
    let temp = std::env::temp_dir().join(format!("confined-{}", std::process::id()));
    std::fs::create_dir_all(&temp)?;
    let tier = match std::env::var("CONFINED_TIER").as_deref() {
        Ok("reduced") => Tier::Reduced,
        _ => Tier::Full,
    };
    let grant = |path: &str, access| PathGrant { path: path.into(), access };
    let mut grants: Vec<_> =
        ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/proc", "/sys"]
            .map(|path| grant(path, Access::Read))
            .into();
    grants.extend(
        ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"]
            .map(|path| grant(path, Access::Device)),
    );
    grants.push(PathGrant { path: workspace.clone(), access: Access::Write });
    if tier == Tier::Full {
        grants.push(grant("/dev/pts", Access::Device));
        grants.push(grant("/dev/shm", Access::Write));
    }
    let guarded = std::env::var("CONFINED_GUARDED").into_iter().collect();
    let plan = Plan {
        tier,
        workspace,
        grants,
        hidden: Vec::new(),
        read_only: Vec::new(),
        guarded,
        temp: temp.clone(),
        network: Network::None { relays: Vec::new() },
        environment: std::env::vars().collect(),
        limits: Limits::default(),
        losses: Vec::new(),
    };
    let stdio = Stdio {
        terminal: None,
        stdin: Stream::To(std::io::stdin().as_fd().try_clone_to_owned()?),
        stdout: Stream::To(std::io::stdout().as_fd().try_clone_to_owned()?),
        stderr: Stream::To(std::io::stderr().as_fd().try_clone_to_owned()?),
    };
    let outcome = chaperone_sandbox::launch(&plan, &command, stdio)?.run(&mut Everything)?;
    std::fs::remove_dir_all(&temp)?;
    Ok(match outcome.exit {
        Exit::Code(code) => ExitCode::from(code as u8),
        Exit::Signal(signal) => ExitCode::from(128 + signal as u8),
    })
}
