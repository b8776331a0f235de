//! Escape sequences in tool output, real ones and those that `--dashboard` writes as the text
//! `\033[…m` (builds.md §14.10).

/// Removes every escape sequence, in both spellings. Control characters stay.
pub fn plain(text: &str) -> String {
    render(text, false)
}

/// Makes a line fit for a terminal, whoever wrote it: colours stay as real escapes, every other
/// sequence and every control character but tab, `\r` and `\n` is removed (trust.md P3).
pub fn coloured(text: &str) -> String {
    render(text, true)
}

fn render(text: &str, for_terminal: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_control() || c == '\\') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(body) = rest
            .strip_prefix('\x1b')
            .or_else(|| rest.strip_prefix(r"\033"))
        {
            let real = rest.starts_with('\x1b');
            match escape_length(body, real) {
                Some((length, colour)) => {
                    if colour && for_terminal {
                        out.push('\x1b');
                        out.push_str(&body[..length]);
                    }
                    rest = &body[length..];
                }
                // A lone escape byte is never text; the spelt-out one may be.
                None if real => rest = body,
                None => {
                    out.push('\\');
                    rest = &rest[1..];
                }
            }
            continue;
        }
        let mut chars = rest.chars();
        if let Some(c) = chars.next() {
            let harmless = !c.is_control() || matches!(c, '\t' | '\r' | '\n');
            if harmless || !for_terminal {
                out.push(c);
            }
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Length of what follows the escape, and whether it sets colours. An unfinished sequence is
/// `None`.
fn escape_length(body: &str, real: bool) -> Option<(usize, bool)> {
    let bytes = body.as_bytes();
    match bytes.first()? {
        b'[' => {
            let parameters = bytes[1..]
                .iter()
                .take_while(|b| (0x20..0x40).contains(*b))
                .count();
            let last = *bytes.get(1 + parameters)?;
            let colour = last == b'm' && body[1..1 + parameters].bytes().all(is_colour_byte);
            (0x40..0x7f)
                .contains(&last)
                .then_some((parameters + 2, colour))
        }
        // Operating system commands end with BEL or ESC \.
        b']' if real => {
            let end = body.find(['\x07', '\x1b'])?;
            let tail = if body[end..].starts_with("\x1b\\") {
                2
            } else {
                1
            };
            Some((end + tail, false))
        }
        b if real && b.is_ascii() => Some((1, false)),
        _ => None,
    }
}

fn is_colour_byte(b: u8) -> bool {
    b.is_ascii_digit() || b == b';'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_spellings_are_removed() {
        assert_eq!(
            plain("\x1b[0m=== [\x1b[32m\x1b[1mSUCCESS\x1b[0m]"),
            "=== [SUCCESS]"
        );
        assert_eq!(plain(r"\033[32mINFO text\033[0m"), "INFO text");
        assert_eq!(plain("\x1b[2KWriting\r"), "Writing\r");
        assert_eq!(plain("\x1b]0;title\x07a\x1b]8;;x\x1b\\b\x1bMc"), "abc");
    }

    #[test]
    fn text_that_only_looks_like_an_escape_stays() {
        for text in [r"C:\0\033", r"a\b", r"\033", "\\", "plain [32m", ""] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn a_terminal_gets_colours_and_nothing_that_moves_it() {
        let hostile = "\x1b[31mred\x1b[0m\x1b[2J\x1b]0;x\x07\x07\x08\x1b[?1049h\u{9b}31m\r\n";
        assert_eq!(coloured(hostile), "\x1b[31mred\x1b[0m31m\r\n");
        assert_eq!(coloured(r"\033[32mINFO\033[0m"), "\x1b[32mINFO\x1b[0m");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_terminal_see_more_than_colours(text in r"(\PC|\x1b|\\033|\[|[0-9;]|m|J|\x07|\x08)*") {
            let shown = coloured(&text);
            for (at, _) in shown.match_indices('\x1b') {
                let tail = shown[at + 1..].trim_start_matches('[');
                prop_assert!(tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'));
            }
            prop_assert!(!shown.chars().any(|c| c.is_control() && !"\t\r\n\x1b".contains(c)));
        }
    }
}
