//! The shell: what Kiln shows on a desktop. The only place that names tauri.
//!
//! Two programs share it. `kiln-desktop` hosts the node, or is a client of one that runs, and shows
//! icon and notifications; on Linux nothing of a webview is loaded into it. `kiln-window` is the
//! window, started on demand, a client of the node like the command line. What is decided is
//! decided in `kiln-desk` and `kiln-glance`; this performs it.

mod arguments;
pub mod desktop;
mod kept;
mod lines;
mod program;
pub mod window;

/// How long a person's second start, or a new window, waits for the desktop to answer.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(5);

/// What the window's process exits with when there is no display.
const NO_DISPLAY: u8 = 3;
