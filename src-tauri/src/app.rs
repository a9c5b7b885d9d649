//! Puts the app together: the desk, the window, the tray, and the loop between them.

use crate::shell::Desktop;
use crate::{controller, links, shell, system, tray, view};
use anyhow::{Context, Result};
use chaperone_session::desk::Desk;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use tauri::{AppHandle, Manager, RunEvent, WindowEvent};
use tauri_plugin_window_state::StateFlags;

/// Runs the app until a person quits it.
///
/// # Errors
/// When the window cannot be opened, with what to do about it.
pub(crate) fn run() -> Result<()> {
    system::prepare()?;
    let desk = Arc::new(Desk::of_this_user()?);
    let commands = view::all();
    let app = tauri::Builder::default()
        // First, so that a second start ends before it does anything.
        .plugin(tauri_plugin_single_instance::init(|app, arguments, _| {
            shell::open(app, links::among(&arguments));
        }))
        .plugin(
            tauri_plugin_window_state::Builder::new()
                .with_state_flags(StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED)
                .build(),
        )
        .plugin(tauri_plugin_notification::init())
        .manage(Arc::clone(&desk))
        .invoke_handler(commands.invoke_handler())
        .setup(move |app| {
            commands.mount_events(app);
            add_tray(app.handle());
            start_loop(app.handle(), desk)?;
            shell::open(app.handle(), None);
            Ok(())
        })
        .on_window_event(|window, event| match event {
            // The app stays: it tells of requests. *Quit* in the tray ends it, and a second start
            // brings the window back where a desktop shows no tray.
            WindowEvent::CloseRequested { api, .. }
                if window.app_handle().tray_by_id("main").is_some() =>
            {
                api.prevent_close();
                shell::complain("hide the window", window.hide());
            }
            WindowEvent::Focused(false) => {
                let desk = window.state::<Arc<Desk>>();
                shell::complain("remember when you last looked", desk.looked_away());
            }
            _ => {}
        })
        .build(tauri::generate_context!())
        .context("the window could not be opened")?;
    let code = app.run_return(|_, _: RunEvent| {});
    anyhow::ensure!(code == 0, "the window ended with status {code}");
    Ok(())
}

/// The library that draws tray icons on Linux is loaded when the first is drawn, by code that
/// panics where it is missing; a window without a tray is still a window.
fn add_tray(app: &AppHandle) {
    match catch_unwind(AssertUnwindSafe(|| tray::add(app))) {
        Ok(added) => shell::complain("add a tray icon", added),
        Err(_) => eprintln!(
            "chaperone-desktop: no tray icon, because libayatana-appindicator3 is not installed"
        ),
    }
}

fn start_loop(app: &AppHandle, desk: Arc<Desk>) -> Result<()> {
    let (sender, changes) = mpsc::channel();
    desk.watch(move |change| sender.send(change).is_ok())?;
    let desktop = Desktop(app.clone());
    std::thread::Builder::new()
        .name("controller".into())
        .spawn(move || controller::run(&desk, &desktop, &changes))
        .context("the window's event loop could not be started")?;
    Ok(())
}
