//! Rules for text that people type (peer-link.md §6.6).

/// Returns whether `text` has none of the characters that cannot be seen or that turn the direction
/// of writing: controls, formats, separators other than the space, private use.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.chars().any(hidden)
}

fn hidden(c: char) -> bool {
    let space = c.is_whitespace() && c != ' ';
    space
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{10ffff}')
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
