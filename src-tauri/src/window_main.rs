//! The program `kiln-window`: the window, started by `kiln-desktop`.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    kiln_desktop::window::main(std::env::args_os().skip(1))
}
