//! What the real command shows and explains of policies that stand in the registry. It is about
//! Chaperone's own key there, so it wants a machine of its own: Wine's, which `cargo xtask test`
//! makes, or one that nobody works on, with `CHAPERONE_TEST_REGISTRY=1` to say so.
#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

const HKLM: &str = r"HKLM\SOFTWARE\Policies\Chaperone";
const HKCU: &str = r"HKCU\SOFTWARE\Policies\Chaperone";

/// The one key of this machine, for one test at a time.
struct Registry(#[expect(dead_code, reason = "held until the test ends")] MutexGuard<'static, ()>);

impl Registry {
    fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        assert!(
            std::env::var_os("CHAPERONE_TEST_REGISTRY").is_some(),
            "this writes to {HKLM}; set CHAPERONE_TEST_REGISTRY=1 where nobody minds"
        );
        let own = Self(ONE.lock().unwrap_or_else(PoisonError::into_inner));
        own.clear();
        own
    }

    fn clear(&self) {
        for key in [HKLM, HKCU] {
            // There may be none.
            let mut delete = Command::new("reg");
            delete.args(["delete", key, "/f"]).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = delete.status().unwrap();
        }
    }

    fn add(&self, key: &str, name: &str, kind: &str, data: &str) {
        let arguments = ["add", key, "/v", name, "/t", kind, "/d", data, "/f"];
        let out = Command::new("reg").args(arguments).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.clear();
    }
}

fn chaperone(arguments: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_chaperone")).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

#[test]
fn a_value_is_explained_with_its_place_in_the_registry_and_what_lost_to_it() {
    let registry = Registry::new();
    registry.add(&format!(r"{HKLM}\network"), "mode", "REG_SZ", "none");
    registry.add(&format!(r"{HKCU}\network"), "mode", "REG_SZ", "direct");
    registry.add(&format!(r"{HKLM}\network\deny"), "1", "REG_SZ", "paste.example");
    let mode = chaperone(&["policy", "explain", "network.mode", "--json"]);
    assert_eq!(
        (&mode["value"], &mode["status"], &mode["origins"]),
        (
            &json!("none"),
            &json!("applied"),
            &json!([{"kind": "managed-registry", "locator": format!(r"{HKLM}\network!mode")}])
        )
    );
    let losers = mode["losers"].as_array().unwrap();
    let loser = losers.iter().find(|loser| loser["kind"] != "built-in").unwrap();
    assert_eq!(
        (&loser["value"], &loser["kind"], &loser["locator"]),
        (&json!("direct"), &json!("user-registry"), &json!(format!(r"{HKCU}\network!mode"))),
        "{mode}"
    );
    let deny = chaperone(&["policy", "explain", "network.deny", "--json"]);
    assert_eq!(deny["value"], json!(["paste.example"]));
    assert_eq!(deny["origins"][0]["locator"], json!(format!(r"{HKLM}\network\deny!1")));
    let test = chaperone(&["policy", "test", "--connect", "paste.example", "--json"]);
    assert_eq!(test["decision"], "deny");
}

#[test]
fn every_layer_of_the_registry_is_shown_with_its_status() {
    let registry = Registry::new();
    let shown = |show: &Value| -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let layers = show["layers"].as_array().unwrap().iter();
        layers
            .filter(|layer| text(&layer["kind"]).ends_with("-registry"))
            .map(|layer| (text(&layer["kind"]), text(&layer["locator"]), text(&layer["status"])))
            .collect()
    };
    let row = |kind: &str, locator: &str, status: &str| {
        (kind.to_owned(), locator.to_owned(), status.to_owned())
    };
    let recommended = format!(r"{HKLM}\Recommended");
    assert_eq!(
        shown(&chaperone(&["policy", "show", "--json"])),
        [
            row("recommended-registry", &recommended, "absent"),
            row("managed-registry", HKLM, "absent"),
            row("user-registry", HKCU, "absent"),
        ]
    );
    registry.add(HKLM, "Settings", "REG_SZ", r#"{"network": {"mode": "none"}}"#);
    registry.add(&recommended, "revision", "REG_SZ", "r");
    registry.add(HKCU, "revision", "REG_BINARY", "01");
    let show = chaperone(&["policy", "show", "--json"]);
    let settings = format!("{HKLM}!Settings");
    assert_eq!(
        shown(&show),
        [
            row("recommended-registry", &recommended, "present"),
            row("managed-registry", &settings, "present"),
            row("user-registry", HKCU, "present"),
        ]
    );
    let layer = show["layers"].as_array().unwrap().iter().find(|it| it["locator"] == *settings);
    let layer = layer.unwrap();
    assert_eq!(layer["digest"].as_str().map(str::len), Some(64));
    assert!(layer["read_at"].is_string());
    let mode = show["values"].as_array().unwrap().iter().find(|it| it["key"] == "network.mode");
    assert_eq!(mode.unwrap()["origins"][0]["locator"], format!("{settings}#/network/mode"));
}

#[test]
fn a_whole_policy_that_is_no_json_is_invalid_and_says_where() {
    let registry = Registry::new();
    registry.add(HKLM, "Settings", "REG_SZ", "{\"network\": ");
    let show = chaperone(&["policy", "show", "--json"]);
    let layers = show["layers"].as_array().unwrap();
    let layer = layers.iter().find(|it| it["kind"] == "managed-registry").unwrap();
    assert_eq!(layer["status"], "invalid");
    let detail = layer["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("{HKLM}!Settings:1:")), "{detail}");
}
