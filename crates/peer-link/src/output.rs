//! [`split_output`]: lines of output that are too long for one frame (peer-link.md §5.8, R-39).
use kiln_model::WireJobId;

use crate::limits::MAX_SENT_PLAINTEXT;

/// Bytes of a `job_output` frame beside the escaped job id and line.
const FRAME: usize = r#"{"type":"job_output","job_id":"","stream":"stdout","line":""}"#.len();

/// Cuts a line into pieces of which each fits a frame together with `job_id`. Nothing is lost or
/// changed; only the last piece has the line's terminator. A line that fits is one piece.
pub fn split_output<'l>(job_id: &WireJobId, line: &'l str) -> impl Iterator<Item = &'l str> {
    // An id so long that nothing fits beside it is refused at submission.
    let budget = MAX_SENT_PLAINTEXT.saturating_sub(FRAME + escaped(&job_id.0));
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let (piece, more) = text.split_at_checked(fitting(text, budget))?;
        rest = (!more.is_empty()).then_some(more);
        Some(piece)
    })
}

/// Returns how many bytes of `text` fit, at least one character and never half a `\r\n`.
fn fitting(text: &str, budget: usize) -> usize {
    if text.len() * 6 <= budget {
        return text.len();
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += escaped_char(c);
        if used > budget && at > 0 {
            let terminator = matches!(text.get(at - 1..), Some("\r\n")) && at > 1;
            return if terminator { at - 1 } else { at };
        }
    }
    text.len()
}

fn escaped(text: &str) -> usize {
    text.chars().map(escaped_char).sum()
}

/// Returns the bytes of a character inside a JSON string.
fn escaped_char(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}
