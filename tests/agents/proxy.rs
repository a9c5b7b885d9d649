//! Real agents whose only way out is the session's proxy: their model is a host that their agent
//! file allows, what else they want is judged, and what is refused they are told in words.

use super::agent::Agent;
use super::internet::Internet;
use super::model::Model;
use super::model::http::Response;
use super::place::{Place, text};
use super::{WRITE, results, said};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

const FETCHED: &str = "fetched from the internet";
const FETCH: &str = "curl -sS https://docs.acme.example/page";
const REFUSED: &str = "curl -sS https://drop.example/written";
const REFUSED_PLAINLY: &str = "curl -sS http://drop.example/written";
/// With nothing said about a proxy.
const PAST: &str = "curl -sS --noproxy '*' https://drop.example/written";

fn reaches_its_model_and_what_is_allowed(
    host: &str,
    base: &str,
    agent: impl FnOnce(&Model) -> Result<Agent>,
) -> Result<()> {
    let place = Place::new()?;
    let script = [WRITE, FETCH, REFUSED, REFUSED_PLAINLY, PAST];
    let model = Arc::new(Model::that_runs(&script)?);
    let mut agent = agent(&model)?;
    agent.forget(base);
    let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
    let internet = Internet::answering({
        let (hosts, model) = (Arc::clone(&hosts), Arc::clone(&model));
        move |request| {
            hosts.lock().unwrap_or_else(PoisonError::into_inner).push(request.host.clone());
            match request.host.as_str() {
                "docs.acme.example" => Response::json(&json!({ "page": FETCHED })),
                _ => model.answer(request),
            }
        }
    })?;
    fs::write(place.home().join("acme.pem"), internet.authority())?;
    let config = place.home().join(".config/chaperone");
    fs::create_dir_all(&config)?;
    fs::write(
        config.join("config.toml"),
        format!(
            "[network]\nmode = \"proxy\"\nupstream = {:?}\nca = [\"~/acme.pem\"]\n\
             allow = [\"docs.acme.example\"]\ndeny = [\"drop.example\"]\n",
            internet.proxy()
        ),
    )?;
    let output = agent.inside(&place)?.output()?;
    let [write, fetch, refused, plainly, past] = results(&model, &said(&output))?;
    ensure!(output.status.success(), "{}", said(&output));
    assert!(write.text.contains("written"), "{write:?}");
    assert!(fetch.text.contains(FETCHED), "{fetch:?}");
    assert!(refused.text.contains("CONNECT tunnel failed, response 403"), "{refused:?}");
    let words = "chaperone: denied: a connection to drop.example:80";
    assert!(plainly.text.contains(words), "{plainly:?}");
    assert!(past.text.contains("connect to drop.example port 443"), "{past:?}");
    let hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(hosts.iter().any(|own| own == host), "{hosts:?}");
    assert!(hosts.iter().all(|own| own != "drop.example"), "{hosts:?}");

    let history = place.chaperone(&["history", "list", "--json", "--kind", "connect"])?.output()?;
    let events: Vec<Value> =
        text(&history.stdout).lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let decided = |action: &str| {
        let of = events.iter().filter(|event| event["action"] == action);
        of.map(|event| event["decision"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert!(decided(&format!("{host}:443")).contains(&"allow"), "{events:?}");
    assert_eq!(decided("docs.acme.example:443"), ["allow"], "{events:?}");
    assert_eq!(decided("drop.example:80"), ["deny"], "{events:?}");
    assert_eq!(decided("drop.example:443"), ["deny", "deny"], "{events:?}");
    // Of its own accord it wants nothing that somebody would have to be asked about, but what Codex
    // looks for where its vendor's plugins are not to be had from the vendor.
    let known = ["drop.example:80", "drop.example:443", "github.com:443", "api.github.com:443"];
    let asked = events.iter().filter(|event| event["decision"] != "allow");
    let asked: Vec<_> = asked.filter_map(|event| event["action"].as_str()).collect();
    assert!(asked.iter().all(|host| known.contains(host)), "{asked:?}");
    let curl = events.iter().filter(|event| {
        event["action"].as_str().is_some_and(|action| action.starts_with("drop.example"))
    });
    for event in curl {
        let command = event["detail"]["asked_by"].to_string();
        assert!(command.contains("drop.example/written"), "{event}");
        assert!(!command.contains(super::BRIEFING), "{event}");
    }
    Ok(())
}

#[test]
fn claude_code_reaches_its_model_and_what_is_allowed() -> Result<()> {
    let (host, base) = ("api.anthropic.com", "ANTHROPIC_BASE_URL");
    reaches_its_model_and_what_is_allowed(host, base, Agent::claude_code)
}

#[test]
fn codex_reaches_its_model_and_what_is_allowed() -> Result<()> {
    let codex = |_: &Model| Agent::codex_of("https://api.openai.com");
    reaches_its_model_and_what_is_allowed("api.openai.com", "", codex)
}

#[test]
fn gemini_cli_reaches_its_model_and_what_is_allowed() -> Result<()> {
    let (host, base) = ("generativelanguage.googleapis.com", "GOOGLE_GEMINI_BASE_URL");
    reaches_its_model_and_what_is_allowed(host, base, Agent::gemini_cli)
}
