//! The desktop app: a window, a tray icon and notifications around `chaperone_session::desk`.
//!
//! No domain logic lives here: `view.rs` holds the commands, `controller.rs` the one event loop
//! behind them, `shell.rs` what that loop may ask of the desktop.

#![cfg_attr(windows, windows_subsystem = "windows")]

mod app;
mod controller;
mod links;
mod shell;
mod system;
mod tray;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    match app::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaperone-desktop: {error:#}");
            ExitCode::FAILURE
        }
    }
}
