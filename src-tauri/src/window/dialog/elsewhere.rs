//! The text of a question, as Windows and macOS take it.

/// Returns it as it is.
pub(super) fn as_text(question: &str) -> String {
    question.to_owned()
}
