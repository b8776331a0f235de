//! Whether there is a display, on Linux.

/// Returns whether a window can be shown. Asking twice is harmless; not asking ends the program.
pub(super) fn is_there() -> bool {
    gtk::init().is_ok()
}
