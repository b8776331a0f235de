//! Rules for text that people type (peer-link.md §6.6).
use kiln_model::steers;

/// Returns whether `text` has none of the characters that cannot be seen or that turn the direction
/// of writing: controls, formats, separators other than the space, private use.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.chars().any(hidden)
}

fn hidden(c: char) -> bool {
    let space = c.is_whitespace() && c != ' ';
    // What only some fonts have, and the plane of tags.
    let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}');
    space || private || steers(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_and_emoji_are_printable_and_tricks_are_not() {
        for text in ["", "Küche 2", "客厅", "🔥 box", "a-b_c.d"] {
            assert!(is_printable(text), "{text:?}");
        }
        for text in [
            "a\nb",
            "\u{1b}[2J",
            "a\u{202e}b",
            "\u{200b}",
            "a\u{2028}",
            "\u{e000}",
        ] {
            assert!(!is_printable(text), "{text:?}");
        }
    }
}
