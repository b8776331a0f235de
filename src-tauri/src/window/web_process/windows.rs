//! Watches the process that shows the pages, on Windows: WebView2's.
use kiln_platform::webview;
use tauri::plugin::Builder as Plugin;
use tauri::{Builder, Manager as _, Wry};

use super::pages_broke;

/// Lets the window end with its pages.
pub(super) fn watched(builder: Builder<Wry>) -> Builder<Wry> {
    let watch = Plugin::<Wry>::new("web-process").on_webview_ready(|webview| {
        let app = webview.app_handle().clone();
        let watched = webview.with_webview(move |webview| {
            let told = webview::when_it_ends(&webview.controller(), move |why| {
                pages_broke(&app, why);
            });
            if let Err(error) = told {
                tracing::warn!(%error, "nobody would notice the end of the pages");
            }
        });
        if let Err(error) = watched {
            tracing::warn!(%error, "nobody would notice the end of the pages");
        }
    });
    builder.plugin(watch.build())
}
