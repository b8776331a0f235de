//! [`markup`]: plain text as a text of markup languages.

/// Writes out the characters that mean something in XML and in the markup of Linux desktops.
pub(crate) fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_name_is_never_markup() {
        assert_eq!(
            markup("<b>'A' & \"B\"</b>"),
            "&lt;b&gt;&#39;A&#39; &amp; &quot;B&quot;&lt;/b&gt;"
        );
    }
}
