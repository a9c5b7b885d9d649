//! Whose accounts may be used, through real sessions: what the provider is told in place of what the
//! agent says, and what becomes of a provider of which layers name nobody in common.

use super::{Tier, connections, in_both_tiers};
use crate::credentials::Server;
use crate::place::{Place, text};
use anyhow::{Context, Result};
use std::fs;

const HOST: &str = "api.anthropic.com";
const OWN: &str = "550e8400-e29b-41d4-a716-446655440000";

#[test]
fn a_provider_is_told_the_organisations_of_the_policy_whatever_the_agent_says() -> Result<()> {
    let place = Place::new()?;
    let server = Server::start(HOST)?;
    let port = server.port;
    fs::write(place.home().join("acme.pem"), &server.authority)?;
    let hosts = place.home().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {HOST}\n"))?;
    let network = format!(
        "[network]\nmode = \"proxy\"\nca = [\"~/acme.pem\"]\nallow = [\"{HOST}\", \"127.0.0.1\"]\n"
    );
    let url = format!("https://{HOST}:{port}/v1/messages");
    let script = format!(
        "exec 2>&1; for way in --http1.1 --http2; do \
         curl -sS -o /dev/null $way -H 'Anthropic-Allowed-Org-Ids: mine' {url}; done"
    );
    let told = || {
        let heads = server.take();
        let line = |head: &String| {
            let mut lines = head.lines().filter(|line| line.to_lowercase().contains("org-ids"));
            lines.next().map(str::to_lowercase)
        };
        heads.iter().map(line).collect::<Option<Vec<String>>>().context("the field")
    };
    let quiet = |tier: Tier, done: std::process::Output| {
        assert_eq!(text(&done.stdout), "", "{tier:?}: {}", text(&done.stderr));
        Ok(())
    };
    place.configure(&network)?;
    in_both_tiers(&place, Some(&hosts), &script, quiet)?;
    assert_eq!(told()?, ["anthropic-allowed-org-ids: mine"; 4]);
    let pinned = format!("[identity]\norganisations = [\"anthropic:{OWN}\"]\n");
    place.configure(&format!("{network}{pinned}"))?;
    in_both_tiers(&place, Some(&hosts), &script, quiet)?;
    let expected = format!("anthropic-allowed-org-ids: {OWN}");
    assert_eq!(told()?, [expected.as_str(); 4]);

    // A workspace names another: nobody is left.
    fs::write(
        place.work().join(".chaperone.toml"),
        "[identity]\norganisations = [\"anthropic:x\"]\n",
    )?;
    let said = |tier: Tier, done: std::process::Output| {
        let said = text(&done.stdout);
        assert!(said.contains("response 403"), "{tier:?}: {said}");
        Ok(())
    };
    in_both_tiers(&place, Some(&hosts), &script, said)?;
    assert_eq!(told()?, [""; 0]);
    let events = connections(&place)?;
    let denied = events.iter().filter(|event| event["rule"] == "identity.organisations").count();
    assert_eq!(denied, 4, "{events:?}");
    let why = place.chaperone(["why", HOST])?.output()?;
    let said = text(&why.stdout);
    assert!(said.contains("no organisation at anthropic in common"), "{said}");
    Ok(())
}
