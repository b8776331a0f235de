//! Watches the process that shows the pages, on macOS: WebKit's.
use tauri::{Builder, Manager as _, Wry};

use super::pages_broke;

/// Lets the window end with its pages.
pub(super) fn watched(builder: Builder<Wry>) -> Builder<Wry> {
    builder.on_web_content_process_terminate(|webview| {
        pages_broke(webview.app_handle(), "WebKit does not say why");
    })
}
