//! Where one test plays: a home, and commands that stand in for `chaperone`.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `installers/mdm`.
pub(crate) fn installers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../installers/mdm")
}

#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let place = Self { folder: tempfile::Builder::new().prefix("chf").tempdir()? };
        fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(place.folder().join("home"))?;
        Ok(place)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command that says this and ends so, whatever it is asked.
    pub(crate) fn fake(&self, says: &str, status: u8) -> Result<PathBuf> {
        let (said, program) = (self.folder().join("said"), self.folder().join("chaperone"));
        fs::write(&said, says)?;
        fs::write(&program, format!("#!/bin/sh\ncat {}\nexit {status}\n", said.display()))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(program)
    }

    /// A program of this user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder().join("home")).env("LANG", "C.UTF-8");
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    /// The standard output of a script of `installers/mdm` that ends well.
    pub(crate) fn run(&self, script: &str, chaperone: &Path) -> Result<String> {
        let mut command = self.command(&installers().join(script));
        command.env("CHAPERONE", chaperone).env("CHAPERONE_STATUS", self.folder().join("status"));
        let done = command.output().with_context(|| script.to_owned())?;
        ensure!(done.status.success(), "{script}: {}{}", text(&done.stdout), text(&done.stderr));
        Ok(text(&done.stdout))
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
