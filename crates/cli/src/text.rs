//! Text for people: tables, times, sizes, and strings of peers made harmless.
use std::fmt::Write;

use kiln_model::{Timestamp, steers};

/// Returns `text` with everything that could steer a terminal written out: control,
/// bidirectional and invisible characters become `\u{..}`.
pub(crate) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The same for a text of several lines, which stay lines.
pub(crate) fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// Returns rows under a heading, columns aligned; the last column is not padded.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        longest.max(heading.get(column).map_or(0, |h| h.chars().count()))
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: Vec<&str>| {
        let mut shown = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count()) + 2;
            shown.push_str(cell);
            shown.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    };
    line(heading.to_vec());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
    text
}

/// Returns a point in time as local date and time.
pub(crate) fn when(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(at) => at
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%F %T")
            .to_string(),
        Err(_) => String::from("?"),
    }
}

/// Returns how long something took, in at most two units.
pub(crate) fn duration(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.0 - from.0).max(0) as f64 / 1e6;
    if seconds < 100.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds as u64;
    match whole {
        0..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// Returns a size with a decimal unit.
pub(crate) fn size(bytes: u64) -> String {
    let mut text = String::new();
    let (unit, by) = match bytes {
        0..1_000_000 => ("kB", 1e3),
        1_000_000..1_000_000_000 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    // Writing to a String cannot fail.
    let _ = write!(text, "{:.1} {unit}", bytes as f64 / by);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_peers_cannot_steer_the_terminal() {
        assert_eq!(
            safe("a\u{1b}[31mb\u{202e}c\r"),
            "a\\u{1b}[31mb\\u{202e}c\\u{d}"
        );
        assert_eq!(safe("Küche 🐼"), "Küche 🐼");
        assert_eq!(safe_lines("a\u{7}\nb"), "a\\u{7}\nb");
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = vec![
            vec!["Küche".into(), "x".into()],
            vec!["a".into(), "y".into()],
        ];
        assert_eq!(
            table(&["NAME", "B"], &rows),
            "NAME   B\nKüche  x\na      y\n"
        );
    }

    #[test]
    fn times_and_sizes_read_easily() {
        assert_eq!(duration(Timestamp(0), Timestamp(2_500_000)), "2.5 s");
        assert_eq!(
            duration(Timestamp(0), Timestamp(754_000_000)),
            "12 min 34 s"
        );
        assert_eq!(size(220_000_000), "220.0 MB");
    }
}
