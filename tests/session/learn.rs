//! `chaperone learn`: what each source tells of a session, what is proposed for it, and that nothing
//! changes unless a person says so.

use crate::managed::{Machine, is_root};
use crate::place::{Place, text};
use anyhow::{Context, Result};
use chaperone_tests::{eventually, without_namespaces};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// Runs it to its end, and gives the proposal.
fn proposal(mut command: Command) -> Result<Value> {
    let done = command.output()?;
    let said = text(&done.stderr);
    // The command's own words come first.
    let start = said.find("{\n").with_context(|| said.clone())?;
    serde_json::from_str(&said[start..]).with_context(|| said.clone())
}

fn changes(proposal: &Value) -> Vec<(&str, &str)> {
    let changes = proposal["changes"].as_array().into_iter().flatten();
    changes
        .map(|it| {
            (it["key"].as_str().unwrap_or_default(), it["value"].as_str().unwrap_or_default())
        })
        .collect()
}

fn whats<'a>(proposal: &'a Value, list: &str) -> Vec<&'a str> {
    let left = proposal[list].as_array().into_iter().flatten();
    left.filter_map(|left| left["what"].as_str()).collect()
}

#[test]
fn commands_and_connections_are_learned_recorded_and_applied_only_if_a_person_says_so() -> Result<()>
{
    let place = Place::new()?;
    let config = place.home().join(".config/chaperone/config.toml");
    let before = fs::read_to_string(&config)?;
    let script = "git push -q origin main; echo status $?; exec 3<>/dev/tcp/10.1.2.3/443";
    let file = place.home().join("change.diff");
    let file = file.to_str().context("a path")?;
    let learn = ["learn", "--output", file, "--", "bash", "-c", script];
    let done = place.chaperone(learn)?.output()?;
    let said = text(&done.stderr);
    assert_eq!(text(&done.stdout), "status 126\n", "it stays refused: {said}");
    assert_eq!(done.status.code(), Some(1), "the command's own");
    let diff = fs::read_to_string(file)?;
    assert!(diff.contains("+allow = [\"10.1.2.3:443\"]\n"), "{diff}");
    assert!(diff.contains("+prefix = [\"git\", \"push\"]\n"), "{diff}");
    assert!(diff.contains("+decision = \"allow\"\n"), "{diff}");
    assert!(!diff.lines().any(|line| line.starts_with('-') && !line.starts_with("---")), "{diff}");
    assert!(said.contains("Nothing is changed"), "{said}");

    let events = place.events([])?;
    let start = events.iter().find(|event| event["kind"] == "session-start").context("a start")?;
    assert_eq!(start["detail"]["learns"], true, "{start}");
    let found = events.iter().find(|event| event["kind"] == "finding").context("a finding")?;
    assert_eq!(found["reason"], "A change of the user's policy was proposed.");
    assert_eq!(found["detail"]["parts"], 2, "{found}");

    // Without a terminal there is nobody to say so.
    let alone = place.chaperone(["learn", "--apply", "--", "bash", "-c", script])?.output()?;
    assert!(text(&alone.stderr).contains("not applied"), "{}", text(&alone.stderr));
    assert_eq!(fs::read_to_string(&config)?, before);

    let script = "git push -q origin main; echo status $?";
    for (answer, applied) in [("n\n", false), ("y\n", true)] {
        let words = ["learn", "--unattended", "--apply", "--", "sh", "-c", script];
        let mut session = place.on_terminal(words, None)?;
        eventually("the question", || session.shows("[y/N]").then_some(()))
            .with_context(|| session.screen())?;
        session.type_keys(answer)?;
        let status = eventually("the end", || session.child.try_wait().ok().flatten())?;
        assert_eq!(status.code(), Some(0), "{}", session.screen());
        assert_eq!(fs::read_to_string(&config)? != before, applied, "{}", session.screen());
    }
    let after = fs::read_to_string(&config)?;
    assert!(after.starts_with(before.trim_end()), "what stood there stays: {after}");
    assert!(!place.pushed("main"));
    let again = place.chaperone(["learn", "--unattended", "--json", "--", "sh", "-c", script])?;
    let again = proposal(again)?;
    assert_eq!((changes(&again), &again["diff"]), (vec![], &"".into()));
    assert!(place.pushed("main"));
    Ok(())
}

#[test]
fn names_that_no_grant_covers_are_learned_without_the_kernels_word() -> Result<()> {
    let place = Place::new()?;
    for folder in ["out", ".ssh"] {
        fs::create_dir(place.home().join(folder))?;
    }
    fs::write(place.home().join("notes"), "")?;
    let script = "for i in 1 2; do echo x > ../out/$i; done; mkdir ../out/made; echo x >> ../notes; \
                  echo x > ../.ssh/config; echo x > .envrc; echo x > own";
    let words = ["learn", "--json", "--", "sh", "-c", script];
    let reduced = || -> Result<Command> {
        let mut command = place.chaperone(words)?;
        without_namespaces(&mut command);
        Ok(command)
    };
    let told = proposal(reduced()?)?;
    assert_eq!(
        changes(&told),
        [("filesystem.write", "~/notes"), ("filesystem.write", "~/out")],
        "{told}"
    );
    assert_eq!(whats(&told, "secrets"), ["~/.ssh"]);
    let guarded = place.work().canonicalize()?.join(".envrc").display().to_string();
    assert_eq!(whats(&told, "kept"), [guarded]);
    assert!(place.work().join("own").exists() && !place.home().join("out/1").exists());
    let unseen = told["unseen"].as_array().context("unseen")?;
    assert!(unseen[0].as_str().is_some_and(|why| why.contains("not to be read")), "{told}");

    let diff = told["diff"].as_str().context("a diff")?;
    fs::write(place.home().join("change.diff"), diff)?;
    let config = place.home().join(".config/chaperone/config.toml");
    let mut patch = place.command("patch");
    let patched = patch.arg(&config).arg(place.home().join("change.diff")).output();
    match patched {
        Ok(patched) => assert!(patched.status.success(), "{}", text(&patched.stdout)),
        // Not every machine has patch(1).
        Err(_) => {
            let old = fs::read_to_string(&config)?;
            let new = old.replace("write = [", "write = [\"~/notes\", \"~/out\", ");
            fs::write(&config, new)?;
        }
    }
    // Also where root is nobody, the user's own grants count.
    let again = proposal(reduced()?)?;
    assert_eq!(changes(&again), []);
    assert!(place.home().join("out/made").is_dir(), "{again}");
    Ok(())
}

#[test]
fn what_the_organisation_denies_is_listed_and_never_proposed() -> Result<()> {
    let machine = Machine::new()?;
    machine.deploy(
        "10.toml",
        "[[commands.rule]]\nprefix = [\"uname\"]\ndecision = \"deny\"\nreason = \"Not here.\"\n\
         [network]\ndeny = [\"10.1.2.3\"]\n",
    )?;
    let script = "uname; exec 3<>/dev/tcp/10.1.2.3/443";
    let told = proposal(machine.chaperone(["learn", "--json", "--", "bash", "-c", script])?)?;
    assert_eq!(changes(&told), [], "{told}");
    assert_eq!(whats(&told, "denied"), ["10.1.2.3:443", "uname"]);
    let denied = told["denied"].as_array().context("a list")?;
    for left in denied {
        let why = left["why"].as_str().unwrap_or_default();
        assert!(why.starts_with("Your organisation denies this (managed-file"), "{why}");
    }
    Ok(())
}

#[test]
fn hosts_that_the_proxy_refused_are_proposed_by_name() -> Result<()> {
    let place = Place::new()?;
    place.configure("[network]\nmode = \"proxy\"\nallow = [\"*:81\"]\n")?;
    let ask = |url: &str| {
        format!(
            "exec 3<>/dev/tcp/127.63.0.1/3128; printf 'GET {url} HTTP/1.1\\r\\n\\r\\n' >&3; \
             read -r line <&3; exec 3<&-; "
        )
    };
    let script =
        [ask("http://new.example/"), ask("http://new.example/"), ask("http://10.0.0.7:81/")];
    let words = ["learn", "--json", "--", "bash", "-c", &script.concat()];
    let told = proposal(place.chaperone(words)?)?;
    assert_eq!(
        changes(&told),
        [("network.allow", "10.0.0.7:81"), ("network.allow", "new.example:80")],
        "{told}"
    );
    Ok(())
}

/// Switches the kernel's audit on for as long as this lives, if it was off.
struct Audit {
    socket: rustix::fd::OwnedFd,
    was_on: bool,
}

impl Audit {
    const SET: u16 = 1001;
    const GET: u16 = 1000;

    fn on() -> Result<Self> {
        use rustix::net::{AddressFamily, SocketType, netlink};
        let socket =
            rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::AUDIT))?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        let mut audit = Self { socket, was_on: true };
        audit.ask(Self::GET, 1, &[])?;
        let mut answer = [0u8; 256];
        rustix::io::read(&audit.socket, &mut answer)?;
        // A header of 16 bytes; then `struct audit_status`: a mask, and whether it is enabled.
        audit.was_on = answer[20] != 0;
        audit.set(true)?;
        Ok(audit)
    }

    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> Result<()> {
        let length = u32::try_from(16 + body.len())?;
        let header = [length.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        let mut message = [header, body.to_vec()].concat();
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[6..8].copy_from_slice(&flags.to_ne_bytes());
        rustix::io::write(&self.socket, &message)?;
        Ok(())
    }

    fn set(&self, on: bool) -> Result<()> {
        let mut body = [0u8; 40];
        (body[0], body[4]) = (1, u8::from(on));
        // NLM_F_REQUEST and NLM_F_ACK
        self.ask(Self::SET, 5, &body)?;
        rustix::io::read(&self.socket, &mut [0u8; 256])?;
        Ok(())
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.was_on {
            let _ = self.set(false);
        }
    }
}

/// What the kernel reports goes to a privileged user alone; for anybody else this is about being
/// told so.
#[test]
fn files_that_the_kernel_reports_are_learned_by_root_and_others_are_told_why_not() -> Result<()> {
    let place = Place::new()?;
    // The full tier covers /tmp as a whole, so that what is refused there is not refused by Landlock.
    let outside = tempfile::tempdir_in(match is_root() {
        true => env!("CARGO_TARGET_TMPDIR"),
        false => "/tmp",
    })?;
    for name in ["a", "b"] {
        fs::write(outside.path().join(name), "words")?;
    }
    let folder = outside.path().canonicalize()?;
    let folder = folder.to_str().context("a path")?;
    let script = format!("cat {folder}/a {folder}/b; cat /etc/shadow");
    let _audit = is_root().then(Audit::on).transpose()?;
    let told = proposal(place.chaperone(["learn", "--json", "--", "sh", "-c", &script])?)?;
    let unseen: Vec<&str> =
        told["unseen"].as_array().context("a list")?.iter().filter_map(Value::as_str).collect();
    if !is_root() {
        let why = unseen.first().context("why not")?;
        assert!(why.contains("privileged user") || why.contains("switched off"), "{why}");
        assert_eq!(changes(&told), []);
        return Ok(());
    }
    assert_eq!(unseen, [""; 0]);
    assert!(changes(&told).contains(&("filesystem.read", folder)), "{told}");
    let events = place.events(["--kind", "read"])?;
    let file = format!("{folder}/a");
    let event = events.iter().find(|event| event["action"] == file.as_str()).context("one")?;
    assert_eq!((&event["decision"], &event["rule"]), (&"deny".into(), &"filesystem grants".into()));
    Ok(())
}
