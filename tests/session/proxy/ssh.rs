//! git over SSH in a session, which has none of its user's keys: what is said where it fails, and
//! that it works where it can.

use super::{Tier, connections, in_both_tiers};
use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

const POLICY: &str = "[network]\nmode = \"proxy\"\n\
                      [[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"allow\"\n";

#[test]
fn git_over_ssh_is_refused_with_the_host_and_with_what_works_instead() -> Result<()> {
    let place = Place::new()?;
    place.configure(POLICY)?;
    for (line, prefix) in [
        ("git clone git@git.example:a/b.git", "git@git.example:"),
        ("git fetch git@git.example:a/b.git", "git@git.example:"),
        ("git push ssh://ada@git.example/a/b.git main", "ssh://ada@git.example/"),
        ("git ls-remote ssh://git.example:22/a/b.git", "ssh://git.example:22/"),
    ] {
        in_both_tiers(&place, None, line, |tier: Tier, done| {
            let said = text(&done.stderr).replace('\r', "");
            assert_eq!(done.status.code(), Some(128), "{tier:?}: {line}: {said}");
            let expected = format!(
                "ssh: connect to host git.example port 22: Permission denied\n\
                 chaperone: a session has no SSH key of its user's: those in ~/.ssh and of the SSH \
                 agent are kept from it.\n  Use HTTPS: https://git.example/a/b.git\n  For a remote: \
                 git remote set-url REMOTE https://git.example/a/b.git\n  For one command: git -c \
                 url.https://git.example/.insteadOf={prefix} …\n  Whether that host may be \
                 reached: chaperone why git.example:443\n"
            );
            assert!(said.contains(&expected), "{tier:?}: {line}: {said}");
            Ok(())
        })?;
    }
    let refused = connections(&place)?;
    assert_eq!(refused.len(), 8, "{refused:?}");
    for refused in refused {
        assert_eq!(
            (&refused["action"], &refused["decision"]),
            (&"git.example:22".into(), &"deny".into())
        );
        assert_eq!(refused["detail"]["asked_by"][0], "git", "{refused}");
    }
    Ok(())
}

#[test]
fn what_the_repository_names_instead_of_ssh_is_still_what_git_runs() -> Result<()> {
    let place = Place::new()?;
    place.configure(&format!(
        "{POLICY}[filesystem]\nread = [{:?}]\n",
        place.remote().to_string_lossy()
    ))?;
    // It stands for a server: what it is asked for runs here.
    let ssh = place.work().join("ssh.sh");
    fs::write(
        &ssh,
        "#!/bin/sh\nfor last; do :; done\n[ \"$1\" != fails ] || exit 255\neval \"$last\"\n",
    )?;
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755))?;
    let url = format!("git.example:{}", place.remote().display());
    for (named, works) in [("", true), (" fails", false)] {
        let named = format!("{}{named}", ssh.display());
        let set = place.command("git").args(["config", "core.sshCommand", &named]).status()?;
        ensure!(set.success(), "git config");
        in_both_tiers(&place, None, &format!("git ls-remote {url}"), |tier: Tier, done| {
            let said = text(&done.stderr);
            assert_eq!(done.status.success(), works, "{tier:?}: {said}");
            assert_eq!(said.contains("chaperone: a session has no SSH key"), !works, "{said}");
            Ok(())
        })?;
    }
    Ok(())
}

/// A real server of SSH on this machine, of whoever runs the test: its port. It takes the key at
/// `~/key`, and the place's git asks it with that.
fn sshd(place: &Place) -> Result<u16> {
    // Installed, or out of its package, as the set-up of the tests takes it.
    let unpacked = concat!(env!("CARGO_TARGET_TMPDIR"), "/openssh-server/usr/sbin/sshd");
    let server = ["/usr/sbin/sshd", unpacked].into_iter().find(|path| Path::new(path).exists());
    let server = server.context("sshd, of the package openssh-server")?;
    let (folder, home) = (place.home().join("sshd"), place.home());
    fs::create_dir(&folder)?;
    for key in [folder.join("host"), home.join("key")] {
        let mut make = Command::new("ssh-keygen");
        let made = make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).output()?;
        ensure!(made.status.success(), "{}", text(&made.stderr));
    }
    let config = folder.join("config");
    fs::write(
        &config,
        format!(
            "HostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin prohibit-password\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            folder.join("host").display(),
            home.join("key.pub").display()
        ),
    )?;
    if rustix::process::getuid().is_root() {
        // Its service makes it, which does not run.
        fs::create_dir_all("/run/sshd")?;
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let host = fs::read_to_string(folder.join("host.pub"))?;
    fs::write(place.work().join("known_hosts"), format!("[localhost]:{port} {host}"))?;
    let mut git = fs::read_to_string(home.join(".gitconfig"))?;
    git.push_str(&format!(
        "[core]\nsshCommand = ssh -F none -i ~/key -o IdentitiesOnly=yes -o BatchMode=yes -o \
         UserKnownHostsFile={}\n",
        place.work().join("known_hosts").display()
    ));
    fs::write(home.join(".gitconfig"), git)?;
    // Until the test's process ends; each connection has a server of its own.
    thread::spawn(move || -> Result<()> {
        for stream in listener.incoming().flatten() {
            let stream = OwnedFd::from(stream);
            let mut served = Command::new(server)
                .args(["-i", "-f"])
                .arg(&config)
                .stdin(Stdio::from(stream.try_clone()?))
                .stdout(Stdio::from(stream))
                .stderr(Stdio::null())
                .spawn()
                .context(server)?;
            thread::spawn(move || served.wait());
        }
        Ok(())
    });
    Ok(port)
}

#[test]
fn git_over_ssh_works_with_a_key_that_the_policy_shows_and_a_host_that_it_allows() -> Result<()> {
    let place = Place::new()?;
    let pushed = place.command("git").args(["push", "-q", "origin", "HEAD:main"]).output()?;
    ensure!(pushed.status.success(), "{}", text(&pushed.stderr));
    let port = sshd(&place)?;
    let url = format!("ssh://localhost:{port}{}", place.remote().display());
    let script = format!(
        "exec 2>&1; git clone -q {url} cloned && git -C cloned log --format=%s; rm -rf cloned"
    );
    let outside = place.command("sh").args(["-c", &script]).output()?;
    assert_eq!(text(&outside.stdout), "first\n", "outside of a session");
    let policy = |allow: &str, read: &str| {
        place.configure(&format!(
            "[network]\nmode = \"proxy\"\nallow = [{allow}]\n[filesystem]\nread = [{read}]\n"
        ))
    };
    let host = format!("\"localhost:{port}\"");
    policy(&host, "\"~/key\"")?;
    in_both_tiers(&place, None, &script, |tier: Tier, done| {
        assert_eq!(text(&done.stdout), "first\n", "{tier:?}: {}", text(&done.stderr));
        Ok(())
    })?;
    for (allow, read, reason) in
        [("", "\"~/key\"", "Connection refused"), (&*host, "", "Permission denied (publickey)")]
    {
        policy(allow, read)?;
        in_both_tiers(&place, None, &script, |tier: Tier, done| {
            let said = text(&done.stdout).replace('\r', "");
            assert!(said.contains(reason), "{tier:?}: {said}");
            assert!(said.contains("chaperone: a session has no SSH key"), "{tier:?}: {said}");
            assert!(said.contains("  Use HTTPS: https://localhost/"), "{tier:?}: {said}");
            assert!(!said.contains("first"), "{tier:?}: {said}");
            Ok(())
        })?;
    }
    Ok(())
}
