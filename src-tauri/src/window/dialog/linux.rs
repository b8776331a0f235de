//! The text of a question, as Linux takes it.

/// Returns it for a dialogue of GTK: `rfd` hands it over as a format of `printf`, in which a name that
/// another computer chose must mean nothing.
pub(super) fn as_text(question: &str) -> String {
    question.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_percent_signs_is_no_order_to_the_toolkit() {
        assert_eq!(as_text("100%s%n waits."), "100%%s%%n waits.");
    }
}
