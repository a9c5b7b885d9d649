//! The commands and events of the window: each command sends one question to the desk.

use chaperone_session::desk::{
    Answer, AnswerOutcome, Credentials, Desk, EventDetail, EventFilter, EventPage, Failure, Grant,
    Home, HostRow, HostSession, Managed, Question, Requests, Rules, SessionPage, Settings, Start,
    Started, Story, Theme, Why,
};
use chaperone_session::policy::Value;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tauri::State;
use tauri_specta::{Event, collect_commands, collect_events};

type Shared<'a> = State<'a, Arc<Desk>>;
type Reply<T> = Result<T, Failure>;

/// Ask for `requests()` again.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[tauri_specta(event_name = "requests")]
pub(crate) struct RequestsChanged;

/// Ask for the first page of `events()` again.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[tauri_specta(event_name = "activity")]
pub(crate) struct ActivityChanged;

/// Ask for `home()` or `sessions()` again.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[tauri_specta(event_name = "sessions")]
pub(crate) struct SessionsChanged;

/// Ask for `rules()`, `grants()` and `credentials()` again.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[tauri_specta(event_name = "rules")]
pub(crate) struct RulesChanged;

/// Go there.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
pub(crate) struct Open(pub(crate) String);

/// Every command and event, for Tauri and for the generated bindings.
pub(crate) fn all() -> tauri_specta::Builder<tauri::Wry> {
    tauri_specta::Builder::new()
        .commands(collect_commands![
            home,
            managed,
            requests,
            answer,
            sessions,
            story,
            events,
            event,
            hosts,
            host_sessions,
            rules,
            explain,
            report,
            save_report,
            why,
            grants,
            revoke,
            credentials,
            set_credential,
            remove_credential,
            start_demo,
            start_session,
            choose_folder,
            settings,
            set_theme,
            resume_asking,
        ])
        .events(collect_events![
            RequestsChanged,
            ActivityChanged,
            SessionsChanged,
            RulesChanged,
            Open,
        ])
        .error_handling(tauri_specta::ErrorHandlingMode::Throw)
        .disable_serde_phases()
        // Sequence numbers are the only 64-bit ones, and no session reaches 2^53 events.
        .dangerously_cast_bigints_to_number()
}

/// Away from the threads that paint and that carry messages: the desk reads files and sockets.
async fn ask<T: Send + 'static>(
    desk: Shared<'_>,
    question: impl FnOnce(&Desk) -> Reply<T> + Send + 'static,
) -> Reply<T> {
    let desk = Arc::clone(&desk);
    tauri::async_runtime::spawn_blocking(move || question(&desk))
        .await
        .unwrap_or_else(|error| Err(Failure::plain(format!("Chaperone's own fault: {error}"))))
}

#[tauri::command]
#[specta::specta]
async fn home(desk: Shared<'_>) -> Reply<Home> {
    ask(desk, Desk::home).await
}

#[tauri::command]
#[specta::specta]
async fn managed(desk: Shared<'_>) -> Reply<Option<Managed>> {
    ask(desk, Desk::managed).await
}

#[tauri::command]
#[specta::specta]
async fn requests(desk: Shared<'_>) -> Reply<Requests> {
    ask(desk, Desk::requests).await
}

#[tauri::command]
#[specta::specta]
async fn answer(desk: Shared<'_>, answer: Answer) -> Reply<AnswerOutcome> {
    ask(desk, move |desk| desk.answer(&answer)).await
}

#[tauri::command]
#[specta::specta]
async fn sessions(desk: Shared<'_>, cursor: Option<String>) -> Reply<SessionPage> {
    ask(desk, move |desk| desk.sessions(cursor.as_deref())).await
}

#[tauri::command]
#[specta::specta]
async fn story(desk: Shared<'_>, session: String) -> Reply<Story> {
    ask(desk, move |desk| desk.story(&session)).await
}

#[tauri::command]
#[specta::specta]
async fn events(desk: Shared<'_>, filter: EventFilter, cursor: Option<String>) -> Reply<EventPage> {
    ask(desk, move |desk| desk.events(&filter, cursor.as_deref())).await
}

#[tauri::command]
#[specta::specta]
async fn event(desk: Shared<'_>, session: String, seq: u64) -> Reply<EventDetail> {
    ask(desk, move |desk| desk.event(&session, seq)).await
}

#[tauri::command]
#[specta::specta]
async fn hosts(desk: Shared<'_>, session: Option<String>) -> Reply<Vec<HostRow>> {
    ask(desk, move |desk| desk.hosts(session.as_deref())).await
}

#[tauri::command]
#[specta::specta]
async fn host_sessions(desk: Shared<'_>, place: Option<String>) -> Reply<Vec<HostSession>> {
    ask(desk, move |desk| desk.host_sessions(place.as_deref())).await
}

#[tauri::command]
#[specta::specta]
async fn rules(desk: Shared<'_>, workspace: Option<String>) -> Reply<Rules> {
    ask(desk, move |desk| desk.rules(workspace.as_deref())).await
}

#[tauri::command]
#[specta::specta]
async fn explain(desk: Shared<'_>, key: String, workspace: Option<String>) -> Reply<Value> {
    ask(desk, move |desk| desk.explain(&key, workspace.as_deref())).await
}

#[tauri::command]
#[specta::specta]
async fn report(desk: Shared<'_>, workspace: Option<String>, hosts: bool) -> Reply<String> {
    ask(desk, move |desk| desk.report(workspace.as_deref(), hosts)).await
}

#[tauri::command]
#[specta::specta]
async fn save_report(
    desk: Shared<'_>,
    window: tauri::WebviewWindow,
    workspace: Option<String>,
    hosts: bool,
) -> Reply<Option<String>> {
    let dialog = rfd::AsyncFileDialog::new()
        .set_title("Save the policy for a support ticket")
        .set_file_name("chaperone-policy.json")
        .set_parent(&window);
    let Some(file) = dialog.save_file().await else { return Ok(None) };
    let path = file.path().to_owned();
    ask(desk, move |desk| desk.save_report(workspace.as_deref(), hosts, &path).map(Some)).await
}

#[tauri::command]
#[specta::specta]
async fn why(desk: Shared<'_>, question: Question) -> Reply<Why> {
    ask(desk, move |desk| desk.why(&question)).await
}

#[tauri::command]
#[specta::specta]
async fn grants(desk: Shared<'_>) -> Reply<Vec<Grant>> {
    ask(desk, Desk::grants).await
}

#[tauri::command]
#[specta::specta]
async fn revoke(desk: Shared<'_>, grant: String) -> Reply<()> {
    ask(desk, move |desk| desk.revoke(&grant)).await
}

#[tauri::command]
#[specta::specta]
async fn credentials(desk: Shared<'_>) -> Reply<Credentials> {
    ask(desk, Desk::credentials).await
}

#[tauri::command]
#[specta::specta]
async fn set_credential(desk: Shared<'_>, name: String, value: String) -> Reply<()> {
    ask(desk, move |desk| desk.set_credential(&name, value)).await
}

#[tauri::command]
#[specta::specta]
async fn remove_credential(desk: Shared<'_>, name: String) -> Reply<()> {
    ask(desk, move |desk| desk.remove_credential(&name)).await
}

#[tauri::command]
#[specta::specta]
async fn start_demo(desk: Shared<'_>) -> Reply<Started> {
    ask(desk, Desk::start_demo).await
}

#[tauri::command]
#[specta::specta]
async fn start_session(desk: Shared<'_>, start: Start) -> Reply<Started> {
    ask(desk, move |desk| desk.start_session(&start)).await
}

#[tauri::command]
#[specta::specta]
async fn choose_folder(window: tauri::WebviewWindow) -> Reply<Option<String>> {
    let dialog = rfd::AsyncFileDialog::new().set_title("Choose a workspace").set_parent(&window);
    Ok(dialog.pick_folder().await.map(|folder| folder.path().to_string_lossy().into_owned()))
}

#[tauri::command]
#[specta::specta]
async fn settings(desk: Shared<'_>) -> Reply<Settings> {
    ask(desk, Desk::settings).await
}

#[tauri::command]
#[specta::specta]
async fn set_theme(desk: Shared<'_>, theme: Theme) -> Reply<()> {
    ask(desk, move |desk| desk.set_theme(theme)).await
}

#[tauri::command]
#[specta::specta]
async fn resume_asking(desk: Shared<'_>) -> Reply<()> {
    ask(desk, Desk::resume_asking).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// `CHAPERONE_UPDATE_BINDINGS=1 cargo test -p chaperone-desktop` writes them anew.
    #[test]
    fn the_checked_in_bindings_are_those_of_today() {
        let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/lib/bindings.ts");
        let dir = tempfile::tempdir().unwrap();
        let today = dir.path().join("bindings.ts");
        all().export(specta_typescript::Typescript::default(), &today).unwrap();
        let today = fs::read_to_string(today).unwrap();
        if std::env::var_os("CHAPERONE_UPDATE_BINDINGS").is_some() {
            fs::write(&checked_in, &today).unwrap();
        }
        let checked_in = fs::read_to_string(checked_in).unwrap_or_default();
        assert!(
            checked_in == today,
            "ui/src/lib/bindings.ts is stale: \
             CHAPERONE_UPDATE_BINDINGS=1 cargo test -p chaperone-desktop writes it anew"
        );
    }

    #[test]
    fn the_window_may_call_every_command_and_nothing_else() {
        let text = include_str!("../capabilities/main.json");
        let allowed: Vec<&str> =
            text.split('"').filter_map(|word| word.strip_prefix("allow-")).collect();
        let commands = include_str!("../build.rs");
        for name in &allowed {
            let name = format!("\"{}\"", name.replace('-', "_"));
            assert!(commands.contains(&name), "{name} is allowed and is no command");
        }
        assert_eq!(allowed.len(), 26);
    }
}
