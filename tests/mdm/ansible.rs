//! The Ansible role, run by the real Ansible against this machine, with an `/etc` of the test's own
//! in a mount namespace; and the facts that it leaves.

use crate::outputs;
use crate::place::{Place, installers, text};
use anyhow::{Context, Result};
use chaperone_tests::chaperone;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[test]
fn the_facts_are_what_the_command_says_and_say_where_it_says_nothing() -> Result<()> {
    let facts: Vec<Value> = outputs("ansible/roles/chaperone/files/chaperone.fact")?
        .iter()
        .map(|output| serde_json::from_str(output).context(output.clone()))
        .collect::<Result<_>>()?;
    let nothing = |sentence: &str| json!({"version": null, "governed": "not", "sentence": sentence, "policy": null});
    let form = |name: &str| -> Result<Value> { Ok(serde_json::from_str(&crate::form(name)?)?) };
    assert_eq!(
        facts,
        [
            form("governed.json")?,
            form("partly.json")?,
            form("not.json")?,
            nothing("chaperone status gave no answer."),
            nothing("Chaperone is not installed."),
        ]
    );
    Ok(())
}

/// A controller with a playbook, and a host whose `/etc` is an overlay.
struct Fleet {
    place: Place,
}

impl Fleet {
    fn new() -> Result<Self> {
        let fleet = Self { place: Place::new()? };
        for folder in ["upper", "work", "chaperone", "play", "play/policy.d", "play/recommended.d"]
        {
            fs::create_dir(fleet.path(folder))?;
            fs::set_permissions(fleet.path(folder), fs::Permissions::from_mode(0o755))?;
        }
        Ok(fleet)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.folder().join(path)
    }

    /// Runs the playbook: whether it ended well, and all that it said.
    fn play(&self) -> Result<(bool, String)> {
        let mut unshare = self.place.command(Path::new("unshare"));
        if !rustix::process::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let script = "mount -t overlay overlay -o lowerdir=/etc,upperdir=upper,workdir=work /etc && \
                      mkdir -p /etc/chaperone && mount --bind chaperone /etc/chaperone && \
                      exec \"$@\"";
        unshare.args(["--mount", "sh", "-c", script, "sh", "ansible-playbook"]);
        unshare.args(["--inventory", "localhost,", "--connection", "local"]);
        let program = chaperone()?;
        unshare.env("CHAPERONE", &program).env("ANSIBLE_NOCOLOR", "1");
        // Else it asks the system for the home of a root that here is somebody else.
        unshare.env("ANSIBLE_LOCAL_TEMP", self.path("local"));
        unshare.env("ANSIBLE_REMOTE_TEMP", self.path("remote"));
        unshare.args(["--extra-vars", "ansible_become=false"]);
        unshare.args(["--extra-vars", &format!("chaperone_program={}", program.display())]);
        for folder in ["policy.d", "recommended.d"] {
            let variable = if folder == "policy.d" { "managed" } else { "recommended" };
            let path = self.path("play").join(folder);
            let set = format!("chaperone_{variable}={}", path.display());
            unshare.args(["--extra-vars", &set]);
        }
        let done = unshare.arg(installers().join("ansible/site.yml")).output();
        let done = done.context("starting unshare")?;
        Ok((done.status.success(), text(&done.stdout) + &text(&done.stderr)))
    }

    /// What the host's `/etc/chaperone` holds: each path with its owner and mode.
    fn deployed(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("chaperone")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let about = fs::symlink_metadata(&path)?;
                let owned = about.uid() == rustix::process::geteuid().as_raw();
                let name = path.strip_prefix(self.path("chaperone"))?;
                found.push(format!(
                    "{} {:o}{}",
                    name.display(),
                    about.mode() & 0o7777,
                    if owned { "" } else { " not root's" }
                ));
                if about.is_dir() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

#[test]
fn the_role_deploys_whole_files_as_roots_own_and_leaves_none_that_is_not_wanted() -> Result<()> {
    let fleet = Fleet::new()?;
    fs::write(fleet.path("play/policy.d/10.toml"), "revision = \"7\"\n")?;
    fs::write(fleet.path("play/recommended.d/10.toml"), "[approvals]\nexpires = \"5m\"\n")?;
    // What an earlier play left.
    fs::create_dir_all(fleet.path("chaperone/policy.d"))?;
    fs::write(fleet.path("chaperone/policy.d/05.json"), "{}")?;
    let (well, said) = fleet.play()?;
    let whole =
        ["policy.d 755", "policy.d/10.toml 644", "recommended.d 755", "recommended.d/10.toml 644"];
    assert_eq!(fleet.deployed()?, whole, "{said}");
    if rustix::process::geteuid().is_root() {
        assert!(well, "{said}");
    } else {
        // In that user's own namespace nothing above /etc is root's, so that the files are not
        // trusted, and the role says so.
        assert!(!well && said.contains("so its restrictions apply"), "{said}");
    }

    // A file that is not whole takes nobody's place.
    fs::write(fleet.path("play/policy.d/10.toml"), "[network]\nmode = \"nonne\"\n")?;
    let (well, said) = fleet.play()?;
    assert!(
        !well && said.contains("expected \\\"none\\\", \\\"proxy\\\" or \\\"direct\\\""),
        "{said}"
    );
    assert_eq!(fleet.deployed()?, whole, "{said}");
    let kept = fs::read_to_string(fleet.path("chaperone/policy.d/10.toml"))?;
    assert_eq!(kept, "revision = \"7\"\n");
    Ok(())
}
