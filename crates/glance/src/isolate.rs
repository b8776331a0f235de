//! [`isolated`]: a name in a sentence that runs the other way.
use std::borrow::Cow;

/// First strong isolate and pop directional isolate (Unicode Standard Annex 9).
const ISOLATE: (char, char) = ('\u{2068}', '\u{2069}');

/// Returns `value` so that it moves no word around it: what is written from right to left would
/// otherwise take numbers and stops beside it along.
pub(crate) fn isolated(value: &str) -> Cow<'_, str> {
    if value.chars().any(runs_left) {
        let (begin, end) = ISOLATE;
        return format!("{begin}{value}{end}").into();
    }
    value.into()
}

/// Returns whether this is of a script that is written from right to left: the blocks whose default
/// is R or AL in Unicode's `DerivedBidiClass.txt`.
fn runs_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}'
        | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_the_other_way_is_kept_apart() {
        for plain in ["", "Küche 2", "厨房", "кухня"] {
            assert_eq!(isolated(plain), plain);
        }
        for (name, apart) in [
            ("מטבח", "\u{2068}מטבח\u{2069}"),
            ("مطبخ 2", "\u{2068}مطبخ 2\u{2069}"),
        ] {
            assert_eq!(isolated(name), apart);
        }
    }
}
