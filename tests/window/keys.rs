//! The *Keys* page of the real window, with a real keychain.

use crate::in_both_themes;
use crate::stage::Stage;
use crate::webdriver::Window;
use anyhow::{Context, Result, ensure};
use chaperone_tests::eventually;
use chaperone_tests::keychain::files_with;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const VALUE: &str = "sk-test-QWxhZGRpbjpvcGVu";

#[test]
fn a_credential_is_kept_in_the_real_window_and_its_value_never_shown_again() -> Result<()> {
    let stage = Stage::with_keychain()?;
    bind(&stage)?;
    let window = stage.window()?;
    window.wait("[data-testid=home]")?;
    window.press('5')?;
    window.wait_for_text("Missing")?;
    ensure!(kept(&stage)? == [("acme".to_owned(), false)], "nobody has set it yet");

    window.wait("[data-testid=credential-row]")?.click()?;
    window.wait_for_text("api.acme.example")?;
    window.wait("[data-testid=add-missing]")?.click()?;
    window.wait("[data-testid=credential-value]:focus")?.type_text(VALUE)?;
    ensure!(held(&window)?[0].contains(VALUE), "until it is sent it stands in its field");
    window.find("[data-testid=keep-credential]")?.click()?;
    window.wait_for_text("acme is in the keychain.")?;
    ensure!(kept(&stage)? == [("acme".to_owned(), true)], "it was set");
    in_both_themes(&window, "keys")?;
    for held in held(&window)? {
        ensure!(!held.contains(VALUE), "the page holds the value:\n{held}");
    }
    let files = files_with(&stage.home(), VALUE)?;
    ensure!(files.is_empty(), "files hold the value: {files:?}");
    ensure!(!files_with(&stage.home(), "api.acme.example")?.is_empty(), "what one holds is found");

    window.wait("[data-testid=remove-credential]")?.click()?;
    window.wait_for_text("every request to api.acme.example")?;
    window.find("[data-testid=remove-confirmed]")?.click()?;
    window.wait_for_text("acme is out of the keychain.")?;
    ensure!(kept(&stage)? == [("acme".to_owned(), false)], "it was removed");
    Ok(())
}

#[test]
fn a_machine_without_a_keychain_says_so_with_the_way_out() -> Result<()> {
    let stage = Stage::without_bus()?;
    bind(&stage)?;
    let window = stage.window()?;
    window.wait("[data-testid=home]")?;
    window.press('5')?;
    window.wait("[data-testid=credential-row]")?.click()?;
    window.wait("[data-testid=add-missing]")?.click()?;
    window.wait("[data-testid=credential-value]:focus")?.type_text(VALUE)?;
    window.find("[data-testid=keep-credential]")?.click()?;
    window.wait_for_text("keychain cannot be reached")?;
    window.wait_for_text("gnome-keyring")?;
    for held in held(&window)? {
        ensure!(!held.contains(VALUE), "the page holds the value:\n{held}");
    }
    ensure!(kept(&stage)? == [("acme".to_owned(), false)], "nothing was kept");
    Ok(())
}

/// The user's own file binds a credential.
fn bind(stage: &Stage) -> Result<()> {
    let folder = stage.home().join(".config/chaperone");
    fs::create_dir_all(&folder)?;
    let file = folder.join("config.toml");
    fs::write(
        &file,
        "[[credentials.inject]]\nsecret = \"acme\"\nhost = \"api.acme.example\"\n\
         header = \"x-api-key\"\n",
    )?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
}

/// The credentials by name, as the command tells them, and whether each is kept.
fn kept(stage: &Stage) -> Result<Vec<(String, bool)>> {
    let done = stage.chaperone().args(["secret", "list", "--json"]).output()?;
    let listed: Vec<Value> = serde_json::from_slice(&done.stdout)
        .with_context(|| String::from_utf8_lossy(&done.stderr).into_owned())?;
    let row = |own: &Value| Some((own["name"].as_str()?.to_owned(), own["kept"].as_bool()?));
    listed.iter().map(|own| row(own).context("a row")).collect()
}

/// All that the page holds: its text, and what stands in its fields.
fn held(window: &Window) -> Result<[String; 2]> {
    let fields = "return [...document.querySelectorAll('input')].map((one) => one.value).join()";
    let fields = eventually("the fields", || window.script(fields, &[]).ok())?;
    let page = window.script("return document.documentElement.outerHTML", &[])?;
    Ok([fields.to_string(), page.to_string()])
}
