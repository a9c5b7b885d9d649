//! Where one test plays: a home, a repository with a remote, and the `chaperone` command in it.

use anyhow::{Context, Result, ensure};
use chaperone_tests::{chaperone, without_namespaces};
use rustix::fd::OwnedFd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// One test's own user, as far as Chaperone can tell.
#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A home, and in `home/work` a repository with one commit and a remote that can be pushed to.
    pub(crate) fn new() -> Result<Self> {
        let place = Self { folder: tempfile::Builder::new().prefix("chs").tempdir()? };
        for (name, mode) in [("home", 0o755), ("run", 0o700), ("remote", 0o755)] {
            let folder = place.folder.path().join(name);
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
        }
        fs::write(
            place.home().join(".gitconfig"),
            "[user]\nname = Ada\nemail = ada@acme.example\n[init]\ndefaultBranch = main\n",
        )?;
        fs::create_dir(place.work())?;
        let remote = place.remote();
        let remote = remote.to_string_lossy();
        for words in [
            vec!["init", "-q", "--bare", &remote],
            vec!["init", "-q", "."],
            vec!["remote", "add", "origin", &remote],
            vec!["commit", "-q", "--allow-empty", "-m", "first"],
        ] {
            let done = place.command("git").args(&words).output()?;
            ensure!(done.status.success(), "git {words:?}: {}", text(&done.stderr));
        }
        // A session may write where it pushes to; a test that is about denial takes this away.
        place.configure(&format!("[filesystem]\nwrite = [{remote:?}]\n"))?;
        Ok(place)
    }

    /// The user's own configuration.
    pub(crate) fn configure(&self, toml: &str) -> Result<()> {
        let folder = self.home().join(".config/chaperone");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("config.toml"), toml)?)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.home().join("work")
    }

    pub(crate) fn remote(&self) -> PathBuf {
        self.folder.path().join("remote/repository.git")
    }

    /// A command of this user, in the repository, on no terminal.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("XDG_RUNTIME_DIR", self.folder.path().join("run"));
        command.env("LANG", "C.UTF-8").current_dir(self.work()).stdin(Stdio::null());
        // SAFETY: setsid is async-signal-safe and touches no memory of the parent.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                Ok(())
            });
        }
        command
    }

    /// `chaperone` with these arguments.
    pub(crate) fn chaperone<const N: usize>(&self, arguments: [&str; N]) -> Result<Command> {
        let mut command = self.command(chaperone()?);
        command.args(arguments);
        Ok(command)
    }

    /// `chaperone run -- sh -c SCRIPT`, to its end.
    pub(crate) fn run(&self, script: &str) -> Result<Output> {
        Ok(self.chaperone(["run", "--", "sh", "-c", script])?.output()?)
    }

    /// Sessions that run a script, one in each tier.
    pub(crate) fn in_each_tier(&self, script: &str) -> Result<[(&'static str, Command); 2]> {
        let session = || self.chaperone(["run", "--", "bash", "-c", script]);
        let mut reduced = session()?;
        without_namespaces(&mut reduced);
        Ok([("full", session()?), ("reduced", reduced)])
    }

    /// What the history lists, the latest first.
    pub(crate) fn events<const N: usize>(&self, options: [&str; N]) -> Result<Vec<Value>> {
        let mut list = self.chaperone(["history", "list", "--json"])?;
        let listed = list.args(options).output()?;
        let lines = text(&listed.stdout);
        Ok(lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// Whether a branch has reached the remote.
    pub(crate) fn pushed(&self, branch: &str) -> bool {
        self.remote().join("refs/heads").join(branch).exists()
    }

    /// Starts `chaperone` on a terminal of its own.
    pub(crate) fn on_terminal<const N: usize>(
        &self,
        arguments: [&str; N],
        stdin: Option<Stdio>,
    ) -> Result<OnTerminal> {
        self.open_terminal(arguments, stdin, |command| command)
    }

    /// The same with something changed of the command.
    pub(crate) fn on_terminal_with<const N: usize>(
        &self,
        arguments: [&str; N],
        change: impl FnOnce(Command) -> Command,
    ) -> Result<OnTerminal> {
        self.open_terminal(arguments, None, change)
    }

    fn open_terminal<const N: usize>(
        &self,
        arguments: [&str; N],
        stdin: Option<Stdio>,
        change: impl FnOnce(Command) -> Command,
    ) -> Result<OnTerminal> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_string()?;
        let slave = File::options().read(true).write(true).open(&name)?;
        let mut command = Command::new(chaperone()?);
        command.args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "xterm");
        command.env("HOME", self.home()).env("XDG_RUNTIME_DIR", self.folder.path().join("run"));
        command.current_dir(self.work());
        let mut command = change(command);
        command.stdin(stdin.map_or_else(|| slave.try_clone().map(Stdio::from), Ok)?);
        command.stdout(slave.try_clone()?).stderr(slave);
        // SAFETY: both calls are async-signal-safe; descriptor 1 is the terminal by then.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdout())?;
                Ok(())
            });
        }
        let child = command.spawn().context("starting chaperone")?;
        Ok(OnTerminal::watch(child, master))
    }
}

/// A process on a terminal that this test holds the other side of.
#[derive(Debug)]
pub(crate) struct OnTerminal {
    pub(crate) child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn watch(child: Child, master: OwnedFd) -> Self {
        let screen = Arc::new(Mutex::new(Vec::new()));
        let keyboard = File::from(master);
        if let Ok(mut reader) = keyboard.try_clone() {
            let screen = Arc::clone(&screen);
            std::thread::spawn(move || {
                let mut buffer = [0u8; 4096];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    screen
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&buffer[..count]);
                }
            });
        }
        Self { child, keyboard, screen }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Everything that was shown so far.
    pub(crate) fn screen(&self) -> String {
        text(&self.screen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether what is typed is not shown.
    pub(crate) fn hides(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.keyboard);
        modes.is_ok_and(|own| !own.local_modes.contains(rustix::termios::LocalModes::ECHO))
    }

    pub(crate) fn shows(&self, words: &str) -> bool {
        self.screen().contains(words)
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The letter of a process's state, `T` where it is stopped (proc_pid_stat(5)).
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
