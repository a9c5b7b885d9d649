//! Whose accounts may be used, through real sessions: what the provider is told in place of what the
//! agent says, and what becomes of a provider of which layers name nobody in common.

use super::tools::http2;
use super::{Tier, connections, in_both_tiers};
use crate::bundle::https::proof;
use crate::place::{Place, text};
use anyhow::Result;
use std::fs;
use std::process::Output;

const HOST: &str = "api.anthropic.com";
const OWN: &str = "550e8400-e29b-41d4-a716-446655440000";
/// The protocol of a request, and every value that it has for the header.
const HEARD: &str = "request.httpVersion + ' ' + request.rawHeaders.filter((_, at, all) => \
    at % 2 && all[at - 1].toLowerCase() === 'anthropic-allowed-org-ids').join(' and ')";

#[test]
fn a_provider_is_told_the_organisations_of_the_policy_whatever_the_agent_says() -> Result<()> {
    let place = Place::new()?;
    let (authority, certificate, key) = proof(HOST)?;
    for (name, pem) in [
        ("acme.pem", authority),
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(place.home().join(name), pem)?;
    }
    let (mut node, port) = http2(&place.home(), HEARD)?;
    let done = told(&place, port);
    drop(node.stdin.take());
    node.wait()?;
    done
}

fn told(place: &Place, port: u16) -> Result<()> {
    let hosts = place.home().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost {HOST}\n"))?;
    let network = format!(
        "[network]\nmode = \"proxy\"\nca = [\"~/acme.pem\"]\nallow = [\"{HOST}\", \"127.0.0.1\"]\n"
    );
    let script = format!(
        "exec 2>&1; for way in --http1.1 --http2; do curl -sS $way \
         -H 'Anthropic-Allowed-Org-Ids: mine' -H 'anthropic-allowed-org-ids: too' \
         https://{HOST}:{port}/v1/messages; done"
    );
    let says = |expected: &str| {
        in_both_tiers(place, Some(&hosts), &script, |tier: Tier, done: Output| {
            assert_eq!(text(&done.stdout), expected, "{tier:?}: {}", text(&done.stderr));
            Ok(())
        })
    };
    place.configure(&network)?;
    says("1.1 mine and too\n2.0 mine and too\n")?;
    let pinned = format!("[identity]\norganisations = [\"anthropic:{OWN}\"]\n");
    place.configure(&format!("{network}{pinned}"))?;
    says(&format!("1.1 {OWN}\n2.0 {OWN}\n"))?;

    // A workspace names another: nobody is left.
    fs::write(
        place.work().join(".chaperone.toml"),
        "[identity]\norganisations = [\"anthropic:x\"]\n",
    )?;
    in_both_tiers(place, Some(&hosts), &script, |tier: Tier, done: Output| {
        let said = text(&done.stdout);
        assert_eq!(said.matches("response 403").count(), 2, "{tier:?}: {said}");
        assert_eq!(said.lines().count(), 2, "nothing else: {tier:?}: {said}");
        Ok(())
    })?;
    let events = connections(place)?;
    let denied = events.iter().filter(|event| event["rule"] == "identity.organisations").count();
    assert_eq!(denied, 4, "{events:?}");
    let why = place.chaperone(["why", HOST])?.output()?;
    let said = text(&why.stdout);
    assert!(said.contains("no organisation at anthropic in common"), "{said}");
    Ok(())
}
