//! The tray icon: how many requests wait, the newest of them, and a way in.

use crate::{links, shell};
use chaperone_session::desk::{Desk, RequestCard};
use std::sync::Arc;
use tauri::image::Image;
use tauri::menu::{Menu, MenuItemBuilder, PredefinedMenuItem};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager, Wry, include_image};

const ID: &str = "main";
const QUIET: Image<'_> = include_image!("icons/tray.png");
const WAITING: Image<'_> = include_image!("icons/tray-waiting.png");

/// Adds the icon.
///
/// # Errors
/// When the desktop has no place for it.
pub(crate) fn add(app: &AppHandle) -> tauri::Result<()> {
    TrayIconBuilder::with_id(ID)
        .icon(QUIET)
        .tooltip("Chaperone")
        .menu(&menu(app, 0, None)?)
        .on_menu_event(|app, event| chosen(app, event.id().as_ref()))
        .build(app)?;
    Ok(())
}

/// Shows the count and the newest request.
///
/// # Errors
/// When the desktop does not take the change.
pub(crate) fn update(
    app: &AppHandle,
    count: usize,
    newest: Option<&RequestCard>,
) -> tauri::Result<()> {
    let Some(tray) = app.tray_by_id(ID) else { return Ok(()) };
    tray.set_menu(Some(menu(app, count, newest)?))?;
    tray.set_icon(Some(if count == 0 { QUIET } else { WAITING }))?;
    tray.set_title((count > 0).then(|| count.to_string()))?;
    tray.set_tooltip(Some(match count {
        0 => "Chaperone".to_owned(),
        _ => format!("Chaperone: {}", waiting(count)),
    }))
}

fn waiting(count: usize) -> String {
    match count {
        0 => "Nothing waits for an answer".to_owned(),
        1 => "1 request waits".to_owned(),
        _ => format!("{count} requests wait"),
    }
}

fn menu(app: &AppHandle, count: usize, newest: Option<&RequestCard>) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    menu.append(&MenuItemBuilder::new(waiting(count)).enabled(false).build(app)?)?;
    if let Some(request) = newest {
        let text = format!("{}: {}", request.agent, request.sentence);
        menu.append(&MenuItemBuilder::with_id(links::to_request(&request.id), text).build(app)?)?;
    }
    menu.append(&PredefinedMenuItem::separator(app)?)?;
    menu.append(&MenuItemBuilder::with_id("open", "Open Chaperone").build(app)?)?;
    let paused = app.state::<Arc<Desk>>().asking_is_paused();
    let (id, text) = if paused {
        ("resume", "Resume notifications")
    } else {
        ("pause", "Pause notifications for an hour")
    };
    menu.append(&MenuItemBuilder::with_id(id, text).build(app)?)?;
    menu.append(&PredefinedMenuItem::separator(app)?)?;
    menu.append(&MenuItemBuilder::with_id("quit", "Quit").build(app)?)?;
    Ok(menu)
}

fn chosen(app: &AppHandle, id: &str) {
    let desk = app.state::<Arc<Desk>>();
    match id {
        "open" => shell::open(app, None),
        "quit" => app.exit(0),
        "pause" => shell::complain("pause notifications", desk.pause_asking()),
        "resume" => shell::complain("resume notifications", desk.resume_asking()),
        link => shell::open(app, Some(link.to_owned())),
    }
}
