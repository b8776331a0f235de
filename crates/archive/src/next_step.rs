//! [`next_step`]: what to do where this machine could not store something.
use std::io::{Error, ErrorKind};

/// Returns the next step with a space before it, or nothing where the error says all there is. `again`
/// is what is done again afterwards.
pub(crate) fn next_step(error: &Error, again: &str) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!(" Free some space and {again} again.")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!(" Let Kiln write there and {again} again.")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExtractError, MaterialiseError};

    #[test]
    fn only_a_full_disk_is_told_as_one() {
        let said = |kind: ErrorKind| {
            let bundle = ExtractError::from(Error::from(kind)).to_string();
            let build = MaterialiseError::from(Error::from(kind)).to_string();
            [bundle, build].map(|text| text.contains("Free some space"))
        };
        for full in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert_eq!(said(full), [true; 2], "{full:?}");
        }
        let others = [
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::NotFound,
        ];
        for other in others {
            assert_eq!(said(other), [false; 2], "{other:?}");
        }
    }
}
