//! Watches the process that shows the pages, on Linux: WebKit's.
use tauri::plugin::Builder as Plugin;
use tauri::{Builder, Manager as _, Wry};
use webkit2gtk::WebViewExt as _;

use super::pages_broke;

/// Lets the window end with its pages.
pub(super) fn watched(builder: Builder<Wry>) -> Builder<Wry> {
    let watch = Plugin::<Wry>::new("web-process").on_webview_ready(|webview| {
        let app = webview.app_handle().clone();
        let watched = webview.with_webview(move |webview| {
            webview
                .inner()
                .connect_web_process_terminated(move |_, reason| {
                    pages_broke(&app, &format!("{reason:?}"));
                });
        });
        if let Err(error) = watched {
            tracing::warn!(%error, "nobody would notice the end of the pages");
        }
    });
    builder.plugin(watch.build())
}
