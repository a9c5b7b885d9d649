//! Starting a session from the window: in the user's own terminal, or the demo without one.

use super::{Desk, Failure, Start, Started, terminal, words};
use crate::paths::private_dir;
use jiff::Timestamp;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The demo agent and what it works on; `cargo xtask run` uses the same.
const DEMO_AGENT: &str = include_str!("../../../../profiles/demo/agent.sh");
const DEMO_PREPARE: &str = include_str!("../../../../profiles/demo/prepare.sh");

/// What the demo agent is called wherever sessions are listed.
const DEMO_NAME: &str = "demo-agent";

/// How long the demo's session may take to appear before the window stops waiting for it.
const APPEARS: Duration = Duration::from_secs(5);

/// Keeps the terminal open when a session could not begin or ended badly: its last words would
/// close with it.
const STAY: &str = r#""$@"
status=$?
if [ "$status" -ne 0 ]; then
    printf '\nThe session has ended with exit status %s. Press Enter to close. ' "$status"
    read -r _
fi
exit "$status""#;

impl Desk {
    /// Starts a session in the user's own terminal emulator.
    ///
    /// # Errors
    /// When the workspace is no folder, the command cannot be read, or there is no terminal.
    pub fn start_session(&self, start: &Start) -> Result<Started, Failure> {
        let command = words::split(&start.command)?;
        let workspace = self.expand(&start.workspace);
        if !workspace.is_dir() {
            return Err(Failure::new(
                format!("{} is not a folder.", workspace.display()),
                "Choose a folder for the session to work in.",
            ));
        }
        let mut line: Vec<OsString> = vec!["sh".into(), "-c".into(), STAY.into(), "sh".into()];
        line.extend([self.program.clone().into(), "run".into(), "--workspace".into()]);
        line.extend([workspace.clone().into_os_string(), "--".into()]);
        line.extend(command.iter().map(OsString::from));
        let preferred = std::env::var("TERMINAL").ok();
        let line = terminal::open(preferred.as_deref(), &self.search, &line).ok_or_else(|| {
            let command = format!(
                "chaperone run --workspace {} -- {}",
                chaperone_approvals::shell_words(&[workspace.display().to_string()]),
                chaperone_approvals::shell_words(&command)
            );
            Failure::new(
                "No terminal emulator was found.",
                format!("Set TERMINAL to the one you use, or run in it: {command}"),
            )
        })?;
        reap(self.spawn(&line, &workspace, None)?);
        Ok(Started {
            session: None,
            message: format!("A terminal opens and starts {} in it.", command[0]),
        })
    }

    /// Starts the demo agent in a fresh repository, without a terminal.
    ///
    /// # Errors
    /// When the repository cannot be made or the session does not start; the message has what it
    /// said.
    pub fn start_demo(&self) -> Result<Started, Failure> {
        let id = format!("{}-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S"), std::process::id());
        let folder = self.paths.cache.join("demo");
        let workspace = folder.join(&id);
        let made = make_demo(&workspace).and_then(|()| workspace.canonicalize());
        let workspace = made.map_err(|error| {
            Failure::new(
                format!("The demo's folder {} could not be made: {error}.", workspace.display()),
                "Check that git is installed and that the disk has room.",
            )
        })?;
        let line: Vec<OsString> = vec![
            self.program.clone().into(),
            "run".into(),
            "--workspace".into(),
            workspace.clone().into(),
            "--".into(),
            workspace.join(DEMO_NAME).into(),
        ];
        let output = folder.join(format!("{id}.log"));
        let mut child = self.spawn(&line, &workspace, Some(&output))?;
        let session = self.wait_for_session(&workspace, &mut child, &output)?;
        reap(child);
        Ok(Started {
            session,
            message: format!(
                "The demo agent works in {}. It asks before it publishes.",
                workspace.display()
            ),
        })
    }

    /// Its id once it can be seen; `None` if that takes long.
    fn wait_for_session(
        &self,
        workspace: &Path,
        child: &mut Child,
        output: &Path,
    ) -> Result<Option<String>, Failure> {
        let start = Instant::now();
        while start.elapsed() < APPEARS {
            if let Some(id) = self.running_in(workspace) {
                return Ok(Some(id));
            }
            if let Ok(Some(status)) = child.try_wait() {
                let said = fs::read_to_string(output).unwrap_or_default();
                let last = said.lines().rev().find(|line| !line.trim().is_empty());
                return match status.success() {
                    true => Ok(None),
                    false => Err(Failure::new(
                        format!("The demo did not start: {}", last.unwrap_or("it said nothing.")),
                        "chaperone doctor names what this machine lacks.",
                    )),
                };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }

    /// Starts a program that outlives the window.
    fn spawn(
        &self,
        line: &[OsString],
        dir: &Path,
        output: Option<&Path>,
    ) -> Result<Child, Failure> {
        let failed = |error: io::Error| {
            let name = line[0].to_string_lossy();
            Failure::new(
                format!("{name} could not be started: {error}."),
                "Check that it runs in a terminal.",
            )
        };
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(dir).stdin(Stdio::null());
        if let Some(output) = output {
            let file = File::create(output).map_err(failed)?;
            command.stdout(file.try_clone().map_err(failed)?).stderr(file);
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().map_err(failed)
    }

    /// `~` as people type it.
    pub(super) fn expand(&self, path: &str) -> PathBuf {
        match path.strip_prefix('~') {
            Some("") => self.paths.home.clone(),
            Some(rest) if rest.starts_with('/') => self.paths.home.join(&rest[1..]),
            _ => PathBuf::from(path),
        }
    }
}

/// Waits for a child somewhere else, so that it leaves no zombie.
fn reap(mut child: Child) {
    // Without a thread it stays a zombie until the window closes; nothing worse.
    let _ = std::thread::Builder::new().name("reaper".into()).spawn(move || child.wait());
}

fn make_demo(workspace: &Path) -> io::Result<()> {
    private_dir(workspace)?;
    let prepared = Command::new("sh").args(["-c", DEMO_PREPARE, "sh"]).arg(workspace).output()?;
    if !prepared.status.success() {
        let said = String::from_utf8_lossy(&prepared.stderr);
        return Err(io::Error::other(said.trim().lines().last().unwrap_or("sh failed").to_owned()));
    }
    // Beside the repository's own files, and not one of them.
    fs::write(workspace.join(".git/info/exclude"), format!("/{DEMO_NAME}\n"))?;
    let agent = workspace.join(DEMO_NAME);
    fs::write(&agent, DEMO_AGENT)?;
    #[cfg(unix)]
    fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}
