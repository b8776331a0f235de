//! Prepares what the window is compiled with: configuration, permissions and the built pages.
use std::path::Path;
use std::process::ExitCode;

use tauri_build::{AppManifest, Attributes};

/// Every command of the window; `src-tauri/capabilities/main.json` allows them one by one.
const COMMANDS: &[&str] = &[
    "request",
    "follow",
    "unfollow",
    "start",
    "desktop_settings",
    "set_desktop_setting",
    "first_run_done",
    "close_hint_seen",
    "try_again",
    "diagnostics",
    "open_folder",
    "save_log",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=ui/dist");
    if !Path::new("ui/dist/index.html").exists() {
        println!("cargo::error=the window's pages are not built; run `cargo xtask ui`");
        return ExitCode::FAILURE;
    }
    let attributes = Attributes::new()
        .app_manifest(AppManifest::new().commands(COMMANDS))
        .capabilities_path_pattern("./src-tauri/capabilities/**/*");
    match tauri_build::try_build(attributes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error:#}");
            ExitCode::FAILURE
        }
    }
}
