//! [`LogFilter`]: lets a job's output through without letting it drive the terminal.

/// Longest escape sequence that is held back while it is incomplete.
const LONGEST: usize = 64;

/// Passes text, line ends, tabs and colours; drops every other control character and escape
/// sequence (trust.md G15). Works on text that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct LogFilter {
    /// An escape sequence that is not complete yet.
    held: String,
}

impl LogFilter {
    pub(crate) fn pass(&mut self, piece: &str) -> String {
        // ESPHome writes ESC as four characters when its output is a pipe.
        let piece = piece.replace("\\033[", "\u{1b}[");
        let mut shown = String::with_capacity(piece.len());
        for c in piece.chars() {
            if self.held.is_empty() {
                match c {
                    '\u{1b}' => self.held.push(c),
                    '\n' | '\t' | '\r' => shown.push(c),
                    c if c.is_control() => {}
                    c => shown.push(c),
                }
                continue;
            }
            self.held.push(c);
            if self.is_complete() {
                if self.is_colour() {
                    shown.push_str(&self.held);
                }
                self.held.clear();
            }
        }
        shown
    }

    /// A control sequence (`ESC [`) ends with a letter or one of `@[\]^_`{|}~`, an operating system
    /// command (`ESC ]`) with BEL or `ESC \`, anything else with its second character.
    fn is_complete(&self) -> bool {
        if self.held.len() > LONGEST {
            return true;
        }
        let body = self.held.get(1..).unwrap_or_default();
        match body.chars().next() {
            None => false,
            Some('[') => body.len() > 1 && body.ends_with(|c| ('@'..='~').contains(&c)),
            Some(']') => self.held.ends_with('\u{7}') || self.held.ends_with("\u{1b}\\"),
            Some(_) => true,
        }
    }

    fn is_colour(&self) -> bool {
        let body = self.held.strip_prefix("\u{1b}[");
        body.and_then(|body| body.strip_suffix('m'))
            .is_some_and(|b| b.bytes().all(|c| c.is_ascii_digit() || c == b';'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\u{1b}[1;31mred\u{1b}[0m\u{1b}[2J\u{1b}]0;title\u{7}\u{8}\u{9b}b\r\nc\td";

    #[test]
    fn colours_pass_and_nothing_else_that_drives_a_terminal() {
        let passed = LogFilter::default().pass(TEXT);
        assert_eq!(passed, "a\u{1b}[1;31mred\u{1b}[0mb\r\nc\td");
    }

    #[test]
    fn an_escape_in_words_is_one_where_a_sequence_follows_and_text_elsewhere() {
        let passed = LogFilter::default().pass("\\033[31mred\\033[0m, octal \\0331 and \\033");
        let expected = "\u{1b}[31mred\u{1b}[0m, octal \\0331 and \\033";
        assert_eq!(passed, expected);
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let mut filter = LogFilter::default();
        let pieces: String = TEXT.chars().map(|c| filter.pass(&c.to_string())).collect();
        assert_eq!(pieces, LogFilter::default().pass(TEXT));
    }

    #[test]
    fn an_endless_sequence_is_given_up() {
        let endless = format!("\u{1b}]{}text", "x".repeat(100));
        assert!(LogFilter::default().pass(&endless).ends_with("text"));
    }
}
