//! Whether there is a display, on Windows and macOS.

/// A session of these systems always has one.
pub(super) fn is_there() -> bool {
    true
}
