//! `GIT_SSH_COMMAND` in a session: runs what git would run, and says why it fails and what works
//! instead where it does. A session has none of its user's keys, unless the policy lets one be read.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// The status of ssh where it did not get as far as the command on the other side (ssh(1)).
const FAILED: i32 = 255;

/// Runs it with git's arguments, and returns its status.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let status = match command(configured(), &arguments).status() {
        Ok(status) => status,
        Err(error) => {
            // There is nobody else to tell if this is not read; so below.
            let _ = writeln!(io::stderr(), "chaperone: ssh could not be started: {error}");
            ExitStatus::from_raw(FAILED << 8)
        }
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    if code == FAILED {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        let asked = Asked::read(words.iter().map(AsRef::as_ref));
        let _ = io::stderr().write_all(remedy(asked.as_ref()).as_bytes());
    }
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// What git's own configuration names instead of ssh, which the variable stands before.
fn configured() -> Option<String> {
    let asked = Command::new("git")
        .args(["config", "--get", "core.sshCommand"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let named = String::from_utf8(asked.ok()?.stdout).ok()?;
    Some(named.trim_end().to_owned()).filter(|named| !named.is_empty())
}

fn command(configured: Option<String>, arguments: &[OsString]) -> Command {
    let mut command = match configured {
        // As git runs it (git-config(1), `core.sshCommand`).
        Some(line) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{line} \"$@\""), &line]);
            shell
        }
        None => Command::new("ssh"),
    };
    command.args(arguments);
    command
}

/// What git asks ssh for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    user: Option<String>,
    host: String,
    port: Option<String>,
    /// The repository, as the other side would read it.
    path: String,
}

impl Asked {
    /// Reads what git gives to ssh: options, the destination, and the command for the other side.
    fn read<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut port = None;
        let destination = loop {
            match words.next()? {
                "-p" => port = words.next().map(ToOwned::to_owned),
                "-o" => drop(words.next()),
                option if option.starts_with('-') => {}
                destination => break destination,
            }
        };
        let (user, host) = match destination.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, destination),
        };
        let quoted = words.next()?.split_once(' ')?.1;
        let path = quoted.strip_prefix('\'')?.strip_suffix('\'')?.replace("'\\''", "'");
        Some(Self { user, host: host.to_owned(), port, path })
    }

    /// The beginning of the address that was given to git.
    fn prefix(&self) -> String {
        let Self { user, host, port, path } = self;
        let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match port {
            Some(port) => format!("ssh://{user}{host}:{port}/"),
            None if path.starts_with('/') => format!("ssh://{user}{host}/"),
            None => format!("{user}{host}:"),
        }
    }
}

fn remedy(asked: Option<&Asked>) -> String {
    let why = "chaperone: a session has no SSH key of its user's: those in ~/.ssh and of the SSH \
               agent are kept from it.\n";
    let Some(asked) = asked else { return format!("{why}  Use HTTPS for this repository.\n") };
    let Asked { host, path, .. } = asked;
    let (base, path) = (format!("https://{host}/"), path.trim_start_matches('/'));
    format!(
        "{why}  Use HTTPS: {base}{path}\n  For a remote: git remote set-url REMOTE {base}{path}\n  \
         For one command: git -c url.{base}.insteadOf={} …\n  Whether that host may be reached: \
         chaperone why {host}:443\n",
        asked.prefix()
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]
mod tests {
    use super::*;

    #[test]
    fn what_git_asks_for_is_read_and_what_works_instead_is_said() {
        let table = [
            (
                &["-o", "SendEnv=GIT_PROTOCOL", "git@git.example", "git-upload-pack 'a/b.git'"][..],
                "https://git.example/a/b.git",
                "insteadOf=git@git.example: ",
            ),
            (
                &["-p", "2222", "git.example", "git-receive-pack '/a/b'"],
                "https://git.example/a/b",
                "insteadOf=ssh://git.example:2222/ ",
            ),
            (
                &["-4", "ada@git.example", "git-upload-pack '/it'\\''s'"],
                "https://git.example/it's",
                "insteadOf=ssh://ada@git.example/ ",
            ),
        ];
        for (words, url, prefix) in table {
            let said = remedy(Some(&Asked::read(words.iter().copied()).unwrap()));
            assert!(said.contains(&format!("set-url REMOTE {url}\n")), "{said}");
            assert!(said.contains(prefix), "{said}");
        }
        for words in [&[][..], &["-p"], &["git.example"], &["git.example", "git-upload-pack"]] {
            assert_eq!(Asked::read(words.iter().copied()), None, "{words:?}");
        }
    }
}
