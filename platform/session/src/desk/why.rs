//! Why something was or would be refused, and what would change that.

use super::cards::quoted;
use super::{Desk, Failure, Question, QuestionAbout, Why, words};
use crate::load::environment;
use crate::shell::{Judged, would_start};
use crate::would::{command, would};
use chaperone_approvals::shell_words;
use chaperone_policy::{Action, Decision, Verdict};
use std::path::{Component, Path, PathBuf};

impl Desk {
    /// Answers a question that a person typed. `chaperone why` has its words from the shell and
    /// asks [`crate::would`] itself.
    ///
    /// # Errors
    /// When it cannot be understood, or the workspace is no folder.
    pub fn why(&self, question: &Question) -> Result<Why, Failure> {
        let loaded = self.policy(question.workspace.as_deref())?;
        let text = question.text.trim();
        let (understood, action, restrict) = match question.about {
            QuestionAbout::Command => {
                let argv = words::split(text)?;
                let command = command(&argv, &loaded.workspace, &environment());
                let key = "commands.rule";
                (format!("Run {}", shell_words(&argv)), Action::Run(command), key)
            }
            QuestionAbout::Host => {
                let (host, port) = host_and_port(text)?;
                let understood = format!("Connect to {host}, port {port}");
                (understood, Action::Connect { host, port }, "network.deny")
            }
            QuestionAbout::Read => {
                let path = self.absolute(text, &loaded.workspace)?;
                (format!("Read {}", path.display()), Action::Read { path }, "filesystem.deny")
            }
            QuestionAbout::Write => {
                let path = self.absolute(text, &loaded.workspace)?;
                (
                    format!("Write {}", path.display()),
                    Action::Write { path },
                    "filesystem.deny_write",
                )
            }
        };
        let judged = match &action {
            Action::Run(_) => would_start(&loaded, &self.paths, &words::split(text)?),
            _ => Judged::of(&action, would(&loaded, &self.paths, &action)),
        };
        let change = match judged.decision.verdict {
            Verdict::Allow => format!("An entry in {restrict} of any layer would restrict it."),
            Verdict::Ask | Verdict::Deny => judged.change,
        };
        let decision = judged.decision;
        let decision = Decision { reason: quoted(&decision.reason), ..decision };
        Ok(Why { understood, decision, change: quoted(&change) })
    }

    /// An absolute path without `.` and `..`, and without links as far as it exists.
    fn absolute(&self, text: &str, workspace: &Path) -> Result<PathBuf, Failure> {
        if text.is_empty() {
            return Err(Failure::new("No path was given.", "Type one, such as ~/.ssh."));
        }
        let mut path = PathBuf::new();
        for part in workspace.join(self.expand(text)).components() {
            match part {
                Component::ParentDir => {
                    path.pop();
                }
                Component::CurDir => {}
                other => path.push(other),
            }
            path = path.canonicalize().unwrap_or(path);
        }
        Ok(path)
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`; 443 where no port is given.
fn host_and_port(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || {
        Failure::new(
            format!("`{text}` is not a host."),
            "Type a name or an address, and a port if it is not 443: api.acme.example, [::1]:8080.",
        )
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            (host, port.strip_prefix(':'))
        }
        // More than one colon is an address without a port.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map_or(Ok(443), str::parse).map_err(|_| wrong())?;
    let fits = |c: char| c.is_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(fits) {
        return Err(wrong());
    }
    Ok((host.trim_end_matches('.').to_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_a_port() {
        for (text, host, port) in [
            ("api.acme.example", "api.acme.example", 443),
            ("API.acme.Example.:8443", "api.acme.example", 8443),
            ("127.0.0.1:80", "127.0.0.1", 80),
            ("[::1]:8080", "::1", 8080),
            ("[::1]", "::1", 443),
            ("::1", "::1", 443),
        ] {
            assert_eq!(host_and_port(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for text in ["", "a b", "host:port", "host:99999", "[::1", "https://a/b"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }
}
