//! Where one test plays: a home with a private key in it, and a repository with a remote.

use super::model::Model;
use anyhow::{Result, ensure};
use chaperone_tests::chaperone;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands in the private key.
pub(crate) const KEY: &str = "a private key";

/// One test's own user, as far as agents and Chaperone can tell.
#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
    /// Sockets' paths are short (unix(7)).
    run: tempfile::TempDir,
}

impl Place {
    /// Not in `/tmp`: sessions of the full tier have one of their own there, and so would not even see
    /// the home.
    pub(crate) fn new() -> Result<Self> {
        Self::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// With a short path, for sessions of the reduced tier, which see `/tmp` as it is.
    pub(crate) fn short() -> Result<Self> {
        Self::below(Path::new("/tmp"))
    }

    fn below(folder: &Path) -> Result<Self> {
        let mut name = tempfile::Builder::new();
        let name = name.prefix("cha").permissions(fs::Permissions::from_mode(0o700));
        let folder = name.tempdir_in(folder)?;
        let place = Self { folder, run: name.tempdir()? };
        for name in ["home/.ssh", "home/work", "remote.git"] {
            fs::create_dir_all(place.folder.path().join(name))?;
        }
        fs::write(place.home().join(".ssh/id_ed25519"), KEY)?;
        fs::write(place.home().join(".gitconfig"), "[init]\ndefaultBranch = main\n")?;
        let remote = place.remote();
        let remote = remote.to_string_lossy();
        for words in [
            vec!["init", "-q", "--bare", &remote],
            vec!["init", "-q", "."],
            vec!["remote", "add", "origin", &remote],
            // Gemini CLI keeps the user's own configuration from git.
            vec!["config", "user.name", "Ada"],
            vec!["config", "user.email", "ada@acme.example"],
            vec!["commit", "-q", "--allow-empty", "-m", "first"],
        ] {
            let done = place.command("git").args(&words).output()?;
            ensure!(done.status.success(), "git {words:?}: {}", text(&done.stderr));
        }
        // Templates differ from machine to machine; the tests are about hooks that can be written.
        fs::create_dir_all(place.work().join(".git/hooks"))?;
        Ok(place)
    }

    /// Lets sessions reach the model.
    pub(crate) fn allow(&self, model: &Model) -> Result<()> {
        let folder = self.home().join(".config/chaperone");
        fs::create_dir_all(&folder)?;
        let text = format!("[network]\nallow = [\"{}\"]\n", model.address());
        Ok(fs::write(folder.join("config.toml"), text)?)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.home().join("work")
    }

    fn remote(&self) -> PathBuf {
        self.folder.path().join("remote.git")
    }

    pub(crate) fn is_pushed(&self) -> bool {
        self.remote().join("refs/heads/main").exists()
    }

    /// A command of this user, in the repository.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("XDG_RUNTIME_DIR", self.run.path());
        command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color").env("SHELL", "/bin/bash");
        command.current_dir(self.work()).stdin(Stdio::null());
        command
    }

    /// `chaperone` with these arguments.
    pub(crate) fn chaperone(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.command(chaperone()?);
        command.args(arguments);
        Ok(command)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
