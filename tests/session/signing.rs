//! Git signs inside a session with the keys that the policy names, through a real SSH agent that no
//! session reaches; whatever else is asked of it there fails, and is proved to work outside first.

use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use chaperone_tests::{eventually, without_namespaces};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};

/// A user with two keys in an agent of their own.
struct Signer {
    place: Place,
    agent: Child,
}

impl Signer {
    fn new() -> Result<Self> {
        let place = Place::new()?;
        fs::create_dir(place.home().join(".ssh"))?;
        for name in ["ada", "other"] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"];
            succeeds(place.command("ssh-keygen").args(words).arg(format!("../.ssh/{name}")))?;
        }
        let socket = place.home().join("agent");
        let mut agent = place.command("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let signer = Self { agent: agent.spawn()?, place };
        eventually("the agent", || UnixStream::connect(&socket).ok())?;
        succeeds(signer.outside("ssh-add").args(["-q", "../.ssh/ada", "../.ssh/other"]))?;
        let key = fs::read_to_string(signer.place.home().join(".ssh/ada.pub"))?;
        fs::write(signer.place.home().join("signers"), format!("ada@acme.example {key}"))?;
        let config = signer.place.home().join(".gitconfig");
        let old = fs::read_to_string(&config)?;
        let signing = "[user]\nsigningkey = ~/.ssh/ada.pub\n[gpg]\nformat = ssh\n";
        let signers = "[gpg \"ssh\"]\nallowedSignersFile = ~/signers\n";
        fs::write(config, format!("{old}{signing}{signers}"))?;
        // Its line is public, and stands where a session reads it.
        let other = signer.place.home().join(".ssh/other.pub");
        fs::copy(other, signer.place.work().join("other.pub"))?;
        fs::write(signer.place.work().join("text"), "text\n")?;
        Ok(signer)
    }

    fn outside(&self, program: &str) -> Command {
        let mut command = self.place.command(program);
        command.env("SSH_AUTH_SOCK", self.place.home().join("agent"));
        command
    }

    fn inside(&self, script: &str, reduced: bool) -> Result<Output> {
        let mut command = self.place.chaperone(["run", "--", "sh", "-c", script])?;
        command.env("SSH_AUTH_SOCK", self.place.home().join("agent"));
        if reduced {
            without_namespaces(&mut command);
        }
        Ok(command.output()?)
    }

    /// The signatures that were decided about: action and decision, the oldest first.
    fn signatures(&self) -> Result<Vec<(String, String)>> {
        let events = self.place.chaperone(["history", "list", "--json"])?.output()?;
        let mut found = Vec::new();
        for line in text(&events.stdout).lines() {
            let event: Value = serde_json::from_str(line)?;
            if event["kind"] == "sign" {
                assert!(event["detail"]["pid"].is_u64(), "the kernel said who asked: {event}");
                let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                found.push((word("action"), word("decision")));
            }
        }
        found.reverse();
        Ok(found)
    }

    fn fingerprint(&self, name: &str) -> Result<String> {
        let key = self.place.home().join(format!(".ssh/{name}.pub"));
        let said = succeeds(self.place.command("ssh-keygen").arg("-lf").arg(key))?;
        Ok(said.split(' ').nth(1).context("a fingerprint")?.to_owned())
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

fn succeeds(command: &mut Command) -> Result<String> {
    let done = command.output()?;
    ensure!(done.status.success(), "{command:?}: {}", text(&done.stderr));
    Ok(text(&done.stdout))
}

const NAMED: &str = "[signing]\nssh_keys = [\"~/.ssh/ada.pub\"]\n";

/// What nobody in a session may do, each a line that says so if it worked.
const OTHERWISE: &str = "\
    ssh-keygen -q -Y sign -n file -f ~/.ssh/ada.pub text && echo another namespace\n\
    rm -f text.sig; ssh-keygen -q -Y sign -n git -f other.pub text && echo an unnamed key\n\
    ssh-keygen -q -t ed25519 -N '' -f mine && ssh-add -q mine && echo added\n\
    ssh-add -q -d other.pub && echo removed\n\
    ssh-add -l | grep -q other && echo listed\n\
    cat ~/.ssh/ada && echo read\n";

#[test]
fn git_signs_with_a_named_key_and_nothing_else_is_done_with_it_in_both_tiers() -> Result<()> {
    for reduced in [false, true] {
        let signer = Signer::new()?;
        let proof = signer.outside("sh").args(["-c", OTHERWISE]).output()?;
        for worked in ["another namespace", "an unnamed key", "added", "removed", "read"] {
            assert!(text(&proof.stdout).contains(worked), "{worked}: {}", text(&proof.stderr));
        }
        succeeds(signer.outside("ssh-add").args(["-q", "../.ssh/other"]))?;
        let listed = succeeds(signer.outside("ssh-add").arg("-l"))?;
        assert!(listed.contains("other") && listed.contains("ada"), "{listed}");
        for left in ["mine", "mine.pub", "text.sig"] {
            fs::remove_file(signer.place.work().join(left))?;
        }

        signer.place.configure(NAMED)?;
        let tier = if reduced { "reduced" } else { "full" };
        let script = "ssh-add -l && git commit -q -S --allow-empty -m signed && echo committed";
        let done = signer.inside(script, reduced)?;
        let (said, ada) = (text(&done.stdout), signer.fingerprint("ada")?);
        assert_eq!(said, format!("256 {ada} ada (ED25519)\ncommitted\n"), "{}", text(&done.stderr));
        succeeds(signer.place.command("git").args(["verify-commit", "HEAD"]))?;
        assert_eq!(signer.signatures()?, [(format!("{ada} for git"), "allow".into())], "{tier}");

        let done = signer.inside(OTHERWISE, reduced)?;
        assert_eq!(text(&done.stdout), "", "in the {tier} tier: {}", text(&done.stderr));
        assert_eq!(succeeds(signer.outside("ssh-add").arg("-l"))?, listed, "{tier}");
        let events = signer.signatures()?;
        let denied = |action: &str| events.contains(&(action.to_owned(), "deny".to_owned()));
        assert!(denied(&format!("{ada} for file")), "{events:?}");
        // To add a key that was made inside, and to remove one.
        assert!(denied("SSH agent message 17") && denied("SSH agent message 18"), "{events:?}");

        let start = signer.place.chaperone(["history", "list", "--json"])?.output()?;
        assert!(text(&start.stdout).contains(&format!("\"tier\":\"{tier}\"")));
    }
    Ok(())
}

/// A text with its length before it (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok([&u32::try_from(bytes.len())?.to_be_bytes()[..], bytes].concat())
}

#[test]
fn what_signs_somebody_in_is_signed_by_the_agent_and_refused_in_a_session() -> Result<()> {
    // Sends a file to the agent, and says the number of its answer.
    const ASK: &str = "perl -MIO::Socket::UNIX -e '\
        $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die \"$!\\n\"; \
        open $f, \"<\", shift; local $/; print $s readline $f; $s->flush; \
        sysread $s, $b, 5; print ord substr($b, 4), \"\\n\"' ";
    let signer = Signer::new()?;
    let decode = "cut -d' ' -f2 ../.ssh/ada.pub | base64 -d";
    let key = signer.outside("sh").args(["-c", decode]).output()?.stdout;
    let ask = |name: &str, data: &[u8]| -> Result<()> {
        let request = [&[13][..], &string(&key)?, &string(data)?, &[0; 4]].concat();
        Ok(fs::write(signer.place.work().join(name), string(&request)?)?)
    };
    // RFC 4252, section 7: the session, the user, the service, the method and the key.
    let mut login = [string(&[7; 32])?, vec![50]].concat();
    for text in [&b"ada"[..], b"ssh-connection", b"publickey"] {
        login.extend(string(text)?);
    }
    login.push(1);
    login.extend([string(b"ssh-ed25519")?, string(&key)?].concat());
    ask("login", &login)?;
    let mut git = b"SSHSIG".to_vec();
    for text in [&b"git"[..], b"", b"sha512", &[7; 64]] {
        git.extend(string(text)?);
    }
    ask("git", &git)?;
    let script = format!("{ASK} login; {ASK} git");
    signer.place.configure(NAMED)?;
    let outside = signer.outside("sh").args(["-c", &script]).output()?;
    assert_eq!(text(&outside.stdout), "14\n14\n", "{}", text(&outside.stderr));
    for reduced in [false, true] {
        let inside = signer.inside(&script, reduced)?;
        assert_eq!(text(&inside.stdout), "5\n14\n", "{}", text(&inside.stderr));
    }
    Ok(())
}

#[test]
fn where_no_key_is_named_or_no_agent_runs_there_is_none() -> Result<()> {
    let signer = Signer::new()?;
    let script = "echo \"${SSH_AUTH_SOCK-none}\"; ls \"$TMPDIR\" | grep ssh-agent";
    assert_eq!(text(&signer.inside(script, false)?.stdout), "none\n");
    signer.place.configure(NAMED)?;
    assert_eq!(text(&signer.place.run(script)?.stdout), "none\n", "no agent");
    assert!(text(&signer.inside(script, false)?.stdout).ends_with("/ssh-agent\nssh-agent\n"));
    // What would pass the variable does not pass the agent.
    signer.place.configure("[environment]\npass = [\"SSH_AUTH_SOCK\"]\n")?;
    let done = signer.inside("ssh-add -l", false)?;
    assert_eq!(text(&done.stdout), "", "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_key_that_is_no_longer_named_signs_no_more() -> Result<()> {
    let signer = Signer::new()?;
    signer.place.configure(NAMED)?;
    let script = "sign() { rm -f text.sig; ssh-keygen -q -Y sign -n git -f other.pub text; }\n\
        cp ~/.ssh/ada.pub other.pub\n\
        sign && echo signed\ntouch first\nwhile ! test -e second; do sleep 0.05; done\n\
        sign || echo refused\n";
    let mut command = signer.place.chaperone(["run", "--", "sh", "-c", script])?;
    command.env("SSH_AUTH_SOCK", signer.place.home().join("agent"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let first = signer.place.work().join("first");
    eventually("the first signature", || first.exists().then_some(()))?;
    signer.place.configure("")?;
    fs::write(signer.place.work().join("second"), "")?;
    let done = child.wait_with_output()?;
    assert_eq!(text(&done.stdout), "signed\nrefused\n", "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn what_does_not_sign_is_said() -> Result<()> {
    let signer = Signer::new()?;
    let doctor = |command: &mut Command| -> Result<Option<(String, String)>> {
        let done = command.output()?;
        let said: Value = serde_json::from_slice(&done.stdout)?;
        let checks = said["checks"].as_array().context("checks")?;
        let own = checks.iter().find(|check| check["id"] == "signing");
        let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        Ok(own.map(|own| (word(own, "status"), word(own, "detail"))))
    };
    let with_agent = || -> Result<Command> {
        let mut command = signer.place.chaperone(["doctor", "--json"])?;
        command.env("SSH_AUTH_SOCK", signer.place.home().join("agent"));
        Ok(command)
    };
    assert_eq!(doctor(&mut with_agent()?)?, None, "nobody has named a key");
    signer.place.configure(NAMED)?;
    let ada = signer.fingerprint("ada")?;
    let expected = format!("Git may sign with {ada} (~/.ssh/ada.pub).");
    assert_eq!(doctor(&mut with_agent()?)?, Some(("ok".into(), expected)));
    let (status, detail) =
        doctor(&mut signer.place.chaperone(["doctor", "--json"])?)?.context("a check")?;
    assert_eq!((status.as_str(), detail.contains("no SSH agent")), ("warn", true), "{detail}");

    // A session could write it, and so say which key signs from the next one on.
    let own = signer.place.work().join("other.pub");
    signer.place.configure(&format!("[signing]\nssh_keys = [{own:?}]\n"))?;
    let done = signer.inside("echo \"${SSH_AUTH_SOCK-none}\"", false)?;
    assert_eq!(text(&done.stdout), "none\n");
    let said = text(&done.stderr);
    assert!(said.contains("other.pub lets no key sign: it lies in the workspace"), "{said}");
    // Nor is a private key's file granted, whatever its name.
    fs::copy(signer.place.home().join(".ssh/ada"), signer.place.home().join("private.pub"))?;
    signer.place.configure("[signing]\nssh_keys = [\"~/private.pub\"]\n")?;
    let done = signer.inside("echo \"${SSH_AUTH_SOCK-none}\"", false)?;
    assert_eq!(text(&done.stdout), "none\n");
    assert!(text(&done.stderr).contains("something else than public keys"));
    Ok(())
}
