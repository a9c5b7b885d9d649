//! The desktop, as the controller sees it: Tauri's events, tray and notifications.

use crate::controller::Shell;
use crate::{tray, view};
use chaperone_session::desk::{Change, RequestCard};
use tauri::{AppHandle, Manager, WebviewWindow};
use tauri_plugin_notification::NotificationExt;
use tauri_specta::Event;

/// The real desktop.
#[derive(Debug, Clone)]
pub(crate) struct Desktop(pub(crate) AppHandle);

impl Shell for Desktop {
    fn tell(&self, change: Change) {
        let told = match change {
            Change::Requests => view::RequestsChanged.emit(&self.0),
            Change::Activity => view::ActivityChanged.emit(&self.0),
            Change::Sessions => view::SessionsChanged.emit(&self.0),
            Change::Rules => view::RulesChanged.emit(&self.0),
        };
        complain("tell the window", told);
    }

    fn waiting(&self, count: usize, newest: Option<&RequestCard>) {
        complain("update the tray icon", tray::update(&self.0, count, newest));
    }

    fn notify(&self, request: &RequestCard) {
        let shown = self
            .0
            .notification()
            .builder()
            .title(format!("{} asks", request.agent))
            .body(&request.sentence)
            .show();
        complain("show a notification", shown);
    }

    fn in_front(&self) -> bool {
        window(&self.0).is_some_and(|window| window.is_focused().unwrap_or(false))
    }
}

/// The only window.
pub(crate) fn window(app: &AppHandle) -> Option<WebviewWindow> {
    app.get_webview_window("main")
}

/// Brings the window to the front because a person asked for it, on a page if one is named.
pub(crate) fn open(app: &AppHandle, link: Option<String>) {
    if let Some(window) = window(app) {
        complain("show the window", window.show().and_then(|()| window.unminimize()));
        complain("focus the window", window.set_focus());
    }
    if let Some(link) = link {
        complain("open a page", view::Open(link).emit(app));
    }
}

/// The desktop may refuse any of this (no tray, no notification server), and nothing depends on
/// it: said once on standard error, where the session's own log keeps it.
pub(crate) fn complain<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) {
    if let Err(error) = result {
        eprintln!("chaperone-desktop: cannot {what}: {error}");
    }
}
