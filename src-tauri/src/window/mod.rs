//! The program `kiln-window`: the pages in a webview, as a client of node and desktop.
mod allowed;
mod commands;
mod desk;
mod diagnostics;
mod dialog;
#[cfg_attr(target_os = "linux", path = "display/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "display/elsewhere.rs")]
mod display;
mod node;
mod refusal;
mod shared;
#[cfg_attr(target_os = "linux", path = "web_process/linux.rs")]
#[cfg_attr(target_os = "macos", path = "web_process/macos.rs")]
#[cfg_attr(windows, path = "web_process/windows.rs")]
mod web_process;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use kiln_desk::{Focus, ToDesk, WindowSize};
use kiln_platform::Paths;
use tauri::{App, AppHandle, Manager as _, WebviewUrl, WebviewWindowBuilder, WindowEvent};

use crate::arguments::Arguments;
use crate::{NO_DISPLAY, program};
use desk::{Desk, Met};
use shared::Shared;

/// Name of the window within the program, as in `capabilities/main.json`.
const MAIN: &str = "main";

/// Size of a first window, and the smallest, in logical pixels.
const FIRST: WindowSize = WindowSize {
    width: 1080,
    height: 720,
};
const SMALLEST: WindowSize = WindowSize {
    width: 480,
    height: 400,
};

/// Name of the program.
const NAME: &str = "kiln-window";

/// Runs the program.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    program::run(NAME, words, |arguments| {
        program::ended(NAME, start(arguments))
    })
}

/// Returns what the program was compiled with: configuration, permissions, pages.
pub(crate) fn context() -> tauri::Context {
    tauri::generate_context!()
}

fn start(arguments: Arguments) -> Result<ExitCode, String> {
    let paths = Paths::find(std::env::var_os("KILN_HOME")).map_err(|e| e.to_string())?;
    paths.prepare().map_err(|e| e.to_string())?;
    kiln_host::start_log(&paths.logs, "window", 0)
        .map_err(|e| format!("the log cannot be written: {e}"))?;
    if !display::is_there() {
        let _ = writeln!(
            std::io::stderr(),
            "kiln-window: there is no display; use `kiln` in a terminal"
        );
        return Ok(ExitCode::from(NO_DISPLAY));
    }
    let desk = match tauri::async_runtime::block_on(desk::meet(&paths)) {
        Met::Taken => return Ok(ExitCode::SUCCESS),
        Met::Welcome(desk) => Some(desk),
        Met::Nobody => None,
    };
    let app = web_process::watched(tauri::Builder::default())
        .invoke_handler(tauri::generate_handler![
            commands::request,
            commands::follow,
            commands::unfollow,
            commands::start,
            commands::desktop_settings,
            commands::set_desktop_setting,
            commands::first_run_done,
            commands::close_hint_seen,
            commands::try_again,
            commands::diagnostics,
            commands::open_folder,
            commands::save_log,
        ])
        .setup(move |app| Ok(open(app, paths, arguments, desk)?))
        .build(context())
        .map_err(|e| format!("the window cannot be opened: {e}"))?;
    let code = app.run_return(|_, _| {});
    // The code of a program is at most one byte everywhere.
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Opens the window and begins to listen to node and desktop.
fn open(
    app: &mut App,
    paths: Paths,
    arguments: Arguments,
    desk: Option<Desk>,
) -> tauri::Result<()> {
    let (to_desk, words) = tokio::sync::mpsc::unbounded_channel();
    let webview = paths.cache.join("webview");
    let shared = Arc::new(Shared::new(paths, arguments.goal, to_desk));
    let settings = shared.kept.read();
    app.manage(shared.clone());
    let size = settings.window.unwrap_or(FIRST);
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("Kiln")
        .inner_size(f64::from(size.width), f64::from(size.height))
        .min_inner_size(f64::from(SMALLEST.width), f64::from(SMALLEST.height))
        // Everything of this Kiln lies in its own folders, and is gone with them.
        .data_directory(webview)
        // The pages are what was built in; nothing leads anywhere else.
        .on_navigation(|url| matches!(url.scheme(), "tauri" | "isolation") || is_local(url))
        .build()?;
    let noticed = window.clone();
    let state = shared.clone();
    window.on_window_event(move |event| match event {
        WindowEvent::Focused(focused) => {
            let focus = if *focused {
                Focus::Here
            } else {
                Focus::Elsewhere
            };
            state.known().focus = focus;
            state.tell_desk(ToDesk::Focus { focus });
        }
        WindowEvent::CloseRequested { .. } => remember_size(&noticed, &state),
        _ => {}
    });
    tauri::async_runtime::spawn(node::watch(app.handle().clone(), shared.clone()));
    tauri::async_runtime::spawn(desk::listen(app.handle().clone(), shared, desk, words));
    Ok(())
}

/// Ends: the process that shows the pages did, and what is left is a blank window. The desktop says so
/// and offers another one.
fn pages_broke(app: &AppHandle, why: &str) {
    tracing::error!(why, "the process that shows the pages ended");
    app.exit(1);
}

/// On Windows the pages come from `http://tauri.localhost`, the frame from `http://isolation.localhost`.
fn is_local(url: &tauri::Url) -> bool {
    matches!(
        url.host_str(),
        Some("tauri.localhost" | "isolation.localhost")
    )
}

fn remember_size(window: &tauri::WebviewWindow, shared: &Shared) {
    let (Ok(size), Ok(scale)) = (window.inner_size(), window.scale_factor()) else {
        return;
    };
    let size = size.to_logical::<u32>(scale);
    let kept = shared.kept.change(|settings| {
        settings.window = Some(WindowSize {
            width: size.width,
            height: size.height,
        });
    });
    if let Err(error) = kept {
        tracing::warn!(%error, "the window's size cannot be kept");
    }
}
