//! [`steers`]: characters that cannot be seen and change what is read.

/// Returns whether a character can be used to make a text look like another one: controls, those
/// that turn the direction of writing or separate lines, and those that have no width (Unicode
/// general categories Cc, Zl and Zp, and Cf but for what few scripts need to be read).
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_and_emoji_do_not_steer_and_tricks_do() {
        assert!(!"Küche 2 客厅 🔥 قلب a-b_c.d".contains(steers));
        for trick in [
            '\n', '\u{1b}', '\u{9b}', '\u{ad}', '\u{202e}', '\u{200b}', '\u{2028}',
        ] {
            assert!(steers(trick), "{trick:?}");
        }
    }
}
