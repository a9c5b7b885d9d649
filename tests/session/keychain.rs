//! A keychain of a test's own: a message bus, and a real Secret Service on it.

use crate::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::eventually;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

/// A place whose user has an unlocked keychain.
pub(crate) struct Keychain {
    bus: Child,
    service: Child,
    address: String,
}

impl Keychain {
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let mut bus = place.command("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address=1"]);
        let mut bus = bus.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut address = String::new();
        BufReader::new(bus.stdout.take().context("no standard output")?).read_line(&mut address)?;
        let address = address.trim().to_owned();
        let mut service = place.command("gnome-keyring-daemon");
        service.args(["--foreground", "--unlock", "--components=secrets"]);
        service.env("DBUS_SESSION_BUS_ADDRESS", &address).stdin(Stdio::piped());
        let mut service = service.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        service.stdin.take().context("no standard input")?.write_all(b"passphrase")?;
        let keychain = Self { bus, service, address };
        eventually("the Secret Service", || {
            let mut ask = keychain.with(place.command("dbus-send"));
            ask.args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]);
            ask.args(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
            text(&ask.output().ok()?.stdout).contains("true").then_some(())
        })?;
        Ok(keychain)
    }

    /// The command with the way to this keychain.
    pub(crate) fn with(&self, mut command: Command) -> Command {
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command
    }

    /// `chaperone secret set NAME`, given this.
    pub(crate) fn set(&self, place: &Place, name: &str, value: &str) -> Result<Output> {
        let mut set = self.with(place.chaperone(["secret", "set", name])?);
        set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut set = set.spawn()?;
        set.stdin.take().context("no standard input")?.write_all(value.as_bytes())?;
        Ok(set.wait_with_output()?)
    }
}

impl Drop for Keychain {
    fn drop(&mut self) {
        for child in [&mut self.service, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
