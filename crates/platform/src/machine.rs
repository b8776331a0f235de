//! [`machine_name`]: what people call this computer.

/// Returns the left-most label of the system's host name, or `kiln` if it has none.
pub fn machine_name() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    match name.split('.').next() {
        Some(label) if !label.is_empty() => label.to_owned(),
        Some(_) | None => "kiln".to_owned(),
    }
}
