//! [`split_output`]: lines of output that are too long for one frame (peer-link.md §5.8, R-39).
use kiln_model::WireJobId;

use crate::limits::MAX_SENT_PLAINTEXT;

/// Bytes of a `job_output` frame beside the escaped job id and line.
const FRAME: usize = r#"{"type":"job_output","job_id":"","stream":"stdout","line":""}"#.len();

/// Cuts a line into pieces of which each fits a frame together with `job_id`. Nothing is lost or
/// changed; only the last piece has the line's terminator. A line that fits is one piece.
pub fn split_output<'l>(
    job_id: &WireJobId,
    line: &'l str,
) -> impl Iterator<Item = &'l str> + use<'l> {
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

#[cfg(test)]
mod tests {
    use kiln_model::Message;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::encode;

    fn pieces<'l>(job_id: &str, line: &'l str) -> Vec<&'l str> {
        split_output(&WireJobId(job_id.to_owned()), line).collect()
    }

    fn frame(job_id: &str, line: &str) -> usize {
        encode(&Message::JobOutput {
            job_id: WireJobId(job_id.to_owned()),
            line: line.to_owned(),
        })
        .len()
    }

    // Covers: R-39, M64
    #[test]
    fn a_line_is_cut_exactly_where_the_next_character_would_not_fit() {
        let room = MAX_SENT_PLAINTEXT - frame("0a1b2c3d4e5f", "");
        let fits = "x".repeat(room);
        assert_eq!(pieces("0a1b2c3d4e5f", &fits), [fits.as_str()]);
        let long = format!("{fits}\n");
        assert_eq!(pieces("0a1b2c3d4e5f", &long), [fits.as_str(), "\n"]);
        assert_eq!(frame("0a1b2c3d4e5f", &fits), MAX_SENT_PLAINTEXT);
    }

    #[test]
    fn a_carriage_return_and_line_feed_stay_together() {
        let room = MAX_SENT_PLAINTEXT - frame("j", "");
        for short_by in 0..6 {
            let line = format!("{}\r\n", "x".repeat(room - short_by));
            let cut = pieces("j", &line);
            assert!(cut.last().unwrap().ends_with("\r\n"), "{short_by}");
            assert_eq!(cut.concat(), line);
        }
    }

    #[test]
    fn an_empty_line_is_one_piece() {
        assert_eq!(pieces("j", ""), [""]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_text_is_lost_and_every_frame_fits(
            job_id in "\\PC{0,60}",
            unit in "[\\x00-\\x1f\"a-cü☕\\u{1F525}\\\\]{1,8}",
            times in 0usize..12_000,
            end in prop_oneof![Just(""), Just("\n"), Just("\r"), Just("\r\n")],
        ) {
            let line = unit.repeat(times) + end;
            let cut = pieces(&job_id, &line);
            prop_assert_eq!(cut.concat(), line.as_str());
            prop_assert!(cut.iter().all(|piece| frame(&job_id, piece) <= MAX_SENT_PLAINTEXT));
            let last = cut.last().unwrap();
            prop_assert!(last.ends_with(end));
        }
    }
}
