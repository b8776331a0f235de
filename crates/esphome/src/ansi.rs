//! Escape sequences in tool output, real ones and those that `--dashboard` writes as the text
//! `\033[…m` (builds.md §14.10).

/// How `--dashboard` spells the escape byte.
const SPELT: &str = r"\033";

/// Removes every escape sequence, in both spellings. Control characters stay.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['\x1b', '\\']) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let length = match rest.strip_prefix('\x1b') {
            // A lone escape byte is never text; the spelt-out one may be.
            Some(body) => Some(1 + escape_length(body).unwrap_or(0)),
            None => rest
                .strip_prefix(SPELT)
                .and_then(control_length)
                .map(|length| SPELT.len() + length),
        };
        if length.is_none() {
            out.push('\\');
        }
        rest = &rest[length.unwrap_or(1)..];
    }
    out.push_str(rest);
    out
}

/// Length of what follows an escape byte. An unfinished sequence is `None`.
fn escape_length(body: &str) -> Option<usize> {
    match body.bytes().next()? {
        b'[' => control_length(body),
        // Operating system commands end with BEL or ESC \.
        b']' => {
            let end = body.find(['\x07', '\x1b'])?;
            let tail = if body[end..].starts_with("\x1b\\") {
                2
            } else {
                1
            };
            Some(end + tail)
        }
        b if b.is_ascii() => Some(1),
        _ => None,
    }
}

/// Length of a control sequence, from its `[` to its last byte. An unfinished one is `None`.
fn control_length(body: &str) -> Option<usize> {
    let bytes = body.strip_prefix('[')?.as_bytes();
    let parameters = bytes
        .iter()
        .take_while(|b| (0x20..0x40).contains(*b))
        .count();
    let last = bytes.get(parameters)?;
    (0x40..0x7f).contains(last).then_some(parameters + 2)
}

#[cfg(test)]
mod tests {
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
}
