//! A keychain of a test's own: a message bus, and a real Secret Service on it.

use crate::eventually;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// An unlocked keychain. It ends with this value.
#[derive(Debug)]
pub struct Keychain {
    bus: Child,
    service: Child,
    address: String,
}

impl Keychain {
    /// Starts one; `command` makes a command of the user whose keychain it is.
    ///
    /// # Errors
    /// When `dbus-daemon` or `gnome-keyring-daemon` cannot be started.
    pub fn start(command: impl Fn(&str) -> Command) -> Result<Self> {
        let mut bus = command("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address=1"]);
        let bus = bus.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut bus = bus.context("dbus-daemon, of the package dbus")?;
        let mut address = String::new();
        BufReader::new(bus.stdout.take().context("no standard output")?).read_line(&mut address)?;
        let address = address.trim().to_owned();
        let mut service = command("gnome-keyring-daemon");
        service.args(["--foreground", "--unlock", "--components=secrets"]);
        service.env("DBUS_SESSION_BUS_ADDRESS", &address).stdin(Stdio::piped());
        let service = service.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut service = service.context("gnome-keyring-daemon, of the package gnome-keyring")?;
        service.stdin.take().context("no standard input")?.write_all(b"passphrase")?;
        let keychain = Self { bus, service, address };
        eventually("the Secret Service", || {
            let mut ask = keychain.with(command("dbus-send"));
            ask.args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]);
            ask.args(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
            let said = ask.output().ok()?.stdout;
            String::from_utf8_lossy(&said).contains("true").then_some(())
        })?;
        Ok(keychain)
    }

    /// The command with the way to this keychain.
    pub fn with(&self, mut command: Command) -> Command {
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command
    }

    /// `chaperone secret set NAME`, which is given this.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn set(&self, set: Command, value: &str) -> Result<Output> {
        let mut set = self.with(set);
        set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut set = set.spawn()?;
        match set.stdin.take().context("no standard input")?.write_all(value.as_bytes()) {
            // Who takes no value of this name may have gone before it is given.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written?,
        }
        Ok(set.wait_with_output()?)
    }

    /// The same, which must work.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub fn keep(&self, set: Command, value: &str) -> Result<()> {
        let done = self.set(set, value)?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}

/// The files below a folder in which this text stands.
///
/// # Errors
/// When one of them cannot be read; a file that was just removed holds nothing.
pub fn files_with(folder: &Path, text: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files_with(&entry.path(), text)?);
        } else if entry.file_type()?.is_file() {
            let bytes = match fs::read(entry.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                bytes => bytes?,
            };
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    Ok(found)
}

impl Drop for Keychain {
    fn drop(&mut self) {
        for child in [&mut self.service, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
