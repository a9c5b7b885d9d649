//! Sessions under a signed bundle, from the managed file that names it to the command that it denies.

#[path = "../../platform/sources/tests/remote/host.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "the bundle's own tests need more of it")]
mod host;
#[path = "../../platform/sources/tests/remote/publisher.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "the bundle's own tests need more of it")]
mod publisher;

pub(crate) mod https;

use crate::managed::{LOOP, Machine, Running, is_root};
use crate::place::text;
use anyhow::{Context, Result};
use chaperone_tests::eventually;
use host::Host;
use publisher::Publisher;
use std::fs;
use std::process::Stdio;

const DENY: &str = "revision = \"signed\"\n[[commands.rule]]\nprefix = [\"uname\"]\n\
                    decision = \"deny\"\nreason = \"Not here.\"\n";

/// A machine whose managed file names the bundle.
fn scene(text: &str) -> Result<(Machine, Publisher, Host)> {
    let mut publisher = Publisher::new();
    publisher.files = [("10-base.toml".to_owned(), text.to_owned())].into();
    publisher.publish();
    let host = Host::serve(publisher.folder());
    let machine = Machine::new()?;
    machine.ship("root.json", &publisher.root())?;
    let url = host.url();
    machine.deploy(
        "10-remote.toml",
        &format!("[remote]\nurl = \"{url}\"\nroot = \"/etc/chaperone/root.json\"\n"),
    )?;
    Ok((machine, publisher, host))
}

/// The exit status of a command in a session, and what was said.
fn run(machine: &Machine, script: &str) -> Result<(Option<i32>, String, String)> {
    let done = machine.chaperone(["run", "--unattended", "--", "sh", "-c", script])?.output()?;
    Ok((done.status.code(), text(&done.stdout), text(&done.stderr)))
}

fn refresh(machine: &Machine) -> Result<(Option<i32>, String, String)> {
    let done = machine.chaperone(["policy", "refresh"])?.output()?;
    Ok((done.status.code(), text(&done.stdout), text(&done.stderr)))
}

#[test]
fn a_bundle_is_fetched_once_and_then_holds_without_a_network() -> Result<()> {
    let (machine, mut publisher, host) = scene(DENY)?;
    let (status, told, said) = refresh(&machine)?;
    assert_eq!(status, Some(0), "{said}");
    assert!(told.contains("is version 1, before there was none; good until 20"), "{told}");
    assert!(told.contains("new      10-base.toml"), "{told}");
    let (_, printed, said) = run(&machine, "uname >/dev/null; echo $?")?;
    assert_eq!(printed, "126\n", "{said}");
    assert!(said.contains("Not here."), "{said}");
    let shown = machine.chaperone(["policy", "show", "--json"])?.output()?;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
    let layers = shown["layers"].as_array().context("layers")?;
    let layer = layers.iter().find(|layer| layer["kind"] == "managed-bundle").context("it")?;
    assert_eq!(layer["locator"], format!("{}10-base.toml", host.url()));
    assert_eq!(layer["status"], if is_root() { "present" } else { "untrusted" });
    assert_eq!(layer["revision"], "signed");

    publisher.say("10-base.toml", "revision = \"2\"\n");
    publisher.say("20-more.toml", "");
    publisher.publish();
    let (_, told, _) = refresh(&machine)?;
    assert!(told.contains("is version 3, before it was version 1; good until"), "{told}");
    assert!(told.contains("new      20-more.toml\n  changed  10-base.toml"), "{told}");

    let url = host.url();
    host.stop();
    let (status, told, said) = refresh(&machine)?;
    assert_eq!((status, told.as_str()), (Some(1), ""));
    assert!(said.contains(&format!("{url}metadata/")), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");
    assert_eq!(run(&machine, "uname >/dev/null; echo $?")?.1, "0\n", "the last one holds");
    Ok(())
}

#[test]
fn a_session_fetches_first_what_it_cannot_start_without_and_says_why_it_cannot() -> Result<()> {
    let (machine, publisher, host) = scene(DENY)?;
    host.answer("/metadata/timestamp.json", host::Answer::Status(503));
    let (status, _, said) = run(&machine, "true")?;
    assert_eq!(status, Some(125), "{said}");
    for words in [
        &format!("chaperone: fetching the policy bundle at {}", host.url()),
        "The bundle was never fetched; fetch it with `chaperone policy refresh`.",
        "timestamp.json is answered with HTTP status 503",
        "No session starts without it.",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    host.recover();
    let (_, printed, said) = run(&machine, "uname >/dev/null; echo $?")?;
    assert_eq!(printed, "126\n", "{said}");
    // From now on no start waits for a fetch.
    host.answer("/metadata/timestamp.json", host::Answer::Silence);
    let (_, printed, said) = run(&machine, "uname >/dev/null; echo $?")?;
    assert_eq!(printed, "126\n");
    assert!(!said.contains("fetching"), "{said}");
    // What is wrong elsewhere is not mended by fetching.
    machine.deploy("20-broken.toml", "[network\n")?;
    fs::remove_dir_all(machine.place.home().join(".local/state/chaperone/bundles"))?;
    host.asked();
    assert_eq!(run(&machine, "true")?.0, Some(125));
    assert_eq!(host.asked(), [""; 0]);
    drop(publisher);
    Ok(())
}

#[test]
fn where_nobody_names_a_bundle_there_is_nothing_to_fetch() -> Result<()> {
    let machine = Machine::new()?;
    let (status, told, said) = refresh(&machine)?;
    assert_eq!((status, said.as_str()), (Some(0), ""));
    assert!(told.contains("nothing to fetch"), "{told}");
    assert!(!machine.place.home().join(".local/state/chaperone/bundles").exists());
    Ok(())
}

#[test]
fn a_running_session_takes_up_a_new_bundle_and_fetches_it_itself_when_that_is_due() -> Result<()> {
    let (machine, mut publisher, _host) = scene("revision = \"1\"\n")?;
    assert_eq!(refresh(&machine)?.0, Some(0));
    let mut command = machine.chaperone(["run", "--unattended", "--", "sh", "-c", LOOP])?;
    let mut session = Running(command.stderr(Stdio::null()).spawn()?);
    let becomes =
        |status: &str| eventually(status, || (machine.last_status()? == status).then_some(()));
    becomes("0")?;
    publisher.say("10-base.toml", DENY);
    publisher.publish();
    assert_eq!(refresh(&machine)?.0, Some(0));
    becomes("126")?;
    publisher.say("10-base.toml", "revision = \"3\"\n");
    publisher.publish();
    fs::write(machine.place.work().join("stop"), "")?;
    assert!(session.0.wait()?.success());

    // The session before did not ask again within a quarter of an hour, and nor does this one.
    let bundles = machine.place.home().join(".local/state/chaperone/bundles");
    let bundle = fs::read_dir(&bundles)?.next().context("a bundle")??.path();
    let looks = "for i in 1 2 3 4 5 6 7 8 9 10; do uname >/dev/null 2>&1; echo $?; done";
    assert!(!run(&machine, looks)?.1.contains('0'));
    fs::remove_file(bundle.join("refreshes.json"))?;
    fs::remove_file(machine.place.work().join("stop"))?;
    let mut command = machine.chaperone(["run", "--unattended", "--", "sh", "-c", LOOP])?;
    let mut session = Running(command.stderr(Stdio::null()).spawn()?);
    becomes("0")?;
    fs::write(machine.place.work().join("stop"), "")?;
    assert!(session.0.wait()?.success());
    Ok(())
}

#[test]
fn no_session_reaches_the_bundles() -> Result<()> {
    let (machine, _publisher, _host) = scene("revision = \"1\"\n")?;
    assert_eq!(refresh(&machine)?.0, Some(0));
    let bundles = machine.place.home().join(".local/state/chaperone/bundles");
    let bundle = fs::read_dir(&bundles)?.next().context("a bundle")??.path().join("bundle.json");
    let before = fs::read(&bundle)?;
    let script = format!(
        "cat {bundle:?} >/dev/null 2>&1; echo $?; (echo > {bundle:?}); echo $?; rm -rf {bundles:?}; \
         mkdir -p {bundles:?}/x 2>/dev/null; mv {bundles:?} elsewhere 2>/dev/null; echo end"
    );
    let (_, printed, said) = run(&machine, &script)?;
    let statuses: Vec<&str> = printed.lines().collect();
    assert_eq!(statuses.len(), 3, "{printed} {said}");
    assert!(statuses[..2].iter().all(|status| *status != "0"), "{printed} {said}");
    assert_eq!(fs::read(&bundle)?, before);
    assert_eq!(fs::read_dir(&bundles)?.count(), 1);
    Ok(())
}
