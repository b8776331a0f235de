//! The program `kiln-desktop`: icon, notifications and node.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    kiln_desktop::desktop::main(std::env::args_os().skip(1))
}
