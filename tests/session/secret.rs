//! `chaperone secret` with a real keychain: what goes in is told by its name, and shown by nothing
//! that Chaperone does.

use crate::place::{OnTerminal, Place, text};
use anyhow::{Context, Result};
use chaperone_tests::eventually;
use chaperone_tests::keychain::{Keychain, files_with};
use serde_json::Value;
use std::fs;
use std::process::Command;

const VALUE: &str = "sk-test-QWxhZGRpbjpvcGVu";
const SET: [&str; 3] = ["secret", "set", "anthropic"];

fn list(keychain: &Keychain, place: &Place) -> Result<Vec<(String, bool, bool)>> {
    let listed = keychain.with(place.chaperone(["secret", "list", "--json"])?).output()?;
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout)?;
    let entry = |own: &Value| {
        let name = own["name"].as_str().unwrap_or_default().to_owned();
        (name, own["set"].is_string(), own["used"].is_string())
    };
    Ok(listed.iter().map(entry).collect())
}

/// What the real keychain holds under a name, by another program's reading of it.
fn kept(keychain: &Keychain, place: &Place) -> Result<String> {
    let mut search = keychain.with(place.command("dbus-send"));
    search.args(["--session", "--print-reply", "--dest=org.freedesktop.secrets"]);
    search.args(["/org/freedesktop/secrets", "org.freedesktop.Secret.Service.SearchItems"]);
    search.arg("dict:string:string:service,dev.chaperone.desktop");
    Ok(text(&search.output()?.stdout))
}

#[test]
fn a_credential_goes_into_the_keychain_and_only_its_name_comes_out() -> Result<()> {
    let place = Place::new()?;
    let keychain = Keychain::start(|program| place.command(program))?;
    assert_eq!(list(&keychain, &place)?, []);
    let set = keychain.set(place.chaperone(SET)?, &format!("{VALUE}\n"))?;
    assert_eq!(text(&set.stdout), "anthropic is in the keychain.\n", "{}", text(&set.stderr));
    assert_eq!(list(&keychain, &place)?, [("anthropic".to_owned(), true, false)]);
    let items = kept(&keychain, &place)?;
    assert_eq!(items.matches("object path").count(), 1, "{items}");

    // The search finds what is there, and it is in no file of this user's.
    fs::write(place.work().join("planted"), VALUE)?;
    let planted = place.work().join("planted").display().to_string();
    assert_eq!(files_with(&place.home(), VALUE)?, [planted]);

    let again = keychain.set(place.chaperone(SET)?, "another-value")?;
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(kept(&keychain, &place)?.matches("object path").count(), 1, "it is replaced");
    let remove = || -> Result<Command> {
        Ok(keychain.with(place.chaperone(["secret", "remove", "anthropic"])?))
    };
    assert!(remove()?.status()?.success());
    assert_eq!(list(&keychain, &place)?, []);
    assert_eq!(kept(&keychain, &place)?.matches("object path").count(), 0);
    let gone = remove()?.output()?;
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("no credential is called `anthropic`"));
    Ok(())
}

#[test]
fn where_each_may_go_and_what_is_missing_is_listed_and_examined() -> Result<()> {
    let place = Place::new()?;
    let keychain = Keychain::start(|program| place.command(program))?;
    place.configure(
        "[[credentials.inject]]\nsecret = \"anthropic\"\nhost = \"api.anthropic.com\"\n\
         header = \"x-api-key\"\nenv = \"ANTHROPIC_API_KEY\"\nmethods = [\"POST\"]\n\
         [[credentials.inject]]\nsecret = \"other\"\nhost = \"api.acme.example\"\nquery = \"key\"\n\
         when = { agent = \"codex\" }\n",
    )?;
    let listed = || -> Result<Value> {
        let done = place.chaperone(["secret", "list", "--json"])?.output()?;
        Ok(serde_json::from_slice(&done.stdout)?)
    };
    let check = |doctor: &mut Command| -> Result<Value> {
        let said: Value = serde_json::from_slice(&doctor.output()?.stdout)?;
        let checks = said["checks"].as_array().context("checks")?;
        let own = checks.iter().find(|check| check["id"] == "credentials");
        Ok(own.context("a check of credentials")?.clone())
    };
    let names = |listed: &Value| -> Vec<(Value, Value)> {
        let all = listed.as_array().into_iter().flatten();
        all.map(|own| (own["name"].clone(), own["kept"].clone())).collect()
    };
    let before = listed()?;
    let missing = |name: &str| (Value::from(name), Value::from(false));
    assert_eq!(names(&before), [missing("anthropic"), missing("other")]);
    let binding = &before[0]["bindings"][0];
    assert_eq!(binding["host"], "api.anthropic.com");
    assert_eq!(binding["places"], serde_json::json!(["x-api-key: {}"]));
    assert_eq!(binding["methods"], serde_json::json!(["POST"]));
    assert_eq!(binding["origin"]["kind"], "user-file");
    assert_eq!(before[1]["bindings"][0]["when"], "agent = codex");

    let examined = check(&mut keychain.with(place.chaperone(["doctor", "--json"])?))?;
    assert_eq!(examined["status"], "warn");
    let detail = examined["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("anthropic (api.anthropic.com, user-file"), "{detail}");
    assert!(detail.contains("other (api.acme.example"), "{detail}");
    let mut bare = place.chaperone(["doctor", "--json"])?;
    bare.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus");
    let examined = check(&mut bare)?;
    let detail = examined["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("no message bus") && detail.contains("/nowhere/bus"), "{detail}");
    assert!(examined["fix"].as_str().is_some_and(|fix| fix.contains("gnome-keyring")));

    for name in ["anthropic", "other"] {
        keychain.keep(place.chaperone(["secret", "set", name])?, VALUE)?;
    }
    let kept = |name: &str| (Value::from(name), Value::from(true));
    assert_eq!(names(&listed()?), [kept("anthropic"), kept("other")]);
    let examined = check(&mut keychain.with(place.chaperone(["doctor", "--json"])?))?;
    assert_eq!(examined["status"], "ok");
    let told = place.chaperone(["secret", "list"])?.output()?;
    let told = text(&told.stdout);
    assert!(told.contains("    api.anthropic.com  x-api-key: {}  POST  user-file "), "{told}");
    assert!(told.contains("api.acme.example  ?key={}  when agent = codex  user-file"), "{told}");
    assert!(!told.contains("missing") && !told.contains(VALUE), "{told}");
    Ok(())
}

#[test]
fn a_host_that_no_list_has_is_told_in_the_same_words_wherever_credentials_are() -> Result<()> {
    let place = Place::new()?;
    let bound = "[[credentials.inject]]\nsecret = \"acme\"\nhost = \"api.acme.example\"\n\
                 header = \"x-api-key\"\n";
    let configure = |allow: &str| {
        place.configure(&format!("[network]\nmode = \"proxy\"\nallow = [{allow}]\n{bound}"))
    };
    let said = || -> Result<[String; 3]> {
        let said = |arguments: &[&str]| -> Result<String> {
            Ok(text(&place.chaperone([])?.args(arguments).output()?.stdout))
        };
        Ok([said(&["secret", "list"])?, said(&["secret", "list", "--json"])?, said(&["doctor"])?])
    };
    let what = "Requests to api.acme.example are asked about: it is not in network.allow.";
    let remedy = "Add it to your configuration: network.allow = [\"api.acme.example\"].";
    configure("")?;
    let [list, json, doctor] = said()?;
    for told in [&list, &doctor] {
        assert!(told.contains(what) && told.contains(&format!("to do: {remedy}")), "{told}");
    }
    let json: Value = serde_json::from_str(&json)?;
    let told = serde_json::json!({ "what": what, "remedy": remedy });
    assert_eq!(json[0]["bindings"][0]["unlisted"], told);
    // What the remedy says helps.
    configure("\"api.acme.example\"")?;
    let [list, json, doctor] = said()?;
    assert!(!list.contains("network.allow") && !doctor.contains("Requests to"), "{list}{doctor}");
    let json: Value = serde_json::from_str(&json)?;
    assert_eq!(json[0]["bindings"][0]["unlisted"], Value::Null);
    Ok(())
}

#[test]
fn what_is_no_credential_is_refused_and_not_repeated() -> Result<()> {
    let place = Place::new()?;
    let keychain = Keychain::start(|program| place.command(program))?;
    for (name, value, said) in [
        ("Big", VALUE, "cannot be the name of a credential"),
        ("../x", VALUE, "cannot be the name of a credential"),
        ("empty", "", "no value was given"),
        ("short", "sk-1", "fewer than 8"),
        ("lines", "sk-test-first\nsk-test-second\n", "on one line"),
    ] {
        let done = keychain.set(place.chaperone(["secret", "set", name])?, value)?;
        let err = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{name}");
        assert!(err.contains(said) && !err.contains("sk-"), "{name}: {err}");
    }
    let argument =
        keychain.with(place.chaperone(["secret", "set", "anthropic", VALUE])?).output()?;
    let err = text(&argument.stderr);
    assert_eq!(argument.status.code(), Some(1));
    assert!(err.contains("never an argument") && !err.contains(VALUE), "{err}");
    assert_eq!(list(&keychain, &place)?, []);
    Ok(())
}

#[test]
fn without_a_keychain_nothing_is_kept_and_the_way_out_is_named() -> Result<()> {
    let place = Place::new()?;
    let mut set = place.chaperone(["secret", "set", "anthropic"])?;
    let value = place.work().join("value");
    fs::write(&value, VALUE)?;
    set.stdin(fs::File::open(&value)?).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus");
    let done = set.output()?;
    let err = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{err}");
    assert!(err.contains("keychain cannot be reached") && err.contains("gnome-keyring"), "{err}");
    assert!(!err.contains(VALUE));
    fs::remove_file(value)?;
    assert_eq!(files_with(&place.home(), VALUE)?, [] as [&str; 0]);
    Ok(())
}

#[test]
fn on_a_terminal_the_value_is_asked_for_and_not_shown() -> Result<()> {
    let place = Place::new()?;
    let keychain = Keychain::start(|program| place.command(program))?;
    let mut terminal: OnTerminal =
        place.on_terminal_with(["secret", "set", "npm"], |command| keychain.with(command))?;
    eventually("the prompt", || terminal.shows("not shown").then_some(()))?;
    eventually("a terminal that hides", || terminal.hides().then_some(()))?;
    terminal.type_keys(&format!("{VALUE}\r"))?;
    eventually("the end", || terminal.shows("is in the keychain").then_some(()))?;
    assert!(!terminal.screen().contains(VALUE), "{}", terminal.screen());
    assert_eq!(list(&keychain, &place)?, [("npm".to_owned(), true, false)]);
    Ok(())
}
