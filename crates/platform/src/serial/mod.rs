//! [`OsSerialPorts`]: what is connected on a cable, and what keeps it from being flashed.
#[cfg(not(target_os = "linux"))]
mod library;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

pub use os::OsSerialPorts;

/// Longest text of a device that is kept, in characters. USB allows 126.
const LONGEST: usize = 126;

/// Cuts what a device says of itself to a length that USB allows.
fn clipped(text: &str) -> String {
    text.trim().chars().take(LONGEST).collect()
}

/// Orders names as people do: `ttyUSB2` before `ttyUSB10`.
fn by_number(path: &str) -> (String, u64) {
    let name = path.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = path.get(name.len()..).unwrap_or_default();
    (name.to_owned(), number.parse().unwrap_or(0))
}
