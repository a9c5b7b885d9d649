//! What one test plays on: a home folder, a display, a message bus and a driver of its own.

use crate::webdriver::Window;
use anyhow::{Context, Result};
use chaperone_tests::{built, chaperone, eventually};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One test's own machine, as far as the app can tell.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    display: String,
    driver: String,
    chaperone: PathBuf,
    desktop: PathBuf,
    // Dropped, and so ended, in this order.
    _driver: Running,
    _display: Running,
}

impl Stage {
    /// Sets everything up. What is missing is named together with how to get it.
    pub(crate) fn new() -> Result<Self> {
        Self::on(&["dbus-run-session", "--"])
    }

    /// The same with a keychain on the bus, which is open.
    pub(crate) fn with_keychain() -> Result<Self> {
        let open = "printf passphrase | gnome-keyring-daemon --unlock --components=secrets && \
                    exec \"$@\"";
        Self::on(&["dbus-run-session", "--", "sh", "-c", open, "sh"])
    }

    /// The same with no message bus.
    pub(crate) fn without_bus() -> Result<Self> {
        Self::on(&["env"])
    }

    /// The driver, and so the window, is started by these words.
    fn on(starter: &[&str]) -> Result<Self> {
        let chaperone = chaperone()?;
        let desktop = built(
            "CHAPERONE_DESKTOP_BIN",
            "chaperone-desktop",
            "cargo xtask test, or: npm --prefix ui ci && npm --prefix ui run build && \
             cargo build -p chaperone-desktop",
        )?;
        let folder = tempfile::Builder::new().prefix("chw").tempdir()?;
        for (name, mode) in [("home", 0o755), ("run", 0o700), ("home/work", 0o755)] {
            fs::create_dir(folder.path().join(name))?;
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode))?;
        }

        let mut xvfb = Command::new("Xvfb");
        xvfb.args(["-displayfd", "1", "-screen", "0", "1400x900x24", "-nolisten", "tcp"]);
        let mut xvfb = Running::start(xvfb.stdout(Stdio::piped()).stderr(Stdio::null()), "xvfb")?;
        let mut number = String::new();
        let out = xvfb.0.stdout.take().context("Xvfb has no standard output")?;
        BufReader::new(out).read_line(&mut number)?;
        let display = format!(":{}", number.trim());

        let (port, native) = (free_port()?, free_port()?);
        let log = File::create(folder.path().join("driver.log"))?;
        let (first, rest) = starter.split_first().context("a starter")?;
        let mut driver = Command::new(first);
        driver.args(rest);
        let program = std::env::var_os("TAURI_DRIVER").unwrap_or_else(|| "tauri-driver".into());
        driver.arg(program).args(["--port", &port.to_string()]);
        driver.args(["--native-port", &native.to_string()]);
        set_environment(&mut driver, folder.path(), &display, &chaperone);
        driver.stdout(log.try_clone()?).stderr(log);
        let running = Running::start(&mut driver, &format!("{first} and tauri-driver"))?;
        for port in [native, port] {
            eventually("the driver to listen", || TcpStream::connect(("127.0.0.1", port)).ok())
                .with_context(|| printed(folder.path()))?;
        }

        Ok(Self {
            folder,
            display,
            driver: format!("http://127.0.0.1:{port}"),
            chaperone,
            desktop,
            _driver: running,
            _display: xvfb,
        })
    }

    /// Opens the real window.
    pub(crate) fn window(&self) -> Result<Window> {
        Window::open(&self.driver, &self.desktop).with_context(|| printed(self.folder.path()))
    }

    /// The `chaperone` command on this stage.
    pub(crate) fn chaperone(&self) -> Command {
        let mut command = Command::new(&self.chaperone);
        set_environment(&mut command, self.folder.path(), &self.display, &self.chaperone);
        command.current_dir(self.workspace());
        command
    }

    /// The folder that sessions work in.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.home().join("work")
    }

    /// The user's home folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }
}

/// A home of its own, and nothing of the machine's user.
fn set_environment(command: &mut Command, folder: &Path, display: &str, chaperone: &Path) {
    let home = folder.join("home");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = chaperone.parent().map(Path::to_owned);
    let path = tools.into_iter().chain(std::env::split_paths(&path));
    command.env_clear();
    command.env("PATH", std::env::join_paths(path).unwrap_or_default());
    command.env("HOME", &home).env("XDG_RUNTIME_DIR", folder.join("run"));
    command.env("DISPLAY", display).env("LANG", "C.UTF-8");
    command.env("CHAPERONE_BIN", chaperone);
    // No accessibility bus: nobody listens there.
    command.env("NO_AT_BRIDGE", "1");
}

/// What the driver and the app have printed so far.
fn printed(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("driver.log")).unwrap_or_default();
    format!("the driver and the app printed:\n{log}")
}

/// A port of loopback that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A program of the stage with all that it starts, ended when the stage is.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts it as a process group of its own.
    pub(crate) fn start(command: &mut Command, what: &str) -> Result<Self> {
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        child.map(Self).with_context(|| {
            format!("starting {what}; `cargo xtask test` installs what is missing")
        })
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self, what: &str) -> Result<std::process::ExitStatus> {
        eventually(what, || self.0.try_wait().ok().flatten())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
        if self.0.wait().is_err() {
            let _ = self.0.kill();
        }
    }
}

/// Where the pictures go.
pub(crate) fn screenshots() -> Result<PathBuf> {
    let folder = std::env::var_os("CHAPERONE_SCREENSHOTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots"),
        PathBuf::from,
    );
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
