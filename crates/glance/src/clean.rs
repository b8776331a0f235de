//! [`clean`]: names and sentences of others, made harmless and short.
use kiln_model::steers;

/// Most characters of a name in a menu or title: what a menu shows without growing over the screen.
pub(crate) const NAME: usize = 40;

/// Most characters of a sentence in a tooltip or notice: about three lines of a popup.
pub(crate) const SENTENCE: usize = 160;

/// Returns `text` on one line with at most `max` characters. Control, bidirectional and invisible
/// characters become `�`, so that a name that carries them cannot pass for one that does not.
pub(crate) fn clean(text: &str, max: usize) -> String {
    clip(&harmless(text), max)
}

/// Returns the same at any length.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::new();
    for c in text.trim().chars().map(shown_as) {
        if c != ' ' || !shown.ends_with(' ') {
            shown.push(c);
        }
    }
    shown
}

/// Returns at most `max` characters of a text that is harmless already.
pub(crate) fn clip(text: &str, max: usize) -> String {
    let mut shown: String = text.chars().take(max).collect();
    if shown.len() < text.len() {
        shown.pop();
        shown.push('…');
    }
    shown
}

fn shown_as(c: char) -> char {
    match c {
        c if c.is_whitespace() && !matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c if steers(c) => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_stay_on_one_line_and_cannot_hide_anything() {
        assert_eq!(clean(" Küche\n 🐼 ", NAME), "Küche 🐼");
        assert_eq!(
            clean("Lap\u{202e}top\u{1b}[0m", NAME),
            "Lap\u{fffd}top\u{fffd}[0m"
        );
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
    }
}
