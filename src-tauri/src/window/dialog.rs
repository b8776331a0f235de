//! The system's own dialogues: a question, and where to save a file.
#[cfg_attr(target_os = "linux", path = "dialog/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "dialog/elsewhere.rs")]
mod text;

use std::path::PathBuf;

use rfd::{AsyncFileDialog, AsyncMessageDialog, MessageButtons, MessageDialogResult, MessageLevel};
use tauri::{AppHandle, Manager as _};
use tokio::sync::oneshot;

use super::MAIN;
use text::as_text;

/// Answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// The button that does it.
    Yes,
    /// The other one, or none.
    No,
}

/// Asks; everything but a click on `yes` is a no.
pub(super) async fn confirm(
    app: &AppHandle,
    question: String,
    yes: String,
    no: String,
) -> Confirmed {
    let button = yes.clone();
    let begun = on_main(app, move |window| {
        let mut dialog = AsyncMessageDialog::new()
            .set_title("Kiln")
            .set_level(MessageLevel::Warning)
            .set_description(as_text(&question))
            .set_buttons(MessageButtons::OkCancelCustom(button, no));
        if let Some(window) = window {
            dialog = dialog.set_parent(&window);
        }
        dialog.show()
    });
    let Some(answer) = begun.await else {
        return Confirmed::No;
    };
    match answer.await {
        MessageDialogResult::Custom(label) if label == yes => Confirmed::Yes,
        MessageDialogResult::Ok | MessageDialogResult::Yes => Confirmed::Yes,
        MessageDialogResult::Custom(_) | MessageDialogResult::No | MessageDialogResult::Cancel => {
            Confirmed::No
        }
    }
}

/// Asks where to save a text; `None` when nobody chose a place.
pub(super) async fn save_place(app: &AppHandle, name: String) -> Option<PathBuf> {
    let begun = on_main(app, move |window| {
        let mut dialog = AsyncFileDialog::new().set_file_name(name);
        if let Some(window) = window {
            dialog = dialog.set_parent(&window);
        }
        dialog.save_file()
    });
    let chosen = begun.await?.await?;
    Some(chosen.path().to_owned())
}

/// Begins a dialogue on the thread that has the window, as every system wants it.
async fn on_main<T: Send + 'static>(
    app: &AppHandle,
    begin: impl FnOnce(Option<tauri::WebviewWindow>) -> T + Send + 'static,
) -> Option<T> {
    let (told, begun) = oneshot::channel();
    let window = app.get_webview_window(MAIN);
    app.run_on_main_thread(move || {
        // Nobody waits any more when the window closes meanwhile.
        let _ = told.send(begin(window));
    })
    .ok()?;
    begun.await.ok()
}
