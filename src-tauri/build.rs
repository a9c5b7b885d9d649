//! Embeds the built UI, and writes one permission for each command: `capabilities/main.json`
//! then names those that the window may call.

use std::path::Path;

/// Every command of `view.rs`. A command that is missing here cannot be allowed to the window.
const COMMANDS: &[&str] = &[
    "home",
    "managed",
    "requests",
    "answer",
    "sessions",
    "story",
    "events",
    "event",
    "hosts",
    "host_sessions",
    "rules",
    "explain",
    "report",
    "save_report",
    "why",
    "grants",
    "revoke",
    "credentials",
    "set_credential",
    "remove_credential",
    "start_demo",
    "start_session",
    "choose_folder",
    "settings",
    "set_theme",
    "resume_asking",
];

fn main() {
    println!("cargo::rerun-if-changed=../ui/dist");
    println!("cargo::rerun-if-changed=icons");
    if !Path::new("../ui/dist/index.html").is_file() {
        println!(
            "cargo::error=the UI is not built: ui/dist/index.html does not exist. \
             Build it with `npm --prefix ui ci && npm --prefix ui run build`, \
             or let `cargo xtask run` do everything."
        );
        return;
    }
    let commands = tauri_build::AppManifest::new().commands(COMMANDS);
    if let Err(error) =
        tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands))
    {
        println!("cargo::error={error:#}");
    }
}
