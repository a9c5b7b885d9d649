//! Rules about requests through real sessions: what is refused and why, what is recorded, what is
//! asked, and that what cannot be seen is not let through.

use super::{Server, Tier, in_both_tiers};
use crate::place::{Place, text};
use crate::{Attendant, attended};
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Stdio;

fn requests(place: &Place) -> Result<Vec<Value>> {
    let history = place.chaperone(["history", "list", "--json", "--kind", "http"])?.output()?;
    Ok(text(&history.stdout).lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[test]
fn a_request_is_judged_by_its_method_and_path_and_what_is_not_seen_is_refused() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let port = server.port;
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"127.0.0.1:{port}\"]\n\
         [[network.rule]]\nhost = \"127.0.0.1:{port}\"\nmethods = [\"POST\"]\ndecision = \"deny\"\n\
         reason = \"Nothing is published.\"\n\
         [[network.rule]]\nhost = \"127.0.0.1\"\npaths = [\"/admin\"]\ndecision = \"deny\"\n"
    ))?;
    let at = format!("http://127.0.0.1:{port}");
    for way in ["curl -sS --noproxy ''", "curl -sS --noproxy '' --proxytunnel"] {
        let script = format!(
            "exec 2>&1; {way} {at}/a; {way} -d x {at}/a; {way} --path-as-is {at}/a/../admin; \
     printf 'NICK ada\r\n' | curl -sS --noproxy '' --proxytunnel telnet://127.0.0.1:{port}"
        );
        in_both_tiers(&place, None, &script, |tier, done| {
            let said = text(&done.stdout);
            let (first, rest) = said.split_once("hello\n").context(said.clone())?;
            assert_eq!(first, "", "{tier:?}, {way}");
            assert!(rest.contains("Nothing is published."), "{tier:?}, {way}: {said}");
            assert!(rest.contains("a dot segment"), "{tier:?}, {way}: {said}");
            assert!(!rest.contains("hello"), "{tier:?}, {way}: {said}");
            Ok(())
        })?;
    }
    let judged: Vec<(Value, Value)> = requests(&place)?
        .iter()
        .map(|event| (event["action"].clone(), event["decision"].clone()))
        .collect();
    for expected in [
        (format!("GET 127.0.0.1:{port}/a"), "allow"),
        (format!("POST 127.0.0.1:{port}/a"), "deny"),
        (format!("GET 127.0.0.1:{port}/a/../admin"), "deny"),
    ] {
        let expected = (Value::from(expected.0), Value::from(expected.1));
        assert!(judged.contains(&expected), "{expected:?} in {judged:?}");
    }
    let unseen = super::connections(&place)?.into_iter().any(|event| {
        event["reason"].as_str().is_some_and(|it| it.contains("what is said is not HTTP"))
    });
    assert!(unseen, "that it was no request was recorded");

    let url = format!("{at}/a");
    for (command, method, decision) in [
        (["policy", "test", "--request"].as_slice(), Some("POST"), "deny"),
        (&["policy", "test", "--request"], None, "allow"),
        (&["why", "--method", "POST"], None, "deny"),
        (&["why"], None, "allow"),
    ] {
        let mut asked = place.chaperone([])?;
        let told = asked.args(command).args(method).args([&*url, "--json"]).output()?;
        let told: Value = serde_json::from_slice(&told.stdout)?;
        assert_eq!(told["decision"], decision, "{command:?}: {told}");
    }
    Ok(())
}

#[test]
fn a_session_that_only_reads_writes_nowhere() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let at = format!("127.0.0.1:{}", server.port);
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"{at}\"]\nread_only = true\n"
    ))?;
    let script = |way: &str| {
        format!(
            "exec 2>&1; {way} http://{at}/; {way} -X PUT http://{at}/; \
             {way} -H 'X-HTTP-Method-Override: PUT' http://{at}/"
        )
    };
    in_both_tiers(&place, None, &script("curl -sS --noproxy ''"), |tier: Tier, done| {
        let said = text(&done.stdout);
        let rest = said.strip_prefix("hello\n").context(said.clone())?;
        assert!(rest.contains("Only GET, HEAD and OPTIONS are let through"), "{tier:?}: {said}");
        assert!(rest.contains("names another method"), "{tier:?}: {said}");
        Ok(())
    })?;
    assert_eq!(server.asked(), 2, "nothing is dialled for what is refused");
    in_both_tiers(&place, None, &script("curl -sS"), |tier: Tier, done| {
        let said = text(&done.stdout);
        // In the reduced tier there is no relay: what is said through it would not be seen.
        let (allowed, refused) = match tier {
            Tier::Full => (1, "Only GET, HEAD and OPTIONS are let through"),
            Tier::Reduced => (0, "curl: (7)"),
        };
        assert_eq!(said.matches("hello").count(), allowed, "{tier:?}: {said}");
        assert!(said.contains(refused), "{tier:?}: {said}");
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_request_waits_for_its_answer_and_goes_on_with_it() -> Result<()> {
    let place = Place::new()?;
    let server = Server::new()?;
    let at = format!("127.0.0.1:{}", server.port);
    place.configure(&format!(
        "[network]\nmode = \"proxy\"\nallow = [\"{at}\"]\n[[network.rule]]\nhost = \"{at}\"\n\
         methods = [\"POST\"]\ndecision = \"ask\"\nreason = \"It publishes.\"\n"
    ))?;
    let mut attendant = Attendant::start(&place)?;
    let script = format!(
        "until [ -e attended ]; do :; done; curl -sS http://{at}/a; curl -sS -d x http://{at}/a; \
         curl -sS -d x http://{at}/b; curl -sS -d x --noproxy '' http://{at}/c"
    );
    let mut run = place.chaperone(["run", "--", "bash", "-c", &script])?;
    let session = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    attended(&place)?;
    let request = attendant.request()?;
    assert_eq!(request["display"], format!("POST {at}/a"));
    assert_eq!(request["session_scope"], serde_json::json!(["POST", format!("http://{at}")]));
    assert_eq!(request["sentence"], "It sends 127.0.0.1 a POST request.");
    let id = request["id"].as_str().context("an id")?;
    let words = ["approvals", "answer", id, "allow", "--scope", "session"];
    let answer = place.chaperone(words)?.output()?;
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    let done = session.wait_with_output()?;
    // The first was covered by no rule, and the last two by the answer.
    assert_eq!(text(&done.stdout), "hello\n".repeat(4), "{}", text(&done.stderr));
    Ok(())
}
