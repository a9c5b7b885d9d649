//! git over SSH in a session, which has none of its user's keys: what is said where it fails, and
//! that it works where it can.

use super::{Tier, connections, in_both_tiers};
use crate::place::{Place, text};
use anyhow::{Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;

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
